//! Client tokens (JWTs): finds their issuer, verifies them, and says as whom their clients act.
//!
//! What a token says of itself picks the issuers that are asked; verification alone decides. If the request
//! names a map, its issuers are asked. Otherwise those of the map that the claim `waypost.map` names;
//! otherwise those whose tokens have the token's `iss`.

mod documents;

pub use documents::KeyRequest;

use super::bridge::Bridge;
use super::error::HubError;
use super::log::Log;
use super::vault::{EncryptionError, Vault};
use super::who::{Holder, Who};
use crate::clock::now_ms;
use crate::core::ids::{MapId, TokenId};
use crate::core::issuer::{
    ClaimMapping, Client, Issuer, IssuerKeys, LOGIN_ISSUER, WAYPOST_CLAIM, is_revoked,
};
use crate::core::jwt::{Algorithm, Claims, JwtError, KeySource, SignError, Signer, Unverified, Verifier};
use documents::Documents;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

/// Longest wait for the cluster's key on a node that has just started.
const KEY_WAIT: Duration = Duration::from_secs(5);
/// Longest wait for the keys of issuers that are fetched, for all issuers of one token.
const KEYS_WAIT: Duration = Duration::from_secs(3);
/// The most issuers that are asked about one token.
const MOST_ASKED: usize = 32;
/// How long the tokens live that the cluster itself hands out, unless the cap on lifetimes is shorter.
const LOGIN_LIFE: Duration = Duration::from_secs(86_400);

/// Why a client token is refused.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The token is malformed, was not signed by its issuer, or is not valid now.
    #[error(transparent)]
    Token(#[from] JwtError),
    /// No issuer of the map, or none that the token names, has signed it.
    #[error("no issuer has signed the token")]
    NoIssuer,
    /// Issuers of several maps have signed it, and neither the request nor the token names one of them.
    #[error("issuers of several maps have signed the token, which names no map")]
    Ambiguous,
    /// It was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// The keys of its issuer could not be fetched yet.
    #[error("the keys of the token's issuer are not known yet")]
    NoKeys,
    /// This node lacks the cluster's key, so it can't open the issuer's secret.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// A token can't be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl ClientError {
    /// Whether only the holder of a token that an issuer of the cluster has signed is refused so.
    fn is_of_signer(&self) -> bool {
        matches!(self, Self::Token(JwtError::LivesTooLong { .. }))
    }

    /// Whether a change on another node, which this node has not applied yet, may make the token valid.
    fn may_be_outdated(&self) -> bool {
        matches!(self, Self::NoIssuer | Self::Token(JwtError::BadSignature | JwtError::UnknownKey))
    }
}

/// The verifiers that were built, with the issuers that they are of.
type Built = FxHashMap<TokenId, (Arc<Issuer>, Arc<Verifier>)>;

/// Verifies client tokens; cheap to clone.
#[derive(Clone)]
pub struct ClientTokens {
    bridge: Arc<Bridge>,
    log: Log,
    vault: Vault,
    /// The longest lifetime of a token.
    longest: Duration,
    built: Arc<Mutex<Built>>,
    documents: Arc<Documents>,
}

impl ClientTokens {
    pub(super) fn new(bridge: Arc<Bridge>, log: Log, vault: Vault, longest: Duration) -> Self {
        let documents = Arc::new(Documents::new(bridge.clone()));
        Self { bridge, log, vault, longest, built: Arc::default(), documents }
    }

    /// The longest lifetime of a token.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Takes the requests for the keys of issuers that are fetched by URL. `None` if they were taken before.
    pub fn take_key_requests(&self) -> Option<mpsc::Receiver<KeyRequest>> {
        self.documents.take_requests()
    }

    /// Notes what came of a request for keys: the JWKS document, or why there is none.
    pub fn keys_came(&self, request: &KeyRequest, document: Result<String, String>) {
        self.documents.came(request, document);
    }

