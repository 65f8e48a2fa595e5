//! Finds what is wrong with the cluster, how bad that is, and what to do about it.
//!
//! This module only draws conclusions: its functions are pure and work on what the nodes reported.

use crate::core::ids::{NodeId, WebhookId};
use crate::core::state::backlog::Losing;
use crate::core::time::iso_millis;
use crate::hub::{NodeInfo, Seen};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use waypost_cluster::{Claim, ClockState, MemberStatus, Status, certificate_days_left};

/// A member that is more entries behind than this counts as lagging.
const LAG: u64 = 10_000;
/// Clocks that are further apart than this are reported (milliseconds).
const CLOCKS_MS: u64 = 2_000;
/// Event ids that are further ahead of the time than this are reported (milliseconds).
const IDS_AHEAD_MS: u64 = 60_000;
/// A drain that lasts longer than this counts as forgotten (milliseconds).
const FORGOTTEN_MS: u64 = 3_600_000;
/// A member that lacks entries and has applied none for this long is reported.
const STUCK: Duration = Duration::from_secs(15);
const GIB: u64 = 1 << 30;

/// What is known of a member.
pub(super) struct Known<'a> {
    pub(super) member: &'a MemberStatus,
    /// What the member reported just now. `None` if it did not answer.
    pub(super) info: Option<&'a NodeInfo>,
    /// When this node last heard of the member and what its clock said then, which may be long ago.
    pub(super) seen: Option<&'a Seen>,
    /// How long the member has lacked entries without applying any.
    pub(super) still: Duration,
}

/// What the node that answers the request knows of its client port.
#[derive(Default)]
pub(super) struct Port {
    /// When its certificate ends (seconds since 1970).
    pub(super) certificate_until: Option<u64>,
    /// What clients lack because too few files may be open.
    pub(super) short_of_files: Option<String>,
}

/// What the node that answers the request knows of the replicated state.
pub(super) struct State<'a> {
    /// Whether publishing is possible: there is room on the disks.
    pub(super) has_room: bool,
    /// Webhooks that lose events.
    pub(super) losing: &'a [(WebhookId, Losing)],
}

/// One problem.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: &'static str,
    /// `critical`: clients are affected now. `warning`: they will be. `info`: good to know.
    pub(super) severity: &'static str,
    pub(super) node: Option<u64>,
    pub(super) what: String,
    pub(super) hint: String,
}

impl Problem {
    pub(super) fn json(&self) -> Value {
        json!({
            "code": self.code, "severity": self.severity, "node": self.node, "what": self.what, "do": self.hint,
        })
    }
}

fn problem(
    code: &'static str,
    severity: &'static str,
    what: impl Into<String>,
    hint: impl Into<String>,
) -> Problem {
    Problem { code, severity, node: None, what: what.into(), hint: hint.into() }
}

