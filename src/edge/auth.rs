//! Authentication over HTTP: the token in the header, or the cookie of the console, and its rights on the map
//! in the path. What a portal link opens is decided here too, and nowhere else.

use super::addresses::{AddressShare, address_of};
use super::audit::facts::{Caller, note_caller, note_map};
use super::clients::Client;
use super::context::Edge;
use super::error::ApiError;
use super::kept::{self, LINK_PREFIX, X_WAYPOST_CSRF};
use super::refused::{Quota, Refused, Unavailable};
use super::sessions::{CountedSession, SessionKind};
use crate::core::access::{Scopes, hash_token};
use crate::core::admin_token::AdminScope;
use crate::core::console::{Credential, Link, LinkScopes, Session};
use crate::core::error_code::Code;
use crate::core::jwt::JwtError;
use crate::core::limits::{Limit, LimitName};
use crate::core::text::counted;
use crate::hub::{ClientError, FULL_WAIT, Grant, Hub, Who};
use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, ORIGIN, UPGRADE};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Pause between two tries to count a session at a limit.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// What a session counts for from the moment its client is let in. It counts until this is dropped.
pub struct Counted {
    _address: Option<AddressShare>,
    _sessions: [Option<CountedSession>; 2],
}

/// The token in the `Authorization` header.
pub fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a token has the form of a client token (JWT): three parts, the first of which is a JSON object.
fn is_client_token(token: &str) -> bool {
    token.starts_with("ey") && token.split('.').count() == 3
}

/// The sender of the request is known. From now on the server reads its body, and the connection does not give
/// way to others while the request is answered.
pub fn know(request: &HttpRequest) {
    if let Some(client) = request.conn_data::<Client>() {
        client.know();
    }
}

/// The right of `who` to do `scope` on the named map. An unknown map and a map that the token doesn't open
/// look the same, except to the admin.
pub async fn granted(hub: &Hub, who: Who, map: &str, scope: Scopes) -> Result<Grant, Refused> {
    let Some(map) = hub.access().map_of(&who, map).await? else { return Err(Refused::NotFound) };
    match &who {
        Who::Token(token) if !token.scopes.contains(scope) => Err(Refused::Forbidden(scope)),
        _ => Ok(Grant { map, who }),
    }
}

/// Whether a portal link opens the route of the request. Which map the path names is checked like the map of
/// a token.
fn opens(link: &Link, request: &HttpRequest) -> Result<(), Refused> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let route = request.match_pattern().unwrap_or_default();
    match LinkScopes::needed(is_read, &route) {
        Some(needed) if link.scopes.contains(needed) => Ok(()),
        needed => Err(Refused::NotOfLink(needed)),
    }
}

/// 429: the token may make so many requests a minute.
pub(super) fn too_many_requests(permits: u32, wait_ms: u64) -> ApiError {
    let message = format!("the token may make {} a minute", counted(permits, "request", "requests"));
    ApiError::too_fast(Code::RequestRate, message, wait_ms)
        .of_limit(LimitName::OfMap(&Limit::REQUESTS_PER_MINUTE), permits.into())
}

/// The caller, as the audit log names them.
pub(super) fn caller(who: &Who) -> Caller {
    match who {
        Who::Admin => Caller::Admin,
        Who::Token(token) => Caller::Token(token.id),
    }
}

impl Edge {
    /// Who holds `token`. An error also for an address that guesses tokens, and on a node that can't know
    /// which tokens were revoked.
    pub async fn authenticate(&self, request: &HttpRequest, token: Option<&str>) -> Result<Who, Refused> {
        self.authenticate_on(request, token, None).await
    }

    /// Like [`Edge::authenticate`], for a request that names a map: a client token must be one of an issuer
    /// of this map.
    pub async fn authenticate_on(
        &self,
        request: &HttpRequest,
        token: Option<&str>,
        map: Option<&str>,
    ) -> Result<Who, Refused> {
        if self.hub.health().is_removed() {
            return Err(Unavailable::Removed.into());
        }
        self.identify(request, token, map).await
    }

