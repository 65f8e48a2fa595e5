//! Senders that sign the body, most of them with the time, by an HMAC in a header.

use super::{Incoming, Keys, Proof, TOLERANCE_MS};
use crate::core::digest::Parts;
use crate::core::ingest::Headers;
use crate::core::ingest::denied::Denied;
use crate::core::ingest::settings::Authentication;
use crate::core::webhook::secret::encoded_key;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Signatures that are looked at in one header, at most.
const MAX_SIGNATURES: usize = 16;

/// A signature as its header states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    /// The header that has it.
    header: &'static str,
    /// The signatures, decoded. One of them must fit.
    signatures: Vec<Vec<u8>>,
    /// What is signed before the body.
    prefix: String,
    /// What makes the request one delivery, if that is not all that is signed.
    delivery: Option<String>,
}

/// Reads the signature of a sender that signs so, and checks its time.
pub(super) fn read(sender: Authentication, headers: &Headers, now_ms: u64) -> Result<Signed, Denied> {
    match sender {
        Authentication::Hmac => game_insights(headers, now_ms),
        Authentication::GitHub => github(headers),
        Authentication::Shopify => shopify(headers),
        Authentication::Stripe => stripe(headers, now_ms),
        Authentication::Slack => slack(headers, now_ms),
        Authentication::Standard | Authentication::Waypost => standard(headers, now_ms),
        Authentication::ApiKey
        | Authentication::Jwt
        | Authentication::None
        | Authentication::GitLab
        | Authentication::Twilio => Err(Denied::Malformed("authorization")),
    }
}

fn game_insights(headers: &Headers, now_ms: u64) -> Result<Signed, Denied> {
    const TIME: &str = "x-webhook-timestamp";
    const HEADER: &str = "x-webhook-signature";
    let time = headers.need(TIME)?;
    let signature = hex_behind("sha256=", headers, HEADER)?;
    check_time(TIME, number(time, TIME)?, now_ms)?;
    Ok(Signed { header: HEADER, signatures: vec![signature], prefix: format!("{time}."), delivery: None })
}

/// GitHub signs the body alone. The event's name in the other header is a part of what is delivered.
fn github(headers: &Headers) -> Result<Signed, Denied> {
    const HEADER: &str = "x-hub-signature-256";
    let signature = hex_behind("sha256=", headers, HEADER)?;
    let event = headers.one("x-github-event")?.unwrap_or_default().to_owned();
    Ok(Signed { header: HEADER, signatures: vec![signature], prefix: String::new(), delivery: Some(event) })
}

/// Shopify signs the body alone. The topic in the other header is a part of what is delivered.
fn shopify(headers: &Headers) -> Result<Signed, Denied> {
    const HEADER: &str = "x-shopify-hmac-sha256";
    let signature = STANDARD.decode(headers.need(HEADER)?).map_err(|_| Denied::Malformed(HEADER))?;
    let topic = headers.one("x-shopify-topic")?.unwrap_or_default().to_owned();
    Ok(Signed { header: HEADER, signatures: vec![signature], prefix: String::new(), delivery: Some(topic) })
}

fn stripe(headers: &Headers, now_ms: u64) -> Result<Signed, Denied> {
    const HEADER: &str = "stripe-signature";
    let mut time = None;
    let mut signatures = Vec::new();
    for part in headers.need(HEADER)?.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) if time.is_none() => time = Some(value),
            Some(("t", _)) | None => return Err(Denied::Malformed(HEADER)),
            Some(("v1", value)) if signatures.len() < MAX_SIGNATURES => {
                signatures.push(hex(value).ok_or(Denied::Malformed(HEADER))?);
            }
            // Other schemes, such as v0 of test events.
            Some(_) => {}
        }
    }
    let time = time.ok_or(Denied::Malformed(HEADER))?;
    check_time(HEADER, number(time, HEADER)?.saturating_mul(1000), now_ms)?;
    Ok(Signed { header: HEADER, signatures, prefix: format!("{time}."), delivery: None })
}

fn slack(headers: &Headers, now_ms: u64) -> Result<Signed, Denied> {
    const TIME: &str = "x-slack-request-timestamp";
    const HEADER: &str = "x-slack-signature";
    let time = headers.need(TIME)?;
    let signature = hex_behind("v0=", headers, HEADER)?;
    check_time(TIME, number(time, TIME)?.saturating_mul(1000), now_ms)?;
    Ok(Signed { header: HEADER, signatures: vec![signature], prefix: format!("v0:{time}:"), delivery: None })
}

