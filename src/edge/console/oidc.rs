//! Signing in to the console by OpenID Connect: the code flow, with PKCE.
//!
//! What the node must know when the issuer sends somebody back stands, encrypted, in a cookie of ten minutes.
//! So any node takes up what another one began.

use super::session::{begin, console_of};
use crate::core::access::Scopes;
use crate::core::console::{Credential, Person};
use crate::core::error_code::Code;
use crate::core::ids::TokenId;
use crate::core::jwt::Claims;
use crate::core::oidc::{Admission, Attempt, OidcSettings, RANDOM_BYTES, admission};
use crate::delivery::oidc::{Oidc, OidcError};
use crate::edge::addresses::address_of;
use crate::edge::audit::facts::{note_caller, note_thing};
use crate::edge::auth::caller;
use crate::edge::context::{ConsoleConfig, Edge};
use crate::edge::error::ApiError;
use crate::edge::kept::{self, NewCookie, SameSite};
use crate::edge::people;
use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, REFERRER_POLICY, SET_COOKIE};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use std::borrow::Cow;
use url::form_urlencoded;

/// The cookie of a sign-in under way, its name where browsers come by HTTPS (which no other host of the
/// site can set), and what it is encrypted for.
const COOKIE: &str = "waypost_oidc";
const SECURE_COOKIE: &str = "__Host-waypost_oidc";
const PURPOSE: &str = "sign-in";
/// How long somebody may take at the issuer (seconds).
const LIFE_SECONDS: u64 = 600;
/// Where everybody is sent who has signed in.
const AFTER: &str = "/console/";
/// What to do about a sign-in that did not succeed.
const AGAIN: &str = "go to /console/ and sign in again";

/// Sends somebody to the issuer. Errors are told in a page, here and below: people come to these paths.
pub(super) async fn start(
    request: HttpRequest,
    edge: Data<Edge>,
    oidc: Data<Option<Oidc>>,
) -> Result<HttpResponse, ApiError> {
    let sent = send(&edge, &oidc).await;
    sent.or_else(|error| people::told(&request, error))
}

async fn send(edge: &Edge, oidc: &Option<Oidc>) -> Result<HttpResponse, ApiError> {
    let (oidc, console) = configured(edge, oidc)?;
    let discovery = oidc.discovery().await.map_err(failed)?;
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| ApiError::unavailable(error.to_string()))?;
    let end_ms = edge.hub.clock().time_ms().saturating_add(LIFE_SECONDS * 1000);
    let attempt = Attempt::new(&random, end_ms);
    let encryption = kept::encryption(&edge.hub).await?;
    let value = encryption
        .encrypt_kept(PURPOSE, &attempt)
        .map_err(|error| ApiError::unavailable(error.to_string()))?;
    Ok(HttpResponse::Found()
        .insert_header((LOCATION, discovery.sign_in_url(oidc.settings(), &attempt)))
        .insert_header((SET_COOKIE, cookie(console, &value, LIFE_SECONDS).header()))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .finish())
}

/// Takes up somebody whom the issuer sends back.
pub(super) async fn callback(
    request: HttpRequest,
    edge: Data<Edge>,
    oidc: Data<Option<Oidc>>,
) -> Result<HttpResponse, ApiError> {
    let taken = take_up(&request, &edge, &oidc).await;
    taken.or_else(|error| people::told(&request, error))
}

async fn take_up(request: &HttpRequest, edge: &Edge, oidc: &Option<Oidc>) -> Result<HttpResponse, ApiError> {
    let (oidc, console) = configured(edge, oidc)?;
    let address = address_of(request);
    let encryption = kept::encryption(&edge.hub).await?;
    let given = kept::cookie(request, cookie(console, "", 0).name);
    let attempt = given.and_then(|given| encryption.open_kept::<Attempt>(PURPOSE, given).ok());
    let now_ms = edge.hub.clock().time_ms();
    let answer = Answer::read(request.query_string());
    let attempt = attempt.filter(|attempt| attempt.is_answered_by(&answer.state, now_ms));
    // Whoever comes back to a sign-in of ours is let in, however many guesses came from the same address.
    let Some(attempt) = attempt else {
        edge.failures.check(address)?;
        edge.failures.count(address);
        return Err(refused("the answer belongs to no sign-in of this browser, or came too late"));
    };
    let code = answer.code.map_err(|why| refused(format!("the issuer says: {why}")))?;
    let claims = oidc.claims(code, attempt).await.map_err(|error| {
        match &error {
            OidcError::Busy => {}
            OidcError::Unavailable(_) => tracing::warn!(%error, "a sign-in by OpenID Connect failed"),
            _ => edge.failures.count(address),
        }
        failed(error)
    })?;
    // Tokens may have been made on another node a moment ago.
    edge.catch_up().await;
    note_thing(request, "person", claims.sub().unwrap_or_default());
    let credential = admitted(edge, oidc.settings(), &claims);
    let who = edge.hub.access().who_of_here(&credential, None);
    let who = who.ok_or_else(|| {
        ApiError::forbidden("you are signed in at the issuer, but may use nothing here")
            .hint("console.oidc.admin and console.oidc.maps_claim say who may")
    })?;
    note_caller(request, caller(&who));
    tracing::info!(sub = claims.sub(), by = ?who.by(), "a person has signed in to the console");
    let (session, _) = begin(edge, console, credential, &who).await?;
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, AFTER))
        .append_header((SET_COOKIE, session))
        .append_header((SET_COOKIE, cookie(console, "", 0).header()))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .finish())
}

