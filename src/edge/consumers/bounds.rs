//! Bounds on what the readers of a token and of a map hold on one node.

use crate::core::error_code::Code;
use crate::core::ids::{MapId, TokenId};
use crate::core::limits::LimitName;
use crate::core::text::counted;
use crate::edge::error::ApiError;
use crate::hub::Grant;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reads that a node answers for another one at a time. They wait long, and their answers may be large.
pub(super) const READS: usize = 1024;
/// Answers of readers that a node takes from another one at a time.
pub(super) const SAYS: usize = 512;
/// Readers of one token that wait on a node, at most.
const OF_TOKEN: usize = 500;
/// Readers of one map that wait on a node, at most.
const OF_MAP: usize = 2000;
/// One map may have one in so many of the requests that may be under way to other nodes.
const SHARE_OF_MAP: usize = 4;
/// The same, once half of them are under way. So there is room for another map.
const SMALL_SHARE: usize = 32;

/// What is counted, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Token(TokenId),
    Map(MapId),
    Read(MapId),
    Said(MapId),
    Reads,
    Says,
}

/// The counts of a node. All workers share them; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Bounds(Arc<Mutex<FxHashMap<Counted, usize>>>);

/// Something that counts until this is dropped.
pub(super) struct Share {
    bounds: Bounds,
    of: Counted,
}

impl Bounds {
    /// Counts a reader that waits, for its token and for its map.
    ///
    /// # Errors
    /// 429: as many wait as may.
    pub(super) fn wait(&self, grant: &Grant) -> Result<(Option<Share>, Share), ApiError> {
        let of_token = match grant.who.by() {
            Some(token) => {
                Some(self.enter(Counted::Token(token), OF_TOKEN).ok_or_else(|| too_many(OF_TOKEN))?)
            }
            None => None,
        };
        let of_map = self.enter(Counted::Map(grant.map.id), OF_MAP).ok_or_else(|| too_many(OF_MAP))?;
        Ok((of_token, of_map))
    }

    /// Counts a read that is passed on to another node. `None` if the map has its share under way.
    pub(super) fn pass_read(&self, map: MapId) -> Option<[Share; 2]> {
        self.pass([Counted::Reads, Counted::Read(map)], READS)
    }

    /// Counts what a reader says that is passed on to another node. `None` if the map has its share under way.
    pub(super) fn pass_said(&self, map: MapId) -> Option<[Share; 2]> {
        self.pass([Counted::Says, Counted::Said(map)], SAYS)
    }

    /// Counts a request among all of its kind, of which there may be `most`, and among those of its map.
    fn pass(&self, [all, of_map]: [Counted; 2], most: usize) -> Option<[Share; 2]> {
        let mut counts = self.lock();
        let count = |of: Counted| counts.get(&of).copied().unwrap_or(0);
        let share = if count(all) < most / 2 { SHARE_OF_MAP } else { SMALL_SHARE };
        if count(of_map) >= most / share {
            return None;
        }
        for of in [all, of_map] {
            *counts.entry(of).or_default() += 1;
        }
        drop(counts);
        Some([all, of_map].map(|of| Share { bounds: self.clone(), of }))
    }

    fn enter(&self, of: Counted, most: usize) -> Option<Share> {
        let mut counts = self.lock();
        let count = counts.entry(of).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Share { bounds: self.clone(), of })
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<Counted, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.bounds.lock();
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
    }
}

/// 429: so many readers wait already.
pub(in crate::edge) fn too_many(limit: usize) -> ApiError {
    let wait = counted(limit, "reader waits", "readers wait");
    let message = format!("{wait} already, as many as may");
    ApiError::too_fast(Code::TooManyReaders, message, 1000).of_limit(LimitName::Fixed, limit as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_has_its_share_and_gives_it_back() {
        let bounds = Bounds::default();
        let (map, other) = (MapId::from_bytes([1; 16]), MapId::from_bytes([2; 16]));
        let held: Vec<_> = std::iter::from_fn(|| bounds.pass_read(map)).collect();
        assert_eq!(held.len(), READS / SHARE_OF_MAP);
        assert!(bounds.pass_read(other).is_some() && bounds.pass_said(map).is_some());
        drop(held);
        assert!(bounds.pass_read(map).is_some());
        assert!(bounds.lock().is_empty(), "what is not used is forgotten");
    }

    #[test]
    fn maps_that_take_all_they_may_leave_room_for_another_one() {
        let bounds = Bounds::default();
        let take = |n: u8| -> Vec<[Share; 2]> {
            std::iter::from_fn(|| bounds.pass_read(MapId::from_bytes([n; 16]))).collect()
        };
        let held: Vec<_> = (1..=4).map(take).collect();
        let counts: Vec<usize> = held.iter().map(Vec::len).collect();
        assert_eq!(counts, [256, 256, 32, 32]);
    }
}
