//! Each problem is found, and a sound cluster has none.
#![allow(clippy::unwrap_used)]

mod reach;

use super::*;
use waypost_cluster::{Claim, ClockState, ClockStatus};

const GIB: u64 = 1 << 30;

fn member(id: u64, voter: bool) -> MemberStatus {
    MemberStatus { id, voter, peer_addr: format!("10.0.0.{id}:4001"), ..MemberStatus::default() }
}

fn good() -> NodeInfo {
    let disk_total = 100 * GIB;
    let disk_free = 50 * GIB;
    NodeInfo { disk_total, disk_free, version: "1".into(), has_quorum: true, ..NodeInfo::default() }
}

/// A report that the member itself gave.
fn report(info: NodeInfo) -> Report {
    Report { info, via: None }
}

/// All problems, when the members reported this.
fn found(status: &Status, reports: &[Option<Report>], seen: Option<&Seen>, room: bool) -> Vec<Problem> {
    let known: Vec<Known<'_>> = status
        .members
        .iter()
        .zip(reports)
        .map(|(member, report)| Known { member, report: report.as_ref(), seen, still: Duration::ZERO })
        .collect();
    let state = State { has_room: room, losing: &[], failing: &Failing::default() };
    problems(status, &known, &Port::default(), 10_000_000, &state)
}

fn codes(status: &Status, infos: &[Option<NodeInfo>], seen: Option<&Seen>, room: bool) -> Vec<&'static str> {
    let reports: Vec<Option<Report>> = infos.iter().cloned().map(|info| info.map(report)).collect();
    found(status, &reports, seen, room).into_iter().map(|p| p.code).collect()
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
        (WebhookId::from_bytes([n; 16]), Losing { since_ms, last_ms: since_ms, events: 5, announced: true })
    };
    let losing = [webhook(1, 2_000), webhook(2, 1_000)];
    let state = State { has_room: true, losing: &losing, failing: &Failing::default() };
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
fn webhooks_that_fail_are_told_with_their_maps() {
    let told = |webhooks: u32, maps: &[&str]| {
        let failing = Failing { webhooks, maps: maps.iter().map(|map| (*map).to_owned()).collect() };
        let state = State { has_room: true, losing: &[], failing: &failing };
        let found = problems(&three(), &[], &Port::default(), 10_000, &state);
        found.into_iter().find(|p| p.code == "webhooks_failing").map(|p| (p.severity, p.what, p.hint))
    };
    assert_eq!(told(0, &[]), None);
    let (severity, what, hint) = told(1, &["game"]).unwrap();
    assert_eq!(
        (severity, &*what),
        ("info", "1 webhook fails, of the map game: events wait for the next attempt, or are given up")
    );
    assert!(hint.starts_with("`waypost webhook list game -o wide`"), "{hint}");
    let what = |webhooks, maps: &[&str]| told(webhooks, maps).unwrap().1;
    assert!(what(4, &["b", "a"]).starts_with("4 webhooks fail, of the maps a and b: "));
    assert!(what(9, &["a", "b", "c"]).starts_with("9 webhooks fail, of the maps a, b and c: "));
    assert!(
        what(9, &["a", "b", "c", "d", "e"]).starts_with("9 webhooks fail, of the maps a, b, c and 2 more: ")
    );
}