    /// The client of a token, as far as this node knows. `map` is the one that the request names, if it names
    /// one.
    ///
    /// # Errors
    /// Why the token is refused.
    pub async fn who_here(&self, token: &str, map: Option<&str>) -> Result<Who, ClientError> {
        let given = Unverified::read(token)?;
        if given.issuer() == Some(LOGIN_ISSUER) {
            return self.logged_in(token, map).await;
        }
        let (asked, is_of_one_map) = self.asked(&given, map);
        let until = Instant::now() + KEYS_WAIT;
        let mut found: Option<(MapId, Who)> = None;
        let mut refused = ClientError::NoIssuer;
        for issuer in asked {
            match self.verify(&issuer, token, until).await {
                Ok(who) if is_of_one_map => return Ok(who),
                Ok(_) if found.as_ref().is_some_and(|(map, _)| *map != issuer.map) => {
                    return Err(ClientError::Ambiguous);
                }
                Ok(who) => found = Some((issuer.map, who)),
                // Whoever has the signature of an issuer may know more than that some issuer refused it.
                Err(why) if !refused.is_of_signer() => refused = why,
                Err(_) => {}
            }
        }
        found.map(|(_, who)| who).ok_or(refused)
    }

    /// The client of a token that was refused here. Its issuer may have been configured on another node a
    /// moment ago, so the leader is asked before it stays refused.
    ///
    /// # Errors
    /// The leader does not answer.
    pub async fn who_after(
        &self,
        refused: ClientError,
        token: &str,
        map: Option<&str>,
    ) -> Result<Result<Who, ClientError>, HubError> {
        let found = if refused.may_be_outdated() {
            self.log.barrier().await?;
            self.who_here(token, map).await
        } else {
            Err(refused)
        };
        if let Err(why) = &found {
            tracing::debug!(%why, "a client token was refused");
        }
        Ok(found)
    }

    /// The issuers that may have signed a token, and whether they are all of one map.
    fn asked(&self, given: &Unverified, map: Option<&str>) -> (Vec<Arc<Issuer>>, bool) {
        let claimed =
            given.object().get(WAYPOST_CLAIM).and_then(|own| own.get("map")).and_then(Value::as_str);
        let access = self.bridge.access();
        if let Some(name) = map.or(claimed) {
            let map = access.map_named(name).map(|map| map.id);
            let issuers = map.into_iter().flat_map(|map| access.issuers().of_map(map));
            return (issuers.cloned().collect(), true);
        }
        let named = given.issuer().into_iter().flat_map(|issuer| access.issuers().with_issuer(issuer));
        (named.take(MOST_ASKED).cloned().collect(), false)
    }

    async fn verify(&self, issuer: &Arc<Issuer>, token: &str, until: Instant) -> Result<Who, ClientError> {
        let claims = match &issuer.keys {
            IssuerKeys::Url(_) => self.verify_fetched(issuer, token, until).await?,
            IssuerKeys::Secret(_) | IssuerKeys::Pem(_) | IssuerKeys::Jwks(_) => {
                self.verifier(issuer).await?.verify(token, now_ms())?
            }
        };
        self.client_of(&claims, (issuer.map, issuer.token), &issuer.claims, Some(issuer.connections))
    }

    /// The client of verified claims, which acts as that token of the map. `connections` is the limit of those
    /// that name none.
    fn client_of(
        &self,
        claims: &Claims,
        (map, token): (MapId, TokenId),
        mapping: &ClaimMapping,
        connections: Option<u32>,
    ) -> Result<Who, ClientError> {
        let access = self.bridge.access();
        let (Some(map), Some(token)) = (access.map(map), access.token(token)) else {
            return Err(ClientError::NoIssuer);
        };
        let longest_ms = self.longest.as_millis() as u64;
        let client = Client::read(claims, mapping, longest_ms, |name| map.has_name(name))?;
        if is_revoked(access.revocations(), map.id, &client) {
            return Err(ClientError::Revoked);
        }
        let client = match connections {
            Some(connections) => client.limited_to(connections),
            None => client,
        };
        Ok(Who::Token(Holder::of_client(token, client)))
    }

    /// Verifies with keys that are fetched. If they are not known, or lack the token's, it waits for a
    /// bounded time for newer ones.
    async fn verify_fetched(
        &self,
        issuer: &Arc<Issuer>,
        token: &str,
        until: Instant,
    ) -> Result<Claims, ClientError> {
        if self.documents.is_too_old(issuer) {
            self.documents.refresh(issuer, until).await;
        }
        match self.documents.verifier(issuer).map(|verifier| verifier.verify(token, now_ms())) {
            Some(Ok(claims)) => return Ok(claims),
            Some(Err(JwtError::UnknownKey)) | None => {}
            Some(Err(why)) => return Err(why.into()),
        }
        self.documents.refresh(issuer, until).await;
        let verifier = self.documents.verifier(issuer).ok_or(ClientError::NoKeys)?;
        Ok(verifier.verify(token, now_ms())?)
    }

