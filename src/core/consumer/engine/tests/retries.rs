//! Failed deliveries: retries, pauses, lanes that wait, and receivers that are disabled.

use super::*;

#[test]
fn a_failed_delivery_leaves_the_window_and_is_retried_until_it_is_given_up() {
    let mut engine = engine(plan(), 1..2, None);
    let first = send(&mut engine, T);
    engine.settle(first.id, fails(), "500", T, 0);
    assert_eq!(engine.progress().track.next, 2);
    assert_eq!(engine.next(T), Step::WaitUntil(T + 1000));
    let second = send(&mut engine, T + 1000);
    assert_eq!((second.attempt, engine.snapshot().kept.len()), (2, 1));
    engine.settle(second.id, fails(), "500", T + 1000, 0);
    let third = send(&mut engine, T + 3000);
    engine.settle(third.id, fails(), "no more", T + 3000, 0);
    let snapshot = engine.snapshot();
    let given_up: Vec<_> =
        snapshot.new_dead_letters().map(|dead_letter| (dead_letter.attempts, cause(dead_letter))).collect();
    assert_eq!(given_up, [(3, "no more")]);
    assert!(snapshot.progress.waiting.events == 0 && snapshot.dropped.len() == 1 && engine.state().is_idle());
}

#[test]
fn a_strict_lane_waits_and_reports_the_gap() {
    let mut engine = engine(plan(), 1..4, Some(0));
    let first = send(&mut engine, T);
    assert_eq!(engine.next(T), Step::Wait);
    engine.settle(first.id, fails(), "", T, 0);
    assert_eq!(engine.next(T), Step::WaitUntil(T + 1000));
    for at in [T + 1000, T + 3000] {
        let again = send(&mut engine, at);
        assert_eq!(seqs(&again), [1]);
        engine.settle(again.id, fails(), "", at, 0);
    }
    assert_eq!(engine.next(T + 3000), Step::Wait, "until the cluster knows");
    assert_eq!(engine.snapshot().new_dead_letters().count(), 1);
    engine.reported();
    let after = send(&mut engine, T + 3000);
    assert_eq!((seqs(&after), after.gap), (vec![2], Some(event(1).id)));
    engine.settle(after.id, ok(), "", T + 3000, 0);
    assert_eq!(send(&mut engine, T + 3000).gap, None);
}

#[test]
fn other_lanes_continue() {
    let mut engine = Engine::new(plan(), Progress::new(1), Vec::new());
    let offers: Vec<Offer> =
        (1..5).map(|seq| Offer { event: event(seq), wanted: true, lane: Some(seq % 2), kind: 0 }).collect();
    engine.offer(&offers, 5, T);
    let one = send(&mut engine, T);
    let two = send(&mut engine, T);
    assert_eq!((seqs(&one), seqs(&two), engine.next(T)), (vec![1], vec![2], Step::Wait));
    engine.settle(one.id, fails(), "", T, 0);
    engine.settle(two.id, ok(), "", T, 0);
    assert_eq!(seqs(&send(&mut engine, T)), [4]);
    assert_eq!(engine.next(T), Step::WaitUntil(T + 1000));
}

#[test]
fn a_failing_receiver_gets_single_requests_with_growing_pauses_and_a_slow_start() {
    let mut engine = engine(plan(), 1..200, None);
    let mut now = T;
    let mut requests = 0;
    while now < T + 120_000 {
        match engine.next(now) {
            Step::Send(flight) => {
                requests += 1;
                assert!(requests <= 5 || engine.state().in_flight() == 1);
                engine.settle(flight.id, fails(), "refused", now, u32::MAX / 2);
            }
            Step::WaitUntil(until) => now = until,
            Step::Wait => panic!("nothing to wait for"),
        }
    }
    assert!(requests < 20, "{requests} requests in two minutes");
    let probe = loop {
        match engine.next(now) {
            Step::Send(flight) => break flight,
            Step::WaitUntil(until) => now = until,
            Step::Wait => panic!("nothing to wait for"),
        }
    };
    engine.settle(probe.id, ok(), "", now, 0);
    let flights: Vec<Flight> = (0..2).map(|_| send(&mut engine, now)).collect();
    assert_eq!(engine.next(now), Step::Wait, "two at a time after the first success");
    flights.into_iter().for_each(|flight| {
        engine.settle(flight.id, ok(), "", now, 0);
    });
    (0..4).for_each(|_| drop(send(&mut engine, now)));
    assert_eq!(engine.next(now), Step::Wait);
}