#[test]
fn one_is_not_told_as_several() {
    let told = |status: &Status, infos: [Option<NodeInfo>; 3], losing: &[(WebhookId, Losing)], code: &str| {
        let reports = infos.map(|info| info.map(report));
        let known: Vec<Known<'_>> = (status.members.iter().zip(&reports))
            .map(|(member, report)| {
                let still = Duration::from_secs(3600);
                Known { member, report: report.as_ref(), seen: None, still }
            })
            .collect();
        let state = State { has_room: true, losing, failing: &Failing::default() };
        let problems = problems(status, &known, &Port::default(), 10_000_000, &state);
        problems.into_iter().find(|problem| problem.code == code).unwrap().what
    };
    let all = || [Some(good()), Some(good()), Some(good())];
    let one = (
        WebhookId::from_bytes([1; 16]),
        Losing { since_ms: 1_000, last_ms: 1_000, events: 1, announced: true },
    );
    let what = told(&three(), all(), &[one], "webhooks_losing");
    assert!(what.starts_with("1 webhook has lost 1 event, the first since "), "{what}");
    assert!(what.ends_with("it is further behind than retention waits for it"), "{what}");
    let mut infos = all();
    infos[1] = Some(NodeInfo { audit_lost: 1, ..good() });
    let what = told(&three(), infos, &[], "audit_lost");
    assert_eq!(what, "node 2 could not write 1 line of its audit log");
    let status = Status { has_quorum: false, leader: None, ..three() };
    let what = told(&status, [Some(good()), None, None], &[], "no_majority");
    assert_eq!(what, "no leader with a majority: 1 of 3 voters answers; publishing answers 503");
    let status = Status { committed: 5, applied: 5, ..three() };
    let applied = |applied_index| Some(NodeInfo { applied_index, ..good() });
    let what = told(&status, [applied(5), applied(4), applied(5)], &[], "stuck");
    assert_eq!(what, "node 2 is 1 log entry behind and has applied none for 3600 s");
    let ends = Port { certificate_until: Some(10_000 + 86_400) };
    let of_port = problems(
        &three(),
        &[],
        &ends,
        10_000_000,
        &State { has_room: true, losing: &[], failing: &Failing::default() },
    );
    let ends = of_port.iter().find(|problem| problem.code == "certificate_ends").unwrap();
    assert_eq!(ends.what, "the certificate that node 1 shows clients ends in 1 day");
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
    // Nobody answers a process that is out of the cluster. Nothing is wrong with the others.
    let outside = |status: Status| Status { leader: None, has_quorum: false, removed: true, ..status };
    let alone = [Some(good()), None, None];
    assert_eq!(codes(&outside(copy), &alone, None, false), ["id_claimed_twice"]);
    assert_eq!(codes(&outside(three()), &alone, None, false), ["removed"]);
    assert_eq!(with(|i| i.disk_free = 9 * GIB), ["disk_low"]);
    assert_eq!(with(|i| i.disk_slow = true), ["disk_slow"]);
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
    let status = Status { committed: members::LAG + 1, applied: members::LAG + 1, ..three() };
    assert_eq!(codes(&status, &all(), None, true), ["lag", "lag", "lag"]);
    let seen = Seen { info: good(), age: Duration::ZERO, clock_ms: -600_000 };
    assert_eq!(codes(&three(), &all(), Some(&seen), true), ["clocks_apart"], "the node that is asked is off");
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
    let status = Status { applied: 5, committed: 5, ..three() };
    let of = |info: NodeInfo, still: u64, fetches| {
        let still = Duration::from_secs(still);
        let report = report(info);
        let known = Known { member: &status.members[2], report: Some(&report), seen: None, still };
        members::problems(&status, &known, Some(5), fetches).into_iter().map(|p| p.code).collect::<Vec<_>>()
    };
    let codes = |still, applied_index, fetches| of(NodeInfo { applied_index, ..good() }, still, fetches);
    assert_eq!(codes(16, 4, false), ["stuck"]);
    assert_eq!(codes(14, 4, false), [""; 0], "not for long");
    assert_eq!(codes(16, 5, false), [""; 0], "it lacks nothing");
    assert_eq!(codes(16, 4, true), [""; 0], "a snapshot is on its way");
    let full = NodeInfo { applied_index: 4, disk_full: true, ..good() };
    assert_eq!(of(full, 16, false), [""; 0], "its disk has no room for the entries");
}

#[test]
fn an_older_copy_of_the_data_is_not_called_damage() {
    let told = |info: NodeInfo| {
        let reports = [Some(report(info)), Some(report(good())), Some(report(good()))];
        let problems = found(&three(), &reports, None, true);
        let problem = problems.into_iter().find(|problem| problem.code == "was_damaged").unwrap();
        (problem.what, problem.hint)
    };
    let (what, hint) = told(NodeInfo { damaged: 1, ..good() });
    assert!(what.contains("damaged files") && hint.starts_with("check its disk"), "{what} {hint}");
    let (what, hint) = told(NodeInfo { damaged: 2, older: 1, ..good() });
    assert!(what.contains("older than what it had acknowledged") && !hint.contains("disk"), "{what} {hint}");
    let (what, _) = told(NodeInfo { damaged: 3, older: 1, ..good() });
    assert!(what.contains("damaged files"), "there is damage too: {what}");
}

