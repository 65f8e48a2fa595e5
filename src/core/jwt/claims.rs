//! The claims of a token whose signature was verified.

use super::{JwtError, LEEWAY_MS, MAX_NAME_LEN};
use serde_json::{Map, Value};

/// The last moment that a time in a token may name: the end of the year 9999 (Unix seconds).
const LAST_SECOND: f64 = 253_402_300_799.0;

/// The claims of a verified token: its JSON object. The registered claims have the right types.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    object: Map<String, Value>,
    exp_ms: u64,
    iat_ms: Option<u64>,
}

impl Claims {
    /// Checks the registered claims of a token's object at that time.
    pub(super) fn check(object: Map<String, Value>, now_ms: u64) -> Result<Self, JwtError> {
        for name in ["sub", "jti"] {
            match object.get(name) {
                None => {}
                Some(Value::String(text)) if (1..=MAX_NAME_LEN).contains(&text.len()) => {}
                Some(_) => return Err(JwtError::BadClaim(name)),
            }
        }
        let exp_ms = time(&object, "exp")?.ok_or(JwtError::MissingClaim("exp"))?;
        let iat_ms = time(&object, "iat")?;
        let nbf_ms = time(&object, "nbf")?;
        if exp_ms <= now_ms {
            return Err(JwtError::Expired);
        }
        let latest = now_ms.saturating_add(LEEWAY_MS);
        if iat_ms.is_some_and(|at| at > latest) || nbf_ms.is_some_and(|at| at > latest) {
            return Err(JwtError::NotYet);
        }
        Ok(Self { object, exp_ms, iat_ms })
    }

    /// Returns whom the token is about.
    pub fn sub(&self) -> Option<&str> {
        self.text("sub")
    }

    /// Returns the token's own id.
    pub fn jti(&self) -> Option<&str> {
        self.text("jti")
    }

    /// Returns when the token ends (Unix milliseconds).
    pub fn exp_ms(&self) -> u64 {
        self.exp_ms
    }

    /// Returns when the token was issued (Unix milliseconds), if it says so.
    pub fn iat_ms(&self) -> Option<u64> {
        self.iat_ms
    }

    /// Returns the claim with that name, if it is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.object.get(name).and_then(Value::as_str)
    }

    /// Returns all claims.
    pub fn object(&self) -> &Map<String, Value> {
        &self.object
    }
}

/// Reads a time: a number of seconds, which may have a fraction.
fn time(object: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, JwtError> {
    let Some(value) = object.get(name) else { return Ok(None) };
    let seconds = value.as_f64().ok_or(JwtError::BadClaim(name))?;
    if !(0.0..=LAST_SECOND).contains(&seconds) {
        return Err(JwtError::BadClaim(name));
    }
    Ok(Some((seconds * 1000.0) as u64))
}
