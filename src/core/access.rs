//! Access: maps, their limits, tokens with scopes, and apps.
//!
//! Only [`AccessChange`]s change [`Access`], so a node's read copy and the replicated state stay equal by
//! construction. The state stores a token's hash, never the token.

use super::app::{App, Apps};
use super::channel_rules::ChannelRules;
use super::ids::{MapId, TokenId, TopicId};
pub use super::limits::Limits;
pub use super::retention::{Retention, WebhookBacklog};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// Hashes a token as its holder presents it. A token has 256 random bits, so nobody can search for the plain
/// hash.
pub fn hash_token(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
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

    /// Builds a set of scopes from names; `None` for an unknown name or an empty list.
    pub fn from_names<S: AsRef<str>>(names: &[S]) -> Option<Self> {
        let mut scopes = 0;
        for name in names {
            scopes |= Self::NAMES.iter().find(|(known, _)| *known == name.as_ref())?.1.0;
        }
        (scopes != 0).then_some(Self(scopes))
    }

    /// Returns the names, in a fixed order.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(_, scope)| self.contains(*scope)).map(|(name, _)| *name).collect()
    }

    /// Returns whether these scopes include all of `wanted`.
    pub fn contains(self, wanted: Scopes) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

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
    id.to_string().eq_ignore_ascii_case(name)
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
    admin: Option<TokenHash>,
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

    /// Returns the token with that id, also an app's.
    pub fn token(&self, id: TokenId) -> Option<&Arc<Token>> {
        self.tokens.get(&id).or_else(|| self.app_tokens.get(&id))
    }

    /// Returns the apps.
    pub fn apps(&self) -> &Apps {
        &self.apps
    }

    /// Returns a map's tokens, sorted by id, without those of apps.
    pub fn tokens_of(&self, map: MapId) -> impl Iterator<Item = &Arc<Token>> {
        self.tokens.values().filter(move |token| token.map == map)
    }

    /// Returns how many tokens a map has, without those of apps.
    pub fn token_count(&self, map: MapId) -> usize {
        self.tokens_of.get(&map).copied().unwrap_or(0)
    }

    /// Returns the hash of the generated admin token, if the cluster generated one.
    pub fn admin(&self) -> Option<&TokenHash> {
        self.admin.as_ref()
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
    }

    fn remove_app(&mut self, token: TokenId) {
        self.app_tokens.remove(&token);
        self.apps.remove(token);
    }

    fn put_token(&mut self, token: &Arc<Token>) {
        self.remove_token(token.id);
        self.hashes.insert(token.hash, token.id);
        *self.tokens_of.entry(token.map).or_default() += 1;
        self.tokens.insert(token.id, token.clone());
    }

    fn remove_token(&mut self, id: TokenId) {
        let Some(token) = self.tokens.remove(&id) else { return };
        self.hashes.remove(&token.hash);
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn map(n: u8, slug: Option<&str>) -> Map {
        let limits = Limits::NONE;
        let retention = Retention {
            events: None,
            age_seconds: None,
            bytes: None,
            webhook_backlog: WebhookBacklog::default(),
        };
        let slug = slug.map(str::to_owned);
        Map {
            id: MapId::from_bytes([n; 16]),
            slug,
            name: String::new(),
            topic: TopicId(n.into()),
            limits,
            retention,
            rules: ChannelRules::default(),
            inserted_ms: 0,
            updated_ms: 0,
        }
    }

    fn token(n: u8, map: u8) -> Token {
        Token {
            id: TokenId::from_bytes([n; 16]),
            map: MapId::from_bytes([map; 16]),
            name: String::new(),
            hash: [n; 32],
            scopes: Scopes::ALL,
            inserted_ms: 0,
        }
    }

    #[test]
    fn changing_a_slug_frees_the_old_one() {
        let mut access = Access::default();
        access.change(&AccessChange::Map(map(1, Some("old")).into()));
        access.change(&AccessChange::Map(map(1, Some("new")).into()));
        assert!(access.map_named("old").is_none());
        assert_eq!(
            access.map_named("new").unwrap().id,
            access.map_named(&MapId::from_bytes([1; 16]).to_string()).unwrap().id
        );
    }

    #[test]
    fn an_id_is_found_in_any_case() {
        let mut access = Access::default();
        access.change(&AccessChange::Map(map(0xab, None).into()));
        let id = MapId::from_bytes([0xab; 16]);
        for name in [id.to_string(), id.to_string().to_uppercase(), id.to_string().replacen('a', "A", 3)] {
            assert_eq!(access.map_named(&name).unwrap().id, id, "{name}");
            assert!(map(0xab, None).has_name(&name), "{name}");
        }
        assert!(access.map_named(&id.to_string().replace('-', "")).is_none());
    }

    #[test]
    fn the_token_of_an_app_is_found_by_its_id_alone() {
        let mut access = Access::default();
        let map = map(1, None);
        access.change(&AccessChange::Map(map.clone().into()));
        let app = App {
            token: TokenId::from_bytes([7; 16]),
            map: map.id,
            id: "1".into(),
            key: "k".into(),
            client_events: false,
            origins: Vec::new(),
            max_connections: None,
            origin: crate::core::webhook::Origin::Api,
            encrypted: vec![1],
            inserted_ms: 5,
        };
        access.change(&AccessChange::App(app.clone().into()));
        let token = access.token(app.token).unwrap();
        assert_eq!((token.map, token.scopes), (map.id, Scopes::OF_APPS));
        assert!(Scopes::OF_APPS.contains(Scopes::SUBSCRIBE) && Scopes::OF_APPS.contains(Scopes::PUBLISH));
        assert!(!Scopes::OF_APPS.contains(Scopes::MANAGE));
        assert!(access.token_with(&token.hash).is_none());
        assert_eq!((access.token_count(map.id), access.tokens_of(map.id).count()), (0, 0));
        access.change(&AccessChange::AppGone(app.token));
        assert!(access.token(app.token).is_none() && access.apps().is_empty());
        access.change(&AccessChange::App(app.clone().into()));
        access.change(&AccessChange::MapGone(map.id));
        assert!(access.token(app.token).is_none() && access.apps().is_empty());
    }

    #[test]
    fn deleting_a_map_deletes_its_tokens() {
        let mut access = Access::default();
        access.change(&AccessChange::Map(map(1, None).into()));
        access.change(&AccessChange::Token(token(7, 1).into()));
        access.change(&AccessChange::Token(token(8, 2).into()));
        access.change(&AccessChange::MapGone(MapId::from_bytes([1; 16])));
        assert!(access.token_with(&[7; 32]).is_none());
        assert!(access.token_with(&[8; 32]).is_some());
        assert_eq!(access.token_count(MapId::from_bytes([1; 16])), 0);
    }

    #[test]
    fn scopes_convert_to_names_and_back() {
        let two = Scopes::from_names(&["publish", "subscribe"]).unwrap();
        assert_eq!(two.names(), ["subscribe", "publish"]);
        assert!(two.contains(Scopes::PUBLISH) && !two.contains(Scopes::MANAGE));
        assert_eq!(Scopes::from_names(&Scopes::ALL.names()), Some(Scopes::ALL));
        assert!(!Scopes::OF_APPS.contains(Scopes::PRESENCE), "a back end signs the users of an app");
        assert_eq!(Scopes::from_names(&["admin"]), None);
        assert_eq!(Scopes::from_names::<&str>(&[]), None);
    }

    #[test]
    fn slugs_are_short_lowercase_and_not_uuids() {
        assert!(is_slug("home-2_x") && is_slug("0"));
        for bad in ["", "-a", "A", "a b", "550e8400-e29b-41d4-a716-446655440000", &"a".repeat(64)] {
            assert!(!is_slug(bad), "{bad}");
        }
    }
}