/// All problems, the worst first. `now_ms` is this node's clock. Certificates end by it.
pub(super) fn problems(
    status: &Status,
    known: &[Known<'_>],
    port: &Port,
    now_ms: u64,
    state: &State<'_>,
) -> Vec<Problem> {
    let mut found = of_own_node(status);
    found.extend(of_service(status, known, state.has_room));
    found.extend(of_voters(known));
    found.extend(of_releases(known));
    found.extend(of_webhooks(status, state.losing));
    found.extend(of_claims(known));
    found.extend(of_time(status, known));
    let right = middle(status, known);
    found.extend(of_certificate(status, now_ms / 1000));
    found.extend(of_port(status, port, now_ms / 1000));
    for known in known {
        let of_member = of_member(status, known, right);
        found.extend(of_member.into_iter().map(|p| Problem { node: Some(known.member.id), ..p }));
    }
    let weight = |p: &Problem| ["critical", "warning", "info"].iter().position(|s| *s == p.severity);
    found.sort_by_key(weight);
    found
}

/// Webhooks that lose events, in one problem.
fn of_webhooks(status: &Status, losing: &[(WebhookId, Losing)]) -> Option<Problem> {
    let (first, since_ms) =
        losing.iter().map(|(id, losing)| (id, losing.since_ms)).min_by_key(|(_, since)| *since)?;
    let events: u64 = losing.iter().map(|(_, losing)| losing.events).sum();
    let ago_ms = status.clock.expiry_ms.saturating_sub(since_ms);
    let (count, since) = (losing.len(), iso_millis(status.clock.time_ms.saturating_sub(ago_ms)));
    let what = format!(
        "{count} webhooks have lost {events} events, the first since {since} ({first}): they are further behind than \
         retention waits for them"
    );
    let hint = "repair the receiver, or pause the webhook; to keep more meanwhile, raise the map's \
                retention.webhook_backlog (waypost map update --backlog-bytes, --backlog-seconds)";
    Some(problem("webhooks_losing", "warning", what, hint))
}

/// A problem with the certificate that this node shows its peers. `now` is in seconds.
fn of_certificate(status: &Status, now: u64) -> Option<Problem> {
    let what = status.certificate_problem(now)?;
    let ended = status.peer_certificate_until.is_some_and(|until| until < now);
    let hint =
        "replace its files (`waypost cluster certs` makes them): they are read again without a restart";
    let found = problem("certificate_ends", if ended { "critical" } else { "warning" }, what, hint);
    Some(Problem { node: Some(status.node_id), ..found })
}

/// Problems that clients of this node meet now or will meet. `now` is in seconds.
fn of_port(status: &Status, port: &Port, now: u64) -> Vec<Problem> {
    let id = status.node_id;
    let mut found = Vec::new();
    if let Some(left) = port.certificate_until.and_then(|until| certificate_days_left(until, now)) {
        let (severity, what) = match left {
            Some(days) => {
                ("warning", format!("the certificate that node {id} shows clients ends in {days} days"))
            }
            None => (
                "critical",
                format!("the certificate that node {id} shows clients has ended: they refuse it"),
            ),
        };
        let hint = "replace its files (http.tls_cert, http.tls_key): they are read again without a restart";
        found.push(problem("certificate_ends", severity, what, hint));
    }
    if let Some(what) = &port.short_of_files {
        let hint =
            "raise it (LimitNOFILE= of systemd, ulimit -n) and restart the node, or lower limits.sockets";
        found.push(problem("few_open_files", "warning", format!("node {id}: {what}"), hint));
    }
    found.into_iter().map(|found| Problem { node: Some(id), ..found }).collect()
}

/// Problems that make this node useless to the cluster.
fn of_own_node(status: &Status) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(original) = &status.original {
        let id = status.node_id;
        let what = format!(
            "this process runs on a copy of the data directory of node {id}, which answers at {original}: the cluster goes on without this process"
        );
        let hint = "stop it; with an empty data directory it joins under a new id";
        found.push(problem("id_claimed_twice", "critical", what, hint));
    } else if status.removed {
        let what = format!("node {} was removed from the cluster, which goes on without it", status.node_id);
        found.push(problem(
            "removed",
            "critical",
            what,
            "stop it; with an empty data directory and --join it joins under a new id",
        ));
    }
    if let Some(failure) = &status.failure {
        let what = format!("node {} failed: {failure}", status.node_id);
        found.push(problem("node_failed", "critical", what, "see its log, then start it again"));
    }
    if status.is_astray() {
        let what = format!(
            "node {} began a cluster of its own, and another cluster has it as a member: what is stored here is not stored there",
            status.node_id
        );
        let hint = "stop it, empty its data directory, and start it with WAYPOST_JOIN (the peer addresses of the others): it joins the others under a new id";
        found.push(problem("wrong_cluster", "critical", what, hint));
    }
    found
}

