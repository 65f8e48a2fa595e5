//! The connections that other nodes hold, as far as this node has applied the log. While the cluster can't be
//! asked, they take their part of a map's limit.

use crate::core::codec;
use crate::core::ids::{MapId, NodeId};
use crate::core::state::{StateError, keys};
use crate::core::store::ReadStore;
use crate::hub::replica::ViewStore;
use std::collections::BTreeMap;
use waypost_cluster::Cluster;

/// What was read of it, which holds until the next entry is applied.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    applied: u64,
    counts: BTreeMap<MapId, u32>,
}

impl Elsewhere {
    /// The number of other nodes' connections to one map. A store that can't be read shows none: then the
    /// node is about to stop.
    pub(super) fn of_map(&mut self, cluster: &Cluster, map: MapId) -> u32 {
        let applied = cluster.applied();
        if applied != self.applied {
            self.applied = applied;
            self.counts.clear();
        }
        *self.counts.entry(map).or_insert_with(|| {
            let view = match cluster.reader().view() {
                Ok(view) => view,
                Err(error) => {
                    tracing::warn!(%error, "other nodes' connections can't be read");
                    return 0;
                }
            };
            held_elsewhere(&ViewStore(&view), cluster.node_id(), map).unwrap_or_else(|error| {
                tracing::warn!(%error, "other nodes' connections can't be read");
                0
            })
        })
    }
}

/// The number of connections to the map that nodes other than `own` hold.
fn held_elsewhere<S: ReadStore>(store: &S, own: NodeId, map: MapId) -> Result<u32, StateError> {
    let mut others: Vec<NodeId> = Vec::new();
    let (from, to) = keys::all(keys::HOLDERS);
    store.scan(&from, &to, &mut |key, _| {
        others.extend(keys::node_of(key).filter(|node| *node != own));
        true
    })?;
    let (_, end) = keys::all(keys::CONNECTIONS);
    let mut sum = 0_u32;
    for other in others {
        let mut counts = Vec::new();
        store.scan(&keys::connections(other, map, None), &end, &mut |key, count| {
            let is_its = keys::connections_of(key).is_some_and(|(node, of, _)| node == other && of == map);
            if is_its {
                counts.push(codec::decode::<u32>(count));
            }
            is_its
        })?;
        for count in counts {
            sum = sum.saturating_add(count?);
        }
    }
    Ok(sum)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::ids::TokenId;
    use crate::core::store::WriteStore;
    use crate::core::store::memory::MemoryStore;

    #[test]
    fn the_connections_of_one_map_at_all_other_nodes_count() {
        let map = |n| MapId::from_bytes([n; 16]);
        let token = |n: u8| (n > 0).then(|| TokenId::from_bytes([n; 16]));
        let mut store = MemoryStore::default();
        for node in [1, 2, 3] {
            store.put(&keys::holder(node), &[]).unwrap();
        }
        for (node, of, by, count) in [
            (1, 5, 0, 1),
            (2, 4, 1, 10),
            (2, 5, 0, 100),
            (2, 5, 7, 1000),
            (2, 6, 0, 10_000),
            (3, 5, 9, 100_000_u32),
        ] {
            let count = codec::encode(&count).unwrap();
            store.put(&keys::connections(node, map(of), token(by)), &count).unwrap();
        }
        assert_eq!(held_elsewhere(&store, 1, map(5)).unwrap(), 101_100);
        assert_eq!(held_elsewhere(&store, 2, map(5)).unwrap(), 100_001);
        assert_eq!(held_elsewhere(&store, 1, map(7)).unwrap(), 0);
    }
}
