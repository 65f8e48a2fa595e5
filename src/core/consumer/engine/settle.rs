//! What follows from how a request ended: delivered, tried again, halved, given up, disabled.

use super::report::Cause;
use super::{Engine, FAILING_FROM, Flying, MADE_ROOM, MAX_WAITING, Mode, Urgency};
use crate::core::consumer::progress::{EventRef, KEPT_ERROR, Retry, Source, clipped};
use crate::core::webhook::outcome::{Class, Outcome, Verdict};

/// Lanes whose last given-up event is remembered.
const MAX_GAPS: usize = 64;
/// A quiet time of so many hundredths of the time until it is disabled begins that time anew.
const QUIET_PERCENT: u64 = 10;
/// Parts of the time until it is disabled at which failing is announced, percent.
const ANNOUNCED: [u8; 2] = [90, 50];

impl Engine {
    /// Takes the end of a request. `error` says in words what went wrong, `random` picks places within jitters.
    pub fn settle(&mut self, flight: u64, outcome: &Outcome, error: &str, now_ms: u64, random: u32) {
        let Some(flying) = self.flights.remove(&flight) else { return };
        let error = clipped(error, KEPT_ERROR);
        self.unreported.completed();
        self.note(Urgency::Soon);
        if let Some(pause_ms) = outcome.pause_ms {
            self.progress.hold_until_ms = self.progress.hold_until_ms.max(now_ms + pause_ms);
        }
        let verdict = outcome.verdict(self.plan.profile, flying.delivery.events.len(), self.plan.retry.ambiguous);
        // One that was tried before may be ahead of where reading went back to.
        self.settle_events(flying.delivery.source, &flying.delivery.events);
        if verdict == Verdict::Done {
            self.succeeded(flight, flying, now_ms);
        } else {
            let is_news = flying.failures_before == self.health.counted();
            let failed = Failed { is_news, now_ms, random };
            if outcome.class != Class::Expired {
                self.failed(&flying, outcome, verdict, error, &failed);
            }
            self.follow(flight, flying, outcome, verdict, error, &failed);
        }
        self.end_replay_if_done(now_ms);
    }

    /// Does with a failed delivery what the verdict says.
    fn follow(
        &mut self,
        flight: u64,
        flying: Flying,
        outcome: &Outcome,
        verdict: Verdict,
        error: &str,
        failed: &Failed,
    ) {
        let now_ms = failed.now_ms;
        let Some((number, mut retry)) = self.take_back(flight, flying, now_ms) else { return };
        if retry.first_ms == 0 {
            retry.first_ms = now_ms;
        }
        match verdict {
            Verdict::Halve => {
                retry.due_ms = now_ms;
                // All but one may have been skipped meanwhile.
                if retry.events.len() > 1 { self.halve(number, retry) } else { self.keep(number, retry) }
            }
            Verdict::Later => {
                let until_ms = now_ms + self.health.refused(failed.is_news, failed.random);
                self.progress.hold_until_ms = self.progress.hold_until_ms.max(until_ms);
                retry.due_ms = self.progress.hold_until_ms;
                self.keep(number, retry);
            }
            Verdict::Gone => {
                retry.due_ms = now_ms;
                self.keep(number, retry);
                self.halt(format!("the receiver is gone for good: {error}"));
            }
            Verdict::Again => self.try_again(number, retry, outcome, error, failed),
            Verdict::GiveUp | Verdict::Done => {
                retry.attempts += 1;
                self.give_up(number, retry, &Cause { class: outcome.class, status: outcome.status, error, now_ms });
            }
        }
    }

    /// A batch is repeated as it was. Where other deliveries succeed, or where no more attempts are left than it takes to
    /// get down to single events, each half goes on its own: what can't be delivered costs nothing beside it.
    fn try_again(&mut self, number: u64, mut retry: Retry, outcome: &Outcome, error: &str, failed: &Failed) {
        let Failed { now_ms, random, .. } = *failed;
        retry.attempts += 1;
        let policy = &self.plan.retry;
        let pause_ms = outcome.pause_ms.unwrap_or(0);
        let others_succeed = self.progress.last_delivery_ms.is_some_and(|last_ms| last_ms > retry.first_ms);
        let attempts_left = policy.max_attempts.saturating_sub(retry.attempts);
        let halvings = retry.events.len().next_power_of_two().trailing_zeros();
        match policy.delay_ms(retry.attempts, random) {
            Some(delay_ms) => {
                retry.due_ms = now_ms + delay_ms.max(pause_ms);
                if halvings > 0 && (retry.attempts >= 2 && others_succeed || attempts_left <= halvings) {
                    self.halve(number, retry);
                } else {
                    self.keep(number, retry);
                }
            }
            // The receiver takes others: each half has one attempt more, until what fails is alone.
            None if halvings > 0 && others_succeed => {
                retry.attempts -= 1;
                retry.due_ms = now_ms + pause_ms;
                self.halve(number, retry);
            }
            None => {
                self.give_up(number, retry, &Cause { class: outcome.class, status: outcome.status, error, now_ms });
            }
        }
    }

