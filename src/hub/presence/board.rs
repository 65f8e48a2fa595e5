//! Who is there in the cluster, as this node has applied the log, and who watches it.
//!
//! The records of members are shared with the replicated state. The thread that applies the log only notes what
//! changed, which costs the same however many watch. A task of its own tells the watchers ([`Board::run`]), one
//! subject after another: a subject that has news is listed once, so the list is as long as there are watched
//! subjects. Each watcher is told in the order of the log, and only what happened after the members that it was
//! given.

#[cfg(test)]
mod tests;

use super::member::{PresenceNews, PresentMember};
use super::pending::{Change, Pending};
use crate::core::ids::MapId;
use crate::core::lease::{ByName, Member, Present};
use crate::core::subject::Subject;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// News that the task tells before it lets others run, and the most that a watcher is told in one turn.
const TOLD_AT_ONCE: usize = 512;
/// Pause between two turns: a watcher with a bounded queue has time to empty it.
const TURN_PAUSE: Duration = Duration::from_millis(5);

/// Called for each change of a subject's members.
type Tell = Box<dyn Fn(PresenceNews) + Send + Sync>;

/// A subject of a map.
type Of = (MapId, Subject);

/// News with their numbers, in order.
type Numbered = Vec<(u64, PresenceNews)>;

/// The members of all subjects, with the watchers. Whoever needs both locks takes that of the watchers first.
#[derive(Default)]
pub(in crate::hub) struct Board {
    /// Never held while a watcher is told.
    seen: Mutex<Seen>,
    watchers: Mutex<Watchers>,
    /// A subject has news.
    news: Notify,
}

#[derive(Default)]
struct Seen {
    subjects: BTreeMap<Of, OfSubject>,
    /// The subjects that have news, each once.
    queue: VecDeque<Of>,
    /// The number of the last change.
    changes: u64,
}

#[derive(Default)]
struct OfSubject {
    members: BTreeSet<ByName>,
    /// How many watch it.
    watchers: usize,
    /// The number of the last change before the newest watcher came.
    seen: u64,
    pending: Pending,
    is_queued: bool,
}

#[derive(Default)]
struct Watchers {
    /// By their numbers.
    subjects: FxHashMap<Of, BTreeMap<u64, Watcher>>,
    /// The number of the last watcher.
    last: u64,
}

struct Watcher {
    tell: Tell,
    /// It was given the members as of this change.
    since: u64,
}

impl OfSubject {
    /// The members, by name. Whoever holds the lock copies none of them.
    fn list(&self) -> Vec<Arc<Present>> {
        self.members.iter().map(|ByName(present)| present.clone()).collect()
    }

    fn is_unused(&self) -> bool {
        self.members.is_empty() && self.watchers == 0 && !self.is_queued
    }
}

impl Seen {
    /// Notes a change for the subject's watchers, if it has some.
    fn note(&mut self, at: &Of, change: Change) {
        self.changes += 1;
        let Some(of_subject) = self.subjects.get_mut(at).filter(|of_subject| of_subject.watchers > 0) else {
            return;
        };
        of_subject.pending.note(self.changes, change, of_subject.seen);
        if !of_subject.is_queued {
            of_subject.is_queued = true;
            self.queue.push_back(at.clone());
        }
    }

