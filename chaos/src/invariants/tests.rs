//! Histories written by hand: for each invariant some that break it, and a sound one that breaks none.

#![allow(clippy::unwrap_used)]

use super::{Outcome, check};
use crate::history::{Entry, Event, History, MAIN, Record, SHORT};

const NODES: usize = 3;

fn event(seq: u64) -> Event {
    Event {
        id: format!("{seq:026}"),
        seq,
        kind: "a".into(),
        subject: String::new(),
        key: format!("k{seq}"),
        hash: format!("h{seq}"),
    }
}

fn seen(client: &str, seq: u64) -> Record {
    Record::Seen { client: client.into(), event: event(seq) }
}

fn got(hook: &str, seq: u64) -> Record {
    let Event { id, key, .. } = event(seq);
    Record::Got {
        hook: hook.into(),
        request: id.clone(),
        digest: format!("d{seq}"),
        id,
        seq,
        key,
        accepted: true,
    }
}

fn progress(node: usize, delivered: u64) -> Record {
    Record::Progress { node, hook: "h".into(), asked_ms: 0, delivered, queued: 0 }
}

fn acked(topic: &str, seq: u64) -> Record {
    let Event { id, key, .. } = event(seq);
    Record::Acked { topic: topic.into(), key, id, seq, node: 0 }
}

fn asked(topic: &str, seq: u64) -> Record {
    Record::Asked { topic: topic.into(), key: format!("k{seq}"), subject: String::new(), node: 0 }
}

fn used(token: &str, node: usize, asked_ms: u64, status: u16) -> Record {
    Record::TokenUsed { token: token.into(), node, asked_ms, status }
}

fn gap(oldest: u64) -> Record {
    Record::Gap { client: "s".into(), oldest: Some(event(oldest).id) }
}

fn stored(topic: &str, seqs: std::ops::RangeInclusive<u64>) -> Vec<Record> {
    let nodes = 0..NODES;
    let all = nodes.flat_map(|node| seqs.clone().map(move |seq| (node, seq)));
    all.map(|(node, seq)| Record::Stored { node, topic: topic.into(), event: event(seq) }).collect()
}

/// Makes a history with one record a millisecond.
fn history(records: Vec<Record>) -> History {
    History((0..).zip(records).map(|(at_ms, record)| Entry { at_ms, record }).collect())
}

/// A history in which everything happens, all of it correct.
fn sound() -> Vec<Record> {
    let mut all = vec![
        Record::Client { client: "c".into(), topic: MAIN.into(), subjects: vec![], kinds: vec![] },
        Record::Client { client: "s".into(), topic: SHORT.into(), subjects: vec![], kinds: vec![] },
        Record::Hook { hook: "h".into(), strict: true, dead: false, topic: MAIN.into(), subjects: vec![] },
        Record::Joined { client: "c".into(), node: 0, after: None },
        Record::Keeps { topic: SHORT.into(), subjects: "*".into(), events: 3 },
    ];
    for seq in 1..=6 {
        all.extend([asked(MAIN, seq), asked(MAIN, seq), acked(MAIN, seq), seen("c", seq), got("h", seq)]);
        all.push(progress((seq % 3) as usize, seq));
    }
    all.extend((1..=9).map(|seq| asked(SHORT, seq)));
    all.extend((1..=9).map(|seq| acked(SHORT, seq)));
    all.extend([seen("s", 1), seen("s", 2), gap(7), seen("s", 7), seen("s", 8), seen("s", 9)]);
    all.push(Record::Fault { fault: "bit flip".into(), nodes: vec![1], cut: false, note: String::new() });
    all.extend([
        Record::Damaged { node: 1, file: "raft".into(), certain: true },
        Record::Noticed { node: 1 },
        Record::Healed,
    ]);
    all.extend((0..NODES).map(|node| progress(node, 6)));
    all.push(Record::CaughtUp { whom: "c".into() });
    all.push(Record::Memory { node: 0, peak: 5, limit: 10 });
    all.extend(stored(MAIN, 1..=6));
    all.extend(stored(SHORT, 7..=9));
    all.extend([MAIN, SHORT].map(|topic| Record::Listed { node: 0, topic: topic.into(), events: 6 }));
    let at = all.len() as u64;
    // The token is made at `at` and revoked at `at + 2`.
    all.push(Record::TokenMade { token: "t".into(), asked_ms: at });
    all.push(used("t", 0, at, 200));
    all.push(Record::TokenRevoked { token: "t".into(), asked_ms: at + 2 });
    all.push(used("t", 0, at + 3, 401));
    all.push(Record::TokenSocket { token: "t".into(), node: 1, closed: true });
    let r = || "r".to_owned();
    all.push(Record::Wrote { register: r(), version: 1, asked_ms: at + 5, acked: true });
    all.push(Record::Read { register: r(), node: 1, version: 1, asked_ms: at + 6 });
    all
}

