//! The desk alone, and the desk with the engine: visibility, counts of attempts, and order.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::core::consumer::engine::{Engine, Flight, Offer, Plan, Step};
use crate::core::consumer::progress::{DeadLetterChange, EventRef, Progress};
use crate::core::consumer::retry_policy::RetryPolicy;
use crate::core::consumer::verdict::{Blame, Completion, Verdict};
use crate::core::ids::EventId;
use proptest::prelude::*;

const T: u64 = 1_000_000;
const VISIBILITY_MS: u64 = 1000;
const MAX_ATTEMPTS: u32 = 4;

type Small = Desk<u64, u64, char>;

fn wish(max: u32, wait_ms: u64) -> Wish {
    Wish { reader: 0, unacknowledged: 0, max, wait_ms }
}

fn numbers(told: &[Told<u64, char>]) -> Vec<(char, Vec<u64>)> {
    told.iter().map(|(who, got)| (*who, got.iter().map(|(number, _)| *number).collect())).collect()
}

#[test]
fn readers_share_what_there_is_in_the_order_in_which_they_came() {
    let mut desk = Small::default();
    assert_eq!(desk.hand(1, 1, 1, 1, 9), Err(1), "nobody reads");
    desk.wait(wish(2, 100), 'a', 0).unwrap();
    desk.wait(wish(2, 50), 'b', 0).unwrap();
    assert_eq!((desk.demand(), desk.next_ms(false)), (4, Some(50)));
    (1..=3).for_each(|number| desk.hand(number, number, number, 1, 1000).unwrap());
    assert_eq!(numbers(&desk.ready(1, true)), [('a', vec![1, 2])], "it has all it takes");
    assert_eq!(numbers(&desk.ready(1, false)), [('b', vec![3])], "there is nothing more now");
    desk.wait(wish(2, 50), 'c', 0).unwrap();
    assert!(desk.ready(49, false).is_empty());
    assert_eq!(numbers(&desk.ready(50, false)), [('c', vec![])], "its time is over");
}

#[test]
fn a_reader_waits_for_what_was_chosen_for_it() {
    let mut desk = Small::default();
    desk.wait(wish(10, 100), 'a', 0).unwrap();
    desk.chose();
    assert_eq!(desk.demand(), 9);
    desk.hand(1, 1, 1, 1, 1000).unwrap();
    assert!(desk.ready(100, false).is_empty() && desk.next_ms(false) == Some(100 + GATHER_MS));
    desk.came();
    assert_eq!(numbers(&desk.ready(101, false)), [('a', vec![1])]);
    desk.wait(wish(10, 0), 'b', 0).unwrap();
    assert!(desk.ready(GRACE_MS - 1, true).is_empty(), "events are being read");
    assert_eq!(numbers(&desk.ready(GRACE_MS, true)), [('b', vec![])]);
}

#[test]
fn a_reader_that_has_something_does_not_wait_for_long() {
    let mut desk = Small::default();
    desk.wait(wish(10, 20_000), 'a', 0).unwrap();
    desk.hand(1, 1, 1, 1, 1000).unwrap();
    assert!(desk.ready(5, true).is_empty(), "more may come");
    assert_eq!(desk.next_ms(true), Some(5 + GATHER_MS));
    assert_eq!(numbers(&desk.ready(5 + GATHER_MS, true)), [('a', vec![1])]);
}

#[test]
fn no_more_is_chosen_than_an_answer_takes() {
    let mut desk = Small::default();
    desk.wait(wish(500, 100), 'a', 0).unwrap();
    assert_eq!(desk.demand(), MAX_CHOSEN);
    desk.hand(1, 1, 1, MAX_READ_BYTES / 4, 1000).unwrap();
    assert_eq!(desk.demand(), 4, "three more fit, and the last one may be larger");
    (2..=4).for_each(|number| desk.hand(number, number, number, MAX_READ_BYTES / 4, 1000).unwrap());
    assert_eq!((desk.demand(), desk.ready(0, true).len()), (0, 1));
}

#[test]
fn bytes_and_readers_are_bounded() {
    let mut desk = Small::default();
    desk.wait(wish(10, 100), 'a', 0).unwrap();
    desk.hand(1, 1, 1, MAX_READ_BYTES, 1000).unwrap();
    assert_eq!((desk.demand(), numbers(&desk.ready(0, true))), (0, vec![('a', vec![1])]));
    (0..MAX_READERS).for_each(|_| desk.wait(wish(1, 100), 'b', 0).unwrap());
    assert_eq!(desk.wait(wish(1, 100), 'c', 0), Err('c'));
}

#[test]
fn a_named_reader_has_only_so_many_unacknowledged() {
    let mut desk = Small::default();
    let named = Wish { reader: 7, unacknowledged: 2, ..wish(10, 100) };
    desk.wait(named, 'a', 0).unwrap();
    assert_eq!(desk.demand(), 2);
    (1..=2).for_each(|number| desk.hand(number, number, number, 1, 1000).unwrap());
    assert_eq!(numbers(&desk.ready(0, false)), [('a', vec![1, 2])]);
    desk.wait(named, 'a', 0).unwrap();
    assert_eq!((desk.demand(), desk.hand(3, 3, 3, 1, 1000)), (0, Err(3)));
    assert_eq!((desk.end(1), desk.end(1), desk.demand()), (Some(1), None, 1));
}

