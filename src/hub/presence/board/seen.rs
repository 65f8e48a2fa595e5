//! The members of all subjects, and the changes of which their watchers are still to be told.

use super::super::pending::{Change, Pending};
use super::Of;
use crate::core::ids::MapId;
use crate::core::lease::{ByName, Present};
use crate::core::subject::Subject;
use rustc_hash::FxHashMap;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Seen {
    pub(super) maps: FxHashMap<MapId, OfMap>,
    /// The subjects that have news, each once.
    pub(super) queue: VecDeque<Of>,
    /// The number of the last change.
    changes: u64,
}

#[derive(Default)]
pub(super) struct OfMap {
    /// Clients choose the names of subjects, so their hashes have a random key.
    subjects: HashMap<Subject, OfSubject>,
    /// The subjects that have members, by name.
    occupied: BTreeSet<Subject>,
}

#[derive(Default)]
pub(super) struct OfSubject {
    pub(super) members: BTreeSet<ByName>,
    /// How many watch it.
    watchers: usize,
    /// The number of the last change before the newest watcher came.
    seen: u64,
    pending: Pending,
    is_queued: bool,
}

impl OfSubject {
    /// The members, by name. Whoever holds the lock copies none of them.
    pub(super) fn list(&self) -> Vec<Arc<Present>> {
        self.members.iter().map(|ByName(present)| present.clone()).collect()
    }

    fn is_unused(&self) -> bool {
        self.members.is_empty() && self.watchers == 0 && !self.is_queued
    }

    /// Notes a change for the watchers, if there are some. Returns whether the subject must be queued.
    fn note(&mut self, number: u64, change: Change) -> bool {
        if self.watchers == 0 {
            return false;
        }
        self.pending.note(number, change, self.seen);
        !std::mem::replace(&mut self.is_queued, true)
    }
}

