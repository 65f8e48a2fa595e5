//! The stream's own events: where the cursor is, what was read beyond it, and what to read next.

use super::health::Health;
use super::progress::Track;
use super::queue::{Queue, Ready};
use std::collections::BTreeSet;

/// Events that are examined beyond the cursor until something succeeds.
const MAX_AHEAD: u64 = 100_000;

/// The live source of a consumer. The cursor passes what is delivered, what is not wanted, and what waits in
/// a record of its own. Events that were read and have not begun stay behind it, and the next owner reads
/// them again.
#[derive(Debug)]
pub(super) struct Live {
    track: Track,
    queue: Queue,
    /// The next seq to read.
    next: u64,
    /// Seqs that are missing from here on were removed inside the stream on purpose, and are not lost.
    kept_from: u64,
    ahead: Ahead,
    /// Batches that an earlier owner had begun. They are repeated unchanged.
    batches: Vec<BTreeSet<u64>>,
}

/// Reading ahead: if no ready event is worth trying, events further on may be. Its position is independent of
/// the cursor.
#[derive(Debug, Default)]
struct Ahead {
    /// The next seq to examine.
    next: u64,
    /// Seqs of ready events beyond what was read in order.
    found: BTreeSet<u64>,
}

impl Live {
    /// Reads from the cursor on. `batches` are ranges of seqs: the first seq, and the seq after the last.
    pub(super) fn new(track: Track, batches: Vec<Vec<(u64, u64)>>) -> Self {
        let batches =
            batches.into_iter().map(|ranges| ranges.into_iter().flat_map(|(a, b)| a..b).collect()).collect();
        let queue = Queue::default();
        let ahead = Ahead::default();
        Self { next: track.next, kept_from: u64::MAX, track, queue, ahead, batches }
    }

    pub(super) fn track(&self) -> &Track {
        &self.track
    }

