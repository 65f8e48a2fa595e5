//! A client token that takes the place of the one that opened the session, as clients of Supabase push it:
//! event `access_token` with `{"access_token": JWT}`, on a joined topic or on the topic `phoenix`.

use super::frame::Message;
use super::reply;
use crate::hub::{Hub, Who};
use serde_json::{Value, json};

/// The member with the token.
const MEMBER: &str = "access_token";
/// The reason of a refusal.
const REASON: &str = "unauthorized";

/// The token in a message.
pub(super) fn token_of(message: &Message) -> Option<String> {
    message.value().ok()?.get(MEMBER)?.as_str().map(str::to_owned)
}

/// As whom the holder of a token acts. `None` if the token is unknown, or this can't be known now. A client token
/// must be one of an issuer of the map that the session was opened for.
pub(super) async fn find(hub: &Hub, token: &str, old: &Who) -> Option<Who> {
    hub.access().know_revokes().await;
    if let Some(who) = hub.access().who_here(token) {
        return Some(who);
    }
    let map = match old {
        Who::Admin => None,
        Who::Token(holder) => Some(holder.map.to_string()),
    };
    let clients = hub.access().clients();
    match clients.who_here(token, map.as_deref()).await {
        Ok(who) => Some(who),
        Err(why) => clients.who_after(why, token, map.as_deref()).await.ok().and_then(Result::ok),
    }
}

/// Whether the new caller may take the place of the old one now. It may if it is the same and may do the
/// same, so that no subscription of the session needs another look.
pub(super) fn may_replace(hub: &Hub, new: &Who, old: &Who) -> bool {
    let is_live = match new {
        Who::Admin => true,
        Who::Token(holder) => holder.client().is_none_or(|client| hub.access().is_live(holder.map, client)),
    };
    is_live && new.may_replace(old)
}

/// The response to a token that took the place of the old one: when it ends (Unix seconds).
pub(super) fn done(who: &Who) -> Value {
    json!({"expires_at": who.client().map(|client| client.exp_ms / 1000)})
}

/// The response to a message without a token.
pub(super) fn no_token() -> Value {
    reply::response("invalid access_token", "the payload must have the member access_token with a token")
}

/// The response to a token that is not valid.
pub(super) fn invalid() -> Value {
    reply::response(REASON, "the token is not valid; the session goes on until its own token ends")
}

/// The response to a token of somebody else, or one that permits something else.
pub(super) fn other() -> Value {
    reply::response(
        REASON,
        "the token must have the same issuer and sub, and permit the same; connect with it instead",
    )
}
