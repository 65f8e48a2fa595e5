//! Reading for replays, and their end.

use super::{Engine, Offer, ReplayRead, Urgency};
use crate::core::consumer::progress::{Retry, Source};
use crate::core::consumer::queue::Ready;

impl<C: Clone> Engine<C> {
    /// Takes events for the running replay; the next read starts at `next_seq`. They wait for each other in
    /// lanes of their own, so an event that fails for hours delays no new event.
    pub fn offer_replay(&mut self, offers: &[Offer], next_seq: u64, now_ms: u64) {
        let Some(replay) = self.replays.running() else { return };
        let id = replay.id;
        let until_seq = replay.until_seq;
        let all = !replay.failed_only;
        let source = Source::Replay(id);
        let from = self.replays.read_up_to(next_seq);
        let read = from..next_seq.min(until_seq);
        let mut next = from;
        let mut lost = 0;
        for offer in offers.iter().filter(|offer| read.contains(&offer.event.seq)) {
            let seq = offer.event.seq;
            lost += self.settle_gone(source, next..seq);
            next = seq + 1;
            self.take_again(source, offer, now_ms);
        }
        lost += self.settle_gone(source, next..read.end);
        // If only dead letters are read, most seqs are missing on purpose.
        self.replays.missed(id, if all { lost } else { 0 });
        self.look_at_read(from, next_seq);
        self.reports.note(Urgency::Lazy);
        self.end_replay_if_done(now_ms);
    }

    fn take_again(&mut self, source: Source, offer: &Offer, now_ms: u64) {
        let Offer { event, wanted, lane, kind } = *offer;
        let is_settled = self.track_mut(source).is_none_or(|track| track.is_settled(event.seq));
        if is_settled || self.flights.carry_of(source, event.seq) {
            return;
        }
        if wanted {
            self.make_ready(source, Ready { event, lane: lane.map(|lane| !lane), kind, since_ms: now_ms });
        } else {
            self.track_mut(source).into_iter().for_each(|track| track.settle(event.seq));
        }
    }
}

impl<C> Engine<C> {
    /// Returns what to read for the running replay, if there is room for more.
    pub fn wants_replay(&self) -> Option<ReplayRead> {
        self.replays.wants(self.plan.ready_max()).filter(|_| self.may_read())
    }

    /// Ends the running replay once all its events are settled, and begins the next.
    pub(super) fn end_replay_if_done(&mut self, now_ms: u64) {
        while let Some(source) = self.replays.source() {
            if self.retries.has(source) || self.flights.has(source) || !self.replays.end_running(now_ms) {
                return;
            }
            self.reports.note(Urgency::Now);
        }
    }

    pub(super) fn add_replay(
        &mut self,
        id: u64,
        from_seq: u64,
        until_seq: u64,
        failed_only: bool,
        now_ms: u64,
    ) {
        self.replays.add(id, from_seq, until_seq, failed_only, now_ms);
        self.end_replay_if_done(now_ms);
    }

    /// Stops a replay. Its requests under way end and are not retried.
    pub(super) fn cancel(&mut self, id: u64, now_ms: u64) {
        if !self.replays.cancel(id, now_ms) {
            return;
        }
        for number in self.retries.of(Source::Replay(id)) {
            if !self.flights.contains(number) {
                self.drop_waiting(number);
            }
        }
        self.end_replay_if_done(now_ms);
    }

    pub(super) fn count_replayed(&mut self, delivery: &Retry, delivered: bool) {
        let is_replay = self.replays.completed(delivery.source, delivery.events.len() as u64, delivered);
        if delivered && (is_replay || delivery.source == Source::Asked) {
            self.reports.revived(&delivery.events);
        }
    }
}
