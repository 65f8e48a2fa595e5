//! The signatures of the Pusher protocol: hexadecimal HMAC-SHA256 with an app's secret.

use super::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::{Display, Write};
use subtle::ConstantTimeEq;

/// The parameter that a request's own signature is in.
pub const AUTH_SIGNATURE: &str = "auth_signature";

/// Signs that a socket may join a channel, with the data of the member on a presence channel.
pub fn channel_signature(
    secret: &Secret,
    socket: impl Display,
    channel: &str,
    channel_data: Option<&str>,
) -> String {
    match channel_data {
        Some(data) => sign(secret, &format!("{socket}:{channel}:{data}")),
        None => sign(secret, &format!("{socket}:{channel}")),
    }
}

/// Signs that a socket belongs to a user.
pub fn user_signature(secret: &Secret, socket: impl Display, user_data: &str) -> String {
    sign(secret, &format!("{socket}::user::{user_data}"))
}

/// Signs a request to the HTTP API: its method, its path, and the parameters of its query, decoded and in any
/// order. A parameter [`AUTH_SIGNATURE`] does not count.
pub fn request_signature<K: AsRef<str>, V: AsRef<str>>(
    secret: &Secret,
    method: &str,
    path: &str,
    params: &[(K, V)],
) -> String {
    let mut sorted: Vec<(String, &str)> = params
        .iter()
        .map(|(name, value)| (name.as_ref().to_ascii_lowercase(), value.as_ref()))
        .filter(|(name, _)| name != AUTH_SIGNATURE)
        .collect();
    sorted.sort_unstable();
    let query: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
    sign(secret, &format!("{method}\n{path}\n{}", query.join("&")))
}

/// Returns whether a signature that a client presents is the expected one. It takes as long wherever they
/// differ. Capital digits are as good as small ones.
pub fn verify_hex(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.to_ascii_lowercase().as_bytes()).into()
}

fn sign(secret: &Secret, text: &str) -> String {
    let mut signature = String::with_capacity(64);
    // An HMAC takes a key of any length.
    let Ok(mut hmac) = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes()) else {
        return signature;
    };
    hmac.update(text.as_bytes());
    for byte in hmac.finalize().into_bytes() {
        // Writing to a string cannot fail.
        let _ = write!(signature, "{byte:02x}");
    }
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret::new("7ad3773142a6692b25b8")
    }

    /// The examples of Pusher's documentation.
    #[test]
    fn the_published_examples_verify() {
        let private = channel_signature(&secret(), "1234.1234", "private-foobar", None);
        assert_eq!(private, "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4");
        let data = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;
        let presence = channel_signature(&secret(), "1234.1234", "presence-foobar", Some(data));
        assert_eq!(presence, "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80");
        let params = [
            ("auth_key", "278d425bdf160c739803"),
            ("auth_version", "1.0"),
            ("body_md5", "ec365a775a4cd0599faeb73354201b6f"),
            ("Auth_Timestamp", "1353088179"),
            ("auth_signature", "not counted"),
        ];
        let request = request_signature(&secret(), "POST", "/apps/3/events", &params);
        assert_eq!(request, "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c");
    }

    #[test]
    fn a_signature_covers_each_part() {
        let signed = user_signature(&secret(), "1.2", "{\"id\":\"7\"}");
        assert!(verify_hex(&signed, &signed) && verify_hex(&signed, &signed.to_uppercase()));
        for other in [
            user_signature(&secret(), "1.3", "{\"id\":\"7\"}"),
            user_signature(&secret(), "1.2", "{\"id\":\"8\"}"),
            user_signature(&Secret::new("other"), "1.2", "{\"id\":\"7\"}"),
            channel_signature(&secret(), "1.2", "user", Some("{\"id\":\"7\"}")),
            signed[..63].to_owned(),
            String::new(),
        ] {
            assert!(!verify_hex(&signed, &other), "{other}");
        }
    }
}
