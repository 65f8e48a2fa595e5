//! The rules of delivery to one endpoint: what is sent next, and what follows from how it ended.
//!
//! A pure machine: events are offered, [`Engine::next`] says what to send or until when to wait, [`Engine::settle`]
//! takes the outcome, [`Engine::snapshot`] gives what the cluster must know. Time and random numbers come from the
//! caller. Never sends, reads or waits itself.
//!
//! An endpoint that fails costs little: its window shrinks to one request, and pauses between its requests grow.
//! Waiting for the window, a pause or a rate uses up no attempt.

mod lanes;
mod orders;
mod parked;
mod pick;
mod read;
mod settle;
#[cfg(test)]
mod tests;
mod types;

pub use types::{Flight, Offer, Plan, ReplayRead, Snapshot, Step, Urgency};

use super::class::Class;
use super::progress::{DeadLetter, EventRef, Progress, Retry, Source, Track};
use crate::core::rate::Window;
use lanes::Lanes;
use parked::Parked;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Events read and not yet sent, at most.
const MAX_READY: usize = 256;
/// Deliveries that wait to be tried again, at most; over it nothing new is begun.
const MAX_RETRIES: usize = 1000;
/// Events of such deliveries, at most: all of them are told with each report.
const MAX_RETRY_EVENTS: usize = 10_000;
/// Requests that have ended and the cluster may not know of, at most; over it none is begun. So a new owner sends again
/// what these had and a window of others, however slow the cluster is.
const MAX_UNREPORTED: u32 = 512;
/// Reports that one engine may make before the next one's begin.
const GENERATION: u64 = 1 << 32;
/// Failures in a row from which on an endpoint counts as failing.
pub const FAILING_FROM: u32 = 5;

#[derive(Clone, Copy, Debug)]
struct Ready {
    event: EventRef,
    lane: Option<u64>,
    since_ms: u64,
}

#[derive(Debug)]
struct Flying {
    retry: Retry,
    /// The retry's number, where it is one.
    number: Option<u64>,
    gap_lane: Option<u64>,
    /// Counted failures when it began: several that were under way at once fail for one and the same cause.
    failures_before: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    plan: Plan,
    /// Its `retries` are empty: they are in the map below while the engine runs.
    progress: Progress,
    retries: BTreeMap<u64, Retry>,
    /// Retries that are not under way, by time.
    due: BTreeSet<(u64, u64)>,
    ready: VecDeque<Ready>,
    read_next: u64,
    replay_ready: VecDeque<Ready>,
    replay_next: u64,
    flights: BTreeMap<u64, Flying>,
    lanes: Lanes,
    parked: Parked,
    next_number: u64,
    /// Requests that may be under way now.
    cap: usize,
    gate_until_ms: u64,
    /// Failures counted since the engine began.
    counted: u64,
    /// Refusals in a row of an endpoint that is busy.
    refusals: u32,
    /// Events in `retries`.
    retry_events: usize,
    /// To an endpoint that fails, requests for new events and for those that failed take turns: one event that can't be
    /// delivered keeps no other from being tried.
    prefer_new: bool,
    /// The endpoint is to be disabled: nothing more is begun.
    halted: bool,
    passed: Window,
    buried: Vec<DeadLetter>,
    revived: Vec<u64>,
    disable: Option<String>,
    announce: Option<u8>,
    urgency: Urgency,
    /// Requests that ended since the last snapshot.
    unreported: u32,
    /// Those that snapshots have, and the cluster may not know of.
    told: u32,
    /// Given up in a lane: it goes on once the cluster knows, so that no other owner delivers them after their successors.
    given_up: Vec<(u64, Retry)>,
    reporting: Vec<(u64, Retry)>,
}

impl Engine {
    /// Goes on from `progress`.
    pub fn new(plan: Plan, mut progress: Progress) -> Self {
        let retries = std::mem::take(&mut progress.retries);
        // Whatever an earlier engine told of the same state comes before what this one tells.
        progress.reports += GENERATION;
        let mut engine = Self {
            cap: if progress.failures >= FAILING_FROM { 1 } else { plan.window },
            read_next: progress.track.next,
            plan,
            progress,
            retries: BTreeMap::new(),
            due: BTreeSet::new(),
            ready: VecDeque::new(),
            replay_ready: VecDeque::new(),
            replay_next: 0,
            flights: BTreeMap::new(),
            lanes: Lanes::default(),
            parked: Parked::default(),
            next_number: 1,
            gate_until_ms: 0,
            counted: 0,
            refusals: 0,
            retry_events: 0,
            prefer_new: true,
            halted: false,
            passed: Window::default(),
            buried: Vec::new(),
            revived: Vec::new(),
            disable: None,
            announce: None,
            urgency: Urgency::None,
            unreported: 0,
            told: 0,
            given_up: Vec::new(),
            reporting: Vec::new(),
        };
        for retry in retries {
            engine.keep_retry(retry);
        }
        engine.start_replay();
        engine.end_replay_if_done(engine.progress.last_failure_ms.unwrap_or(0));
        engine
    }

