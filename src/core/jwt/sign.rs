//! Signs tokens: those that the cluster hands out, and those of developers.

use super::{Algorithm, MAX_SECRET_LEN};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use serde_json::{Map, Value, json};
use std::fmt;

/// Why a token can't be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key is none of the algorithm.
    #[error("the key is not a private key of the algorithm in PEM form (PKCS #8; for RSA also PKCS #1)")]
    BadKey,
    /// The secret is empty or too long.
    #[error("the secret must have 1 to {MAX_SECRET_LEN} bytes")]
    BadSecret,
}

/// Signs tokens with one key. `Debug` shows no key.
#[derive(Clone)]
pub struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Signer {
    /// Signs with HS256 under a secret.
    pub fn with_secret(secret: &[u8]) -> Result<Self, SignError> {
        if secret.len() > MAX_SECRET_LEN {
            return Err(SignError::BadSecret);
        }
        let key = EncodingKey::from_secret(secret).map_err(|_| SignError::BadSecret)?;
        Ok(Self { algorithm: Algorithm::Hs256, key })
    }

    /// Signs with a private key in PEM form.
    pub fn with_pem(algorithm: Algorithm, pem: &str) -> Result<Self, SignError> {
        let key = match algorithm {
            Algorithm::Hs256 => return Err(SignError::BadKey),
            Algorithm::Rs256 => EncodingKey::from_rsa_pem(pem.as_bytes()),
            Algorithm::Es256 => EncodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDsa => EncodingKey::from_ed_pem(pem.as_bytes()),
        };
        Ok(Self { algorithm, key: key.map_err(|_| SignError::BadKey)? })
    }

    /// Signs claims; the header names the key `kid`, if there is one.
    pub fn sign(&self, claims: &Map<String, Value>, kid: Option<&str>) -> Result<String, SignError> {
        let mut header = json!({ "alg": self.algorithm.name(), "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let claims = Value::Object(claims.clone()).to_string();
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, self.algorithm.of_crate())
            .map_err(|_| SignError::BadKey)?;
        Ok(format!("{signed}.{signature}"))
    }
}
