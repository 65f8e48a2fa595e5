//! Issuers: who signs the client tokens (JWTs) with which clients use a map.
//!
//! An issuer belongs to the map that configured it, and its tokens open this map alone, whatever they say.
//! Clients act as the issuer's token: a token that no secret opens, as with apps. So everything that a token
//! stands behind works for them: sessions, quotas, the check of a publish when it is applied, and the end
//! when the issuer is removed. What one client token permits beyond that, [`Client`] says.

mod client;
mod mapping;
mod revocations;
mod settings;

pub use client::{Client, ClientRights, LOGIN_ISSUER, MAX_FILTER_LEN, WAYPOST_CLAIM, is_revoked};
pub use mapping::{ClaimMapping, ClaimPath};
pub use revocations::{ClientRevocation, MAX_REVOCATIONS, Revocations, RevokeClients, RevokedClients};
pub use settings::{ANY, GivenKeys, IssuerSettings, read_issuers};

use super::ids::{MapId, TokenId};
use super::jwt::Algorithm;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Issuers of one map, at most.
pub const MAX_ISSUERS: usize = 10;
/// Longest name of an issuer (bytes).
pub const MAX_ISSUER_NAME_LEN: usize = 64;
/// Sessions of one `sub` on one node, where neither the token nor its issuer says how many.
pub const USUAL_CONNECTIONS: u32 = 100;

/// Where the keys of an issuer come from. Only the secret is encrypted: the others are public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IssuerKeys {
    /// The secret of HS256, encrypted for the issuer's token.
    Secret(#[serde(with = "serde_bytes")] Vec<u8>),
    /// A public key in PEM form.
    Pem(Box<str>),
    /// A JWKS document.
    Jwks(Box<str>),
    /// The URL of a JWKS document.
    Url(Box<str>),
}

/// An issuer as it is replicated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// The token as which its clients act.
    pub token: TokenId,
    /// The map that configured it.
    pub map: MapId,
    /// Its name, unique in the map.
    pub name: Box<str>,
    /// The algorithm of its signatures, the only one that is accepted.
    pub algorithm: Algorithm,
    /// Its keys.
    pub keys: IssuerKeys,
    /// What its tokens have as `iss`. `None`: any.
    pub issuer: Option<Box<str>>,
    /// What its tokens have among `aud`. `None`: any.
    pub audience: Option<Box<str>>,
    /// Where its tokens say what they permit.
    pub claims: ClaimMapping,
    /// The most sessions of one `sub` on one node, where the token says nothing else.
    pub connections: u32,
    /// When it was made (Unix milliseconds).
    pub inserted_ms: u64,
}

/// Replaces the issuers of a map. An issuer that stays as it is keeps its token; any other one has a new
/// token, so that sessions of the former one end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetIssuers {
    /// The map.
    pub map: MapId,
    /// The caller's token; `None` is the admin.
    pub by: Option<TokenId>,
    /// All issuers. The state machine sets [`Issuer::inserted_ms`] of the new ones.
    pub issuers: Vec<Issuer>,
}

/// All issuers, by token, by map and by what their tokens have as `iss`.
#[derive(Clone, Debug, Default)]
pub struct Issuers {
    issuers: BTreeMap<TokenId, Arc<Issuer>>,
    of_maps: FxHashMap<MapId, Vec<TokenId>>,
    named: FxHashMap<Box<str>, Vec<TokenId>>,
}

impl Issuers {
    /// Returns the issuer whose clients act as that token.
    pub fn get(&self, token: TokenId) -> Option<&Arc<Issuer>> {
        self.issuers.get(&token)
    }

    /// Returns the issuers of a map, by name.
    pub fn of_map(&self, map: MapId) -> impl Iterator<Item = &Arc<Issuer>> {
        self.of_maps.get(&map).into_iter().flatten().filter_map(|token| self.issuers.get(token))
    }

    /// Returns the issuers whose tokens have this `iss`.
    pub fn with_issuer(&self, issuer: &str) -> impl Iterator<Item = &Arc<Issuer>> {
        self.named.get(issuer).into_iter().flatten().filter_map(|token| self.issuers.get(token))
    }

    /// Returns all issuers, by token.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.issuers.values()
    }

    pub(in crate::core) fn put(&mut self, issuer: &Arc<Issuer>) {
        self.remove(issuer.token);
        self.issuers.insert(issuer.token, issuer.clone());
        let of_map = self.of_maps.entry(issuer.map).or_default();
        let issuers = &self.issuers;
        let is_before = |other: &TokenId| issuers.get(other).is_some_and(|other| other.name < issuer.name);
        of_map.insert(of_map.partition_point(is_before), issuer.token);
        if let Some(name) = &issuer.issuer {
            self.named.entry(name.clone()).or_default().push(issuer.token);
        }
    }

    pub(in crate::core) fn remove(&mut self, token: TokenId) {
        let Some(issuer) = self.issuers.remove(&token) else { return };
        if let Some(left) = self.of_maps.get_mut(&issuer.map) {
            left.retain(|other| *other != token);
            if left.is_empty() {
                self.of_maps.remove(&issuer.map);
            }
        }
        let Some(name) = &issuer.issuer else { return };
        if let Some(left) = self.named.get_mut(name) {
            left.retain(|other| *other != token);
            if left.is_empty() {
                self.named.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