    /// The verifier of an issuer whose keys stand in its settings. It is built once.
    async fn verifier(&self, issuer: &Arc<Issuer>) -> Result<Arc<Verifier>, ClientError> {
        let known = self.built().get(&issuer.token).filter(|(of, _)| Arc::ptr_eq(of, issuer)).cloned();
        if let Some((_, verifier)) = known {
            return Ok(verifier);
        }
        let source = match &issuer.keys {
            IssuerKeys::Secret(encrypted) => {
                let encryption = self.vault.encryption_within(KEY_WAIT).await?;
                KeySource::Secret(encryption.open_secret(issuer.token, encrypted)?.expose().to_owned())
            }
            IssuerKeys::Pem(pem) => KeySource::Pem(pem.to_string()),
            IssuerKeys::Jwks(document) => KeySource::Jwks(document.to_string()),
            IssuerKeys::Url(_) => return Err(ClientError::NoKeys),
        };
        let verifier = documents::verifier_of(issuer, &source).map_err(|error| {
            tracing::error!(%error, issuer = %issuer.name, "the keys of an issuer can't be used");
            ClientError::NoKeys
        })?;
        let verifier = Arc::new(verifier);
        self.keep(issuer, &verifier);
        Ok(verifier)
    }

    /// Keeps a verifier. When there are as many as issuers, those of removed issuers are forgotten.
    fn keep(&self, issuer: &Arc<Issuer>, verifier: &Arc<Verifier>) {
        let access = self.bridge.access();
        let mut built = self.built();
        if built.len() >= access.issuers().all().count() {
            built.retain(|token, _| access.issuers().get(*token).is_some());
        }
        built.insert(issuer.token, (issuer.clone(), verifier.clone()));
    }

    fn built(&self) -> MutexGuard<'_, Built> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs a client token for the holder of a map's token. It ends with that token.
    ///
    /// # Errors
    /// This node lacks the cluster's key.
    pub async fn log_in(&self, holder: &Holder) -> Result<String, ClientError> {
        let secret = self.vault.encryption_within(KEY_WAIT).await?.login_secret();
        let iat = now_ms() / 1000;
        let scopes: Vec<&str> = holder.scopes.and(crate::core::access::Scopes::OF_ISSUERS).names();
        let claims = json!({
            "iss": LOGIN_ISSUER,
            "sub": holder.id.to_string(),
            "jti": Uuid::new_v4().to_string(),
            "iat": iat,
            "exp": iat + LOGIN_LIFE.min(self.longest).as_secs(),
            "waypost": { "map": holder.map.to_string(), "scopes": scopes },
        });
        let none = Map::new();
        let signer = Signer::with_secret(secret.expose().as_bytes())?;
        Ok(signer.sign(claims.as_object().unwrap_or(&none), None)?)
    }

    /// The client of a token that the cluster itself has signed. It acts as the map's token that it was made
    /// for.
    async fn logged_in(&self, token: &str, map: Option<&str>) -> Result<Who, ClientError> {
        let secret = self.vault.encryption_within(KEY_WAIT).await?.login_secret();
        let source = KeySource::Secret(secret.expose().to_owned());
        let verifier = Verifier::new(Algorithm::Hs256, &source, Some(LOGIN_ISSUER), None);
        let claims = verifier.map_err(|_| ClientError::NoKeys)?.verify(token, now_ms())?;
        let id: TokenId = claims
            .sub()
            .and_then(|sub| sub.parse().ok())
            .ok_or(ClientError::Token(JwtError::BadClaim("sub")))?;
        let of = self.bridge.access().token(id).map(|token| token.map).ok_or(ClientError::NoIssuer)?;
        let opens = |name: &str| self.bridge.access().map(of).is_some_and(|map| map.has_name(name));
        if map.is_some_and(|name| !opens(name)) {
            return Err(ClientError::NoIssuer);
        }
        // Its clients are those of one token, whose own limits count.
        self.client_of(&claims, (of, id), &ClaimMapping::default(), None)
    }
}

#[cfg(test)]
mod tests;
