//! Tests that failing events delay no others: whatever fails, every event that can be delivered is delivered.

use super::*;

fn of(seqs: std::ops::Range<u64>, lane: Option<u64>, kind: u32) -> Vec<Offer> {
    offers(seqs, lane).into_iter().map(|offer| Offer { kind, ..offer }).collect()
}

/// Sends, answers and reports until `done` or until that time has passed. Returns when it ended.
fn run(
    engine: &mut Engine,
    stream: &[Offer],
    until_ms: u64,
    mut answer: impl FnMut(&Flight) -> Completion,
    done: impl Fn() -> bool,
) -> u64 {
    let mut now_ms = T;
    while now_ms < until_ms && !done() {
        read(engine, stream, now_ms);
        match engine.next(now_ms) {
            Step::Send(flight) => {
                let completion = answer(&flight);
                engine.settle(flight.id, completion, "x", now_ms, u32::MAX / 2);
            }
            Step::WaitUntil(until_ms) => now_ms = until_ms.max(now_ms + 1),
            Step::Wait if engine.state().is_idle() => break,
            Step::Wait => {}
        }
        report(engine);
    }
    now_ms
}

/// Reads as much as the engine has room for. The stream begins with seq 1 and has no holes.
fn read(engine: &mut Engine, stream: &[Offer], now_ms: u64) {
    while let Some(from) = engine.wants().filter(|from| *from <= stream.len() as u64) {
        let page = &stream[from as usize - 1..stream.len().min(from as usize + 127)];
        engine.offer(page, from + page.len() as u64, now_ms);
    }
    assert!(
        engine.live.queue().ready().len() <= engine.plan.ready_max() + 128 + 1
            && engine.live.queue().parked() <= engine.plan.parked.max(2128)
    );
}

fn patient() -> Plan {
    let retry = RetryPolicy { max_attempts: 1000, delay_ms: 10_000, max_delay_ms: 600_000, ..plan().retry };
    Plan { retry, window: 16, ..plan() }
}

#[test]
fn a_failing_key_costs_only_its_own_events() {
    for (queued, refuses) in [(100, false), (400, false), (400, true), (3000, false)] {
        let stream = [of(1..queued + 1, Some(7), 1), of(queued + 1..queued + 21, Some(8), 1)].concat();
        let mut engine = Engine::new(Plan { parked: 2000, ..patient() }, Progress::new(1), Vec::new());
        let good = std::cell::RefCell::new(BTreeSet::new());
        let ended = run(
            &mut engine,
            &stream,
            T + 3_600_000,
            |flight| {
                if flight.events[0].seq <= queued {
                    return if refuses { refused(flight.events.len()) } else { fails() };
                }
                good.borrow_mut().extend(seqs(flight));
                ok()
            },
            || good.borrow().len() == 20,
        );
        assert_eq!(good.borrow().len(), 20);
        assert!(ended < T + 1000, "{} ms with {queued} of a key that fails", ended - T);
        assert!(engine.progress().track.above.len() < 3, "the cursor passes waiting events");
    }
}

#[test]
fn events_that_wait_for_a_retry_delay_nothing() {
    for refuses in [true, false] {
        let stream = [of(1..1501, None, 1), of(1501..1601, None, 2)].concat();
        let mut engine = Engine::new(patient(), Progress::new(1), Vec::new());
        let good = std::cell::RefCell::new(BTreeSet::new());
        let ended = run(
            &mut engine,
            &stream,
            T + 3_600_000,
            |flight| {
                if flight.events[0].seq < 1501 {
                    return if refuses { refused(flight.events.len()) } else { fails() };
                }
                good.borrow_mut().extend(seqs(flight));
                ok()
            },
            || good.borrow().len() == 100,
        );
        assert_eq!(good.borrow().len(), 100);
        assert!(ended < T + 60_000, "{} ms beside a type that fails (refused: {refuses})", ended - T);
    }
}

#[test]
fn a_hanging_retry_leaves_room_for_new_events() {
    let mut engine = Engine::new(Plan { parked: 2000, ..patient() }, Progress::new(1), Vec::new());
    engine.offer(&of(1..2, Some(1), 1), 2, T);
    let mut now_ms = T;
    for _ in 0..6 {
        let Step::Send(flight) = engine.next(now_ms) else { panic!("nothing to send") };
        now_ms += 30_000;
        engine.settle(flight.id, fails(), "", now_ms, 0);
        now_ms += 3_600_000;
    }
    let hangs = send(&mut engine, now_ms);
    assert_eq!(engine.next(now_ms), Step::Wait, "one at a time");
    engine.offer(&of(2..3, Some(2), 1), 3, now_ms);
    assert_eq!(seqs(&send(&mut engine, now_ms)), [2], "{hangs:?} is no reason to wait");
}

