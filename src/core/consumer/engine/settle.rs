//! The end of a request and its consequences: delivered, retried, halved, given up, disabled.

use super::{Engine, Flying, Mode, Urgency};
use crate::core::consumer::health::Failure;
use crate::core::consumer::progress::{
    DeadLetter, DeadLetterChange, EventRef, KEPT_ERROR, Reason, Retry, clipped,
};
use crate::core::consumer::verdict::{Blame, Completion, Verdict};
use std::fmt::Display;

/// The facts of a failure.
struct Failed<C> {
    completion: Completion,
    cause: C,
    /// Whether its cause is new: several requests that were under way together fail for the same cause.
    is_news: bool,
    now_ms: u64,
    random: u32,
}

impl<C: Clone + Display> Engine<C> {
    /// Takes the end of a request. `cause` is what the worker observed; `random` selects values within
    /// jitters. Returns whether the events were given up for it.
    pub fn settle(
        &mut self,
        flight: u64,
        completion: Completion,
        cause: C,
        now_ms: u64,
        random: u32,
    ) -> bool {
        let Some(flying) = self.flights.end(flight) else { return false };
        self.reports.completed();
        if let Some(pause_ms) = completion.pause_ms {
            self.health.hold_until(now_ms + pause_ms);
        }
        // A delivery that was tried before may be ahead of the seq to which reading went back.
        self.settle_events(flying.delivery.source, &flying.delivery.events);
        let is_given_up = if completion.verdict == Verdict::Done {
            self.succeeded(flight, &flying, now_ms);
            false
        } else {
            let is_news = flying.failures_before == self.health.counted();
            let failed = Failed { completion, cause, is_news, now_ms, random };
            self.failed(&flying, &failed);
            self.follow(flight, &flying, failed)
        };
        self.end_replay_if_done(now_ms);
        is_given_up
    }

    /// Does with a failed delivery what the verdict says. Returns whether it was given up.
    fn follow(&mut self, flight: u64, flying: &Flying, failed: Failed<C>) -> bool {
        let now_ms = failed.now_ms;
        let Some((number, mut retry)) = self.take_back(flight, flying, now_ms) else { return false };
        if retry.first_ms == 0 {
            retry.first_ms = now_ms;
        }
        match failed.completion.verdict {
            Verdict::Halve => {
                retry.due_ms = now_ms;
                // Meanwhile all events but one may have been skipped.
                if retry.events.len() > 1 { self.halve(number, retry) } else { self.keep(number, retry) }
            }
            Verdict::Later => {
                retry.due_ms = self.health.refused(failed.is_news, now_ms, failed.random);
                self.keep(number, retry);
            }
            Verdict::Gone => {
                retry.due_ms = now_ms;
                self.keep(number, retry);
                let cause = failed.cause.to_string();
                self.halt(format!("the receiver is gone for good: {}", clipped(&cause, KEPT_ERROR)));
            }
            Verdict::Again | Verdict::AgainAfter(_) => return self.try_again(number, retry, failed),
            Verdict::GiveUp | Verdict::Done => {
                retry.attempts += 1;
                self.give_up(number, retry, &Reason::Failed(failed.cause), now_ms);
                return true;
            }
        }
        false
    }