#[test]
fn loans_end_when_their_time_is_over_and_all_when_the_desk_closes() {
    let mut desk = Small::default();
    desk.wait(wish(3, 100), 'a', 0).unwrap();
    (1..=3).for_each(|number| desk.hand(number, number * 10, number, 1, number * 100).unwrap());
    assert!(desk.extend(1, 500) && !desk.extend(9, 500));
    assert_eq!((desk.expire(199), desk.expire(200)), (vec![], vec![20]));
    assert_eq!(numbers(&desk.close(250)), [('a', vec![1, 2, 3])], "nobody waits where nothing comes");
    assert_eq!((desk.next_ms(false), desk.expire(249), desk.expire(250)), (Some(250), vec![], vec![30, 10]));
    assert!(desk.is_idle() && desk.next_ms(false).is_none());
}

/// A reader's deeds, by chance.
#[derive(Clone, Copy, Debug)]
enum Act {
    Read(u32),
    Acknowledge(usize),
    Refuse(usize, Option<u64>),
    Extend(usize),
    Pass(u64),
    Report,
    /// The owner dies. Another one goes on from what was reported.
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1u32..6).prop_map(Act::Read),
        6 => any::<usize>().prop_map(Act::Acknowledge),
        2 => (any::<usize>(), prop::option::of(0u64..3000)).prop_map(|(choice, after)| Act::Refuse(choice, after)),
        1 => any::<usize>().prop_map(Act::Extend),
        2 => (1u64..1500).prop_map(Act::Pass),
        3 => Just(Act::Report),
        1 => Just(Act::Crash),
    ]
}

/// What a reader has: the number of the loan, the event and the attempt.
type Held = (u64, u64, u32);

/// An owner with its desk, and the cluster's knowledge of it.
struct Owner {
    engine: Engine<&'static str>,
    /// Each loan names the delivery and its event.
    desk: Desk<(u64, u64), (u64, u32), ()>,
    plan: Plan,
    stored: (Progress, BTreeMap<u64, crate::core::consumer::progress::Retry>),
    now_ms: u64,
    loan: u64,
    head: u64,
    lanes: u64,
    /// Events whose acknowledgement the cluster does not have yet.
    unreported: Vec<u64>,
    acknowledged: BTreeSet<u64>,
    dead: BTreeMap<u64, u32>,
    /// The attempts that ended in failure, as the cluster has them and as the owner knows them.
    failures: BTreeMap<u64, u32>,
    reported_failures: BTreeMap<u64, u32>,
}

impl Owner {
    fn new(head: u64, lanes: u64) -> Self {
        let retry = RetryPolicy {
            max_attempts: MAX_ATTEMPTS,
            delay_ms: 500,
            factor_percent: 200,
            max_delay_ms: 10_000,
            jitter_percent: 0,
            ambiguous: true,
        };
        let parked = if lanes > 1 { 5 } else { usize::MAX };
        let plan = Plan { rate: None, batch: None, retry, window: 8, auto_disable_ms: None, parked };
        Self {
            engine: Engine::new(plan.clone(), Progress::new(1), Vec::new()),
            desk: Desk::default(),
            plan,
            stored: (Progress::new(1), BTreeMap::new()),
            now_ms: T,
            loan: 0,
            head,
            lanes,
            unreported: Vec::new(),
            acknowledged: BTreeSet::new(),
            dead: BTreeMap::new(),
            failures: BTreeMap::new(),
            reported_failures: BTreeMap::new(),
        }
    }

    fn lane(&self, seq: u64) -> Option<u64> {
        (self.lanes > 0).then(|| seq % self.lanes)
    }

    /// Hands over what the readers take. Returns what they got.
    fn hand(&mut self) -> Vec<Held> {
        if let Some(from) = self.engine.wants() {
            let offer = |seq| {
                let event = EventRef { seq, id: EventId::new(T, seq, 0) };
                Offer { event, wanted: true, lane: self.lane(seq), kind: 0 }
            };
            let page: Vec<Offer> = (from..self.head).map(offer).collect();
            self.engine.offer(&page, self.head.max(from), self.now_ms);
        }
        while self.desk.demand() > 0 {
            let Step::Send(Flight { id, events, attempt, .. }) = self.engine.next(self.now_ms) else { break };
            self.loan += 1;
            let message = (events[0].seq, attempt);
            let until_ms = self.now_ms + VISIBILITY_MS;
            self.desk.hand(self.loan, (id, message.0), message, 1, until_ms).unwrap();
        }
        let told = self.desk.ready(self.now_ms, false);
        told.into_iter().flat_map(|(_, got)| got).map(|(loan, (seq, attempt))| (loan, seq, attempt)).collect()
    }

    fn fail(&mut self, flight: u64, seq: u64, verdict: Verdict) {
        *self.failures.entry(seq).or_default() += 1;
        self.engine.settle(flight, Completion::failed(verdict, Blame::Delivery), "x", self.now_ms, 7);
    }

