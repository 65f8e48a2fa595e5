//! The `wanderer` profile: envelopes with Wanderer's own signature headers.
//!
//! Wire source: Wanderer's post on its real-time events. Its receivers verify `JSON.stringify` of the parsed
//! body.

use super::{RenderError, Request, sign, standard};
use crate::core::event::{Event, MapText};

const VERSION: &str = "1";

/// Makes the body. The signature is over `{Unix seconds}.{body}`.
pub(super) fn render(
    map: &MapText,
    events: &[Event],
    request: &mut Request<'_>,
) -> Result<Vec<u8>, RenderError> {
    let body = standard::body(map, events);
    let seconds = (request.now_ms / 1000).to_string();
    let signature =
        |secret: &str| format!("sha256={}", sign::hex(secret, &[seconds.as_bytes(), b".", &body]));
    let (preferred, other) = request.secrets.preferred();
    request.header("x-wanderer-signature", &signature(preferred))?;
    if let Some(other) = other {
        request.header("x-wanderer-signature-previous", &signature(other))?;
    }
    request.header("x-wanderer-timestamp", &seconds)?;
    request.header("x-wanderer-version", VERSION)?;
    Ok(body)
}