    /// Takes changed settings.
    pub fn change_plan(&mut self, plan: Plan) {
        self.cap = self.cap.clamp(1, plan.window);
        if plan.rate != self.plan.rate {
            self.passed = Window::default();
        }
        self.plan = plan;
    }

    /// How far it is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Requests under way.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Events that wait to be tried again.
    pub fn retrying_events(&self) -> u64 {
        self.retries.values().map(|retry| retry.events.len() as u64).sum()
    }

    /// Seq of the oldest event that waits to be tried again.
    pub fn oldest(&self) -> Option<u64> {
        self.retries.values().filter_map(|retry| retry.events.first()).map(|event| event.seq).min()
    }

    /// Nothing waits, nothing is under way: only what comes new can give it something to do.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty()
            && self.retries.is_empty()
            && self.ready.is_empty()
            && self.running_replay().is_none()
            && self.urgency <= Urgency::Lazy
    }

    /// What to do now.
    pub fn next(&mut self, now_ms: u64) -> Step {
        if self.flights.len() >= self.cap || self.halted || self.unreported + self.told >= MAX_UNREPORTED {
            return Step::Wait;
        }
        let hold_until = self.progress.hold_until_ms.max(self.gate_until_ms);
        let Some(candidate) = self.candidate(now_ms) else { return self.idle_until(now_ms, hold_until) };
        if now_ms < hold_until {
            return Step::WaitUntil(hold_until);
        }
        if let Some(rate) = self.plan.rate
            && let Err(wait_ms) = self.passed.charge(rate, now_ms)
        {
            return Step::WaitUntil(now_ms + wait_ms);
        }
        Step::Send(self.start(candidate))
    }

    /// How soon the cluster must be told something.
    pub fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// What the cluster must know. The caller keeps it until the cluster has it, and says so with
    /// [`Engine::reported`]; only then asks again.
    pub fn snapshot(&mut self) -> Snapshot {
        self.reporting.append(&mut self.given_up);
        self.urgency = Urgency::None;
        self.told += std::mem::take(&mut self.unreported);
        self.progress.reports += 1;
        let mut progress = self.progress.clone();
        progress.retries = self.retries.values().cloned().collect();
        Snapshot {
            progress,
            buried: std::mem::take(&mut self.buried),
            revived: std::mem::take(&mut self.revived),
            disable: self.disable.take(),
            announce: self.announce.take(),
        }
    }

    /// The cluster has the last snapshot.
    pub fn reported(&mut self) {
        self.told = 0;
        for (number, delivery) in std::mem::take(&mut self.reporting) {
            self.release(number, &delivery);
        }
    }

    /// Gives the next attempt its number.
    pub fn number_attempt(&mut self) -> u64 {
        let number = self.progress.next_attempt;
        self.progress.next_attempt += 1;
        number
    }

    fn note(&mut self, urgency: Urgency) {
        self.urgency = self.urgency.max(urgency);
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn keep_retry(&mut self, retry: Retry) -> u64 {
        let number = self.number();
        self.lanes.hold(number, &retry);
        self.due.insert((retry.due_ms, number));
        self.retry_events += retry.events.len();
        self.retries.insert(number, retry);
        number
    }

    fn drop_retry(&mut self, number: u64) -> Option<Retry> {
        let retry = self.retries.remove(&number)?;
        self.due.remove(&(retry.due_ms, number));
        self.retry_events -= retry.events.len();
        self.release(number, &retry);
        Some(retry)
    }

    /// The delivery holds its lanes no more: what waited for them may go.
    fn release(&mut self, number: u64, delivery: &Retry) {
        self.lanes.release(number, delivery);
        for lane in &delivery.lanes {
            if self.lanes.is_free(*lane) {
                self.unpark(*lane);
            }
        }
    }

    fn bury(
        &mut self,
        events: &[EventRef],
        retry: &Retry,
        class: Class,
        status: Option<u16>,
        error: &str,
        now_ms: u64,
    ) {
        for event in events {
            self.buried.push(DeadLetter {
                seq: event.seq,
                event_id: event.id,
                kind: String::new(),
                attempts: retry.attempts,
                first_ms: if retry.first_ms == 0 { now_ms } else { retry.first_ms },
                buried_ms: now_ms,
                class,
                status,
                error: error.to_owned(),
            });
            self.progress.buried += 1;
        }
        self.note(Urgency::Now);
    }

    fn track_of(&mut self, source: Source) -> Option<&mut Track> {
        match source {
            Source::Live => Some(&mut self.progress.track),
            Source::Asked => None,
            Source::Replay(id) => {
                self.progress.replays.iter_mut().find(|replay| replay.id == id).map(|replay| &mut replay.track)
            }
        }
    }
}
