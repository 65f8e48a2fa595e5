//! Counts the connections of this node.

use crate::core::ids::{MapId, TokenId};
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, mpsc, oneshot};

/// The map and the token of a connection; `None` stands for the admin token.
pub(in crate::hub) type Of = (MapId, Option<TokenId>);

/// A request to the keeper.
#[derive(Debug)]
pub(super) enum Wish {
    Take(Of, Taker),
    Give(Of),
    /// The candidacy may differ from the wanted one. The sender is answered once they are the same.
    Candidacy(Option<oneshot::Sender<()>>),
    StateAll,
}

/// A caller that waits for a connection: `Err` is the limit.
pub(super) type Taker = oneshot::Sender<Result<Connection, u32>>;

/// Ends of connections that a waiting caller may not have seen yet. One that missed some counts them as ends
/// of its map's connections.
const ENDS: usize = 256;

/// Counts all connections of this node, including those of maps without a limit: such a map may get one.
#[derive(Debug)]
pub(super) struct Book {
    counts: Mutex<FxHashMap<Of, u32>>,
    wishes: mpsc::UnboundedSender<Wish>,
    /// The map of each connection that ends.
    ends: broadcast::Sender<MapId>,
}

/// A connection; it counts until it is dropped.
#[derive(Debug)]
pub struct Connection {
    of: Of,
    book: Arc<Book>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut counts = self.book.lock();
        if let Some(count) = counts.get_mut(&self.of) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
        // Sent under the lock: whoever reads the counts then finds a message for every connection that is
        // missing from them.
        let _ = self.book.wishes.send(Wish::Give(self.of));
        drop(counts);
        // Sent after the request to give it back: a caller that hears of it asks later than that.
        let _ = self.book.ends.send(self.of.0);
    }
}

/// The ends of connections from the moment on at which this was made.
pub(in crate::hub) struct Ends(broadcast::Receiver<MapId>);

impl Ends {
    /// Waits until a connection of the map ends on this node.
    pub(in crate::hub) async fn of(&mut self, map: MapId) {
        loop {
            match self.0.recv().await {
                Ok(ended) if ended != map => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl Book {
    pub(super) fn new(wishes: mpsc::UnboundedSender<Wish>) -> Self {
        Self { counts: Mutex::default(), wishes, ends: broadcast::Sender::new(ENDS) }
    }

    /// Listens for connections that end.
    pub(super) fn ends(&self) -> Ends {
        Ends(self.ends.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<Of, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more connection.
    pub(super) fn grant(self: &Arc<Self>, of: Of) -> Connection {
        *self.lock().entry(of).or_default() += 1;
        Connection { of, book: self.clone() }
    }

    /// The number of this node's connections to one map.
    pub(super) fn of_map(&self, map: MapId) -> u32 {
        self.lock().iter().filter(|((of, _), _)| *of == map).map(|(_, count)| count).sum()
    }

    /// The numbers of this node's connections to each of these maps, in their order.
    pub(super) fn of_maps(&self, maps: &[MapId]) -> Vec<u32> {
        let mut sums: FxHashMap<MapId, u32> = maps.iter().map(|map| (*map, 0)).collect();
        for ((map, _), count) in self.lock().iter() {
            if let Some(sum) = sums.get_mut(map) {
                *sum = sum.saturating_add(*count);
            }
        }
        maps.iter().map(|map| sums.get(map).copied().unwrap_or_default()).collect()
    }

    /// All counts. `meanwhile` runs while the counts can't change.
    pub(super) fn all(&self, meanwhile: impl FnOnce()) -> Vec<(Of, u32)> {
        let counts = self.lock();
        meanwhile();
        counts.iter().map(|(of, count)| (*of, *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connections_of_a_map_are_those_of_all_its_tokens() {
        let (wishes, _wished) = mpsc::unbounded_channel();
        let book = Arc::new(Book::new(wishes));
        let map = |n: u8| MapId::from_bytes([n; 16]);
        let token = TokenId::from_bytes([9; 16]);
        let held = [(map(1), None), (map(1), Some(token)), (map(2), None)].map(|of| book.grant(of));
        assert_eq!(book.of_maps(&[map(3), map(1), map(2)]), [0, 2, 1]);
        drop(held);
        assert_eq!(book.of_maps(&[map(1), map(2)]), [0, 0]);
    }
}
