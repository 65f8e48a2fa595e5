//! Replays: which one runs, from where it reads, when it ends.

use super::queue::Ready;
use super::{Engine, MAX_READY, Offer, ReplayRead, Urgency};
use crate::core::consumer::progress::{KEPT_REPLAYS, Replay, Retry, Source, Track};

impl Engine {
    /// What to read for the running replay, where there is room for more.
    pub fn wants_replay(&self) -> Option<ReplayRead> {
        let replay = self.running_replay()?;
        let room = self.replay.ready().len() < MAX_READY && self.may_read();
        (room && self.replay_next < replay.until_seq).then_some(ReplayRead {
            id: replay.id,
            from_seq: self.replay_next,
            until_seq: replay.until_seq,
            failed_only: replay.failed_only,
        })
    }

    /// Takes events for the running replay; the next read starts at `next_seq`. They wait for each other in lanes of
    /// their own: one that fails for hours keeps no new event from being delivered.
    pub fn offer_replay(&mut self, offers: &[Offer], next_seq: u64, now_ms: u64) {
        let Some(replay) = self.running_replay() else { return };
        let (id, until_seq, all) = (replay.id, replay.until_seq, !replay.failed_only);
        let source = Source::Replay(id);
        let from = std::mem::replace(&mut self.replay_next, next_seq);
        let mut offers = offers.iter().peekable();
        let mut missed = 0;
        for seq in from..next_seq.min(until_seq) {
            let offer = offers.next_if(|offer| offer.event.seq == seq);
            let known = self.is_flying(source, seq) || self.track_of(source).is_none_or(|track| track.is_settled(seq));
            match offer {
                _ if known => {}
                Some(offer) if offer.wanted => {
                    let Offer { event, kind, .. } = *offer;
                    let lane = offer.lane.map(|lane| !lane);
                    self.make_ready(source, Ready { event, lane, kind, since_ms: now_ms });
                }
                other => {
                    // Where all is read again, what isn't there and was not removed on purpose was lost.
                    missed += u64::from(all && other.is_none() && seq < self.kept_from);
                    self.track_of(source).into_iter().for_each(|track| track.settle(seq));
                }
            }
        }
        self.count_missed(id, missed);
        self.look_at_read(from, next_seq);
        self.note(Urgency::Lazy);
        self.end_replay_if_done(now_ms);
    }

    /// The oldest replay that has not ended.
    pub(super) fn running_replay(&self) -> Option<&Replay> {
        self.progress.replays.iter().find(|replay| replay.ended_ms.is_none())
    }

    /// Reads for the oldest replay that has not ended, from where it stopped; what is under way of it goes on.
    pub(super) fn start_replay(&mut self) {
        self.replay.clear();
        self.replay_next = self.running_replay().map_or(0, |replay| replay.track.next);
    }

    /// Ends the running replay once everything of it is settled, and begins the next.
    pub(super) fn end_replay_if_done(&mut self, now_ms: u64) {
        while let Some(id) = self.running_replay().map(|replay| replay.id) {
            let source = Source::Replay(id);
            let busy = self.waiting.has(source)
                || self.flights.values().any(|flying| flying.delivery.source == source)
                || !self.replay.is_empty();
            let Some(replay) = self.progress.replays.iter_mut().find(|replay| replay.id == id) else { return };
            if busy || replay.track.next < replay.until_seq {
                return;
            }
            replay.ended_ms = Some(now_ms);
            self.note(Urgency::Now);
            self.start_replay();
        }
    }

    pub(super) fn add_replay(&mut self, id: u64, from_seq: u64, until_seq: u64, failed_only: bool, now_ms: u64) {
        // More that have not ended than are kept are not taken by the cluster.
        let replays = &mut self.progress.replays;
        if replays.len() >= KEPT_REPLAYS
            && let Some(ended) = replays.iter().position(|replay| replay.ended_ms.is_some())
        {
            replays.remove(ended);
        }
        let idle = self.running_replay().is_none();
        self.progress.replays.push(Replay {
            id,
            failed_only,
            from_seq,
            until_seq,
            track: Track::new(from_seq),
            delivered: 0,
            failed: 0,
            missed: 0,
            started_ms: now_ms,
            ended_ms: None,
            cancelled: false,
        });
        if idle {
            self.start_replay();
        }
        self.end_replay_if_done(now_ms);
    }

    /// Stops a replay. What is under way of it ends, and is not tried again; another one that runs goes on as it does.
    pub(super) fn cancel(&mut self, id: u64, now_ms: u64) {
        let runs = self.running_replay().is_some_and(|running| running.id == id);
        let Some(replay) = self.progress.replays.iter_mut().find(|replay| replay.id == id) else { return };
        if replay.ended_ms.is_some() {
            return;
        }
        replay.ended_ms = Some(now_ms);
        replay.cancelled = true;
        for number in self.waiting.of(Source::Replay(id)) {
            if !self.flights.contains_key(&number) {
                self.drop_waiting(number);
            }
        }
        if runs {
            self.start_replay();
        }
        self.end_replay_if_done(now_ms);
    }

    pub(super) fn is_cancelled(&self, source: Source) -> bool {
        let Source::Replay(id) = source else { return false };
        !self.progress.replays.iter().any(|replay| replay.id == id && replay.ended_ms.is_none())
    }

    fn count_missed(&mut self, id: u64, events: u64) {
        let replay = self.progress.replays.iter_mut().find(|replay| replay.id == id);
        replay.into_iter().for_each(|replay| replay.missed += events);
    }

    pub(super) fn count_replayed(&mut self, delivery: &Retry, delivered: bool) {
        let events = delivery.events.len() as u64;
        let mut revives = delivery.source == Source::Asked;
        if let Source::Replay(id) = delivery.source
            && let Some(replay) = self.progress.replays.iter_mut().find(|replay| replay.id == id)
        {
            *(if delivered { &mut replay.delivered } else { &mut replay.failed }) += events;
            revives = true;
        }
        if revives && delivered {
            self.unreported.revived(&delivery.events);
        }
    }
}
