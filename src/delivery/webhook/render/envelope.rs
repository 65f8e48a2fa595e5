//! The `envelope` profile: `{event, timestamp, data, id}`, and a `subject` if the event has one. The time is
//! in ISO-8601.
//!
//! Wire source: the webhook guide of the Jackbox Game Picker. Its receivers verify `JSON.stringify` of the
//! parsed body.

use super::{RenderError, Request, header_of_kind, push_id, push_subject, sign};
use crate::core::event::{Event, push_json_string};
use crate::core::time::push_iso_millis;

/// Makes the body, and signs it.
pub(super) fn render(event: &Event, request: &mut Request<'_>) -> Result<Vec<u8>, RenderError> {
    let mut body = Vec::with_capacity(event.payload.len() + 192);
    body.extend_from_slice(b"{\"event\":");
    push_json_string(&event.kind, &mut body);
    body.extend_from_slice(b",\"timestamp\":\"");
    push_iso_millis(event.time_ms, &mut |part| body.extend_from_slice(part.as_bytes()));
    body.extend_from_slice(b"\",\"data\":");
    body.extend_from_slice(&event.payload);
    push_id("id", event, &mut body);
    push_subject(event, &mut body);
    body.push(b'}');
    let signature = |secret: &str| format!("sha256={}", sign::hex(secret, &[&body]));
    let (preferred, other) = request.secrets.preferred();
    request.header("x-webhook-event", &header_of_kind(&event.kind))?;
    request.header("x-webhook-signature", &signature(preferred))?;
    if let Some(other) = other {
        request.header("x-webhook-signature-previous", &signature(other))?;
    }
    Ok(body)
}
