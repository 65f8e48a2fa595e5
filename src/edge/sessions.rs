//! Counts the sessions of this node's clients by token and by map, from the moment a client is let in. So no
//! token takes all sessions of a node, whether its sessions join anything or not.

use crate::core::ids::{MapId, TokenId};
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Long-poll sessions of a node, at most.
pub const MOST_LONG_POLLS: usize = 20_000;
/// What a map with a limit on sockets may have on one node beyond twice that limit. The limit counts what has
/// joined; while pages are loaded again, as many sockets end as begin.
const SPARE: usize = 8;

/// The kind of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// A connection of its own: a WebSocket or an event stream.
    Socket,
    /// A long poll.
    LongPoll,
}

/// Most sessions of one token, and of one map, on this node.
#[derive(Clone, Copy, Debug)]
pub struct MostSessions {
    /// Sockets.
    pub sockets: usize,
    /// Long polls.
    pub long_polls: usize,
}

impl MostSessions {
    /// At most `per_token` of each kind; with 0, nine tenths of the `sockets` and of the long polls that this
    /// node takes.
    pub fn of(per_token: usize, sockets: usize) -> Self {
        let share = |all: usize| if per_token == 0 { (all / 10 * 9).max(1) } else { per_token.min(all) };
        Self { sockets: share(sockets), long_polls: share(MOST_LONG_POLLS) }
    }

    fn of_kind(self, kind: SessionKind) -> usize {
        match kind {
            SessionKind::Socket => self.sockets,
            SessionKind::LongPoll => self.long_polls,
        }
    }
}

/// Whose sessions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Token(TokenId),
    Map(MapId),
}

/// The token or the map has as many sessions on this node as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token or its map has {0} sessions on this node, the most it may have")]
pub struct TooManySessions(pub usize);

/// The sessions of a node.
#[derive(Default)]
pub struct Sessions(Mutex<FxHashMap<(SessionKind, Owner), usize>>);

/// A session that counts until this is dropped.
pub struct CountedSession {
    sessions: Arc<Sessions>,
    counted: [(SessionKind, Owner); 2],
}

impl Sessions {
    /// Counts one more session of a token and its map. `limit` is the map's limit on connections.
    pub fn take(
        self: &Arc<Self>,
        kind: SessionKind,
        (token, map): (TokenId, MapId),
        limit: Option<u32>,
        most: MostSessions,
    ) -> Result<CountedSession, TooManySessions> {
        let most = most.of_kind(kind);
        let of_map = limit.map_or(most, |limit| most.min(2 * limit as usize + SPARE));
        let counted = [(kind, Owner::Token(token)), (kind, Owner::Map(map))];
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (owner, most) in counted.iter().zip([most, of_map]) {
            if counts.get(owner).is_some_and(|count| *count >= most) {
                return Err(TooManySessions(most));
            }
        }
        for owner in counted {
            *counts.entry(owner).or_default() += 1;
        }
        Ok(CountedSession { sessions: self.clone(), counted })
    }
}

impl Drop for CountedSession {
    fn drop(&mut self) {
        let mut counts = self.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
        for owner in self.counted {
            if let Some(count) = counts.get_mut(&owner) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&owner);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MOST: MostSessions = MostSessions { sockets: 12, long_polls: 3 };

    fn owner(n: u8) -> (TokenId, MapId) {
        (TokenId::from_bytes([n; 16]), MapId::from_bytes([n; 16]))
    }

    #[test]
    fn a_token_has_a_share_of_each_kind() {
        let sessions = Arc::new(Sessions::default());
        let take = |kind, n: u8| sessions.take(kind, owner(n), None, MOST);
        let held: Vec<_> = (0..12).map(|_| take(SessionKind::Socket, 1).unwrap()).collect();
        assert_eq!(take(SessionKind::Socket, 1).err(), Some(TooManySessions(12)));
        assert!(take(SessionKind::Socket, 2).is_ok(), "another token and map");
        let polls: Vec<_> = (0..3).map(|_| take(SessionKind::LongPoll, 1).unwrap()).collect();
        assert_eq!(take(SessionKind::LongPoll, 1).err(), Some(TooManySessions(3)));
        drop((held, polls));
        assert!(sessions.0.lock().unwrap().is_empty());
    }

    #[test]
    fn the_tokens_of_a_map_share_its_places() {
        let sessions = Arc::new(Sessions::default());
        let map = MapId::from_bytes([7; 16]);
        let take =
            |n: u8| sessions.take(SessionKind::Socket, (TokenId::from_bytes([n; 16]), map), Some(1), MOST);
        let held: Vec<_> = (0..10).map(|n| take(n).unwrap()).collect();
        assert_eq!(take(11).err(), Some(TooManySessions(10)), "twice the limit and a few");
        drop(held);
        assert!(take(11).is_ok());
    }

    #[test]
    fn a_place_is_left_for_others() {
        let most = MostSessions::of(0, 50_000);
        assert_eq!((most.sockets, most.long_polls), (45_000, 18_000));
        let most = MostSessions::of(100, 50);
        assert_eq!((most.sockets, most.long_polls), (50, 100));
    }
}
