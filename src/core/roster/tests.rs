//! The roster against a cluster that applies, delays, repeats and loses its batches.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

const MAP: [u8; 16] = [1; 16];
const NOW: Duration = Duration::from_secs(100);

fn map() -> MapId {
    MapId::from_bytes(MAP)
}

fn member(name: &str) -> Member {
    Member { map: map(), subject: Subject::parse("presence-a").unwrap(), name: name.into() }
}

fn joins(batch: &PresenceBatch) -> Vec<&str> {
    let joins = batch.changes.iter().filter_map(|change| match change {
        PresenceChange::Join(join) => Some(&*join.member.name),
        _ => None,
    });
    joins.collect()
}

#[test]
fn several_memberships_are_one_member_and_the_last_one_leaves() {
    let now = NOW;
    let mut roster = Roster::default();
    assert_eq!(roster.join(&member("ann"), Bytes::new(), None, 1), Joined::Later);
    let first = roster.batch(1, 7, 3_000).unwrap();
    assert_eq!((first.number, joins(&first)), (1, vec!["ann"]));
    // Whoever joins meanwhile waits for the same batch.
    assert_eq!(roster.join(&member("ann"), Bytes::new(), None, 2), Joined::Later);
    assert_eq!(roster.batch(1, 7, 3_000), Some(first), "its outcome is unknown");
    assert_eq!(roster.settle(&[]), [(1, Ok(())), (2, Ok(()))]);
    assert_eq!(roster.join(&member("ann"), Bytes::new(), None, 3), Joined::Already);
    roster.leave(&member("ann"), 0, now);
    roster.leave(&member("ann"), 0, now);
    assert_eq!(roster.batch(1, 7, 3_000), None);
    roster.leave(&member("ann"), 50, now);
    let last = roster.batch(1, 7, 3_000).unwrap();
    assert_eq!(last.changes, [PresenceChange::Leave { member: member("ann"), grace_ms: 50 }]);
    // The user is back before the leave is applied.
    assert_eq!(roster.join(&member("ann"), Bytes::new(), None, 4), Joined::Later);
    assert!(roster.settle(&[]).is_empty());
    assert_eq!(joins(&roster.batch(1, 7, 3_000).unwrap()), ["ann"]);
    roster.leave(&member("ann"), 0, NOW);
    assert_eq!(roster.settle(&[]), [(4, Ok(()))]);
    assert_eq!(roster.batch(1, 7, 3_000).unwrap().changes.len(), 1);
    roster.settle(&[]);
    assert!(!roster.has_news() && roster.members.is_empty());
}

#[test]
fn a_member_stays_as_long_as_the_grace_period_of_any_of_its_memberships() {
    let mut roster: Roster<u8> = Roster::default();
    let now = NOW;
    let after = |seconds| now + Duration::from_secs(seconds);
    let grace = |roster: &mut Roster<u8>| match &roster.batch(1, 7, 0).unwrap().changes[..] {
        [PresenceChange::Leave { grace_ms, .. }] => *grace_ms,
        other => unreachable!("{other:?}"),
    };
    let joined = |roster: &mut Roster<u8>| {
        roster.join(&member("ann"), Bytes::new(), None, 1);
        roster.join(&member("ann"), Bytes::new(), None, 2);
        roster.batch(1, 7, 0).unwrap();
        roster.settle(&[]);
    };
    joined(&mut roster);
    roster.leave(&member("ann"), 3_000, now);
    roster.leave(&member("ann"), 0, after(1));
    assert_eq!(grace(&mut roster), 2_000, "one connection broke a second ago");
    roster.settle(&[]);
    joined(&mut roster);
    roster.leave(&member("ann"), 3_000, now);
    roster.leave(&member("ann"), 0, after(5));
    assert_eq!(grace(&mut roster), 0, "that is long ago");
    roster.settle(&[]);
    joined(&mut roster);
    roster.leave(&member("ann"), 3_000, now);
    roster.join(&member("ann"), Bytes::new(), None, 3);
    roster.leave(&member("ann"), 0, after(1));
    roster.leave(&member("ann"), 0, after(1));
    assert_eq!(grace(&mut roster), 0, "the connection came back");
}

#[test]
fn a_statement_has_one_order_however_the_members_came() {
    let mut roster: Roster<u8> = Roster::default();
    for name in ["h", "c", "a", "f", "b", "g", "e", "d"] {
        roster.join(&member(name), Bytes::new(), None, 1);
    }
    roster.batch(1, 7, 0).unwrap();
    roster.settle(&[]);
    roster.begin_again();
    assert_eq!(joins(&roster.batch(1, 8, 0).unwrap()), ["a", "b", "c", "d", "e", "f", "g", "h"]);
}

