//! What may be gone of a topic, and from when on: rules and retention keep the newest so many of a subject, and deletions
//! take what they were asked for.
//!
//! Exact as far as clients can know: an event is gone at no time at which this says that it can't be. When something is
//! really taken, only the nodes know.

use super::Index;
use crate::history::{Record, selects};
use checker::{Checker, Verdicts};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A rule may let so much of its bound pile up before it takes the excess: one in so many.
const SLACK: u64 = 16;
/// So many events of a subject may be beyond a rule until a tick takes them.
const RULE_SLACK: u64 = 256;

/// An event that somebody was told of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) id: &'a str,
    pub(super) seq: u64,
    pub(super) subject: &'a str,
    /// Not known of what was acknowledged and never seen.
    pub(super) kind: Option<&'a str>,
    /// When it was first asked for.
    asked_ms: u64,
    /// Its place among those of its subject.
    nth: usize,
}

/// Readers keep so many of the subjects that fit.
#[derive(Debug)]
struct Keeps {
    subjects: [String; 1],
    events: u64,
    from_ms: u64,
}

impl Keeps {
    /// So many may be left.
    fn most(&self) -> u64 {
        self.events + if self.subjects == ["*"] { self.events / SLACK } else { RULE_SLACK }
    }
}

/// All that a subject had was to be deleted.
#[derive(Debug)]
struct Emptied<'a> {
    subject: &'a str,
    asked_ms: u64,
    /// What was not acknowledged may be carried out at any later time.
    done_ms: Option<u64>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Removals<'a> {
    known: BTreeMap<u64, Known<'a>>,
    /// When those of each subject were first asked for, in the order of the topic.
    asked: HashMap<&'a str, Vec<u64>>,
    keeps: Vec<Keeps>,
    /// When deletions were first asked for, and whether one was acknowledged.
    deleted: HashMap<&'a str, (u64, bool)>,
    emptied: Vec<Emptied<'a>>,
    /// Publishes of which nobody knows whether they landed, and where.
    unsettled: usize,
}

impl<'a> Removals<'a> {
    /// Of a topic.
    pub(super) fn of(index: &Index<'a>, of: &str) -> Self {
        let mut removals = Self {
            known: known(index, of),
            asked: HashMap::new(),
            keeps: Vec::new(),
            deleted: HashMap::new(),
            emptied: Vec::new(),
            unsettled: 0,
        };
        for event in removals.known.values_mut() {
            let asked = removals.asked.entry(event.subject).or_default();
            event.nth = asked.len();
            asked.push(event.asked_ms);
        }
        let mut asked = HashSet::new();
        for entry in &index.history.0 {
            match &entry.record {
                Record::Asked { topic, key, .. } if topic == of => drop(asked.insert(key.as_str())),
                Record::Keeps { topic, subjects, events } if topic == of => {
                    let subjects = [subjects.clone()];
                    removals.keeps.push(Keeps { subjects, events: *events, from_ms: entry.at_ms });
                }
                Record::Deleted { topic, id, asked_ms, done } if topic == of => {
                    removals.deleted.entry(id).or_insert((*asked_ms, false)).1 |= done;
                }
                Record::Emptied { topic, subject, asked_ms, done: false } if topic == of => {
                    removals.emptied.push(Emptied { subject, asked_ms: *asked_ms, done_ms: None });
                }
                Record::Emptied { topic, asked_ms, done: true, .. } if topic == of => {
                    let this = |one: &&mut Emptied<'_>| one.asked_ms == *asked_ms && one.done_ms.is_none();
                    if let Some(emptied) = removals.emptied.iter_mut().find(this) {
                        emptied.done_ms = Some(entry.at_ms);
                    }
                }
                _ => {}
            }
        }
        let landed =
            index.acks.get(of).map_or(0, |acks| acks.iter().map(|ack| ack.key).collect::<HashSet<_>>().len());
        removals.unsettled = asked.len().saturating_sub(landed);
        removals
    }

