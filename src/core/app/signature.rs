//! The signatures of the Pusher protocol: hexadecimal HMAC-SHA256 with an app's secret.

use super::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::Display;
use subtle::ConstantTimeEq;

/// The parameter that a request's own signature is in.
pub const AUTH_SIGNATURE: &str = "auth_signature";

/// The bytes of an HMAC-SHA256.
type Signature = [u8; 32];

/// Signs that a socket may join a channel, with the data of the member on a presence channel.
pub fn channel_signature(
    secret: &Secret,
    socket: impl Display,
    channel: &str,
    channel_data: Option<&str>,
) -> String {
    match channel_data {
        Some(data) => sign_text(secret, &format!("{socket}:{channel}:{data}")),
        None => sign_text(secret, &format!("{socket}:{channel}")),
    }
}

/// Signs that a socket belongs to a user.
pub fn user_signature(secret: &Secret, socket: impl Display, user_data: &str) -> String {
    sign_text(secret, &format!("{socket}::user::{user_data}"))
}

/// Signs a request to the HTTP API: its method, its path, and the parameters of its query, decoded and in any
/// order. A parameter [`AUTH_SIGNATURE`] does not count.
pub fn request_signature<K: AsRef<str>, V: AsRef<str>>(
    secret: &Secret,
    method: &str,
    path: &str,
    params: &[(K, V)],
) -> String {
    sign_request(secret, method, path, params).map(hex::encode).unwrap_or_default()
}

/// Returns whether a signature that a client presents is that of the request, as [`request_signature`] makes
/// it. It takes as long wherever they differ. Capital digits are as good as small ones.
pub fn is_signed<K: AsRef<str>, V: AsRef<str>>(
    secret: &Secret,
    (method, path): (&str, &str),
    params: &[(K, V)],
    given: &str,
) -> bool {
    let mut bytes = Signature::default();
    hex::decode_to_slice(given, &mut bytes).is_ok()
        && sign_request(secret, method, path, params).is_some_and(|expected| expected.ct_eq(&bytes).into())
}

fn sign_request<K: AsRef<str>, V: AsRef<str>>(
    secret: &Secret,
    method: &str,
    path: &str,
    params: &[(K, V)],
) -> Option<Signature> {
    let pairs = params.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
    let is_as_signed =
        |name: &str| name != AUTH_SIGNATURE && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    if pairs.clone().is_sorted() && pairs.clone().all(|(name, _)| is_as_signed(name)) {
        return sign(secret, pieces(method, path, pairs));
    }
    let mut sorted: Vec<(String, &str)> = pairs
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| name != AUTH_SIGNATURE)
        .collect();
    sorted.sort_unstable();
    sign(secret, pieces(method, path, sorted.iter().map(|(name, value)| (&**name, *value))))
}

/// The pieces of the text that is signed. The parameters are in their order.
fn pieces<'t>(
    method: &'t str,
    path: &'t str,
    params: impl Iterator<Item = (&'t str, &'t str)>,
) -> impl Iterator<Item = &'t str> {
    let params = params.enumerate().flat_map(|(place, (name, value))| {
        let separator = if place == 0 { "" } else { "&" };
        [separator, name, "=", value]
    });
    [method, "\n", path, "\n"].into_iter().chain(params)
}

/// Returns whether a signature that a client presents is the expected one. It takes as long wherever they
/// differ. Capital digits are as good as small ones.
pub fn verify_hex(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.to_ascii_lowercase().as_bytes()).into()
}

fn sign_text(secret: &Secret, text: &str) -> String {
    sign(secret, [text]).map(hex::encode).unwrap_or_default()
}

/// Signs the text that consists of the pieces. An HMAC takes a key of any length, so there always is a
/// signature.
fn sign<'t>(secret: &Secret, pieces: impl IntoIterator<Item = &'t str>) -> Option<Signature> {
    let mut hmac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes()).ok()?;
    pieces.into_iter().for_each(|piece| hmac.update(piece.as_bytes()));
    Some(hmac.finalize().into_bytes().into())
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
        let line = ("POST", "/apps/3/events");
        for given in [&*request, &request.to_uppercase()] {
            assert!(is_signed(&secret(), line, &params, given));
        }
        let mut in_order = params.map(|(name, value)| (name.to_ascii_lowercase(), value));
        in_order.sort();
        assert!(is_signed(&secret(), line, &in_order, &request), "with the parameter of the signature");
        let in_order: Vec<_> = in_order.into_iter().filter(|(name, _)| name != AUTH_SIGNATURE).collect();
        assert!(is_signed(&secret(), line, &in_order, &request), "and without it");
        for other in [&request[..63], &request[..62], "", "not hexadecimal", &"0".repeat(64)] {
            assert!(!is_signed(&secret(), line, &params, other), "{other}");
        }
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