/// Standard Webhooks, also under the names that Svix gives the headers. The signature covers the message's id,
/// and a repeated message has the same one.
fn standard(headers: &Headers, now_ms: u64) -> Result<Signed, Denied> {
    let [id_name, time_name, header] = if headers.one("webhook-id")?.is_some() {
        ["webhook-id", "webhook-timestamp", "webhook-signature"]
    } else if headers.one("svix-id")?.is_some() {
        ["svix-id", "svix-timestamp", "svix-signature"]
    } else {
        return Err(Denied::Missing("webhook-id"));
    };
    let (id, time) = (headers.need(id_name)?, headers.need(time_name)?);
    let mut signatures = Vec::new();
    for part in headers.need(header)?.split_ascii_whitespace().take(MAX_SIGNATURES) {
        // Other versions, such as v1a of public keys, are passed over.
        if let Some(("v1", value)) = part.split_once(',') {
            signatures.push(STANDARD.decode(value).map_err(|_| Denied::Malformed(header))?);
        }
    }
    check_time(time_name, number(time, time_name)?.saturating_mul(1000), now_ms)?;
    let prefix = format!("{id}.{time}.");
    Ok(Signed { header, signatures, prefix, delivery: Some(id.to_owned()) })
}

impl Signed {
    /// Verifies the signature over the body with each valid secret.
    pub(super) fn verify(
        &self,
        sender: Authentication,
        keys: &Keys,
        incoming: &Incoming<'_>,
    ) -> Result<Proof, Denied> {
        let mut is_known = false;
        for key in keys.valid_at(incoming.expiry_ms).filter(|key| !key.secret.is_empty()) {
            for mac in macs(sender, &key.secret, &[self.prefix.as_bytes(), incoming.body]) {
                for signature in &self.signatures {
                    is_known |= bool::from(mac.ct_eq(signature.as_slice()));
                }
            }
        }
        if !is_known {
            return Err(Denied::Mismatch(self.header));
        }
        let content = match (&self.delivery, sender.is_standard()) {
            (Some(id), true) => Parts::default().with(id.as_bytes()),
            (named, _) => {
                let named = named.as_deref().unwrap_or_default();
                Parts::default().with(named.as_bytes()).with(self.prefix.as_bytes()).with(incoming.body)
            }
        };
        Ok(Proof { delivery: Some(content.half().to_vec()) })
    }
}

/// The HMACs that a secret may make. The key of a Standard Webhooks secret is encoded in it; one without the
/// prefix may be the encoded key, as the libraries take it, or a text, as our own webhooks do.
fn macs(sender: Authentication, secret: &str, parts: &[&[u8]]) -> Vec<Vec<u8>> {
    if !sender.is_standard() {
        return vec![hmac_of(secret.as_bytes(), parts)];
    }
    if let Some(key) = encoded_key(secret) {
        return vec![hmac_of(&key, parts)];
    }
    let mut macs = vec![hmac_of(secret.as_bytes(), parts)];
    macs.extend(STANDARD.decode(secret).ok().map(|key| hmac_of(&key, parts)));
    macs
}

/// The HMAC-SHA256 of all parts.
pub(in crate::core::ingest) fn hmac_of(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // An HMAC takes a key of any length.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else { return Vec::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Checks that a time is within the tolerance.
fn check_time(header: &'static str, at_ms: u64, now_ms: u64) -> Result<(), Denied> {
    if at_ms.abs_diff(now_ms) > TOLERANCE_MS { Err(Denied::Stale(header)) } else { Ok(()) }
}

/// A time in digits, as it is signed.
fn number(text: &str, header: &'static str) -> Result<u64, Denied> {
    let is_number = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).ok_or(Denied::Malformed(header))
}

fn hex_behind(prefix: &str, headers: &Headers, header: &'static str) -> Result<Vec<u8>, Denied> {
    headers.need(header)?.strip_prefix(prefix).and_then(hex).ok_or(Denied::Malformed(header))
}

/// Decodes the 64 hexadecimal digits of a signature.
fn hex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok().filter(|bytes| bytes.len() == 32)
}
