//! What the nodes answer: who is reached from here, who reaches whom, and the problems that the nodes know
//! of.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::Value;

use super::{
    super::{
        client::ClientError,
        cluster::named::{called, called_by, named},
        output::cell,
    },
    addresses::answers,
    answering::Answering,
    report::Report,
};

/// The release of this program.
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a node answered, with its address.
type View<'a> = (&'a str, Result<Value, ClientError>);

/// Checks what the nodes answered to the request for the status.
pub(super) async fn check(views: &[View<'_>], report: &mut Report) {
    views.iter().for_each(|(url, view)| answered(url, view, report));
    let seen: Vec<&Value> = views.iter().filter_map(|(_, view)| view.as_ref().ok()).collect();
    let has_quorum = |view: &&&Value| view["has_quorum"] == true;
    let Some(best) = seen.iter().find(has_quorum).or(seen.first()).copied() else { return };
    report.ok("token", "the token may read the state of the cluster");
    of_one_cluster(best, &seen, report);
    problems(&seen, report);
    peers(best, report);
    client_ports(best, report).await;
    versions(best, report);
    good(best, report);
}

fn list<'v>(value: &'v Value, member: &str) -> impl Iterator<Item = &'v Value> {
    value[member].as_array().into_iter().flatten()
}

/// Whether a node answered at an address that was given.
fn answered(url: &str, view: &Result<Value, ClientError>, report: &mut Report) {
    match view {
        Ok(view) => {
            let node = called_by(view, "node_id", "node_name");
            report.ok("reach", format!("node {node} answers at {url}"));
        }
        Err(ClientError::Refused { status: status @ (401 | 403), message, hint, .. }) => {
            let todo = "set --token or WAYPOST_ADMIN_TOKEN to the admin token, or to a token of the cluster \
                        that may read";
            // The hint of a 403 says which token was taken, and which one it hides.
            let todo = hint.as_deref().filter(|_| *status == 403).unwrap_or(todo);
            report.fail("token", format!("the node at {url} refuses the token: {message}"), todo);
        }
        Err(ClientError::Refused { message, .. }) => {
            report.fail("reach", format!("{url}: {message}"), not_serving(report));
        }
        Err(error) => report.fail(
            "reach",
            error.to_string().replace('\n', "; "),
            "start that node, let connections from here to its client port pass, or name others with --url",
        ),
    }
}

/// What to do about a node that runs, and does not serve for the reason that it gives.
fn not_serving(report: &Report) -> &'static str {
    if report.is_bad("admission") {
        return "that node runs: correct what `admission` says, and restart it";
    }
    "that node runs: mend what it names, of which its log says more; where one node does not accept another: \
     docs/runbooks/certificates.md"
}

fn of_one_cluster(best: &Value, seen: &[&Value], report: &mut Report) {
    for other in seen.iter().filter(|view| view["cluster_id"] != best["cluster_id"]) {
        let (own, foreign) = (cell(best, "cluster_id"), cell(other, "cluster_id"));
        let node = called_by(other, "node_id", "node_name");
        report.fail(
            "cluster",
            format!("node {node} is in the cluster {foreign}, and others that were asked are in {own}"),
            "name nodes of one cluster, or see docs/runbooks/lost-node.md if it began one of its own by mistake",
        );
    }
}

/// The area of a problem of the status.
fn area(code: &str) -> &'static str {
    match code {
        "settings_differ" | "no_key" => "settings",
        "versions_differ" => "versions",
        "certificate_ends" => "certificates",
        "clocks_apart" | "clocks_disagree" | "clock_jumped" | "expiry_held" | "ids_ahead" => "clock",
        "disk_low" | "disk_full" | "disk_slow" | "was_damaged" => "disk",
        "few_open_files" => "open files",
        "unreachable" | "half_reachable" | "cut_off" => "peers",
        "same_name" => "names",
        "webhooks_failing" | "webhooks_losing" => "webhooks",
        _ => "cluster",
    }
}

/// The problems that any of the asked nodes knows of. Some know what others don't: each knows its own
/// certificate.
fn problems(seen: &[&Value], report: &mut Report) {
    let mut told = BTreeSet::new();
    for problem in seen.iter().flat_map(|view| list(view, "problems")) {
        let code = problem["code"].as_str().unwrap_or_default();
        if !told.insert((code, cell(problem, "node"))) {
            continue;
        }
        let (what, todo) = (cell(problem, "what"), cell(problem, "do"));
        match (problem["severity"].as_str(), code) {
            (Some("critical"), _) | (_, "unreachable" | "half_reachable") => {
                report.fail(area(code), what, todo);
            }
            (Some("info"), "versions_differ" | "same_name" | "webhooks_failing") | (Some("warning"), _) => {
                report.warn(area(code), what, todo);
            }
            _ => report.tell(area(code), what, todo),
        }
    }
}