    /// Every event that somebody was told of, in order.
    pub(super) fn known(&self) -> impl Iterator<Item = &Known<'a>> {
        self.known.values()
    }

    /// Whether readers may have lost the event by that time.
    pub(super) fn may_be_gone(&self, event: &Known<'_>, at_ms: u64) -> bool {
        self.may_be_deleted(event, at_ms) || self.may_be_behind(event, at_ms)
    }

    /// Whether somebody may have deleted it by that time.
    pub(super) fn may_be_deleted(&self, event: &Known<'_>, at_ms: u64) -> bool {
        let deleted = self.deleted.get(event.id).is_some_and(|(asked_ms, _)| *asked_ms <= at_ms);
        let there = |done_ms: Option<u64>| done_ms.is_none_or(|done_ms| event.asked_ms <= done_ms);
        let mut emptied =
            self.emptied.iter().filter(|one| one.subject == event.subject && one.asked_ms <= at_ms);
        deleted || emptied.any(|one| there(one.done_ms))
    }

    /// Whether so many of its subject may be newer that a rule or retention has taken it.
    fn may_be_behind(&self, event: &Known<'_>, at_ms: u64) -> bool {
        let keeps =
            self.keeps.iter().filter(|one| one.from_ms <= at_ms && selects(&one.subjects, event.subject));
        let Some(least) = keeps.map(|one| one.events as usize).min() else { return false };
        let newer = self.asked.get(event.subject).into_iter().flat_map(|asked| &asked[event.nth + 1..]);
        newer.filter(|asked_ms| **asked_ms <= at_ms).take(least).count() == least
    }

    /// Whether what stood at a place may be gone in the end.
    pub(super) fn explains(&self, seq: u64) -> bool {
        self.known.get(&seq).map_or(self.unsettled > 0, |event| self.may_be_gone(event, u64::MAX))
    }

    /// What was acknowledged to be deleted is on no node, and nothing is left beyond what rules keep. Counts as 1.
    pub(super) fn carried_out(&self, index: &Index<'_>, of: &str, verdicts: &mut Verdicts) {
        let acked = index.acked_ms(of);
        for (node, events) in index.stored.get(of).into_iter().flatten() {
            let held: HashMap<&str, u64> =
                events.iter().map(|event| (event.id.as_str(), event.seq)).collect();
            for (id, _) in self.deleted.iter().filter(|(_, (_, done))| *done) {
                verdicts.check(1, !held.contains_key(id), || {
                    format!("{id} was deleted, node {node} of {of} holds it")
                });
            }
            for emptied in self.emptied.iter().filter(|one| one.done_ms.is_some()) {
                let before = |id: &str| acked.get(id).is_some_and(|acked_ms| *acked_ms < emptied.asked_ms);
                let left = events.iter().find(|event| event.subject == emptied.subject && before(&event.id));
                verdicts.check(1, left.is_none(), || {
                    format!("node {node} of {of} holds {left:?} after {emptied:?}")
                });
            }
            let mut counts: HashMap<&str, u64> = HashMap::new();
            events.iter().for_each(|event| *counts.entry(&event.subject).or_default() += 1);
            for (subject, count) in counts {
                let keeps = self.keeps.iter().filter(|one| selects(&one.subjects, subject));
                let Some(most) = keeps.map(Keeps::most).max() else { continue };
                verdicts
                    .check(1, count <= most, || format!("node {node} of {of} holds {count} of {subject:?}"));
            }
        }
    }
}

/// What was acknowledged, seen or is stored, by place. Where two were told of one place, others check that.
fn known<'a>(index: &Index<'a>, of: &str) -> BTreeMap<u64, Known<'a>> {
    let asked = |key: &str| index.asked.get(key).copied().unwrap_or_default();
    let mut known = BTreeMap::new();
    for ack in index.acks.get(of).into_iter().flatten() {
        let (asked_ms, subject) = asked(ack.key);
        known.entry(ack.seq).or_insert(Known {
            id: ack.id,
            seq: ack.seq,
            subject,
            kind: None,
            asked_ms,
            nth: 0,
        });
    }
    let seen = index.clients(of).into_values().flat_map(|client| client.events().collect::<Vec<_>>());
    for event in seen.chain(index.reference(of).iter().copied()) {
        let (subject, kind) = (event.subject.as_str(), Some(event.kind.as_str()));
        let (asked_ms, _) = asked(&event.key);
        let more = Known { id: &event.id, seq: event.seq, subject, kind, asked_ms, nth: 0 };
        known.entry(event.seq).and_modify(|one| one.kind = kind).or_insert(more);
    }
    known
}
