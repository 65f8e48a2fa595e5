//! Retries: what waits, to be tried again later or behind an earlier one of its lane.
//!
//! Owns the records, which the cluster has one by one: what is told of them is what has changed. The cursor has passed
//! their events, so that nothing that waits keeps anything else from being read.

use super::progress::{Retry, Source, WaitingSummary};
use std::collections::{BTreeMap, BTreeSet};

/// Records told as needed no more with one report.
const MAX_DROPPED: usize = 10_000;

/// Records by number, which is given once and rises. A record is due only while it comes first in its lanes and is not
/// under way; whoever keeps it says so.
#[derive(Debug, Default)]
pub(super) struct Retries {
    records: BTreeMap<u64, Record>,
    /// Those that come first in their lanes and are not under way, by time.
    due: BTreeSet<(u64, u64)>,
    /// By first seq.
    seqs: BTreeSet<(u64, u64)>,
    /// Events by source.
    events: BTreeMap<Source, usize>,
    /// Events that were tried before.
    retrying: usize,
    /// Those that the cluster doesn't have as they are.
    unsaved: BTreeSet<u64>,
    unsaved_events: usize,
    dropped: Vec<u64>,
    /// Number of the last record, and of the last delivery.
    last_number: u64,
    /// Records of the stream's own events with a smaller number count no more: the cursor was moved since.
    live_from: u64,
}

#[derive(Debug)]
struct Record {
    retry: Retry,
    /// The cluster has a record of that number, or is told of one.
    saved: bool,
}

impl Retries {
    pub(super) fn new(last_number: u64, live_from: u64) -> Self {
        Self { last_number, live_from, ..Self::default() }
    }

    pub(super) fn last_number(&self) -> u64 {
        self.last_number
    }

