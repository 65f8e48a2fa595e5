//! Tests of bounds, of ends, and of changes while requests are under way.

use super::*;
use crate::core::codec;
use crate::core::consumer::progress::{KEPT_REPLAYS, Update};
use crate::core::ids::ConsumerId;

/// The largest report, in bytes.
const MAX_REPORT: usize = 1 << 20;

fn replay(from_seq: u64, until_seq: u64) -> OwnerCommand {
    OwnerCommand::Replay { from_seq, until_seq, failed_only: false }
}

/// Reads and sends all replays successfully, as an actor does. Returns the replays that never ended.
fn run_replays(engine: &mut Engine) -> Vec<u64> {
    for _ in 0..100_000 {
        if let Some(read) = engine.wants_replay() {
            let until = (read.from_seq + 128).min(read.until_seq);
            engine.offer_replay(&offers(read.from_seq..until, None), until, T);
        }
        match engine.next(T) {
            Step::Send(flight) => {
                engine.settle(flight.id, ok(), "", T, 0);
                report(engine);
            }
            _ if engine.wants_replay().is_none() => break,
            _ => {}
        }
    }
    let replays = engine.progress().replays;
    let open = replays.iter().filter(|replay| replay.ended_ms.is_none());
    open.map(|replay| replay.id).collect()
}

#[test]
fn a_running_replay_is_not_dropped_for_another() {
    let mut engine = Engine::new(plan(), Progress::new(1000), Vec::new());
    command(&mut engine, 1, replay(300, 500));
    (2..=8).for_each(|number| command(&mut engine, number, replay(1, 500)));
    engine.offer_replay(&offers(300..428, None), 428, T);
    command(&mut engine, 9, replay(1, 500));
    assert_eq!(run_replays(&mut engine), Vec::<u64>::new());
    assert_eq!(engine.progress().replays.iter().map(|replay| replay.delivered).sum::<u64>(), 200 + 8 * 499);
    command(&mut engine, 10, replay(1, 2));
    assert!(engine.progress().replays.len() <= KEPT_REPLAYS + 1);
}

#[test]
fn an_empty_replay_behind_another_ends() {
    let mut engine = Engine::new(plan(), Progress::new(1000), Vec::new());
    for (number, until) in [(1, 5), (2, 1), (3, 5)] {
        command(&mut engine, number, replay(1, until));
    }
    assert_eq!(run_replays(&mut engine), Vec::<u64>::new());
    let mut progress = engine.snapshot().progress;
    progress.replays[1].ended_ms = None;
    let engine = Engine::new(plan(), progress, Vec::new());
    assert!(
        engine.progress().replays.iter().all(|replay| replay.ended_ms.is_some()),
        "also at its beginning"
    );
}

#[test]
fn requests_of_a_cancelled_replay_are_not_retried() {
    let mut engine = Engine::new(plan(), Progress::new(1000), Vec::new());
    command(&mut engine, 1, replay(1, 5));
    engine.offer_replay(&offers(1..5, Some(0)), 5, T);
    let flight = send(&mut engine, T);
    command(&mut engine, 2, OwnerCommand::Cancel(1));
    engine.settle(flight.id, fails(), "", T, 0);
    assert_eq!((engine.state().waiting_events(), engine.state().in_flight()), (0, 0));
}

#[test]
fn seeking_back_during_a_retry_leaves_no_hole() {
    let mut engine = engine(plan(), 1..2, None);
    let first = send(&mut engine, T);
    engine.settle(first.id, fails(), "", T, 0);
    let second = send(&mut engine, T + 1000);
    command(&mut engine, 1, OwnerCommand::Seek(1));
    engine.offer(&offers(1..2, None), 2, T + 1000);
    engine.settle(second.id, fails(), "", T + 1000, 0);
    let third = send(&mut engine, T + 9000);
    engine.settle(third.id, fails(), "", T + 9000, 0);
    let snapshot = engine.snapshot();
    assert_eq!(
        (snapshot.new_dead_letters().count(), engine.state().is_idle(), snapshot.progress.track.next),
        (1, true, 2)
    );
}

