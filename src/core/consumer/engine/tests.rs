//! Tests of the engine: the window, the rate and batches here, the other rules in the modules.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::room::MAX_WAITING;
use super::*;
use crate::core::consumer::progress::{DeadLetter, DeadLetterChange, NumberedCommand, OwnerCommand, Reason};
use crate::core::consumer::report::MAX_UNREPORTED;
use crate::core::consumer::retry_policy::RetryPolicy;
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
mod owner_commands;
mod progress;
mod random;
mod replays;
mod retention;
mod retries;

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

    fn take(&mut self, snapshot: Snapshot) {
        snapshot.dropped.iter().for_each(|number| drop(self.waiting.remove(number)));
        self.waiting.extend(snapshot.kept);
        self.progress = snapshot.progress;
        for change in snapshot.dead_letters {
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
fn report(engine: &mut Engine) {
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

/// What a receiver answers by chance.
fn answer(kind: u8, events: usize) -> Completion {
    match kind % 16 {
        0..9 => ok(),
        9 | 11 | 15 => fails(),
        10 | 13 => refused(events),
        12 => busy(Some(1500)),
        _ => Completion { pause_ms: Some(100), ..ok() },
    }
}

fn cause(dead_letter: &DeadLetter<&'static str>) -> &'static str {
    match dead_letter.reason {
        Reason::Failed(cause) => cause,
        Reason::Skipped | Reason::Overflow => panic!("{dead_letter:?}"),
    }
}

fn command(engine: &mut Engine, number: u64, command: OwnerCommand) {
    engine.carry_out(NumberedCommand { number, at_ms: T, command }, T, |seq| Some(event(seq).id));
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
fn an_owner_that_does_not_know_what_was_sent_waits_for_a_period() {
    let rate = Some(Rate { permits: 2, period_ms: 1000 });
    let begun = |used: &Used| engine(Plan { rate, ..plan() }, 1..9, None).after(used);
    let mut takes_over = begun(&Used::Unknown { until_ms: T });
    let Step::WaitUntil(until_ms) = takes_over.next(T) else { panic!("no pause") };
    assert!((T + 1000..T + 1050).contains(&until_ms), "{until_ms}");
    assert_eq!(seqs(&send(&mut takes_over, until_ms)), [1]);
    assert_eq!(seqs(&send(&mut begun(&Used::Unknown { until_ms: T - 2000 }), T)), [1], "long ago");
    let unlimited = engine(plan(), 1..9, None).after(&Used::Unknown { until_ms: T });
    assert_eq!(unlimited.state().used(T), Used::Nothing);
}

#[test]
fn an_engine_of_the_same_owner_continues_the_count_of_the_rate() {
    let plan = Plan { rate: Some(Rate { permits: 2, period_ms: 1000 }), ..plan() };
    let mut first = engine(plan.clone(), 1..9, None);
    assert_eq!(first.state().used(T), Used::Nothing);
    send(&mut first, T);
    let used = first.state().used(T + 500);
    assert_eq!(first.state().used(T + 1100), Used::Nothing, "it counts no more");
    let mut second = engine(plan.clone(), 2..9, None).after(&used);
    send(&mut second, T + 500);
    assert!(matches!(second.next(T + 500), Step::WaitUntil(_)), "both have passed");
    let faster = Plan { rate: Some(Rate { permits: 1000, period_ms: 1000 }), ..plan };
    let mut changed = engine(faster, 2..9, None).after(&used);
    assert!((0..4).all(|_| matches!(changed.next(T + 500), Step::Send(_))));
}

#[test]
fn a_batch_is_sent_when_it_is_full_or_has_waited() {
    let batch = Some(Batch { max: 3, duration_ms: 100 });
    let mut engine = engine(Plan { batch, ..plan() }, 1..6, None);
    assert_eq!(seqs(&send(&mut engine, T)), [1, 2, 3]);
    assert_eq!(engine.next(T), Step::WaitUntil(T + 100));
    assert_eq!(seqs(&send(&mut engine, T + 100)), [4, 5]);
}
