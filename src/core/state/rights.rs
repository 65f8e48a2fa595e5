//! The check of a caller's rights. Both machines use the same rule, each with what it knows at its position
//! in its log.

use crate::core::access::{Map, Scopes, Token};
use crate::core::command::{By, Refusal};
use crate::core::ids::{MapId, TokenId};
use crate::core::webhook::directory::WebhookDirectory as Webhooks;
use crate::core::webhook::{OnWebhook, Webhook};
use std::sync::Arc;

/// Maps and tokens, as of a position in a log.
pub(super) trait Rights {
    fn map(&self, id: MapId) -> Option<&Arc<Map>>;
    fn token(&self, id: TokenId) -> Option<&Arc<Token>>;

    /// Checks the caller's right to `scope` on `map`, and returns the map.
    fn check(&self, map: MapId, by: By, scope: Scopes) -> Result<&Arc<Map>, Refusal> {
        let found = self.map(map).ok_or(Refusal::UnknownMap)?;
        let Some(by) = by else { return Ok(found) };
        match self.token(by) {
            Some(token) if token.map == map && token.scopes.contains(scope) => Ok(found),
            _ => Err(Refusal::Forbidden),
        }
    }
}

/// Returns the webhook if the caller may manage it.
pub(super) fn managed<T>(
    rights: &impl Rights,
    webhooks: &Webhooks,
    on: &OnWebhook<T>,
) -> Result<Arc<Webhook>, Refusal> {
    rights.check(on.map, on.by, Scopes::MANAGE)?;
    let webhook = webhooks.get(on.webhook).filter(|webhook| webhook.map == on.map);
    webhook.cloned().ok_or(Refusal::UnknownWebhook)
}