#[test]
fn a_member_that_cannot_catch_up_is_named_whoever_leads() {
    let leader = NodeInfo { catching_up: vec![2, 3], given_up: vec![3], ..good() };
    let reports = [Some(report(good())), Some(report(leader)), Some(report(good()))];
    let found = found(&three(), &reports, None, true);
    let told: Vec<_> = found.iter().map(|p| (p.code, p.severity, p.node)).collect();
    assert_eq!(told, [("cannot_catch_up", "warning", Some(3))]);
}

#[test]
fn one_wrong_clock_is_found_from_every_node() {
    let status = three();
    let report = report(good());
    let found = |clocks: [i64; 2]| -> Vec<Option<u64>> {
        let seen = clocks.map(|clock_ms| Seen { info: good(), age: Duration::ZERO, clock_ms });
        let of = |n: usize| Known {
            member: &status.members[n],
            report: Some(&report),
            seen: n.checked_sub(1).map(|n| &seen[n]),
            still: Duration::ZERO,
        };
        let known = [of(0), of(1), of(2)];
        problems(
            &status,
            &known,
            &Port::default(),
            10_000_000,
            &State { has_room: true, losing: &[], failing: &Failing::default() },
        )
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
        ports::of_client_port(&three(), port, 10_000).into_iter().map(|p| (p.code, p.severity)).collect()
    };
    let ends = |until| Port { certificate_until: Some(until) };
    assert_eq!(codes(&ends(10_000 + 31 * 86_400)), []);
    assert_eq!(codes(&ends(10_000 + 86_400)), [("certificate_ends", "warning")]);
    assert_eq!(codes(&ends(9_999)), [("certificate_ends", "critical")]);
}

#[test]
fn too_few_open_files_are_a_problem_of_each_node_that_has_it() {
    let few = || NodeInfo { short_of_files: Some("few files".into()), ..good() };
    let reports = [Some(report(few())), Some(report(good())), Some(report(few()))];
    let problems = found(&three(), &reports, None, true);
    let told: Vec<_> = problems.iter().map(|p| (p.code, p.severity, p.node, p.what.as_str())).collect();
    let expected = |node, what| ("few_open_files", "warning", Some(node), what);
    assert_eq!(told, [expected(1, "node 1: few files"), expected(3, "node 3: few files")]);
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

#[test]
fn learners_that_shall_vote_are_waited_for() {
    let hint = |voters: &[bool], wants_vote: bool| {
        let of = |(voter, id): (&bool, u64)| MemberStatus { wants_vote, ..member(id, *voter) };
        let members: Vec<MemberStatus> = voters.iter().zip(1..).map(of).collect();
        let reports = vec![Some(report(good())); members.len()];
        let problems = found(&Status { members, ..three() }, &reports, None, true);
        problems.into_iter().map(|problem| problem.hint).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(hint(&[true, false, false], false), "promote two learners");
    let told = hint(&[true, false, false], true);
    assert!(told.starts_with("wait: nodes 2, 3 get a vote by themselves"), "{told}");
    let told = hint(&[true, true, false], true);
    assert!(told.starts_with("wait: node 3 gets its vote by itself"), "{told}");
}

#[test]
fn a_setting_that_differs_is_named_with_its_node() {
    let with = |version: &str, settings: &[(&str, &str)]| {
        let settings = settings.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned())).collect();
        Some(NodeInfo { settings, version: version.to_owned(), ..good() })
    };
    let told = |infos: &[Option<NodeInfo>]| -> Vec<(Option<u64>, String)> {
        let reports: Vec<Option<Report>> = infos.iter().cloned().map(|info| info.map(report)).collect();
        let problems = found(&three(), &reports, None, true);
        let of = problems.into_iter().filter(|problem| problem.code == "settings_differ");
        of.map(|problem| (problem.node, problem.what)).collect()
    };
    let same = with("1", &[("admin_token", "a"), ("limits.maps", "b")]);
    assert_eq!(told(&[same.clone(), same.clone(), same.clone()]), []);
    let other = with("1", &[("admin_token", "x"), ("limits.maps", "y")]);
    let what = "node 3 has another value than the other nodes of: admin_token, limits.maps";
    assert_eq!(told(&[same.clone(), same.clone(), other.clone()]), [(Some(3), what.to_owned())]);
    let what = "nodes 1 and 3 differ in: admin_token, limits.maps";
    assert_eq!(told(&[same.clone(), None, other]), [(None, what.to_owned())]);
    // A release with other defaults, and a node that does not report yet, are not compared.
    let newer = with("2", &[("admin_token", "x")]);
    assert_eq!(told(&[same.clone(), newer, with("1", &[])]), []);
}