/// The numbers of the invariants that fail.
pub(super) fn failed(records: Vec<Record>) -> Vec<u8> {
    let verdicts = check(&history(records));
    verdicts.iter().filter(|v| v.outcome() == Outcome::Fail).map(|v| v.number).collect()
}

/// The sound history with each record for which `old` is true replaced.
fn with(old: impl Fn(&Record) -> bool, new: impl Fn(Record) -> Vec<Record>) -> Vec<Record> {
    sound().into_iter().flat_map(|r| if old(&r) { new(r) } else { vec![r] }).collect()
}

fn without(old: impl Fn(&Record) -> bool) -> Vec<Record> {
    with(old, |_| vec![])
}

/// The sound history with a change in what a node holds.
fn held(of: usize, at: u64, change: impl Fn(&mut Event)) -> Vec<Record> {
    with(
        |r| matches!(r, Record::Stored { node, topic, event } if *node == of && topic == MAIN && event.seq == at),
        |mut r| {
            if let Record::Stored { event, .. } = &mut r {
                change(event);
            }
            vec![r]
        },
    )
}

fn and(more: impl IntoIterator<Item = Record>) -> Vec<Record> {
    sound().into_iter().chain(more).collect()
}

#[test]
fn a_sound_history_exercises_and_passes_every_invariant() {
    let all = sound().into_iter().chain(super::tests_presence::sound()).collect();
    let verdicts = check(&history(all));
    for (number, verdict) in (1..).zip(&verdicts) {
        assert_eq!((verdict.number, verdict.outcome()), (number, Outcome::Pass), "{verdict:?}");
    }
    let nothing = check(&History::default());
    assert!(nothing.iter().all(|v| v.outcome() == Outcome::NotExercised), "{nothing:?}");
}

#[test]
fn a_missing_acknowledged_event_and_a_changed_position_are_found() {
    let lost =
        without(|r| matches!(r, Record::Stored { event, topic, .. } if topic == MAIN && event.seq == 6));
    assert!(failed(lost).contains(&1));
    let one =
        without(|r| matches!(r, Record::Stored { node: 2, event, topic } if topic == MAIN && event.seq == 6));
    assert!(failed(one).contains(&1));
    let nothing = without(|r| matches!(r, Record::Stored { .. } | Record::Listed { .. }));
    assert!(failed(nothing).contains(&1));
    assert!(failed(held(1, 3, |event| event.key = "other".into())).contains(&1));
}

#[test]
fn events_with_a_wrong_time_are_found() {
    assert!(failed(and([Record::Stamped { node: 0, off_ms: -3_000 }])).is_empty());
    for off_ms in [8 * 86_400_000, -60_000] {
        assert_eq!(failed(and([Record::Stamped { node: 0, off_ms }])), [1]);
    }
}

