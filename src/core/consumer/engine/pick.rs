//! The choice of what is sent next: new events, one or a batch of them, or a waiting delivery that is due.

use super::{Engine, Flight, Flying, Mode, Step, Urgency};
use crate::core::consumer::progress::{Retry, Source};
use crate::core::consumer::queue::{Queue, Ready};

/// A delivery that may begin.
#[derive(Debug)]
pub(super) enum Candidate {
    /// A waiting delivery, by its number.
    Waiting(u64),
    /// Ready events, by their indexes in the queue.
    New(Source, Vec<usize>),
}

/// The kinds of deliveries, which take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Live,
    Waiting,
    Replay,
}

/// In most turns new events go first, but the other kinds have turns of their own.
const TURNS: [[Kind; 3]; 4] = [
    [Kind::Waiting, Kind::Live, Kind::Replay],
    [Kind::Live, Kind::Replay, Kind::Waiting],
    [Kind::Live, Kind::Waiting, Kind::Replay],
    [Kind::Live, Kind::Waiting, Kind::Replay],
];

impl<C> Engine<C> {
    /// Returns what to do now.
    pub fn next(&mut self, now_ms: u64) -> Step {
        if self.mode == Mode::Halted || self.is_far_ahead() || self.flights.len() > self.health.cap() {
            return Step::Wait;
        }
        let only_new = self.flights.len() == self.health.cap();
        if only_new && !self.has_spare_slot() {
            return Step::Wait;
        }
        let Some(candidate) = self.candidate(now_ms, only_new) else { return self.idle_until(now_ms) };
        let hold_until_ms = self.health.hold_until_ms();
        if now_ms < hold_until_ms {
            return Step::WaitUntil(hold_until_ms);
        }
        let gate_until_ms = self.health.gate_until_ms();
        let early = now_ms < gate_until_ms;
        if early && !self.may_go_early(&candidate) {
            return Step::WaitUntil(gate_until_ms);
        }
        if let Some(rate) = self.plan.rate
            && let Err(wait_ms) = self.passed.charge(rate, now_ms)
        {
            return Step::WaitUntil(now_ms + wait_ms);
        }
        if early {
            self.health.went_early();
        }
        self.start(candidate).map_or(Step::Wait, Step::Send)
    }

    /// A failing receiver gets one request at a time. If that request is a retry, a new event need not wait
    /// for it: a retry may take as long as a request may take.
    fn has_spare_slot(&self) -> bool {
        self.health.is_failing() && !self.health.is_refused() && self.flights.are_tried_before()
    }

    fn may_go_early(&self, candidate: &Candidate) -> bool {
        let Candidate::New(Source::Live, indexes) = candidate else { return false };
        let trusted = |index: &usize| {
            self.live.queue().ready().get(*index).is_some_and(|ready| self.health.trusts(ready.kind))
        };
        self.health.may_go_early() && indexes.iter().all(trusted)
    }

    /// Returns what goes next, even if it must wait until a pause ends. During a pause a new event that may
    /// start early comes first. With `only_new` only new events are considered.
    fn candidate(&mut self, now_ms: u64, only_new: bool) -> Option<Candidate> {
        if only_new || now_ms < self.health.gate_until_ms() {
            let new = self.look_for(Kind::Live, now_ms);
            if only_new || new.as_ref().is_some_and(|new| self.may_go_early(new)) {
                return new;
            }
        }
        let turn = TURNS[self.turn as usize % TURNS.len()];
        let turn = if self.turn.is_multiple_of(2) && self.first_is_untried() { TURNS[0] } else { turn };
        turn.into_iter().find_map(|kind| self.look_for(kind, now_ms))
    }

    /// Returns whether the first due delivery was not tried yet, or was refused by a busy receiver: it is as
    /// good as new, and older.
    fn first_is_untried(&self) -> bool {
        let first = self.retries.first_due().and_then(|(_, number)| self.retries.get(number));
        first.is_some_and(|retry| retry.attempts == 0)
    }

    fn look_for(&mut self, kind: Kind, now_ms: u64) -> Option<Candidate> {
        match kind {
            Kind::Waiting => self.due(now_ms).map(Candidate::Waiting),
            Kind::Live => self.new_events(Source::Live, now_ms),
            Kind::Replay => self.new_events(self.replays.source()?, now_ms),
        }
    }

    /// Returns the first delivery that is due and comes first in its lanes.
    fn due(&mut self, now_ms: u64) -> Option<u64> {
        while let Some((due_ms, number)) = self.retries.first_due() {
            if due_ms > now_ms {
                return None;
            }
            if self.comes_first(number) {
                return Some(number);
            }
            // An earlier delivery of a lane came back or is read again. This one is checked again after it.
            self.retries.is_not_due(number);
        }
        None
    }

    fn new_events(&mut self, source: Source, now_ms: u64) -> Option<Candidate> {
        let indexes = match source {
            Source::Live => {
                self.batch_of_earlier_owner().unwrap_or_else(|| self.pick(self.live.queue(), now_ms))
            }
            _ => self.pick(self.replays.queue(), now_ms),
        };
        (!indexes.is_empty()).then_some(Candidate::New(source, indexes))
    }