    /// Retries a delivery. A batch is repeated unchanged at first. Its halves go separately if other
    /// deliveries succeed, or if only as many attempts are left as it takes to get down to single events. So
    /// an event that cannot be delivered costs no other event its delivery. Returns whether it was given up,
    /// since no attempt is left.
    fn try_again(&mut self, number: u64, mut retry: Retry, failed: Failed<C>) -> bool {
        let now_ms = failed.now_ms;
        retry.attempts += 1;
        let policy = &self.plan.retry;
        let pause_ms = failed.completion.pause_ms.unwrap_or(0);
        let last_delivery_ms = self.health.condition().last_delivery_ms;
        let others_succeed = last_delivery_ms.is_some_and(|last_ms| last_ms > retry.first_ms);
        let attempts_left = policy.max_attempts.saturating_sub(retry.attempts);
        let halvings = retry.events.len().next_power_of_two().trailing_zeros();
        match policy.delay_ms(retry.attempts, failed.random) {
            Some(delay_ms) => {
                retry.due_ms = match failed.completion.verdict {
                    Verdict::AgainAfter(asked_ms) => now_ms.saturating_add(asked_ms),
                    _ => now_ms + delay_ms.max(pause_ms),
                };
                if halvings > 0 && (retry.attempts >= 2 && others_succeed || attempts_left <= halvings) {
                    self.halve(number, retry);
                } else {
                    self.keep(number, retry);
                }
            }
            // The receiver accepts other deliveries: each half gets one more attempt, until the failing event
            // is alone.
            None if halvings > 0 && others_succeed => {
                retry.attempts -= 1;
                retry.due_ms = now_ms + pause_ms;
                self.halve(number, retry);
            }
            None => {
                self.give_up(number, retry, &Reason::Failed(failed.cause), now_ms);
                return true;
            }
        }
        false
    }

    fn failed(&mut self, flying: &Flying, failed: &Failed<C>) {
        let Completion { verdict, blame, .. } = failed.completion;
        if blame == Blame::Nobody {
            return;
        }
        self.totals.failed_attempts += 1;
        self.health.erred(&failed.cause.to_string());
        if blame == Blame::Delivery {
            return;
        }
        if failed.is_news && verdict != Verdict::Later {
            self.health.failed(failed.now_ms, failed.random);
            if flying.is_fresh {
                self.health.fresh_failed(&flying.kinds);
            }
        }
        self.consider_disabling(flying, failed);
    }

    /// Disables a consumer whose receiver has failed for long enough, and announces that beforehand.
    fn consider_disabling(&mut self, flying: &Flying, failed: &Failed<C>) {
        let standing = self.health.stands(&Failure {
            limit_ms: self.plan.auto_disable_ms,
            was_quiet: flying.is_fresh && self.retries.events() == 0,
            is_untried: !flying.is_fresh && self.has_new(),
            now_ms: failed.now_ms,
        });
        if !standing.reached.is_empty() {
            self.reports.announce(&standing.reached);
        }
        if let Some(failing_ms) = standing.over_ms {
            let seconds = failing_ms / 1000;
            let last = self.health.last_error().unwrap_or_default();
            let why = format!("every attempt has failed for {seconds} s; the last: {last}");
            self.halt(why);
        }
    }
}

impl<C: Clone> Engine<C> {
    /// Puts back a request that was never sent, as if it had not begun.
    pub fn unsend(&mut self, flight: u64, now_ms: u64) {
        let Some(flying) = self.flights.end(flight) else { return };
        self.settle_events(flying.delivery.source, &flying.delivery.events);
        if let Some((number, mut retry)) = self.take_back(flight, &flying, now_ms) {
            retry.due_ms = now_ms;
            self.keep(number, retry);
        }
        self.reports.note(Urgency::Soon);
        self.end_replay_if_done(now_ms);
    }

    /// Drops a request whose event was deleted before it could be sent: nothing is lost.
    pub fn withdraw(&mut self, flight: u64, now_ms: u64) {
        let Some(flying) = self.flights.end(flight) else { return };
        self.settle_events(flying.delivery.source, &flying.delivery.events);
        self.retries.remove(flight);
        self.release(flight, &flying.delivery);
        self.reports.note(Urgency::Soon);
        self.end_replay_if_done(now_ms);
    }

