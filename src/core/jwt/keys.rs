//! The keys of a verifier: one of a secret or a PEM text, or those of a JWKS document.

use super::json::read_object;
use super::{
    Algorithm, JwtError, KeyError, KeySource, MAX_JWKS_KEYS, MAX_JWKS_LEN, MAX_NAME_LEN, MAX_PEM_LEN,
    MAX_SECRET_LEN,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// The sizes of RSA keys that are accepted (bits).
const RSA_BITS: RangeInclusive<usize> = 2048..=4096;
/// The size of the two coordinates of P-256 (bytes).
const P256_COORDINATE: usize = 32;
/// The size of a public key of Ed25519 (bytes).
const ED25519_KEY: usize = 32;

/// Keys of one algorithm.
#[derive(Clone)]
pub(super) enum Keys {
    /// One key: a token's `kid` means nothing.
    One(DecodingKey),
    /// The keys of a JWKS document with their ids.
    Several(Vec<(Option<String>, DecodingKey)>),
}

impl Keys {
    /// Reads the keys of an algorithm.
    pub(super) fn read(algorithm: Algorithm, source: &KeySource) -> Result<Self, KeyError> {
        match (algorithm, source) {
            (Algorithm::Hs256, KeySource::Secret(secret)) => of_secret(secret).map(Self::One),
            (Algorithm::Hs256, _) | (_, KeySource::Secret(_)) => Err(KeyError::WrongSource),
            (_, KeySource::Pem(pem)) => of_pem(algorithm, pem).map(Self::One),
            (_, KeySource::Jwks(document)) => of_jwks(algorithm, document).map(Self::Several),
        }
    }

    /// Returns the key that a token means.
    pub(super) fn find(&self, kid: Option<&str>) -> Result<&DecodingKey, JwtError> {
        let keys = match self {
            Self::One(key) => return Ok(key),
            Self::Several(keys) => keys,
        };
        match (kid, keys.as_slice()) {
            (None, [(_, only)]) => Ok(only),
            (None, _) => Err(JwtError::NoKeyId),
            (Some(kid), keys) => {
                let found = keys.iter().find(|(id, _)| id.as_deref() == Some(kid));
                found.map(|(_, key)| key).ok_or(JwtError::UnknownKey)
            }
        }
    }

    /// Returns how many keys there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Several(keys) => keys.len(),
        }
    }
}

fn of_secret(secret: &str) -> Result<DecodingKey, KeyError> {
    if secret.len() > MAX_SECRET_LEN {
        return Err(KeyError::TooLong);
    }
    if secret.trim_start().starts_with("-----BEGIN") {
        return Err(KeyError::PemSecret);
    }
    DecodingKey::from_secret(secret.as_bytes()).map_err(|_| KeyError::EmptySecret)
}

fn of_pem(algorithm: Algorithm, pem: &str) -> Result<DecodingKey, KeyError> {
    if pem.len() > MAX_PEM_LEN {
        return Err(KeyError::TooLong);
    }
    let begin = pem.trim_start();
    let public = ["-----BEGIN PUBLIC KEY-----", "-----BEGIN RSA PUBLIC KEY-----"];
    if !public.iter().any(|label| begin.starts_with(label)) {
        return Err(KeyError::BadPem);
    }
    let key = match algorithm {
        Algorithm::Hs256 => return Err(KeyError::WrongSource),
        Algorithm::Rs256 => DecodingKey::from_rsa_pem(pem.as_bytes()),
        Algorithm::Es256 => DecodingKey::from_ec_pem(pem.as_bytes()),
        Algorithm::EdDsa => DecodingKey::from_ed_pem(pem.as_bytes()),
    };
    let key = key.map_err(|_| KeyError::BadPem)?;
    match algorithm {
        Algorithm::Rs256 => check_rsa(&key)?,
        _ if !is_usable(algorithm, &key) => return Err(KeyError::BadPem),
        _ => {}
    }
    Ok(key)
}

