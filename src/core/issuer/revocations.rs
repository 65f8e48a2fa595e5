//! Client tokens that were revoked before they ended.

use crate::core::ids::{MapId, TokenId};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Revocations that a map may have at a time. Each is kept until the longest lifetime of a token has passed.
pub const MAX_REVOCATIONS: usize = 10_000;

/// Which client tokens of a map are revoked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RevokedClients {
    /// The tokens with this id.
    Jti(Box<str>),
    /// The tokens about this one that were issued before the revocation.
    Sub(Box<str>),
}

/// Revokes client tokens of a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeClients {
    /// The map.
    pub map: MapId,
    /// The caller's token; `None` is the admin.
    pub by: Option<TokenId>,
    /// Which ones.
    pub which: RevokedClients,
    /// For how long it is remembered (milliseconds): longer than any client token lives.
    pub keep_ms: u64,
}

/// A revocation as it is replicated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRevocation {
    /// The map.
    pub map: MapId,
    /// Which tokens are revoked.
    pub which: RevokedClients,
    /// When it was made (Unix milliseconds of the cluster's time).
    pub at_ms: u64,
    /// When it is forgotten (milliseconds of the expiry clock).
    pub due_ms: u64,
}

/// The revocations of all maps.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    of_maps: FxHashMap<MapId, FxHashMap<RevokedClients, Arc<ClientRevocation>>>,
    due: BTreeSet<(u64, MapId, RevokedClients)>,
}

impl Revocations {
    /// Returns whether a client token of the map was revoked: one with that id, about that one, issued then.
    pub fn revokes(&self, map: MapId, jti: Option<&str>, sub: Option<&str>, iat_ms: u64) -> bool {
        let Some(of_map) = self.of_maps.get(&map) else { return false };
        let by_id = jti.is_some_and(|jti| of_map.contains_key(&RevokedClients::Jti(jti.into())));
        let by_sub = sub.and_then(|sub| of_map.get(&RevokedClients::Sub(sub.into())));
        by_id || by_sub.is_some_and(|revoked| iat_ms <= revoked.at_ms)
    }

    /// Returns the revocation of these tokens.
    pub fn get(&self, map: MapId, which: &RevokedClients) -> Option<&Arc<ClientRevocation>> {
        self.of_maps.get(&map)?.get(which)
    }

    /// Returns the revocations of a map.
    pub fn of_map(&self, map: MapId) -> impl Iterator<Item = &Arc<ClientRevocation>> {
        self.of_maps.get(&map).into_iter().flat_map(|of_map| of_map.values())
    }

    /// Returns how many a map has.
    pub fn count(&self, map: MapId) -> usize {
        self.of_maps.get(&map).map_or(0, |of_map| of_map.len())
    }

    /// Returns those that are to be forgotten by `now_ms` of the expiry clock, at most `most`.
    pub fn due(&self, now_ms: u64, most: usize) -> Vec<Arc<ClientRevocation>> {
        let due = self.due.iter().take_while(|(due_ms, _, _)| *due_ms <= now_ms).take(most);
        due.filter_map(|(_, map, which)| self.get(*map, which).cloned()).collect()
    }

    pub(in crate::core) fn put(&mut self, revocation: &Arc<ClientRevocation>) {
        self.remove(revocation.map, &revocation.which);
        self.due.insert((revocation.due_ms, revocation.map, revocation.which.clone()));
        let of_map = self.of_maps.entry(revocation.map).or_default();
        of_map.insert(revocation.which.clone(), revocation.clone());
    }

    pub(in crate::core) fn remove(&mut self, map: MapId, which: &RevokedClients) {
        let Some(of_map) = self.of_maps.get_mut(&map) else { return };
        let Some(gone) = of_map.remove(which) else { return };
        if of_map.is_empty() {
            self.of_maps.remove(&map);
        }
        self.due.remove(&(gone.due_ms, map, gone.which.clone()));
    }

    pub(in crate::core) fn remove_map(&mut self, map: MapId) {
        for gone in self.of_maps.remove(&map).into_iter().flatten() {
            self.due.remove(&(gone.1.due_ms, map, gone.0));
        }
    }
}
