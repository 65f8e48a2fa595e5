//! Which endpoints there are.
//!
//! [`Directory`] is changed only by [`EndpointChange`]s, so that a node's read copy and the replicated state stay the
//! same by construction; both share the records.

use super::Endpoint;
use crate::core::consumer::ownership::Owners;
use crate::core::ids::{EndpointId, MapId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One change of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointChange {
    /// An endpoint came or was changed.
    Put(Arc<Endpoint>),
    /// An endpoint went.
    Gone(EndpointId),
    /// Something was asked of an endpoint's owner.
    Ordered(EndpointId),
    /// Nodes that deliver came or went.
    Owners(Owners),
}

/// All endpoints.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    endpoints: BTreeMap<EndpointId, Arc<Endpoint>>,
    of_map: BTreeMap<MapId, BTreeSet<EndpointId>>,
    owners: Owners,
}

impl Directory {
    /// The endpoint with that id.
    pub fn get(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(&id)
    }

    /// All endpoints, by id.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Arc<Endpoint>> {
        self.endpoints.values()
    }

    /// The endpoints of a map, by id.
    pub fn of_map(&self, map: MapId) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.of_map.get(&map).into_iter().flatten().filter_map(|id| self.endpoints.get(id))
    }

    /// How many endpoints a map has.
    pub fn count(&self, map: MapId) -> usize {
        self.of_map.get(&map).map_or(0, BTreeSet::len)
    }

    /// The nodes that deliver.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Carries out a change.
    pub fn change(&mut self, change: &EndpointChange) {
        match change {
            EndpointChange::Put(endpoint) => {
                self.of_map.entry(endpoint.map).or_default().insert(endpoint.id);
                self.endpoints.insert(endpoint.id, endpoint.clone());
            }
            EndpointChange::Gone(id) => self.remove(*id),
            EndpointChange::Ordered(_) => {}
            EndpointChange::Owners(owners) => self.owners = owners.clone(),
        }
    }

    fn remove(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.remove(&id) else { return };
        if let Some(of_map) = self.of_map.get_mut(&endpoint.map) {
            of_map.remove(&id);
            if of_map.is_empty() {
                self.of_map.remove(&endpoint.map);
            }
        }
    }
}