#[test]
fn events_removed_by_retention_are_counted_once_wherever_they_were() {
    let mut engine = Engine::new(plan(), Progress::new(95), Vec::new());
    let page: Vec<Offer> = offers(95..100, None).into_iter().chain(offers(900..910, None)).collect();
    engine.offer(&page, 910, T);
    while let Step::Send(flight) = engine.next(T) {
        engine.settle(flight.id, ok(), "", T, 0);
    }
    assert_eq!((engine.progress().missed, engine.progress().track.next), (800, 910));
    let mut progress = Progress::new(10);
    progress.track.above = vec![(11, 1000)];
    let mut engine = Engine::new(plan(), progress, Vec::new());
    engine.offer(&offers(1000..1010, None), 1010, T);
    assert_eq!(engine.progress().missed, 1, "an event that was delivered before is not missed");
}

#[test]
fn a_busy_receiver_that_names_no_pause_gets_fewer_and_fewer_requests() {
    let mut engine = engine(plan(), 1..2, None);
    let mut now_ms = T;
    let mut requests = 0;
    while now_ms < T + 600_000 {
        match engine.next(now_ms) {
            Step::Send(flight) => {
                requests += 1;
                let pause_ms = [None, Some(0), Some(1)][requests % 3];
                engine.settle(flight.id, busy(pause_ms), "busy", now_ms, 0);
            }
            Step::WaitUntil(until_ms) => now_ms = until_ms,
            Step::Wait => panic!("it waits for nothing"),
        }
    }
    assert!((20..50).contains(&requests), "{requests} requests in ten minutes");
    assert_eq!(engine.state().waiting_events(), 1, "no attempt is used up");
    let flight = send(&mut engine, now_ms + MAX_PAUSE_MS);
    assert_eq!(flight.attempt, 1);
}

/// The longest pause between requests to a busy receiver, with its jitter.
const MAX_PAUSE_MS: u64 = 40_000;

#[test]
fn a_body_that_cannot_be_made_is_not_made_again() {
    let mut engine = engine(plan(), 1..2, None);
    let flight = send(&mut engine, T);
    engine.settle(flight.id, unsendable(), "line 1", T, 0);
    assert_eq!(engine.snapshot().new_dead_letters().count(), 1);
    assert_eq!(engine.progress().failing_since_ms, None, "the receiver is not to blame");
}

#[test]
fn two_failures_with_days_of_quiet_between_do_not_disable() {
    let day_ms = 86_400_000;
    let retry = RetryPolicy { max_attempts: 1, ..plan().retry };
    let mut engine = engine(Plan { auto_disable_ms: Some(5 * day_ms), retry, ..plan() }, 1..10, None);
    for day in [0, 6, 12] {
        let flight = send(&mut engine, T + day * day_ms);
        engine.settle(flight.id, fails(), "", T + day * day_ms, 0);
        let snapshot = engine.snapshot();
        assert_eq!((snapshot.disable, snapshot.announce), (None, vec![]), "day {day}");
    }
}

fn report_bytes(engine: &mut Engine) -> usize {
    let snapshot = engine.snapshot();
    let update = Update {
        consumer: ConsumerId::from_bytes([1; 16]),
        born: 1,
        progress: snapshot.progress,
        kept: snapshot.kept,
        dropped: snapshot.dropped,
        attempts: Vec::<()>::new(),
        dead_letters: Vec::<DeadLetterChange<()>>::new(),
        disable: None,
        news: Vec::new(),
    };
    codec::encode(&update).unwrap().len()
}

#[test]
fn the_report_on_an_outage_of_a_batching_receiver_fits() {
    let retry =
        RetryPolicy { max_attempts: 1000, max_delay_ms: 3_600_000, jitter_percent: 25, ..plan().retry };
    for max in [10, 50, 1000] {
        let batch = Some(Batch { max, duration_ms: 0 });
        let mut engine =
            Engine::new(Plan { batch, retry, window: 16, ..plan() }, Progress::new(1_000_000), Vec::new());
        let mut now_ms = T;
        while now_ms < T + 24 * 3_600_000 {
            while let Some(from) = engine.wants() {
                engine.offer(&offers(from..from + 128, None), from + 128, now_ms);
            }
            match engine.next(now_ms) {
                Step::Send(flight) => {
                    engine.settle(flight.id, fails(), "refused", now_ms, u32::MAX / 2);
                    report(&mut engine);
                }
                Step::WaitUntil(until_ms) => now_ms = until_ms,
                Step::Wait => panic!("it waits for nothing"),
            }
        }
        let bytes = report_bytes(&mut engine);
        assert!(bytes < MAX_REPORT, "{bytes} bytes with batches of {max}");
    }
}