/// Checks an RSA key of a PEM text: its DER form, and its size.
fn check_rsa(key: &DecodingKey) -> Result<(), KeyError> {
    let read = Jwk::from_decoding_key(key, None).map_err(|_| KeyError::BadPem)?;
    let AlgorithmParameters::RSA(parameters) = read.algorithm else { return Err(KeyError::BadPem) };
    let modulus = URL_SAFE_NO_PAD.decode(parameters.n).map_err(|_| KeyError::BadPem)?;
    if RSA_BITS.contains(&bits(&modulus)) { Ok(()) } else { Err(KeyError::RsaSize) }
}

/// Returns the number of bits of a big-endian number.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    match number.get(zeros) {
        None => 0,
        Some(first) => (number.len() - zeros) * 8 - first.leading_zeros() as usize,
    }
}

/// Whether the crate can verify with the key. Its verifier of Ed25519 takes the length of a key for granted.
fn is_usable(algorithm: Algorithm, key: &DecodingKey) -> bool {
    let whole = match algorithm {
        Algorithm::EdDsa => key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() == ED25519_KEY),
        _ => true,
    };
    whole && (DEFAULT_PROVIDER.verifier_factory)(&algorithm.of_crate(), key).is_ok()
}

type KeyWithId = (Option<String>, DecodingKey);

/// Reads the keys of a JWKS document. Keys of other kinds and uses, and keys that the algorithm can't use,
/// are left out, as RFC 7517 asks.
fn of_jwks(algorithm: Algorithm, document: &str) -> Result<Vec<KeyWithId>, KeyError> {
    if document.len() > MAX_JWKS_LEN {
        return Err(KeyError::TooLong);
    }
    let mut object = read_object(document.as_bytes()).map_err(|_| KeyError::BadJwks)?;
    let Some(Value::Array(listed)) = object.remove("keys") else { return Err(KeyError::BadJwks) };
    if listed.len() > MAX_JWKS_KEYS {
        return Err(KeyError::TooManyKeys);
    }
    let mut keys: Vec<KeyWithId> = Vec::new();
    for key in &listed {
        let Value::Object(key) = key else { return Err(KeyError::BadJwks) };
        if key.contains_key("d") || key.contains_key("k") {
            return Err(KeyError::PrivateKey);
        }
        let Some((id, key)) = of_jwk(algorithm, key) else { continue };
        if id.is_some() && keys.iter().any(|(other, _)| *other == id) {
            return Err(KeyError::SameKeyId);
        }
        keys.push((id, key));
    }
    if keys.is_empty() { Err(KeyError::NoKey) } else { Ok(keys) }
}

/// Reads one key with its id; `None` if the algorithm can't use it.
fn of_jwk(algorithm: Algorithm, key: &Map<String, Value>) -> Option<KeyWithId> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let is_absent_or = |name: &str, wanted: &str| match key.get(name) {
        None => true,
        Some(value) => value.as_str() == Some(wanted),
    };
    let verifies = match key.get("key_ops") {
        None => true,
        Some(Value::Array(uses)) => uses.iter().any(|item| item.as_str() == Some("verify")),
        Some(_) => false,
    };
    if !is_absent_or("use", "sig") || !is_absent_or("alg", algorithm.name()) || !verifies {
        return None;
    }
    let id = match key.get("kid") {
        None => None,
        Some(Value::String(id)) if id.len() <= MAX_NAME_LEN => Some(id.clone()),
        Some(_) => return None,
    };
    let part = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let read = match (algorithm, text("kty")?, text("crv")) {
        (Algorithm::Rs256, "RSA", _) => {
            let (modulus, exponent) = (part("n")?, part("e")?);
            let good = RSA_BITS.contains(&bits(&modulus)) && (2..=33).contains(&bits(&exponent));
            good.then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))?
        }
        (Algorithm::Es256, "EC", Some("P-256")) => {
            let whole = [part("x")?, part("y")?].iter().all(|part| part.len() == P256_COORDINATE);
            whole.then(|| DecodingKey::from_ec_components(text("x")?, text("y")?).ok()).flatten()?
        }
        (Algorithm::EdDsa, "OKP", Some("Ed25519")) => DecodingKey::from_ed_components(text("x")?).ok()?,
        _ => return None,
    };
    is_usable(algorithm, &read).then_some((id, read))
}
