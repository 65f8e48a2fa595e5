//! What makes this node useless to the cluster.

use super::{Problem, problem};
use waypost_cluster::Status;

/// Problems of the node that answers the request.
pub(super) fn problems(status: &Status) -> Vec<Problem> {
    let mut found = Vec::new();
    let id = status.called(status.node_id);
    if let Some(original) = &status.original {
        let what = format!(
            "this process runs on a copy of the data directory of node {id}, which answers at {original}: the cluster goes on without this process"
        );
        let hint =
            "stop it; with an empty data directory it joins under a new id, docs/runbooks/two-processes.md";
        found.push(problem("id_claimed_twice", "critical", what, hint));
    } else if status.removed {
        let what = format!("node {id} was removed from the cluster, which goes on without it");
        found.push(problem(
            "removed",
            "critical",
            what,
            "stop it, empty its data directory, and start it with WAYPOST_JOIN: it joins under a new id, docs/runbooks/lost-node.md",
        ));
    }
    if let Some(failure) = &status.failure {
        let what = format!("node {id} failed: {failure}");
        found.push(problem("node_failed", "critical", what, "see its log, then start it again"));
    }
    if status.is_astray() {
        let what = format!(
            "node {id} began a cluster of its own, and another cluster has it as a member: what is stored here is not stored there"
        );
        let hint = "stop it, empty its data directory, and start it with WAYPOST_JOIN (the peer addresses of the others): it joins the others under a new id";
        found.push(problem("wrong_cluster", "critical", what, hint));
    }
    found
}
