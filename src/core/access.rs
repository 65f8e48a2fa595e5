//! Access: maps, their limits, tokens with scopes, apps, ingest sources, and issuers of client tokens.
//!
//! Only [`AccessChange`]s change [`Access`], so a node's read copy and the replicated state stay equal by
//! construction. The state stores a token's hash, never the token.

use super::admin_token::{AdminToken, AdminTokens};
use super::app::{App, Apps};
use super::channel_rules::ChannelRules;
use super::ids::{MapId, SourceId, TokenId, TopicId};
use super::ingest::{Source, Sources};
use super::issuer::{ClientRevocation, Issuer, Issuers, Revocations};
pub use super::limits::Limits;
use super::named_set::named_set;
pub use super::retention::{Retention, WebhookBacklog};
use super::subject_limit::SubjectLimit;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use uuid::Uuid;

/// SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// Hashes a token as its holder presents it. A token has 256 random bits, so nobody can search for the plain
/// hash.
pub fn hash_token(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// The beginning of a token's hash, as lists show it: whoever has the token can tell which one it is, and
/// nobody can find a token by it.
pub fn fingerprint([a, b, c, d, ..]: &TokenHash) -> String {
    hex::encode([*a, *b, *c, *d])
}

/// What a token permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scopes(u8);

impl Scopes {
    /// Receive events.
    pub const SUBSCRIBE: Scopes = Scopes(1);
    /// Publish events.
    pub const PUBLISH: Scopes = Scopes(2);
    /// Manage the map's tokens and webhooks, and read its settings.
    pub const MANAGE: Scopes = Scopes(4);
    /// Be a presence member as any user, where no back end has signed the user.
    pub const PRESENCE: Scopes = Scopes(8);
    /// What the clients of an app may do.
    pub const OF_APPS: Scopes = Scopes(3);
    /// What the clients of an issuer may do at most.
    pub const OF_ISSUERS: Scopes = Scopes(11);
    /// What tokens of the system map may do at most.
    pub const OF_SYSTEM_MAP: Scopes = Scopes(5);
    /// No scopes.
    pub const NONE: Scopes = Scopes(0);
    /// All scopes.
    pub const ALL: Scopes = Scopes(15);

    const NAMES: [(&'static str, Scopes); 4] = [
        ("subscribe", Self::SUBSCRIBE),
        ("publish", Self::PUBLISH),
        ("presence", Self::PRESENCE),
        ("manage", Self::MANAGE),
    ];

    /// Returns the scopes that both sets have.
    pub fn and(self, other: Scopes) -> Scopes {
        Scopes(self.0 & other.0)
    }
}

named_set!(Scopes);

/// A map: the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// Id.
    pub id: MapId,
    /// Unique short name for URLs and topics.
    pub slug: Option<String>,
    /// Name for people.
    pub name: String,
    /// The stream of the map's events.
    pub topic: TopicId,
    /// Limits.
    pub limits: Limits,
    /// Retention.
    pub retention: Retention,
    /// The rules for the map's subjects.
    pub rules: ChannelRules,
    /// When the map was created (Unix milliseconds).
    pub inserted_ms: u64,
    /// When the map was last changed (Unix milliseconds).
    pub updated_ms: u64,
}

impl Map {
    /// Returns whether `name` is the map's id or slug.
    pub fn has_name(&self, name: &str) -> bool {
        self.slug.as_deref() == Some(name) || is_spelled(self.id, name)
    }
}

/// Accepts an id with its hyphens, in capitals or in small letters.
fn is_spelled(id: MapId, name: &str) -> bool {
    let id = Uuid::from_bytes(*id.as_bytes()).hyphenated();
    id.encode_lower(&mut Uuid::encode_buffer()).eq_ignore_ascii_case(name)
}

/// A token of a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Public id.
    pub id: TokenId,
    /// The map that it gives access to.
    pub map: MapId,
    /// Name for people.
    pub name: String,
    /// Hash of the secret.
    pub hash: TokenHash,
    /// What it permits.
    pub scopes: Scopes,
    /// When the token was created (Unix milliseconds).
    pub inserted_ms: u64,
    /// When it ends, if it does.
    pub expiry: Option<TokenExpiry>,
    /// The subjects that its holder may use; `None`: all.
    pub subjects: Option<SubjectLimit>,
}

/// When a token ends. The expiry clock decides, which no wall clock moves once the token is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenExpiry {
    /// The time that was asked for (Unix milliseconds), for display.
    pub at_ms: u64,
    /// When it ends (milliseconds of the expiry clock).
    pub due_ms: u64,
}

impl Token {
    /// Makes the token as which the clients of an app act. No secret has its hash, and [`Access`] finds it by
    /// its id alone.
    pub fn of_app(app: &App) -> Self {
        Self {
            id: app.token,
            map: app.map,
            name: app.key.to_string(),
            hash: [0; 32],
            scopes: Scopes::OF_APPS,
            inserted_ms: app.inserted_ms,
            expiry: None,
            subjects: None,
        }
    }