#[test]
fn a_backup_must_have_everything_acknowledged_before_it() {
    let copied = |seq| Record::Copied { backup: "b".into(), event: event(seq) };
    let restored = |seqs: std::ops::RangeInclusive<u64>| {
        let begun = with(|r| *r == acked(MAIN, 4), |r| vec![r, Record::BackupBegun { backup: "b".into() }]);
        begun.into_iter().chain(seqs.map(copied)).chain([Record::Restored { backup: "b".into() }]).collect()
    };
    assert_eq!(failed(restored(1..=5)), [0; 0]);
    assert_eq!(failed(restored(1..=3)), [1]);
    assert!(failed(restored(2..=5)).contains(&3), "the backup is not the beginning of the log");
}

#[test]
fn missed_and_repeated_events_are_found() {
    let is = |seq| move |r: &Record| *r == seen("c", seq);
    assert_eq!(failed(without(is(3))), [2]);
    assert_eq!(failed(without(is(6))), [2], "the end, too");
    assert_eq!(failed(with(is(3), |r| vec![r.clone(), r])), [2]);
    assert_eq!(failed(with(is(3), |r| vec![r, seen("c", 2)])), [2], "back in time");
    let filtered = with(
        |r| matches!(r, Record::Client { client, .. } if client == "c"),
        |_| {
            vec![Record::Client {
                client: "c".into(),
                topic: MAIN.into(),
                subjects: vec![],
                kinds: vec!["b".into()],
            }]
        },
    );
    assert_eq!(failed(filtered), [2], "not wanted");
}

#[test]
fn logs_that_differ_or_have_holes_are_found() {
    assert!(failed(held(2, 3, |event| event.hash = "x".into())).contains(&3));
    let hole =
        without(|r| matches!(r, Record::Stored { event, topic, .. } if topic == MAIN && event.seq == 3));
    assert!(failed(hole).contains(&3));
    let mut other = event(3);
    other.hash = "x".into();
    let wrong =
        with(|r| *r == seen("c", 3), |_| vec![Record::Seen { client: "c".into(), event: other.clone() }]);
    assert_eq!(failed(wrong), [3, 11], "a client's bytes");
    let swapped = without(|r| matches!(r, Record::Stored { node: 2, topic, .. } if topic == MAIN));
    assert!(
        failed(
            swapped.into_iter().chain([Record::Listed { node: 2, topic: MAIN.into(), events: 0 }]).collect()
        )
        .contains(&3)
    );
}

#[test]
fn delivered_events_that_are_not_in_the_log_are_found() {
    assert!(failed(with(|r| *r == seen("c", 6), |r| vec![r, seen("c", 7)])).contains(&4));
    assert!(failed(and([got("h", 7)])).contains(&4));
    let other = |_| vec![Record::CaughtUp { whom: "c".into() }];
    let early = with(|r| *r == asked(MAIN, 6), other).into_iter().chain([asked(MAIN, 6)]);
    let early = early.filter(|r| *r != asked(SHORT, 6)).collect();
    assert_eq!(failed(early), [4], "before it was published");
}

#[test]
fn missing_and_wrong_gaps_are_found() {
    assert_eq!(failed(without(|r| *r == gap(7))), [5]);
    let nowhere = with(|r| *r == gap(7), |_| vec![Record::Gap { client: "s".into(), oldest: None }]);
    assert_eq!(failed(nowhere), [5]);
    assert_eq!(failed(with(|r| *r == gap(7), |_| vec![gap(8)])), [5], "older than the oldest");
}

#[test]
fn webhooks_that_miss_change_or_swap_events_are_found() {
    assert_eq!(failed(without(|r| *r == got("h", 4))), [6, 9]);
    let changed = |mut r: Record| {
        if let Record::Got { digest, .. } = &mut r {
            *digest = "x".into();
        }
        r
    };
    assert_eq!(failed(with(|r| *r == got("h", 4), |r| vec![r.clone(), changed(r)])), [6], "another body");
    let swapped = with(
        |r| *r == got("h", 4) || *r == got("h", 5),
        |r| match r == got("h", 4) {
            true => vec![],
            false => vec![r, got("h", 4)],
        },
    );
    assert_eq!(failed(swapped), [6]);
    assert_eq!(failed(and([Record::Behind { whom: "webhook h".into(), why: "x".into() }])), [6, 10]);
}

