//! What can be seen of an engine from outside, without changing it.

use super::{Engine, Urgency, Waiting};
use crate::core::consumer::progress::Source;
use crate::core::consumer::used::Used;

/// An engine as its worker sees it.
#[derive(Debug)]
pub struct State<'e, C>(&'e Engine<C>);

impl<'e, C> State<'e, C> {
    pub(super) fn new(engine: &'e Engine<C>) -> Self {
        Self(engine)
    }

    /// Returns the number of requests under way.
    pub fn in_flight(&self) -> usize {
        self.0.flights.len()
    }

    /// Returns the number of events that wait for a retry or behind others of their lane.
    pub fn waiting_events(&self) -> u64 {
        self.0.retries.events() as u64
    }

    /// Returns waiting deliveries from that number on, at most `max`: those whose events were chosen by the
    /// consumer's filter, and not by name.
    pub fn waiting(&self, from: u64, max: usize) -> Vec<Waiting> {
        let chosen = self.0.retries.from(from).filter(|(_, retry)| retry.source != Source::Asked);
        chosen.take(max).map(|(number, retry)| Waiting { number, events: retry.events.clone() }).collect()
    }

    /// Returns the seq of the oldest waiting event.
    pub fn oldest(&self) -> Option<u64> {
        self.0.retries.summary().oldest_seq
    }

    /// Returns whether it failed so often in a row ([`FAILING_FROM`](super::FAILING_FROM)) that it gets one request at a
    /// time.
    pub fn is_failing(&self) -> bool {
        self.0.health.is_failing()
    }

    /// Returns the number of the last owner command that was carried out.
    pub fn commands_done(&self) -> u64 {
        self.0.commands_done
    }

    /// Returns whether nothing waits and nothing is under way: only a new event can give it something to do.
    pub fn is_idle(&self) -> bool {
        self.0.flights.is_empty()
            && self.0.retries.events() == 0
            && self.0.live.queue().is_empty()
            && self.0.replays.running().is_none()
            && self.urgency() <= Urgency::Lazy
    }

    /// Returns whether the event is to be sent soon, or is under way for the first time.
    pub fn holds(&self, seq: u64) -> bool {
        self.0.live.queue().is_ready(seq) || self.0.replays.queue().is_ready(seq) || self.0.flights.carry(seq)
    }

    /// Returns what it has used up of its rate, for an engine of the same owner that continues after it.
    pub fn used(&self, now_ms: u64) -> Used {
        match self.0.plan.rate {
            Some(rate) if !self.0.passed.is_clear(rate, now_ms) => {
                Used::Counted(rate, Box::new(self.0.passed.clone()))
            }
            _ => Used::Nothing,
        }
    }

    /// Returns how soon the cluster must be told.
    pub fn urgency(&self) -> Urgency {
        self.0.reports.urgency()
    }
}