    /// Puts a request back that was never sent, as if it had not been begun.
    pub fn unsend(&mut self, flight: u64, now_ms: u64) {
        let Some(flying) = self.flights.remove(&flight) else { return };
        self.settle_events(flying.delivery.source, &flying.delivery.events);
        if let Some((number, mut retry)) = self.take_back(flight, flying, now_ms) {
            retry.due_ms = now_ms;
            self.keep(number, retry);
        }
        self.note(Urgency::Soon);
        self.end_replay_if_done(now_ms);
    }

    /// The delivery of a request that has ended without success, and its number; `None` where what was asked meanwhile
    /// leaves nothing of it.
    fn take_back(&mut self, number: u64, flying: Flying, now_ms: u64) -> Option<(u64, Retry)> {
        let Flying { delivery, skip_below, .. } = flying;
        let is_skipped = |event: &EventRef| delivery.source == Source::Live && event.seq < skip_below;
        if self.is_cancelled(delivery.source) || delivery.events.iter().any(is_skipped) {
            let (skipped, left): (Vec<EventRef>, Vec<EventRef>) = delivery.events.iter().partition(|it| is_skipped(it));
            self.skip(&skipped, &delivery, now_ms);
            self.waiting.remove(number);
            let lanes = delivery.lanes.iter().copied().skip(skipped.len()).collect();
            let rest = Retry { events: left, lanes, ..delivery.clone() };
            let stays = !rest.events.is_empty() && !self.is_cancelled(rest.source);
            let next = stays.then(|| (self.number(), rest));
            next.iter().for_each(|(next, rest)| self.lanes.hold(*next, rest));
            self.release(number, &delivery);
            return next;
        }
        if delivery.source == Source::Live && number < self.progress.live_from {
            // Its record counts no more.
            self.waiting.remove(number);
            let next = self.number();
            self.lanes.hold(next, &delivery);
            self.lanes.release(number, &delivery);
            return Some((next, delivery));
        }
        Some((number, delivery))
    }

    fn succeeded(&mut self, flight: u64, flying: Flying, now_ms: u64) {
        let Flying { delivery, gap_lane, .. } = flying;
        // The endpoint as a whole failed, and is back: what was to wait for long is tried now, as fast as the window opens.
        let is_back = self.health.doubts_all() || delivery.attempts > 0;
        if is_back && self.progress.failures >= FAILING_FROM {
            self.waiting.pull_forward(now_ms);
        }
        self.waiting.remove(flight);
        self.release(flight, &delivery);
        let progress = &mut self.progress;
        progress.gaps.retain(|(lane, _)| Some(*lane) != gap_lane);
        progress.delivered += delivery.events.len() as u64;
        progress.last_delivery_ms = Some(now_ms);
        progress.last_error = None;
        progress.failing_since_ms = None;
        progress.announced_percent = 0;
        progress.failures = 0;
        self.health.succeeded(self.plan.window);
        self.look_again();
        self.count_replayed(&delivery, true);
    }

    /// Has the endpoint disabled; until the cluster has done so, nothing more is begun.
    fn halt(&mut self, why: String) {
        self.mode = Mode::Halted;
        self.unreported.disable(why);
        self.note(Urgency::Now);
    }

    fn failed(&mut self, flying: &Flying, outcome: &Outcome, verdict: Verdict, error: &str, failed: &Failed) {
        let progress = &mut self.progress;
        progress.failed_attempts += 1;
        progress.last_error = Some(error.to_owned());
        if !outcome.blames_endpoint() {
            return;
        }
        if failed.is_news && verdict != Verdict::Later {
            progress.failures = progress.failures.saturating_add(1);
            self.health.failed(progress.failures, failed.now_ms, failed.random);
            if flying.is_fresh {
                self.health.fresh_failed(&flying.kinds);
            }
        }
        self.consider_disabling(flying, error, failed.now_ms);
    }