#[test]
fn stale_tokens_and_settings_are_found() {
    let at = sound().len() as u64 + 100;
    assert_eq!(failed(and([used("t", 2, at, 200)])), [7], "after it was revoked");
    let refused = with(
        |r| matches!(r, Record::TokenUsed { status: 200, .. }),
        |mut r| {
            if let Record::TokenUsed { status, .. } = &mut r {
                *status = 401;
            }
            vec![r]
        },
    );
    assert_eq!(failed(refused), [7], "refused before it was revoked");
    assert_eq!(failed(and([Record::TokenSocket { token: "t".into(), node: 1, closed: false }])), [7]);
    let read = |version| Record::Read { register: "r".into(), node: 0, version, asked_ms: at };
    assert_eq!(failed(and([read(0)])), [7], "back in time");
    assert_eq!(failed(and([read(2)])), [7], "never written");
}

#[test]
fn nodes_out_of_reach_are_not_checked_for_facts_that_they_can_not_know() {
    let cut = Record::Fault { fault: "p".into(), nodes: vec![2], cut: true, note: String::new() };
    let late = sound().len() as u64 + 1;
    assert_eq!(failed(and([cut.clone(), used("t", 2, late, 200)])), [0; 0]);
    assert_eq!(failed(and([cut.clone(), used("t", 1, late, 200)])), [7], "only those");
    let dead = Record::Fault { fault: "kill -9".into(), nodes: vec![2], cut: true, note: String::new() };
    assert_eq!(failed(and([dead, used("t", 2, late, 200)])), [7], "it asks before it answers");
    let over = Record::Over { fault: "p".into(), nodes: vec![2] };
    let mut records = history(and([cut, over, used("t", 2, late + 60_000, 200)]));
    records.0.last_mut().unwrap().at_ms = late + 60_000;
    assert!(check(&records).iter().any(|v| v.number == 7 && v.outcome() == Outcome::Fail), "long after");
}

#[test]
fn repeated_publishes_that_are_stored_twice_are_found() {
    let twice = with(
        |r| matches!(r, Record::Stored { event, topic, .. } if topic == MAIN && event.seq == 6),
        |mut r| {
            if let Record::Stored { event, .. } = &mut r {
                event.key = "k5".into();
            }
            vec![r]
        },
    );
    assert!(failed(twice).contains(&8));
    let other = Record::Acked { topic: MAIN.into(), key: "k5".into(), id: event(6).id, seq: 6, node: 0 };
    assert!(failed(and([other])).contains(&8), "two answers");
}

#[test]
fn progress_that_goes_back_or_is_invented_is_found() {
    assert_eq!(failed(and([progress(0, 5)])), [9]);
    assert_eq!(failed(with(|r| *r == progress(2, 6), |_| vec![progress(2, 5)])), [9], "nodes disagree");
    assert_eq!(
        failed(with(
            |r| matches!(r, Record::Progress { delivered: 6, .. }),
            |r| match r {
                Record::Progress { node, .. } => vec![progress(node, 7)],
                _ => vec![],
            }
        )),
        [9],
        "more than was accepted"
    );
}

