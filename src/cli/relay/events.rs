//! The events of one request, and what becomes of the request.

use std::fmt::Write;

use bytes::Bytes;
use serde_json::Value;

use crate::cli::client::{Body, ClientError};
use crate::cli::publish::Sender;

/// Most bytes of payloads in one request: half of the node's default limit. A single event may be larger.
pub(super) const MOST_BYTES: usize = 1024 * 1024;

/// A body under construction: a batch, which is stored as a whole or not at all.
#[derive(Debug)]
pub(super) struct Events {
    body: String,
    count: usize,
}

impl Events {
    pub(super) fn new() -> Self {
        Self { body: String::from("{\"events\":["), count: 0 }
    }

    /// Adds an event by its parts. The payload is JSON, and is sent as it is.
    pub(super) fn add(&mut self, kind: &str, subject: &str, payload: &str) {
        let (kind, subject) = (Value::from(kind), Value::from(subject));
        self.add_text(&format!("{{\"type\":{kind},\"subject\":{subject},\"payload\":{payload}}}"));
    }

    /// Adds an event as JSON.
    pub(super) fn add_text(&mut self, event: &str) {
        let comma = if self.count > 0 { "," } else { "" };
        // Writing to a string does not fail.
        let _ = write!(self.body, "{comma}{event}");
        self.count += 1;
    }

    /// How many events there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn finish(mut self) -> Bytes {
        self.body.push_str("]}");
        self.body.into()
    }
}

/// Why a request was refused for good.
#[derive(Debug)]
pub(super) enum Refused {
    /// Because of the event with this index.
    Event(usize, ClientError),
    /// It is too large.
    TooLarge,
    /// Because of something else, such as the token.
    Other(ClientError),
}

/// Sends a batch under the key until it is stored or refused for good.
pub(super) async fn publish(sender: &Sender, events: Events, key: String) -> Result<(), Refused> {
    let count = events.count();
    let body = Body { mime: "application/json", bytes: events.finish(), key: Some(key) };
    match sender.send(body).await {
        Ok(_) => Ok(()),
        Err(error) => Err(refusal_of(count, error)),
    }
}

fn refusal_of(count: usize, error: ClientError) -> Refused {
    match &error {
        ClientError::Refused { index: Some(index), .. } if *index < count => Refused::Event(*index, error),
        ClientError::Refused { status: 413, .. } if count > 1 => Refused::TooLarge,
        ClientError::Refused { status: 400 | 413 | 422, .. } if count == 1 => Refused::Event(0, error),
        _ => Refused::Other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, index: Option<usize>) -> ClientError {
        let (code, message) = ("code".to_owned(), "message".to_owned());
        ClientError::Refused { status, code, message, hint: None, index, stored: None, retry_after: None }
    }

    #[test]
    fn payloads_are_sent_as_they_are() {
        let mut events = Events::new();
        events.add("paid", "orders-7", "{\"sum\": 1.50}");
        events.add("a\"b", "", "null");
        let body = events.finish();
        let expected = concat!(
            r#"{"events":[{"type":"paid","subject":"orders-7","payload":{"sum": 1.50}},"#,
            r#"{"type":"a\"b","subject":"","payload":null}]}"#
        );
        assert_eq!(body, expected.as_bytes());
    }

    #[test]
    fn a_refusal_is_about_an_event_or_about_the_request() {
        assert!(matches!(refusal_of(3, refused(400, Some(2))), Refused::Event(2, _)));
        assert!(matches!(refusal_of(3, refused(400, Some(3))), Refused::Other(_)));
        assert!(matches!(refusal_of(1, refused(422, None)), Refused::Event(0, _)));
        assert!(matches!(refusal_of(2, refused(413, None)), Refused::TooLarge));
        assert!(matches!(refusal_of(1, refused(401, None)), Refused::Other(_)));
    }
}
