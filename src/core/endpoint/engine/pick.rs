//! What is sent next: what is due again, or new events, one or a batch of them.

use super::{Engine, FAILING_FROM, Flight, Flying, MAX_READY, MAX_RETRIES, MAX_RETRY_EVENTS, Ready, Step};
use crate::core::endpoint::progress::{Retry, Source};
use std::collections::VecDeque;

/// What may be begun.
#[derive(Debug)]
pub(super) enum Candidate {
    /// A retry, by its number.
    Retry(u64),
    /// Ready events, by their places.
    New(Source, Vec<usize>),
}

impl Engine {
    pub(super) fn candidate(&self, now_ms: u64) -> Option<Candidate> {
        let again = || self.due_retry(now_ms).map(Candidate::Retry);
        if self.progress.failures >= FAILING_FROM && self.prefer_new {
            return self.new_events(now_ms).or_else(again);
        }
        again().or_else(|| self.new_events(now_ms))
    }

    fn due_retry(&self, now_ms: u64) -> Option<u64> {
        let mut due = self.due.iter().take_while(|(due_ms, _)| *due_ms <= now_ms).map(|(_, number)| *number);
        let first =
            |number: &u64| self.retries.get(number).is_some_and(|retry| self.lanes.may_start(*number, &retry.lanes));
        due.find(first)
    }

    fn new_events(&self, now_ms: u64) -> Option<Candidate> {
        if self.retries.len() + self.flights.len() >= MAX_RETRIES || self.retry_events >= MAX_RETRY_EVENTS {
            return None;
        }
        let live = self.pick(&self.ready, now_ms);
        if !live.is_empty() {
            return Some(Candidate::New(Source::Live, live));
        }
        let replay = self.running_replay()?.id;
        let again = self.pick(&self.replay_ready, now_ms);
        (!again.is_empty()).then_some(Candidate::New(Source::Replay(replay), again))
    }

    /// Places of the ready events that go into the next request.
    fn pick(&self, ready: &VecDeque<Ready>, now_ms: u64) -> Vec<usize> {
        let max = self.plan.batch.map_or(1, |batch| batch.max as usize);
        if let (Some(batch), Some(first)) = (self.plan.batch, ready.front())
            && ready.len() < max.min(MAX_READY)
            && first.since_ms + batch.duration_ms > now_ms
        {
            return Vec::new();
        }
        let in_order = !crate::broken!("order-ignored");
        let free = |ready: &Ready| ready.lane.is_none_or(|lane| !in_order || self.lanes.is_free(lane));
        ready.iter().enumerate().filter(|(_, ready)| free(ready)).take(max).map(|(place, _)| place).collect()
    }

    /// When there may be something to do, given that there is nothing now.
    pub(super) fn idle_until(&self, now_ms: u64, hold_until: u64) -> Step {
        let retry = self.due.iter().map(|(due_ms, _)| *due_ms).find(|due_ms| *due_ms > now_ms);
        let firsts = self.ready.front().into_iter().chain(self.replay_ready.front());
        let batches = firsts.filter_map(|first| Some(first.since_ms + self.plan.batch?.duration_ms));
        match retry.into_iter().chain(batches.filter(|until_ms| *until_ms > now_ms)).min() {
            Some(until) => Step::WaitUntil(until.max(hold_until)),
            None => Step::Wait,
        }
    }

    pub(super) fn start(&mut self, candidate: Candidate) -> Flight {
        self.prefer_new = matches!(candidate, Candidate::Retry(_));
        let (retry, number) = match candidate {
            Candidate::Retry(number) => {
                let retry = self.retries[&number].clone();
                self.due.remove(&(retry.due_ms, number));
                (retry, Some(number))
            }
            Candidate::New(source, places) => {
                let ready = if source == Source::Live { &mut self.ready } else { &mut self.replay_ready };
                let taken: Vec<Ready> = places.into_iter().rev().filter_map(|place| ready.remove(place)).collect();
                let mut lanes: Vec<u64> = taken.iter().filter_map(|ready| ready.lane).collect();
                lanes.sort_unstable();
                lanes.dedup();
                let events = taken.iter().rev().map(|ready| ready.event).collect();
                (Retry { events, attempts: 0, due_ms: 0, first_ms: 0, lanes, source }, None)
            }
        };
        let id = number.unwrap_or_else(|| self.number());
        if number.is_none() {
            self.lanes.hold(id, &retry);
            self.park(&retry.lanes);
        }
        let gap = retry.lanes.iter().find_map(|lane| self.progress.gaps.iter().find(|(gap, _)| gap == lane)).copied();
        let flight =
            Flight { id, events: retry.events.clone(), attempt: retry.attempts + 1, gap: gap.map(|(_, event)| event) };
        let (gap_lane, failures_before) = (gap.map(|(lane, _)| lane), self.counted);
        self.flights.insert(id, Flying { retry, number, gap_lane, failures_before });
        flight
    }
}