#[test]
fn the_next_attempt_is_due_after_the_pause_of_a_failing_receiver() {
    let mut engine = engine(plan(), 1..200, None);
    let mut now = T;
    while now < T + 60_000 {
        match engine.next(now) {
            Step::Send(flight) => {
                engine.settle(flight.id, fails(), "refused", now, u32::MAX / 2);
            }
            Step::WaitUntil(until) => {
                let due = engine.progress().waiting.due_ms;
                assert!(due >= Some(until), "due at {due:?}, and nothing is sent before {until}");
                now = until;
            }
            Step::Wait => panic!("nothing to wait for"),
        }
    }
}

#[test]
fn a_requested_pause_holds_everything_and_uses_up_no_attempt() {
    let mut engine = engine(plan(), 1..3, None);
    let first = send(&mut engine, T);
    engine.settle(first.id, busy(Some(5000)), "429", T, 0);
    assert_eq!(engine.next(T + 4999), Step::WaitUntil(T + 5000));
    let again = send(&mut engine, T + 5000);
    assert_eq!((seqs(&again), again.attempt), (vec![1], 1));
    engine.settle(again.id, Completion { pause_ms: Some(700), ..ok() }, "", T + 5000, 0);
    assert_eq!(engine.next(T + 5000), Step::WaitUntil(T + 5700), "the allowance is used up");
}

#[test]
fn one_request_follows_a_requested_pause() {
    let mut engine = engine(plan(), 1..40, None);
    let later = busy(Some(1000));
    let first: Vec<Flight> = (0..4).map(|_| send(&mut engine, 0)).collect();
    first.iter().for_each(|flight| {
        engine.settle(flight.id, later, "later", 10, 0);
    });
    let mut now_ms = 10;
    for _ in 1..5 {
        let Step::WaitUntil(until_ms) = engine.next(now_ms) else { panic!("no pause") };
        now_ms = until_ms;
        let flight = send(&mut engine, now_ms);
        assert_eq!(engine.next(now_ms), Step::Wait, "one at a time");
        engine.settle(flight.id, later, "later", now_ms, 0);
    }
    let flight = send(&mut engine, 60_000);
    engine.settle(flight.id, ok(), "", 60_000, 0);
    (0..2).for_each(|_| drop(send(&mut engine, 60_000)));
    assert_eq!(engine.next(60_000), Step::Wait, "a slow start");
}

#[test]
fn the_failing_event_of_a_batch_is_found() {
    let batch = Some(Batch { max: 8, duration_ms: 0 });
    let mut engine = engine(Plan { batch, window: 1, ..plan() }, 1..9, None);
    let mut now = T;
    let mut delivered = BTreeSet::new();
    loop {
        match engine.next(now) {
            Step::Send(flight) if seqs(&flight).contains(&6) => {
                engine.settle(flight.id, refused(flight.events.len()), "no", now, 0);
            }
            Step::Send(flight) => {
                delivered.extend(seqs(&flight));
                engine.settle(flight.id, ok(), "", now, 0);
            }
            Step::WaitUntil(until) => now = until,
            Step::Wait => break,
        }
    }
    assert_eq!(delivered, (1..9).filter(|seq| *seq != 6).collect());
    assert_eq!(
        engine.snapshot().new_dead_letters().map(|dead_letter| dead_letter.seq).collect::<Vec<_>>(),
        [6]
    );
}

#[test]
fn a_receiver_that_is_gone_is_disabled_and_loses_nothing() {
    let mut engine = engine(plan(), 1..2, None);
    let flight = send(&mut engine, T);
    engine.settle(flight.id, gone(), "410", T, 0);
    let snapshot = engine.snapshot();
    assert!(snapshot.disable.as_ref().unwrap().contains("gone for good"));
    assert_eq!(snapshot.kept[0].1.events, [event(1)]);
    assert_eq!(
        (engine.state().urgency(), engine.next(T)),
        (Urgency::None, Step::Wait),
        "until the cluster has disabled it"
    );
    command(&mut engine, 3, OwnerCommand::Resume);
    assert_eq!(seqs(&send(&mut engine, T)), [1]);
}

#[test]
fn requests_that_fail_together_count_once() {
    let mut engine = engine(Plan { window: 16, ..plan() }, 1..40, None);
    let flights: Vec<Flight> = (0..16).map(|_| send(&mut engine, T)).collect();
    flights.into_iter().for_each(|flight| {
        engine.settle(flight.id, fails(), "503", T, 0);
    });
    assert_eq!(engine.progress().failures, 1);
    assert!(matches!(engine.next(T), Step::Send(_)), "a short outage causes no long wait");
}

