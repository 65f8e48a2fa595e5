//! What nodes hold while they live: connections, presence members and subscriptions. Candidacies for webhooks
//! belong to the owners.
//!
//! A holder is one incarnation of a node, and each batch of its changes is applied once. Batches of presence
//! ([`presence`]) have numbers of their own; what earlier incarnations hold of presence ends in pieces
//! ([`ending`]). The sums over all nodes are kept in memory only: they are exactly what is held, and
//! [`Leases::load`] rebuilds them.

mod connections;
mod ending;
mod members;
mod presence;
mod subscriptions;

use super::{Directory, StateError, keys};
use crate::core::codec;
use crate::core::command::{Change, Counted, Denied, Refusal, Reply};
use crate::core::ids::{MapId, NodeId, TokenId};
use crate::core::lease::{Incarnation, LeaseBatch, LeaseChange, PresenceBatch};
use crate::core::state::records;
use crate::core::store::{ReadStore, WriteStore};
use connections::Counts;
use ending::Ending;
use members::Members;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use subscriptions::Subscriptions;

/// The holders and their leases.
#[derive(Debug, Default)]
pub(super) struct Leases {
    holders: BTreeMap<NodeId, Holder>,
    counts: Counts,
    /// The last presence batch of each node's present incarnation.
    presence_holders: BTreeMap<NodeId, Holder>,
    members: Members,
    subscriptions: Subscriptions,
    /// What nodes' earlier incarnations hold and is still to be ended.
    endings: BTreeMap<NodeId, Ending>,
}

/// A node's present incarnation, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    incarnation: Incarnation,
    /// The number of its last batch.
    last: u64,
    /// What was refused of that batch, for a repetition of it.
    denied: Vec<Denied>,
}

/// How a batch relates to the node's earlier batches.
enum Standing {
    New,
    Repeated(Vec<Denied>),
    /// The batch belongs to an incarnation that is not the node's present one.
    Stale,
}

impl Leases {
    pub(super) fn load<S: ReadStore>(store: &S) -> Result<Self, StateError> {
        let holders = |prefix: u8| {
            let found = records::<Holder, S>(store, prefix)?.into_iter();
            Ok::<_, StateError>(
                found.filter_map(|(key, holder)| Some((keys::node_of(&key)?, holder))).collect(),
            )
        };
        Ok(Self {
            holders: holders(keys::HOLDERS)?,
            counts: Counts::load(store)?,
            presence_holders: holders(keys::PRESENCE_HOLDERS)?,
            members: Members::load(store)?,
            subscriptions: Subscriptions::load(store)?,
            endings: records::<Ending, S>(store, keys::ENDINGS)?
                .into_iter()
                .filter_map(|(key, ending)| Some((keys::node_of(&key)?, ending)))
                .collect(),
        })
    }

    pub(super) fn connections(&self, map: MapId) -> u32 {
        self.counts.of_map(map)
    }

    pub(super) fn connections_by(&self, token: TokenId) -> u32 {
        self.counts.of_token(token)
    }

    fn standing(&self, batch: &LeaseBatch) -> Standing {
        match self.holders.get(&batch.node) {
            Some(holder) if holder.incarnation == batch.incarnation => holder.standing(batch.number),
            _ if batch.whole => Standing::New,
            _ => Standing::Stale,
        }
    }

    fn standing_of_presence(&self, batch: &PresenceBatch) -> Standing {
        if self.holders.get(&batch.node).is_none_or(|holder| holder.incarnation != batch.incarnation) {
            return Standing::Stale;
        }
        self.presence_holders.get(&batch.node).map_or(Standing::New, |holder| holder.standing(batch.number))
    }

    fn note<S: WriteStore>(
        &mut self,
        batch: &LeaseBatch,
        denied: Vec<Denied>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let holder = Holder { incarnation: batch.incarnation, last: batch.number, denied: denied.clone() };
        store.put(&keys::holder(batch.node), &codec::encode(&holder)?)?;
        self.holders.insert(batch.node, holder);
        Ok(Reply::Leased(denied))
    }

    fn is_present(&self, node: NodeId, incarnation: Incarnation) -> bool {
        self.holders.get(&node).is_some_and(|holder| holder.incarnation == incarnation)
    }
}