/// Who reaches whom over the peer ports, by what each node reports.
fn peers(best: &Value, report: &mut Report) {
    let answering = Answering::of(best);
    let reported: BTreeSet<String> = answering.members.iter().map(|member| cell(member, "id")).collect();
    let mut whole = true;
    for from in list(best, "members") {
        // A node that does not run is a problem of its own.
        let blocked = list(from, "reaches")
            .filter(|sight| sight["reached"] == false && reported.contains(&cell(sight, "node")));
        for sight in blocked {
            whole = false;
            let (from, to) = (called(from), called_by(sight, "node", "node_name"));
            let why = cell(sight, "error");
            report.fail(
                "peers",
                format!("node {from} does not reach node {to}: {why}"),
                "let connections between them pass in both directions: docs/runbooks/half-open-firewall.md",
            );
        }
    }
    if whole
        && !report.is_bad("peers")
        && let Some(what) = answering.reach_each_other()
    {
        report.ok("peers", what);
    }
}

/// Whether the client port of each running member is reached from here.
async fn client_ports(best: &Value, report: &mut Report) {
    let answering = Answering::of(best);
    let running: Vec<&Value> =
        answering.members.iter().copied().filter(|member| member["http_addr"].is_string()).collect();
    let asked = running.iter().map(async |member| {
        let addr = member["http_addr"].as_str().unwrap_or_default();
        (*member, answers(addr).await)
    });
    let mut whole = true;
    for (member, answer) in join_all(asked).await {
        let Err(why) = answer else { continue };
        whole = false;
        let node = named(member, ["id", "name", "http_addr"]);
        report.warn(
            "reach",
            format!("clients are told of {node}, and nobody answers there from here: {why}"),
            "let connections to that client port pass, or correct advertise_http_addr of that node",
        );
    }
    if whole && !running.is_empty() {
        let of_nodes = answering.called(running.len());
        let what = match running.len() {
            1 => format!("the client port of {of_nodes} is reached from here"),
            _ => format!("the client ports of {of_nodes} are reached from here"),
        };
        report.ok("reach", what);
    }
}

/// Whether this program and the nodes are of one release.
fn versions(best: &Value, report: &mut Report) {
    let answering = Answering::of(best);
    let mut by_version: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for member in answering.members.iter().filter(|member| member["version"].is_string()) {
        by_version.entry(cell(member, "version")).or_default().push(called(member));
    }
    let others: Vec<String> = by_version
        .iter()
        .filter(|(version, _)| *version != OWN_VERSION)
        .map(|(version, nodes)| format!("{version} runs on node {}", nodes.join(", ")))
        .collect();
    if !others.is_empty() {
        report.warn(
            "versions",
            format!("this program is of release {OWN_VERSION}, and {}", others.join("; ")),
            "use the program of the nodes' release, or finish the upgrade: docs/runbooks/upgrade.md",
        );
    } else if !report.is_bad("versions") && !by_version.is_empty() {
        let nodes = match answering.are_all() {
            true => "all nodes".to_owned(),
            false => answering.called(answering.members.len()),
        };
        report.ok("versions", format!("{nodes} and this program are of release {OWN_VERSION}"));
    }
}

