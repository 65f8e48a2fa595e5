//! Tests of each rule, and of all rules together in a random environment.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::room::MAX_WAITING;
use super::*;
use crate::core::consumer::progress::{DeadLetter, DeadLetterChange, NumberedCommand, Order, Reason};
use crate::core::consumer::report::MAX_UNREPORTED;
use crate::core::consumer::schedule::RetryPolicy;
use crate::core::consumer::verdict::{Blame, Completion, Verdict};
use crate::core::ids::EventId;
use crate::core::rate::Rate;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const T: u64 = 1_000_000;

/// An engine whose causes are texts.
type Engine = super::Engine<&'static str>;
type Snapshot = super::Snapshot<&'static str>;

mod bounds;
mod filtered;
mod orders;
mod progress;

/// What the cluster stores of a consumer.
#[derive(Clone)]
struct Cluster {
    progress: Progress,
    waiting: BTreeMap<u64, Retry>,
    /// Dead letters.
    dead_letters: BTreeSet<u64>,
}

impl Cluster {
    fn new(next: u64) -> Self {
        Self { progress: Progress::new(next), waiting: BTreeMap::new(), dead_letters: BTreeSet::new() }
    }

    /// Returns an owner that continues from it.
    fn engine(&self, plan: Plan) -> Engine {
        let waiting = self.waiting.iter().map(|(number, retry)| (*number, retry.clone())).collect();
        Engine::new(plan, self.progress.clone(), waiting)
    }

    fn take(&mut self, told: Snapshot) {
        told.dropped.iter().for_each(|number| drop(self.waiting.remove(number)));
        self.waiting.extend(told.kept);
        self.progress = told.progress;
        for change in told.dead_letters {
            match change {
                DeadLetterChange::Added(dead_letter) => self.dead_letters.insert(dead_letter.seq),
                DeadLetterChange::Removed(seq) => self.dead_letters.remove(&seq),
            };
        }
    }
}

fn plan() -> Plan {
    let retry = RetryPolicy {
        max_attempts: 3,
        delay_ms: 1000,
        factor_percent: 200,
        max_delay_ms: 60_000,
        jitter_percent: 0,
        ambiguous: true,
    };
    Plan { rate: None, batch: None, retry, window: 4, auto_disable_ms: None, parked: usize::MAX }
}

fn event(seq: u64) -> EventRef {
    EventRef { seq, id: EventId::new(T, seq, 0) }
}

fn offers(seqs: std::ops::Range<u64>, lane: Option<u64>) -> Vec<Offer> {
    seqs.map(|seq| Offer { event: event(seq), wanted: true, lane, kind: 0 }).collect()
}

fn engine(plan: Plan, seqs: std::ops::Range<u64>, lane: Option<u64>) -> Engine {
    let mut engine = Engine::new(plan, Progress::new(seqs.start), Vec::new());
    engine.offer(&offers(seqs.clone(), lane), seqs.end, T);
    engine
}

fn send(engine: &mut Engine, now_ms: u64) -> Flight {
    match engine.next(now_ms) {
        Step::Send(flight) => flight,
        other => panic!("{other:?}"),
    }
}

/// The cluster takes everything that there is to report.
fn tell(engine: &mut Engine) {
    engine.snapshot();
    engine.reported();
}

fn seqs(flight: &Flight) -> Vec<u64> {
    flight.events.iter().map(|event| event.seq).collect()
}

fn ok() -> Completion {
    Completion::DONE
}

/// The receiver fails.
fn fails() -> Completion {
    Completion::failed(Verdict::Again, Blame::Receiver)
}

/// The receiver refuses this number of events, and would accept others.
fn refused(events: usize) -> Completion {
    Completion::failed(if events > 1 { Verdict::Halve } else { Verdict::Again }, Blame::Delivery)
}

/// The receiver requests a pause.
fn busy(pause_ms: Option<u64>) -> Completion {
    Completion { pause_ms, ..Completion::failed(Verdict::Later, Blame::Receiver) }
}

fn gone() -> Completion {
    Completion::failed(Verdict::Gone, Blame::Receiver)
}

/// The event cannot be turned into a request.
fn unsendable() -> Completion {
    Completion::failed(Verdict::GiveUp, Blame::Delivery)
}

