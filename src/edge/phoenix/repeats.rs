//! Recognizes messages that arrive twice. A proxy, or a browser whose connection broke, may send a long poll's
//! request again, though the first one was handled. A client gives each of its messages another ref.

use super::frame::Message;
use rustc_hash::FxBuildHasher;
use std::collections::VecDeque;
use std::hash::BuildHasher;

/// How many of the last messages are remembered: as many as one request may have.
const REMEMBERED: usize = 1024;

/// The last messages of a client, as digests.
#[derive(Default)]
pub(super) struct Repeats(VecDeque<u64>);

impl Repeats {
    /// Whether the message has arrived before. A message without a ref is new each time.
    pub(super) fn has(&mut self, message: &Message) -> bool {
        let Some(digest) = digest(message) else { return false };
        if self.0.contains(&digest) {
            return true;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(digest);
        false
    }
}

/// The digest of a message with a ref.
pub(super) fn digest(message: &Message) -> Option<u64> {
    let Message { join_ref, reference, topic, event, payload } = message;
    (!reference.is_null()).then(|| FxBuildHasher.hash_one((join_ref, reference, topic, event, payload)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::frame::{Version, decode_text};
    use super::*;

    fn message(reference: &str, text: &str) -> Message {
        let text = format!(r#"["1",{reference},"events:map:home","said",{{"text":"{text}"}}]"#);
        decode_text(Version::V2, &text).unwrap()
    }

    #[test]
    fn a_message_that_arrives_twice_is_recognized() {
        let mut repeats = Repeats::default();
        assert!(!repeats.has(&message(r#""2""#, "a")));
        assert!(repeats.has(&message(r#""2""#, "a")));
        assert!(!repeats.has(&message(r#""3""#, "a")) && !repeats.has(&message(r#""2""#, "b")));
        assert!(!repeats.has(&message("null", "a")) && !repeats.has(&message("null", "a")));
    }

    #[test]
    fn only_the_last_messages_are_remembered() {
        let mut repeats = Repeats::default();
        for n in 0..=REMEMBERED {
            assert!(!repeats.has(&message(&format!("\"{n}\""), "a")));
        }
        assert_eq!(repeats.0.len(), REMEMBERED);
        assert!(repeats.has(&message(r#""1""#, "a")) && !repeats.has(&message(r#""0""#, "a")));
    }
}
