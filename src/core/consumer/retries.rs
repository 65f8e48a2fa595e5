//! Retries: deliveries that wait for another attempt, or behind an earlier one of their lane.
//!
//! Each is a record that the cluster stores separately, and only changed records are reported. The cursor has
//! passed their events, so a waiting delivery does not keep any other event from being read.

use super::progress::{Retry, Source, WaitingSummary};
use std::collections::{BTreeMap, BTreeSet};

/// The largest number of dropped records in one report.
const MAX_DROPPED: usize = 10_000;

/// The waiting records, by number; numbers ascend and are never reused. A record is due only while it comes
/// first in its lanes and is not under way. The caller states that with [`Retries::is_due`] and
/// [`Retries::is_not_due`].
#[derive(Debug, Default)]
pub(super) struct Retries {
    records: BTreeMap<u64, Record>,
    /// Records that come first in their lanes and are not under way, by time.
    due: BTreeSet<(u64, u64)>,
    /// Sorted by first seq.
    seqs: BTreeSet<(u64, u64)>,
    /// The number of events of each source.
    events: BTreeMap<Source, usize>,
    /// The number of events that were tried before.
    retrying: usize,
    /// Records that the cluster does not have in their present form.
    unsaved: BTreeSet<u64>,
    unsaved_events: usize,
    dropped: Vec<u64>,
    /// The number of the last record, and of the last delivery.
    last_number: u64,
    /// Records of the stream's own events with a lower number are invalid: the cursor was moved since.
    live_from: u64,
}

#[derive(Debug)]
struct Record {
    retry: Retry,
    /// Whether the cluster has a record with that number, or is being told of one.
    saved: bool,
}

impl Retries {
    pub(super) fn new(last_number: u64, live_from: u64) -> Self {
        Self { last_number, live_from, ..Self::default() }
    }

    pub(super) fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Returns the number of a new delivery.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn live_from(&self) -> u64 {
        self.live_from
    }

    /// Invalidates the present records of the stream's own events: the cursor was moved.
    pub(super) fn outdate_live(&mut self) {
        self.live_from = self.last_number + 1;
    }

    /// Returns whether the delivery's record is invalid because the cursor was moved after it got its number.
    pub(super) fn is_outdated(&self, number: u64, source: Source) -> bool {
        source == Source::Live && number < self.live_from
    }

    /// Loads a record that the cluster has.
    pub(super) fn load(&mut self, number: u64, retry: Retry) {
        self.last_number = self.last_number.max(number);
        self.count(&retry, number);
        self.records.insert(number, Record { retry, saved: true });
    }

    /// Drops a record that the cluster has and that is invalid.
    pub(super) fn forget(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
        self.dropped.push(number);
    }

    /// Stores a delivery under that number, or replaces it. It is not due before [`Retries::is_due`].
    pub(super) fn put(&mut self, number: u64, retry: Retry) {
        let saved = self.take(number).is_some_and(|record| record.saved);
        self.count(&retry, number);
        self.unsaved.insert(number);
        self.unsaved_events += retry.events.len();
        self.records.insert(number, Record { retry, saved });
        self.check();
    }

    /// Checks the cheap half of what the tests check: every record is counted, and nothing else is.
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

    /// Returns those from that number on.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = (u64, &Retry)> {
        self.records.range(number..).map(|(number, record)| (*number, &record.retry))
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

    /// Records that the delivery comes first in its lanes and is not under way.
    pub(super) fn is_due(&mut self, number: u64) {
        if let Some(record) = self.records.get(&number) {
            self.due.insert((record.retry.due_ms, number));
        }
    }

    /// Records that the delivery is under way, or that another comes before it.
    pub(super) fn is_not_due(&mut self, number: u64) {
        if let Some(record) = self.records.get(&number) {
            self.due.remove(&(record.retry.due_ms, number));
        }
    }

    /// Returns the first one that is due, with its time.
    pub(super) fn first_due(&self) -> Option<(u64, u64)> {
        self.due.first().copied()
    }

    /// Returns when the first one after `now_ms` is due.
    pub(super) fn due_after(&self, now_ms: u64) -> Option<u64> {
        self.due.range((now_ms.saturating_add(1), 0)..).next().map(|(due_ms, _)| *due_ms)
    }

    /// Makes all of them due at `now_ms`. The cluster is not told: the next owner finds out by itself.
    pub(super) fn pull_forward(&mut self, now_ms: u64) {
        for (due_ms, number) in self.due.split_off(&(now_ms.saturating_add(1), 0)) {
            debug_assert!(due_ms > now_ms);
            if let Some(record) = self.records.get_mut(&number) {
                record.retry.due_ms = now_ms;
                self.due.insert((now_ms, number));
            }
        }
    }

    /// Returns the one that has the longest to wait.
    pub(super) fn last_due(&self) -> Option<u64> {
        self.due.last().map(|(_, number)| *number)
    }

    /// Returns the numbers of those whose first seq is in `from..to`.
    pub(super) fn between(&self, from: u64, to: u64) -> Vec<u64> {
        if from >= to {
            return Vec::new();
        }
        self.seqs.range((from, 0)..(to, 0)).map(|(_, number)| *number).collect()
    }

    /// Returns the numbers of all from a source.
    pub(super) fn of(&self, source: Source) -> Vec<u64> {
        if !self.events.contains_key(&source) {
            return Vec::new();
        }
        let ours = |record: &Record| record.retry.source == source;
        self.records.iter().filter(|(_, record)| ours(record)).map(|(number, _)| *number).collect()
    }

    /// Returns the number of waiting events.
    pub(super) fn events(&self) -> usize {
        self.events.values().sum()
    }

    pub(super) fn has(&self, source: Source) -> bool {
        self.events.contains_key(&source)
    }

    /// Returns the number of events of records that the cluster does not have in their present form.
    pub(super) fn unsaved_events(&self) -> usize {
        self.unsaved_events
    }

    /// Returns what the cluster does not know: records to store, numbers of records to drop, and whether that
    /// is all.
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
        /// Whatever is stored and dropped, the cluster's records are those in memory, and the counters match
        /// the records.
        #[test]
        fn the_cluster_has_the_waiting_records(
            acts in prop::collection::vec((0u8..8, 1u64..12, 1u64..4, 0u32..3, 0u64..9), 0..120),
        ) {
            let mut retries = Retries::default();
            let mut cluster = BTreeMap::new();
            let mut gone = BTreeSet::new();
            let report = |retries: &mut Retries, cluster: &mut BTreeMap<u64, Retry>| {
                let (kept, dropped, _) = retries.changes();
                cluster.extend(kept);
                dropped.iter().for_each(|number| drop(cluster.remove(number)));
            };
            for (act, number, events, attempts, due_ms) in acts {
                match act {
                    // A number is used once.
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
                    _ => report(&mut retries, &mut cluster),
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
            report(&mut retries, &mut cluster);
            let all: BTreeMap<u64, Retry> =
                retries.records.iter().map(|(number, record)| (*number, record.retry.clone())).collect();
            prop_assert_eq!(all, cluster);
        }
    }
}