fn cause(dead_letter: &DeadLetter<&'static str>) -> &'static str {
    match dead_letter.reason {
        Reason::Failed(cause) => cause,
        Reason::Skipped | Reason::Overflow => panic!("{dead_letter:?}"),
    }
}

fn order(engine: &mut Engine, number: u64, order: Order) {
    engine.order(NumberedCommand { number, at_ms: T, order }, T, |seq| Some(event(seq).id));
}

#[test]
fn no_more_requests_than_the_window_are_under_way() {
    let mut engine = engine(plan(), 1..10, None);
    let flights: Vec<Flight> = (0..4).map(|_| send(&mut engine, T)).collect();
    assert_eq!(flights.iter().flat_map(seqs).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(engine.next(T), Step::Wait);
    engine.settle(flights[2].id, ok(), "", T, 0);
    assert_eq!(engine.progress().track, Track { next: 1, above: vec![(3, 4)] });
    assert_eq!(seqs(&send(&mut engine, T)), [5]);
}

#[test]
fn the_cluster_is_never_far_behind() {
    let mut engine = engine(plan(), 1..2, None);
    let deliver = |engine: &mut Engine, seq| {
        engine.offer(&offers(seq..seq + 1, None), seq + 1, T);
        let Step::Send(flight) = engine.next(T) else { return false };
        engine.settle(flight.id, ok(), "", T, 0);
        true
    };
    assert_eq!((2..2000).take_while(|seq| deliver(&mut engine, *seq)).count(), MAX_UNREPORTED as usize);
    engine.snapshot();
    assert_eq!(engine.next(T), Step::Wait, "reported, and not acknowledged yet");
    engine.reported();
    assert_eq!(seqs(&send(&mut engine, T)), [u64::from(MAX_UNREPORTED) + 1]);
}

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
    let told = engine.snapshot();
    let buried: Vec<_> =
        told.buried().map(|dead_letter| (dead_letter.attempts, cause(dead_letter))).collect();
    assert_eq!(buried, [(3, "no more")]);
    assert!(told.progress.waiting.events == 0 && told.dropped.len() == 1 && engine.state().is_idle());
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
    assert_eq!(engine.snapshot().buried().count(), 1);
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
    flights.into_iter().for_each(|flight| engine.settle(flight.id, ok(), "", now, 0));
    (0..4).for_each(|_| drop(send(&mut engine, now)));
    assert_eq!(engine.next(now), Step::Wait);
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
    first.iter().for_each(|flight| engine.settle(flight.id, later, "later", 10, 0));
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
fn the_rate_is_kept() {
    let rate = Some(Rate { permits: 2, period_ms: 1000 });
    let mut engine = engine(Plan { rate, ..plan() }, 1..9, None);
    for _ in 0..2 {
        let flight = send(&mut engine, T);
        engine.settle(flight.id, ok(), "", T, 0);
    }
    let Step::WaitUntil(until_ms) = engine.next(T) else { panic!("no pause") };
    assert!((T + 1000..T + 1050).contains(&until_ms), "{until_ms}");
}

#[test]
fn a_batch_is_sent_when_it_is_full_or_has_waited() {
    let batch = Some(Batch { max: 3, duration_ms: 100 });
    let mut engine = engine(Plan { batch, ..plan() }, 1..6, None);
    assert_eq!(seqs(&send(&mut engine, T)), [1, 2, 3]);
    assert_eq!(engine.next(T), Step::WaitUntil(T + 100));
    assert_eq!(seqs(&send(&mut engine, T + 100)), [4, 5]);
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
    assert_eq!(engine.snapshot().buried().map(|dead_letter| dead_letter.seq).collect::<Vec<_>>(), [6]);
}

#[test]
fn a_receiver_that_is_gone_is_disabled_and_loses_nothing() {
    let mut engine = engine(plan(), 1..2, None);
    let flight = send(&mut engine, T);
    engine.settle(flight.id, gone(), "410", T, 0);
    let told = engine.snapshot();
    assert!(told.disable.as_ref().unwrap().contains("gone for good"));
    assert_eq!(told.kept[0].1.events, [event(1)]);
    assert_eq!(
        (engine.state().urgency(), engine.next(T)),
        (Urgency::None, Step::Wait),
        "until the cluster has disabled it"
    );
    order(&mut engine, 3, Order::Resume);
    assert_eq!(seqs(&send(&mut engine, T)), [1]);
}

#[test]
fn requests_that_fail_together_count_once() {
    let mut engine = engine(Plan { window: 16, ..plan() }, 1..40, None);
    let flights: Vec<Flight> = (0..16).map(|_| send(&mut engine, T)).collect();
    flights.into_iter().for_each(|flight| engine.settle(flight.id, fails(), "503", T, 0));
    assert_eq!(engine.progress().failures, 1);
    assert!(matches!(engine.next(T), Step::Send(_)), "a short outage causes no long wait");
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
            Step::Send(flight) if seqs(&flight) == [1] => engine.settle(flight.id, fails(), "500", now, 0),
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
    let mut told = Vec::new();
    let mut now = T;
    let disabled = loop {
        match engine.next(now) {
            Step::Send(flight) => engine.settle(flight.id, fails(), "500", now, 0),
            Step::WaitUntil(until) => now = until,
            Step::Wait => panic!("nothing to wait for"),
        }
        let snapshot = engine.snapshot();
        told.extend(snapshot.announce);
        if let Some(why) = snapshot.disable {
            break why;
        }
    };
    assert!(now >= T + 400_000 && disabled.contains("has failed for"), "{disabled}");
    assert_eq!(told, [50, 90]);
    order(&mut engine, 9, Order::Resume);
    let flight = send(&mut engine, now);
    engine.settle(flight.id, fails(), "500", now, 0);
    assert_eq!(engine.snapshot().disable, None, "the time starts again");
}

#[test]
fn skipping_gives_up_failed_events_and_seeking_reads_again() {
    let mut engine = engine(plan(), 1..4, None);
    let flight = send(&mut engine, T);
    engine.settle(flight.id, fails(), "500", T, 0);
    order(&mut engine, 1, Order::Seek(10));
    let told = engine.snapshot();
    assert_eq!(
        told.buried().map(|dead_letter| (dead_letter.seq, &dead_letter.reason)).collect::<Vec<_>>(),
        [(1, &Reason::Skipped)]
    );
    assert_eq!((told.progress.track.next, engine.wants()), (10, Some(10)));
    order(&mut engine, 1, Order::Seek(99));
    assert_eq!(engine.wants(), Some(10), "a command is carried out once");
    order(&mut engine, 2, Order::Seek(2));
    engine.offer(&offers(2..5, None), 5, T);
    assert_eq!(seqs(&send(&mut engine, T)), [2]);
}

#[test]
fn events_removed_by_retention_are_counted() {
    let mut engine = Engine::new(plan(), Progress::new(5), Vec::new());
    engine.offer(&offers(8..10, None), 10, T);
    assert_eq!((engine.progress().missed, engine.progress().track.next), (3, 8));
}

#[test]
fn events_missing_at_the_end_of_a_page_are_settled() {
    let mut engine = Engine::new(plan(), Progress::new(101), Vec::new());
    engine.set_kept_from(4001);
    engine.offer(&[], 5001, T);
    let progress = engine.progress();
    assert_eq!((progress.missed, progress.track, engine.wants()), (3900, Track::new(5001), Some(5001)));
    // If nobody said what the stream has, events that were not read may still come.
    let mut engine = Engine::new(plan(), Progress::new(101), Vec::new());
    engine.offer(&offers(101..102, None), 102, T);
    assert_eq!((engine.progress().missed, engine.progress().track.next), (0, 101));
}

#[test]
fn a_hole_costs_no_more_than_a_range() {
    const END: u64 = 1 << 50;
    let mut engine = Engine::new(plan(), Progress::new(1), Vec::new());
    order(&mut engine, 7, Order::Replay { from_seq: 1, until_seq: END, failed_only: false });
    engine.offer(&offers(1..2, None), 2, T);
    let flight = send(&mut engine, T);
    engine.set_kept_from(END / 2);
    engine.offer(&offers(END - 1..END, None), END, T);
    engine.offer_replay(&offers(END - 1..END, None), END, T);
    let progress = engine.progress();
    assert_eq!((progress.missed, progress.replays[0].missed), (END / 2 - 2, END / 2 - 1));
    assert_eq!(
        progress.track,
        Track { next: 1, above: vec![(2, END - 1)] },
        "requests under way are not settled"
    );
    engine.settle(flight.id, ok(), "", T, 0);
    while let Step::Send(flight) = engine.next(T) {
        engine.settle(flight.id, ok(), "", T, 0);
    }
    assert_eq!((engine.progress().track.next, engine.progress().replays[0].ended_ms), (END, Some(T)));
}

#[test]
fn a_deleted_event_ends_without_a_dead_letter_and_frees_its_lane() {
    let mut engine = engine(plan(), 1..3, Some(0));
    let first = send(&mut engine, T);
    engine.settle(first.id, fails(), "", T, 0);
    let again = send(&mut engine, T + 1000);
    assert_eq!(seqs(&again), [1]);
    engine.withdraw(again.id, T + 1000);
    let second = send(&mut engine, T + 1000);
    assert_eq!((seqs(&second), second.gap), (vec![2], None));
    engine.settle(second.id, ok(), "", T + 1000, 0);
    let told = engine.snapshot();
    assert_eq!((told.buried().count(), told.progress.buried, told.progress.delivered), (0, 0, 1));
    assert_eq!((told.progress.track.next, told.progress.waiting.events), (3, 0));
}

#[test]
fn a_replay_continues_where_it_was() {
    let mut first = Engine::new(plan(), Progress::new(100), Vec::new());
    order(&mut first, 7, Order::Replay { from_seq: 10, until_seq: 20, failed_only: false });
    let read = first.wants_replay().unwrap();
    assert_eq!((read.from_seq, read.until_seq), (10, 20));
    first.offer_replay(&offers(10..20, None), 20, T);
    for _ in 0..6 {
        let flight = send(&mut first, T);
        first.settle(flight.id, ok(), "", T, 0);
    }
    let mut second = Engine::new(plan(), first.snapshot().progress, Vec::new());
    assert_eq!(second.wants_replay().unwrap().from_seq, 16);
    second.offer_replay(&offers(16..20, None), 20, T);
    for _ in 0..4 {
        let flight = send(&mut second, T);
        second.settle(flight.id, ok(), "", T, 0);
    }
    let progress = second.snapshot().progress;
    assert_eq!((progress.replays[0].delivered, progress.replays[0].ended_ms), (10, Some(T)));
    assert!(second.state().is_idle());
}

#[test]
fn a_replay_of_dead_letters_revives_what_it_delivers() {
    let mut engine = Engine::new(plan(), Progress::new(100), Vec::new());
    order(&mut engine, 7, Order::Replay { from_seq: 10, until_seq: 20, failed_only: true });
    engine.offer_replay(&[offers(12..13, None), offers(15..16, None)].concat(), 20, T);
    for _ in 0..2 {
        let flight = send(&mut engine, T);
        engine.settle(flight.id, ok(), "", T, 0);
    }
    let told = engine.snapshot();
    assert_eq!((told.revived().collect(), told.progress.replays[0].ended_ms), (vec![12, 15], Some(T)));
}

#[test]
fn a_replay_reports_the_events_that_retention_removed() {
    let mut engine = Engine::new(plan(), Progress::new(100), Vec::new());
    order(&mut engine, 7, Order::Replay { from_seq: 10, until_seq: 20, failed_only: false });
    engine.offer_replay(&[offers(14..16, None), offers(17..18, None)].concat(), 20, T);
    while let Step::Send(flight) = engine.next(T) {
        engine.settle(flight.id, ok(), "", T, 0);
    }
    let replay = &engine.progress().replays[0];
    assert_eq!((replay.delivered, replay.missed, replay.ended_ms), (3, 7, Some(T)));
}

#[test]
fn a_cancelled_replay_sends_nothing_more() {
    let mut engine = Engine::new(plan(), Progress::new(100), Vec::new());
    order(&mut engine, 7, Order::Replay { from_seq: 10, until_seq: 20, failed_only: false });
    engine.offer_replay(&offers(10..20, None), 20, T);
    order(&mut engine, 8, Order::Cancel(7));
    assert_eq!(engine.next(T), Step::Wait);
    assert!(engine.progress().replays[0].cancelled);
}

/// A receiver, and an owner that dies from time to time.
#[derive(Clone, Debug)]
enum Act {
    Answer(u8),
    Crash,
    Tell,
    Publish(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => any::<u8>().prop_map(Act::Answer),
        1 => Just(Act::Crash),
        3 => Just(Act::Tell),
        2 => (1u8..6).prop_map(Act::Publish),
    ]
}

fn answer(kind: u8, events: usize) -> Completion {
    match kind % 16 {
        0..9 => ok(),
        9 | 11 | 15 => fails(),
        10 | 13 => refused(events),
        12 => busy(Some(1500)),
        _ => Completion { pause_ms: Some(100), ..ok() },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever the receiver answers and whenever the owner dies: every event is delivered or given up,
    /// nothing is forgotten, and in a strict lane the first deliveries are in order.
    #[test]
    fn nothing_is_forgotten(
        acts in prop::collection::vec(act(), 1..150), batch in 0u32..4, lanes in 0u64..3, window in 1usize..6,
    ) {
        let parked = if lanes > 1 { 5 } else { usize::MAX };
        let plan = Plan { batch: (batch > 1).then_some(Batch { max: batch, duration_ms: 50 }), window, parked, ..plan() };
        let lane = |seq: u64| (lanes > 0).then(|| seq % lanes);
        let mut now = T;
        let mut head = 1u64;
        let mut cluster = Cluster::new(1);
        let mut engine = cluster.engine(plan.clone());
        let mut flying: Vec<Flight> = Vec::new();
        let mut delivered = Vec::<u64>::new();
        let mut buried = BTreeMap::new();
        let finish = (0..4000).flat_map(|_| [Act::Answer(0), Act::Tell]);
        for act in acts.into_iter().chain([Act::Tell]).chain(finish) {
            if let Some(from) = engine.wants() {
                let page: Vec<Offer> = (from..head).map(|seq| Offer { event: event(seq), wanted: seq % 5 != 0, lane: lane(seq), kind: 0 }).collect();
                engine.offer(&page, head.max(from), now);
            }
            loop {
                match engine.next(now) {
                    Step::Send(flight) => {
                        if lanes > 0 {
                            let busy: Vec<u64> = flying.iter().flat_map(seqs).filter_map(lane).collect();
                            prop_assert!(seqs(&flight).into_iter().filter_map(lane).all(|lane| !busy.contains(&lane)));
                        }
                        flying.push(flight);
                        prop_assert!(flying.len() <= window);
                    }
                    Step::WaitUntil(until) if flying.is_empty() => now = until,
                    _ => break,
                }
            }
            match act {
                Act::Answer(kind) => {
                    if flying.is_empty() {
                        if engine.state().is_idle() && cluster.progress.is_idle(head - 1) && delivered.len() >= head as usize { break; }
                    } else {
                        let flight = flying.remove(usize::from(kind / 16) % flying.len());
                        let completion = answer(kind, flight.events.len());
                        if completion.verdict == Verdict::Done {
                            delivered.extend(seqs(&flight));
                        }
                        engine.settle(flight.id, completion, "x", now, 7);
                    }
                }
                Act::Publish(count) => head += u64::from(count),
                Act::Tell => {
                    let told = engine.snapshot();
                    buried.extend(told.buried().map(|dead_letter| (dead_letter.seq, dead_letter.clone())));
                    cluster.take(told);
                    engine.reported();
                }
                Act::Crash => {
                    flying.clear();
                    engine = cluster.engine(plan.clone());
                }
            }
        }
        buried.extend(engine.snapshot().buried().map(|dead_letter| (dead_letter.seq, dead_letter.clone())));
        let mut seen = BTreeSet::new();
        let firsts: Vec<u64> = delivered.into_iter().filter(|seq| seen.insert(*seq)).collect();
        for seq in (1..head).filter(|seq| seq % 5 != 0) {
            prop_assert!(seen.contains(&seq) || buried.contains_key(&seq), "{} is forgotten", seq);
        }
        if lanes > 0 {
            for wanted in 0..lanes {
                let of_lane: Vec<u64> = firsts.iter().copied().filter(|seq| seq % lanes == wanted).collect();
                prop_assert!(of_lane.is_sorted(), "{:?}", of_lane);
            }
        }
    }
}