#[test]
fn nodes_that_stay_behind_grow_or_end_are_found() {
    assert_eq!(failed(and([Record::Behind { whom: "node 1".into(), why: "x".into() }])), [10]);
    assert_eq!(failed(and([Record::Memory { node: 0, peak: 11, limit: 10 }])), [10]);
    let pace = |alone_us, beside_us| Record::Pace { of: "delivery".into(), alone_us, beside_us };
    assert_eq!(failed(and([pace(20_000, 60_001)])), [10]);
    assert_eq!(failed(and([pace(20_000, 60_000), pace(100, 30_000)])), [] as [u8; 0]);
    let silence = |unknown, next_ms| Record::Silence { answered: 9, unknown, next_ms };
    for bad in [silence(1, Some(900)), silence(0, Some(10_001)), silence(0, None)] {
        assert_eq!(failed(and([bad])), [10]);
    }
    assert_eq!(failed(and([silence(0, Some(10_000))])), [] as [u8; 0]);
    let ended = Record::Ended { node: 1, status: "101".into() };
    assert_eq!(failed(and([ended.clone()])), [10]);
    let full = Record::Fault { fault: "disk full".into(), nodes: vec![1], cut: false, note: String::new() };
    assert_eq!(failed(and([full, ended])), [0; 0], "a full disk may end a process");
}

#[test]
fn damage_that_is_served_or_not_reported_is_found() {
    assert!(failed(held(1, 3, |event| event.hash = "x".into())).contains(&11));
    assert_eq!(failed(without(|r| matches!(r, Record::Noticed { .. }))), [11], "not reported");
}

/// A webhook of a map with short retention: two events that it must get, and the state that it reports.
fn pressed(got: impl IntoIterator<Item = u64>, more: impl IntoIterator<Item = Record>) -> Vec<u8> {
    let owed = |seq| Record::Owed { hook: "p".into(), id: event(seq).id, key: event(seq).key };
    let hook = Record::Hook {
        hook: "p".into(),
        strict: false,
        dead: false,
        topic: "pressed".into(),
        subjects: vec![],
    };
    failed(and([hook, owed(1), owed(2)]
        .into_iter()
        .chain(got.into_iter().map(|seq| self::got("p", seq)))
        .chain(more)))
}

fn doing(state: &str, missed: u64, beyond: bool) -> Record {
    Record::Webhook { hook: "p".into(), node: 0, state: state.into(), missed, given_up: 0, beyond }
}

#[test]
fn within_the_bound_of_retention_a_webhook_gets_every_event() {
    assert!(pressed([2, 1], [doing("failing", 0, false)]).is_empty(), "only its own topic's events count");
    assert_eq!(pressed([1], []), [6], "an event is missing");
    assert_eq!(pressed([1, 2], [doing("healthy", 3, false)]), [6], "the webhook reports missed events");
    assert_eq!(pressed([1, 2], [doing("losing", 0, false)]), [6], "the webhook is losing without a reason");
}

#[test]
fn beyond_the_bound_of_retention_losses_are_reported_and_counted() {
    let offered = |events| Record::Offered { hook: "p".into(), events, stream: events + 1 };
    let announced = Record::Announced { hook: "p".into(), lost: 3 };
    let reported = [doing("losing", 2, true), announced.clone(), doing("healthy", 3, true)];
    assert!(pressed([1, 2], reported.clone().into_iter().chain([offered(5)])).is_empty());
    assert_eq!(
        pressed([1, 2], reported.clone().into_iter().chain([offered(6)])),
        [6],
        "one event is neither accepted nor counted as lost"
    );
    let of_server = reported.clone().into_iter().chain([offered(4)]);
    assert!(pressed([1, 2], of_server).is_empty(), "an event of the server is gone too");
    let too_many = reported.clone().into_iter().chain([offered(3)]);
    assert_eq!(pressed([1, 2], too_many), [6], "more are counted than the stream had");
    let silent = [doing("failing", 3, true), announced, offered(5)];
    assert_eq!(pressed([1, 2], silent), [6], "no node reported that it is losing events");
    let unannounced = [doing("losing", 3, true), offered(5)];
    assert_eq!(pressed([1, 2], unannounced), [6], "the map received no event about the loss");
}
