//! The usage of maps: counts what is stored, and what nodes report.

use super::{Context, StateError, Streams, keys, records};
use crate::core::codec;
use crate::core::command::{Refusal, Reply};
use crate::core::ids::TopicId;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::usage::{Counts, MOST_STREAMS, Period, PeriodKind, Reports, UsageRecord, UsageReport};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The present periods of all maps, and the last reports of the nodes.
#[derive(Default)]
pub(super) struct Usage {
    records: BTreeMap<TopicId, UsageRecord>,
    /// Maps whose record differs from the store's. It is written once in a transaction.
    dirty: BTreeSet<TopicId>,
    reports: Reports,
}

/// Returns the periods of a map's usage as they are shown at that time (Unix milliseconds), oldest first.
///
/// # Errors
/// If the store can't be read.
pub fn usage_of<S: ReadStore>(
    store: &S,
    stream: TopicId,
    kind: PeriodKind,
    time_ms: u64,
) -> Result<Vec<Period>, StateError> {
    let known = store.get(&keys::usage(stream))?;
    let record: UsageRecord = known.map(|bytes| codec::decode(&bytes)).transpose()?.unwrap_or_default();
    let mut stored: Vec<Vec<u8>> = Vec::new();
    let (from, to) = keys::ended_usages(stream, kind);
    store.scan(&from, &to, &mut |_, value| {
        stored.push(value.to_vec());
        true
    })?;
    let ended: Result<Vec<Period>, _> = stored.iter().map(|bytes| codec::decode(bytes)).collect();
    Ok(record.shown(kind, ended?, time_ms))
}

impl Streams {
    /// Loads what is mirrored of the usage.
    pub(super) fn load_usage<S: ReadStore>(&mut self, store: &S) -> Result<(), StateError> {
        for (key, record) in records::<UsageRecord, S>(store, keys::USAGE)? {
            self.usage.records.extend(keys::topic_of(&key).map(|topic| (topic, record)));
        }
        let reports = store.get(keys::USAGE_REPORTS)?;
        self.usage.reports = reports.map(|bytes| codec::decode(&bytes)).transpose()?.unwrap_or_default();
        Ok(())
    }

    /// Counts events that were stored at that time (Unix milliseconds).
    pub(super) fn count_events<S: WriteStore>(
        &mut self,
        stream: TopicId,
        time_ms: u64,
        stored: &[(u64, Bytes)],
        store: &mut S,
    ) -> Result<(), StateError> {
        let event_bytes = stored.iter().map(|(_, event)| event.len() as u64).sum();
        let counts = Counts { events: stored.len() as u64, event_bytes, ..Counts::default() };
        self.count_usage(stream, time_ms, &counts, store)
    }

    /// Counts what a node reports, unless the report was counted before.
    pub(super) fn report_usage<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        report: &UsageReport,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if report.streams.len() > MOST_STREAMS {
            return Ok(Reply::Refused(Refusal::Malformed));
        }
        if !self.usage.reports.note(report, context.index()) {
            return Ok(Reply::Done);
        }
        store.put(keys::USAGE_REPORTS, &codec::encode(&self.usage.reports)?)?;
        for (stream, delivered) in &report.streams {
            // The map may have been deleted meanwhile.
            if self.topics.contains_key(stream) {
                let counts = Counts { delivered: *delivered, ..Counts::default() };
                self.count_usage(*stream, context.id_ms(), &counts, store)?;
            }
        }
        Ok(Reply::Done)
    }

    fn count_usage<S: WriteStore>(
        &mut self,
        stream: TopicId,
        time_ms: u64,
        counts: &Counts,
        store: &mut S,
    ) -> Result<(), StateError> {
        let record = self.usage.records.entry(stream).or_default();
        for (kind, period) in record.add(time_ms, counts) {
            let key = keys::ended_usage(stream, kind, kind.place(period.number));
            store.put(&key, &codec::encode(&period)?)?;
        }
        self.usage.dirty.insert(stream);
        Ok(())
    }

    /// Writes the records that differ from the store's.
    pub(super) fn flush_usage<S: WriteStore>(&mut self, store: &mut S) -> Result<(), StateError> {
        for stream in std::mem::take(&mut self.usage.dirty) {
            if let Some(record) = self.usage.records.get(&stream) {
                store.put(&keys::usage(stream), &codec::encode(record)?)?;
            }
        }
        Ok(())
    }

    /// Removes the usage of a map that is deleted. The ticks remove the periods that have ended.
    pub(super) fn forget_usage<S: WriteStore>(
        &mut self,
        stream: TopicId,
        store: &mut S,
    ) -> Result<(), StateError> {
        self.usage.records.remove(&stream);
        self.usage.dirty.remove(&stream);
        Ok(store.delete(&keys::usage(stream))?)
    }
}
