//! The requests of long polls that this node has passed on to other nodes, and that are under way.
//!
//! No map has more than a quarter of them, so that one map's polls leave room for those of others. A session
//! has one waiting poll: a newer one ends the older.

use crate::core::ids::MapId;
use crate::hub::PeerRequest;
use rustc_hash::FxHashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// One map may have one in so many of the requests of a kind that may be under way to another node.
const SHARE_OF_MAP: usize = 4;

/// The requests that this node has passed on and that are under way. All workers share it.
#[derive(Default)]
pub(in crate::edge::phoenix) struct Relays {
    shares: Mutex<FxHashMap<(u16, Option<MapId>), usize>>,
    polls: Mutex<Polls>,
}

/// The polls that wait, by the secret of the session and the batch that the client has. A late copy of an
/// earlier poll has another batch, and ends nothing.
#[derive(Default)]
struct Polls {
    waiting: FxHashMap<(u128, u64), Waiting>,
    /// The number of the next poll.
    next: u64,
}

/// The poll of a session that waits. Dropping it ends the poll.
struct Waiting {
    number: u64,
    _ends: oneshot::Sender<()>,
}

/// A request that counts for its map until this is dropped.
pub(super) struct Share<'r> {
    relays: &'r Relays,
    of: (u16, Option<MapId>),
}

/// The one poll of a session that is passed on, or about to be. A newer one replaces it.
pub(super) struct PassedPoll<'r> {
    relays: &'r Relays,
    of: (u128, u64),
    number: u64,
    /// Resolves when a newer poll has replaced it.
    pub(super) replaced: oneshot::Receiver<()>,
    /// Another poll was waiting.
    pub(super) replaces: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relays {
    /// Counts one more request of that kind for the map. `None` if the map has its share under way. The admin
    /// has a share like a map.
    pub(super) fn enter<R: PeerRequest>(&self, map: Option<MapId>) -> Option<Share<'_>> {
        let mut shares = lock(&self.shares);
        let of = (R::KIND, map);
        let count = shares.entry(of).or_default();
        if *count >= R::LANE.most() / SHARE_OF_MAP {
            return None;
        }
        *count += 1;
        Some(Share { relays: self, of })
    }

    /// Makes a poll the one of its session that waits. It asks for what follows batch `seen`.
    pub(super) fn wait_for(&self, secret: u128, seen: u64) -> PassedPoll<'_> {
        let (ends, replaced) = oneshot::channel();
        let mut polls = lock(&self.polls);
        let number = polls.next;
        polls.next += 1;
        let replaces = polls.waiting.insert((secret, seen), Waiting { number, _ends: ends }).is_some();
        PassedPoll { relays: self, of: (secret, seen), number, replaced, replaces }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut shares = lock(&self.relays.shares);
        if let Some(count) = shares.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                shares.remove(&self.of);
            }
        }
    }
}

impl Drop for PassedPoll<'_> {
    fn drop(&mut self) {
        let mut polls = lock(&self.relays.polls);
        if polls.waiting.get(&self.of).is_some_and(|waiting| waiting.number == self.number) {
            polls.waiting.remove(&self.of);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{PollSession, PushSession};
    use super::*;

    #[test]
    fn a_map_has_a_quarter_of_the_requests_under_way() {
        let relays = Relays::default();
        let map = Some(MapId::from_bytes([1; 16]));
        let other = Some(MapId::from_bytes([2; 16]));
        let held: Vec<_> = std::iter::from_fn(|| relays.enter::<PollSession>(map)).collect();
        assert_eq!(held.len(), PollSession::LANE.most() / 4);
        assert!(relays.enter::<PollSession>(other).is_some(), "another map");
        assert!(relays.enter::<PushSession>(map).is_some(), "another kind");
        drop(held);
        assert!(relays.enter::<PollSession>(map).is_some());
        assert!(lock(&relays.shares).is_empty(), "what is not used is forgotten");
    }

    #[tokio::test]
    async fn a_newer_poll_ends_the_older_and_stays() {
        let relays = Relays::default();
        let mut older = relays.wait_for(7, 1);
        assert!(!older.replaces);
        let mut newer = relays.wait_for(7, 1);
        assert!(newer.replaces && (&mut older.replaced).await.is_err(), "the older one is ended");
        drop(older);
        assert!(!relays.wait_for(8, 1).replaces, "another session");
        assert!(!relays.wait_for(7, 0).replaces, "a late copy of an earlier poll");
        assert!(newer.replaced.try_recv().is_err() && lock(&relays.polls).waiting.len() == 1);
        drop(newer);
        assert!(lock(&relays.polls).waiting.is_empty());
    }
}
