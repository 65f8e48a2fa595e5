//! Standard Webhooks: the signature that every profile except the chats has, and the bodies of the `standard`
//! profile.
//!
//! Wire source: the Standard Webhooks specification.

use super::{RenderError, Secrets, sign, text};
use crate::core::event::{Event, MapText};
use http::header::{HeaderName, HeaderValue};

/// Adds `webhook-timestamp` (Unix seconds) and `webhook-signature`: one signature a secret, the newest secret
/// first.
pub(super) fn sign(
    id: &str,
    now_ms: u64,
    body: &[u8],
    secrets: &Secrets,
    headers: &mut Vec<(HeaderName, HeaderValue)>,
) -> Result<(), RenderError> {
    let seconds = now_ms / 1000;
    let head = format!("{id}.{seconds}.");
    let signatures: Vec<String> =
        secrets.all().map(|secret| sign::v1(secret, &[head.as_bytes(), body])).collect();
    headers.push((HeaderName::from_static("webhook-timestamp"), HeaderValue::from(seconds)));
    headers
        .push((HeaderName::from_static("webhook-signature"), text(&signatures.join(" "), "the signature")?));
    Ok(())
}

/// The envelope of a single event, or `{"events":[…]}` with the envelopes of several.
pub(super) fn body(map: &MapText, events: &[Event]) -> Vec<u8> {
    let size = events.iter().map(|event| event.payload.len() + 256).sum();
    let mut out = Vec::with_capacity(size);
    if let [event] = events {
        event.write_envelope(map, false, &mut out);
        return out;
    }
    out.extend_from_slice(b"{\"events\":[");
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        event.write_envelope(map, false, &mut out);
    }
    out.extend_from_slice(b"]}");
    out
}
