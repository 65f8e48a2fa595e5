//! The signatures of the Pusher protocol: hexadecimal HMAC-SHA256 with an app's secret.

use super::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::{self, Display, Write};
use subtle::ConstantTimeEq;

/// The parameter that a request's own signature is in.
pub const AUTH_SIGNATURE: &str = "auth_signature";

/// The bytes of an HMAC-SHA256.
type Signature = [u8; 32];

/// Checks what clients say that the holder of a secret has signed. Working a secret in takes as long as signing a
/// short text, so it is done once. `Debug` shows nothing of the secret.
#[derive(Clone, Debug)]
pub struct Signer(Option<Hmac<Sha256>>);

/// A text on its way to be signed.
struct Signing(Hmac<Sha256>);

impl Write for Signing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

impl Signer {
    /// A checker of what is signed with that secret.
    pub fn new(secret: &Secret) -> Self {
        Self(keyed(secret))
    }

    /// Returns whether `given` signs that a socket may join a channel, with the data of the member on a presence
    /// channel. It takes as long wherever it differs. Capital digits are as good as small ones.
    pub fn signs_channel(
        &self,
        socket: impl Display,
        channel: &str,
        channel_data: Option<&str>,
        given: &str,
    ) -> bool {
        self.signs(given, |signing| match channel_data {
            Some(data) => write!(signing, "{socket}:{channel}:{data}"),
            None => write!(signing, "{socket}:{channel}"),
        })
    }

    /// Returns whether `given` signs that a socket belongs to a user, as [`Signer::signs_channel`] does.
    pub fn signs_user(&self, socket: impl Display, user_data: &str, given: &str) -> bool {
        self.signs(given, |signing| write!(signing, "{socket}::user::{user_data}"))
    }

    fn signs(&self, given: &str, write: impl FnOnce(&mut Signing) -> fmt::Result) -> bool {
        let Some(hmac) = &self.0 else { return false };
        let mut signing = Signing(hmac.clone());
        let mut bytes = Signature::default();
        if hex::decode_to_slice(given, &mut bytes).is_err() || write(&mut signing).is_err() {
            return false;
        }
        let expected: Signature = signing.0.finalize().into_bytes().into();
        expected.ct_eq(&bytes).into()
    }
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

/// The HMAC of an empty text. It takes a key of any length, so there always is one.
fn keyed(secret: &Secret) -> Option<Hmac<Sha256>> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes()).ok()
}

/// Signs the text that consists of the pieces.
fn sign<'t>(secret: &Secret, pieces: impl IntoIterator<Item = &'t str>) -> Option<Signature> {
    let mut hmac = keyed(secret)?;
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
        let signer = Signer::new(&secret());
        let private = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4";
        assert!(signer.signs_channel("1234.1234", "private-foobar", None, private));
        let data = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;
        let presence = "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80";
        assert!(signer.signs_channel("1234.1234", "presence-foobar", Some(data), presence));
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

    /// The signature of a text.
    fn signed(secret: &Secret, text: &str) -> String {
        sign(secret, [text]).map(hex::encode).unwrap_or_default()
    }

    #[test]
    fn a_signature_covers_each_part() {
        let signer = Signer::new(&secret());
        let is_of_user = |given: &str| signer.signs_user("1.2", "{\"id\":\"7\"}", given);
        let of_user = signed(&secret(), "1.2::user::{\"id\":\"7\"}");
        assert!(is_of_user(&of_user) && is_of_user(&of_user.to_uppercase()) && is_of_user(&of_user));
        for other in [
            signed(&secret(), "1.3::user::{\"id\":\"7\"}"),
            signed(&secret(), "1.2::user::{\"id\":\"8\"}"),
            signed(&Secret::new("other"), "1.2::user::{\"id\":\"7\"}"),
            signed(&secret(), "1.2:user:{\"id\":\"7\"}"),
            of_user[..63].to_owned(),
            of_user[..62].to_owned(),
            format!("{of_user}00"),
            "not hexadecimal".to_owned(),
            String::new(),
        ] {
            assert!(!is_of_user(&other), "{other}");
        }
        let is_of_channel = |data, given: &str| signer.signs_channel("1.2", "private-a", data, given);
        let of_channel = signed(&secret(), "1.2:private-a");
        assert!(is_of_channel(None, &of_channel) && !is_of_channel(Some(""), &of_channel));
        assert!(is_of_channel(Some("1"), &signed(&secret(), "1.2:private-a:1")));
    }

    #[test]
    fn a_secret_of_any_length_signs_and_is_not_shown() {
        for length in [0, 1, 64, 65, 1000] {
            let secret = Secret::new(&"s".repeat(length));
            let signer = Signer::new(&secret);
            assert!(signer.signs_channel("1.2", "a", None, &signed(&secret, "1.2:a")), "{length}");
            assert!(!format!("{signer:?}").contains("ss"), "{signer:?}");
        }
    }
}