    /// Finds out who holds `token`. White space around it does not count: a token that was read from a file
    /// may end with a line break. Without a token the cookie of the console counts.
    async fn identify(
        &self,
        request: &HttpRequest,
        token: Option<&str>,
        map: Option<&str>,
    ) -> Result<Who, Refused> {
        let who = match token.map(str::trim).filter(|token| !token.is_empty()) {
            // What is rare is boxed: it would make every other request larger.
            None => Box::pin(self.session(request, map, true)).await?.1,
            Some(token) if token.starts_with(LINK_PREFIX) => {
                let (link, who) = Box::pin(self.link(request, token)).await?;
                opens(&link, request)?;
                who
            }
            Some(token) => self.holder_of(request, token, map).await?,
        };
        know(request);
        Ok(who)
    }

    /// The session of the request's cookie, and whom it stands for. `must_prove`: the request must carry the
    /// header that belongs to the cookie, which a page of another site can't know. A cookie opens no socket:
    /// no page can send the header with one.
    pub(super) async fn session(
        &self,
        request: &HttpRequest,
        map: Option<&str>,
        must_prove: bool,
    ) -> Result<(Session, Who), Refused> {
        let is_other = [AUTHORIZATION, UPGRADE].iter().any(|name| request.headers().contains_key(name));
        let console = self.config.console.as_ref().filter(|_| !is_other);
        let name = console.map(|console| kept::session_cookie(console.is_secure));
        let Some(cookie) = name.and_then(|name| kept::cookie(request, name)) else {
            return Err(Refused::NoToken);
        };
        let encryption = kept::encryption(&self.hub).await?;
        let given = request.headers().get(X_WAYPOST_CSRF).and_then(|given| given.to_str().ok());
        // A page of this host that knows nothing of the console sends the cookie too: it guesses nothing.
        if must_prove && given.is_none() {
            return Err(Refused::NoToken);
        }
        let is_proved = || given.is_some_and(|given| kept::is_csrf(&encryption, cookie, given));
        let session = kept::session(&encryption, cookie).filter(|_| !must_prove || is_proved());
        let Some(session) = session else { return Err(self.wrong(request)) };
        if session.seconds_left(self.hub.clock().time_ms()).is_none() {
            return Err(Refused::Unauthorized);
        }
        let who = self.holder_with(request, &session.credential, map).await?;
        note_caller(request, caller(&who));
        Ok((session, who))
    }

    /// The portal link with that token, and who comes with it. Unknown, ended and revoked links are refused
    /// alike.
    pub(super) async fn link(&self, request: &HttpRequest, token: &str) -> Result<(Link, Who), Refused> {
        let encryption = kept::encryption(&self.hub).await?;
        let link = kept::link(&encryption, token).filter(|_| self.config.console.is_some());
        let Some(link) = link else { return Err(self.wrong(request)) };
        if link.end_ms <= self.hub.clock().time_ms() {
            return Err(Refused::Unauthorized);
        }
        let map = link.map.to_string();
        let maker = self.holder_with(request, &link.maker, Some(map.as_str())).await?;
        let who = self.hub.access().who_of_link(&link, &maker).ok_or(Refused::Unauthorized)?;
        note_caller(request, Caller::Link(maker.by()));
        Ok((link, who))
    }

    /// Whom a credential stands for that a browser keeps. It is checked as a token is.
    async fn holder_with(
        &self,
        request: &HttpRequest,
        credential: &Credential,
        map: Option<&str>,
    ) -> Result<Who, Refused> {
        let tag = self.config.console.as_ref().and_then(|console| console.oidc_tag);
        if matches!(credential, Credential::Person(person) if Some(person.settings) != tag) {
            return Err(Refused::Unauthorized);
        }
        self.hub.access().know_revokes().await;
        if let Some(who) = self.hub.access().who_of_here(credential, map) {
            return Ok(who);
        }
        let address = address_of(request);
        self.failures.check(address)?;
        let who = self.hub.access().who_of(credential, map).await?;
        who.ok_or_else(|| {
            self.failures.count(address);
            Refused::Unauthorized
        })
    }

