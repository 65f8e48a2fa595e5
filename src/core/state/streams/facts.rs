//! What the streams know of the directory.

use crate::core::access::{AccessChange, Map, Token};
use crate::core::ids::{MapId, TokenId};
use crate::core::state::rights::Rights;
use crate::core::webhook::directory::{Directory as Webhooks, WebhookChange};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Maps with their limits and retention, tokens with their scopes (also those of apps), webhooks and their
/// owners, as of the last step of the directory that the streams followed. The records are shared with the
/// directory's mirror.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    maps: BTreeMap<MapId, Arc<Map>>,
    tokens: BTreeMap<TokenId, Arc<Token>>,
    webhooks: Webhooks,
}

impl Facts {
    /// Makes facts from the directory's present records.
    pub fn new(
        maps: impl Iterator<Item = Arc<Map>>,
        tokens: impl Iterator<Item = Arc<Token>>,
        webhooks: Webhooks,
    ) -> Self {
        let maps = maps.map(|map| (map.id, map)).collect();
        let tokens = tokens.map(|token| (token.id, token)).collect();
        Self { maps, tokens, webhooks }
    }

    /// Returns all maps, sorted by id.
    pub(super) fn maps(&self) -> impl ExactSizeIterator<Item = &Arc<Map>> {
        self.maps.values()
    }

    /// Returns the webhooks and their owners.
    pub(super) fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    pub(super) fn change_access(&mut self, change: &AccessChange) {
        match change {
            AccessChange::Map(map) => drop(self.maps.insert(map.id, map.clone())),
            AccessChange::MapGone(id) => {
                self.maps.remove(id);
                self.tokens.retain(|_, token| token.map != *id);
            }
            AccessChange::Token(token) => drop(self.tokens.insert(token.id, token.clone())),
            AccessChange::App(app) => {
                self.tokens.insert(app.token, Arc::new(Token::of_app(app)));
            }
            AccessChange::TokenGone(id) | AccessChange::AppGone(id) => drop(self.tokens.remove(id)),
            // The admin is checked before a command is proposed; the streams know no admin token.
            AccessChange::Admin(_) => {}
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
