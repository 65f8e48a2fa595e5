//! The changes of one subject's members that its watchers are still to be told.
//!
//! Changes of one user that undo each other are left out, unless somebody began to watch in between and knows
//! the user as it was then. So a user has at most two changes, and one more for each watcher that came since.

use super::member::PresenceNews;
use crate::core::lease::Present;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A change of a subject's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A user became a member.
    Joined(Arc<Present>),
    /// A user is no longer a member.
    Left(Arc<Present>),
}

impl Change {
    fn user(&self) -> &str {
        match self {
            Self::Joined(present) | Self::Left(present) => &present.name,
        }
    }

    /// Whether nothing has changed after both, for those who heard of neither.
    fn is_undone_by(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Joined(_), Self::Left(_)) => true,
            (Self::Left(before), Self::Joined(after)) => before.info == after.info,
            _ => false,
        }
    }

    fn news(&self) -> PresenceNews {
        match self {
            Self::Joined(present) => PresenceNews::Joined(present.as_ref().into()),
            Self::Left(present) => PresenceNews::Left(present.as_ref().into()),
        }
    }
}

/// The changes by user, each with its number.
#[derive(Debug, Default)]
pub(super) struct Pending(BTreeMap<Box<str>, Vec<(u64, Change)>>);

impl Pending {
    /// Notes a change, whose number is higher than every earlier one. The newest watcher knows all changes up to
    /// the number `seen`.
    pub(super) fn note(&mut self, number: u64, change: Change, seen: u64) {
        let Some(of_user) = self.0.get_mut(change.user()) else {
            self.0.insert(change.user().into(), vec![(number, change)]);
            return;
        };
        let undoes = of_user.last().is_some_and(|(at, last)| *at > seen && last.is_undone_by(&change));
        if !undoes {
            of_user.push((number, change));
            return;
        }
        of_user.pop();
        if of_user.is_empty() {
            self.0.remove(change.user());
        }
    }

    /// The changes in their order.
    pub(super) fn news(self) -> Vec<(u64, PresenceNews)> {
        let mut all: Vec<(u64, Change)> = self.0.into_values().flatten().collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        all.iter().map(|(number, change)| (*number, change.news())).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const USERS: [&str; 3] = ["ann", "bob", "cy"];

    fn present(user: usize, info: u8) -> Arc<Present> {
        Arc::new(Present { name: USERS[user].into(), info: Box::from(&[info][..]), socket: None })
    }

    /// What a watcher knows: the info of each user.
    type Known = BTreeMap<String, Vec<u8>>;

    fn hear(known: &mut Known, news: &PresenceNews) -> Result<(), TestCaseError> {
        match news {
            PresenceNews::Joined(member) => {
                let before = known.insert(member.user.to_string(), member.info.to_vec());
                prop_assert_eq!(before, None, "joined twice");
            }
            PresenceNews::Left(member) => {
                let before = known.remove(&*member.user);
                prop_assert_eq!(before, Some(member.info.to_vec()), "left twice");
            }
        }
        Ok(())
    }

    #[test]
    fn what_is_undone_meanwhile_is_not_told() {
        let mut pending = Pending::default();
        pending.note(1, Change::Joined(present(0, 1)), 0);
        pending.note(2, Change::Joined(present(1, 1)), 0);
        pending.note(3, Change::Left(present(0, 1)), 0);
        assert_eq!(pending.0.len(), 1, "nobody has heard of the first");
        // The newest watcher has seen the second.
        pending.note(4, Change::Left(present(1, 1)), 3);
        let numbers: Vec<u64> = pending.news().into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [2, 4]);
    }

    proptest! {
        /// Whenever watchers come and whenever they are told: each hears every change once, in turn, and knows the
        /// members in the end. Without newcomers a user has at most two changes.
        #[test]
        fn each_watcher_knows_the_members_in_the_end(
            acts in prop::collection::vec((0u8..8, 0usize..3, 0u8..2), 1..80),
        ) {
            let mut members: BTreeMap<usize, u8> = BTreeMap::new();
            let mut pending = Pending::default();
            let mut watchers: Vec<(u64, Known)> = Vec::new();
            let (mut number, mut seen) = (0, 0);
            for (act, user, info) in acts.into_iter().chain([(7, 0, 0)]) {
                match act {
                    0..=4 => {
                        number += 1;
                        let change = match members.remove(&user) {
                            Some(info) => Change::Left(present(user, info)),
                            None => {
                                members.insert(user, info);
                                Change::Joined(present(user, info))
                            }
                        };
                        pending.note(number, change, seen);
                    }
                    5 => {
                        let known = members.iter().map(|(user, info)| (USERS[*user].to_owned(), vec![*info]));
                        watchers.push((number, known.collect()));
                        seen = number;
                    }
                    _ => {
                        let news = std::mem::take(&mut pending).news();
                        if seen == 0 {
                            prop_assert!(news.len() <= 2 * USERS.len());
                        }
                        for (since, known) in &mut watchers {
                            for (_, news) in news.iter().filter(|(number, _)| *number > *since) {
                                hear(known, news)?;
                            }
                        }
                    }
                }
            }
            let now: Known =
                members.iter().map(|(user, info)| (USERS[*user].to_owned(), vec![*info])).collect();
            for (_, known) in watchers {
                prop_assert_eq!(known, now.clone());
            }
        }
    }
}