#[test]
fn a_user_who_left_joins_again_with_what_the_new_join_says() {
    let mut roster = Roster::default();
    let info = |roster: &mut Roster<u8>| match &roster.batch(1, 7, 0).unwrap().changes[..] {
        [PresenceChange::Join(join)] => (join.info.clone(), join.socket),
        other => unreachable!("{other:?}"),
    };
    let [first, second] = [1, 2].map(|b| Some(SocketId { a: 1, b }));
    roster.join(&member("ann"), Bytes::from_static(b"1"), first, 1);
    roster.join(&member("ann"), Bytes::from_static(b"2"), second, 2);
    assert_eq!(info(&mut roster), (Bytes::from_static(b"1"), first));
    roster.settle(&[]);
    roster.leave(&member("ann"), 0, NOW);
    roster.leave(&member("ann"), 0, NOW);
    roster.batch(1, 7, 0).unwrap();
    // The leave is under way.
    roster.join(&member("ann"), Bytes::from_static(b"3"), second, 3);
    roster.settle(&[]);
    assert_eq!(info(&mut roster), (Bytes::from_static(b"3"), second));
}

#[test]
fn a_subject_of_which_nothing_is_told_is_forgotten_with_its_last_subscription() {
    let mut roster: Roster<u8> = Roster::default();
    let [told, unreported] = ["chat", "#server-to-user-7"].map(|name| Subject::parse(name).unwrap());
    roster.want(map(), true);
    roster.occupy(map(), &told);
    roster.occupy(map(), &unreported);
    roster.batch(1, 7, 0).unwrap();
    roster.settle(&[]);
    roster.begin_again();
    roster.vacate(map(), &told);
    roster.vacate(map(), &unreported);
    while roster.batch(1, 7, 0).is_some() {
        roster.settle(&[]);
    }
    assert!(roster.subjects.is_empty(), "{:?}", roster.subjects);
}

#[test]
fn a_refused_join_is_answered_and_forgotten() {
    let mut roster = Roster::default();
    roster.join(&member("ann"), Bytes::new(), None, 1);
    roster.batch(1, 7, 0).unwrap();
    let why = Refusal::UnknownMap;
    assert_eq!(roster.settle(&[Denied { index: 0, granted: 0, why: why.clone() }]), [(1, Err(why))]);
    roster.leave(&member("ann"), 0, NOW);
    assert!(!roster.has_news() && roster.members.is_empty());
}

#[test]
fn a_subject_may_get_room_while_one_of_its_members_leaves() {
    let mut roster = Roster::default();
    let subjects = ["presence-a", "presence-b"].map(|name| Subject::parse(name).unwrap());
    let may_leave = |roster: &Roster<u8>| subjects.each_ref().map(|of| roster.may_leave(map(), of));
    assert_eq!(may_leave(&roster), [true, true], "an earlier incarnation may have had members that go");
    roster.batch(1, 7, 0).unwrap();
    assert_eq!(may_leave(&roster), [true, true], "the statement is under way");
    roster.settle(&[]);
    roster.join(&member("ann"), Bytes::new(), None, 1);
    assert_eq!(may_leave(&roster), [false, false]);
    roster.batch(1, 7, 0).unwrap();
    assert_eq!(may_leave(&roster), [false, false]);
    roster.settle(&[]);
    roster.leave(&member("ann"), 0, NOW);
    assert_eq!(may_leave(&roster), [true, false], "the leave waits for a batch");
    roster.batch(1, 7, 0).unwrap();
    assert_eq!(may_leave(&roster), [true, false], "the leave is under way");
    roster.settle(&[]);
    assert_eq!(may_leave(&roster), [false, false]);
}

#[test]
fn another_incarnation_states_the_members_that_were_there_beyond_the_limit() {
    let mut roster = Roster::default();
    roster.join(&member("ann"), Bytes::new(), None, 1);
    roster.batch(1, 7, 0).unwrap();
    roster.settle(&[]);
    roster.join(&member("bob"), Bytes::new(), None, 2);
    roster.batch(1, 7, 0).unwrap();
    roster.begin_again();
    let batch = roster.batch(1, 8, 0).unwrap();
    assert_eq!((batch.incarnation, batch.number), (8, 1));
    let held: Vec<(&str, bool)> = batch
        .changes
        .iter()
        .filter_map(|change| match change {
            PresenceChange::Join(join) => Some((&*join.member.name, join.is_held)),
            _ => None,
        })
        .collect();
    assert_eq!(held, [("ann", true), ("bob", false)]);
    assert_eq!(roster.settle(&[]), [(2, Ok(()))]);
}