    /// The caller's own credential, for something that shall end with it.
    pub(super) async fn credential(&self, request: &HttpRequest) -> Result<Credential, Refused> {
        match bearer(request) {
            Some(token) => Ok(Credential::Token(hash_token(token))),
            None => Ok(self.session(request, None, true).await?.0.credential),
        }
    }

    /// Counts something that the cluster has not made, as a wrong token is counted.
    fn wrong(&self, request: &HttpRequest) -> Refused {
        let address = address_of(request);
        if let Err(refused) = self.failures.check(address) {
            return refused;
        }
        self.failures.count(address);
        Refused::Unauthorized
    }

    async fn holder_of(&self, request: &HttpRequest, token: &str, map: Option<&str>) -> Result<Who, Refused> {
        self.hub.access().know_revokes().await;
        if let Some(who) = self.hub.access().who_here(token) {
            note_caller(request, caller(&who));
            return Ok(who);
        }
        if is_client_token(token) {
            return self.client_of(request, token, map).await;
        }
        // Only a client that presents an unknown token is held up. Others behind the same address are not.
        let address = address_of(request);
        self.failures.check(address)?;
        match self.hub.access().who(token).await? {
            Some(who) => {
                note_caller(request, caller(&who));
                Ok(who)
            }
            None => {
                self.failures.count(address);
                Err(Refused::Unauthorized)
            }
        }
    }

    /// The client of a client token. Whoever presents a valid one is let in, however many wrong ones came
    /// from the same address.
    async fn client_of(&self, request: &HttpRequest, token: &str, map: Option<&str>) -> Result<Who, Refused> {
        let clients = self.hub.access().clients();
        let address = address_of(request);
        let found = match clients.who_here(token, map).await {
            Ok(who) => Ok(who),
            Err(ClientError::Encryption(_)) => return Err(Unavailable::NoKey.into()),
            Err(why) => {
                self.failures.check(address)?;
                clients.who_after(why, token, map).await?
            }
        };
        match found {
            Ok(who) => {
                note_caller(request, caller(&who));
                Ok(who)
            }
            Err(why) => {
                self.failures.count(address);
                Err(match why {
                    // An issuer of the map has signed it, so no stranger learns this.
                    ClientError::Token(JwtError::LivesTooLong { most_s }) => Refused::LongToken { most_s },
                    _ => Refused::Unauthorized,
                })
            }
        }
    }

    /// Catches up with the leader, so that this node sees what was acknowledged on another node. Without a
    /// majority, what this node knows must do.
    pub async fn catch_up(&self) {
        if let Err(error) = self.hub.log().barrier().await {
            tracing::debug!(%error, "answering from what this node knows");
        }
    }

    /// The right to manage a map. This node has caught up and the request is charged. Strangers are refused
    /// before they cost the leader anything.
    pub async fn managed(&self, request: &HttpRequest, map: &str) -> Result<Grant, ApiError> {
        self.authenticate(request, bearer(request)).await?;
        self.catch_up().await;
        let grant = self.grant(request, bearer(request), map, Scopes::MANAGE).await?;
        self.charge(&grant).await?;
        Ok(grant)
    }

    /// Succeeds for the admin. It also works on a node that was removed, because that node shall report its
    /// removal.
    pub async fn admin(&self, request: &HttpRequest) -> Result<(), ApiError> {
        match self.identify(request, bearer(request), None).await? {
            Who::Admin => Ok(()),
            Who::Token(_) => Err(ApiError::forbidden("this needs the admin token")),
        }
    }