#[test]
fn a_consumer_with_untried_events_is_not_disabled() {
    let limit_ms = 3_600_000;
    // It is tried so often that all announcements come before the time is over.
    let retry = RetryPolicy { max_delay_ms: 60_000, ..patient().retry };
    let plan = Plan { parked: 2000, auto_disable_ms: Some(limit_ms), retry, ..patient() };
    let mut engine = Engine::new(plan, Progress::new(1), Vec::new());
    engine.offer(&of(1..400, Some(1), 1), 400, T);
    let mut now_ms = T;
    let mut announced = Vec::new();
    // Only events of the first key are ready, and they fail.
    let last = loop {
        match engine.next(now_ms) {
            Step::Send(flight) if now_ms >= T + limit_ms - 60_000 => break flight,
            Step::Send(flight) => {
                engine.settle(flight.id, fails(), "", now_ms, 0);
            }
            Step::WaitUntil(until_ms) => now_ms = until_ms,
            Step::Wait => panic!("nothing to wait for"),
        }
        announced.extend(engine.snapshot().announce);
        engine.reported();
    };
    assert_eq!((announced, last.attempt > 10), (vec![50, 75, 90], true));
    // While the request that would end it is under way, others arrive.
    engine.offer(&of(400..420, Some(2), 1), 420, now_ms);
    now_ms = T + limit_ms + 1000;
    engine.settle(last.id, fails(), "", now_ms, 0);
    assert_eq!(engine.snapshot().disable, None, "other keys could have succeeded");
    engine.reported();
    let mut good = 0;
    while now_ms < T + 3 * limit_ms {
        match engine.next(now_ms) {
            Step::Send(flight) if flight.events[0].seq >= 400 => {
                good += 1;
                engine.settle(flight.id, ok(), "", now_ms, 0);
            }
            Step::Send(flight) => {
                engine.settle(flight.id, fails(), "", now_ms, 0);
            }
            Step::WaitUntil(until_ms) => now_ms = until_ms,
            Step::Wait => break,
        }
        assert!(good == 20 || engine.snapshot().disable.is_none(), "other keys could have succeeded");
        engine.reported();
    }
    assert_eq!(good, 20);
}

#[test]
fn waiting_events_are_bounded_and_their_own_lane_makes_room() {
    let mut engine = Engine::new(Plan { parked: 2000, ..patient() }, Progress::new(1), Vec::new());
    let mut lost = 0;
    let mut offered = 1;
    engine.offer(&of(1..2, Some(1), 1), 2, T);
    let first = send(&mut engine, T);
    engine.settle(first.id, fails(), "", T, 0);
    while offered < MAX_WAITING as u64 + 600 {
        let from = engine.wants().unwrap();
        engine.offer(&of(from..from + 128, Some(1), 1), from + 128, T);
        offered = from + 127;
        lost += engine
            .snapshot()
            .new_dead_letters()
            .filter(|dead_letter| dead_letter.reason == Reason::Overflow)
            .count();
        engine.reported();
        // The next event of the key comes first now, fails, and is the next to be given up.
        while let Step::Send(flight) = engine.next(T + 60_000) {
            engine.settle(flight.id, fails(), "", T + 60_000, 0);
        }
        while engine.wants().is_none() {
            lost += engine.snapshot().new_dead_letters().count();
            engine.reported();
            if let Step::Send(flight) = engine.next(T + 120_000) {
                engine.settle(flight.id, fails(), "", T + 120_000, 0);
            }
        }
    }
    assert!(
        engine.state().waiting_events() <= MAX_WAITING as u64 + 128 && lost > 0,
        "{} and {lost}",
        engine.state().waiting_events()
    );
    engine.offer(&of(offered + 1..offered + 2, Some(2), 1), offered + 2, T);
    assert_eq!(seqs(&send(&mut engine, T + 60_000)), [offered + 1], "other keys continue");
}

