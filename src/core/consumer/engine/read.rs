//! What is read next, and what becomes of events that were read.

use super::queue::Ready;
use super::{Engine, MAX_READY, MAX_UNSAVED, MAX_WAITING, Offer, Urgency};
use crate::core::consumer::progress::{Retry, Source};
use std::collections::BTreeSet;
use std::ops::Range;

/// Events that are looked at beyond the cursor, until something succeeds.
const MAX_AHEAD: u64 = 100_000;

/// Looking ahead: where nothing that is ready is worth trying, events further on may be. Their place is not the cursor's.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The next seq to look at.
    next: u64,
    /// Seqs beyond the cursor that are ready.
    found: BTreeSet<u64>,
}

impl Engine {
    /// The next seq of the topic to read, where there is room for more.
    pub fn wants(&self) -> Option<u64> {
        if !self.may_read() {
            return None;
        }
        if self.live.ready().len() < MAX_READY + self.ahead.found.len() {
            return Some(self.read_next);
        }
        self.looks_ahead().then(|| self.ahead.next.max(self.read_next))
    }

    /// What is read may have to wait: there must be room for that.
    pub(super) fn may_read(&self) -> bool {
        // Where nothing is due, what waits may wait for what is to be read.
        let stuck = self.flights.is_empty() && self.waiting.first_due().is_none();
        let room = self.waiting.events() < MAX_WAITING || self.makes_room().is_some() || stuck;
        room && self.waiting.unsaved_events() < MAX_UNSAVED
    }

    /// New events fail, and all that are ready are of types that do. In lanes nothing is overtaken.
    fn looks_ahead(&self) -> bool {
        let promises = |ready: &Ready| ready.lane.is_some() || self.health.trusts(ready.kind);
        let near = self.ahead.next < self.read_next + MAX_AHEAD;
        near && self.health.doubts_all() && self.ahead.found.is_empty() && !self.live.ready().iter().any(promises)
    }

    /// The stream has its events from that seq on; what is missing behind it was removed inside, on purpose: a rule keeps
    /// it no longer, or somebody deleted it. What is missing before was lost.
    pub fn set_kept_from(&mut self, seq: u64) {
        self.kept_from = seq;
    }

    /// Takes events of the topic, read from [`Engine::wants`] on; the next read starts at `next_seq`. Retention may
    /// have taken events before and between them.
    pub fn offer(&mut self, offers: &[Offer], next_seq: u64, now_ms: u64) {
        if self.live.ready().len() >= MAX_READY + self.ahead.found.len() && self.looks_ahead() {
            return self.look_ahead(offers, next_seq, now_ms);
        }
        let mut next = self.read_next;
        for offer in offers {
            let seq = offer.event.seq;
            if seq < next {
                continue;
            }
            self.pass_gone(next..seq);
            next = seq + 1;
            if !self.ahead.found.remove(&seq) && !self.is_known(seq) {
                self.take_in(offer, now_ms);
            }
        }
        self.pass_gone(next.max(self.kept_from)..next_seq);
        let from = std::mem::replace(&mut self.read_next, next.max(next_seq));
        self.look_at_read(from, self.read_next);
    }

    fn take_in(&mut self, offer: &Offer, now_ms: u64) {
        let Offer { event, lane, kind, .. } = *offer;
        if offer.wanted {
            self.make_ready(Source::Live, Ready { event, lane, kind, since_ms: now_ms });
        } else {
            self.progress.track.settle(event.seq);
            self.note(Urgency::Lazy);
        }
    }

    /// Takes the first event that is worth trying; the cursor passes none of them.
    fn look_ahead(&mut self, offers: &[Offer], next_seq: u64, now_ms: u64) {
        let promises = |offer: &&Offer| {
            offer.wanted && offer.lane.is_none() && self.health.trusts(offer.kind) && !self.is_known(offer.event.seq)
        };
        let found = offers.iter().find(promises).copied();
        self.ahead.next = found.map_or(next_seq, |offer| offer.event.seq + 1);
        if let Some(offer) = found {
            self.ahead.found.insert(offer.event.seq);
            self.take_in(&offer, now_ms);
        }
    }

    /// Something has succeeded: what was passed over may be worth trying.
    pub(super) fn look_again(&mut self) {
        self.ahead.next = 0;
    }

    /// The event was found ahead and has begun.
    pub(super) fn forget_ahead(&mut self, seq: u64) {
        self.ahead.found.remove(&seq);
    }

