//! A request as it is shown to people, who see what would be sent and none of its secrets.
//!
//! It is made by the same steps as a request that is sent, up to the sending.

use super::traced::header_of;
use super::work::Work;
use super::{Headers, Now, Sender};
use crate::core::event::Event;
use crate::core::webhook::Method;
use crate::core::webhook::mask::{MASK, is_of_chat, masked_url, masked_values};
use crate::delivery::webhook::render::Rendered;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use std::time::{Duration, Instant};

/// Stands for every secret, and for every value that was made with one.
const HIDDEN: &str = "…";
/// The most of a body that is shown, in bytes.
const MOST_BODY: usize = 64 * 1024;

/// A request without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownRequest {
    /// POST or PUT.
    pub method: &'static str,
    /// Where it would go; `None` if the webhook has no target yet.
    pub url: Option<String>,
    /// The headers, without those of the connection. Each name is there once.
    pub headers: Vec<(String, String)>,
    /// The body, or its first 64 KiB.
    pub body: String,
    /// Whether there is more of the body.
    pub is_cut: bool,
}

impl Sender {
    /// The request that this attempt would make for this event alone. A template has so much time.
    ///
    /// # Errors
    /// Why there would be no request, in words.
    pub(in crate::delivery::webhook) async fn shown(
        &self,
        event: &Event,
        attempt: u32,
        now: Now,
        limit: Duration,
    ) -> Result<ShownRequest, String> {
        let now_ms = now.time_ms;
        let secrets = self.secrets(now.expiry_ms, 0);
        let work = Work { style: self.style.clone(), secrets, gap: None, attempt, now_ms };
        let deadline = Instant::now() + limit;
        let events = std::slice::from_ref(event);
        let rendered = work.render(events, deadline, (&self.templates, self.claim())).await;
        let Rendered { mut headers, body } = rendered.map_err(|failure| failure.message)?;
        headers.extend(event.trace.and_then(header_of));
        let body = without_signatures(&headers, body);
        let headers = self.without_secrets(self.with_own(headers));
        let outgoing = self.addressed(headers, body, now_ms, limit).map_err(|failure| failure.message)?;
        let (body, is_cut) = beginning(&outgoing.body);
        let method =
            Method::NAMES.iter().find(|(_, method)| *method == outgoing.method).map_or("", |(name, _)| *name);
        Ok(ShownRequest {
            method,
            url: Some(self.shown_url(outgoing.url.as_str())),
            headers: outgoing.headers.iter().map(as_text).collect(),
            body,
            is_cut,
        })
    }

    /// The headers with the signatures and the webhook's own values hidden.
    fn without_secrets(&self, headers: Headers) -> Headers {
        let is_own = |name: &HeaderName| self.headers.iter().any(|(own, _)| own == name);
        let shown = |(name, value): (HeaderName, HeaderValue)| {
            let is_secret = is_signature(&name) || is_own(&name);
            let value = if is_secret { hidden() } else { value };
            (name, value)
        };
        headers.into_iter().map(shown).collect()
    }

    fn shown_url(&self, url: &str) -> String {
        let masked = match &self.function {
            Some(_) => return url.to_owned(),
            None if self.webhook.profile.is_chat() || is_of_chat(url) => masked_url(url),
            None => masked_values(url),
        };
        masked.replace(MASK, HIDDEN)
    }
}

/// The value of a header that is hidden.
fn hidden() -> HeaderValue {
    HeaderValue::from_bytes(HIDDEN.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static("..."))
}

fn is_signature(name: &HeaderName) -> bool {
    name.as_str().contains("signature")
}

/// The body without the signatures of the headers: a profile may have one in the body too.
fn without_signatures(headers: &[(HeaderName, HeaderValue)], body: Bytes) -> Bytes {
    let Ok(text) = std::str::from_utf8(&body) else { return body };
    let signatures = headers.iter().filter(|(name, _)| is_signature(name));
    let values = signatures.filter_map(|(_, value)| value.to_str().ok());
    let found: Vec<&str> = values.filter(|value| !value.is_empty() && text.contains(value)).collect();
    if found.is_empty() {
        return body;
    }
    let hidden = found.iter().fold(text.to_owned(), |text, signature| text.replace(signature, HIDDEN));
    hidden.into()
}

/// The beginning of the body as text, and whether there is more of it.
fn beginning(body: &[u8]) -> (String, bool) {
    let mut text = String::from_utf8_lossy(body).into_owned();
    let is_cut = text.len() > MOST_BODY;
    text.truncate(text.floor_char_boundary(MOST_BODY));
    (text, is_cut)
}

/// A header as text. What signs in at a target is hidden.
fn as_text((name, value): &(HeaderName, HeaderValue)) -> (String, String) {
    let shown = if value.is_sensitive() { hidden() } else { value.clone() };
    (name.to_string(), String::from_utf8_lossy(shown.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_is_cut_between_characters() {
        assert_eq!(beginning(b"{}"), ("{}".to_owned(), false));
        let whole = "a".repeat(MOST_BODY);
        assert_eq!(beginning(whole.as_bytes()), (whole, false));
        let (text, is_cut) = beginning("€".repeat(MOST_BODY).as_bytes());
        assert_eq!((text.len(), is_cut), (MOST_BODY - MOST_BODY % 3, true));
    }

    #[test]
    fn a_signature_is_hidden_in_the_body_too() {
        let headers =
            vec![(HeaderName::from_static("x-webhook-signature"), HeaderValue::from_static("5f0c"))];
        let body = without_signatures(&headers, Bytes::from_static(br#"{"a":1,"signature":"5f0c"}"#));
        assert_eq!(body, r#"{"a":1,"signature":"…"}"#.as_bytes());
        let plain = Bytes::from_static(b"{}");
        assert_eq!(without_signatures(&headers, plain.clone()), plain);
    }

    #[test]
    fn what_signs_in_is_hidden() {
        let mut value = HeaderValue::from_static("AWS4-HMAC-SHA256");
        value.set_sensitive(true);
        let (name, shown) = as_text(&(http::header::AUTHORIZATION, value));
        assert_eq!((name.as_str(), shown.as_str()), ("authorization", HIDDEN));
    }
}
