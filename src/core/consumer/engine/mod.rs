//! The rules of delivery to one endpoint: what is sent next, and what follows from how it ended.
//!
//! A pure machine: events are offered, [`Engine::next`] says what to send or until when to wait, [`Engine::settle`]
//! takes the outcome, [`Engine::snapshot`] gives what the cluster must know. Time and random numbers come from the
//! caller. Never sends, reads or waits itself.
//!
//! What can't go on holds nothing that can: an event that has to wait becomes a record ([`waiting`]), and the cursor
//! passes it. An endpoint that fails costs little: its window shrinks to one request, and pauses between its requests
//! grow ([`health`]). Waiting for the window, a pause or a rate uses up no attempt.

mod health;
mod lanes;
mod orders;
mod pick;
mod queue;
mod read;
mod replay;
mod report;
mod settle;
#[cfg(test)]
mod tests;
mod types;
mod waiting;

pub use types::{Batch, Flight, Offer, Plan, ReplayRead, Snapshot, Step, Urgency};

use super::progress::{EventRef, Progress, Retry, Source, Track};
use crate::core::rate::Window;
use health::Health;
use lanes::Lanes;
use queue::Queue;
use read::Ahead;
use report::Unreported;
use std::collections::{BTreeMap, BTreeSet};
use waiting::Waiting;

/// Events read and not yet sent, at most.
const MAX_READY: usize = 256;
/// Events that may wait. Beyond it the one that has longest to wait is given up for each new one; where that was not tried
/// yet, nothing more is read.
const MAX_WAITING: usize = 100_000;
/// Deliveries of one lane that are given up at once where more events wait than may.
const MADE_ROOM: usize = 1_000;
/// Events of changed records that the cluster may not know of: over it nothing new is begun or read until they are told.
const MAX_UNSAVED: usize = 8_000;
/// Requests that have ended and the cluster may not know of, at most; over it none is begun. So a new owner sends again
/// what these had and a window of others, however slow the cluster is.
const MAX_UNREPORTED: u32 = 512;
/// Reports that one engine may make before the next one's begin.
const GENERATION: u64 = 1 << 32;
/// Failures in a row from which on an endpoint counts as failing.
pub const FAILING_FROM: u32 = 5;

/// A request under way.
#[derive(Debug)]
struct Flying {
    delivery: Retry,
    /// Types of its events, where it is new.
    kinds: Vec<u32>,
    /// It is new: it was not tried before, and waited for nothing.
    is_fresh: bool,
    gap_lane: Option<u64>,
    /// Counted failures when it began: several that were under way at once fail for one and the same cause.
    failures_before: u64,
    /// Somebody asked meanwhile to go on from that seq: what is before it is not tried again.
    skip_below: u64,
}

/// Whether requests may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Delivering,
    /// The endpoint is to be disabled: nothing more is begun.
    Halted,
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    plan: Plan,
    progress: Progress,
    mode: Mode,
    health: Health,
    waiting: Waiting,
    lanes: Lanes,
    live: Queue,
    read_next: u64,
    /// What is missing from here on was removed inside the stream, and is no loss.
    kept_from: u64,
    ahead: Ahead,
    replay: Queue,
    replay_next: u64,
    flights: BTreeMap<u64, Flying>,
    /// Batches that an earlier owner had begun, to be repeated as they were.
    batches: Vec<BTreeSet<u64>>,
    passed: Window,
    /// Counts what was begun: who goes first takes turns.
    turn: u32,
    unreported: Unreported,
}

impl Engine {
    /// Goes on from `progress`, with the records of what waits.
    pub fn new(plan: Plan, mut progress: Progress, waiting: Vec<(u64, Retry)>) -> Self {
        // Whatever an earlier engine told of the same state comes before what this one tells.
        progress.reports += GENERATION;
        let batches = std::mem::take(&mut progress.batches);
        let mut engine = Self {
            health: Health::new(if progress.failures >= FAILING_FROM { 1 } else { plan.window }),
            read_next: progress.track.next,
            kept_from: u64::MAX,
            plan,
            progress,
            mode: Mode::Delivering,
            waiting: Waiting::default(),
            lanes: Lanes::default(),
            live: Queue::default(),
            ahead: Ahead::default(),
            replay: Queue::default(),
            replay_next: 0,
            flights: BTreeMap::new(),
            batches: batches.into_iter().map(|ranges| ranges.into_iter().flat_map(|(a, b)| a..b).collect()).collect(),
            passed: Window::default(),
            turn: 1,
            unreported: Unreported::default(),
        };
        let numbers: Vec<u64> = waiting.iter().map(|(number, _)| *number).collect();
        for (number, retry) in waiting {
            engine.load(number, retry);
        }
        engine.start_replay();
        numbers.into_iter().for_each(|number| engine.look_at(number));
        engine.end_replay_if_done(engine.progress.last_failure_ms.unwrap_or(0));
        engine
    }

