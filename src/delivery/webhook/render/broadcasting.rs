//! The `broadcasting` profile: `{event, timestamp, data, signature, id}`, the time in Unix milliseconds.
//!
//! Wire source: the webhook guide of ts-broadcasting. The signature is over `{event, timestamp, data}` in
//! that order, that is, over the body up to there and a closing brace. The id and the subject come after the
//! signature, where receivers that do not know them ignore them. The header `webhook-signature` covers them.

use super::{RenderError, Request, header_of_kind, lifecycle, push_id, push_subject, sign};
use crate::core::event::{Event, push_json_string, push_number};
use crate::core::webhook::{Profile, shown_as};

/// Makes the body, and puts the preferred secret's signature into the body and the header.
pub(super) fn render(event: &Event, request: &mut Request<'_>) -> Result<Vec<u8>, RenderError> {
    let data = lifecycle::data(event);
    // An event that the profile does not have keeps its own name.
    let shown = data.as_ref().and_then(|_| shown_as(Profile::Broadcasting, &event.kind));
    let kind = shown.unwrap_or(&event.kind);
    let mut body = Vec::with_capacity(event.payload.len() + 256);
    body.extend_from_slice(b"{\"event\":");
    push_json_string(kind, &mut body);
    body.extend_from_slice(b",\"timestamp\":");
    push_number(event.time_ms, &mut body);
    body.extend_from_slice(b",\"data\":");
    body.extend_from_slice(data.as_ref().map_or(&event.payload[..], |data| data.as_bytes()));
    let signature = |secret: &str| sign::hex(secret, &[&body, b"}"]);
    let (preferred, other) = request.secrets.preferred();
    let preferred = signature(preferred);
    request.header("x-webhook-event", &header_of_kind(kind))?;
    request.header("x-webhook-signature", &preferred)?;
    if let Some(other) = other {
        request.header("x-webhook-signature-previous", &signature(other))?;
    }
    body.extend_from_slice(b",\"signature\":\"");
    body.extend_from_slice(preferred.as_bytes());
    body.push(b'"');
    push_id("id", event, &mut body);
    if data.is_none() {
        push_subject(event, &mut body);
    }
    body.push(b'}');
    Ok(body)
}
