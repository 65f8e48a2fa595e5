//! Certificates of this node that end, and open files of any node that run short: what peers and clients meet at
//! the ports.

use super::{Port, Problem, problem};
use crate::core::text::counted;
use crate::hub::NodeInfo;
use waypost_cluster::{MemberStatus, Status, certificate_days_left};

/// A problem with the certificate that this node shows its peers. `now` is in seconds.
pub(super) fn of_peer_port(status: &Status, now: u64) -> Option<Problem> {
    let what = status.certificate_problem(now)?;
    let ended = status.peer_certificate_until.is_some_and(|until| until < now);
    let hint =
        "replace its files (`waypost cluster certs` makes them): they are read again without a restart";
    let found = problem("certificate_ends", if ended { "critical" } else { "warning" }, what, hint);
    Some(Problem { node: Some(status.node_id), ..found })
}

/// Problems that clients of this node meet now or will meet. `now` is in seconds.
pub(super) fn of_client_port(status: &Status, port: &Port, now: u64) -> Vec<Problem> {
    let id = status.node_id;
    let node = status.called(id);
    let mut found = Vec::new();
    if let Some(left) = port.certificate_until.and_then(|until| certificate_days_left(until, now)) {
        let (severity, what) = match left {
            Some(days) => {
                let days = counted(days, "day", "days");
                ("warning", format!("the certificate that node {node} shows clients ends in {days}"))
            }
            None => (
                "critical",
                format!("the certificate that node {node} shows clients has ended: they refuse it"),
            ),
        };
        let hint = "replace its files (http.tls_cert, http.tls_key): they are read again without a restart";
        found.push(problem("certificate_ends", severity, what, hint));
    }
    found.into_iter().map(|found| Problem { node: Some(id), ..found }).collect()
}

/// The clients of a member lack something because it may open too few files.
pub(super) fn few_files(member: &MemberStatus, info: &NodeInfo) -> Option<Problem> {
    let what = format!("node {}: {}", member.called(), info.short_of_files.as_ref()?);
    let hint = "raise it (LimitNOFILE= of systemd, ulimit -n) and restart the node, or lower limits.sockets";
    Some(problem("few_open_files", "warning", what, hint))
}