/// Problems that stop the cluster from serving clients.
fn of_service(status: &Status, known: &[Known<'_>], has_room: bool) -> Vec<Problem> {
    let mut found = Vec::new();
    if !status.has_quorum {
        let voters = known.iter().filter(|known| known.member.voter);
        let (there, all) = (voters.clone().filter(|known| known.info.is_some()).count(), voters.count());
        let what =
            format!("no leader with a majority: {there} of {all} voters answer; publishing answers 503");
        let hint = "start the voters that do not answer, or repair the network between the nodes; reading goes on meanwhile";
        found.push(problem("no_majority", "critical", what, hint));
    }
    let mut answering = known.iter().filter(|known| known.info.is_some()).peekable();
    if let Some(first) = answering.peek().map(|known| known.member.id)
        && answering.all(|known| known.member.drained_ms.is_some())
    {
        let what = "no node serves clients: all nodes that answer are drained";
        found.push(problem(
            "none_serves",
            "critical",
            what,
            format!("undrain one: waypost cluster undrain {first}"),
        ));
    }
    if !has_room {
        let what =
            "too little room on the disk of the leader or of a majority: publishing answers 503 disk_full";
        found.push(problem(
            "disk_full",
            "critical",
            what,
            "make room there, or shorten the maps' retention; it ends by itself",
        ));
    }
    found
}

/// Ids that two processes claim, as far as any node noticed.
fn of_claims(known: &[Known<'_>]) -> Vec<Problem> {
    let claims = known.iter().filter_map(|known| known.info).flat_map(|info| &info.claims);
    let by_id: BTreeMap<NodeId, &Claim> = claims.map(|claim| (claim.id, claim)).collect();
    let told = |claim: &Claim| {
        let Claim { id, known, other } = claim;
        let what = format!(
            "two processes claim id {id}: the cluster knows the one at {known}, another is at {other}"
        );
        let hint = format!(
            "a data directory was copied: stop the process that should not run (at {other}, unless the node was moved there), and start it only with an empty data directory"
        );
        Problem { node: Some(*id), ..problem("id_claimed_twice", "critical", what, hint) }
    };
    by_id.into_values().map(told).collect()
}

/// A number of voters that is worse than another.
fn of_voters(known: &[Known<'_>]) -> Option<Problem> {
    match known.iter().filter(|known| known.member.voter).count() {
        0 => None,
        1 if known.len() == 1 => Some(problem(
            "single_node",
            "info",
            "the cluster has one node: if it is down, everything is down, and its disk has the only copy",
            "start two more with --join",
        )),
        1 => Some(problem(
            "single_voter",
            "warning",
            "only one node votes: if it is down, the cluster is down",
            "promote two learners",
        )),
        n if n % 2 == 0 => Some(problem(
            "even_voters",
            "info",
            format!("{n} voters survive the loss of no more nodes than {} would", n - 1),
            "add a voter, or demote one",
        )),
        _ => None,
    }
}

fn of_releases(known: &[Known<'_>]) -> Option<Problem> {
    let mut versions: Vec<&str> =
        known.iter().filter_map(|known| known.info).map(|info| info.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() < 2 {
        return None;
    }
    let what = format!("the nodes run different releases: {}", versions.join(", "));
    let hint = "finish the upgrade: restart the others with the newest, one after another";
    Some(problem("versions_differ", "info", what, hint))
}

/// Problems of one member. `right_ms` is a right clock minus this node's, as far as the reports of the others
/// show.
fn of_member(status: &Status, known: &Known<'_>, right_ms: i64) -> Vec<Problem> {
    let now_ms = status.clock.time_ms;
    let (member, id) = (known.member, known.member.id);
    let mut found = Vec::new();
    if let Some(since) = member.drained_ms {
        let long = now_ms.saturating_sub(since) > FORGOTTEN_MS;
        let (code, severity) = if long { ("drain_forgotten", "warning") } else { ("drained", "info") };
        let what =
            format!("node {id} is drained since {}: it serves no clients", ago(now_ms.saturating_sub(since)));
        found.push(problem(
            code,
            severity,
            what,
            format!("waypost cluster undrain {id}, when the work on it is done"),
        ));
    }
    let Some(info) = known.info else {
        found.push(unreachable(status, known));
        return found;
    };
    let lag = status.committed.max(status.applied).saturating_sub(info.applied_index);
    if lag > LAG {
        let what = format!("node {id} is {lag} log entries behind");
        found.push(problem(
            "lag",
            "warning",
            what,
            "it catches up by itself; if it does not, see the load on its disk and CPU",
        ));
    }
    if lag > 0 && known.still >= STUCK {
        let what = format!(
            "node {id} is {lag} log entries behind and has applied none for {} s",
            known.still.as_secs()
        );
        let hint = "while it is being sent a snapshot (its log says so) wait; else stop it, move its data directory away, and start it with an empty one and WAYPOST_JOIN: this is needed if an older copy of the directory was put back";
        found.push(problem("stuck", "critical", what, hint));
    }
    if info.damaged > 0 {
        let what = format!("node {id} set damaged files aside and rebuilt itself from the others");
        let hint = "check its disk; when nobody needs them any more, delete the folders damaged-* in its data directory";
        found.push(problem("was_damaged", "warning", what, hint));
    }
    found.extend(disk_low(id, info));
    let apart = if id == status.node_id { 0 } else { known.seen.map_or(0, |seen| seen.clock_ms) } - right_ms;
    if apart.unsigned_abs() > CLOCKS_MS {
        let what = format!("the clock of node {id} is {apart} ms off what the other nodes' say");
        let hint = "let NTP set it; meanwhile another node leads, if one can: docs/runbooks/clock.md";
        found.push(problem("clocks_apart", "warning", what, hint));
    }
    found
}

/// The disk of a member has little space left.
fn disk_low(id: NodeId, info: &NodeInfo) -> Option<Problem> {
    let low = info.disk_total > 0 && (info.disk_free < info.disk_total / 10 || info.disk_free < GIB);
    if !info.disk_full && !low {
        return None;
    }
    let mib = info.disk_free >> 20;
    let severity = if info.disk_full { "critical" } else { "warning" };
    let what = format!("node {id} has {mib} MiB of disk left");
    let hint = "make room on the disk of its data directory, or shorten the maps' retention";
    Some(problem("disk_low", severity, what, hint))
}

/// A member that does not answer.
fn unreachable(status: &Status, known: &Known<'_>) -> Problem {
    let id = known.member.id;
    let since = known.seen.map_or("since this node started".to_owned(), |seen| {
        format!("since {}", ago(u64::try_from(seen.age.as_millis()).unwrap_or(u64::MAX)))
    });
    let what = format!("node {id} at {} does not answer {since}", known.member.peer_addr);
    // Without a majority nothing can be removed.
    let hint = if status.has_quorum {
        format!("start it; if it will not come back: waypost cluster remove {id}")
    } else {
        "start it, and keep its data: without a majority no node can be removed".to_owned()
    };
    problem("unreachable", "warning", what, hint)
}

/// A right clock minus this node's clock (milliseconds). The median of all reported clocks counts as right.
/// With only two clocks nobody knows which is right, so this node's counts as right.
fn middle(status: &Status, known: &[Known<'_>]) -> i64 {
    let others = known.iter().filter(|known| known.info.is_some() && known.member.id != status.node_id);
    let mut clocks: Vec<i64> =
        others.filter_map(|known| known.seen).map(|seen| seen.clock_ms).chain([0]).collect();
    clocks.sort_unstable();
    if clocks.len() < 3 { 0 } else { clocks[(clocks.len() - 1) / 2] }
}

/// Problems with the cluster's time, as the leader reports them.
fn of_time(status: &Status, known: &[Known<'_>]) -> Vec<Problem> {
    let leads = known.iter().find(|known| Some(known.member.id) == status.leader);
    let Some((leader, info)) = leads.and_then(|known| Some((known.member.id, known.info?))) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    match info.clocks {
        ClockState::Disagree => found.push(problem(
            "clocks_disagree",
            "warning",
            "no majority of the voters agrees on the time: it runs on unchecked, and nothing is lost",
            "let NTP set the clocks of all nodes, and start those that are down: docs/runbooks/clock.md",
        )),
        ClockState::Jumped(ms) => {
            let what =
                format!("the clock of node {leader} jumped by {} while it ran, and it alone votes", span(ms));
            let hint = "set it by NTP; if it is right as it is, restart the node: docs/runbooks/clock.md";
            found.push(problem("clock_jumped", "warning", what, hint));
        }
        ClockState::Wrong(_) | ClockState::Good | ClockState::Unknown => {}
    }
    if let Some(ms) = info.held_ms {
        let what = format!(
            "by the clocks {} passed before node {leader} led, which no majority confirms: everything expires later by that time",
            span(ms)
        );
        let hint = "make sure that the clock is right; nothing else has to be done: docs/runbooks/clock.md";
        found.push(problem("expiry_held", "warning", what, hint));
    }
    if info.ids_ahead_ms > IDS_AHEAD_MS {
        let ahead = span(i64::try_from(info.ids_ahead_ms).unwrap_or(i64::MAX));
        let what =
            format!("a clock was ahead: event ids stay {ahead} ahead of the time until it reaches them");
        let hint = "nothing has to be done: ids only order events, and their times are right: docs/runbooks/clock.md";
        found.push(problem("ids_ahead", "info", what, hint));
    }
    found
}

/// A span of time with its sign.
fn span(ms: i64) -> String {
    format!("{}{}", if ms < 0 { "-" } else { "" }, ago(ms.unsigned_abs()))
}

/// A span of time for people to read.
fn ago(ms: u64) -> String {
    match ms / 1000 {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s => format!("{} h", s / 3600),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use waypost_cluster::ClockStatus;

    fn member(id: u64, voter: bool) -> MemberStatus {
        MemberStatus { id, voter, peer_addr: format!("10.0.0.{id}:4001"), ..MemberStatus::default() }
    }

    fn good() -> NodeInfo {
        NodeInfo { disk_total: 100 * GIB, disk_free: 50 * GIB, version: "1".into(), ..NodeInfo::default() }
    }

    fn codes(
        status: &Status,
        infos: &[Option<NodeInfo>],
        seen: Option<&Seen>,
        room: bool,
    ) -> Vec<&'static str> {
        let known: Vec<Known<'_>> = status
            .members
            .iter()
            .zip(infos)
            .map(|(member, info)| Known { member, info: info.as_ref(), seen, still: Duration::ZERO })
            .collect();
        let state = State { has_room: room, losing: &[] };
        problems(status, &known, &Port::default(), 10_000_000, &state).into_iter().map(|p| p.code).collect()
    }

    fn three() -> Status {
        let members = (1..=3).map(|id| member(id, true)).collect();
        Status { node_id: 1, leader: Some(1), has_quorum: true, members, ..Status::default() }
    }

    #[test]
    fn a_sound_cluster_has_none() {
        assert!(codes(&three(), &[Some(good()), Some(good()), Some(good())], None, true).is_empty());
    }

    #[test]
    fn webhooks_that_lose_events_are_one_problem() {
        let webhook = |n: u8, since_ms| {
            (
                WebhookId::from_bytes([n; 16]),
                Losing { since_ms, last_ms: since_ms, events: 5, announced: true },
            )
        };
        let losing = [webhook(1, 2_000), webhook(2, 1_000)];
        let state = State { has_room: true, losing: &losing };
        // The webhook's times are by the expiry clock, which differs from the cluster's time.
        let clock = ClockStatus { time_ms: 5_000, expiry_ms: 3_000, ..ClockStatus::default() };
        let status = Status { clock, ..three() };
        let found = problems(&status, &[], &Port::default(), 10_000, &state);
        let told = found.iter().find(|p| p.code == "webhooks_losing").unwrap();
        assert!(
            told.what.starts_with("2 webhooks have lost 10 events, the first since 1970-01-01T00:00:03"),
            "{told:?}"
        );
        assert!(told.what.contains("02020202"), "{told:?}");
    }

    #[test]
    fn each_problem_is_found() {
        let all = || vec![Some(good()), Some(good()), Some(good())];
        let with = |change: fn(&mut NodeInfo)| {
            let mut infos = all();
            change(infos[2].as_mut().unwrap());
            codes(&three(), &infos, None, true)
        };
        assert_eq!(with(|i| i.version = "2".into()), ["versions_differ"]);
        assert_eq!(with(|i| i.damaged = 1), ["was_damaged"]);
        let claim = || Claim { id: 2, known: "10.0.0.2:4001".into(), other: "10.0.0.9:4001".into() };
        let mut infos = all();
        for info in infos.iter_mut().flatten().take(2) {
            info.claims.push(claim());
        }
        assert_eq!(codes(&three(), &infos, None, true), ["id_claimed_twice"], "one problem for each id");
        let copy = Status { removed: true, original: Some("10.0.0.1:4001".into()), ..three() };
        assert_eq!(codes(&copy, &all(), None, true), ["id_claimed_twice"]);
        assert_eq!(with(|i| i.disk_free = 9 * GIB), ["disk_low"]);
        assert_eq!(codes(&three(), &all(), None, false), ["disk_full"]);
        let ends = Status { peer_certificate_until: Some(10_000 + 86_400), ..three() };
        assert_eq!(codes(&ends, &all(), None, true), ["certificate_ends"]);
        let mut infos = all();
        infos[1] = None;
        assert_eq!(codes(&three(), &infos, None, true), ["unreachable"]);
        let status = Status { has_quorum: false, ..three() };
        assert_eq!(codes(&status, &infos, None, true), ["no_majority", "unreachable"]);
        let status = Status { removed: true, failure: Some("x".into()), ..three() };
        assert_eq!(codes(&status, &all(), None, true), ["removed", "node_failed"]);
        let status = Status { committed: LAG + 1, applied: LAG + 1, ..three() };
        assert_eq!(codes(&status, &all(), None, true), ["lag", "lag", "lag"]);
        let seen = Seen { info: good(), age: Duration::ZERO, clock_ms: -600_000 };
        assert_eq!(
            codes(&three(), &all(), Some(&seen), true),
            ["clocks_apart"],
            "the node that is asked is off"
        );
        let mut status = three();
        status.clock.time_ms = 10_000_000;
        status.members[0].drained_ms = Some(9_999_000);
        status.members[1].drained_ms = Some(1);
        assert_eq!(codes(&status, &all(), None, true), ["drain_forgotten", "drained"]);
        status.members[2].drained_ms = Some(9_999_000);
        assert_eq!(codes(&status, &all(), None, true)[0], "none_serves");
        infos = all();
        infos[2] = None;
        status.members[2].drained_ms = None;
        assert_eq!(codes(&status, &infos, None, true)[0], "none_serves", "the only undrained node is down");
        let astray = Status { members: vec![member(1, true)], foreign_ms: Some(100), ..three() };
        assert_eq!(codes(&astray, &[Some(good())], None, true), ["wrong_cluster", "single_node"]);
    }

    #[test]
    fn a_member_that_lacks_entries_and_stands_still_is_stuck() {
        let (status, info) = (Status { applied: 5, committed: 5, ..three() }, good());
        let codes = |still: u64, applied_index| {
            let info = NodeInfo { applied_index, ..info.clone() };
            let still = Duration::from_secs(still);
            let known = Known { member: &status.members[2], info: Some(&info), seen: None, still };
            of_member(&status, &known, 0).into_iter().map(|p| p.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(16, 4), ["stuck"]);
        assert_eq!(codes(14, 4), [""; 0], "not for long");
        assert_eq!(codes(16, 5), [""; 0], "it lacks nothing");
    }

    #[test]
    fn one_wrong_clock_is_found_from_every_node() {
        let (status, info) = (three(), good());
        let found = |clocks: [i64; 2]| -> Vec<Option<u64>> {
            let seen = clocks.map(|clock_ms| Seen { info: good(), age: Duration::ZERO, clock_ms });
            let of = |n: usize| Known {
                member: &status.members[n],
                info: Some(&info),
                seen: n.checked_sub(1).map(|n| &seen[n]),
                still: Duration::ZERO,
            };
            let known = [of(0), of(1), of(2)];
            problems(&status, &known, &Port::default(), 10_000_000, &State { has_room: true, losing: &[] })
                .iter()
                .map(|p| p.node)
                .collect()
        };
        assert_eq!(found([0, 30]), []);
        assert_eq!(found([700_000, 0]), [Some(2)]);
        assert_eq!(found([-700_000, -700_100]), [Some(1)], "its own");
    }

    #[test]
    fn the_leaders_reports_about_the_time_become_problems() {
        let mut infos = vec![Some(good()), Some(good()), Some(good())];
        let mut codes = |clocks, held_ms, ids_ahead_ms| {
            infos[0] = Some(NodeInfo { clocks, held_ms, ids_ahead_ms, ..good() });
            codes(&three(), &infos, None, true)
        };
        assert_eq!(codes(ClockState::Good, None, 59_000), [""; 0]);
        assert_eq!(codes(ClockState::Disagree, None, 0), ["clocks_disagree"]);
        assert_eq!(codes(ClockState::Jumped(-90_000), Some(90_000), 0), ["clock_jumped", "expiry_held"]);
        assert_eq!(codes(ClockState::Good, None, 61_000), ["ids_ahead"]);
    }

    #[test]
    fn the_client_port_is_checked() {
        let codes = |port: &Port| -> Vec<(&str, &str)> {
            of_port(&three(), port, 10_000).into_iter().map(|p| (p.code, p.severity)).collect()
        };
        let ends = |until| Port { certificate_until: Some(until), ..Port::default() };
        assert_eq!(codes(&ends(10_000 + 31 * 86_400)), []);
        assert_eq!(codes(&ends(10_000 + 86_400)), [("certificate_ends", "warning")]);
        assert_eq!(codes(&ends(9_999)), [("certificate_ends", "critical")]);
        let few = Port { short_of_files: Some("few".into()), ..Port::default() };
        assert_eq!(codes(&few), [("few_open_files", "warning")]);
    }

    #[test]
    fn voters_are_counted() {
        let status = |voters: &[bool]| {
            let members = voters.iter().zip(1..).map(|(voter, id)| member(id, *voter)).collect();
            Status { members, ..three() }
        };
        let infos = vec![Some(good()), Some(good()), Some(good()), Some(good())];
        assert_eq!(codes(&status(&[true]), &infos, None, true), ["single_node"]);
        assert_eq!(codes(&status(&[true, false]), &infos, None, true), ["single_voter"]);
        assert_eq!(codes(&status(&[true, true, false]), &infos, None, true), ["even_voters"]);
        assert_eq!(codes(&status(&[true, true, true, false]), &infos, None, true), [""; 0]);
    }
}