/// Says of the areas without a problem that they are fine.
fn good(best: &Value, report: &mut Report) {
    if best["has_quorum"] == true {
        let leader = called_by(best, "leader_id", "leader_name");
        report.ok("cluster", format!("node {leader} leads with a majority"));
    }
    let mut fine = Answering::of(best).are_fine();
    if best["webhooks"].as_u64() > Some(0) && best["webhooks_failing"] == 0 {
        fine.push(("webhooks", "no webhook fails".to_owned()));
    }
    for (area, what) in fine {
        if !report.is_bad(area) {
            report.ok(area, what);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status() -> Value {
        let sight = |node: u64, reached: bool| json!({"node": node, "node_name": format!("n{node}"), "reached": reached, "error": "no_connection"});
        let member = |id: u64, sights: Value| json!({"id": id, "name": format!("n{id}"), "reported_by": id, "reaches": sights, "version": OWN_VERSION});
        json!({
            "cluster_id": "c", "node_id": 1, "node_name": "n1", "leader_id": 1, "leader_name": "n1",
            "has_quorum": true,
            "members": [
                member(1, json!([sight(2, true)])),
                member(2, json!([sight(1, true)])),
            ],
            "problems": [],
        })
    }

    fn failed(view: Value) -> (usize, Report) {
        let mut report = Report::default();
        problems(&[&view], &mut report);
        peers(&view, &mut report);
        versions(&view, &mut report);
        good(&view, &mut report);
        (report.failed(), report)
    }

    #[test]
    fn a_sound_cluster_has_nothing_bad() {
        let (count, report) = failed(status());
        assert_eq!(count, 0, "{report:?}");
        for area in ["peers", "versions", "settings", "clock", "names", "disk", "cluster"] {
            assert!(!report.is_bad(area), "{report:?}");
        }
    }

    #[test]
    fn one_node_is_not_spoken_of_as_several() {
        let mut alone = status();
        alone["members"] = json!([alone["members"][0]]);
        alone["members"][0]["reaches"] = json!([]);
        let (count, report) = failed(alone);
        let shown = format!("{report:?}");
        assert!(count == 0 && shown.contains("the cluster has one node, and so none that it must reach"));
        assert!(shown.contains("the disk of the node has room") && !shown.contains("1 nodes"), "{shown}");
    }

    #[test]
    fn nothing_is_said_of_a_node_that_does_not_answer() {
        let mut one_away = status();
        let away = json!({"id": 3, "name": "n3", "reported_by": null, "reaches": null, "version": "0.0.1"});
        one_away["members"].as_array_mut().unwrap().push(away);
        let (count, report) = failed(one_away);
        let shown = format!("{report:?}");
        assert_eq!(count, 0, "{shown}");
        for told in [
            "the 2 nodes that answer reach each other",
            "the clocks of the 2 nodes that answer agree",
            "the disks of the 2 nodes that answer have room",
            "no setting that the 2 nodes that answer share differs among them",
            "the 2 nodes that answer and this program are of release",
            "each of 3 nodes has a name of its own",
        ] {
            assert!(shown.contains(told), "{told}: {shown}");
        }
    }

    #[test]
    fn webhooks_are_vouched_for_only_if_the_node_can_tell() {
        let told = |failing: Value| {
            let mut with = status();
            with["webhooks"] = json!(4);
            with["webhooks_failing"] = failing;
            format!("{:?}", failed(with).1).contains("no webhook fails")
        };
        assert!(told(json!(0)) && !told(json!(4)) && !told(Value::Null));
    }

    #[test]
    fn each_direction_and_each_problem_counts() {
        let mut blocked = status();
        blocked["members"][0]["reaches"][0]["reached"] = json!(false);
        let (count, report) = failed(blocked);
        assert!(count == 1 && report.is_bad("peers"), "{report:?}");
        let mut older = status();
        older["members"][1]["version"] = json!("0.0.1");
        let (count, report) = failed(older);
        assert!(count == 0 && report.is_bad("versions"), "{report:?}");
        for (code, severity, fails, area) in [
            ("no_majority", "critical", 1, "cluster"),
            ("unreachable", "warning", 1, "peers"),
            ("settings_differ", "warning", 0, "settings"),
            ("same_name", "info", 0, "names"),
            ("webhooks_failing", "info", 0, "webhooks"),
            ("webhooks_losing", "warning", 0, "webhooks"),
            ("clocks_apart", "warning", 0, "clock"),
        ] {
            let mut with = status();
            with["problems"] =
                json!([{"code": code, "severity": severity, "node": 2, "what": "w", "do": "d"}]);
            let (count, report) = failed(with);
            assert!(count == fails && report.is_bad(area), "{code}: {report:?}");
        }
        let mut alone = status();
        alone["problems"] =
            json!([{"code": "single_node", "severity": "info", "node": null, "what": "w", "do": "d"}]);
        let (count, report) = failed(alone);
        assert!(count == 0 && !report.is_bad("cluster"), "{report:?}");
    }

    #[test]
    fn a_refused_token_is_told_from_a_node_that_is_not_reached() {
        let mut report = Report::default();
        let refused = ClientError::Refused {
            status: 401,
            code: "unauthorized".into(),
            message: "a valid token is needed".into(),
            hint: None,
            index: None,
            stored: None,
            retry_after: None,
        };
        answered("http://a", &Err(refused), &mut report);
        assert!(report.is_bad("token") && !report.is_bad("reach"));
        let away = ClientError::Unreachable { url: "http://b".into(), reason: "x".into(), unsent: true };
        answered("http://b", &Err(away), &mut report);
        assert!(report.is_bad("reach") && report.failed() == 2);
    }

    #[test]
    fn a_node_that_runs_and_does_not_serve_is_not_to_be_started() {
        let waits = || ClientError::Refused {
            status: 503,
            code: "unavailable".into(),
            message: "this node does not serve yet: it has another key".into(),
            hint: None,
            index: None,
            stored: None,
            retry_after: None,
        };
        let told = |mut report: Report| {
            answered("http://a", &Err(waits()), &mut report);
            let told = format!("{report:?}");
            assert!(told.contains("http://a: this node does not serve yet: it has another key"), "{told}");
            assert!(told.contains("that node runs: ") && !told.contains("start that node, let"), "{told}");
            told
        };
        assert!(told(Report::default()).contains("docs/runbooks/certificates.md"));
        let mut report = Report::default();
        report.fail("admission", "another key", "take the key of a member");
        assert!(told(report).contains("correct what `admission` says"));
    }
}