    /// The number of a new delivery.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn live_from(&self) -> u64 {
        self.live_from
    }

    /// The cursor was moved: records of the stream's own events that there are count no more.
    pub(super) fn outdate_live(&mut self) {
        self.live_from = self.last_number + 1;
    }

    /// The delivery's record counts no more, since the cursor was moved after it got its number.
    pub(super) fn is_outdated(&self, number: u64, source: Source) -> bool {
        source == Source::Live && number < self.live_from
    }

    /// Takes a record that the cluster has.
    pub(super) fn load(&mut self, number: u64, retry: Retry) {
        self.last_number = self.last_number.max(number);
        self.count(&retry, number);
        self.records.insert(number, Record { retry, saved: true });
    }

    /// The cluster has a record that counts no more.
    pub(super) fn forget(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
        self.dropped.push(number);
    }

    /// Keeps a delivery under that number, also where it is there already. It is not due before [`Retries::is_due`].
    pub(super) fn put(&mut self, number: u64, retry: Retry) {
        let saved = self.take(number).is_some_and(|record| record.saved);
        self.count(&retry, number);
        self.unsaved.insert(number);
        self.unsaved_events += retry.events.len();
        self.records.insert(number, Record { retry, saved });
        self.check();
    }

    /// The cheap half of what the tests hold: every record is counted, and nothing else is.
    fn check(&self) {
        debug_assert!(self.seqs.len() == self.records.len());
        debug_assert!(self.due.len() <= self.records.len() && self.unsaved.len() <= self.records.len());
        debug_assert!(self.retrying <= self.events() && self.unsaved_events <= self.events());
        debug_assert!(self.records.is_empty() == self.events.is_empty());
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Retry> {
        let record = self.take(number)?;
        if record.saved {
            self.dropped.push(number);
        }
        self.check();
        Some(record.retry)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Retry> {
        self.records.get(&number).map(|record| &record.retry)
    }

    fn count(&mut self, retry: &Retry, number: u64) {
        *self.events.entry(retry.source).or_default() += retry.events.len();
        self.retrying += retried(retry);
        self.seqs.insert((first_seq(retry), number));
    }

    fn take(&mut self, number: u64) -> Option<Record> {
        let record = self.records.remove(&number)?;
        let retry = &record.retry;
        self.due.remove(&(retry.due_ms, number));
        self.seqs.remove(&(first_seq(retry), number));
        self.retrying -= retried(retry);
        if self.unsaved.remove(&number) {
            self.unsaved_events -= retry.events.len();
        }
        if let Some(events) = self.events.get_mut(&retry.source) {
            *events -= retry.events.len();
            if *events == 0 {
                self.events.remove(&retry.source);
            }
        }
        Some(record)
    }

    /// It comes first in its lanes and is not under way.
    pub(super) fn is_due(&mut self, number: u64) {
        if let Some(record) = self.records.get(&number) {
            self.due.insert((record.retry.due_ms, number));
        }
    }

    /// It is under way now, or another comes before it.
    pub(super) fn is_not_due(&mut self, number: u64) {
        if let Some(record) = self.records.get(&number) {
            self.due.remove(&(record.retry.due_ms, number));
        }
    }

    /// The first that is due, and when.
    pub(super) fn first_due(&self) -> Option<(u64, u64)> {
        self.due.first().copied()
    }

    /// When the first is due after `now_ms`.
    pub(super) fn due_after(&self, now_ms: u64) -> Option<u64> {
        self.due.range((now_ms.saturating_add(1), 0)..).next().map(|(due_ms, _)| *due_ms)
    }

    /// All may be tried at `now_ms`. The cluster is not told: the next owner finds out by itself.
    pub(super) fn pull_forward(&mut self, now_ms: u64) {
        for (due_ms, number) in self.due.split_off(&(now_ms.saturating_add(1), 0)) {
            debug_assert!(due_ms > now_ms);
            if let Some(record) = self.records.get_mut(&number) {
                record.retry.due_ms = now_ms;
                self.due.insert((now_ms, number));
            }
        }
    }

    /// The one that has longest to wait.
    pub(super) fn last_due(&self) -> Option<u64> {
        self.due.last().map(|(_, number)| *number)
    }

    /// The numbers of those whose first seq is in `from..to`.
    pub(super) fn between(&self, from: u64, to: u64) -> Vec<u64> {
        if from >= to {
            return Vec::new();
        }
        self.seqs.range((from, 0)..(to, 0)).map(|(_, number)| *number).collect()
    }

    /// The numbers of all of a source.
    pub(super) fn of(&self, source: Source) -> Vec<u64> {
        if !self.events.contains_key(&source) {
            return Vec::new();
        }
        let ours = |record: &Record| record.retry.source == source;
        self.records.iter().filter(|(_, record)| ours(record)).map(|(number, _)| *number).collect()
    }

    /// Events that wait.
    pub(super) fn events(&self) -> usize {
        self.events.values().sum()
    }

    pub(super) fn has(&self, source: Source) -> bool {
        self.events.contains_key(&source)
    }

    /// Events of records that the cluster doesn't have as they are.
    pub(super) fn unsaved_events(&self) -> usize {
        self.unsaved_events
    }

    /// What the cluster doesn't know: records to keep, and numbers of those to drop; and whether that is all.
    pub(super) fn changes(&mut self) -> (Vec<(u64, Retry)>, Vec<u64>, bool) {
        let mut kept = Vec::with_capacity(self.unsaved.len());
        for number in std::mem::take(&mut self.unsaved) {
            if let Some(record) = self.records.get_mut(&number) {
                record.saved = true;
                kept.push((number, record.retry.clone()));
            }
        }
        self.unsaved_events = 0;
        let rest = self.dropped.len().saturating_sub(MAX_DROPPED);
        let dropped = self.dropped.split_off(rest);
        (kept, dropped, self.dropped.is_empty())
    }

    pub(super) fn summary(&self) -> WaitingSummary {
        WaitingSummary {
            events: self.events() as u64,
            retrying: self.retrying as u64,
            asked: self.events.get(&Source::Asked).map_or(0, |events| *events as u64),
            oldest_seq: self.seqs.first().map(|(seq, _)| *seq),
            due_ms: self.first_due().map(|(due_ms, _)| due_ms),
        }
    }
}

fn first_seq(retry: &Retry) -> u64 {
    retry.events.first().map_or(0, |event| event.seq)
}

fn retried(retry: &Retry) -> usize {
    if retry.attempts > 0 { retry.events.len() } else { 0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::consumer::progress::EventRef;
    use crate::core::ids::EventId;
    use proptest::prelude::*;

    fn retry(seq: u64, events: u64, attempts: u32, due_ms: u64) -> Retry {
        let events = (seq..seq + events).map(|seq| EventRef { seq, id: EventId::ZERO }).collect();
        let source = [Source::Live, Source::Asked, Source::Replay(7)][seq as usize % 3];
        Retry { events, attempts, due_ms, first_ms: 1, lanes: Vec::new(), source }
    }

    proptest! {
        /// Whatever comes and goes: the records of the cluster are those at hand, and the numbers are those of the records.
        #[test]
        fn the_cluster_has_what_waits(acts in prop::collection::vec((0u8..8, 1u64..12, 1u64..4, 0u32..3, 0u64..9), 0..120)) {
            let (mut retries, mut cluster, mut gone) = (Retries::default(), BTreeMap::new(), BTreeSet::new());
            let tell = |retries: &mut Retries, cluster: &mut BTreeMap<u64, Retry>| {
                let (kept, dropped, _) = retries.changes();
                cluster.extend(kept);
                dropped.iter().for_each(|number| drop(cluster.remove(number)));
            };
            for (act, number, events, attempts, due_ms) in acts {
                match act {
                    // A number is given once.
                    0..4 if gone.contains(&number) => {}
                    0..4 => {
                        retries.put(number, retry(number, events, attempts, due_ms));
                        retries.is_due(number);
                    }
                    4 | 5 => {
                        if retries.remove(number).is_some() {
                            gone.insert(number);
                        }
                    }
                    6 => retries.is_not_due(number),
                    _ => tell(&mut retries, &mut cluster),
                }
                let all: Vec<&Retry> = retries.records.values().map(|record| &record.retry).collect();
                let events = |retry: &&Retry| retry.events.len();
                prop_assert_eq!(retries.events(), all.iter().map(events).sum::<usize>());
                let summary = retries.summary();
                prop_assert_eq!(summary.oldest_seq, all.iter().map(|retry| retry.events[0].seq).min());
                let tried: usize = all.iter().filter(|retry| retry.attempts > 0).map(events).sum();
                prop_assert_eq!(summary.retrying, tried as u64);
                let unsaved: usize = retries.unsaved.iter().map(|number| retries.get(*number).unwrap().events.len()).sum();
                prop_assert_eq!(retries.unsaved_events(), unsaved);
                prop_assert!(retries.due.iter().all(|(due_ms, number)| retries.get(*number).unwrap().due_ms == *due_ms));
            }
            tell(&mut retries, &mut cluster);
            let all: BTreeMap<u64, Retry> =
                retries.records.iter().map(|(number, record)| (*number, record.retry.clone())).collect();
            prop_assert_eq!(all, cluster);
        }
    }
}
