//! Reserved headers: those that a webhook's own headers can't replace.
//!
//! Every request has those of the connection. The others depend on the profile: they carry the signature, what
//! is signed beside the body, and what the receiver must be able to trust. They are refused when settings are
//! stored, and left out once more when a request is made.

use super::Profile;

/// Headers that belong to the connection or the message itself.
const OF_CONNECTION: &[&str] = &[
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
];

/// Headers of Standard Webhooks, and those of ours beside them.
const OF_STANDARD: &[&str] =
    &["webhook-id", "webhook-timestamp", "webhook-signature", "webhook-attempt", "webhook-gap"];
const OF_WANDERER: &[&str] =
    &["x-wanderer-signature", "x-wanderer-signature-previous", "x-wanderer-timestamp", "x-wanderer-version"];
const OF_SESSIONS: &[&str] = &["x-webhook-event", "x-webhook-signature", "x-webhook-signature-previous"];
const OF_PUSHER: &[&str] = &["x-pusher-key", "x-pusher-signature", "x-pusher-signature-previous"];

/// Whether the header belongs to the connection or the message itself. The case of letters does not matter.
pub fn is_of_connection(name: &str) -> bool {
    has(OF_CONNECTION, name)
}

/// Whether requests of that profile have the header from the server alone. The case of letters does not
/// matter.
pub fn is_reserved(profile: Profile, name: &str) -> bool {
    is_of_connection(name) || of_profile(profile).into_iter().any(|names| has(names, name))
}

/// The headers that requests of that profile get from the server, beside those of the connection.
fn of_profile(profile: Profile) -> [&'static [&'static str]; 2] {
    match profile {
        Profile::Wanderer => [OF_STANDARD, OF_WANDERER],
        Profile::Envelope | Profile::Broadcasting => [OF_STANDARD, OF_SESSIONS],
        Profile::Pusher => [OF_STANDARD, OF_PUSHER],
        Profile::Standard | Profile::Template => [OF_STANDARD, &[]],
        Profile::Discord | Profile::Slack => [&[], &[]],
    }
}

fn has(names: &[&str], name: &str) -> bool {
    names.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_reserves_its_own_headers() {
        for (profile, name, expected) in [
            (Profile::Wanderer, "X-Wanderer-Signature", true),
            (Profile::Wanderer, "webhook-signature", true),
            (Profile::Wanderer, "X-Pusher-Signature", false),
            (Profile::Envelope, "X-Webhook-Signature", true),
            (Profile::Broadcasting, "x-webhook-signature-previous", true),
            (Profile::Pusher, "X-Pusher-Key", true),
            (Profile::Standard, "Webhook-Id", true),
            (Profile::Standard, "x-webhook-signature", false),
            (Profile::Template, "webhook-timestamp", true),
            (Profile::Discord, "webhook-id", false),
            (Profile::Slack, "Host", true),
            (Profile::Standard, "Authorization", false),
            (Profile::Standard, "User-Agent", false),
        ] {
            assert_eq!(is_reserved(profile, name), expected, "{profile:?} {name}");
        }
    }
}
