//! Processes that hold a certificate of the cluster's authority and its private key, and are no members.

use super::super::authority::{Authority, FAR};
use super::*;

/// For each of that many nodes a certificate of its own.
fn certificates(authority: &Authority, count: usize) -> Vec<Security> {
    (1..=count).map(|n| with_certificate(authority.node(&format!("node-{n}"), FAR))).collect()
}

/// A member's certificate and its private key admit a newcomer, and make nobody that member: the identity does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_another_members_certificate_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let own = certificates(&authority, 3);
    let nodes = voters_with(&dir, 3, |n| own[n - 1].clone()).await;
    let to = &nodes[0];
    let victim = nodes[1].name();
    let random = || IdentityKey::random().unwrap();
    for (who, identity, as_node) in [
        ("a stranger under the id of the certificate's member", random(), victim),
        ("a stranger under the id of another member", random(), nodes[2].name()),
        ("a stranger under the id of the node that it asks", random(), to.name()),
        ("a stranger under an id of its own", random(), (77, "127.0.0.1:1")),
    ] {
        let intruder = Intruder::with(&own[1], identity, as_node, to);
        intruder.gets_nothing(who).await;
        let hello = Hello { to: 0, ..intruder.hello.clone() };
        Intruder { hello, ..intruder }.gets_nothing(who).await;
    }
    let other = Intruder::with(&own[1], key_of(&nodes[2].dir), victim, to);
    other.gets_nothing("a member under the id of the certificate's member").await;

    nothing_happened(&nodes);
    // The member itself gets it, whichever certificate of the authority it shows.
    for shown in &own {
        let honest = Intruder::with(shown, key_of(&nodes[1].dir), victim, to);
        let request = Request::AppV1 { body: b"the webhook key".to_vec().into() };
        let answer = honest.ask(Lane::Quick, &request).await.unwrap();
        assert_eq!(answer, Answer::AppV1 { body: SECRET.to_vec().into() });
    }
}

/// Its certificate is valid as before. The others do not take it for a member, under whichever id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_gets_nothing_with_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let own = certificates(&authority, 4);
    let mut nodes = voters_with(&dir, 4, |n| own[n - 1].clone()).await;
    let gone = remove_one(&mut nodes).await;
    let shown = own.iter().find(|security| is_of(security, &gone)).unwrap();
    gone.cluster.shutdown().await;
    let to = &nodes[0];
    for (who, as_node) in [
        ("a removed node", gone.name()),
        ("a removed node under a member's id", nodes[1].name()),
        ("a removed node under the id of the node that it asks", to.name()),
    ] {
        let intruder = Intruder::with(shown, key_of(&gone.dir), as_node, to);
        intruder.gets_nothing(who).await;
        let hello = Hello { to: 0, ..intruder.hello.clone() };
        Intruder { hello, ..intruder }.gets_nothing(who).await;
    }
    nothing_happened(&nodes);
}

/// Whether it is the certificate of that node: the directory has the number of the node that it was made for.
fn is_of(security: &Security, node: &Node) -> bool {
    let number = node.dir.file_name().unwrap().to_str().unwrap();
    security.tls.as_ref().is_some_and(|files| files.cert.ends_with(format!("node-{number}.pem")))
}
