//! The usage of maps: what is counted, and the hours and days in which it is kept.
//!
//! Periods are numbered from the beginning of 1970, by the cluster's time. The present periods of a map only
//! go forward. A period that has ended goes to one of a fixed number of places, where a later one replaces it.
//! So a map has at most as many records as there are places, whatever happens in it.

use super::ids::{NodeId, TopicId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most streams that one report names.
pub const MOST_STREAMS: usize = 4096;
/// The most nodes whose last reports are remembered.
const MOST_NODES: usize = 256;

/// What nodes count of a map by themselves: it is not in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Events that were handed to subscriptions and to readers of consumers. An event counts for each of
    /// them.
    pub deliveries: u64,
    /// Bytes of these events, as they were handed over.
    pub delivery_bytes: u64,
    /// Requests to webhooks that have ended.
    pub attempts: u64,
    /// Those of them that delivered nothing.
    pub failed_attempts: u64,
}

impl Delivered {
    /// Adds other counts.
    pub fn add(&mut self, more: &Self) {
        self.deliveries = self.deliveries.saturating_add(more.deliveries);
        self.delivery_bytes = self.delivery_bytes.saturating_add(more.delivery_bytes);
        self.attempts = self.attempts.saturating_add(more.attempts);
        self.failed_attempts = self.failed_attempts.saturating_add(more.failed_attempts);
    }

    /// Returns what was counted after `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            deliveries: self.deliveries.saturating_sub(before.deliveries),
            delivery_bytes: self.delivery_bytes.saturating_sub(before.delivery_bytes),
            attempts: self.attempts.saturating_sub(before.attempts),
            failed_attempts: self.failed_attempts.saturating_sub(before.failed_attempts),
        }
    }

    /// Returns whether nothing was counted.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What is counted of a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events that were stored.
    pub events: u64,
    /// Bytes of these events, as they are stored.
    pub event_bytes: u64,
    /// What the nodes have reported.
    pub delivered: Delivered,
}

impl Counts {
    /// Adds other counts.
    pub fn add(&mut self, more: &Self) {
        self.events = self.events.saturating_add(more.events);
        self.event_bytes = self.event_bytes.saturating_add(more.event_bytes);
        self.delivered.add(&more.delivered);
    }

    /// Returns whether nothing was counted.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// How long a period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodKind {
    /// An hour.
    Hour,
    /// A day, in UTC.
    Day,
}

impl PeriodKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    /// Returns its length in milliseconds.
    pub const fn ms(self) -> u64 {
        match self {
            Self::Hour => 3_600_000,
            Self::Day => 24 * 3_600_000,
        }
    }

    /// Returns how many periods are kept, with the present one.
    pub const fn kept(self) -> u64 {
        match self {
            Self::Hour => 48,
            Self::Day => 92,
        }
    }

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Returns the kind with that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the number of the period that has that time (Unix milliseconds).
    pub const fn number_at(self, time_ms: u64) -> u64 {
        time_ms / self.ms()
    }

    /// Returns the place of a period that has ended: less than [`PeriodKind::kept`].
    pub const fn place(self, number: u64) -> u8 {
        (number % self.kept()) as u8
    }
}

/// A period, and what was counted in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Its number: how many periods of its kind have ended since 1970.
    pub number: u64,
    /// What was counted.
    pub counts: Counts,
}

/// The present periods of a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    hour: Period,
    day: Period,
}

impl UsageRecord {
    /// Returns the present period of a kind.
    pub fn present(&self, kind: PeriodKind) -> Period {
        match kind {
            PeriodKind::Hour => self.hour,
            PeriodKind::Day => self.day,
        }
    }

    /// Counts at that time (Unix milliseconds), or in the present periods if these are later. Returns the
    /// periods that have ended and have something.
    pub fn add(&mut self, time_ms: u64, counts: &Counts) -> Vec<(PeriodKind, Period)> {
        let mut ended = Vec::new();
        for (kind, present) in [(PeriodKind::Hour, &mut self.hour), (PeriodKind::Day, &mut self.day)] {
            let number = kind.number_at(time_ms);
            if number > present.number {
                let last = std::mem::replace(present, Period { number, counts: Counts::default() });
                ended.extend((!last.counts.is_nothing()).then_some((kind, last)));
            }
            present.counts.add(counts);
        }
        ended
    }

    /// Returns the periods of a kind as they are shown at that time (Unix milliseconds), oldest first: from
    /// the oldest kept one that has something up to the present one, without a gap. `ended` has those that
    /// have ended, in any order; some may be too old.
    pub fn shown(
        &self,
        kind: PeriodKind,
        ended: impl IntoIterator<Item = Period>,
        time_ms: u64,
    ) -> Vec<Period> {
        let present = self.present(kind);
        let last = kind.number_at(time_ms).max(present.number);
        let oldest = (last + 1).saturating_sub(kind.kept());
        let is_shown = |period: &Period| period.number >= oldest && !period.counts.is_nothing();
        let known: BTreeMap<u64, Counts> = ended
            .into_iter()
            .chain([present])
            .filter(is_shown)
            .map(|period| (period.number, period.counts))
            .collect();
        let first = known.keys().next().copied().unwrap_or(last);
        let counts = |number| known.get(&number).copied().unwrap_or_default();
        (first..=last).map(|number| Period { number, counts: counts(number) }).collect()
    }
}

/// What a node has counted since its last report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// The node.
    pub node: NodeId,
    /// A random number of this run of the node's process.
    pub run: u64,
    /// Counts the reports of this run, from 1. A report whose number is not higher than the last one's is a
    /// repetition, and is not counted.
    pub number: u64,
    /// What was counted of each map, by its stream; at most [`MOST_STREAMS`].
    pub streams: Vec<(TopicId, Delivered)>,
}

/// The last report of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Reported {
    run: u64,
    number: u64,
    /// The log index of the entry that had it.
    index: u64,
}

/// The last reports of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reports(BTreeMap<NodeId, Reported>);

impl Reports {
    /// Notes a report that the log has at that index. Returns whether it is to be counted: a repetition is
    /// not.
    pub fn note(&mut self, report: &UsageReport, index: u64) -> bool {
        let UsageReport { node, run, number, .. } = *report;
        if self.0.get(&node).is_some_and(|last| last.run == run && last.number >= number) {
            return false;
        }
        self.0.insert(node, Reported { run, number, index });
        // A node that has reported nothing for longest is most likely gone for good.
        while self.0.len() > MOST_NODES
            && let Some(silent) = self.0.iter().min_by_key(|(_, last)| last.index).map(|(node, _)| *node)
        {
            self.0.remove(&silent);
        }
        true
    }
}

#[cfg(test)]
mod tests;
