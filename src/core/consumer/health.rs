//! The receiver's health: how many requests may be under way, when the next may start, what is worth trying,
//! and when the consumer is to be disabled.
//!
//! Retries that fail say little about other events, so events that have not been tried wait for no pause that
//! retries cause. If new events fail too, an event of a type that has not failed yet is tried before the
//! pause is over.

use super::progress::{KEPT_ERROR, Progress, clipped};
use super::retry_policy::jittered;

/// From this number of consecutive failures on, a receiver counts as failing.
pub const FAILING_FROM: u32 = 5;
/// The pause after the failure that makes a receiver failing, in milliseconds. It doubles with each further
/// failure.
const FIRST_GATE_MS: u64 = 500;
/// The longest pause between requests to a failing receiver, in milliseconds.
const MAX_GATE_MS: u64 = 30_000;
const GATE_JITTER_PERCENT: u32 = 25;
/// The first pause for a busy receiver that names no duration or a duration of 0, in milliseconds. It doubles
/// with each further refusal.
const FIRST_LATER_MS: u64 = 500;
/// Requests that may start before a pause is over, until one succeeds.
const MAX_EARLY: u32 = 8;
/// The largest number of types that are remembered as failed since the last success.
const MAX_KINDS: usize = 64;
/// A quiet time of this percentage of the time until the consumer is disabled restarts that time.
const QUIET_PERCENT: u64 = 10;
/// Percentages of the time until the consumer is disabled at which the failures are announced, ascending.
const ANNOUNCED: [u8; 4] = [50, 75, 90, 100];
/// A consumer is disabled only after this percentage was announced, at an earlier failure.
const WARNED: u8 = 90;

/// What the cluster stores of a receiver's health. The next owner starts with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    /// Consecutive failures for which the receiver is to blame.
    pub(super) failures: u32,
    /// Since when every attempt has failed (milliseconds).
    pub(super) failing_since_ms: Option<u64>,
    /// The last failure for which the receiver is to blame (milliseconds).
    pub(super) last_failure_ms: Option<u64>,
    /// How much of the time until the consumer is disabled was announced (percent).
    pub(super) announced_percent: u8,
    /// Nothing is sent before this time, at the receiver's request (milliseconds).
    pub(super) hold_until_ms: u64,
    /// The last success (milliseconds).
    pub(super) last_delivery_ms: Option<u64>,
}

impl From<&Progress> for Condition {
    fn from(progress: &Progress) -> Self {
        Self {
            failures: progress.failures,
            failing_since_ms: progress.failing_since_ms,
            last_failure_ms: progress.last_failure_ms,
            announced_percent: progress.announced_percent,
            hold_until_ms: progress.hold_until_ms,
            last_delivery_ms: progress.last_delivery_ms,
        }
    }
}

/// What a failure of the receiver means for the consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The percentages of the time until it is disabled that are over now and were not announced, ascending.
    pub(super) reached: Vec<u8>,
    /// Set if every attempt has failed for this long (milliseconds), and the consumer is to be disabled.
    pub(super) over_ms: Option<u64>,
}

/// A failure, as it counts toward disabling the consumer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    /// Milliseconds of failures after which the consumer is disabled; `None` is never.
    pub(super) limit_ms: Option<u64>,
    /// Whether there was nothing to try since the last failure: the receiver may have worked in between.
    pub(super) was_quiet: bool,
    /// Whether an event that has not been tried could succeed: it is tried before the consumer is disabled.
    pub(super) is_untried: bool,
    pub(super) now_ms: u64,
}

/// The health of a receiver. It permits between 1 and the plan's window of requests under way.
#[derive(Debug)]
pub(super) struct Health {
    /// The number of requests that may be under way now.
    cap: usize,
    gate_until_ms: u64,
    /// Failures counted since the engine began: several requests that were under way together fail for the
    /// same cause.
    counted: u64,
    /// Consecutive refusals of a busy receiver.
    refusals: u32,
    /// Failures of events that had not been tried, since the last success.
    fresh_failures: u32,
    failed_kinds: Vec<u32>,
    early: u32,
    condition: Condition,
    /// The last error, as text, until something is delivered.
    last_error: Option<String>,
}

impl Health {
    pub(super) fn new(window: usize, condition: Condition, last_error: Option<String>) -> Self {
        Self {
            cap: if condition.failures >= FAILING_FROM { 1 } else { window.max(1) },
            gate_until_ms: 0,
            counted: 0,
            refusals: 0,
            fresh_failures: 0,
            failed_kinds: Vec::new(),
            early: 0,
            condition,
            last_error,
        }
    }

    /// Returns what the cluster stores of it.
    pub(super) fn condition(&self) -> Condition {
        self.condition
    }

    pub(super) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    pub(super) fn cap(&self) -> usize {
        debug_assert!(self.cap > 0, "one request must be able to find out that the receiver works again");
        self.cap
    }

