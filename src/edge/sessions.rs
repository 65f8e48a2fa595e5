//! Counts the sessions of this node's clients by token and by map, from the moment a client is let in. So no
//! token takes all sessions of a node, whether its sessions join anything or not, and however many maps take
//! as many as they may, there is room for another map.

use crate::core::digest::Parts;
use crate::core::ids::{MapId, TokenId};
use crate::core::issuer::Client;
use crate::core::limits::{Limit, LimitName};
use crate::core::text::counted;
use rustc_hash::FxHashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Long-poll sessions of a node, at most.
pub const MOST_LONG_POLLS: usize = 20_000;
/// What a map with a limit on sockets may have on one node beyond twice that limit. The limit counts what has
/// joined; while pages are loaded again, as many sockets end as begin.
const SPARE: usize = 8;
/// The last places of a node, this part of all, are shared out: each map may have a part of them.
const LAST: usize = 10;
/// While only the last places are free, a map may hold this part of what is free.
const PART: usize = 16;

/// The kind of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// A connection of its own: a WebSocket or an event stream.
    Socket,
    /// A long poll.
    LongPoll,
}

impl fmt::Display for SessionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Socket => "sockets",
            Self::LongPoll => "long polls",
        })
    }
}

/// The places that a node has for sessions.
#[derive(Clone, Copy, Debug)]
pub struct MostSessions {
    sockets: Places,
    long_polls: Places,
}

/// The places for sessions of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Places {
    /// All of the node.
    all: usize,
    /// Most of one token, and of one map.
    of_owner: usize,
}

impl Places {
    fn of(per_token: usize, all: usize) -> Self {
        Self { all, of_owner: if per_token == 0 { (all / 10 * 9).max(1) } else { per_token.min(all) } }
    }

    /// Whether a map that has `of_map` sessions may have one more while `taken` are taken. As long as many
    /// places are free, any map may. When few are left, the maps that have many get no more: what is left is
    /// for those that have few, and shrinks only by a part of itself with every map that takes all it may.
    fn have_room(self, taken: usize, of_map: usize) -> bool {
        let free = self.all.saturating_sub(taken);
        free > (self.all / LAST).max(1) || of_map < free.div_ceil(PART)
    }
}

impl MostSessions {
    /// At most `per_token` of each kind; with 0, nine tenths of the `sockets` and of the long polls that this
    /// node takes.
    pub fn of(per_token: usize, sockets: usize) -> Self {
        Self { sockets: Places::of(per_token, sockets), long_polls: Places::of(per_token, MOST_LONG_POLLS) }
    }

    fn of_kind(self, kind: SessionKind) -> Places {
        match kind {
            SessionKind::Socket => self.sockets,
            SessionKind::LongPoll => self.long_polls,
        }
    }
}

/// Whose sessions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    /// Whom client tokens are about, as a hash.
    Client([u8; 16]),
    Token(TokenId),
    Map(MapId),
    Node,
}

/// Why a token gets no further session on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManySessions {
    /// The token or its map has as many as one may have.
    #[error(
        "the token or its map has {} on this node, the most it may have",
        counted(*.0, "session", "sessions")
    )]
    OfOwner(usize),
    /// The map has a limit on connections, and as many sessions as that allows.
    #[error(
        "the map has {} on this node: twice its limit of connections, and {SPARE} more",
        counted(*.0, "session", "sessions")
    )]
    OfLimitedMap(usize),
    /// Whom the client token is about has as many as the token says, or its issuer.
    #[error(
        "whom the token is about has {} on this node, the most that the token or its issuer permits",
        counted(*.0, "session", "sessions")
    )]
    OfClient(usize),
    /// Few places are left, and the map has its part of them.
    #[error("few of the node's {1} places for {0} are left, and the map has its part of them")]
    OfNode(SessionKind, usize),
}

impl TooManySessions {
    /// The limit.
    pub fn limit(self) -> usize {
        match self {
            Self::OfOwner(limit)
            | Self::OfLimitedMap(limit)
            | Self::OfClient(limit)
            | Self::OfNode(_, limit) => limit,
        }
    }

    /// The name of the limit.
    pub fn name(self) -> LimitName {
        match self {
            Self::OfOwner(_) => LimitName::Setting("limits.sockets_per_token"),
            Self::OfLimitedMap(_) => LimitName::OfMap(&Limit::CONNECTIONS),
            Self::OfNode(SessionKind::Socket, _) => LimitName::Setting("limits.sockets"),
            Self::OfClient(_) => LimitName::OfIssuer("connections"),
            Self::OfNode(SessionKind::LongPoll, _) => LimitName::Fixed,
        }
    }
}

/// The sessions of a node.
#[derive(Default)]
pub struct Sessions(Mutex<FxHashMap<(SessionKind, Owner), usize>>);