impl Seen {
    pub(super) fn has_news(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn of(&self, map: MapId, subject: &Subject) -> Option<&OfSubject> {
        self.maps.get(&map)?.subjects.get(subject)
    }

    fn of_mut(&mut self, map: MapId, subject: &Subject) -> Option<&mut OfSubject> {
        self.maps.get_mut(&map)?.subjects.get_mut(subject)
    }

    /// The subjects of a map that have members by name, from the first one that is not less than `from`.
    pub(super) fn occupied(&self, map: MapId, from: &Subject) -> impl Iterator<Item = &Subject> {
        let of_map = self.maps.get(&map).into_iter();
        of_map.flat_map(move |of_map| of_map.occupied.range(from.clone()..))
    }

    pub(super) fn join(&mut self, map: MapId, subject: &Subject, present: Arc<Present>) {
        let Self { maps, queue, changes } = self;
        let OfMap { subjects, occupied } = maps.entry(map).or_default();
        let of_subject = subjects.entry(subject.clone()).or_default();
        if !of_subject.members.insert(ByName(present.clone())) {
            return;
        }
        if of_subject.members.len() == 1 {
            occupied.insert(subject.clone());
        }
        *changes += 1;
        if of_subject.note(*changes, Change::Joined(present)) {
            queue.push_back((map, subject.clone()));
        }
    }

    pub(super) fn leave(&mut self, map: MapId, subject: &Subject, present: &Arc<Present>) {
        let Self { maps, queue, changes } = self;
        let Some(OfMap { subjects, occupied }) = maps.get_mut(&map) else { return };
        let Some(of_subject) = subjects.get_mut(subject) else { return };
        if !of_subject.members.remove(&*present.name) {
            return;
        }
        *changes += 1;
        if of_subject.note(*changes, Change::Left(present.clone())) {
            queue.push_back((map, subject.clone()));
        }
        if of_subject.members.is_empty() {
            occupied.remove(subject);
            self.forget_unused(map, subject);
        }
    }

    /// Nobody is there any more on the map.
    pub(super) fn forget(&mut self, map: MapId) {
        let Self { maps, queue, changes } = self;
        let Some(OfMap { subjects, occupied }) = maps.get_mut(&map) else { return };
        occupied.clear();
        for (subject, of_subject) in subjects.iter_mut() {
            for ByName(gone) in std::mem::take(&mut of_subject.members) {
                *changes += 1;
                if of_subject.note(*changes, Change::Left(gone)) {
                    queue.push_back((map, subject.clone()));
                }
            }
        }
        subjects.retain(|_, of_subject| !of_subject.is_unused());
        if subjects.is_empty() {
            maps.remove(&map);
        }
    }

    /// These are all members from now on. Of what is watched, the difference is noted.
    pub(super) fn reset(&mut self, all: impl Iterator<Item = (MapId, Subject, Arc<Present>)>) {
        let Self { maps, queue, changes } = self;
        let old = std::mem::take(maps);
        for (map, subject, present) in all {
            let OfMap { subjects, occupied } = maps.entry(map).or_default();
            let of_subject = subjects.entry(subject.clone()).or_default();
            if of_subject.members.is_empty() {
                occupied.insert(subject);
            }
            of_subject.members.insert(ByName(present));
        }
        for (map, of_map) in old {
            let is_kept = |of_subject: &OfSubject| of_subject.watchers > 0 || of_subject.is_queued;
            for (subject, old) in of_map.subjects.into_iter().filter(|(_, old)| is_kept(old)) {
                let of_subject = maps.entry(map).or_default().subjects.entry(subject.clone()).or_default();
                let differences = differences(&old.members, &of_subject.members);
                *of_subject = OfSubject { members: std::mem::take(&mut of_subject.members), ..old };
                for change in differences {
                    *changes += 1;
                    if of_subject.note(*changes, change) {
                        queue.push_back((map, subject.clone()));
                    }
                }
            }
        }
    }

    /// Adds a watcher. Returns the members that it is given, and the number of the last change that it knows.
    pub(super) fn watch(&mut self, map: MapId, subject: &Subject) -> (Vec<Arc<Present>>, u64) {
        let since = self.changes;
        let of_subject = self.maps.entry(map).or_default().subjects.entry(subject.clone()).or_default();
        of_subject.watchers += 1;
        of_subject.seen = since;
        (of_subject.list(), since)
    }

    pub(super) fn unwatch(&mut self, map: MapId, subject: &Subject) {
        let Some(of_subject) = self.of_mut(map, subject) else { return };
        of_subject.watchers = of_subject.watchers.saturating_sub(1);
        if of_subject.watchers == 0 {
            of_subject.pending = Pending::default();
        }
        self.forget_unused(map, subject);
    }

    /// Takes the changes of the next subject that has news.
    pub(super) fn take_next(&mut self) -> Option<(Of, Pending)> {
        let at = self.queue.pop_front()?;
        let pending = self.of_mut(at.0, &at.1).map(|of_subject| {
            of_subject.is_queued = false;
            std::mem::take(&mut of_subject.pending)
        });
        self.forget_unused(at.0, &at.1);
        Some((at, pending.unwrap_or_default()))
    }

    fn forget_unused(&mut self, map: MapId, subject: &Subject) {
        let Some(OfMap { subjects, .. }) = self.maps.get_mut(&map) else { return };
        if subjects.get(subject).is_some_and(OfSubject::is_unused) {
            subjects.remove(subject);
        }
        if subjects.is_empty() {
            self.maps.remove(&map);
        }
    }
}

/// The changes that make the old members the new ones. A user with another info has left, and has come back.
fn differences(old: &BTreeSet<ByName>, new: &BTreeSet<ByName>) -> Vec<Change> {
    let mut changes = Vec::new();
    for ByName(before) in old {
        let after = new.get(&*before.name);
        if after.is_some_and(|ByName(after)| after.info == before.info) {
            continue;
        }
        changes.push(Change::Left(before.clone()));
        changes.extend(after.map(|ByName(after)| Change::Joined(after.clone())));
    }
    changes.extend(new.difference(old).map(|ByName(after)| Change::Joined(after.clone())));
    changes
}