    fn forget_unused(&mut self, at: &Of) {
        if self.subjects.get(at).is_some_and(OfSubject::is_unused) {
            self.subjects.remove(at);
        }
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is seen, and has the news told.
    fn change(&self, change: impl FnOnce(&mut Seen)) {
        let mut seen = self.lock();
        change(&mut seen);
        let has_news = !seen.queue.is_empty();
        drop(seen);
        if has_news {
            self.news.notify_one();
        }
    }

    /// The state was loaded again: watchers get what differs.
    pub(in crate::hub) fn reset(&self, all: impl Iterator<Item = (MapId, Subject, Arc<Present>)>) {
        self.change(|seen| {
            let old = std::mem::take(&mut seen.subjects);
            for (map, subject, present) in all {
                seen.subjects.entry((map, subject)).or_default().members.insert(ByName(present));
            }
            for (at, old) in old.into_iter().filter(|(_, old)| old.watchers > 0 || old.is_queued) {
                let now = seen.subjects.entry(at.clone()).or_default();
                let changes = differences(&old.members, &now.members);
                *now = OfSubject { members: std::mem::take(&mut now.members), ..old };
                changes.into_iter().for_each(|change| seen.note(&at, change));
            }
        });
    }

    pub(in crate::hub) fn joined(&self, map: MapId, subject: &Subject, present: Arc<Present>) {
        let at = (map, subject.clone());
        self.change(|seen| {
            let of_subject = seen.subjects.entry(at.clone()).or_default();
            if of_subject.members.insert(ByName(present.clone())) {
                seen.note(&at, Change::Joined(present));
            }
        });
    }

    pub(in crate::hub) fn left(&self, map: MapId, subject: &Subject, present: &Arc<Present>) {
        let at = (map, subject.clone());
        self.change(|seen| {
            let Some(of_subject) = seen.subjects.get_mut(&at) else { return };
            if of_subject.members.remove(&*present.name) {
                seen.note(&at, Change::Left(present.clone()));
                seen.forget_unused(&at);
            }
        });
    }

    /// The map was deleted, and everybody on it is gone.
    pub(in crate::hub) fn map_gone(&self, map: MapId) {
        self.change(|seen| {
            let of_map = seen.subjects.range((map, Subject::own())..).take_while(|((of, _), _)| *of == map);
            let subjects: Vec<Of> = of_map.map(|(at, _)| at.clone()).collect();
            for at in subjects {
                let Some(of_subject) = seen.subjects.get_mut(&at) else { continue };
                for ByName(gone) in std::mem::take(&mut of_subject.members) {
                    seen.note(&at, Change::Left(gone));
                }
                seen.forget_unused(&at);
            }
        });
    }

    /// Adds a watcher. Returns the present members and the watcher's number.
    pub(super) fn watch(&self, map: MapId, subject: &Subject, tell: Tell) -> (Vec<PresentMember>, u64) {
        let at = (map, subject.clone());
        let mut watchers = self.watchers();
        let mut seen = self.lock();
        let since = seen.changes;
        let of_subject = seen.subjects.entry(at.clone()).or_default();
        of_subject.watchers += 1;
        of_subject.seen = since;
        let members = of_subject.list();
        drop(seen);
        watchers.last += 1;
        let number = watchers.last;
        watchers.subjects.entry(at).or_default().insert(number, Watcher { tell, since });
        drop(watchers);
        (shown(&members), number)
    }

    pub(super) fn unwatch(&self, map: MapId, subject: &Subject, number: u64) {
        let at = (map, subject.clone());
        let mut watchers = self.watchers();
        let Some(of_subject) = watchers.subjects.get_mut(&at) else { return };
        if of_subject.remove(&number).is_none() {
            return;
        }
        if of_subject.is_empty() {
            watchers.subjects.remove(&at);
        }
        let mut seen = self.lock();
        if let Some(of_subject) = seen.subjects.get_mut(&at) {
            of_subject.watchers = of_subject.watchers.saturating_sub(1);
            if of_subject.watchers == 0 {
                of_subject.pending = Pending::default();
            }
            seen.forget_unused(&at);
        }
    }

    /// Tells the watchers what changes; runs as long as the node.
    pub(super) async fn run(&self) {
        loop {
            let Some((at, news)) = self.next() else {
                self.news.notified().await;
                continue;
            };
            self.tell_all(&at, &news).await;
        }
    }

    /// Tells all watchers of a subject, in turns. A watcher that comes meanwhile knows all of the news.
    async fn tell_all(&self, at: &Of, news: &[(u64, PresenceNews)]) {
        for (turn, some) in news.chunks(TOLD_AT_ONCE).enumerate() {
            if turn > 0 {
                sleep(TURN_PAUSE).await;
            }
            let mut from = Some(0);
            while let Some(number) = from {
                from = self.tell_some(at, some, number);
                tokio::task::yield_now().await;
            }
        }
    }

    /// Takes the news of the next subject that has some.
    fn next(&self) -> Option<(Of, Numbered)> {
        let (at, pending) = {
            let mut seen = self.lock();
            let at = seen.queue.pop_front()?;
            let of_subject = seen.subjects.get_mut(&at);
            let pending = of_subject.map(|of_subject| {
                of_subject.is_queued = false;
                std::mem::take(&mut of_subject.pending)
            });
            seen.forget_unused(&at);
            (at, pending.unwrap_or_default())
        };
        Some((at, pending.news()))
    }

    /// Tells watchers of a subject, from that number on. Returns the number of the next one, if there are more.
    fn tell_some(&self, at: &Of, news: &[(u64, PresenceNews)], from: u64) -> Option<u64> {
        let watchers = self.watchers();
        let mut told = 0;
        for (number, watcher) in watchers.subjects.get(at)?.range(from..) {
            if told >= TOLD_AT_ONCE {
                return Some(*number);
            }
            let first = news.partition_point(|(change, _)| *change <= watcher.since);
            news[first..].iter().for_each(|(_, news)| (watcher.tell)(news.clone()));
            told += 1 + news.len() - first;
        }
        None
    }

    /// The members of a subject, sorted by user.
    pub(super) fn members(&self, map: MapId, subject: &Subject) -> Vec<PresentMember> {
        let members =
            self.lock().subjects.get(&(map, subject.clone())).map_or_else(Vec::new, OfSubject::list);
        shown(&members)
    }

    /// The number of the subject's members.
    pub(super) fn users(&self, map: MapId, subject: &Subject) -> u64 {
        self.lock().subjects.get(&(map, subject.clone())).map_or(0, |of| of.members.len() as u64)
    }

    /// Whether the subject has as many members as the limit allows, and the user is none of them.
    pub(super) fn is_full(&self, member: &Member, limit: u32) -> bool {
        let seen = self.lock();
        let of_subject = seen.subjects.get(&(member.map, member.subject.clone()));
        let members = of_subject.map(|of_subject| &of_subject.members);
        members.is_some_and(|members| members.len() >= limit as usize && !members.contains(&*member.name))
    }

    /// Visits the subjects of a map that have members by name, from the first one that is not less than `from`,
    /// until `visit` returns false.
    pub(super) fn occupied(&self, map: MapId, from: &Subject, mut visit: impl FnMut(&Subject) -> bool) {
        let seen = self.lock();
        let of_map = seen.subjects.range((map, from.clone())..).take_while(|((of, _), _)| *of == map);
        for ((_, subject), _) in of_map.filter(|(_, of_subject)| !of_subject.members.is_empty()) {
            if !visit(subject) {
                return;
            }
        }
    }
}

fn shown(members: &[Arc<Present>]) -> Vec<PresentMember> {
    members.iter().map(|present| present.as_ref().into()).collect()
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