    /// Has an endpoint disabled that has failed for so long, and tells before that it will be. What has not been tried
    /// could succeed: it is tried first.
    fn consider_disabling(&mut self, flying: &Flying, error: &str, now_ms: u64) {
        let was_quiet = flying.is_fresh && self.waiting.events() == 0;
        let untried = !flying.is_fresh && self.has_new();
        let progress = &mut self.progress;
        let limit_ms = self.plan.auto_disable_ms.unwrap_or(u64::MAX);
        let last_ms = progress.last_failure_ms.replace(now_ms).unwrap_or(now_ms);
        // Between two failures with nothing to try in between it may have been well.
        if was_quiet && now_ms.saturating_sub(last_ms) > limit_ms / 100 * QUIET_PERCENT {
            progress.failing_since_ms = None;
            progress.announced_percent = 0;
        }
        let failing_ms = now_ms.saturating_sub(*progress.failing_since_ms.get_or_insert(now_ms));
        let reached = |percent: &&u8| failing_ms >= limit_ms / 100 * u64::from(**percent);
        let announced = progress.announced_percent;
        if failing_ms >= limit_ms && announced >= ANNOUNCED[0] {
            if !untried {
                self.halt(format!("every attempt has failed for {} s; the last: {error}", failing_ms / 1000));
            }
            return;
        }
        if let Some(percent) = ANNOUNCED.iter().find(reached).filter(|percent| announced < **percent) {
            progress.announced_percent = *percent;
            self.unreported.announce(*percent);
            self.note(Urgency::Now);
        }
    }

    fn halve(&mut self, number: u64, retry: Retry) {
        let middle = retry.events.len() / 2;
        let (first, second) = retry.events.split_at(middle);
        let (first_lanes, second_lanes) = retry.lanes.split_at(middle.min(retry.lanes.len()));
        self.waiting.remove(number);
        for (events, lanes) in [(first, first_lanes), (second, second_lanes)] {
            let half = Retry { events: events.to_vec(), lanes: lanes.to_vec(), ..retry.clone() };
            let number = self.number();
            self.keep(number, half);
        }
        self.release(number, &retry);
    }

    fn give_up(&mut self, number: u64, retry: Retry, cause: &Cause<'_>) {
        self.waiting.remove(number);
        self.bury(&retry.events, &retry, cause);
        for (lane, event) in retry.lanes.iter().zip(&retry.events) {
            self.progress.gaps.retain(|(gap, _)| gap != lane);
            self.progress.gaps.push((*lane, event.id));
        }
        let excess = self.progress.gaps.len().saturating_sub(MAX_GAPS);
        self.progress.gaps.drain(..excess);
        self.count_replayed(&retry, false);
        if !retry.lanes.is_empty() {
            // Its lanes stay blocked: what is parked behind it may have to wait for long.
            retry.lanes.iter().for_each(|lane| self.defer_parked(*lane));
            self.unreported.given_up(number, retry);
        }
    }

    /// Somebody asked that these are not delivered.
    pub(super) fn skip(&mut self, events: &[EventRef], delivery: &Retry, now_ms: u64) {
        let cause = Cause { class: Class::Skipped, status: None, error: "skipped on request", now_ms };
        if !events.is_empty() {
            self.bury(events, delivery, &cause);
        }
    }

    /// What may be given up for others that have to wait: what has longest to wait, if it was tried before, or one of its
    /// lane was given up last.
    pub(super) fn makes_room(&self) -> Option<u64> {
        let number = self.waiting.last_due()?;
        let retry = self.waiting.get(number)?;
        let fails = |lane: &u64| self.progress.gaps.iter().any(|(gap, _)| gap == lane);
        (retry.attempts > 0 || retry.lanes.iter().any(fails)).then_some(number)
    }

    /// Gives up so much that no more wait than may: with the first of a lane those behind it.
    pub(super) fn make_room(&mut self) {
        while self.waiting.events() > MAX_WAITING {
            let Some(number) = self.makes_room() else { return };
            let lane = self.waiting.get(number).and_then(|retry| retry.lanes.first().copied());
            let behind: Vec<u64> = match lane {
                Some(lane) => self.lanes.holders(lane).filter(|next| *next != number).take(MADE_ROOM).collect(),
                None => Vec::new(),
            };
            for number in std::iter::once(number).chain(behind) {
                self.overflow(number);
            }
        }
    }

    fn overflow(&mut self, number: u64) {
        let Some(retry) = self.waiting.get(number).filter(|_| !self.flights.contains_key(&number)).cloned() else {
            return;
        };
        let error = "too many events of the webhook wait to be tried again";
        // It may wait for hours still: what is known of now is the last failure.
        let now_ms = self.progress.last_failure_ms.map_or(retry.due_ms, |last_ms| last_ms.min(retry.due_ms));
        let cause = Cause { class: Class::Overflow, status: None, error, now_ms };
        self.give_up(number, retry, &cause);
    }
}

/// What is known of a failure beside its outcome.
struct Failed {
    /// Not one of several that were under way at once and failed for the same cause.
    is_news: bool,
    now_ms: u64,
    random: u32,
}