    fn load(&mut self, number: u64, retry: Retry) {
        self.progress.last_number = self.progress.last_number.max(number);
        let counts = match retry.source {
            Source::Live => number >= self.progress.live_from,
            Source::Asked => true,
            Source::Replay(_) => !self.is_cancelled(retry.source),
        };
        if counts {
            self.lanes.hold(number, &retry);
            self.waiting.load(number, retry);
        } else {
            self.waiting.forget(number);
            self.note(Urgency::Lazy);
        }
    }

    /// Takes changed settings.
    pub fn change_plan(&mut self, plan: Plan) {
        self.health.limit(plan.window);
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

    /// Events that wait, to be tried again or behind others of their lane.
    pub fn waiting_events(&self) -> u64 {
        self.waiting.events() as u64
    }

    /// Seq of the oldest event that waits.
    pub fn oldest(&self) -> Option<u64> {
        self.waiting.summary().oldest_seq
    }

    /// Nothing waits, nothing is under way: only what comes new can give it something to do.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty()
            && self.waiting.events() == 0
            && self.live.is_empty()
            && self.running_replay().is_none()
            && self.urgency() <= Urgency::Lazy
    }

    /// Gives the next attempt its number.
    pub fn number_attempt(&mut self) -> u64 {
        let number = self.progress.next_attempt;
        self.progress.next_attempt += 1;
        number
    }

    fn number(&mut self) -> u64 {
        self.progress.last_number += 1;
        self.progress.last_number
    }

    /// Has a delivery wait under its number. Other events of its lanes that were read wait behind it, and the cursor
    /// passes them: nothing else waits for them.
    fn keep(&mut self, number: u64, retry: Retry) {
        let lanes = retry.lanes.clone();
        self.lanes.hold(number, &retry);
        self.waiting.put(number, retry);
        self.look_at(number);
        for lane in lanes {
            self.defer_parked(lane);
        }
        self.make_room();
        self.note(Urgency::Soon);
    }

    /// A delivery that waits may come first in its lanes now.
    fn look_at(&mut self, number: u64) {
        if !self.flights.contains_key(&number) && self.comes_first(number) {
            self.waiting.is_due(number);
        }
    }

    /// The delivery comes first in all its lanes, and all that was published before it was read.
    fn comes_first(&self, number: u64) -> bool {
        let Some(retry) = self.waiting.get(number) else { return false };
        let read_next = match retry.source {
            Source::Live => self.read_next,
            Source::Asked => u64::MAX,
            Source::Replay(_) => self.replay_next,
        };
        let all_read = retry.events.first().is_none_or(|event| event.seq < read_next);
        (retry.lanes.is_empty() || all_read) && self.lanes.may_start(number, &retry.lanes)
    }

    /// Events were read from `from` on, up to `to`: what waits between may be the first of its lanes.
    fn look_at_read(&mut self, from: u64, to: u64) {
        for number in self.waiting.between(from, to) {
            self.look_at(number);
        }
    }

    /// A delivery that waits is needed no more.
    fn drop_waiting(&mut self, number: u64) -> Option<Retry> {
        let retry = self.waiting.remove(number)?;
        self.release(number, &retry);
        self.note(Urgency::Soon);
        Some(retry)
    }

    /// The delivery holds its lanes no more: what comes next in them may go.
    fn release(&mut self, number: u64, delivery: &Retry) {
        self.lanes.release(number, delivery);
        for lane in &delivery.lanes {
            match self.lanes.first(*lane) {
                Some(next) => self.look_at(next),
                None => self.unpark(*lane),
            }
        }
    }

    fn queue(&mut self, source: Source) -> &mut Queue {
        if source == Source::Live { &mut self.live } else { &mut self.replay }
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

    fn settle_events(&mut self, source: Source, events: &[EventRef]) {
        if let Some(track) = self.track_of(source) {
            events.iter().for_each(|event| track.settle(event.seq));
        }
    }
}