#[test]
fn an_unread_event_is_read_although_waiting_events_fill_the_bound() {
    let all = 2..MAX_WAITING as u64 + 2;
    let waits = |seq| Retry {
        events: vec![event(seq)],
        attempts: 0,
        due_ms: T,
        first_ms: 0,
        lanes: vec![1],
        source: Source::Live,
    };
    let mut progress = Progress::new(1);
    progress.track.above = vec![(2, all.end)];
    let mut engine = Engine::new(
        Plan { parked: 2000, ..patient() },
        progress,
        all.clone().map(|seq| (seq, waits(seq))).collect(),
    );
    assert_eq!(
        (engine.next(T), engine.wants()),
        (Step::Wait, Some(1)),
        "as many wait as may, all of them for 1"
    );
    engine.offer(&of(1..2, Some(1), 1), 2, T);
    let first = send(&mut engine, T);
    assert_eq!(seqs(&first), [1]);
    engine.settle(first.id, ok(), "", T, 0);
    engine.offer(&of(2..66, Some(1), 1), 66, T);
    assert_eq!(seqs(&send(&mut engine, T)), [2], "the others are read past, and have their turns");
}

#[test]
fn the_next_owner_repeats_batches_unchanged() {
    let plan = Plan { batch: Some(Batch { max: 10, duration_ms: 100 }), ..plan() };
    let mut engine = Engine::new(plan.clone(), Progress::new(1), Vec::new());
    engine.offer(&offers(1..4, None), 4, T);
    let first = send(&mut engine, T + 100);
    engine.offer(&offers(4..9, None), 9, T + 100);
    let second = send(&mut engine, T + 200);
    let mut cluster = Cluster::new(1);
    cluster.take(engine.snapshot());
    // The results are unknown. More events have come since and are ready at once.
    let mut next = cluster.engine(plan);
    next.offer(&offers(1..40, None), 40, T + 300);
    let again = [send(&mut next, T + 300), send(&mut next, T + 300)];
    assert_eq!((seqs(&again[0]), seqs(&again[1])), (seqs(&first), seqs(&second)));
    assert_eq!(seqs(&send(&mut next, T + 300)), (9..19).collect::<Vec<_>>());
}

#[test]
fn the_next_owner_reads_a_whole_batch_before_it_repeats_it() {
    let plan = Plan { batch: Some(Batch { max: 10, duration_ms: 0 }), ..plan() };
    let mut engine = engine(plan.clone(), 1..5, None);
    let first = send(&mut engine, T);
    engine.offer(&offers(5..9, None), 9, T);
    let second = send(&mut engine, T);
    let mut cluster = Cluster::new(1);
    cluster.take(engine.snapshot());
    let mut next = cluster.engine(plan);
    // The first page ends in the middle of the second batch.
    next.offer(&offers(1..7, None), 7, T);
    assert_eq!(seqs(&send(&mut next, T)), seqs(&first));
    assert!(!matches!(next.next(T), Step::Send(_)) && next.wants() == Some(7), "the rest is read first");
    next.offer(&offers(7..9, None), 9, T);
    assert_eq!(seqs(&send(&mut next, T)), seqs(&second));
}