    fn is_known(&self, seq: u64) -> bool {
        self.progress.track.is_settled(seq) || self.is_flying(Source::Live, seq)
    }

    fn pass_gone(&mut self, gone: Range<u64>) {
        for seq in gone {
            if seq < self.kept_from {
                self.miss(seq);
            } else {
                self.progress.track.settle(seq);
                self.note(Urgency::Lazy);
            }
        }
    }

    /// An event is gone that was not delivered.
    fn miss(&mut self, seq: u64) {
        if !self.is_known(seq) {
            self.progress.missed += 1;
            self.progress.track.settle(seq);
            self.note(Urgency::Soon);
        }
    }

    /// Whether the event is to be sent soon, or is under way for the first time.
    pub fn holds(&self, seq: u64) -> bool {
        let ready = |ready: &Ready| ready.event.seq == seq;
        let flies = || self.flights.values().any(|flying| flying.delivery.events.iter().any(|event| event.seq == seq));
        self.live.ready().iter().any(ready) || self.replay.ready().iter().any(ready) || flies()
    }

    /// Forgets what was read and not begun, to read it again under other settings.
    pub fn forget_ready(&mut self) {
        self.live.clear();
        self.ahead = Ahead::default();
        self.read_next = self.progress.track.next;
        self.start_replay();
    }

    /// Forgets what was read, and goes on reading at `seq`.
    pub(super) fn read_from(&mut self, seq: u64) {
        self.live.clear();
        self.ahead = Ahead::default();
        self.read_next = seq;
    }

    /// A request for the event is under way, from that source.
    pub(super) fn is_flying(&self, source: Source, seq: u64) -> bool {
        let has = |delivery: &Retry| delivery.source == source && delivery.events.iter().any(|event| event.seq == seq);
        self.flights.values().any(|flying| has(&flying.delivery))
    }

    /// Puts an event where it waits for its turn. Behind a delivery of its lane that waits, it waits as that does; behind
    /// one that is under way it is kept at hand, as long as those are few.
    pub(super) fn make_ready(&mut self, source: Source, ready: Ready) {
        let bound = self.plan.parked;
        let busy =
            |lane: &u64| self.has_lanes() && (!self.lanes.is_free(*lane) || self.queue_of(source).has_parked(*lane));
        match ready.lane.filter(busy) {
            None => self.queue(source).push(ready),
            Some(lane) if self.is_blocked(lane) || self.queue_of(source).parked() >= bound => {
                // Whatever of the lane is at hand goes before it.
                self.queue(source).park_lanes(&[lane]);
                self.defer_parked(lane);
                self.defer(source, ready);
                self.make_room();
            }
            Some(lane) => self.queue(source).park(lane, ready),
        }
    }

    fn queue_of(&self, source: Source) -> &super::Queue {
        if source == Source::Live { &self.live } else { &self.replay }
    }

    /// Only where there are many lanes: with one, all would wait for it anyway.
    pub(super) fn has_lanes(&self) -> bool {
        self.plan.parked < usize::MAX
    }

    /// What comes first in the lane is not under way.
    fn is_blocked(&self, lane: u64) -> bool {
        self.lanes.first(lane).is_some_and(|first| !self.flights.contains_key(&first))
    }

    /// Has the events that are parked in the lane wait as records.
    pub(super) fn defer_parked(&mut self, lane: u64) {
        let running = self.running_replay().map(|replay| Source::Replay(replay.id));
        for source in std::iter::once(Source::Live).chain(running) {
            for ready in self.queue(source).take_parked(lane, usize::MAX) {
                self.defer(source, ready);
            }
        }
    }

    /// Has an event wait as a record, behind others of its lane.
    fn defer(&mut self, source: Source, ready: Ready) {
        let number = self.number();
        let lanes = ready.lane.into_iter().collect();
        let retry =
            Retry { events: vec![ready.event], attempts: 0, due_ms: ready.since_ms, first_ms: 0, lanes, source };
        self.settle_events(source, &retry.events);
        self.lanes.hold(number, &retry);
        self.waiting.put(number, retry);
        self.look_at(number);
        self.note(Urgency::Soon);
    }

    /// The lane is free: the next of its events are ready, at their places among the others.
    pub(super) fn unpark(&mut self, lane: u64) {
        let max = self.plan.batch.map_or(1, |batch| batch.max as usize).min(MAX_READY);
        for queue in [&mut self.live, &mut self.replay] {
            queue.take_parked(lane, max).into_iter().for_each(|ready| queue.push(ready));
        }
    }
}
