//! The directory of all webhooks of the cluster.
//!
//! Only [`WebhookChange`]s change a [`WebhookDirectory`]. The replicated state and a node's read copy apply the same
//! changes, so they stay the same. They share the records.

use super::Webhook;
use crate::core::consumer::ownership::Owners;
use crate::core::ids::{MapId, WebhookId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One change of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookChange {
    /// A webhook was made or changed.
    Put(Arc<Webhook>),
    /// A webhook was deleted.
    Gone(WebhookId),
    /// A webhook's owner has a new owner command to carry out. The directory itself does not change.
    Commanded(WebhookId),
    /// The set of nodes that deliver changed.
    Owners(Owners),
}

/// All webhooks.
#[derive(Clone, Debug, Default)]
pub struct WebhookDirectory {
    webhooks: BTreeMap<WebhookId, Arc<Webhook>>,
    of_map: BTreeMap<MapId, BTreeSet<WebhookId>>,
    owners: Owners,
}

impl WebhookDirectory {
    /// The webhook with that id.
    pub fn get(&self, id: WebhookId) -> Option<&Arc<Webhook>> {
        self.webhooks.get(&id)
    }

    /// All webhooks, by id.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Arc<Webhook>> {
        self.webhooks.values()
    }

    /// The webhooks of a map, by id.
    pub fn of_map(&self, map: MapId) -> impl Iterator<Item = &Arc<Webhook>> {
        self.of_map.get(&map).into_iter().flatten().filter_map(|id| self.webhooks.get(id))
    }

    /// How many webhooks a map has, without the consumers that clients read.
    pub fn count(&self, map: MapId) -> usize {
        self.of_map.get(&map).map_or(0, BTreeSet::len) - self.count_read(map)
    }

    /// How many consumers a map has that clients read.
    pub fn count_read(&self, map: MapId) -> usize {
        self.of_map(map).filter(|webhook| webhook.is_read()).count()
    }

    /// The consumer of that name that clients of the map read.
    pub fn read_by_name(&self, map: MapId, name: &str) -> Option<&Arc<Webhook>> {
        self.of_map(map).find(|webhook| webhook.is_read() && webhook.name == name)
    }

    /// The nodes that deliver.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Applies a change. Returns the map whose webhooks changed.
    pub fn change(&mut self, change: &WebhookChange) -> Option<MapId> {
        match change {
            WebhookChange::Put(webhook) => {
                self.of_map.entry(webhook.map).or_default().insert(webhook.id);
                self.webhooks.insert(webhook.id, webhook.clone());
                Some(webhook.map)
            }
            WebhookChange::Gone(id) => self.remove(*id),
            WebhookChange::Commanded(_) => None,
            WebhookChange::Owners(owners) => {
                self.owners = owners.clone();
                None
            }
        }
    }

    fn remove(&mut self, id: WebhookId) -> Option<MapId> {
        let webhook = self.webhooks.remove(&id)?;
        if let Some(of_map) = self.of_map.get_mut(&webhook.map) {
            of_map.remove(&id);
            if of_map.is_empty() {
                self.of_map.remove(&webhook.map);
            }
        }
        Some(webhook.map)
    }
}