#[test]
fn a_batch_is_repeated_unchanged_and_split_when_others_succeed() {
    let plan = Plan { batch: Some(Batch { max: 4, duration_ms: 0 }), window: 1, ..patient() };
    let mut engine = Engine::new(plan, Progress::new(1), Vec::new());
    engine.offer(&offers(1..5, None), 5, T);
    let first = send(&mut engine, T);
    engine.settle(first.id, fails(), "", T, 0);
    engine.offer(&offers(5..6, None), 6, T);
    let other = send(&mut engine, T + 1);
    engine.settle(other.id, ok(), "", T + 1, 0);
    let second = send(&mut engine, T + 10_000);
    assert_eq!(seqs(&second), seqs(&first));
    engine.settle(second.id, fails(), "", T + 10_000, 0);
    assert_eq!(seqs(&send(&mut engine, T + 40_000)), [1, 2]);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ordered {
    None,
    Key,
    Strict,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// With any set of failing keys, every event of the other keys is delivered once, the order of each key
    /// is kept, and memory is bounded. In a strict order a failing event is given up first.
    #[test]
    fn every_event_that_can_be_delivered_is(
        keys in prop::collection::vec(0u64..12, 600..900),
        bad in prop::collection::btree_set(0u64..12, 0..8),
        ordering in prop_oneof![Just(Ordered::None), Just(Ordered::Key), Just(Ordered::Strict)],
        (batch, rate, window, replayed) in (0u32..6, any::<bool>(), 1usize..20, any::<bool>()),
        failure in 0u8..4,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let batch = (batch > 2).then_some(Batch { max: batch, duration_ms: 20 });
        // If a good event can be behind a failing one, the failing one must be given up at some point.
        let attempts = match (batch, ordering) {
            (Some(_), _) => 4,
            (None, Ordered::Strict) => 3,
            (None, _) => 1000,
        };
        let retry = RetryPolicy { max_attempts: attempts, ..patient().retry };
        let parked = if ordering == Ordered::Key { 50 } else { usize::MAX };
        let rate = rate.then_some(Rate { permits: 5, period_ms: 1000 });
        let plan = Plan { batch, rate, window, parked, retry, ..plan() };
        let lane = |key: u64| match ordering {
            Ordered::None => None,
            Ordered::Key => Some(key),
            Ordered::Strict => Some(0),
        };
        let stream: Vec<Offer> = keys.iter().zip(1..).map(|(key, seq)| Offer {
            event: event(seq), wanted: true, lane: lane(*key), kind: (*key % 5) as u32,
        }).collect();
        let key_of = |seq: u64| keys[seq as usize - 1];
        let end = keys.len() as u64 + 1;
        let mut engine = Engine::new(plan, Progress::new(if replayed { end } else { 1 }), Vec::new());
        if replayed {
            command(&mut engine, 1, OwnerCommand::Replay { from_seq: 1, until_seq: end, failed_only: false });
        }
        let good: BTreeSet<u64> = (1..end).filter(|seq| !bad.contains(&key_of(*seq))).collect();
        let mut delivered: Vec<u64> = Vec::new();
        let mut now_ms = T;
        let mut flying = Vec::<Flight>::new();
        let mut steps = 0;
        while delivered.len() < good.len() {
            steps += 1;
            prop_assert!(steps < 200_000 && now_ms < T + 50 * 86_400_000, "{} of {} after {} ms; {:?} {:?} {:?} {} {:?} {} {:?}", delivered.len(), good.len(), now_ms - T, engine.live.queue().ready().len(), engine.live.queue().parked(), engine.retries.summary(), engine.live.next(), engine.wants(), engine.flights.len(), engine.retries.first_due());
            read(&mut engine, &stream, now_ms);
            if let Some(read) = engine.wants_replay() {
                let until = (read.from_seq + 128).min(read.until_seq);
                engine.offer_replay(&stream[read.from_seq as usize - 1..until as usize - 1], until, now_ms);
            }
            match engine.next(now_ms) {
                Step::Send(flight) => {
                    let lanes = |flight: &Flight| seqs(flight).into_iter().filter_map(|seq| lane(key_of(seq))).collect::<BTreeSet<u64>>();
                    let ours = lanes(&flight);
                    prop_assert!(flying.iter().all(|other| lanes(other).is_disjoint(&ours)), "two of a lane at once");
                    flying.push(flight);
                    continue;
                }
                Step::WaitUntil(until_ms) if flying.is_empty() => now_ms = until_ms.max(now_ms + 1),
                _ => prop_assert!(!flying.is_empty(), "it waits for nothing: {:?}", engine.progress()),
            }
            if !flying.is_empty() {
                let flight = flying.remove(picks[steps % picks.len()].index(flying.len()));
                now_ms += 1;
                let is_bad = seqs(&flight).into_iter().any(|seq| bad.contains(&key_of(seq)));
                let completion = match failure {
                    _ if !is_bad => ok(),
                    0 | 2 => fails(),
                    1 => refused(flight.events.len()),
                    _ => busy(None),
                };
                if !is_bad {
                    delivered.extend(seqs(&flight));
                }
                // A busy receiver refuses the same events for ever: a batch that contains one cannot be told
                // from others.
                let is_busy = completion.verdict == Verdict::Later;
                let completion = if is_busy && (batch.is_some() || ordering == Ordered::Strict) { fails() } else { completion };
                engine.settle(flight.id, completion, "x", now_ms, u32::MAX / 2);
                report(&mut engine);
            }
            prop_assert!(engine.state().waiting_events() <= MAX_WAITING as u64);
        }
        let set: BTreeSet<u64> = delivered.iter().copied().collect();
        prop_assert_eq!(delivered.len(), set.len(), "delivered twice");
        prop_assert_eq!(&set, &good);
        for wanted in 0..12 {
            let of_key: Vec<u64> = delivered.iter().copied().filter(|seq| key_of(*seq) == wanted).collect();
            prop_assert!(ordering == Ordered::None || of_key.is_sorted(), "key {}: {:?}", wanted, of_key);
        }
    }
}
