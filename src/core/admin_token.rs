//! Tokens of the cluster beside the admin token: for those who look at it, and for those who operate it.

use super::ids::TokenId;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Such tokens of a cluster, at most.
pub const MAX_ADMIN_TOKENS: usize = 100;

/// What the holder of such a token may do. Making maps and tokens, reading and changing what a map has, and
/// taking a backup, which has every secret, are for the admin token alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdminScope {
    /// See the state of the cluster and the list of maps.
    Read,
    /// Operate the cluster: drain, transfer, add, remove.
    Operate,
}

impl AdminScope {
    /// The names of all scopes.
    pub const NAMES: [(&'static str, AdminScope); 2] = [("read", Self::Read), ("operate", Self::Operate)];

    /// Returns the scope with that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, scope)| *scope)
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }
}

/// A token of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminToken {
    /// Public id.
    pub id: TokenId,
    /// Name for people.
    pub name: Box<str>,
    /// Hash of the secret.
    pub hash: [u8; 32],
    /// What it permits.
    pub scopes: Vec<AdminScope>,
    /// When it was made (Unix milliseconds). The state machine sets it.
    pub inserted_ms: u64,
}

/// The tokens of the cluster, by id and by the hash of the secret.
#[derive(Clone, Debug, Default)]
pub struct AdminTokens {
    tokens: BTreeMap<TokenId, Arc<AdminToken>>,
    hashes: FxHashMap<[u8; 32], TokenId>,
}

impl AdminTokens {
    /// Returns the token with that id.
    pub fn get(&self, id: TokenId) -> Option<&Arc<AdminToken>> {
        self.tokens.get(&id)
    }

    /// Returns the token with that secret's hash.
    pub fn with(&self, hash: &[u8; 32]) -> Option<&Arc<AdminToken>> {
        self.tokens.get(self.hashes.get(hash)?)
    }

    /// Returns all tokens, by id.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Arc<AdminToken>> {
        self.tokens.values()
    }

    pub(in crate::core) fn put(&mut self, token: &Arc<AdminToken>) {
        self.remove(token.id);
        self.hashes.insert(token.hash, token.id);
        self.tokens.insert(token.id, token.clone());
    }

    pub(in crate::core) fn remove(&mut self, id: TokenId) {
        if let Some(gone) = self.tokens.remove(&id) {
            self.hashes.remove(&gone.hash);
        }
    }
}
