//! What follows from how a request ended: delivered, tried again, halved, given up, disabled.

use super::{Engine, FAILING_FROM, Flying, Urgency};
use crate::core::endpoint::class::{Class, Outcome, Verdict};
use crate::core::endpoint::progress::{EventRef, KEPT_ERROR, Replay, Retry, Source, clipped};
use crate::core::endpoint::schedule::jittered;

/// The pause after the failure that makes an endpoint failing; it doubles with each one more, milliseconds.
const FIRST_GATE_MS: u64 = 500;
/// The longest pause between requests to a failing endpoint, milliseconds.
const MAX_GATE_MS: u64 = 30_000;
const GATE_JITTER_PERCENT: u32 = 25;
/// Lanes whose last given-up event is remembered.
const MAX_GAPS: usize = 64;
/// The first pause of an endpoint that is busy and doesn't say for how long, or says for no time; it doubles with each
/// one more, milliseconds.
const FIRST_LATER_MS: u64 = 500;
/// A quiet time of so many hundredths of the time until it is disabled begins that time anew.
const QUIET_PERCENT: u64 = 10;
/// Parts of the time until it is disabled at which failing is announced, percent.
const ANNOUNCED: [u8; 2] = [90, 50];

impl Engine {
    /// Takes the end of a request. `error` says in words what went wrong, `random` picks places within jitters.
    pub fn settle(&mut self, flight: u64, outcome: &Outcome, error: &str, now_ms: u64, random: u32) {
        let Some(flying) = self.flights.remove(&flight) else { return };
        let error = clipped(error, KEPT_ERROR);
        self.unreported += 1;
        self.note(Urgency::Soon);
        if let Some(pause_ms) = outcome.pause_ms {
            self.progress.hold_until_ms = self.progress.hold_until_ms.max(now_ms + pause_ms);
        }
        let verdict = outcome.verdict(self.plan.profile, flying.retry.events.len(), self.plan.retry.ambiguous);
        if verdict == Verdict::Done {
            self.succeeded(flight, flying, now_ms);
            return;
        }
        let is_news = flying.failures_before == self.counted;
        if outcome.class != Class::Expired {
            let was_quiet = flying.number.is_none() && self.retries.is_empty();
            self.failed(outcome, verdict, error, Failed { is_news, was_quiet, now_ms, random });
        }
        let mut retry = self.take_back(flight, flying, now_ms);
        if self.is_cancelled(retry.source) {
            return self.end_replay_if_done(now_ms);
        }
        match verdict {
            Verdict::Halve => self.halve(retry, now_ms),
            Verdict::Later => {
                retry.due_ms = self.pause_later(is_news, now_ms, random);
                self.keep_retry(retry);
            }
            Verdict::Gone => {
                retry.due_ms = now_ms;
                self.keep_retry(retry);
            }
            Verdict::Again | Verdict::GiveUp | Verdict::Done => {
                retry.attempts += 1;
                let delay_ms = self.plan.retry.delay_ms(retry.attempts, random).filter(|_| verdict == Verdict::Again);
                match delay_ms {
                    Some(delay_ms) => {
                        retry.due_ms = now_ms + delay_ms.max(outcome.pause_ms.unwrap_or(0));
                        self.keep_retry(retry);
                    }
                    None => self.give_up(retry, outcome, error, now_ms),
                }
            }
        }
        if verdict == Verdict::Gone {
            self.halt(format!("the receiver is gone for good: {error}"));
        }
        self.end_replay_if_done(now_ms);
    }

    /// Puts a request back that was never sent, as if it had not been begun.
    pub fn unsend(&mut self, flight: u64, now_ms: u64) {
        let Some(flying) = self.flights.remove(&flight) else { return };
        let mut retry = self.take_back(flight, flying, 0);
        if !self.is_cancelled(retry.source) {
            retry.due_ms = now_ms;
            self.keep_retry(retry);
        }
        self.note(Urgency::Soon);
    }