    /// Succeeds for the admin, and for the holder of a token of the cluster with that scope.
    pub async fn admin_or(&self, request: &HttpRequest, scope: AdminScope) -> Result<(), ApiError> {
        self.hub.access().know_revokes().await;
        let hash = bearer(request).map(hash_token);
        // A node that was removed can't know which of them were revoked.
        let hash = hash.filter(|_| !self.hub.health().is_removed());
        let found = hash.and_then(|hash| self.hub.access().known().admin_tokens().with(&hash).cloned());
        let Some(token) = found else { return self.admin(request).await };
        know(request);
        note_caller(request, Caller::Token(token.id));
        if token.scopes.contains(&scope) {
            return Ok(());
        }
        Err(ApiError::forbidden(format!("the token lacks the scope {}", scope.name())))
    }

    /// The right to do `scope` on the map named in the path. A caller whose token is limited to some subjects
    /// or by a filter has none: the request may show or change others.
    pub async fn grant(
        &self,
        request: &HttpRequest,
        token: Option<&str>,
        map: &str,
        scope: Scopes,
    ) -> Result<Grant, Refused> {
        let grant = self.grant_limited(request, token, map, scope).await?;
        if grant.who.is_limited() { Err(Refused::Forbidden(scope)) } else { Ok(grant) }
    }

    /// Like [`Edge::grant`], for a request that looks at the limits of the caller's token itself.
    pub async fn grant_limited(
        &self,
        request: &HttpRequest,
        token: Option<&str>,
        map: &str,
        scope: Scopes,
    ) -> Result<Grant, Refused> {
        let who = self.authenticate_on(request, token, Some(map)).await?;
        let grant = granted(&self.hub, who, map, scope).await?;
        note_map(request, grant.map.id);
        Ok(grant)
    }

    /// Charges an API request to the caller's token. The admin has no limit.
    pub async fn charge(&self, grant: &Grant) -> Result<(), ApiError> {
        let (Who::Token(token), Some(permits)) = (&grant.who, grant.map.limits.requests_per_minute) else {
            return Ok(());
        };
        let charged = self.hub.quota().charge_request(token.id, permits).await;
        charged.map_err(|wait_ms| too_many_requests(permits, wait_ms))
    }

    /// Counts a session for the address that it comes from, and for its token and map, until the result is
    /// dropped. The admin's sessions count for the address alone. At a limit it waits a moment for another
    /// session to end: a page that is loaded again opens the new one at once.
    pub async fn count_session(
        &self,
        request: &HttpRequest,
        who: &Who,
        kind: SessionKind,
    ) -> Result<Counted, Quota> {
        let until = Instant::now() + FULL_WAIT;
        loop {
            match self.try_count(address_of(request), who, kind) {
                Err(_) if Instant::now() < until => tokio::time::sleep(FULL_PAUSE).await,
                counted => return counted,
            }
        }
    }

    fn try_count(&self, address: IpAddr, who: &Who, kind: SessionKind) -> Result<Counted, Quota> {
        let address = self.addresses.take(address, self.config.sockets_per_address)?;
        let Who::Token(token) = who else {
            return Ok(Counted { _address: address, _sessions: [None, None] });
        };
        let limit = self.hub.access().known().map(token.map).and_then(|map| map.limits.connections);
        let owner = (token.id, token.map);
        let of_client = token.client().and_then(|client| self.sessions.take_client(token.id, client));
        let of_client = of_client.transpose().map_err(Quota::Sessions)?;
        let session = self.sessions.take(kind, owner, limit, self.config.most_sessions);
        let session = session.map_err(Quota::Sessions)?;
        Ok(Counted { _address: address, _sessions: [Some(session), of_client] })
    }

    /// Checks that the origin of the browser's page may connect.
    pub fn check_origin(&self, request: &HttpRequest) -> Result<(), Refused> {
        let origin = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok());
        let known = &self.config.origins;
        let allowed =
            known.is_empty() || origin.is_none_or(|origin| known.iter().any(|known| known == origin));
        if allowed { Ok(()) } else { Err(Refused::Origin) }
    }
}
