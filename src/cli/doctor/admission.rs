//! Whether the other nodes admit this one: what it would show them as a newcomer is tried at their peer ports. They
//! see the handshake of a newcomer that asks for nothing.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use waypost_cluster::{Probe, ProbeError, Security};

use super::report::Report;
use crate::config::Loaded;

const AREA: &str = "admission";
/// Longest wait for a node. A name may have several addresses.
const WITHIN: Duration = Duration::from_secs(10);

/// Something that admits a newcomer.
struct Pass {
    /// The setting, and where its value comes from.
    name: String,
    /// What to do where it does not admit.
    todo: String,
    security: Security,
}

/// What became of a pass at each node.
struct Tried<'a> {
    pass: &'a Pass,
    answers: Vec<(&'a str, Result<(), ProbeError>)>,
}

/// Checks what the configuration has at the peer ports of other nodes. Without key and certificate there is nothing
/// to check: then nodes are on one host.
pub(super) async fn check(loaded: &Loaded, peers: &[String], report: &mut Report) {
    let passes = passes(loaded);
    let mut tried = Vec::new();
    for pass in &passes {
        match Probe::new(&pass.security) {
            Ok(probe) => {
                let probe = &probe;
                let asked =
                    peers.iter().map(|addr| async move { (addr.as_str(), probe.ask(addr, WITHIN).await) });
                tried.push(Tried { pass, answers: join_all(asked).await });
            }
            Err(error) => {
                let what = format!("whether {} admits this node could not be checked: {error}", pass.name);
                report.tell(AREA, what, "correct it, and look again");
            }
        }
    }
    tell(&tried, report);
}

/// The key and the certificate of the configuration. Where both are set, either admits.
fn passes(loaded: &Loaded) -> Vec<Pass> {
    let Security { keys, tls } = loaded.config.peer.security();
    let name = |setting: &str| format!("{setting} ({})", loaded.source(setting));
    let mut passes = Vec::new();
    if !keys.is_empty() {
        let name = name("peer.key");
        let todo = format!(
            "if one has another key, {name} is not the cluster's: take the key of a node that is a member, and restart \
             this node; a member goes on without it, but a new node does not join, nor one that lost its data"
        );
        passes.push(Pass { name, todo, security: Security { keys, tls: None } });
    }
    if tls.is_some() {
        let todo = "both need certificates of authorities that the other one trusts (peer.tls_ca): \
                    docs/runbooks/certificates.md";
        let security = Security { keys: Vec::new(), tls };
        passes.push(Pass { name: name("peer.tls_cert"), todo: todo.to_owned(), security });
    }
    passes
}

fn tell(tried: &[Tried<'_>], report: &mut Report) {
    let admitted: BTreeSet<&str> = tried
        .iter()
        .flat_map(|tried| &tried.answers)
        .filter(|(_, answer)| answer.is_ok())
        .map(|(addr, _)| *addr)
        .collect();
    for Tried { pass, answers } in tried {
        let name = &pass.name;
        if answers.is_empty() {
            let what =
                format!("whether {name} is the cluster's could not be checked: no other node is reached");
            report.tell(AREA, what, "name the peer ports of other nodes in join, and start one of them");
        }
        for (addr, answer) in answers {
            match answer {
                Ok(()) => report.ok(AREA, format!("{addr} of join admits a newcomer with {name}")),
                Err(ProbeError::NoAnswer(why)) => report.tell(
                    AREA,
                    format!(
                        "whether {addr} of join admits a newcomer with {name} could not be checked: {why}"
                    ),
                    "see the log of that node, and look again",
                ),
                Err(ProbeError::NotAdmitted(why)) => {
                    let what = format!("{addr} of join does not admit a newcomer with {name}: {why}");
                    // Where it is admitted otherwise, it works.
                    if admitted.contains(addr) {
                        report.warn(AREA, what, pass.todo.as_str());
                    } else {
                        report.fail(AREA, what, pass.todo.as_str());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Loader;

    fn loaded(settings: &str) -> Loaded {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("waypost.toml");
        std::fs::write(&file, settings).unwrap();
        Loader::default().file(&file).unwrap().finish().unwrap()
    }

    const KEY: &str = "[peer]\nkey = \"the key of the cluster\"\n";

    #[test]
    fn a_key_is_named_with_its_origin_and_never_shown() {
        let with_key = loaded(KEY);
        let passes = passes(&with_key);
        assert_eq!(passes.len(), 1);
        let Pass { name, todo, security } = &passes[0];
        assert!(name.starts_with("peer.key (file ") && name.ends_with("waypost.toml)"), "{name}");
        assert!(todo.contains(name) && !todo.contains("the key of the cluster"), "{todo}");
        assert_eq!(security.keys, ["the key of the cluster"]);
        assert!(super::passes(&loaded("")).is_empty());
    }

    #[test]
    fn what_admits_nowhere_fails_and_what_is_not_known_is_told() {
        let pass =
            |name: &str| Pass { name: name.to_owned(), todo: "d".into(), security: Security::default() };
        let (key, cert) = (pass("peer.key"), pass("peer.tls_cert"));
        let no = || Err(ProbeError::NotAdmitted("it has another key".to_owned()));
        let told = |tried: &[Tried<'_>]| {
            let mut report = Report::default();
            tell(tried, &mut report);
            (report.failed(), report.is_bad(AREA), format!("{report:?}"))
        };
        let (failed, is_bad, _) =
            told(&[Tried { pass: &key, answers: vec![("a:1", Ok(())), ("b:1", Ok(()))] }]);
        assert_eq!((failed, is_bad), (0, false));
        let (failed, _, text) = told(&[Tried { pass: &key, answers: vec![("a:1", Ok(())), ("b:1", no())] }]);
        assert!(
            failed == 1
                && text.contains("b:1 of join does not admit a newcomer with peer.key: it has another key")
        );
        // A certificate admits beside the key.
        let both = [
            Tried { pass: &key, answers: vec![("a:1", no())] },
            Tried { pass: &cert, answers: vec![("a:1", Ok(()))] },
        ];
        let (failed, is_bad, _) = told(&both);
        assert_eq!((failed, is_bad), (0, true));
        for answers in [Vec::new(), vec![("a:1", Err(ProbeError::NoAnswer("no connection".to_owned())))]] {
            let (failed, is_bad, text) = told(&[Tried { pass: &key, answers }]);
            assert!(failed == 0 && !is_bad && text.contains("could not be checked"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_certificate_that_cannot_be_read_is_told() {
        let files = "[peer]\ntls_ca = \"/none/a\"\ntls_cert = \"/none/b\"\ntls_key = \"/none/c\"\n";
        let mut report = Report::default();
        check(&loaded(files), &["127.0.0.1:1".to_owned()], &mut report).await;
        assert!(report.failed() == 0 && report.len() == 1 && format!("{report:?}").contains("peer.tls_cert"));
    }
}