#[test]
fn a_node_without_the_key_and_lost_lines_of_the_audit_log_are_found() {
    let with = |change: fn(&mut NodeInfo)| {
        let mut infos = vec![Some(good()), Some(good()), Some(good())];
        change(infos[2].as_mut().unwrap());
        codes(&three(), &infos, None, true)
    };
    let keyless = |info: &mut NodeInfo| (info.has_key, info.uptime_ms) = (Some(false), 30_000);
    assert_eq!(with(keyless), ["no_key"]);
    assert_eq!(with(|info| info.has_key = Some(false)), [""; 0], "it has just started");
    assert_eq!(with(|info| info.audit_lost = 1), ["audit_lost"]);
}

#[test]
fn a_full_disk_names_its_nodes_and_the_step_of_the_runbook() {
    let told = |infos: [NodeInfo; 3]| {
        let reports: Vec<Option<Report>> = infos.into_iter().map(|info| Some(report(info))).collect();
        let problems = found(&three(), &reports, None, false);
        let problem = problems.into_iter().find(|problem| problem.code == "disk_full").unwrap();
        (problem.what, problem.hint)
    };
    let full = NodeInfo { disk_full: true, disk_free: GIB / 100, disk_used: 90 * GIB, ..good() };
    let (what, hint) = told([full.clone(), full.clone(), good()]);
    assert!(what.contains("(nodes 1 and 2)") && hint.contains("The disk is too small"), "{what} {hint}");
    let foreign = NodeInfo { disk_used: GIB, ..full.clone() };
    let (_, hint) = told([foreign, full.clone(), good()]);
    assert!(hint.starts_with("most of what fills the disk of node 1 is not of Waypost"), "{hint}");
    let (_, hint) = told([full.clone(), full.clone(), full.clone()]);
    assert!(hint.contains("step 1"), "{hint}");
    let reusable = NodeInfo { disk_reusable: GIB, ..full };
    let (_, hint) = told([reusable.clone(), reusable.clone(), reusable]);
    assert!(hint.contains("step 2"), "{hint}");
}

#[test]
fn a_slow_disk_is_told_with_its_figures() {
    let told = |info: NodeInfo| {
        let reports = [Some(report(info)), Some(report(good())), Some(report(good()))];
        let problems = found(&three(), &reports, None, true);
        problems.into_iter().find(|problem| problem.code == "disk_slow").unwrap().what
    };
    let slow = NodeInfo { disk_slow: true, sync_slowest_ms: 2_340, ..good() };
    let what = told(slow.clone());
    assert!(what.contains("node 1 is slow: a write to its log took 2.3 s; it does not lead"), "{what}");
    let what = told(NodeInfo { sync_age_ms: 40_000, leader: Some(1), ..slow });
    assert!(what.contains("is under way for 40.0 s; it leads, and no other node"), "{what}");
}

#[test]
fn problems_name_their_nodes_and_names_that_several_have_are_one() {
    let named = |id: u64, name: &str| {
        let meta = std::collections::BTreeMap::from([(waypost_cluster::NAME.to_owned(), name.to_owned())]);
        MemberStatus { meta, ..member(id, true) }
    };
    let members = vec![named(1, "a"), named(2, "b"), named(3, "b")];
    let status = Status { members, ..three() };
    let away = [Some(report(good())), Some(report(good())), None];
    let problems = found(&status, &away, None, true);
    let of = |code: &str| problems.iter().find(|problem| problem.code == code).unwrap();
    assert!(of("same_name").what.starts_with("nodes 2 (b) and 3 (b) have the same name, b"), "{problems:?}");
    let unreachable = of("unreachable");
    assert!(unreachable.what.starts_with("node 3 (b) at 10.0.0.3:4001 has not answered"), "{problems:?}");
    assert_eq!(unreachable.json(&status)["node_name"], "b");
}
