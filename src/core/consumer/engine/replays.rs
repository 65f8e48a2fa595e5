//! What is read for replays, and when they end.

use super::{Engine, Offer, ReplayRead, Urgency};
use crate::core::consumer::progress::{Retry, Source};
use crate::core::consumer::queue::Ready;

impl<C: Clone> Engine<C> {
    /// Takes events for the running replay; the next read starts at `next_seq`. They wait for each other in lanes of
    /// their own: one that fails for hours keeps no new event from being delivered.
    pub fn offer_replay(&mut self, offers: &[Offer], next_seq: u64, now_ms: u64) {
        let Some(replay) = self.replays.running() else { return };
        let (id, until_seq, all) = (replay.id, replay.until_seq, !replay.failed_only);
        let source = Source::Replay(id);
        let from = self.replays.read_up_to(next_seq);
        let mut offers = offers.iter().peekable();
        let mut missed = 0;
        for seq in from..next_seq.min(until_seq) {
            let offer = offers.next_if(|offer| offer.event.seq == seq);
            let is_settled = self.track_mut(source).is_none_or(|track| track.is_settled(seq));
            match offer {
                _ if is_settled || self.flights.carry_of(source, seq) => {}
                Some(offer) if offer.wanted => {
                    let Offer { event, kind, .. } = *offer;
                    let lane = offer.lane.map(|lane| !lane);
                    self.make_ready(source, Ready { event, lane, kind, since_ms: now_ms });
                }
                other => {
                    // Where all is read again, what isn't there and was not removed on purpose was lost.
                    missed += u64::from(all && other.is_none() && seq < self.live.kept_from());
                    self.track_mut(source).into_iter().for_each(|track| track.settle(seq));
                }
            }
        }
        self.replays.missed(id, missed);
        self.look_at_read(from, next_seq);
        self.reports.note(Urgency::Lazy);
        self.end_replay_if_done(now_ms);
    }
}

impl<C> Engine<C> {
    /// What to read for the running replay, where there is room for more.
    pub fn wants_replay(&self) -> Option<ReplayRead> {
        self.replays.wants().filter(|_| self.may_read())
    }

    /// Ends the running replay once everything of it is settled, and begins the next.
    pub(super) fn end_replay_if_done(&mut self, now_ms: u64) {
        while let Some(source) = self.replays.source() {
            if self.retries.has(source) || self.flights.has(source) || !self.replays.end_running(now_ms) {
                return;
            }
            self.reports.note(Urgency::Now);
        }
    }

    pub(super) fn add_replay(&mut self, id: u64, from_seq: u64, until_seq: u64, failed_only: bool, now_ms: u64) {
        self.replays.add(id, from_seq, until_seq, failed_only, now_ms);
        self.end_replay_if_done(now_ms);
    }

    /// Stops a replay. What is under way of it ends, and is not tried again.
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
