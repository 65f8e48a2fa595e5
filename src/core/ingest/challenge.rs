//! Requests of a sender that only asks whether an address is the right one.

use super::settings::Authentication;
use serde::Deserialize;

/// Longest challenge that is answered (bytes).
const MAX_CHALLENGE: usize = 1024;

#[derive(Deserialize)]
struct UrlVerification {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
}

/// Returns the challenge that a verified request of Slack wants to have back. Such a request is no event.
pub fn challenge_of(authentication: Authentication, body: &[u8]) -> Option<String> {
    if authentication != Authentication::Slack {
        return None;
    }
    let asked: UrlVerification = serde_json::from_slice(body).ok()?;
    (asked.kind == "url_verification" && asked.challenge.len() <= MAX_CHALLENGE).then_some(asked.challenge)
}
