//! Signing in to the console with a token, and out of it.
//!
//! The cookie has the token's hash, encrypted, and when the session ends. So it opens what the token opens,
//! on every node, and nothing once the token is revoked.

use crate::core::access::{Map, Scopes, hash_token};
use crate::core::console::{Credential, Session};
use crate::core::field_error::FieldCode;
use crate::core::ids::MapId;
use crate::core::json::Members;
use crate::core::limits::LimitName;
use crate::edge::auth::know;
use crate::edge::body::Body;
use crate::edge::clients::Client;
use crate::edge::context::{ConsoleConfig, Edge};
use crate::edge::error::ApiError;
use crate::edge::kept::{self, NewCookie, SameSite};
use crate::edge::refused::{Refused, Unavailable};
use crate::hub::Who;
use actix_web::http::header::{CONTENT_TYPE, SET_COOKIE};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use std::sync::Arc;

/// Largest body of a sign-in (bytes).
const MAX_SIGN_IN: usize = 4096;

/// What the page must know before anybody has signed in.
pub(super) async fn config(edge: Data<Edge>) -> HttpResponse {
    let oidc = edge.config.console.as_ref().and_then(|console| console.oidc.as_ref());
    let oidc = oidc.map(|oidc| json!({"name": oidc.name}));
    HttpResponse::Ok().json(json!({"data": {"oidc": oidc, "version": env!("CARGO_PKG_VERSION")}}))
}

/// Signs in with the admin token or one of a map.
pub(super) async fn sign_in(
    request: HttpRequest,
    edge: Data<Edge>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    // The body says who the sender is.
    if let Some(client) = request.conn_data::<Client>() {
        client.hear_out();
    }
    let read = |m: &mut Members<'_>| {
        let token: Option<String> = m.required("token", "the admin token, or one of a map");
        if token.as_deref().is_some_and(|token| token.trim().is_empty()) {
            m.fault("token", FieldCode::Invalid, "must not be empty");
        }
        token.unwrap_or_default()
    };
    // A page of another origin can send a body without a media type unasked: so it could sign its reader in
    // as itself.
    if !request.headers().contains_key(CONTENT_TYPE) {
        return Err(ApiError::unsupported_media("a sign-in has a media type")
            .hint("send it as: Content-Type: application/json, in UTF-8"));
    }
    let token = body.at_most(MAX_SIGN_IN, LimitName::Fixed).object(read).await?;
    let who = edge.authenticate(&request, Some(token.as_str())).await?;
    if who.client().is_some() {
        return Err(ApiError::forbidden("a client token does not sign in")
            .hint("sign in with the admin token or a token of a map"));
    }
    let credential = Credential::Token(hash_token(token.trim()));
    let console = console_of(&edge)?;
    let (cookie, shown) = begin(&edge, console, credential, &who).await?;
    Ok(HttpResponse::Ok().insert_header((SET_COOKIE, cookie)).json(json!({ "data": shown })))
}

/// The settings of the console, which is served here.
pub(super) fn console_of(edge: &Edge) -> Result<&ConsoleConfig, ApiError> {
    edge.config.console.as_ref().ok_or_else(|| ApiError::not_found("the console"))
}

/// Makes a session. Returns its cookie, and the session as it is shown.
pub(super) async fn begin(
    edge: &Edge,
    console: &ConsoleConfig,
    credential: Credential,
    who: &Who,
) -> Result<(String, Value), ApiError> {
    let encryption = kept::encryption(&edge.hub).await?;
    let seconds = console.session.as_secs();
    let end_ms = edge.hub.clock().time_ms().saturating_add(seconds.saturating_mul(1000));
    let session = Session { credential, end_ms };
    let value =
        kept::new_session(&encryption, &session).map_err(|error| ApiError::unavailable(error.to_string()))?;
    let cookie = NewCookie { value: &value, seconds, ..empty(console) };
    let shown = shown(edge, &session, who, &kept::csrf(&encryption, &value));
    Ok((cookie.header(), shown))
}

