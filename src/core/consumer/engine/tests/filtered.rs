//! Tests of what waits while the consumer's choice of events changes, and of batches of any size.

use super::*;

fn batches_of(max: u32) -> Plan {
    // With few attempts a batch is halved at its first failure.
    let retry = RetryPolicy { max_attempts: 100, ..plan().retry };
    Plan { batch: Some(Batch { max, duration_ms: 1000 }), retry, ..plan() }
}

fn waiting(engine: &Engine) -> Vec<(u64, Vec<u64>)> {
    let seqs = |waiting: &Waiting| waiting.events.iter().map(|event| event.seq).collect();
    engine.state().waiting(0, 100).iter().map(|waiting| (waiting.number, seqs(waiting))).collect()
}

/// Forgets these events, wherever they wait.
fn forget(engine: &mut Engine, unwanted: &[u64]) {
    for Waiting { number, events } in engine.state().waiting(0, 100) {
        let events = events.into_iter().filter(|event| unwanted.contains(&event.seq)).collect();
        engine.forget_waiting(&Waiting { number, events }, T);
    }
}

#[test]
fn a_flight_says_whether_its_events_have_waited() {
    let mut engine = engine(plan(), 1..2, None);
    let first = send(&mut engine, T);
    assert!(!first.has_waited);
    engine.unsend(first.id, T);
    let again = send(&mut engine, T);
    assert!(again.has_waited, "the settings may have changed before it was sent");
    engine.settle(again.id, fails(), "", T, 0);
    assert!(send(&mut engine, T + 1000).has_waited);
    command(&mut engine, 1, OwnerCommand::Redeliver(vec![1]));
    assert!(!send(&mut engine, T + 1000).has_waited, "somebody named it");
}

#[test]
fn a_flight_says_whether_it_is_a_replay_and_its_end_whether_it_was_given_up() {
    let mut engine = engine(plan(), 1..2, None);
    let ends = |engine: &mut Engine, now_ms: u64| {
        let flight = send(engine, now_ms);
        let is_given_up = engine.settle(flight.id, fails(), "", now_ms, 0);
        (flight.attempt, flight.is_replay, is_given_up)
    };
    assert_eq!(ends(&mut engine, T), (1, false, false));
    assert_eq!(ends(&mut engine, T + 10_000), (2, false, false));
    assert_eq!(ends(&mut engine, T + 20_000), (3, false, true));
    command(&mut engine, 1, OwnerCommand::Redeliver(vec![1]));
    assert_eq!(ends(&mut engine, T + 30_000), (1, true, false));
    let again = send(&mut engine, T + 40_000);
    assert!(again.is_replay && again.attempt == 2);
    assert!(!engine.settle(again.id, ok(), "", T + 40_000, 0), "it was delivered");
    command(&mut engine, 2, OwnerCommand::Replay { from_seq: 1, until_seq: 2, failed_only: false });
    engine.offer_replay(&offers(1..2, None), 2, T + 40_000);
    assert!(send(&mut engine, T + 40_000).is_replay);
}

#[test]
fn an_unwanted_event_leaves_what_waits() {
    let mut engine = engine(plan(), 1..4, None);
    for _ in 0..3 {
        let flight = send(&mut engine, T);
        engine.settle(flight.id, fails(), "", T, 0);
    }
    forget(&mut engine, &[1, 3]);
    assert_eq!(waiting(&engine).into_iter().map(|(_, seqs)| seqs).collect::<Vec<_>>(), [[2]]);
    let snapshot = engine.snapshot();
    assert_eq!(
        (snapshot.progress.waiting.events, snapshot.new_dead_letters().count()),
        (1, 0),
        "nothing is given up"
    );
    assert_eq!(seqs(&send(&mut engine, T + 1000)), [2]);
    assert_eq!(engine.next(T + 10_000), Step::Wait);
}

#[test]
fn an_unwanted_event_holds_up_nothing_in_its_lane() {
    let mut engine = engine(plan(), 1..3, Some(0));
    let first = send(&mut engine, T);
    engine.settle(first.id, fails(), "", T, 0);
    assert_eq!(engine.next(T), Step::WaitUntil(T + 1000));
    forget(&mut engine, &[1]);
    let second = send(&mut engine, T);
    assert_eq!((seqs(&second), second.gap), (vec![2], None));
    engine.settle(second.id, ok(), "", T, 0);
    assert!(engine.progress().is_idle(2));
}

#[test]
fn a_batch_loses_only_its_unwanted_events_and_keeps_its_place() {
    for lane in [None, Some(0)] {
        let mut engine = engine(batches_of(4), 1..7, lane);
        let batch = send(&mut engine, T + 1000);
        engine.settle(batch.id, fails(), "", T + 1000, 0);
        forget(&mut engine, &[1, 3]);
        assert_eq!(waiting(&engine)[0].1, [2, 4]);
        let again = send(&mut engine, T + 2000);
        assert_eq!(seqs(&again), if lane.is_some() { vec![2, 4] } else { vec![5, 6] });
        let snapshot = engine.snapshot();
        assert!(snapshot.dropped.len() <= 1 && snapshot.new_dead_letters().count() == 0, "{snapshot:?}");
    }
}

#[test]
fn what_is_under_way_is_not_forgotten() {
    let mut engine = engine(plan(), 1..2, None);
    let flight = send(&mut engine, T);
    engine.settle(flight.id, fails(), "", T, 0);
    let again = send(&mut engine, T + 1000);
    forget(&mut engine, &[1]);
    engine.settle(again.id, ok(), "", T + 1000, 0);
    assert_eq!(engine.progress().delivered, 1);
}

#[test]
fn a_replay_ends_when_the_last_of_it_is_unwanted() {
    let mut engine = Engine::new(plan(), Progress::new(100), Vec::new());
    command(&mut engine, 1, OwnerCommand::Replay { from_seq: 1, until_seq: 2, failed_only: false });
    engine.offer_replay(&offers(1..2, None), 2, T);
    let flight = send(&mut engine, T);
    engine.settle(flight.id, fails(), "", T, 0);
    forget(&mut engine, &[1]);
    let replay = &engine.progress().replays[0];
    assert!(replay.ended_ms.is_some() && (replay.delivered, replay.failed) == (0, 0), "{replay:?}");
}

#[test]
fn a_batch_may_be_as_large_as_its_setting_says() {
    for max in [200, 256, 257, 500, 1000] {
        let mut engine = Engine::new(batches_of(max), Progress::new(1), Vec::new());
        while let Some(from) = engine.wants() {
            assert!(from < 3000, "reading ends");
            engine.offer(&offers(from..from + 128, None), from + 128, T);
        }
        assert_eq!(send(&mut engine, T).events.len(), max as usize, "it waits for no more");
    }
}
