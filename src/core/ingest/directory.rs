//! All sources, by id and by map.

use super::settings::Source;
use crate::core::ids::{MapId, SourceId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The sources of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    sources: BTreeMap<SourceId, Arc<Source>>,
    of_maps: BTreeMap<MapId, BTreeSet<SourceId>>,
}

impl Sources {
    /// Returns the source with that id.
    pub fn get(&self, id: SourceId) -> Option<&Arc<Source>> {
        self.sources.get(&id)
    }

    /// Returns the sources of a map, sorted by id.
    pub fn of_map(&self, map: MapId) -> impl Iterator<Item = &Arc<Source>> {
        self.of_maps.get(&map).into_iter().flatten().filter_map(|id| self.sources.get(id))
    }

    /// Returns how many sources a map has.
    pub fn count(&self, map: MapId) -> usize {
        self.of_maps.get(&map).map_or(0, BTreeSet::len)
    }

    /// Returns all sources, sorted by id.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.sources.values()
    }

    pub(in crate::core) fn put(&mut self, source: &Arc<Source>) {
        self.of_maps.entry(source.map).or_default().insert(source.id);
        self.sources.insert(source.id, source.clone());
    }

    pub(in crate::core) fn remove(&mut self, id: SourceId) {
        let Some(source) = self.sources.remove(&id) else { return };
        if let Some(left) = self.of_maps.get_mut(&source.map) {
            left.remove(&id);
            if left.is_empty() {
                self.of_maps.remove(&source.map);
            }
        }
    }

    /// Removes the sources of a map.
    pub(in crate::core) fn remove_map(&mut self, map: MapId) {
        for id in self.of_maps.remove(&map).into_iter().flatten() {
            self.sources.remove(&id);
        }
    }
}
