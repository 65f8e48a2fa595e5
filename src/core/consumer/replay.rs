//! Replays: which one runs, from where it reads, and when it ends.
//!
//! One replay runs at a time, the oldest; the others wait. Its events have a queue and lanes of their own.

use super::progress::{KEPT_REPLAYS, Replay, Source, Track};
use super::queue::Queue;

/// A read for a replay that has room for more events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayRead {
    /// The replay's number.
    pub id: u64,
    /// The next seq to read.
    pub from_seq: u64,
    /// The seq after the last.
    pub until_seq: u64,
    /// Whether only dead letters are read.
    pub failed_only: bool,
}

/// A consumer's replays. The queue has only events of the running one.
#[derive(Debug)]
pub(super) struct Replays {
    /// Oldest first, running and ended.
    records: Vec<Replay>,
    queue: Queue,
    /// The next seq to read for the running replay.
    next: u64,
}

impl Replays {
    pub(super) fn new(records: Vec<Replay>) -> Self {
        let mut replays = Self { records, queue: Queue::default(), next: 0 };
        replays.read_again();
        replays
    }

    pub(super) fn records(&self) -> &[Replay] {
        &self.records
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn queue_mut(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Returns the oldest replay that has not ended.
    pub(super) fn running(&self) -> Option<&Replay> {
        self.records.iter().find(|replay| replay.ended_ms.is_none())
    }

    /// Returns the source of the running replay's deliveries.
    pub(super) fn source(&self) -> Option<Source> {
        self.running().map(|replay| Source::Replay(replay.id))
    }

    /// Returns the progress of the replay with that number.
    pub(super) fn track_mut(&mut self, id: u64) -> Option<&mut Track> {
        self.find(id).map(|replay| &mut replay.track)
    }

    fn find(&mut self, id: u64) -> Option<&mut Replay> {
        self.records.iter_mut().find(|replay| replay.id == id)
    }

    /// Returns whether the replay was stopped, has ended, or is unknown: none of its deliveries is retried.
    pub(super) fn is_over(&self, source: Source) -> bool {
        let Source::Replay(id) = source else { return false };
        !self.records.iter().any(|replay| replay.id == id && replay.ended_ms.is_none())
    }

    /// Returns the next seq to read.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Returns what to read, if fewer than `max` events are ready.
    pub(super) fn wants(&self, max: usize) -> Option<ReplayRead> {
        let replay = self.running()?;
        let room = self.queue.ready().len() < max;
        (room && self.next < replay.until_seq).then_some(ReplayRead {
            id: replay.id,
            from_seq: self.next,
            until_seq: replay.until_seq,
            failed_only: replay.failed_only,
        })
    }

    /// Records that everything before `next` was read. Returns where reading was before.
    pub(super) fn read_up_to(&mut self, next: u64) -> u64 {
        std::mem::replace(&mut self.next, next)
    }

    /// Reads again for the oldest replay that has not ended, from where it stopped. Requests under way
    /// continue.
    pub(super) fn read_again(&mut self) {
        self.queue.clear();
        self.next = self.running().map_or(0, |replay| replay.track.next);
    }

    /// Ends the running replay, unless some of it is still to be read or sent, and begins the next. Returns
    /// whether it ended.
    pub(super) fn end_running(&mut self, now_ms: u64) -> bool {
        let is_read = self.queue.is_empty();
        let Some(replay) = self.records.iter_mut().find(|replay| replay.ended_ms.is_none()) else {
            return false;
        };
        if !is_read || replay.track.next < replay.until_seq {
            return false;
        }
        replay.ended_ms = Some(now_ms);
        self.read_again();
        true
    }

    /// Adds a replay and drops an ended one if there are too many. The cluster accepts no more open replays
    /// than are kept.
    pub(super) fn add(&mut self, id: u64, from_seq: u64, until_seq: u64, failed_only: bool, now_ms: u64) {
        if self.records.len() >= KEPT_REPLAYS
            && let Some(ended) = self.records.iter().position(|replay| replay.ended_ms.is_some())
        {
            self.records.remove(ended);
        }
        let is_idle = self.running().is_none();
        self.records.push(Replay {
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
        if is_idle {
            self.read_again();
        }
    }

    /// Stops a replay; another one that runs is not affected. Returns whether it had not ended before.
    pub(super) fn cancel(&mut self, id: u64, now_ms: u64) -> bool {
        let runs = self.running().is_some_and(|running| running.id == id);
        let Some(replay) = self.find(id).filter(|replay| replay.ended_ms.is_none()) else { return false };
        replay.ended_ms = Some(now_ms);
        replay.cancelled = true;
        if runs {
            self.read_again();
        }
        true
    }

    /// Counts events that retention removed before they were read again.
    pub(super) fn missed(&mut self, id: u64, events: u64) {
        self.find(id).into_iter().for_each(|replay| replay.missed += events);
    }

    /// Counts a completed delivery. Returns whether it belonged to a replay that is remembered.
    pub(super) fn completed(&mut self, source: Source, events: u64, delivered: bool) -> bool {
        let Source::Replay(id) = source else { return false };
        let Some(replay) = self.find(id) else { return false };
        *(if delivered { &mut replay.delivered } else { &mut replay.failed }) += events;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_replay_runs_at_a_time_and_the_next_begins_when_it_ends() {
        let mut replays = Replays::new(Vec::new());
        for id in [1, 2] {
            replays.add(id, 10 * id, 10 * id + 1, false, 5);
        }
        assert_eq!(
            (replays.source(), replays.next(), replays.end_running(6)),
            (Some(Source::Replay(1)), 10, false)
        );
        replays.track_mut(1).into_iter().for_each(|track| track.settle(10));
        assert!(
            replays.end_running(7)
                && replays.is_over(Source::Replay(1))
                && !replays.is_over(Source::Replay(2))
        );
        assert_eq!(
            (replays.source(), replays.wants(1).map(|read| read.from_seq)),
            (Some(Source::Replay(2)), Some(20))
        );
        assert!(replays.cancel(2, 8) && !replays.cancel(2, 9) && !replays.cancel(3, 9));
        assert_eq!((replays.running(), replays.wants(1)), (None, None));
        assert!(replays.records()[1].cancelled && !replays.records()[0].cancelled);
    }

    #[test]
    fn a_waiting_replay_is_cancelled_while_the_running_one_reads_on() {
        let mut replays = Replays::new(Vec::new());
        [1, 2].into_iter().for_each(|id| replays.add(id, 1, 50, false, 5));
        replays.read_up_to(30);
        assert!(replays.cancel(2, 6));
        assert_eq!(replays.wants(1).map(|read| (read.id, read.from_seq)), Some((1, 30)));
    }

    #[test]
    fn only_an_ended_replay_makes_room() {
        let mut replays = Replays::new(Vec::new());
        (0..KEPT_REPLAYS as u64).for_each(|id| replays.add(id, 1, 2, false, 5));
        replays.cancel(3, 6);
        replays.add(100, 1, 2, false, 7);
        assert_eq!(replays.records().len(), KEPT_REPLAYS);
        assert!(replays.records().iter().all(|replay| replay.id != 3), "it had ended");
        assert!(
            replays.completed(Source::Replay(0), 4, true) && !replays.completed(Source::Replay(3), 4, true)
        );
        assert_eq!(replays.records()[0].delivered, 4);
    }
}