    /// Makes the token as which the clients of an issuer act, with all that they may do at most. No secret
    /// has its hash, and [`Access`] finds it by its id alone.
    pub fn of_issuer(issuer: &Issuer) -> Self {
        Self {
            id: issuer.token,
            map: issuer.map,
            name: issuer.name.to_string(),
            hash: [0; 32],
            scopes: Scopes::OF_ISSUERS,
            inserted_ms: issuer.inserted_ms,
            expiry: None,
            subjects: None,
        }
    }
}

/// A change of access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessChange {
    /// A map was created or changed.
    Map(Arc<Map>),
    /// A map was deleted, with all its tokens.
    MapGone(MapId),
    /// A token was created.
    Token(Arc<Token>),
    /// A token was revoked.
    TokenGone(TokenId),
    /// The cluster generated an admin token; this is its hash.
    Admin(TokenHash),
    /// An app was created or changed.
    App(Arc<App>),
    /// The app whose clients act as that token was deleted.
    AppGone(TokenId),
    /// An issuer was created.
    Issuer(Arc<Issuer>),
    /// The issuer whose clients act as that token was removed.
    IssuerGone(TokenId),
    /// Client tokens were revoked.
    ClientsRevoked(Arc<ClientRevocation>),
    /// A revocation is forgotten: no client token lives that long.
    RevocationOver(Arc<ClientRevocation>),
    /// A token of the cluster was made.
    AdminToken(Arc<AdminToken>),
    /// A token of the cluster was revoked.
    AdminTokenGone(TokenId),
    /// An ingest source was created or changed.
    Source(Arc<Source>),
    /// An ingest source was deleted.
    SourceGone(SourceId),
}

/// All maps, tokens and apps.
#[derive(Clone, Debug, Default)]
pub struct Access {
    maps: BTreeMap<MapId, Arc<Map>>,
    slugs: FxHashMap<String, MapId>,
    tokens: BTreeMap<TokenId, Arc<Token>>,
    hashes: FxHashMap<TokenHash, TokenId>,
    tokens_of: FxHashMap<MapId, usize>,
    apps: Apps,
    /// The tokens as which the clients of apps act.
    app_tokens: FxHashMap<TokenId, Arc<Token>>,
    issuers: Issuers,
    /// The tokens as which the clients of issuers act.
    issuer_tokens: FxHashMap<TokenId, Arc<Token>>,
    revocations: Revocations,
    /// The tokens that end, by the time when they do.
    ending: BTreeSet<(u64, TokenId)>,
    sources: Sources,
    admin: Option<TokenHash>,
    admin_tokens: AdminTokens,
}

impl Access {
    /// Returns the map with that id or slug.
    pub fn map_named(&self, name: &str) -> Option<&Arc<Map>> {
        let by_id = || name.parse().ok().filter(|id| is_spelled(*id, name));
        self.slugs.get(name).copied().or_else(by_id).and_then(|id| self.maps.get(&id))
    }

    /// Returns the map with that id.
    pub fn map(&self, id: MapId) -> Option<&Arc<Map>> {
        self.maps.get(&id)
    }

    /// Returns the map that has the slug.
    pub fn slug_holder(&self, slug: &str) -> Option<MapId> {
        self.slugs.get(slug).copied()
    }

    /// Returns all maps, sorted by id.
    pub fn maps(&self) -> impl ExactSizeIterator<Item = &Arc<Map>> {
        self.maps.values()
    }

