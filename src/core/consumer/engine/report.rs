//! What the cluster must know, and how soon.
//!
//! Owns what was not told, and the bound on it.

use super::{Engine, MAX_UNREPORTED, MAX_UNSAVED, Snapshot, Urgency};
use crate::core::consumer::progress::{DeadLetter, DeadLetterChange, EventRef, Retry, Source};
use crate::core::webhook::outcome::Class;

#[derive(Debug, Default)]
pub(super) struct Unreported {
    letters: Vec<DeadLetterChange>,
    disable: Option<String>,
    announce: Option<u8>,
    urgency: Urgency,
    /// Requests that ended since the last snapshot.
    completions: u32,
    /// Those that the last snapshot has, and the cluster may not know of.
    told: u32,
    /// Given up in a lane: it goes on once the cluster knows, so that no other owner delivers them after their successors.
    given_up: Vec<(u64, Retry)>,
    reporting: Vec<(u64, Retry)>,
}

impl Unreported {
    pub(super) fn completed(&mut self) {
        self.completions += 1;
    }

    pub(super) fn revived(&mut self, events: &[EventRef]) {
        self.letters.extend(events.iter().map(|event| DeadLetterChange::Removed(event.seq)));
    }

    /// It holds its lanes until the cluster knows that it was given up.
    pub(super) fn given_up(&mut self, number: u64, delivery: Retry) {
        self.given_up.push((number, delivery));
    }

    pub(super) fn disable(&mut self, why: String) {
        self.disable.get_or_insert(why);
    }

    pub(super) fn announce(&mut self, percent: u8) {
        self.announce = Some(percent);
    }

    /// Somebody asked that the endpoint goes on.
    pub(super) fn withdraw(&mut self) {
        self.disable = None;
        self.announce = None;
    }
}

impl Engine {
    /// How soon the cluster must be told something.
    pub fn urgency(&self) -> Urgency {
        self.unreported.urgency
    }

    /// What the cluster must know. The caller keeps it until the cluster has it, and says so with
    /// [`Engine::reported`]; only then asks again.
    pub fn snapshot(&mut self) -> Snapshot {
        let batches = self.batches_under_way();
        let (kept, dropped, is_all) = self.waiting.changes();
        let unreported = &mut self.unreported;
        unreported.reporting.append(&mut unreported.given_up);
        unreported.urgency = if is_all { Urgency::None } else { Urgency::Soon };
        unreported.told += std::mem::take(&mut unreported.completions);
        self.progress.reports += 1;
        self.progress.waiting = self.waiting.summary();
        self.progress.batches = batches;
        Snapshot {
            progress: self.progress.clone(),
            kept,
            dropped,
            letters: std::mem::take(&mut unreported.letters),
            disable: unreported.disable.take(),
            announce: unreported.announce.take(),
        }
    }

    /// The number of one more report of the same snapshot.
    pub fn count_report(&mut self) -> u64 {
        self.progress.reports += 1;
        self.progress.reports
    }

    /// The cluster has the last snapshot.
    pub fn reported(&mut self) {
        self.unreported.told = 0;
        for (number, delivery) in std::mem::take(&mut self.unreported.reporting) {
            self.release(number, &delivery);
        }
    }

    /// The cluster may not know of so much that nothing more is begun.
    pub(super) fn is_far_ahead(&self) -> bool {
        self.unreported.completions + self.unreported.told >= MAX_UNREPORTED
            || self.waiting.unsaved_events() >= MAX_UNSAVED
    }

    pub(super) fn note(&mut self, urgency: Urgency) {
        self.unreported.urgency = self.unreported.urgency.max(urgency);
    }

    pub(super) fn bury(&mut self, events: &[EventRef], delivery: &Retry, cause: &Cause<'_>) {
        for event in events {
            self.unreported.letters.push(DeadLetterChange::Added(DeadLetter {
                seq: event.seq,
                event_id: event.id,
                kind: String::new(),
                attempts: delivery.attempts,
                first_ms: if delivery.first_ms == 0 { cause.now_ms } else { delivery.first_ms },
                buried_ms: cause.now_ms,
                class: cause.class,
                status: cause.status,
                error: cause.error.to_owned(),
            }));
            self.progress.buried += 1;
        }
        self.note(Urgency::Now);
    }

    /// Batches that are under way for the first time, by ranges of seqs; and those of an earlier owner that are still to
    /// be repeated.
    fn batches_under_way(&self) -> Vec<Vec<(u64, u64)>> {
        let first = |flying: &&super::Flying| flying.is_fresh && flying.delivery.source == Source::Live;
        let flying = self.flights.values().filter(first).map(|flying| &flying.delivery.events);
        let flying = flying.filter(|events| events.len() > 1);
        let flying = flying.map(|events| ranges(events.iter().map(|event| event.seq)));
        flying.chain(self.batches.iter().map(|batch| ranges(batch.iter().copied()))).collect()
    }
}

/// Why events are given up.
pub(super) struct Cause<'a> {
    pub(super) class: Class,
    pub(super) status: Option<u16>,
    pub(super) error: &'a str,
    pub(super) now_ms: u64,
}

fn ranges(seqs: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for seq in seqs {
        match ranges.last_mut() {
            Some((_, end)) if *end == seq => *end += 1,
            _ => ranges.push((seq, seq + 1)),
        }
    }
    ranges
}