    /// The endpoint is busy: nothing goes before the end of the pause that it asked for, or of one that doubles with each
    /// refusal in a row, whichever is longer. Then one request asks; each success lets twice as many follow.
    fn pause_later(&mut self, is_news: bool, now_ms: u64, random: u32) -> u64 {
        if is_news {
            self.counted += 1;
            self.refusals = self.refusals.saturating_add(1);
        }
        self.cap = 1;
        let pause_ms = (FIRST_LATER_MS << self.refusals.saturating_sub(1).min(16)).min(MAX_GATE_MS);
        let until_ms = now_ms + jittered(pause_ms, GATE_JITTER_PERCENT, random);
        self.progress.hold_until_ms = self.progress.hold_until_ms.max(until_ms);
        self.progress.hold_until_ms
    }

    fn is_cancelled(&self, source: Source) -> bool {
        let Source::Replay(id) = source else { return false };
        !self.progress.replays.iter().any(|replay| replay.id == id && replay.ended_ms.is_none())
    }

    fn succeeded(&mut self, flight: u64, flying: Flying, now_ms: u64) {
        let Flying { retry, number, gap_lane, .. } = flying;
        if number.is_some() {
            self.drop_retry(flight);
        } else {
            self.release(flight, &retry);
        }
        self.progress.gaps.retain(|(lane, _)| Some(*lane) != gap_lane);
        self.progress.delivered += retry.events.len() as u64;
        self.progress.last_delivery_ms = Some(now_ms);
        self.progress.last_error = None;
        self.progress.failing_since_ms = None;
        self.progress.announced_percent = 0;
        self.gate_until_ms = 0;
        self.settle_events(retry.source, &retry.events);
        self.count_replayed(&retry, true);
        if self.progress.failures >= FAILING_FROM {
            self.pull_forward(now_ms);
        }
        self.progress.failures = 0;
        self.refusals = 0;
        // Slow start: twice as many with each success, up to the window.
        self.cap = (self.cap * 2).min(self.plan.window);
        self.end_replay_if_done(now_ms);
    }

    /// The endpoint is back: what was to wait for long is tried now, as fast as the window opens.
    pub(super) fn pull_forward(&mut self, now_ms: u64) {
        let late: Vec<(u64, u64)> = self.due.range((now_ms + 1, 0)..).copied().collect();
        for (due_ms, number) in late {
            self.due.remove(&(due_ms, number));
            self.due.insert((now_ms, number));
            if let Some(retry) = self.retries.get_mut(&number) {
                retry.due_ms = now_ms;
            }
        }
    }

    /// Has the endpoint disabled; until the cluster has done so, nothing more is begun.
    fn halt(&mut self, why: String) {
        self.halted = true;
        self.disable.get_or_insert(why);
        self.note(Urgency::Now);
    }

    fn failed(&mut self, outcome: &Outcome, verdict: Verdict, error: &str, failed: Failed) {
        let Failed { is_news, now_ms, random, .. } = failed;
        let progress = &mut self.progress;
        progress.failed_attempts += 1;
        progress.last_error = Some(error.to_owned());
        if !outcome.blames_endpoint() {
            return;
        }
        if is_news && verdict != Verdict::Later {
            self.counted += 1;
            progress.failures = progress.failures.saturating_add(1);
            self.cap = (self.cap / 2).max(1);
            if progress.failures >= FAILING_FROM {
                self.cap = 1;
                let doublings = (progress.failures - FAILING_FROM).min(16);
                let pause_ms = (FIRST_GATE_MS << doublings).min(MAX_GATE_MS);
                self.gate_until_ms = now_ms + jittered(pause_ms, GATE_JITTER_PERCENT, random);
            }
        }
        self.consider_disabling(error, &failed);
    }

    /// Has an endpoint disabled that has failed for so long, and tells before that it will be.
    fn consider_disabling(&mut self, error: &str, failed: &Failed) {
        let (now_ms, progress) = (failed.now_ms, &mut self.progress);
        let limit_ms = self.plan.auto_disable_ms.unwrap_or(u64::MAX);
        let last_ms = progress.last_failure_ms.replace(now_ms).unwrap_or(now_ms);
        // Between two failures with nothing to try in between it may have been well.
        if failed.was_quiet && now_ms.saturating_sub(last_ms) > limit_ms / 100 * QUIET_PERCENT {
            progress.failing_since_ms = None;
            progress.announced_percent = 0;
        }
        let failing_ms = now_ms.saturating_sub(*progress.failing_since_ms.get_or_insert(now_ms));
        let reached = |percent: &&u8| failing_ms >= limit_ms / 100 * u64::from(**percent);
        let announced = progress.announced_percent;
        if failing_ms >= limit_ms && announced >= ANNOUNCED[0] {
            return self.halt(format!("every attempt has failed for {} s; the last: {error}", failing_ms / 1000));
        }
        if let Some(percent) = ANNOUNCED.iter().find(reached).filter(|percent| announced < **percent) {
            progress.announced_percent = *percent;
            self.announce = Some(*percent);
            self.note(Urgency::Now);
        }
    }