#[test]
fn an_event_is_redelivered_once_however_often_it_is_requested() {
    let mut engine = Engine::new(plan(), Progress::new(100_000), Vec::new());
    for number in 1..=300 {
        command(&mut engine, number, OwnerCommand::Redeliver((50_000..50_100).collect()));
    }
    assert_eq!(engine.state().waiting_events(), 100);
}

#[test]
fn a_blocked_lane_delays_no_other_and_loses_nothing() {
    let plan = Plan { parked: 1000, ..plan() };
    let mut engine = Engine::new(plan, Progress::new(1), Vec::new());
    engine.offer(&offers(1..2, Some(1)), 2, T);
    let first = send(&mut engine, T);
    engine.settle(first.id, fails(), "", T, 0);
    engine.offer(&offers(2..400, Some(1)), 400, T);
    assert_eq!(engine.wants(), Some(400));
    engine.offer(&offers(400..402, Some(2)), 402, T);
    let other = send(&mut engine, T);
    assert_eq!(seqs(&other), [400]);
    engine.settle(other.id, ok(), "", T, 0);
    engine.offer(&offers(402..1100, Some(1)), 1100, T);
    assert_eq!(engine.wants(), Some(1100), "the cursor passes waiting events");
    assert!(engine.progress().track.above.len() < 3 && engine.state().waiting_events() == 1097);
    let mut got = Vec::new();
    let mut now_ms = T + 1000;
    while got.len() < 1098 {
        let flight = send(&mut engine, now_ms);
        got.extend(seqs(&flight));
        engine.settle(flight.id, ok(), "", now_ms, 0);
        report(&mut engine);
        now_ms += 1;
    }
    let of_one: Vec<u64> = got.into_iter().filter(|seq| !(400..402).contains(seq)).collect();
    assert!(of_one.is_sorted() && of_one.len() >= 1097, "{of_one:?}");
}

#[test]
fn a_batch_of_a_replay_fills_although_a_lane_is_blocked() {
    let batch = Some(Batch { max: 10, duration_ms: 100 });
    let retry = RetryPolicy { delay_ms: 3_600_000, max_delay_ms: 3_600_000, ..plan().retry };
    let mut engine = Engine::new(Plan { batch, retry, ..plan() }, Progress::new(100), Vec::new());
    engine.offer(&offers(100..110, Some(1)), 110, T);
    let first = send(&mut engine, T);
    engine.settle(first.id, fails(), "", T, 0);
    engine.offer(&offers(110..112, Some(1)), 112, T);
    command(&mut engine, 1, replay(1, 4));
    engine.offer_replay(&offers(1..4, Some(2)), 4, T + 5000);
    assert_eq!(engine.next(T + 5000), Step::WaitUntil(T + 5100));
}

#[test]
fn a_failing_replayed_event_delays_no_new_one() {
    let mut engine = Engine::new(plan(), Progress::new(100), Vec::new());
    command(&mut engine, 1, replay(1, 4));
    engine.offer_replay(&offers(1..4, Some(0)), 4, T);
    let again = send(&mut engine, T);
    engine.settle(again.id, fails(), "", T, 0);
    engine.offer(&offers(100..103, Some(0)), 103, T);
    for seq in 100..103 {
        let flight = send(&mut engine, T);
        assert_eq!(seqs(&flight), [seq]);
        assert_eq!(engine.next(T), Step::WaitUntil(T + 1000), "one at a time");
        engine.settle(flight.id, ok(), "", T, 0);
    }
    assert!(matches!(engine.next(T), Step::WaitUntil(_)), "the replay keeps its own order");
}

#[test]
fn a_faster_rate_applies_at_once() {
    let mut engine =
        engine(Plan { rate: Some(Rate { permits: 1, period_ms: 3_600_000 }), ..plan() }, 1..5, None);
    send(&mut engine, T);
    engine.change_plan(Plan { rate: Some(Rate { permits: 1000, period_ms: 1000 }), ..plan() });
    assert!(matches!(engine.next(T), Step::Send(_)));
}

#[test]
fn report_numbers_ascend_over_engines() {
    let mut before = Engine::new(plan(), Progress::new(1), Vec::new());
    let kept = before.snapshot().progress;
    let pending = before.snapshot().progress.reports;
    let mut after = Engine::new(plan(), kept, Vec::new());
    assert!(after.snapshot().progress.reports > pending, "an older engine's report comes before");
}
