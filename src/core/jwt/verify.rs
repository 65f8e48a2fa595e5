//! Verifies tokens.

use super::json::read_object;
use super::keys::Keys;
use super::{Algorithm, Claims, JwtError, KeyError, KeySource, MAX_NAME_LEN, MAX_TOKEN_LEN};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::fmt;

/// The kinds of tokens (`typ`) that are accepted. Those for other uses, such as logout tokens, are refused.
const TYPES: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];
/// Header members that change what the signature covers.
const REFUSED: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// Verifies the tokens of one issuer. `Debug` shows no key.
#[derive(Clone)]
pub struct Verifier {
    algorithm: Algorithm,
    keys: Keys,
    issuer: Option<Box<str>>,
    audience: Option<Box<str>>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("algorithm", &self.algorithm)
            .field("keys", &self.keys.len())
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish()
    }
}

impl Verifier {
    /// Builds a verifier. With an `issuer`, tokens must have it as `iss`; with an `audience`, `aud` must be
    /// it or list it.
    pub fn new(
        algorithm: Algorithm,
        source: &KeySource,
        issuer: Option<&str>,
        audience: Option<&str>,
    ) -> Result<Verifier, KeyError> {
        let keys = Keys::read(algorithm, source)?;
        Ok(Self { algorithm, keys, issuer: issuer.map(Box::from), audience: audience.map(Box::from) })
    }

    /// Verifies a token at that time (Unix milliseconds) and returns its claims.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Claims, JwtError> {
        let parts = Parts::of(token)?;
        let kid = self.check_header(&parts.header()?)?;
        let key = self.keys.find(kid.as_deref())?;
        let verified = jsonwebtoken::crypto::verify(
            parts.signature,
            parts.signed.as_bytes(),
            key,
            self.algorithm.of_crate(),
        );
        if !matches!(verified, Ok(true)) {
            return Err(JwtError::BadSignature);
        }
        let claims = Claims::check(parts.claims()?, now_ms)?;
        self.check_names(&claims)?;
        Ok(claims)
    }

    /// Checks the header and returns the token's `kid`.
    fn check_header(&self, header: &Map<String, Value>) -> Result<Option<String>, JwtError> {
        if header.get("alg").and_then(Value::as_str) != Some(self.algorithm.name()) {
            return Err(JwtError::WrongAlgorithm);
        }
        if let Some(name) = REFUSED.iter().find(|name| header.contains_key(**name)) {
            return Err(JwtError::BadHeader(name));
        }
        match header.get("typ") {
            None => {}
            Some(Value::String(given)) if TYPES.iter().any(|known| known.eq_ignore_ascii_case(given)) => {}
            Some(_) => return Err(JwtError::BadHeader("typ")),
        }
        match header.get("kid") {
            None => Ok(None),
            Some(Value::String(kid)) if kid.len() <= MAX_NAME_LEN => Ok(Some(kid.clone())),
            Some(_) => Err(JwtError::BadHeader("kid")),
        }
    }

    /// Checks that the token is of the issuer, and for the audience.
    fn check_names(&self, claims: &Claims) -> Result<(), JwtError> {
        if let Some(issuer) = self.issuer.as_deref()
            && claims.text("iss") != Some(issuer)
        {
            return Err(JwtError::WrongIssuer);
        }
        let Some(audience) = self.audience.as_deref() else { return Ok(()) };
        let names = match claims.object().get("aud") {
            Some(Value::String(only)) => only == audience,
            Some(Value::Array(listed)) => listed.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        };
        if names { Ok(()) } else { Err(JwtError::WrongAudience) }
    }
}

/// What a token says of itself, which nobody has verified: use it only to pick the verifiers to ask.
#[derive(Clone, Debug)]
pub struct Unverified {
    claims: Map<String, Value>,
}

impl Unverified {
    /// Reads a token's claims.
    pub fn read(token: &str) -> Result<Self, JwtError> {
        let parts = Parts::of(token)?;
        parts.header()?;
        Ok(Self { claims: parts.claims()? })
    }

    /// Returns the issuer that the token names.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Returns all claims.
    pub fn object(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// The three parts of a token.
struct Parts<'a> {
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
    /// What the signature is over: the header, a dot and the claims.
    signed: &'a str,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Result<Self, JwtError> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(JwtError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::NotThreeParts)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::NotThreeParts)?;
        if claims.contains('.') {
            return Err(JwtError::NotThreeParts);
        }
        Ok(Self { header, claims, signature, signed })
    }

    fn header(&self) -> Result<Map<String, Value>, JwtError> {
        read_part(self.header)
    }

    fn claims(&self) -> Result<Map<String, Value>, JwtError> {
        read_part(self.claims)
    }
}

fn read_part(part: &str) -> Result<Map<String, Value>, JwtError> {
    let text = URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::NotBase64)?;
    read_object(&text)
}