/// The way to the issuer, if there is one.
fn configured<'e>(edge: &'e Edge, oidc: &'e Option<Oidc>) -> Result<(&'e Oidc, &'e ConsoleConfig), ApiError> {
    let missing =
        || ApiError::not_found("sign-in by OpenID Connect").hint("the settings of console.oidc configure it");
    Ok((oidc.as_ref().ok_or_else(missing)?, console_of(edge)?))
}

/// A browser that comes from the issuer sends it: so it is `Lax`. The name for HTTPS needs the path `/`.
fn cookie<'c>(console: &ConsoleConfig, value: &'c str, seconds: u64) -> NewCookie<'c> {
    let (name, path) = if console.is_secure { (SECURE_COOKIE, "/") } else { (COOKIE, "/console/oidc") };
    NewCookie { name, value, path, seconds, same_site: SameSite::Lax, is_secure: console.is_secure }
}

/// What a person with these claims may do: everything, or what the tokens of maps permit that they name.
fn admitted(edge: &Edge, settings: &OidcSettings, claims: &Claims) -> Credential {
    let Admission { admin, maps: named } = admission(settings, claims);
    let known = edge.hub.access().known();
    let mut maps: Vec<(TokenId, Scopes)> = Vec::new();
    for (name, scopes) in &named {
        let name_of_token = settings.maps.as_ref().map_or("", |maps| &*maps.token);
        let map = known.map_named(name).map(|map| map.id);
        let token = map.and_then(|map| known.tokens_of(map).find(|token| token.name == name_of_token));
        if let Some(token) = token
            && maps.iter().all(|(id, _)| *id != token.id)
        {
            maps.push((token.id, *scopes));
        }
    }
    Credential::Person(Person { settings: settings.tag(), admin, maps })
}

/// What the issuer answers, in the query.
struct Answer {
    state: String,
    /// The code, or why there is none.
    code: Result<String, String>,
}

impl Answer {
    /// Reads a query. What is given twice counts as not given.
    fn read(query: &str) -> Self {
        let one = |name: &str| {
            let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
            values.next().filter(|_| values.next().is_none()).map(|(_, value)| value)
        };
        let is_word = |text: &Cow<'_, str>| {
            text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let code = match (one("code"), one("error").filter(is_word)) {
            (Some(code), None) => Ok(code.into_owned()),
            (_, Some(error)) => Err(error.into_owned()),
            (None, None) => Err("nothing".to_owned()),
        };
        Self { state: one("state").map(Cow::into_owned).unwrap_or_default(), code }
    }
}

fn refused(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, Code::OidcRefused, message).hint(AGAIN)
}

/// The error of an answer. What a node met at the issuer is for its operators, in its log.
fn failed(error: OidcError) -> ApiError {
    match error {
        OidcError::Busy => ApiError::unavailable(error.to_string()),
        OidcError::Unavailable(_) => {
            let message = "the issuer does not answer as it should";
            ApiError::new(StatusCode::BAD_GATEWAY, Code::OidcUnavailable, message)
                .hint("try again; the log of the node says why")
        }
        OidcError::Refused(_) | OidcError::Token(_) | OidcError::Wrong(_) => refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_state_and_a_code_or_an_error() {
        let read = |query: &str| {
            let Answer { state, code } = Answer::read(query);
            (state, code)
        };
        let of = |state: &str, code: Result<&str, &str>| {
            (state.to_owned(), code.map(str::to_owned).map_err(str::to_owned))
        };
        for (query, expected) in [
            ("code=a%2Fb&state=s&iss=x&session_state=y", of("s", Ok("a/b"))),
            ("state=s&error=access_denied&error_description=x", of("s", Err("access_denied"))),
            ("code=a&error=access_denied&state=s", of("s", Err("access_denied"))),
            ("state=s&error=%3Cscript%3E", of("s", Err("nothing"))),
            ("code=a&code=b&state=s", of("s", Err("nothing"))),
            ("code=a&state=s&state=t", of("", Ok("a"))),
            ("", of("", Err("nothing"))),
        ] {
            assert_eq!(read(query), expected, "{query}");
        }
    }
}
