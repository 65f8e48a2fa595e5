//! What is read next, and what becomes of events that were read.

use super::{Engine, MAX_READY, Offer, Ready, ReplayRead, Urgency};
use crate::core::endpoint::progress::Source;

impl Engine {
    /// The next seq of the topic to read, where there is room for more.
    pub fn wants(&self) -> Option<u64> {
        let room = self.ready.len() < MAX_READY && self.parked.len() < self.plan.parked;
        room.then_some(self.read_next)
    }

    /// What to read for the running replay, where there is room for more.
    pub fn wants_replay(&self) -> Option<ReplayRead> {
        let replay = self.running_replay()?;
        (self.replay_ready.len() < MAX_READY && self.replay_next < replay.until_seq).then_some(ReplayRead {
            id: replay.id,
            from_seq: self.replay_next,
            until_seq: replay.until_seq,
            failed_only: replay.failed_only,
        })
    }

    /// Takes events of the topic, read from [`Engine::wants`] on; the next read starts at `next_seq`. Retention may
    /// have taken events before and between them.
    pub fn offer(&mut self, offers: &[Offer], next_seq: u64, now_ms: u64) {
        let mut next = self.read_next;
        for offer in offers {
            let seq = offer.event.seq;
            if seq < next {
                continue;
            }
            (next..seq).for_each(|gone| self.miss(gone));
            next = seq + 1;
            if self.progress.track.is_settled(seq) || self.is_flying(seq) {
                continue;
            }
            if offer.wanted {
                self.make_ready(Ready { event: offer.event, lane: offer.lane, since_ms: now_ms });
            } else {
                self.progress.track.settle(seq);
                self.note(Urgency::Lazy);
            }
        }
        self.read_next = next.max(next_seq);
    }

    /// An event is gone that was not delivered.
    fn miss(&mut self, seq: u64) {
        if !self.progress.track.is_settled(seq) && !self.is_flying(seq) {
            self.progress.missed += 1;
            self.progress.track.settle(seq);
            self.note(Urgency::Soon);
        }
    }

    /// Takes events for the running replay; the next read starts at `next_seq`. They wait for each other in lanes of
    /// their own: one that fails for hours keeps no new event from being delivered.
    pub fn offer_replay(&mut self, offers: &[Offer], next_seq: u64, now_ms: u64) {
        let Some(id) = self.running_replay().map(|replay| replay.id) else { return };
        let from = self.replay_next;
        self.replay_next = next_seq;
        let Some(replay) = self.progress.replays.iter_mut().find(|replay| replay.id == id) else { return };
        let mut wanted = offers.iter().filter(|offer| offer.wanted).peekable();
        for seq in from..next_seq.min(replay.until_seq) {
            match wanted.next_if(|offer| offer.event.seq == seq) {
                Some(_) if replay.track.is_settled(seq) => {}
                Some(offer) => {
                    let lane = offer.lane.map(|lane| !lane);
                    self.replay_ready.push_back(Ready { event: offer.event, lane, since_ms: now_ms });
                }
                None => replay.track.settle(seq),
            }
        }
        self.note(Urgency::Lazy);
        self.end_replay_if_done(now_ms);
    }

    /// Whether the event is to be sent soon, or is under way for the first time.
    pub fn holds(&self, seq: u64) -> bool {
        let ready = |ready: &Ready| ready.event.seq == seq;
        let flies = || self.flights.values().any(|flight| flight.retry.events.iter().any(|event| event.seq == seq));
        self.ready.iter().any(ready) || self.replay_ready.iter().any(ready) || flies()
    }

    /// Forgets what was read and not begun, to read it again under other settings.
    pub fn forget_ready(&mut self) {
        self.ready.clear();
        self.parked.clear();
        self.read_next = self.progress.track.next;
        self.start_replay();
    }

    fn is_flying(&self, seq: u64) -> bool {
        self.flights.values().any(|flight| {
            flight.retry.source == Source::Live && flight.retry.events.iter().any(|event| event.seq == seq)
        })
    }
}