    pub(super) fn track_mut(&mut self) -> &mut Track {
        &mut self.track
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn queue_mut(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Returns the next seq to read: everything before it was read.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Returns the seq from which on the stream has all events except those that were removed inside it.
    pub(super) fn kept_from(&self) -> u64 {
        self.kept_from
    }

    pub(super) fn set_kept_from(&mut self, seq: u64) {
        self.kept_from = seq;
    }

    /// Returns whether more can be read in order, where at most `max` events may be ready.
    pub(super) fn has_room(&self, max: usize) -> bool {
        self.queue.ready().len() < max + self.ahead.found.len()
    }

    /// Returns the seq to read from, in order or ahead. At most `max` events may be ready.
    pub(super) fn wants(&self, health: &Health, max: usize) -> Option<u64> {
        if self.has_room(max) {
            return Some(self.next);
        }
        self.looks_ahead(health).then(|| self.ahead.next.max(self.next))
    }

    /// Returns whether to read ahead: new events fail, and all ready ones are of failed types. In lanes no
    /// event may overtake another.
    pub(super) fn looks_ahead(&self, health: &Health) -> bool {
        let promises = |ready: &Ready| ready.lane.is_some() || health.trusts(ready.kind);
        let near = self.ahead.next < self.next.saturating_add(MAX_AHEAD);
        near && health.doubts_all() && self.ahead.found.is_empty() && !self.queue.ready().iter().any(promises)
    }

    /// Records that everything before `next` was read. Returns where reading was before.
    pub(super) fn read_up_to(&mut self, next: u64) -> u64 {
        debug_assert!(next >= self.next, "reading goes on, or starts again");
        std::mem::replace(&mut self.next, next)
    }

    /// Records that events up to `next` were examined ahead; the event of `found` is ready.
    pub(super) fn looked_ahead(&mut self, next: u64, found: Option<u64>) {
        self.ahead.next = next;
        self.ahead.found.extend(found);
    }

    /// Removes an event that was found ahead: it has begun, or reading in order has reached it. Returns
    /// whether it was one.
    pub(super) fn forget_ahead(&mut self, seq: u64) -> bool {
        self.ahead.found.remove(&seq)
    }

    /// Lets events be examined again after a success: skipped ones may be worth trying.
    pub(super) fn look_again(&mut self) {
        self.ahead.next = 0;
    }

    /// Forgets what was read and not begun, so that it is read again.
    pub(super) fn read_again(&mut self) {
        self.read_from(self.track.next);
    }

    fn read_from(&mut self, seq: u64) {
        self.queue.clear();
        self.ahead = Ahead::default();
        self.next = seq;
    }

    /// Moves the cursor: nothing from there on is settled.
    pub(super) fn seek(&mut self, seq: u64) {
        self.read_from(seq);
        self.track = Track::new(seq);
        self.batches.clear();
    }

    /// Forgets batches of an earlier owner that lie before all ready events.
    pub(super) fn forget_batches_behind(&mut self) {
        if let Some(first) = self.queue.ready().front().map(|ready| ready.event.seq) {
            self.batches.retain(|batch| batch.last().is_some_and(|last| *last >= first));
        }
    }

    /// Returns the batch of an earlier owner that contains the first ready event.
    pub(super) fn batch_to_repeat(&self) -> Option<&BTreeSet<u64>> {
        let first = self.queue.ready().front()?.event.seq;
        self.batches.iter().find(|batch| batch.contains(&first))
    }

    /// Records that these have begun: an earlier owner's batch that contains one of them is no longer
    /// repeated.
    pub(super) fn began(&mut self, taken: &[Ready]) {
        for ready in taken {
            self.forget_ahead(ready.event.seq);
        }
        self.batches.retain(|batch| !taken.iter().any(|ready| batch.contains(&ready.event.seq)));
    }

    /// Returns the batches of an earlier owner that are still to be repeated.
    pub(super) fn batches(&self) -> impl Iterator<Item = &BTreeSet<u64>> {
        self.batches.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::health::{Condition, FAILING_FROM};
    use super::super::queue::MAX_READY;
    use super::*;
    use crate::core::consumer::progress::EventRef;
    use crate::core::ids::EventId;

    fn ready(seq: u64, kind: u32) -> Ready {
        Ready { event: EventRef { seq, id: EventId::ZERO }, lane: None, kind, since_ms: 0 }
    }

    fn full() -> Live {
        let mut live = Live::new(Track::new(1), Vec::new());
        (1..=MAX_READY as u64).for_each(|seq| live.queue_mut().push(ready(seq, 1)));
        live.read_up_to(MAX_READY as u64 + 1);
        live
    }

    #[test]
    fn it_reads_ahead_only_if_all_ready_events_are_of_failed_types() {
        let mut live = full();
        let mut health = Health::new(1, Condition::default(), None);
        assert_eq!(live.wants(&health, MAX_READY), None, "full, and nothing speaks against the ready events");
        (0..FAILING_FROM).for_each(|_| health.fresh_failed(&[1]));
        let next = live.next();
        assert_eq!(live.wants(&health, MAX_READY), Some(next));
        live.looked_ahead(next + 500, None);
        assert_eq!(live.wants(&health, MAX_READY), Some(next + 500));
        live.looked_ahead(next + 600, Some(next + 599));
        live.queue_mut().push(ready(next + 599, 2));
        assert_eq!(
            (live.wants(&health, MAX_READY), live.has_room(MAX_READY)),
            (None, false),
            "it is worth trying"
        );
        health.fresh_failed(&[2]);
        assert!(!live.looks_ahead(&health), "one at a time");
        assert!(live.forget_ahead(next + 599) && !live.forget_ahead(next + 599));
        live.looked_ahead(next + MAX_AHEAD, None);
        assert!(!live.looks_ahead(&health), "it is far enough");
        live.look_again();
        assert_eq!(live.next(), next, "the cursor has not moved");
    }

    #[test]
    fn a_batch_is_repeated_until_one_of_its_events_has_begun_or_is_behind() {
        let batches = vec![vec![(1, 3)], vec![(4, 6), (8, 9)]];
        let mut live = Live::new(Track::new(1), batches.clone());
        assert_eq!(live.batch_to_repeat(), None, "nothing is read yet");
        live.queue_mut().push(ready(1, 0));
        assert_eq!(live.batch_to_repeat().map(BTreeSet::len), Some(2));
        live.began(&[ready(2, 0)]);
        assert_eq!(live.batches().count(), 1);
        let mut behind = Live::new(Track::new(7), batches);
        behind.queue_mut().push(ready(7, 0));
        behind.forget_batches_behind();
        assert_eq!((behind.batch_to_repeat(), behind.batches().count()), (None, 1));
        behind.seek(1);
        assert_eq!((behind.batches().count(), behind.next(), behind.track().next), (0, 1, 1));
    }
}