    /// Returns the maps whose ids are higher than `after`, or all, sorted by id.
    pub fn maps_after(&self, after: Option<MapId>) -> impl Iterator<Item = &Arc<Map>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.maps.range((from, Bound::Unbounded)).map(|(_, map)| map)
    }

    /// Returns the token with that secret's hash.
    pub fn token_with(&self, hash: &TokenHash) -> Option<&Arc<Token>> {
        self.tokens.get(self.hashes.get(hash)?)
    }

    /// Returns the token with that id, also an app's or an issuer's.
    pub fn token(&self, id: TokenId) -> Option<&Arc<Token>> {
        let tokens = self.tokens.get(&id).or_else(|| self.app_tokens.get(&id));
        tokens.or_else(|| self.issuer_tokens.get(&id))
    }

    /// Returns the tokens that have ended by `now_ms` of the expiry clock, at most `most`.
    pub fn ended_tokens(&self, now_ms: u64, most: usize) -> Vec<TokenId> {
        let ended = self.ending.iter().take_while(|(due_ms, _)| *due_ms <= now_ms);
        ended.map(|(_, token)| *token).take(most).collect()
    }

    /// Returns the issuers of client tokens.
    pub fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    /// Returns the client tokens that were revoked.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Returns the apps.
    pub fn apps(&self) -> &Apps {
        &self.apps
    }

    /// Returns the ingest sources.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Returns a map's tokens, sorted by id, without those of apps and issuers.
    pub fn tokens_of(&self, map: MapId) -> impl Iterator<Item = &Arc<Token>> {
        self.tokens.values().filter(move |token| token.map == map)
    }

    /// Returns how many tokens a map has, without those of apps and issuers.
    pub fn token_count(&self, map: MapId) -> usize {
        self.tokens_of.get(&map).copied().unwrap_or(0)
    }

    /// Returns the hash of the generated admin token, if the cluster generated one.
    pub fn admin(&self) -> Option<&TokenHash> {
        self.admin.as_ref()
    }

    /// Returns the tokens of the cluster beside the admin token.
    pub fn admin_tokens(&self) -> &AdminTokens {
        &self.admin_tokens
    }

    /// Applies a change.
    pub fn change(&mut self, change: &AccessChange) {
        match change {
            AccessChange::Map(map) => self.put_map(map),
            AccessChange::MapGone(id) => self.remove_map(*id),
            AccessChange::Token(token) => self.put_token(token),
            AccessChange::TokenGone(id) => self.remove_token(*id),
            AccessChange::Admin(hash) => self.admin = Some(*hash),
            AccessChange::App(app) => {
                self.app_tokens.insert(app.token, Arc::new(Token::of_app(app)));
                self.apps.put(app);
            }
            AccessChange::AppGone(token) => self.remove_app(*token),
            AccessChange::Issuer(issuer) => {
                self.issuer_tokens.insert(issuer.token, Arc::new(Token::of_issuer(issuer)));
                self.issuers.put(issuer);
            }
            AccessChange::IssuerGone(token) => self.remove_issuer(*token),
            AccessChange::ClientsRevoked(revocation) => self.revocations.put(revocation),
            AccessChange::RevocationOver(gone) => self.revocations.remove(gone.map, &gone.which),
            AccessChange::AdminToken(token) => self.admin_tokens.put(token),
            AccessChange::AdminTokenGone(id) => self.admin_tokens.remove(*id),
            AccessChange::Source(source) => self.sources.put(source),
            AccessChange::SourceGone(id) => self.sources.remove(*id),
        }
    }

    fn put_map(&mut self, map: &Arc<Map>) {
        if let Some(old) = self.maps.get(&map.id).and_then(|old| old.slug.as_ref()) {
            self.slugs.remove(old);
        }
        if let Some(slug) = &map.slug {
            self.slugs.insert(slug.clone(), map.id);
        }
        self.maps.insert(map.id, map.clone());
    }

    fn remove_map(&mut self, id: MapId) {
        if let Some(slug) = self.maps.remove(&id).and_then(|map| map.slug.clone()) {
            self.slugs.remove(&slug);
        }
        let tokens: Vec<TokenId> = self.tokens_of(id).map(|token| token.id).collect();
        tokens.into_iter().for_each(|token| self.remove_token(token));
        let apps: Vec<TokenId> = self.apps.of_map(id).map(|app| app.token).collect();
        apps.into_iter().for_each(|token| self.remove_app(token));
        let issuers: Vec<TokenId> = self.issuers.of_map(id).map(|issuer| issuer.token).collect();
        issuers.into_iter().for_each(|token| self.remove_issuer(token));
        self.revocations.remove_map(id);
        self.sources.remove_map(id);
    }

    fn remove_issuer(&mut self, token: TokenId) {
        self.issuer_tokens.remove(&token);
        self.issuers.remove(token);
    }

    fn remove_app(&mut self, token: TokenId) {
        self.app_tokens.remove(&token);
        self.apps.remove(token);
    }

    fn put_token(&mut self, token: &Arc<Token>) {
        self.remove_token(token.id);
        self.hashes.insert(token.hash, token.id);
        *self.tokens_of.entry(token.map).or_default() += 1;
        self.ending.extend(token.expiry.map(|expiry| (expiry.due_ms, token.id)));
        self.tokens.insert(token.id, token.clone());
    }

    fn remove_token(&mut self, id: TokenId) {
        let Some(token) = self.tokens.remove(&id) else { return };
        self.hashes.remove(&token.hash);
        if let Some(expiry) = token.expiry {
            self.ending.remove(&(expiry.due_ms, id));
        }
        if let Some(count) = self.tokens_of.get_mut(&token.map) {
            *count -= 1;
            if *count == 0 {
                self.tokens_of.remove(&token.map);
            }
        }
    }
}

/// Returns whether `slug` is valid: `[a-z0-9][a-z0-9_-]{0,62}`, and not a UUID, which would shadow a map's
/// id.
pub fn is_slug(slug: &str) -> bool {
    let bytes = slug.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(byte))
        && slug.parse::<MapId>().is_err()
}

#[cfg(test)]
mod tests;
