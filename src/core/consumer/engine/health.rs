//! How well the endpoint is: how many requests may be under way, when the next may go, and what is worth trying.
//!
//! Owns the evidence. Retries that fail say little of the rest: what has not been tried waits for no pause that they
//! cause. Where new events fail too, one of a type that has not failed yet is tried before the pause is over.

use super::FAILING_FROM;
use crate::core::consumer::schedule::jittered;

/// The pause after the failure that makes an endpoint failing; it doubles with each one more, milliseconds.
const FIRST_GATE_MS: u64 = 500;
/// The longest pause between requests to a failing endpoint, milliseconds.
const MAX_GATE_MS: u64 = 30_000;
const GATE_JITTER_PERCENT: u32 = 25;
/// The first pause of an endpoint that is busy and doesn't say for how long, or says for no time; it doubles with each
/// one more, milliseconds.
const FIRST_LATER_MS: u64 = 500;
/// Requests that may go before a pause is over, until one succeeds.
const MAX_EARLY: u32 = 8;
/// Types that are remembered to have failed since the last success.
const MAX_KINDS: usize = 64;

#[derive(Debug)]
pub(super) struct Health {
    /// Requests that may be under way now.
    cap: usize,
    gate_until_ms: u64,
    /// Failures counted since the engine began: several that were under way at once fail for one and the same cause.
    counted: u64,
    /// Refusals in a row of an endpoint that is busy.
    refusals: u32,
    /// Failures of events that had not been tried, since the last success.
    fresh_failures: u32,
    failed_kinds: Vec<u32>,
    early: u32,
}

impl Health {
    pub(super) fn new(cap: usize) -> Self {
        let (gate_until_ms, counted, refusals, fresh_failures, early) = (0, 0, 0, 0, 0);
        Self { cap, gate_until_ms, counted, refusals, fresh_failures, failed_kinds: Vec::new(), early }
    }

    pub(super) fn cap(&self) -> usize {
        self.cap
    }

    pub(super) fn limit(&mut self, window: usize) {
        self.cap = self.cap.clamp(1, window);
    }

    pub(super) fn counted(&self) -> u64 {
        self.counted
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refusals > 0
    }

    pub(super) fn gate_until_ms(&self) -> u64 {
        self.gate_until_ms
    }

    /// New events fail as well: one after the other is tried, of types that have not failed first.
    pub(super) fn doubts_all(&self) -> bool {
        self.fresh_failures >= FAILING_FROM
    }

    /// Nothing speaks against a new event of that type.
    pub(super) fn trusts(&self, kind: u32) -> bool {
        !self.doubts_all() || (self.failed_kinds.len() < MAX_KINDS && !self.failed_kinds.contains(&kind))
    }

    /// A new event that is trusted may go before the pause is over.
    pub(super) fn may_go_early(&self) -> bool {
        !self.doubts_all() || self.early < MAX_EARLY
    }

    pub(super) fn went_early(&mut self) {
        self.early += 1;
    }

    /// A new delivery failed, with events of these types.
    pub(super) fn fresh_failed(&mut self, kinds: &[u32]) {
        self.fresh_failures = self.fresh_failures.saturating_add(1);
        for kind in kinds {
            if self.failed_kinds.len() < MAX_KINDS && !self.failed_kinds.contains(kind) {
                self.failed_kinds.push(*kind);
            }
        }
    }

    /// A failure for a new cause; `failures` of them in a row.
    pub(super) fn failed(&mut self, failures: u32, now_ms: u64, random: u32) {
        self.counted += 1;
        self.cap = (self.cap / 2).max(1);
        if failures >= FAILING_FROM {
            self.cap = 1;
            let doublings = (failures - FAILING_FROM).min(16);
            let pause_ms = (FIRST_GATE_MS << doublings).min(MAX_GATE_MS);
            self.gate_until_ms = now_ms + jittered(pause_ms, GATE_JITTER_PERCENT, random);
        }
    }

    /// The endpoint is busy. Answers how long the pause has to be at least: it doubles with each refusal in a row. After
    /// it one request asks; each success lets twice as many follow.
    pub(super) fn refused(&mut self, is_news: bool, random: u32) -> u64 {
        if is_news {
            self.counted += 1;
            self.refusals = self.refusals.saturating_add(1);
        }
        self.cap = 1;
        let pause_ms = (FIRST_LATER_MS << self.refusals.saturating_sub(1).min(16)).min(MAX_GATE_MS);
        jittered(pause_ms, GATE_JITTER_PERCENT, random)
    }

    /// Slow start: twice as many with each success, up to the window.
    pub(super) fn succeeded(&mut self, window: usize) {
        self.cap = (self.cap * 2).min(window);
        self.refusals = 0;
        self.forgive();
    }

    /// As if nothing had failed, but for the requests that may be under way.
    pub(super) fn forgive(&mut self) {
        self.gate_until_ms = 0;
        self.fresh_failures = 0;
        self.failed_kinds.clear();
        self.early = 0;
    }
}
