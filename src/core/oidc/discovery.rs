//! What an issuer says of itself at `/.well-known/openid-configuration`.

use super::{Attempt, OidcSettings};
use crate::core::jwt::Algorithm;
use serde::Deserialize;
use url::Url;

/// Longest document (bytes).
pub const MAX_DISCOVERY_LEN: usize = 64 * 1024;
/// The ways of a client to say who it is: the secret as a password, or in the body.
const BASIC: &str = "client_secret_basic";
const IN_BODY: &str = "client_secret_post";

/// The members of the document that are used.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

/// Where an issuer signs people in, and how its tokens are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    authorization: Url,
    /// Where a code is exchanged for tokens.
    pub token_url: String,
    /// Where its keys are (JWKS).
    pub keys_url: String,
    /// The algorithms with which it signs, of those that are known here. HS256 is never among them.
    pub algorithms: Vec<Algorithm>,
    /// Whether the client's secret goes into the body of the exchange.
    pub secret_in_body: bool,
}

/// Why a document can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDiscovery {
    /// It is no JSON object with the members that are needed.
    #[error("the document is not one of OpenID Connect Discovery: {0}")]
    Form(String),
    /// It is that of another issuer.
    #[error("the document is that of the issuer {0}")]
    Issuer(String),
    /// People can't be sent to that address.
    #[error("the address at which people sign in is not http(s)")]
    Address,
    /// It signs with no algorithm that is known here.
    #[error("the issuer signs with none of RS256, ES256 and EdDSA")]
    Algorithm,
}

impl Discovery {
    /// Where the document of an issuer is.
    pub fn url_of(issuer: &str) -> String {
        format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
    }

    /// Reads the document of that issuer.
    pub fn read(text: &str, issuer: &str) -> Result<Self, BadDiscovery> {
        let document: Document =
            serde_json::from_str(text).map_err(|error| BadDiscovery::Form(error.to_string()))?;
        if document.issuer != issuer {
            return Err(BadDiscovery::Issuer(document.issuer.chars().take(200).collect()));
        }
        let authorization =
            Url::parse(&document.authorization_endpoint).map_err(|_| BadDiscovery::Address)?;
        if !matches!(authorization.scheme(), "https" | "http") || authorization.fragment().is_some() {
            return Err(BadDiscovery::Address);
        }
        let public = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
        let told = document.id_token_signing_alg_values_supported;
        // Every issuer can sign with RS256, says the standard.
        let is_told = |algorithm: &Algorithm| match told.is_empty() {
            true => *algorithm == Algorithm::Rs256,
            false => told.iter().any(|name| name == algorithm.name()),
        };
        let algorithms: Vec<Algorithm> = public.into_iter().filter(is_told).collect();
        if algorithms.is_empty() {
            return Err(BadDiscovery::Algorithm);
        }
        let methods = document.token_endpoint_auth_methods_supported;
        let takes = |method: &str| methods.iter().any(|taken| taken == method);
        Ok(Self {
            authorization,
            token_url: document.token_endpoint,
            keys_url: document.jwks_uri,
            algorithms,
            secret_in_body: takes(IN_BODY) && !takes(BASIC),
        })
    }

    /// Where a person is sent to sign in.
    pub fn sign_in_url(&self, settings: &OidcSettings, attempt: &Attempt) -> String {
        let mut url = self.authorization.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &settings.redirect_uri)
            .append_pair("scope", &settings.scopes.join(" "))
            .append_pair("state", &attempt.state)
            .append_pair("nonce", &attempt.nonce)
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256");
        url.into()
    }
}
