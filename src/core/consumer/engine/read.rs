//! Reading: what is read next, and what happens to the events that were read.

use super::reporting::MAX_UNSAVED;
use super::room::MAX_WAITING;
use super::{Engine, Offer, Urgency};
use crate::core::consumer::progress::{Retry, Source};
use crate::core::consumer::queue::Ready;
use std::ops::Range;

impl<C> Engine<C> {
    /// Returns the next seq of the stream to read, if there is room for more.
    pub fn wants(&self) -> Option<u64> {
        if self.may_read() { self.live.wants(&self.health, self.plan.ready_max()) } else { None }
    }

    /// Returns whether more may be read: an event that is read may have to wait, so there must be room for
    /// it.
    pub(super) fn may_read(&self) -> bool {
        // If nothing is due, waiting deliveries may be waiting for events that were not read yet.
        let stuck = self.flights.is_empty() && self.retries.first_due().is_none();
        let room = self.retries.events() < MAX_WAITING || self.makes_room().is_some() || stuck;
        room && self.retries.unsaved_events() < MAX_UNSAVED
    }

    fn is_known(&self, seq: u64) -> bool {
        self.live.track().is_settled(seq) || self.flights.carry_of(Source::Live, seq)
    }

    /// Records that the stream has its events from that seq on. Events missing behind it were removed inside
    /// on purpose: a rule no longer keeps them, or somebody deleted them. Events missing before it were lost.
    pub fn set_kept_from(&mut self, seq: u64) {
        self.live.set_kept_from(seq);
    }

    /// Settles events that the stream no longer has.
    fn pass_gone(&mut self, gone: Range<u64>) {
        let missed = self.settle_gone(Source::Live, gone.clone());
        if missed > 0 {
            self.totals.missed += missed;
            self.reports.note(Urgency::Soon);
        } else if !gone.is_empty() {
            self.reports.note(Urgency::Lazy);
        }
    }

    /// Settles the events of a source that no longer exist and are not under way. It settles whole ranges,
    /// because there may be millions. Returns how many of them were lost and not removed on purpose.
    pub(super) fn settle_gone(&mut self, source: Source, gone: Range<u64>) -> u64 {
        if gone.is_empty() {
            return 0;
        }
        let kept_from = self.live.kept_from();
        let under_way = self.flights.carried_of(source, &gone);
        let Some(track) = self.track_mut(source) else { return 0 };
        let mut from = gone.start;
        let mut lost = 0;
        for to in under_way.into_iter().chain([gone.end]) {
            lost += track.unsettled(from, to.min(kept_from));
            track.settle_range(from..to);
            from = to + 1;
        }
        lost
    }

    /// Forgets the events that were read and have not begun, so that they are read again under other
    /// settings.
    pub fn forget_ready(&mut self) {
        self.live.read_again();
        self.replays.read_again();
    }

    /// Returns whether the first delivery of the lane is not under way.
    fn is_blocked(&self, lane: u64) -> bool {
        self.lanes.first(lane).is_some_and(|first| !self.flights.contains(first))
    }

    /// Turns the events that are parked in the lane into waiting records.
    pub(super) fn defer_parked(&mut self, lane: u64) {
        for source in std::iter::once(Source::Live).chain(self.replays.source()) {
            for ready in self.queue_mut(source).take_parked(lane, usize::MAX) {
                self.defer(source, ready);
            }
        }
    }

    /// Turns an event into a waiting record behind others of its lane.
    fn defer(&mut self, source: Source, ready: Ready) {
        let number = self.retries.next_number();
        let lanes = ready.lane.into_iter().collect();
        let retry = Retry {
            events: vec![ready.event],
            attempts: 0,
            due_ms: ready.since_ms,
            first_ms: 0,
            lanes,
            source,
        };
        self.settle_events(source, &retry.events);
        self.lanes.hold(number, &retry);
        self.retries.put(number, retry);
        self.look_at(number);
        self.reports.note(Urgency::Soon);
    }

    /// Makes the next events of a free lane ready, in the order of their seqs.
    pub(super) fn unpark(&mut self, lane: u64) {
        let max = self.plan.batch_max();
        for queue in [self.live.queue_mut(), self.replays.queue_mut()] {
            queue.take_parked(lane, max).into_iter().for_each(|ready| queue.push(ready));
        }
    }
}

impl<C: Clone> Engine<C> {
    /// Takes events of the stream, read from [`Engine::wants`] on; the next read starts at `next_seq`.
    /// Retention may have removed events before and between them.
    pub fn offer(&mut self, offers: &[Offer], next_seq: u64, now_ms: u64) {
        if !self.live.has_room(self.plan.ready_max()) && self.live.looks_ahead(&self.health) {
            return self.look_ahead(offers, next_seq, now_ms);
        }
        let mut next = self.live.next();
        for offer in offers {
            let seq = offer.event.seq;
            if seq < next {
                continue;
            }
            self.pass_gone(next..seq);
            next = seq + 1;
            if !self.live.forget_ahead(seq) && !self.is_known(seq) {
                self.take_in(offer, now_ms);
            }
        }
        // If the engine was never told what the stream has, missing events may still come.
        if self.live.kept_from() <= next_seq {
            self.pass_gone(next..next_seq);
        }
        let from = self.live.read_up_to(next.max(next_seq));
        self.look_at_read(from, self.live.next());
    }

    fn take_in(&mut self, offer: &Offer, now_ms: u64) {
        let Offer { event, lane, kind, .. } = *offer;
        if offer.wanted {
            self.make_ready(Source::Live, Ready { event, lane, kind, since_ms: now_ms });
        } else {
            self.live.track_mut().settle(event.seq);
            self.reports.note(Urgency::Lazy);
        }
    }

    /// Takes the first event that is worth trying; the cursor passes none of them.
    fn look_ahead(&mut self, offers: &[Offer], next_seq: u64, now_ms: u64) {
        let promises = |offer: &&Offer| {
            offer.wanted
                && offer.lane.is_none()
                && self.health.trusts(offer.kind)
                && !self.is_known(offer.event.seq)
        };
        let found = offers.iter().find(promises).copied();
        let seq = found.map(|offer| offer.event.seq);
        self.live.looked_ahead(seq.map_or(next_seq, |seq| seq + 1), seq);
        if let Some(offer) = found {
            self.take_in(&offer, now_ms);
        }
    }

    /// Puts an event where it waits for its turn. Behind a waiting delivery of its lane it becomes a record
    /// too. Behind a delivery under way it stays in memory, as long as there are few of those.
    pub(super) fn make_ready(&mut self, source: Source, ready: Ready) {
        let is_busy = |lane: &u64| {
            self.plan.has_lanes() && (!self.lanes.is_free(*lane) || self.queue(source).has_parked(*lane))
        };
        match ready.lane.filter(is_busy) {
            None => self.queue_mut(source).push(ready),
            Some(lane) if self.is_blocked(lane) || self.queue(source).parked() >= self.plan.parked => {
                // The other events of the lane in memory go before it.
                self.queue_mut(source).park_lanes(&[lane]);
                self.defer_parked(lane);
                self.defer(source, ready);
                self.make_room();
            }
            Some(lane) => self.queue_mut(source).park(lane, ready),
        }
    }
}