/// A session that counts until this is dropped.
pub struct CountedSession {
    sessions: Arc<Sessions>,
    counted: Vec<(SessionKind, Owner)>,
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
        let places = most.of_kind(kind);
        let of_limited = limit.map_or(usize::MAX, |limit| 2 * limit as usize + SPARE);
        let counted = [Owner::Token(token), Owner::Map(map), Owner::Node].map(|owner| (kind, owner));
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [of_token, of_map, of_node] =
            counted.map(|owner| counts.get(&owner).copied().unwrap_or_default());
        if of_map >= of_limited {
            return Err(TooManySessions::OfLimitedMap(of_limited));
        }
        if of_token.max(of_map) >= places.of_owner {
            return Err(TooManySessions::OfOwner(places.of_owner));
        }
        if !places.have_room(of_node, of_map) {
            return Err(TooManySessions::OfNode(kind, places.all));
        }
        for owner in counted {
            *counts.entry(owner).or_default() += 1;
        }
        Ok(CountedSession { sessions: self.clone(), counted: counted.to_vec() })
    }

    /// Counts one more session of whom a client token is about, of whatever kind. `None` if the token has no
    /// limit.
    pub fn take_client(
        self: &Arc<Self>,
        token: TokenId,
        client: &Client,
    ) -> Option<Result<CountedSession, TooManySessions>> {
        let most = client.rights.connections? as usize;
        let sub = client.sub.as_deref().unwrap_or_default();
        let hash = Parts::default().with(token.as_bytes()).with(sub.as_bytes()).half();
        let owner = (SessionKind::Socket, Owner::Client(hash));
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(owner).or_default();
        if *count >= most {
            return Some(Err(TooManySessions::OfClient(most)));
        }
        *count += 1;
        Some(Ok(CountedSession { sessions: self.clone(), counted: vec![owner] }))
    }
}

impl Drop for CountedSession {
    fn drop(&mut self) {
        let mut counts = self.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
        for owner in &self.counted {
            if let Some(count) = counts.get_mut(owner) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(owner);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SOCKETS: Places = Places { all: 40, of_owner: 12 };
    const LONG_POLLS: Places = Places { all: 40, of_owner: 3 };
    const MOST: MostSessions = MostSessions { sockets: SOCKETS, long_polls: LONG_POLLS };

    fn owner(n: u8) -> (TokenId, MapId) {
        (TokenId::from_bytes([n; 16]), MapId::from_bytes([n; 16]))
    }

    #[test]
    fn a_token_has_a_share_of_each_kind() {
        let sessions = Arc::new(Sessions::default());
        let take = |kind, n: u8| sessions.take(kind, owner(n), None, MOST);
        let held: Vec<_> = (0..12).map(|_| take(SessionKind::Socket, 1).unwrap()).collect();
        assert_eq!(take(SessionKind::Socket, 1).err(), Some(TooManySessions::OfOwner(12)));
        assert!(take(SessionKind::Socket, 2).is_ok(), "another token and map");
        let polls: Vec<_> = (0..3).map(|_| take(SessionKind::LongPoll, 1).unwrap()).collect();
        assert_eq!(take(SessionKind::LongPoll, 1).err(), Some(TooManySessions::OfOwner(3)));
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
        let refused = take(11).err().unwrap();
        assert_eq!(refused, TooManySessions::OfLimitedMap(10), "twice the limit and a few");
        assert_eq!(refused.name(), LimitName::OfMap(&Limit::CONNECTIONS));
        drop(held);
        assert!(take(11).is_ok());
    }

    #[test]
    fn an_owner_may_have_nine_tenths_or_what_the_setting_says() {
        let most = MostSessions::of(0, 50_000);
        assert_eq!((most.sockets.of_owner, most.long_polls.of_owner), (45_000, 18_000));
        let most = MostSessions::of(100, 50);
        assert_eq!((most.sockets.of_owner, most.long_polls.of_owner), (50, 100));
    }

    #[test]
    fn the_last_places_are_for_maps_that_have_few() {
        let sessions = Arc::new(Sessions::default());
        let most = MostSessions::of(40, 40);
        let take = |n: u8| sessions.take(SessionKind::Socket, owner(n), None, most);
        // Two maps take what they can, one as much as the other.
        let held: Vec<_> = (0..60).filter_map(|round| take(round % 2).ok()).collect();
        assert_eq!(held.len(), 36);
        assert_eq!(take(0).err(), Some(TooManySessions::OfNode(SessionKind::Socket, 40)));
        let others: Vec<_> = (2..10).filter_map(|n| take(n).ok()).collect();
        assert_eq!(others.len(), 4, "a place each, as long as there are any");
    }

    /// The places that are left when `maps` maps have each taken as many as they may, in rounds of `step`.
    fn left(all: usize, maps: usize, step: usize) -> usize {
        let places = Places::of(all, all);
        let mut held = vec![0; maps];
        let mut taken = 0;
        loop {
            let before = taken;
            for of_map in &mut held {
                for _ in 0..step {
                    if places.have_room(taken, *of_map) {
                        *of_map += 1;
                        taken += 1;
                    }
                }
            }
            if taken == before {
                return all - taken;
            }
        }
    }

    #[test]
    fn however_many_maps_take_what_they_may_there_is_room_for_another() {
        // All at once: sixteen times as much as each of them has is left.
        for (maps, least) in [(1, 5000), (2, 5000), (10, 5000), (100, 4900), (1000, 700), (10_000, 60)] {
            let left = left(50_000, maps, 1);
            assert!(left >= least, "{maps} maps leave {left}");
        }
        // One after the other, each before the next one comes.
        for (maps, least) in [(1, 5000), (2, 4600), (10, 2800), (32, 700), (64, 90)] {
            let left = left(50_000, maps, 50_000);
            assert!(left >= least, "{maps} maps leave {left}");
        }
        // A map that comes then gets more than one place.
        let places = Places::of(0, 50_000);
        let few = (0..1000).take_while(|few| places.have_room(45_000 + few, *few)).count();
        assert!(few > 250, "{few}");
    }
}
