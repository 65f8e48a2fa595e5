//! Which events of a topic may be gone, and from when on. Rules and retention keep a number of the newest
//! events of a subject, and deletions remove the events that were named.
//!
//! This is as exact as clients can know it: an event is never gone at a time at which this module says that
//! it can't be. Only the nodes know when an event is really removed.

use super::Index;
use crate::history::{Record, selects};
use checker::{Checker, Verdicts};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A rule may let one part in `SLACK` of its bound pile up before it removes the excess.
const SLACK: u64 = 16;
/// How many events of a subject may exceed a rule until a tick removes them.
const RULE_SLACK: u64 = 256;

/// An event that was acknowledged, received or stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) id: &'a str,
    pub(super) seq: u64,
    pub(super) subject: &'a str,
    /// Its type; unknown for an event that was acknowledged and never seen.
    pub(super) kind: Option<&'a str>,
    /// When its publish was first asked for.
    asked_ms: u64,
    /// Its position among the events of its subject.
    nth: usize,
}

/// A rule: readers keep the newest `events` events of the subjects that match.
#[derive(Debug)]
struct Keeps {
    subjects: [String; 1],
    events: u64,
    from_ms: u64,
}

impl Keeps {
    /// The most events that may be left.
    fn most(&self) -> u64 {
        self.events + if self.subjects == ["*"] { self.events / SLACK } else { RULE_SLACK }
    }
}

/// A deletion of all events of a subject.
#[derive(Debug)]
struct Emptied<'a> {
    subject: &'a str,
    asked_ms: u64,
    /// When it was acknowledged. A deletion without an acknowledgement may be carried out at any later time.
    done_ms: Option<u64>,
}

/// Which events of one topic may be gone at what time.
#[derive(Debug)]
pub(super) struct Removals<'a> {
    known: BTreeMap<u64, Known<'a>>,
    /// When the events of each subject were first asked for, in the order of the topic.
    asked: HashMap<&'a str, Vec<u64>>,
    keeps: Vec<Keeps>,
    /// When deletions of an event were first asked for, and whether one was acknowledged.
    deleted: HashMap<&'a str, (u64, bool)>,
    emptied: Vec<Emptied<'a>>,
    /// Publishes whose outcome and position nobody knows.
    unsettled: usize,
}

impl<'a> Removals<'a> {
    /// Reads the removals of a topic from the history.
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

    /// Every known event, in order.
    pub(super) fn known(&self) -> impl Iterator<Item = &Known<'a>> {
        self.known.values()
    }

    /// Whether readers may have lost the event by that time.
    pub(super) fn may_be_gone(&self, event: &Known<'_>, at_ms: u64) -> bool {
        self.may_be_deleted(event, at_ms) || self.may_be_behind(event, at_ms)
    }

    /// Whether a deletion may have removed the event by that time.
    pub(super) fn may_be_deleted(&self, event: &Known<'_>, at_ms: u64) -> bool {
        let deleted = self.deleted.get(event.id).is_some_and(|(asked_ms, _)| *asked_ms <= at_ms);
        let there = |done_ms: Option<u64>| done_ms.is_none_or(|done_ms| event.asked_ms <= done_ms);
        let mut emptied =
            self.emptied.iter().filter(|one| one.subject == event.subject && one.asked_ms <= at_ms);
        deleted || emptied.any(|one| there(one.done_ms))
    }

    /// Whether a rule or retention may have removed the event by that time, because enough newer events of
    /// its subject exist.
    fn may_be_behind(&self, event: &Known<'_>, at_ms: u64) -> bool {
        let keeps =
            self.keeps.iter().filter(|one| one.from_ms <= at_ms && selects(&one.subjects, event.subject));
        let Some(least) = keeps.map(|one| one.events as usize).min() else { return false };
        let newer = self.asked.get(event.subject).into_iter().flat_map(|asked| &asked[event.nth + 1..]);
        newer.filter(|asked_ms| **asked_ms <= at_ms).take(least).count() == least
    }

    /// Whether the event at a position may be gone at the end.
    pub(super) fn explains(&self, seq: u64) -> bool {
        self.known.get(&seq).map_or(self.unsettled > 0, |event| self.may_be_gone(event, u64::MAX))
    }

    /// Checks that no node holds an event whose deletion was acknowledged, and that no more is left than
    /// rules keep. Counts for 1.
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

/// The events that were acknowledged, seen or stored, by position. Another check finds two events at one
/// position.
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
        let subject = event.subject.as_str();
        let kind = Some(event.kind.as_str());
        let (asked_ms, _) = asked(&event.key);
        let more = Known { id: &event.id, seq: event.seq, subject, kind, asked_ms, nth: 0 };
        known.entry(event.seq).and_modify(|one| one.kind = kind).or_insert(more);
    }
    known
}