    /// Returns the delivery of a request that ended without success, with its number; `None` if owner
    /// commands have left nothing of it to retry.
    fn take_back(&mut self, number: u64, flying: &Flying, now_ms: u64) -> Option<(u64, Retry)> {
        let delivery = &flying.delivery;
        if self.replays.is_over(delivery.source) || delivery.events.iter().any(|event| flying.skips(event)) {
            let (skipped, left): (Vec<EventRef>, Vec<EventRef>) =
                delivery.events.iter().partition(|event| flying.skips(event));
            self.skip(&skipped, delivery, now_ms);
            self.retries.remove(number);
            let lanes = delivery.lanes.iter().copied().skip(skipped.len()).collect();
            let rest = Retry { events: left, lanes, ..delivery.clone() };
            let stays = !rest.events.is_empty() && !self.replays.is_over(rest.source);
            let next = stays.then(|| (self.retries.next_number(), rest));
            next.iter().for_each(|(next, rest)| self.lanes.hold(*next, rest));
            self.release(number, delivery);
            return next;
        }
        if self.retries.is_outdated(number, delivery.source) {
            // Its record is outdated.
            self.retries.remove(number);
            let next = self.retries.next_number();
            self.lanes.hold(next, delivery);
            self.lanes.release(number, delivery);
            return Some((next, delivery.clone()));
        }
        Some((number, delivery.clone()))
    }

    fn succeeded(&mut self, flight: u64, flying: &Flying, now_ms: u64) {
        let delivery = &flying.delivery;
        // The receiver failed as a whole and works again: deliveries with a long wait are retried now, as
        // fast as the window opens.
        let is_back = self.health.doubts_all() || delivery.attempts > 0;
        if is_back && self.health.is_failing() {
            self.retries.pull_forward(now_ms);
        }
        self.retries.remove(flight);
        self.release(flight, delivery);
        flying.gap_lane.into_iter().for_each(|lane| self.lanes.reported_gap(lane));
        self.totals.delivered += delivery.events.len() as u64;
        self.health.succeeded(self.plan.window, now_ms);
        self.live.look_again();
        self.count_replayed(delivery, true);
    }

    /// Has the consumer disabled. Until the cluster has done so, no request begins.
    fn halt(&mut self, why: String) {
        self.mode = Mode::Halted;
        self.reports.disable(why);
    }

    fn halve(&mut self, number: u64, retry: Retry) {
        let middle = retry.events.len() / 2;
        let (first, second) = retry.events.split_at(middle);
        let (first_lanes, second_lanes) = retry.lanes.split_at(middle.min(retry.lanes.len()));
        self.retries.remove(number);
        for (events, lanes) in [(first, first_lanes), (second, second_lanes)] {
            let half = Retry { events: events.to_vec(), lanes: lanes.to_vec(), ..retry.clone() };
            let number = self.retries.next_number();
            self.keep(number, half);
        }
        self.release(number, &retry);
    }

    pub(super) fn give_up(&mut self, number: u64, retry: Retry, reason: &Reason<C>, now_ms: u64) {
        self.retries.remove(number);
        self.add_dead_letters(&retry.events, &retry, reason, now_ms);
        self.lanes.given_up(&retry);
        self.count_replayed(&retry, false);
        if !retry.lanes.is_empty() {
            // Its lanes stay blocked, so the events parked behind it may have to wait for long.
            retry.lanes.iter().for_each(|lane| self.defer_parked(*lane));
            self.reports.given_up(number, retry);
        }
    }

    /// Gives up events that somebody requested not to deliver.
    pub(super) fn skip(&mut self, events: &[EventRef], delivery: &Retry, now_ms: u64) {
        self.add_dead_letters(events, delivery, &Reason::Skipped, now_ms);
    }

    fn add_dead_letters(&mut self, events: &[EventRef], delivery: &Retry, reason: &Reason<C>, now_ms: u64) {
        for event in events {
            self.totals.given_up += 1;
            self.reports.dead_letter(DeadLetterChange::Added(DeadLetter {
                seq: event.seq,
                event_id: event.id,
                kind: String::new(),
                attempts: delivery.attempts,
                first_ms: if delivery.first_ms == 0 { now_ms } else { delivery.first_ms },
                given_up_ms: now_ms,
                reason: reason.clone(),
            }));
        }
    }
}