/// The cookie of sessions without a value.
fn empty(console: &ConsoleConfig) -> NewCookie<'static> {
    NewCookie {
        name: kept::session_cookie(console.is_secure),
        value: "",
        path: "/",
        seconds: 0,
        same_site: SameSite::Strict,
        is_secure: console.is_secure,
    }
}

/// Whoever has the cookie learns the value of the header: a page of another site has neither, and can't read
/// this answer. Without a cookie nobody has signed in, and nothing is wrong: the answer is empty.
pub(super) async fn show(request: HttpRequest, edge: Data<Edge>) -> Result<HttpResponse, ApiError> {
    if edge.hub.health().is_removed() {
        return Err(Refused::from(Unavailable::Removed).into());
    }
    let name = kept::session_cookie(console_of(&edge)?.is_secure);
    if !kept::has_cookie(&request, name) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let (session, who) = edge.session(&request, None, false).await?;
    know(&request);
    let encryption = kept::encryption(&edge.hub).await?;
    let cookie = kept::cookie(&request, name).unwrap_or_default();
    let shown = shown(&edge, &session, &who, &kept::csrf(&encryption, cookie));
    Ok(HttpResponse::Ok().json(json!({ "data": shown })))
}

/// Removes the cookie from the browser.
pub(super) async fn sign_out(
    request: HttpRequest,
    edge: Data<Edge>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    if let Some(client) = request.conn_data::<Client>() {
        client.hear_out();
    }
    body.at_most(MAX_SIGN_IN, LimitName::Fixed).none().await?;
    // Without a session there is nothing to prove. Whoever has one must not be signed out by another site.
    match edge.session(&request, None, false).await {
        Ok(_) => {
            edge.session(&request, None, true).await?;
        }
        Err(Refused::NoToken | Refused::Unauthorized) => {}
        Err(refused) => return Err(refused.into()),
    }
    let console = console_of(&edge)?;
    Ok(HttpResponse::NoContent().insert_header((SET_COOKIE, empty(console).header())).finish())
}

fn shown(edge: &Edge, session: &Session, who: &Who, csrf: &str) -> Value {
    let maps = maps_of(edge, &session.credential, who);
    let (role, scopes) = match who {
        Who::Admin => ("admin", Scopes::ALL),
        Who::Token(holder) => ("map", holder.scopes),
    };
    let all: Vec<Value> = maps.iter().map(|(map, scopes)| map_shown(map, Some(*scopes))).collect();
    json!({
        "role": role,
        "map": maps.first().map(|(map, _)| map_shown(map, None)),
        "maps": all,
        "scopes": scopes.names(),
        "csrf": csrf,
        "expires_in_seconds": session.seconds_left(edge.hub.clock().time_ms()).unwrap_or_default(),
    })
}

/// The maps of a session, with what it may do there: that of the token, or those of a person. An admin has no
/// list: all maps are theirs.
fn maps_of(edge: &Edge, credential: &Credential, who: &Who) -> Vec<(Arc<Map>, Scopes)> {
    let Who::Token(holder) = who else { return Vec::new() };
    let known = edge.hub.access().known();
    let map = |id: MapId, scopes: Scopes| Some((known.map(id)?.clone(), scopes));
    match credential {
        Credential::Token(_) => map(holder.map, holder.scopes).into_iter().collect(),
        Credential::Person(person) => {
            let tokens = person.maps.iter().filter_map(|(id, scopes)| Some((known.token(*id)?, *scopes)));
            tokens.filter_map(|(token, scopes)| map(token.map, token.scopes.and(scopes))).collect()
        }
    }
}

/// A map by its names.
pub(super) fn map_shown(map: &Map, scopes: Option<Scopes>) -> Value {
    let mut shown = json!({"id": map.id.to_string(), "slug": map.slug, "name": map.name});
    if let Some(scopes) = scopes {
        shown["scopes"] = scopes.names().into();
    }
    shown
}