    /// Returns whether there are new events that could be sent, now or later.
    pub(super) fn has_new(&self) -> bool {
        self.live.queue().ready().iter().any(|ready| self.is_free(ready))
    }

    fn is_free(&self, ready: &Ready) -> bool {
        let in_order = !crate::failpoint!("order-ignored");
        ready.lane.is_none_or(|lane| !in_order || self.lanes.is_free(lane))
    }

    /// Returns the indexes of the ready events for the next request. A failing receiver gets them one by one,
    /// because a batch can fail for any of its events.
    fn pick(&self, queue: &Queue, now_ms: u64) -> Vec<usize> {
        let ready = queue.ready();
        let max = if self.health.is_failing() { 1 } else { self.plan.batch_max() };
        if let (Some(batch), Some(first)) = (self.plan.batch, ready.front())
            && ready.len() < batch.max as usize
            && first.since_ms + batch.duration_ms > now_ms
        {
            return Vec::new();
        }
        let free = || ready.iter().enumerate().filter(|(_, ready)| self.is_free(ready));
        if self.health.doubts_all()
            && let Some((index, _)) = free().find(|(_, ready)| self.health.trusts(ready.kind))
        {
            return vec![index];
        }
        free().take(max).map(|(index, _)| index).collect()
    }

    /// Returns the batch of an earlier owner that contains the first event, once all its events that exist
    /// were read.
    fn batch_of_earlier_owner(&mut self) -> Option<Vec<usize>> {
        self.live.forget_batches_behind();
        let batch = self.live.batch_to_repeat()?;
        let all_read = batch.last().is_some_and(|last| *last < self.live.next()) || self.wants().is_none();
        if !all_read {
            // The rest is being read. Until then its events go into no other batch.
            return Some(Vec::new());
        }
        let ready = self.live.queue().ready().iter().enumerate();
        let ours = ready.filter(|(_, ready)| batch.contains(&ready.event.seq) && self.is_free(ready));
        let indexes: Vec<usize> = ours.map(|(index, _)| index).collect();
        (!indexes.is_empty()).then_some(indexes)
    }

    /// Returns when there may be something to do, given that there is nothing now.
    fn idle_until(&self, now_ms: u64) -> Step {
        let firsts =
            self.live.queue().ready().front().into_iter().chain(self.replays.queue().ready().front());
        let batches = firsts.filter_map(|first| Some(first.since_ms + self.plan.batch?.duration_ms));
        let batches = batches.filter(|until_ms| *until_ms > now_ms);
        match self.retries.due_after(now_ms).into_iter().chain(batches).min() {
            Some(until) => Step::WaitUntil(until.max(self.health.hold_until_ms())),
            None => Step::Wait,
        }
    }

    fn start(&mut self, candidate: Candidate) -> Option<Flight> {
        self.turn = self.turn.wrapping_add(1);
        let (number, mut flying) = match candidate {
            Candidate::Waiting(number) => {
                self.retries.is_not_due(number);
                (number, Flying::new(self.retries.get(number)?.clone(), Vec::new(), false))
            }
            Candidate::New(source, indexes) => self.start_new(source, &indexes),
        };
        flying.gap_lane = self.lanes.with_gap(&flying.delivery.lanes);
        flying.failures_before = self.health.counted();
        let gap = flying.gap_lane.and_then(|lane| self.lanes.gap(lane));
        let Retry { events, attempts, source, .. } = &flying.delivery;
        let has_waited = !flying.is_fresh && *source != Source::Asked;
        let is_replay = *source != Source::Live;
        let (events, attempt) = (events.clone(), attempts + 1);
        let flight = Flight { id: number, events, attempt, gap, has_waited, is_replay };
        self.flights.begin(number, flying);
        Some(flight)
    }

    fn start_new(&mut self, source: Source, indexes: &[usize]) -> (u64, Flying) {
        let taken = self.queue_mut(source).take(indexes);
        if source == Source::Live {
            self.live.began(&taken);
        }
        if taken.len() > 1 {
            // The next owner must know what the batch contains.
            self.reports.note(Urgency::Soon);
        }
        let delivery = new_delivery(&taken, source);
        let number = self.retries.next_number();
        self.lanes.hold(number, &delivery);
        if self.plan.has_lanes() {
            self.queue_mut(source).park_lanes(&delivery.lanes);
        }
        let mut kinds: Vec<u32> = taken.iter().map(|ready| ready.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        (number, Flying::new(delivery, kinds, true))
    }
}

fn new_delivery(events: &[Ready], source: Source) -> Retry {
    let lanes = events.iter().filter_map(|ready| ready.lane).collect();
    let events = events.iter().map(|ready| ready.event).collect();
    Retry { events, attempts: 0, due_ms: 0, first_ms: 0, lanes, source }
}
