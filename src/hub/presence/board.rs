//! Who is there in the cluster, as this node has applied the log, and who watches it.
//!
//! The records of members are shared with the replicated state. News goes out on the thread that applies the
//! log, under the board's lock, so each watcher gets it in the order of the log and after the members that it
//! was given.

use super::member::{PresenceNews, PresentMember};
use crate::core::ids::MapId;
use crate::core::lease::{ByName, Present};
use crate::core::subject::Subject;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Called for each change of a subject's members.
type Watcher = Arc<dyn Fn(PresenceNews) + Send + Sync>;

/// The members of all subjects, with the watchers.
#[derive(Default)]
pub(in crate::hub) struct Board(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    subjects: BTreeMap<(MapId, Subject), OfSubject>,
    /// The number of the last watcher.
    last: u64,
}

#[derive(Default)]
struct OfSubject {
    members: BTreeSet<ByName>,
    /// By their numbers.
    watchers: BTreeMap<u64, Watcher>,
}

impl OfSubject {
    fn tell(&self, news: &PresenceNews) {
        self.watchers.values().for_each(|watcher| watcher(news.clone()));
    }

    fn list(&self) -> Vec<PresentMember> {
        self.members.iter().map(|ByName(present)| present.as_ref().into()).collect()
    }

    fn is_unused(&self) -> bool {
        self.members.is_empty() && self.watchers.is_empty()
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state was loaded again: watchers get what differs.
    pub(in crate::hub) fn reset(&self, all: impl Iterator<Item = (MapId, Subject, Arc<Present>)>) {
        let mut seen = self.lock();
        let old = std::mem::take(&mut seen.subjects);
        for (map, subject, present) in all {
            seen.subjects.entry((map, subject)).or_default().members.insert(ByName(present));
        }
        for (at, OfSubject { members, watchers }) in old.into_iter().filter(|(_, of)| !of.watchers.is_empty())
        {
            let now = seen.subjects.entry(at).or_default();
            now.watchers = watchers;
            for ByName(old) in &members {
                let kept = now.members.get(&*old.name);
                if kept.is_some_and(|ByName(kept)| kept.info == old.info) {
                    continue;
                }
                now.tell(&PresenceNews::Left(old.as_ref().into()));
                // The user has left, and has come back with another info.
                kept.iter().for_each(|ByName(new)| now.tell(&PresenceNews::Joined(new.as_ref().into())));
            }
            for ByName(new) in now.members.difference(&members) {
                now.tell(&PresenceNews::Joined(new.as_ref().into()));
            }
        }
    }

    pub(in crate::hub) fn joined(&self, map: MapId, subject: &Subject, present: Arc<Present>) {
        let mut seen = self.lock();
        let of_subject = seen.subjects.entry((map, subject.clone())).or_default();
        let news = PresenceNews::Joined(present.as_ref().into());
        if of_subject.members.insert(ByName(present)) {
            of_subject.tell(&news);
        }
    }

    pub(in crate::hub) fn left(&self, map: MapId, subject: &Subject, present: &Present) {
        let mut seen = self.lock();
        let at = (map, subject.clone());
        let Some(of_subject) = seen.subjects.get_mut(&at) else { return };
        if of_subject.members.remove(&*present.name) {
            of_subject.tell(&PresenceNews::Left(present.into()));
        }
        if of_subject.is_unused() {
            seen.subjects.remove(&at);
        }
    }

    /// The map was deleted, and everybody on it is gone.
    pub(in crate::hub) fn map_gone(&self, map: MapId) {
        let mut seen = self.lock();
        let of_map = seen.subjects.range_mut((map, Subject::own())..).take_while(|((of, _), _)| *of == map);
        let mut unused = Vec::new();
        for (at, of_subject) in of_map {
            for ByName(gone) in std::mem::take(&mut of_subject.members) {
                of_subject.tell(&PresenceNews::Left(gone.as_ref().into()));
            }
            if of_subject.is_unused() {
                unused.push(at.clone());
            }
        }
        unused.iter().for_each(|at| drop(seen.subjects.remove(at)));
    }

    /// Adds a watcher. Returns the present members and the watcher's number.
    pub(super) fn watch(&self, map: MapId, subject: &Subject, f: Watcher) -> (Vec<PresentMember>, u64) {
        let mut seen = self.lock();
        seen.last += 1;
        let number = seen.last;
        let of_subject = seen.subjects.entry((map, subject.clone())).or_default();
        of_subject.watchers.insert(number, f);
        (of_subject.list(), number)
    }

    pub(super) fn unwatch(&self, map: MapId, subject: &Subject, number: u64) {
        let mut seen = self.lock();
        let at = (map, subject.clone());
        let Some(of_subject) = seen.subjects.get_mut(&at) else { return };
        of_subject.watchers.remove(&number);
        if of_subject.is_unused() {
            seen.subjects.remove(&at);
        }
    }

    /// The members of a subject, sorted by user.
    pub(super) fn members(&self, map: MapId, subject: &Subject) -> Vec<PresentMember> {
        self.lock().subjects.get(&(map, subject.clone())).map_or_else(Vec::new, OfSubject::list)
    }

    /// The number of the subject's members.
    pub(super) fn users(&self, map: MapId, subject: &Subject) -> u64 {
        self.lock().subjects.get(&(map, subject.clone())).map_or(0, |of| of.members.len() as u64)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn present(name: &str) -> Arc<Present> {
        Arc::new(Present { name: name.into(), info: Box::from(&b"{}"[..]), socket: None })
    }

    #[test]
    fn a_watcher_gets_the_members_and_then_each_change_once() {
        let board = Board::default();
        let map = MapId::from_bytes([1; 16]);
        let subject = Subject::parse("presence-a").unwrap();
        board.joined(map, &subject, present("ann"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        let (members, number) = board.watch(
            map,
            &subject,
            Arc::new(move |news| {
                hears.lock().unwrap().push(match news {
                    PresenceNews::Joined(member) => format!("+{}", member.user),
                    PresenceNews::Left(member) => format!("-{}", member.user),
                });
            }),
        );
        assert_eq!(members.iter().map(|member| &*member.user).collect::<Vec<_>>(), ["ann"]);
        let other = Subject::parse("presence-b").unwrap();
        board.joined(map, &subject, present("bob"));
        board.joined(map, &other, present("cy"));
        board.left(map, &subject, &present("ann"));
        assert_eq!(board.users(map, &subject), 1);
        // After a snapshot only the difference is told.
        board.reset(
            [(map, subject.clone(), present("bob")), (map, subject.clone(), present("dan"))].into_iter(),
        );
        let renamed = Present { info: Box::from(&b"[]"[..]), ..Present::clone(&present("bob")) };
        board.reset(
            [(map, subject.clone(), Arc::new(renamed)), (map, subject.clone(), present("dan"))].into_iter(),
        );
        board.map_gone(map);
        let expected = ["+bob", "-ann", "+dan", "-bob", "+bob", "-bob", "-dan"];
        assert_eq!(*heard.lock().unwrap(), expected);
        board.unwatch(map, &subject, number);
        assert!(board.lock().subjects.is_empty(), "nothing is kept of a subject that nobody uses");
    }
}
