//! The stays of a client: it connects to a node, reads for a while, leaves, and connects again after the last
//! position it saw.

use super::{Reader, Site};
use crate::history::{Event, Record};
use anyhow::Result;
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use testkit::dice::Dice;

/// The shortest and the longest stay.
const STAYS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(9));
/// The shortest and the longest pause between two stays.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(2500));

/// One stay after the other, and what the client remembers between them.
pub(super) struct Stay<'a> {
    pub(super) site: &'a Site,
    pub(super) reader: &'a Reader,
    /// The position to resume by.
    pub(super) last: Option<String>,
    until: Instant,
    dice: Dice,
}

impl<'a> Stay<'a> {
    /// The stays of a client that has seen nothing yet.
    pub(super) fn new(site: &'a Site, reader: &'a Reader) -> Self {
        Self { site, reader, last: None, until: Instant::now(), dice: site.dice(&reader.name) }
    }

    /// Starts one stay after the other until clients must end. The client comes again, whatever ended the
    /// stay.
    pub(super) fn each(mut self, stay: fn(&mut Self) -> Result<()>) {
        while !self.site.is_over() {
            self.until = Instant::now() + self.dice.between(STAYS.0, STAYS.1);
            let _ = stay(&mut self);
            // A client that must end has caught up or is waited for, so it makes no pause.
            if !self.site.is_quiet() {
                std::thread::sleep(self.dice.between(PAUSE.0, PAUSE.1));
            }
        }
    }

    /// Whether the stay is over.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.site.is_over()
    }

    /// The time until the stay is over, never zero.
    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// A random node.
    pub(super) fn node(&mut self) -> usize {
        self.dice.below(self.site.nodes.len())
    }

    /// Records that the client asks for what comes after its position.
    pub(super) fn joined(&self, node: usize) {
        self.note(Record::Joined { client: self.reader.name.clone(), node, after: self.last.clone() });
    }

    /// Records the answer to the join; it may report that history is missing.
    pub(super) fn answered(&self, answer: &Value) {
        if answer["gap"] == true {
            let oldest = answer["oldest_id"].as_str().map(str::to_owned);
            self.note(Record::Gap { client: self.reader.name.clone(), oldest });
        }
    }

    /// Records that the client received an event.
    pub(super) fn seen(&mut self, event: Event) {
        self.last = Some(event.id.clone());
        let seq = event.seq;
        self.note(Record::Seen { client: self.reader.name.clone(), event });
        self.reader.seq.store(seq, Ordering::Relaxed);
    }

    fn note(&self, record: Record) {
        self.site.journal.note(record);
    }
}
