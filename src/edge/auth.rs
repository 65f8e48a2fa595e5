//! Authentication over HTTP: the token in the header, and its rights on the map in the path.

use super::addresses::{AddressShare, address_of};
use super::audit::facts::{Caller, note_caller, note_map};
use super::clients::Client;
use super::context::Edge;
use super::error::ApiError;
use super::refused::{Quota, Refused, Unavailable};
use super::sessions::{CountedSession, SessionKind};
use crate::core::access::{Scopes, hash_token};
use crate::core::admin_token::AdminScope;
use crate::core::error_code::Code;
use crate::core::limits::{Limit, LimitName};
use crate::hub::{ClientError, FULL_WAIT, Grant, Hub, Who};
use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, ORIGIN};
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

/// 429: the token may make so many requests a minute.
pub(super) fn too_many_requests(permits: u32, wait_ms: u64) -> ApiError {
    let message = format!("the token may make {permits} requests a minute");
    ApiError::too_fast(Code::RequestRate, message, wait_ms)
        .of_limit(LimitName::OfMap(&Limit::REQUESTS_PER_MINUTE), permits.into())
}

fn caller(who: &Who) -> Caller {
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

    /// Finds out who holds `token`. White space around it does not count: a token that was read from a file may
    /// end with a line break.
    async fn identify(
        &self,
        request: &HttpRequest,
        token: Option<&str>,
        map: Option<&str>,
    ) -> Result<Who, Refused> {
        let token = token.map(str::trim).filter(|token| !token.is_empty()).ok_or(Refused::Unauthorized)?;
        let who = self.holder_of(request, token, map).await?;
        know(request);
        Ok(who)
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
            Ok(who) => Some(who),
            Err(ClientError::Encryption(_)) => return Err(Unavailable::NoKey.into()),
            Err(why) => {
                self.failures.check(address)?;
                clients.who_after(why, token, map).await?
            }
        };
        match found {
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
