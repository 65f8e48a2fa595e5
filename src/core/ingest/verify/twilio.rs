//! Twilio: HMAC-SHA1 over the whole address and the sorted parameters of a form. Of a JSON body, the address has
//! the SHA-256.

use super::{Incoming, Keys, Proof};
use crate::core::digest::Parts;
use crate::core::ingest::denied::Denied;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use subtle::ConstantTimeEq;

/// The header of the signature.
pub(super) const SIGNATURE: &str = "x-twilio-signature";
/// The parameter of the address with the SHA-256 of a JSON body.
const BODY_HASH: &str = "bodySHA256";

/// Verifies a request.
pub(super) fn verify(keys: &Keys, incoming: &Incoming<'_>) -> Result<Proof, Denied> {
    let given =
        STANDARD.decode(incoming.headers.need(SIGNATURE)?).map_err(|_| Denied::Malformed(SIGNATURE))?;
    let parameters = match body_hash(incoming.url) {
        Some(hash) => {
            if !bool::from(hex::encode(Sha256::digest(incoming.body)).as_bytes().ct_eq(hash.as_bytes())) {
                return Err(Denied::Body(BODY_HASH));
            }
            String::new()
        }
        None => parameters(incoming.body),
    };
    let mut is_known = false;
    for key in keys.valid_at(incoming.expiry_ms).filter(|key| !key.secret.is_empty()) {
        for url in addresses(incoming.url) {
            let mac = mac(key.secret.as_bytes(), &url, &parameters);
            is_known |= bool::from(mac.ct_eq(given.as_slice()));
        }
    }
    if !is_known {
        return Err(Denied::Mismatch(SIGNATURE));
    }
    // Not the bytes of the form: the same signature fits them in another order or coding.
    let content = Parts::default().with(incoming.url.as_bytes()).with(parameters.as_bytes());
    Ok(Proof { delivery: Some(content.half().to_vec()) })
}

/// The signature of an address with parameters, decoded.
pub(super) fn mac(secret: &[u8], url: &str, parameters: &str) -> Vec<u8> {
    // An HMAC takes a key of any length.
    let Ok(mut mac) = <Hmac<Sha1> as KeyInit>::new_from_slice(secret) else { return Vec::new() };
    mac.update(url.as_bytes());
    mac.update(parameters.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The names and values of a form, sorted and without anything between them. A value that a name has twice
/// counts once.
pub(super) fn parameters(body: &[u8]) -> String {
    let mut sorted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        sorted.entry(name.into_owned()).or_default().insert(value.into_owned());
    }
    let mut text = String::with_capacity(body.len());
    for (name, values) in &sorted {
        for value in values {
            text.push_str(name);
            text.push_str(value);
        }
    }
    text
}

/// The SHA-256 that the address names.
fn body_hash(url: &str) -> Option<&str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(BODY_HASH)?.strip_prefix('='))
}

/// The forms of an address that Twilio may have signed: as it is, and with or without the scheme's own port.
fn addresses(url: &str) -> Vec<String> {
    let mut all = vec![url.to_owned()];
    for (scheme, port) in [("https://", ":443"), ("http://", ":80")] {
        let Some(rest) = url.strip_prefix(scheme) else { continue };
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        match host.strip_suffix(port) {
            Some(host) => all.push(format!("{scheme}{host}{path}")),
            None if !host.contains(':') => all.push(format!("{scheme}{host}{port}{path}")),
            None => {}
        }
    }
    all
}