    fn report(&mut self) {
        let snapshot = self.engine.snapshot();
        snapshot.dropped.iter().for_each(|number| drop(self.stored.1.remove(number)));
        self.stored.1.extend(snapshot.kept);
        self.stored.0 = snapshot.progress;
        for change in snapshot.dead_letters {
            if let DeadLetterChange::Added(dead) = change {
                self.dead.insert(dead.seq, dead.attempts);
            }
        }
        self.engine.reported();
        self.acknowledged.extend(self.unreported.drain(..));
        self.reported_failures.clone_from(&self.failures);
    }

    fn crash(&mut self) {
        let waiting = self.stored.1.iter().map(|(number, retry)| (*number, retry.clone())).collect();
        self.engine = Engine::new(self.plan.clone(), self.stored.0.clone(), waiting);
        self.desk = Desk::default();
        self.unreported.clear();
        self.failures.clone_from(&self.reported_failures);
    }
}

/// What was handed over and not answered: a seq has one valid loan at most, and a lane one event.
fn check_held(owner: &Owner, held: &[Held]) -> Result<(), TestCaseError> {
    let mut seqs: Vec<u64> = held.iter().map(|(_, seq, _)| *seq).collect();
    seqs.sort_unstable();
    prop_assert!(seqs.windows(2).all(|pair| pair[0] != pair[1]), "two readers have one event: {:?}", seqs);
    let mut lanes: Vec<u64> = seqs.iter().filter_map(|seq| owner.lane(*seq)).collect();
    let count = lanes.len();
    lanes.sort_unstable();
    lanes.dedup();
    prop_assert_eq!(lanes.len(), count, "two events of one lane are under way");
    Ok(())
}

fn carry_out(owner: &mut Owner, held: &mut Vec<Held>, act: Act) {
    match act {
        Act::Read(max) => owner.desk.wait(wish(max, 0), (), owner.now_ms).unwrap(),
        Act::Pass(ms) => owner.now_ms += ms,
        Act::Report => owner.report(),
        Act::Crash => {
            owner.crash();
            held.clear();
        }
        Act::Acknowledge(_) | Act::Refuse(..) | Act::Extend(_) if held.is_empty() => {}
        Act::Acknowledge(choice) => {
            let (loan, ..) = held.remove(choice % held.len());
            if let Some((flight, seq)) = owner.desk.end(loan) {
                owner.engine.settle(flight, Completion::DONE, "", owner.now_ms, 0);
                owner.unreported.push(seq);
            }
        }
        Act::Refuse(choice, after) => {
            let (loan, ..) = held.remove(choice % held.len());
            if let Some((flight, seq)) = owner.desk.end(loan) {
                owner.fail(flight, seq, after.map_or(Verdict::Again, Verdict::AgainAfter));
            }
        }
        Act::Extend(choice) => {
            let (loan, ..) = held[choice % held.len()];
            owner.desk.extend(loan, owner.now_ms + 2 * VISIBILITY_MS);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever readers do and whenever the owner dies: every event is acknowledged or given up, none that was
    /// acknowledged comes again, an event's attempts are counted exactly, and a lane keeps its order.
    #[test]
    fn every_event_is_acknowledged_or_given_up(
        acts in prop::collection::vec(act(), 1..200), head in 2u64..40, lanes in 0u64..4,
    ) {
        let mut owner = Owner::new(head, lanes);
        let mut held: Vec<Held> = Vec::new();
        let mut first: Vec<u64> = Vec::new();
        let finish = (0..4000).flat_map(|_| [Act::Read(5), Act::Acknowledge(0), Act::Report, Act::Pass(700)]);
        for act in acts.into_iter().chain(finish) {
            carry_out(&mut owner, &mut held, act);
            for (flight, seq) in owner.desk.expire(owner.now_ms) {
                held.retain(|(_, had, _)| *had != seq);
                owner.fail(flight, seq, Verdict::AgainAfter(0));
            }
            for (loan, seq, attempt) in owner.hand() {
                prop_assert!(!owner.acknowledged.contains(&seq), "{} was acknowledged", seq);
                let failed = owner.failures.get(&seq).copied().unwrap_or(0);
                prop_assert_eq!(attempt, failed + 1, "the attempts of {}", seq);
                if !first.contains(&seq) {
                    first.push(seq);
                }
                held.push((loan, seq, attempt));
            }
            check_held(&owner, &held)?;
            if owner.acknowledged.len() + owner.dead.len() >= head as usize - 1 {
                break;
            }
        }
        for seq in 1..head {
            prop_assert!(owner.acknowledged.contains(&seq) || owner.dead.contains_key(&seq), "{} is lost", seq);
        }
        prop_assert!(owner.dead.values().all(|attempts| *attempts == MAX_ATTEMPTS), "{:?}", owner.dead);
        for lane in 0..lanes {
            let of_lane: Vec<u64> = first.iter().copied().filter(|seq| seq % lanes == lane).collect();
            prop_assert!(of_lane.is_sorted(), "{:?}", of_lane);
        }
    }
}