impl Holder {
    /// Returns how a batch of the same incarnation relates to the last one.
    fn standing(&self, number: u64) -> Standing {
        match self.last {
            last if number > last => Standing::New,
            last if number == last => Standing::Repeated(self.denied.clone()),
            _ => Standing::Repeated(Vec::new()),
        }
    }
}

impl Directory {
    /// Applies a batch once. A repetition gets the reply of the first time.
    pub(super) fn lease<S: WriteStore>(
        &mut self,
        now_ms: u64,
        batch: &LeaseBatch,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        match self.leases.standing(batch) {
            Standing::New => {}
            Standing::Repeated(denied) => return Ok(Reply::Leased(denied)),
            Standing::Stale => return Ok(Reply::Refused(Refusal::Stale(0))),
        }
        if batch.whole {
            self.leases.counts.take_back(batch.node, store)?;
        }
        if !self.leases.is_present(batch.node, batch.incarnation) {
            self.begin_presence(batch.node, store)?;
            self.changes.push(Change::Begun(batch.node, batch.incarnation));
        }
        let mut denied = Vec::new();
        for (index, change) in (0..).zip(&batch.changes) {
            if let Some((granted, why)) = self.change_lease(now_ms, batch, change, store)? {
                denied.push(Denied { index, granted, why });
            }
        }
        self.leases.note(batch, denied, store)
    }

    /// Applies one change. Returns how many connections were granted in spite of a refusal, and the refusal.
    fn change_lease<S: WriteStore>(
        &mut self,
        now_ms: u64,
        batch: &LeaseBatch,
        change: &LeaseChange,
        store: &mut S,
    ) -> Result<Option<(u32, Refusal)>, StateError> {
        let node = batch.node;
        match change {
            LeaseChange::Take(more) => {
                let Some(map) = self.access.map(more.map) else { return Ok(Some((0, Refusal::UnknownMap))) };
                let Some(limit) = map.limits.connections else { return Ok(None) };
                let granted = more.count.min(limit.saturating_sub(self.leases.counts.of_map(more.map)));
                self.leases.counts.add(node, more, granted, store)?;
                return Ok(
                    (granted < more.count).then_some((granted, Refusal::Limit(Counted::Connections, limit)))
                );
            }
            LeaseChange::Hold(held) => {
                let Some(map) = self.access.map(held.map) else { return Ok(Some((0, Refusal::UnknownMap))) };
                if map.limits.connections.is_some() {
                    self.leases.counts.add(node, held, held.count, store)?;
                }
            }
            LeaseChange::Give(less) => self.leases.counts.give(node, less, store)?,
            LeaseChange::Deliver => {
                if let Reply::Refused(why) = self.node_delivers(now_ms, node, batch.incarnation, store)? {
                    return Ok(Some((0, why)));
                }
            }
            LeaseChange::Rest => drop(self.node_rests(node, store)?),
        }
        Ok(None)
    }

    /// Takes back everything that the node's incarnation holds.
    pub(super) fn node_gone<S: WriteStore>(
        &mut self,
        now_ms: u64,
        node: NodeId,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        self.leases.counts.take_back(node, store)?;
        self.leases.holders.remove(&node);
        store.delete(&keys::holder(node))?;
        self.begin_presence(node, store)?;
        self.end_earlier(now_ms, node, store)?;
        self.changes.push(Change::NodeGone(node));
        self.node_rests(node, store)
    }

    /// Removes a map's connections when the map no longer has a limit. The nodes state them again when it
    /// gets one.
    pub(super) fn forget_connections<S: WriteStore>(
        &mut self,
        map: MapId,
        store: &mut S,
    ) -> Result<(), StateError> {
        self.leases.counts.forget(map, store)
    }

    /// Removes everything that nodes hold of a map: the map was deleted.
    pub(super) fn forget_leases<S: WriteStore>(
        &mut self,
        map: MapId,
        store: &mut S,
    ) -> Result<(), StateError> {
        self.leases.counts.forget(map, store)?;
        self.leases.subscriptions.forget(map, store)?;
        self.leases.members.forget(map, store)
    }
}