#[test]
fn an_incarnation_says_once_when_it_has_stated_everything() {
    let mut roster: Roster<usize> = Roster::default();
    let empty = roster.batch(1, 7, 0).unwrap();
    assert!(empty.whole && empty.changes.is_empty(), "it holds nothing, and says so");
    assert_eq!(roster.batch(1, 7, 0), Some(empty), "its outcome is unknown");
    roster.settle(&[]);
    let most = MOST_CHANGES + 7;
    for n in 0..most {
        roster.join(&member(&format!("{n:05}")), Bytes::new(), None, n);
    }
    while let Some(batch) = roster.batch(1, 7, 0) {
        assert!(!batch.whole);
        roster.settle(&[]);
    }
    roster.begin_again();
    let mut stated = 0;
    for round in 0.. {
        let batch = roster.batch(1, 8, 0).unwrap();
        stated += joins(&batch).iter().filter(|name| !name.starts_with('x')).count();
        assert_eq!(batch.whole, stated == most);
        roster.settle(&[]);
        if batch.whole {
            assert!(round > 0, "it takes more than one batch");
            break;
        }
        // Who joins meanwhile does not delay it.
        for n in 0..MOST_CHANGES {
            roster.join(&member(&format!("x{round}-{n}")), Bytes::new(), None, n);
        }
    }
    assert!(!roster.batch(1, 8, 0).unwrap().whole);
}

#[test]
fn maps_take_turns_and_a_batch_is_bounded() {
    let mut roster = Roster::default();
    for n in 0..2 * MOST_CHANGES {
        roster.join(&member(&format!("{n:05}")), Bytes::new(), None, n);
    }
    let other = Member { map: MapId::from_bytes([2; 16]), ..member("z") };
    roster.join(&other, Bytes::new(), None, 0);
    let batch = roster.batch(1, 7, 0).unwrap();
    assert!(batch.changes.len() <= MOST_CHANGES && joins(&batch).contains(&"z"));
}

/// What the cluster knows of one node's subscriptions of one subject.
#[derive(Default)]
struct Cluster {
    wants: bool,
    count: u32,
    last: u64,
}

impl Cluster {
    fn apply(&mut self, batch: &PresenceBatch) {
        if batch.number <= self.last {
            return;
        }
        self.last = batch.number;
        for change in &batch.changes {
            if let PresenceChange::Occupy { count, .. } = change
                && self.wants
            {
                self.count = *count;
            }
        }
    }

    fn want(&mut self, wants: bool) {
        self.wants = wants;
        if !wants {
            self.count = 0;
        }
    }
}

proptest! {
    /// In the end the cluster knows the count, however the wish to know it changes while batches are under way.
    #[test]
    fn the_cluster_knows_the_count_in_the_end(acts in prop::collection::vec(0u8..6, 1..60)) {
        let mut roster: Roster<()> = Roster::default();
        let mut cluster = Cluster::default();
        let subject = Subject::parse("chat").unwrap();
        let mut count = 0u32;
        let mut is_applied = false;
        for act in acts {
            match act {
                0 => {
                    count += 1;
                    roster.occupy(map(), &subject);
                }
                1 if count > 0 => {
                    count -= 1;
                    roster.vacate(map(), &subject);
                }
                // The change of the log reaches the node in the order of the log.
                2 => {
                    let wants = !cluster.wants;
                    cluster.want(wants);
                    roster.want(map(), wants);
                }
                3 => {
                    if let Some(batch) = roster.batch(1, 7, 0) {
                        cluster.apply(&batch);
                        is_applied = true;
                    }
                }
                4 if is_applied => {
                    roster.settle(&[]);
                    is_applied = false;
                }
                _ => drop(roster.batch(1, 7, 0)),
            }
        }
        while let Some(batch) = roster.batch(1, 7, 0) {
            cluster.apply(&batch);
            roster.settle(&[]);
        }
        prop_assert_eq!(cluster.count, if cluster.wants { count } else { 0 });
        prop_assert_eq!(roster.subscriptions(map(), &subject), count);
        prop_assert_eq!(roster.subjects.is_empty(), count == 0, "{:?}", roster.subjects);
    }
}