    pub(super) fn limit(&mut self, window: usize) {
        self.cap = self.cap.clamp(1, window.max(1));
    }

    /// Returns whether it failed so often in a row that it gets one request at a time.
    pub(super) fn is_failing(&self) -> bool {
        self.condition.failures >= FAILING_FROM
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

    /// Returns until when the receiver requested a pause (milliseconds).
    pub(super) fn hold_until_ms(&self) -> u64 {
        self.condition.hold_until_ms
    }

    /// Records a pause that the receiver requested.
    pub(super) fn hold_until(&mut self, until_ms: u64) {
        self.condition.hold_until_ms = self.condition.hold_until_ms.max(until_ms);
    }

    /// Returns whether new events fail as well. Then they are tried one after another, types that have not
    /// failed first.
    pub(super) fn doubts_all(&self) -> bool {
        self.fresh_failures >= FAILING_FROM
    }

    /// Returns whether nothing speaks against a new event of that type.
    pub(super) fn trusts(&self, kind: u32) -> bool {
        !self.doubts_all() || (self.failed_kinds.len() < MAX_KINDS && !self.failed_kinds.contains(&kind))
    }

    /// Returns whether a new, trusted event may start before the pause is over.
    pub(super) fn may_go_early(&self) -> bool {
        !self.doubts_all() || self.early < MAX_EARLY
    }

    pub(super) fn went_early(&mut self) {
        self.early += 1;
    }

    /// Records an error, whoever is to blame.
    pub(super) fn erred(&mut self, error: &str) {
        self.last_error = Some(clipped(error, KEPT_ERROR).to_owned());
    }

    /// Records that a new delivery failed, with events of these types.
    pub(super) fn fresh_failed(&mut self, kinds: &[u32]) {
        self.fresh_failures = self.fresh_failures.saturating_add(1);
        for kind in kinds {
            if self.failed_kinds.len() < MAX_KINDS && !self.failed_kinds.contains(kind) {
                self.failed_kinds.push(*kind);
            }
        }
    }

    /// Records that the receiver failed for a new cause.
    pub(super) fn failed(&mut self, now_ms: u64, random: u32) {
        self.counted += 1;
        self.cap = (self.cap / 2).max(1);
        self.condition.failures = self.condition.failures.saturating_add(1);
        if let Some(more) = self.condition.failures.checked_sub(FAILING_FROM) {
            self.cap = 1;
            let pause_ms = (FIRST_GATE_MS << more.min(16)).min(MAX_GATE_MS);
            self.gate_until_ms = now_ms + jittered(pause_ms, GATE_JITTER_PERCENT, random);
        }
    }

    /// Records a failure of the receiver and returns what it means for the consumer.
    pub(super) fn stands(&mut self, failure: &Failure) -> Standing {
        let now_ms = failure.now_ms;
        let condition = &mut self.condition;
        let limit_ms = failure.limit_ms.unwrap_or(u64::MAX);
        let last_ms = condition.last_failure_ms.replace(now_ms).unwrap_or(now_ms);
        if failure.was_quiet && now_ms.saturating_sub(last_ms) > limit_ms / 100 * QUIET_PERCENT {
            condition.failing_since_ms = None;
            condition.announced_percent = 0;
        }
        let failing_ms = now_ms.saturating_sub(*condition.failing_since_ms.get_or_insert(now_ms));
        let announced = condition.announced_percent;
        let is_over = failing_ms >= limit_ms && announced >= WARNED;
        let is_reached = |percent: u8| match percent {
            100 => is_over,
            percent => failing_ms >= limit_ms / 100 * u64::from(percent),
        };
        let reached: Vec<u8> =
            ANNOUNCED.into_iter().filter(|percent| *percent > announced && is_reached(*percent)).collect();
        condition.announced_percent = reached.last().map_or(announced, |percent| *percent);
        Standing { reached, over_ms: (is_over && !failure.is_untried).then_some(failing_ms) }
    }

    /// Records that the receiver is busy. Returns until when nothing starts: the pause doubles with each
    /// consecutive refusal. After the pause one request starts, and each success lets twice as many follow.
    pub(super) fn refused(&mut self, is_news: bool, now_ms: u64, random: u32) -> u64 {
        if is_news {
            self.counted += 1;
            self.refusals = self.refusals.saturating_add(1);
        }
        self.cap = 1;
        let pause_ms = (FIRST_LATER_MS << self.refusals.saturating_sub(1).min(16)).min(MAX_GATE_MS);
        self.hold_until(now_ms + jittered(pause_ms, GATE_JITTER_PERCENT, random));
        self.hold_until_ms()
    }

    /// Slow start: doubles the number of requests with each success, up to the window.
    pub(super) fn succeeded(&mut self, window: usize, now_ms: u64) {
        self.cap = (self.cap * 2).min(window.max(1));
        self.refusals = 0;
        self.last_error = None;
        self.condition.last_delivery_ms = Some(now_ms);
        self.begin_anew();
    }

    /// Forgets the failures at somebody's request to continue, but not the number of requests that may be
    /// under way.
    pub(super) fn resume(&mut self) {
        self.condition.hold_until_ms = 0;
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        let condition = &mut self.condition;
        condition.failures = 0;
        condition.failing_since_ms = None;
        condition.announced_percent = 0;
        self.gate_until_ms = 0;
        self.fresh_failures = 0;
        self.failed_kinds.clear();
        self.early = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT_MS: u64 = 1000;

    fn health() -> Health {
        Health::new(8, Condition::default(), None)
    }

    fn fail(health: &mut Health, now_ms: u64, was_quiet: bool, is_untried: bool) -> Standing {
        health.stands(&Failure { limit_ms: Some(LIMIT_MS), was_quiet, is_untried, now_ms })
    }

    #[test]
    fn a_failing_receiver_gets_one_request_and_growing_pauses() {
        let mut health = health();
        let mut pauses = Vec::new();
        for _ in 0..FAILING_FROM + 7 {
            health.failed(0, u32::MAX / 2);
            pauses.push(health.gate_until_ms());
        }
        assert!(pauses[..FAILING_FROM as usize - 1].iter().all(|pause_ms| *pause_ms == 0), "{pauses:?}");
        assert!(
            pauses[FAILING_FROM as usize - 1..].is_sorted() && pauses.last() <= Some(&MAX_GATE_MS),
            "{pauses:?}"
        );
        assert_eq!((health.cap(), health.is_failing()), (1, true));
        let caps: Vec<usize> = (0..4)
            .map(|_| {
                health.succeeded(8, 0);
                health.cap()
            })
            .collect();
        assert_eq!((caps, health.gate_until_ms()), (vec![2, 4, 8, 8], 0));
    }

    #[test]
    fn failures_are_announced_four_times_until_the_end() {
        let mut health = health();
        let standings: Vec<Standing> = [1, 400, 501, 600, 751, 901, 1000, 1001]
            .map(|now_ms| fail(&mut health, now_ms, false, false))
            .into();
        let steps = [vec![], vec![], vec![50], vec![], vec![75], vec![90], vec![], vec![100]];
        let expected = steps.map(|reached| {
            let over_ms = reached.contains(&100).then_some(1000);
            Standing { reached, over_ms }
        });
        assert_eq!(standings, expected);
    }

    #[test]
    fn each_episode_announces_every_step_once_even_if_some_are_skipped() {
        let mut health = health();
        for start in [0, 10_000] {
            let at = [1, 800, 801, 1200, 1300].map(|ms| start + ms);
            let reached = at.map(|now_ms| fail(&mut health, now_ms, false, false).reached);
            assert_eq!(reached, [vec![], vec![50, 75], vec![], vec![90], vec![100]]);
            assert!(fail(&mut health, start + 1400, false, false).reached.is_empty());
            health.succeeded(8, start + 1500);
        }
    }

    #[test]
    fn a_consumer_is_warned_before_it_is_disabled() {
        let mut health = health();
        fail(&mut health, 1, false, false);
        let warned = Standing { reached: vec![50, 75, 90], over_ms: None };
        assert_eq!(fail(&mut health, 5000, false, false), warned);
        let over = Standing { reached: vec![100], over_ms: Some(5000) };
        assert_eq!(fail(&mut health, 5001, false, false), over);
    }

    #[test]
    fn untried_events_are_tried_before_the_consumer_is_disabled() {
        let mut health = health();
        fail(&mut health, 1, false, false);
        fail(&mut health, 5000, false, false);
        assert_eq!(fail(&mut health, 5001, false, true), Standing { reached: vec![100], over_ms: None });
        assert_eq!(fail(&mut health, 5002, false, false), Standing { reached: vec![], over_ms: Some(5001) });
    }

    #[test]
    fn a_quiet_time_or_a_success_restarts_the_time() {
        for quiet in [true, false] {
            let mut health = health();
            fail(&mut health, 1, false, false);
            fail(&mut health, 950, false, false);
            if !quiet {
                health.succeeded(8, 960);
            }
            assert_eq!(fail(&mut health, 2000, quiet, false), Standing::default());
            assert_eq!(health.condition().failing_since_ms, Some(2000));
        }
    }

    #[test]
    fn failed_types_are_not_trusted_when_new_events_fail() {
        let mut health = health();
        (0..FAILING_FROM).for_each(|_| health.fresh_failed(&[1]));
        assert!(health.doubts_all() && !health.trusts(1) && health.trusts(2) && health.may_go_early());
        (0..MAX_EARLY).for_each(|_| health.went_early());
        assert!(!health.may_go_early());
        (0..MAX_KINDS as u32 + 5).for_each(|kind| health.fresh_failed(&[kind]));
        assert!(!health.trusts(1_000_000), "after so many types none is trusted");
        health.succeeded(8, 0);
        assert!(health.trusts(1) && health.may_go_early());
    }
}
