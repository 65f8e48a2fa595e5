//! All apps, by token, by key, by app id and by map.

use super::App;
use crate::core::ids::{MapId, TokenId};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The apps of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Apps {
    apps: BTreeMap<TokenId, Arc<App>>,
    keys: FxHashMap<Box<str>, TokenId>,
    ids: FxHashMap<Box<str>, Vec<TokenId>>,
    of_maps: FxHashMap<MapId, Vec<TokenId>>,
}

impl Apps {
    /// Returns the app whose clients act as that token.
    pub fn get(&self, token: TokenId) -> Option<&Arc<App>> {
        self.apps.get(&token)
    }

    /// Returns the app with that key.
    pub fn with_key(&self, key: &str) -> Option<&Arc<App>> {
        self.apps.get(self.keys.get(key)?)
    }

    /// Returns the apps with that app id, the oldest first.
    pub fn with_id(&self, id: &str) -> impl Iterator<Item = &Arc<App>> {
        self.ids.get(id).into_iter().flatten().filter_map(|token| self.apps.get(token))
    }

    /// Returns the apps of a map, the oldest first.
    pub fn of_map(&self, map: MapId) -> impl Iterator<Item = &Arc<App>> {
        self.of_maps.get(&map).into_iter().flatten().filter_map(|token| self.apps.get(token))
    }

    /// Returns all apps, by token.
    pub fn all(&self) -> impl Iterator<Item = &Arc<App>> {
        self.apps.values()
    }

    /// Returns how many apps there are.
    pub fn len(&self) -> usize {
        self.apps.len()
    }

    /// Returns whether there is no app.
    pub fn is_empty(&self) -> bool {
        self.apps.is_empty()
    }

    pub(in crate::core) fn put(&mut self, app: &Arc<App>) {
        self.remove(app.token);
        self.keys.insert(app.key.clone(), app.token);
        self.apps.insert(app.token, app.clone());
        insert(self.ids.entry(app.id.clone()).or_default(), &self.apps, app);
        insert(self.of_maps.entry(app.map).or_default(), &self.apps, app);
    }

    pub(in crate::core) fn remove(&mut self, token: TokenId) {
        let Some(app) = self.apps.remove(&token) else { return };
        self.keys.remove(&app.key);
        if let Some(left) = self.ids.get_mut(&app.id) {
            left.retain(|other| *other != token);
            if left.is_empty() {
                self.ids.remove(&app.id);
            }
        }
        if let Some(left) = self.of_maps.get_mut(&app.map) {
            left.retain(|other| *other != token);
            if left.is_empty() {
                self.of_maps.remove(&app.map);
            }
        }
    }
}

/// Inserts an app behind the older ones.
fn insert(into: &mut Vec<TokenId>, apps: &BTreeMap<TokenId, Arc<App>>, app: &App) {
    let is_older = |other: &TokenId| {
        apps.get(other).is_some_and(|other| (other.inserted_ms, other.token) < (app.inserted_ms, app.token))
    };
    into.insert(into.partition_point(is_older), app.token);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::webhook::Origin;

    fn app(n: u8, map: u8, id: &str, key: &str, inserted_ms: u64) -> Arc<App> {
        Arc::new(App {
            token: TokenId::from_bytes([n; 16]),
            map: MapId::from_bytes([map; 16]),
            id: id.into(),
            key: key.into(),
            client_events: false,
            origins: Vec::new(),
            max_connections: None,
            origin: Origin::Api,
            encrypted: Vec::new(),
            inserted_ms,
        })
    }

    #[test]
    fn apps_are_found_by_key_id_and_map() {
        let mut apps = Apps::default();
        for one in [app(1, 1, "i", "new", 9), app(2, 1, "i", "old", 3), app(3, 2, "j", "other", 5)] {
            apps.put(&one);
        }
        let keys = |found: Vec<&Arc<App>>| found.iter().map(|app| app.key.to_string()).collect::<Vec<_>>();
        let map = MapId::from_bytes([1; 16]);
        assert_eq!(keys(apps.with_id("i").collect()), ["old", "new"]);
        assert_eq!(keys(apps.of_map(map).collect()), ["old", "new"]);
        assert_eq!(apps.with_key("other").map(|app| app.map), Some(MapId::from_bytes([2; 16])));
        // A change of an app replaces what was known of it.
        apps.put(&app(2, 1, "k", "newer", 3));
        assert!(apps.with_key("old").is_none() && apps.with_key("newer").is_some());
        assert_eq!(keys(apps.with_id("i").collect()), ["new"]);
        for n in 1..=3 {
            apps.remove(TokenId::from_bytes([n; 16]));
        }
        assert!(apps.is_empty() && apps.keys.is_empty() && apps.ids.is_empty() && apps.of_maps.is_empty());
    }
}
