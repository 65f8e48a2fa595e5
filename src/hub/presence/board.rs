//! Who is there in the cluster, as this node has applied the log, and who watches it.
//!
//! The records of members are shared with the replicated state. The thread that applies the log only notes what
//! changed, which costs the same however many watch. A task of its own tells the watchers ([`Board::run`]), one
//! subject after another: a subject that has news is listed once, so the list is as long as there are watched
//! subjects. News that come close together are told together. Each watcher is told in the order of the log, and only
//! what happened after the members that it was given.

mod seen;
#[cfg(test)]
mod tests;

use super::member::{PresenceNews, PresentMember};
use crate::core::ids::MapId;
use crate::core::lease::{Member, Present};
use crate::core::subject::Subject;
use crate::hub::pace::Pace;
use rustc_hash::FxHashMap;
use seen::{OfSubject, Seen};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// News that the task tells before it lets others run, and the most that a watcher is told of a subject in one
/// turn.
const TOLD_AT_ONCE: usize = 512;
/// Pause between two turns of a subject: a watcher with a bounded queue has time to empty it.
const TURN_PAUSE: Duration = Duration::from_millis(5);
/// Shortest time between two beginnings to tell news, about: what comes close together wakes the watchers' threads
/// together. What comes after a pause is told at once.
const PACE: Duration = Duration::from_millis(5);

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
        let has_news = seen.has_news();
        drop(seen);
        if has_news {
            self.news.notify_one();
        }
    }

    /// The state was loaded again: watchers get what differs.
    pub(in crate::hub) fn reset(&self, all: impl Iterator<Item = (MapId, Subject, Arc<Present>)>) {
        self.change(|seen| seen.reset(all));
    }

    pub(in crate::hub) fn joined(&self, map: MapId, subject: &Subject, present: Arc<Present>) {
        self.change(|seen| seen.join(map, subject, present));
    }

    pub(in crate::hub) fn left(&self, map: MapId, subject: &Subject, present: &Arc<Present>) {
        self.change(|seen| seen.leave(map, subject, present));
    }

    /// The map was deleted, and everybody on it is gone.
    pub(in crate::hub) fn map_gone(&self, map: MapId) {
        self.change(|seen| seen.forget(map));
    }

    /// Adds a watcher. Returns the present members and the watcher's number.
    pub(super) fn watch(&self, map: MapId, subject: &Subject, tell: Tell) -> (Vec<PresentMember>, u64) {
        let at = (map, subject.clone());
        let mut watchers = self.watchers();
        let (members, since) = self.lock().watch(map, subject);
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
        self.lock().unwatch(map, subject);
    }

    /// Tells the watchers what changes; runs as long as the node. News of many subjects are told in one turn.
    pub(super) async fn run(&self) {
        let mut pace = Pace::new(PACE);
        let mut told = 0;
        loop {
            if !self.lock().has_news() {
                self.news.notified().await;
                continue;
            }
            pace.wait().await;
            pace.begin();
            while let Some((at, news)) = self.next() {
                self.tell_all(&at, &news, &mut told).await;
            }
        }
    }

    /// Tells all watchers of a subject, in turns. A watcher that comes meanwhile knows all of the news. `told`
    /// counts what is told before others may run.
    async fn tell_all(&self, at: &Of, news: &[(u64, PresenceNews)], told: &mut usize) {
        for (turn, some) in news.chunks(TOLD_AT_ONCE).enumerate() {
            if turn > 0 {
                sleep(TURN_PAUSE).await;
            }
            let mut from = Some(0);
            while let Some(number) = from {
                from = self.tell_some(at, some, number, told);
                if *told >= TOLD_AT_ONCE {
                    *told = 0;
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Takes the news of the next subject that has some.
    fn next(&self) -> Option<(Of, Numbered)> {
        let (at, pending) = self.lock().take_next()?;
        Some((at, pending.news()))
    }

    /// Tells watchers of a subject, from that number on, as long as `told` permits. Returns the number of the next
    /// one, if there are more.
    fn tell_some(&self, at: &Of, news: &[(u64, PresenceNews)], from: u64, told: &mut usize) -> Option<u64> {
        let watchers = self.watchers();
        for (number, watcher) in watchers.subjects.get(at)?.range(from..) {
            if *told >= TOLD_AT_ONCE {
                return Some(*number);
            }
            let first = news.partition_point(|(change, _)| *change <= watcher.since);
            news[first..].iter().for_each(|(_, news)| (watcher.tell)(news.clone()));
            *told += 1 + news.len() - first;
        }
        None
    }

    /// The members of a subject, sorted by user.
    pub(super) fn members(&self, map: MapId, subject: &Subject) -> Vec<PresentMember> {
        let members = self.lock().of(map, subject).map_or_else(Vec::new, OfSubject::list);
        shown(&members)
    }

    /// The number of the subject's members.
    pub(super) fn users(&self, map: MapId, subject: &Subject) -> u64 {
        self.lock().of(map, subject).map_or(0, |of_subject| of_subject.members.len() as u64)
    }

    /// Whether the subject has as many members as the limit allows, and the user is none of them.
    pub(super) fn is_full(&self, member: &Member, limit: u32) -> bool {
        let seen = self.lock();
        let members = seen.of(member.map, &member.subject).map(|of_subject| &of_subject.members);
        members.is_some_and(|members| members.len() >= limit as usize && !members.contains(&*member.name))
    }

    /// Visits the subjects of a map that have members by name, from the first one that is not less than `from`,
    /// until `visit` returns false.
    pub(super) fn occupied(&self, map: MapId, from: &Subject, mut visit: impl FnMut(&Subject) -> bool) {
        let seen = self.lock();
        for subject in seen.occupied(map, from) {
            if !visit(subject) {
                return;
            }
        }
    }
}

fn shown(members: &[Arc<Present>]) -> Vec<PresentMember> {
    members.iter().map(|present| present.as_ref().into()).collect()
}
