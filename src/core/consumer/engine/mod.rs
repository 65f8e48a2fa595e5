//! The engine: decides what is sent next to one consumer, and what follows from the end of each request.
//!
//! The engine is a pure machine. Its caller offers events and supplies time and random numbers.
//! [`Engine::next`] returns what to send or until when to wait, [`Engine::settle`] takes a verdict, and
//! [`Engine::snapshot`] returns what the cluster must know. The engine never sends, reads or waits itself,
//! and never looks into a cause.
//!
//! An event that cannot go on delays none that can: an event that must wait becomes a record (see
//! [`super::retry`]), and the cursor passes it. A failing receiver costs little: its window shrinks to one
//! request, and the pauses between its requests grow (see [`super::health`]). Waiting for the window, a pause
//! or a rate uses up no attempt.

mod owner_commands;
mod pick;
mod read;
mod refilter;
mod replays;
mod reporting;
mod room;
mod settle;
mod state;
#[cfg(test)]
mod tests;
mod types;

pub use super::health::FAILING_FROM;
pub use super::plan::{Batch, Plan};
pub use super::replay::ReplayRead;
pub use super::report::Urgency;
pub use state::State;
pub use types::{Flight, Offer, Snapshot, Step, Waiting};

use super::flights::{Flights, Flying};
use super::health::{Condition, Health};
use super::lanes::Lanes;
use super::live::Live;
use super::progress::{EventRef, Progress, Retry, Source, Track};
use super::queue::Queue;
use super::replay::Replays;
use super::report::Reports;
use super::retries::Retries;
use super::totals::Totals;
use super::used::Used;
use crate::core::rate::Window;

/// Whether requests may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Delivering,
    /// The consumer is to be disabled: no request begins.
    Halted,
}

/// The delivery state of one consumer, on the node that owns it. `C` is the worker's cause of a failure,
/// which is stored with given-up events.
///
/// Each part owns its fields and keeps its own invariants. The engine keeps the invariants between parts: a
/// delivery holds its lanes while it waits or is under way, and every event that was accepted is in a queue,
/// under way, waiting, or settled.
#[derive(Debug)]
pub struct Engine<C> {
    plan: Plan,
    mode: Mode,
    live: Live,
    replays: Replays,
    retries: Retries,
    lanes: Lanes,
    flights: Flights,
    health: Health,
    /// The requests that count toward the rate.
    passed: Window,
    /// Counts the requests that began, so that the kinds of deliveries take turns.
    turn: u32,
    totals: Totals,
    /// The number of the last owner command that was carried out.
    commands_done: u64,
    reports: Reports<C>,
}

impl<C> Engine<C> {
    /// Continues from `progress`, with the waiting records.
    pub fn new(plan: Plan, progress: Progress, waiting: Vec<(u64, Retry)>) -> Self {
        let condition = Condition::from(&progress);
        let mut engine = Self {
            mode: Mode::Delivering,
            live: Live::new(progress.track, progress.batches),
            replays: Replays::new(progress.replays),
            retries: Retries::new(progress.last_number, progress.live_from),
            lanes: Lanes::new(progress.gaps),
            flights: Flights::default(),
            health: Health::new(plan.window, condition, progress.last_error),
            passed: Window::default(),
            turn: 1,
            totals: Totals {
                next_attempt: progress.next_attempt,
                delivered: progress.delivered,
                failed_attempts: progress.failed_attempts,
                given_up: progress.given_up,
                missed: progress.missed,
            },
            commands_done: progress.commands_done,
            reports: Reports::new(progress.reports),
            plan,
        };
        let numbers: Vec<u64> = waiting.iter().map(|(number, _)| *number).collect();
        for (number, retry) in waiting {
            engine.load(number, retry);
        }
        numbers.into_iter().for_each(|number| engine.look_at(number));
        engine.end_replay_if_done(condition.last_failure_ms.unwrap_or(0));
        engine
    }

