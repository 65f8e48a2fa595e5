//! What the streams know of the directory.

use crate::core::access::{AccessChange, Map, Token};
use crate::core::ids::{MapId, TokenId};
use crate::core::ingest::Sources;
use crate::core::state::rights::Rights;
use crate::core::webhook::directory::{WebhookChange, WebhookDirectory as Webhooks};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Maps with their limits and retention, tokens with their scopes (also those of apps and issuers), ingest
/// sources, webhooks and their owners, as of the last step of the directory that the streams followed. The records
/// are shared with the directory's mirror.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    maps: BTreeMap<MapId, Arc<Map>>,
    tokens: BTreeMap<TokenId, Arc<Token>>,
    webhooks: Webhooks,
    sources: Sources,
}

impl Facts {
    /// Makes facts from the directory's present records.
    pub fn new(
        maps: impl Iterator<Item = Arc<Map>>,
        tokens: impl Iterator<Item = Arc<Token>>,
        webhooks: Webhooks,
        sources: Sources,
    ) -> Self {
        let maps = maps.map(|map| (map.id, map)).collect();
        let tokens = tokens.map(|token| (token.id, token)).collect();
        Self { maps, tokens, webhooks, sources }
    }

    /// Returns all maps, sorted by id.
    pub(super) fn maps(&self) -> impl ExactSizeIterator<Item = &Arc<Map>> {
        self.maps.values()
    }

    /// Returns the webhooks and their owners.
    pub(super) fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// Returns the ingest sources.
    pub(super) fn sources(&self) -> &Sources {
        &self.sources
    }

    pub(super) fn change_access(&mut self, change: &AccessChange) {
        match change {
            AccessChange::Map(map) => drop(self.maps.insert(map.id, map.clone())),
            AccessChange::MapGone(id) => {
                self.maps.remove(id);
                self.tokens.retain(|_, token| token.map != *id);
                self.sources.remove_map(*id);
            }
            AccessChange::Token(token) => drop(self.tokens.insert(token.id, token.clone())),
            AccessChange::App(app) => {
                self.tokens.insert(app.token, Arc::new(Token::of_app(app)));
            }
            AccessChange::Issuer(issuer) => {
                self.tokens.insert(issuer.token, Arc::new(Token::of_issuer(issuer)));
            }
            AccessChange::TokenGone(id) | AccessChange::AppGone(id) | AccessChange::IssuerGone(id) => {
                self.tokens.remove(id);
            }
            AccessChange::Source(source) => self.sources.put(source),
            AccessChange::SourceGone(id) => self.sources.remove(*id),
            // The admin and the client tokens are checked before a command is proposed; the streams know
            // neither.
            AccessChange::Admin(_)
            | AccessChange::AdminToken(_)
            | AccessChange::AdminTokenGone(_)
            | AccessChange::ClientsRevoked(_)
            | AccessChange::RevocationOver(_) => {}
        }
    }

    pub(super) fn change_webhooks(&mut self, change: &WebhookChange) {
        self.webhooks.change(change);
    }
}

impl Rights for Facts {
    fn map(&self, id: MapId) -> Option<&Arc<Map>> {
        self.maps.get(&id)
    }
    fn token(&self, id: TokenId) -> Option<&Arc<Token>> {
        self.tokens.get(&id)
    }
}