#[test]
fn requests_to_a_receiver_that_hangs_go_in_waves_of_half_the_size() {
    let retry = RetryPolicy { delay_ms: 3_600_000, max_delay_ms: 3_600_000, ..plan().retry };
    let mut engine = engine(Plan { window: 16, retry, ..plan() }, 1..200, None);
    let mut now = T;
    let mut waves = Vec::new();
    while waves.len() < 7 {
        let mut flights = Vec::new();
        loop {
            match engine.next(now) {
                Step::Send(flight) => flights.push(flight),
                Step::WaitUntil(until) if flights.is_empty() => now = until,
                Step::WaitUntil(_) | Step::Wait => break,
            }
        }
        waves.push(flights.len());
        // All of them end at their time limit.
        flights.into_iter().for_each(|flight| {
            engine.settle(flight.id, fails(), "timeout", now, u32::MAX / 2);
        });
    }
    assert_eq!(waves, [16, 8, 4, 2, 1, 1, 1]);
    assert_eq!(engine.progress().failures, 7, "each wave counts once");
    assert!(now > T, "from the fifth failure on there are pauses");
}

#[test]
fn an_event_that_always_fails_keeps_no_other_from_being_tried() {
    let mut engine = Engine::new(
        Plan { retry: RetryPolicy { max_attempts: 100, ..plan().retry }, ..plan() },
        Progress::new(1),
        Vec::new(),
    );
    engine.offer(&[offers(1..2, Some(1)), offers(2..60, Some(2))].concat(), 60, T);
    let mut now = T;
    let mut delivered = 0;
    while delivered < 58 && now < T + 600_000 {
        match engine.next(now) {
            Step::Send(flight) if seqs(&flight) == [1] => {
                engine.settle(flight.id, fails(), "500", now, 0);
            }
            Step::Send(flight) => {
                delivered += 1;
                engine.settle(flight.id, ok(), "", now, 0);
            }
            Step::WaitUntil(until) => now = until,
            Step::Wait => panic!("nothing to wait for"),
        }
    }
    assert!(now < T + 10_000, "{delivered} after {} ms", now - T);
}

#[test]
fn failures_are_announced_before_they_disable_and_a_success_clears_them() {
    let mut engine = engine(Plan { auto_disable_ms: Some(400_000), ..plan() }, 1..100, None);
    let mut announced = Vec::new();
    let mut now = T;
    let disabled = loop {
        match engine.next(now) {
            Step::Send(flight) => {
                engine.settle(flight.id, fails(), "500", now, 0);
            }
            Step::WaitUntil(until) => now = until,
            Step::Wait => panic!("nothing to wait for"),
        }
        let snapshot = engine.snapshot();
        announced.extend(snapshot.announce);
        if let Some(why) = snapshot.disable {
            break why;
        }
    };
    assert!(now >= T + 400_000 && disabled.contains("has failed for"), "{disabled}");
    assert_eq!(announced, [50, 75, 90, 100]);
    command(&mut engine, 9, OwnerCommand::Resume);
    let flight = send(&mut engine, now);
    engine.settle(flight.id, fails(), "500", now, 0);
    assert_eq!(engine.snapshot().disable, None, "the time starts again");
}

#[test]
fn a_reader_says_how_long_a_refused_event_waits() {
    let mut engine = engine(plan(), 1..2, None);
    let after = |ms| Completion::failed(Verdict::AgainAfter(ms), Blame::Delivery);
    let first = send(&mut engine, T);
    engine.settle(first.id, after(5), "", T, 0);
    assert_eq!(engine.next(T), Step::WaitUntil(T + 5), "and not the second of the schedule");
    let second = send(&mut engine, T + 5);
    engine.settle(second.id, after(0), "", T + 5, 0);
    let third = send(&mut engine, T + 5);
    assert_eq!((second.attempt, third.attempt), (2, 3));
    assert!(!engine.state().is_failing(), "readers that refuse make no consumer failing");
    engine.settle(third.id, after(0), "no", T + 5, 0);
    let snapshot = engine.snapshot();
    let dead: Vec<(u64, u32)> = snapshot.new_dead_letters().map(|dead| (dead.seq, dead.attempts)).collect();
    assert_eq!(dead, [(1, 3)]);
}
