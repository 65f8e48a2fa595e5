//! Who reaches whom: what is said of a node that only some reach never contradicts what others report.
#![allow(clippy::panic)]

use super::*;
use crate::hub::Sight;
use waypost_cluster::Unreached;

/// The report of a node that follows node 1 and reaches the others as `sees` says.
fn seeing(sees: &[(u64, Option<Unreached>)]) -> NodeInfo {
    let sight =
        |(node, error): &(u64, Option<Unreached>)| Sight { node: *node, error: *error, for_ms: 12_000 };
    NodeInfo { leader: Some(1), sees: sees.iter().map(sight).collect(), ..good() }
}

const CUT: Option<Unreached> = Some(Unreached::NoConnection);

fn told(found: &[Problem], code: &str) -> (String, String) {
    let problem = found.iter().find(|problem| problem.code == code);
    let problem = problem.unwrap_or_else(|| panic!("no {code} in {found:?}"));
    (problem.what.clone(), problem.hint.clone())
}

fn all_codes(found: &[Problem]) -> Vec<&'static str> {
    found.iter().map(|problem| problem.code).collect()
}

#[test]
fn a_node_that_another_one_reaches_runs_and_its_port_is_named() {
    let via_2 = Report { via: Some(2), ..report(seeing(&[(1, None), (2, None)])) };
    let reports = [
        Some(report(seeing(&[(2, None), (3, CUT)]))),
        Some(report(seeing(&[(1, None), (3, None)]))),
        Some(via_2),
    ];
    let problems = found(&three(), &reports, None, true);
    assert_eq!(all_codes(&problems), ["half_reachable"], "{problems:?}");
    let (what, hint) = told(&problems, "half_reachable");
    assert_eq!(
        what,
        "node 1 does not reach node 3 at 10.0.0.3:4001 (no connection), for 12 s now, though it runs and node 2 reaches it; the other direction is open"
    );
    assert!(hint.starts_with("let connections from node 1 to 10.0.0.3:4001 pass"), "{hint}");
    assert!(!hint.contains("start"), "{hint}");
}

#[test]
fn a_node_that_hears_no_leader_does_not_say_that_there_is_none() {
    let status = Status { node_id: 2, has_quorum: false, leader: None, ..three() };
    let cut = NodeInfo { has_quorum: false, leader: None, ..seeing(&[(1, None), (3, None)]) };
    let mut reports = [
        Some(report(seeing(&[(2, CUT), (3, None)]))),
        Some(report(cut)),
        Some(report(seeing(&[(1, None), (2, CUT)]))),
    ];
    let problems = found(&status, &reports, None, true);
    assert_eq!(all_codes(&problems), ["cut_off", "half_reachable"], "{problems:?}");
    let (what, hint) = told(&problems, "cut_off");
    assert!(what.starts_with("node 2 hears no leader, while node 1 leads with a majority"), "{what}");
    assert!(hint.starts_with("let connections from nodes 1 and 3 to 10.0.0.2:4001"), "{hint}");

    // The former leader knows by now that it has no majority.
    for report in reports.iter_mut().flatten() {
        report.info.has_quorum = false;
    }
    let problems = found(&status, &reports, None, true);
    let (what, _) = told(&problems, "no_majority");
    assert!(what.contains("3 of 3 voters run, but do not all reach each other"), "{what}");
    for report in reports.iter_mut().flatten() {
        report.info.sees.iter_mut().for_each(|sight| sight.error = None);
    }
    let (what, _) = told(&found(&status, &reports, None, true), "no_majority");
    assert!(what.contains("an election is under way"), "{what}");
}

#[test]
fn a_node_that_cannot_know_how_far_the_others_are_shows_no_lag() {
    let status = Status { has_quorum: false, committed: 7, applied: 7, ..three() };
    let lonely = report(NodeInfo { has_quorum: false, applied_index: 7, ..good() });
    let lag = |reports: &[Option<Report>]| {
        let known: Vec<Known<'_>> = (status.members.iter().zip(reports))
            .map(|(member, report)| Known {
                member,
                report: report.as_ref(),
                seen: None,
                still: Duration::ZERO,
            })
            .collect();
        committed(&status, &known)
    };
    assert_eq!(lag(&[Some(lonely.clone()), None, None]), None);
    let ahead = report(NodeInfo { committed_index: 50, ..good() });
    assert_eq!(lag(&[Some(lonely), Some(ahead), None]), Some(50));
}

#[test]
fn what_to_do_about_a_silent_node_follows_from_how_it_is_not_reached() {
    let hint = |why| {
        let reports = [Some(report(seeing(&[(2, None), (3, Some(why))]))), Some(report(good())), None];
        let problems = found(&three(), &reports, None, true);
        assert_eq!(all_codes(&problems), ["unreachable"], "{problems:?}");
        told(&problems, "unreachable").1
    };
    assert!(hint(Unreached::Refused).starts_with("its process does not run: start it"));
    assert!(hint(Unreached::NoConnection).contains("10.0.0.3:4001 is open"));
    assert!(hint(Unreached::NotAdmitted).contains("peer.key"));
    assert!(hint(Unreached::NoAnswer).contains("hangs"));
    // A follower that hears its leader knows that the leader runs.
    let mut status = Status { node_id: 2, leader: Some(3), ..three() };
    status.members[2].reachable = true;
    let reports = [None, Some(report(seeing(&[(1, None), (3, CUT)]))), None];
    let problems = found(&status, &reports, None, true);
    let of_leader = problems.iter().find(|problem| problem.node == Some(3)).unwrap();
    assert!(
        of_leader.what.ends_with("though node 2 hears from it: only this direction is blocked"),
        "{of_leader:?}"
    );
    assert!(!of_leader.hint.contains("start"), "{of_leader:?}");
}