    /// Begins with what was used up of its rate before.
    #[must_use]
    pub(crate) fn after(mut self, used: &Used) -> Self {
        self.passed = used.window(self.plan.rate);
        self
    }

    fn load(&mut self, number: u64, retry: Retry) {
        if self.retries.is_outdated(number, retry.source) || self.replays.is_over(retry.source) {
            self.retries.forget(number);
            self.reports.note(Urgency::Lazy);
        } else {
            self.lanes.hold(number, &retry);
            self.retries.load(number, retry);
        }
    }

    /// Applies changed settings.
    pub fn change_plan(&mut self, plan: Plan) {
        self.health.limit(plan.window);
        if plan.rate != self.plan.rate {
            self.passed = Window::default();
        }
        self.plan = plan;
    }

    /// Returns what can be seen of it from outside.
    pub fn state(&self) -> State<'_, C> {
        State::new(self)
    }

    /// Returns the number for the next attempt.
    pub fn number_attempt(&mut self) -> u64 {
        self.totals.number_attempt()
    }

    /// Stores a delivery as a waiting record under its number. Other events of its lanes that were read
    /// become records too, and the cursor passes them: nothing else waits for them.
    fn keep(&mut self, number: u64, retry: Retry)
    where
        C: Clone,
    {
        let lanes = retry.lanes.clone();
        self.lanes.hold(number, &retry);
        self.retries.put(number, retry);
        self.look_at(number);
        for lane in lanes {
            self.defer_parked(lane);
        }
        self.make_room();
        self.reports.note(Urgency::Soon);
    }

    /// Checks whether a waiting delivery comes first in its lanes now.
    fn look_at(&mut self, number: u64) {
        if !self.flights.contains(number) && self.comes_first(number) {
            self.retries.is_due(number);
        }
    }

    /// Returns whether the delivery comes first in all its lanes and everything published before it was read.
    fn comes_first(&self, number: u64) -> bool {
        let Some(retry) = self.retries.get(number) else { return false };
        let next = match retry.source {
            Source::Live => self.live.next(),
            Source::Asked => u64::MAX,
            Source::Replay(_) => self.replays.next(),
        };
        let all_read = retry.events.first().is_none_or(|event| event.seq < next);
        (retry.lanes.is_empty() || all_read) && self.lanes.may_start(number, &retry.lanes)
    }

    /// Checks the waiting deliveries between `from` and `to`, where events were read: one may be the first of
    /// its lanes.
    fn look_at_read(&mut self, from: u64, to: u64) {
        for number in self.retries.between(from, to) {
            self.look_at(number);
        }
    }

    /// Removes a waiting delivery that is no longer needed.
    fn drop_waiting(&mut self, number: u64) -> Option<Retry> {
        let retry = self.retries.remove(number)?;
        self.release(number, &retry);
        self.reports.note(Urgency::Soon);
        Some(retry)
    }

    /// Releases the delivery's lanes: what comes next in them may begin.
    fn release(&mut self, number: u64, delivery: &Retry) {
        self.lanes.release(number, delivery);
        for lane in &delivery.lanes {
            match self.lanes.first(*lane) {
                Some(next) => self.look_at(next),
                None => self.unpark(*lane),
            }
        }
    }

    /// Returns the queue of a source: the stream's own events, or those of the running replay.
    fn queue(&self, source: Source) -> &Queue {
        if source == Source::Live { self.live.queue() } else { self.replays.queue() }
    }

    fn queue_mut(&mut self, source: Source) -> &mut Queue {
        if source == Source::Live { self.live.queue_mut() } else { self.replays.queue_mut() }
    }

    fn track_mut(&mut self, source: Source) -> Option<&mut Track> {
        match source {
            Source::Live => Some(self.live.track_mut()),
            Source::Asked => None,
            Source::Replay(id) => self.replays.track_mut(id),
        }
    }

    fn settle_events(&mut self, source: Source, events: &[EventRef]) {
        if let Some(track) = self.track_mut(source) {
            events.iter().for_each(|event| track.settle(event.seq));
        }
    }
}
