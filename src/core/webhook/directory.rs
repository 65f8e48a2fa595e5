//! The directory of all webhooks of the cluster.
//!
//! Only [`WebhookChange`]s change a [`WebhookDirectory`]. The replicated state and a node's read copy apply the same
//! changes, so they stay the same. They share the records.

use super::Webhook;
use crate::core::consumer::ownership::Owners;
use crate::core::ids::{MapId, WebhookId};
use std::borrow::Borrow;
use std::cmp::Ordering;
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
    webhooks: BTreeSet<ById>,
    of_map: BTreeMap<MapId, BTreeSet<ById>>,
    owners: Owners,
}

/// A webhook in the order of ids. A node has several directories, so the ids are not stored a second time.
#[derive(Clone, Debug)]
struct ById(Arc<Webhook>);

impl Borrow<WebhookId> for ById {
    fn borrow(&self) -> &WebhookId {
        &self.0.id
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

impl PartialOrd for ById {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ById {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

impl WebhookDirectory {
    /// The webhook with that id.
    pub fn get(&self, id: WebhookId) -> Option<&Arc<Webhook>> {
        self.webhooks.get(&id).map(|found| &found.0)
    }

    /// All webhooks, by id.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Arc<Webhook>> {
        self.webhooks.iter().map(|webhook| &webhook.0)
    }

    /// The webhooks of a map, by id.
    pub fn of_map(&self, map: MapId) -> impl Iterator<Item = &Arc<Webhook>> {
        self.of_map.get(&map).into_iter().flatten().map(|webhook| &webhook.0)
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
                // A set keeps an equal element when another one is inserted.
                self.of_map.entry(webhook.map).or_default().replace(ById(webhook.clone()));
                self.webhooks.replace(ById(webhook.clone()));
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
        let ById(webhook) = self.webhooks.take(&id)?;
        if let Some(of_map) = self.of_map.get_mut(&webhook.map) {
            of_map.remove(&id);
            if of_map.is_empty() {
                self.of_map.remove(&webhook.map);
            }
        }
        Some(webhook.map)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::webhook::{Defaults, Origin, Plain, Profile};

    fn webhook(id: u8, map: u8, revision: u64) -> Arc<Webhook> {
        let (id, map) = (WebhookId::from_bytes([id; 16]), MapId::from_bytes([map; 16]));
        let defaults = Defaults {
            timeout_ms: 10_000,
            retry_attempts: None,
            retry_delay_ms: None,
            auto_disable_seconds: None,
        };
        let plain = Plain::new(id, map, Origin::Api, Profile::Standard, &defaults);
        Arc::new(Webhook { revision, ..plain.webhook })
    }

    #[test]
    fn a_changed_webhook_takes_the_place_of_the_old_one() {
        let mut directory = WebhookDirectory::default();
        let map = MapId::from_bytes([9; 16]);
        for (id, of, revision) in [(2, 9, 1), (1, 9, 1), (3, 8, 1), (2, 9, 2)] {
            directory.change(&WebhookChange::Put(webhook(id, of, revision)));
        }
        let shown = |directory: &WebhookDirectory| -> Vec<(WebhookId, u64)> {
            directory.of_map(map).map(|webhook| (webhook.id, webhook.revision)).collect()
        };
        let id = |id: u8| WebhookId::from_bytes([id; 16]);
        assert_eq!(shown(&directory), [(id(1), 1), (id(2), 2)]);
        assert_eq!(directory.get(id(2)).unwrap().revision, 2);
        assert_eq!(directory.all().map(|webhook| webhook.id).collect::<Vec<_>>(), [1, 2, 3].map(id));
        assert_eq!(directory.change(&WebhookChange::Gone(id(2))), Some(map));
        assert_eq!((shown(&directory), directory.all().len()), (vec![(id(1), 1)], 2));
        assert_eq!(directory.change(&WebhookChange::Gone(id(2))), None);
    }
}