    /// The delivery of a request that has ended, out of all lists; its events are settled where they were read.
    fn take_back(&mut self, flight: u64, flying: Flying, now_ms: u64) -> Retry {
        let Flying { mut retry, number, .. } = flying;
        if number.is_some() {
            self.drop_retry(flight);
        } else {
            self.release(flight, &retry);
            retry.first_ms = now_ms;
        }
        // One that was tried before may be ahead of where reading went back to.
        self.settle_events(retry.source, &retry.events);
        retry
    }

    fn settle_events(&mut self, source: Source, events: &[EventRef]) {
        if let Some(track) = self.track_of(source) {
            events.iter().for_each(|event| track.settle(event.seq));
        }
    }

    fn halve(&mut self, retry: Retry, now_ms: u64) {
        let (first, second) = retry.events.split_at(retry.events.len() / 2);
        for half in [first, second] {
            // Which lanes are whose is not known any more: both keep all, and go in order.
            self.keep_retry(Retry { events: half.to_vec(), due_ms: now_ms, ..retry.clone() });
        }
    }

    fn give_up(&mut self, retry: Retry, outcome: &Outcome, error: &str, now_ms: u64) {
        self.bury(&retry.events, &retry, outcome.class, outcome.status, error, now_ms);
        let Some(last) = retry.events.last().map(|event| event.id) else { return };
        for lane in &retry.lanes {
            self.progress.gaps.retain(|(gap, _)| gap != lane);
            self.progress.gaps.push((*lane, last));
        }
        let excess = self.progress.gaps.len().saturating_sub(MAX_GAPS);
        self.progress.gaps.drain(..excess);
        self.count_replayed(&retry, false);
        if !retry.lanes.is_empty() {
            let number = self.number();
            self.lanes.hold(number, &retry);
            self.given_up.push((number, retry));
        }
    }

    fn count_replayed(&mut self, retry: &Retry, delivered: bool) {
        let events = retry.events.len() as u64;
        let mut revived = retry.source == Source::Asked;
        if let Source::Replay(id) = retry.source
            && let Some(replay) = self.progress.replays.iter_mut().find(|replay| replay.id == id)
        {
            *(if delivered { &mut replay.delivered } else { &mut replay.failed }) += events;
            revived = true;
        }
        if revived && delivered {
            self.revived.extend(retry.events.iter().map(|event| event.seq));
        }
    }

    /// Ends the running replay once everything of it is settled, and begins the next.
    pub(super) fn end_replay_if_done(&mut self, now_ms: u64) {
        while let Some(id) = self.running_replay().map(|replay| replay.id) {
            let ours = |retry: &Retry| retry.source == Source::Replay(id);
            let busy = self.retries.values().any(ours)
                || self.flights.values().any(|flying| ours(&flying.retry))
                || !self.replay_ready.is_empty();
            let Some(replay) = self.progress.replays.iter_mut().find(|replay| replay.id == id) else { return };
            if busy || replay.track.next < replay.until_seq {
                return;
            }
            replay.ended_ms = Some(now_ms);
            self.note(Urgency::Now);
            self.start_replay();
        }
    }

    /// The oldest replay that has not ended.
    pub(super) fn running_replay(&self) -> Option<&Replay> {
        self.progress.replays.iter().find(|replay| replay.ended_ms.is_none())
    }

    /// Reads for the oldest replay that has not ended, from where it stopped.
    pub(super) fn start_replay(&mut self) {
        self.replay_ready.clear();
        self.replay_next = self.running_replay().map_or(0, |replay| replay.track.next);
    }
}

/// What is known of a failure beside its outcome.
struct Failed {
    /// Not one of several that were under way at once and failed for the same cause.
    is_news: bool,
    /// Nothing waited to be tried again.
    was_quiet: bool,
    now_ms: u64,
    random: u32,
}
