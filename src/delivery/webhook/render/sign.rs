//! Signatures: HMAC-SHA256 with the webhook's secrets, in hexadecimal and in the form of Standard Webhooks.
//!
//! The profiles decide what is signed.

use crate::core::webhook::secret::encoded_key;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// The secrets of a webhook. There are several during the overlap of a rotation.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The present secret.
    pub current: String,
    /// Earlier secrets that still sign, the newest first.
    pub previous: Vec<String>,
    /// The index, among all secrets, of the one that the receiver seems to know. A single signature is made
    /// with this secret. The sender sets it by the receiver's answers.
    pub preferred: usize,
}

impl Secrets {
    /// A single secret.
    pub fn new(current: String) -> Self {
        Self { current, previous: Vec::new(), preferred: 0 }
    }

    /// The secret for a profile's single signature and, if there is another one, the newest of the others.
    pub fn preferred(&self) -> (&str, Option<&str>) {
        let preferred = self.all().nth(self.preferred).unwrap_or(&self.current);
        (preferred, self.all().find(|secret| *secret != preferred))
    }

    /// All secrets, the newest first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.current).chain(&self.previous).map(String::as_str)
    }
}

impl fmt::Debug for Secrets {
    /// Shows how many secrets there are, but not the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("previous", &self.previous.len())
            .field("preferred", &self.preferred)
            .finish_non_exhaustive()
    }
}

/// The HMAC of all `parts` in lower-case hexadecimal. The key is the secret's text as it was given.
pub fn hex(secret: &str, parts: &[&[u8]]) -> String {
    hex::encode(hmac(secret.as_bytes(), parts))
}

/// The HMAC of all `parts` as `v1,<base64>`. The key is the decoded part of a secret `whsec_<base64>`, and
/// the text of any other secret.
pub fn v1(secret: &str, parts: &[&[u8]]) -> String {
    format!("v1,{}", STANDARD.encode(hmac(&standard_key(secret), parts)))
}

fn standard_key(secret: &str) -> Vec<u8> {
    encoded_key(secret).unwrap_or_else(|| secret.as_bytes().to_vec())
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length");
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn known_answer() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex("Jefe", &[b"what do ya want ", b"for nothing?"]), expected);
    }

    /// The example of the Standard Webhooks specification.
    #[test]
    fn known_answer_of_standard_webhooks() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed: [&[u8]; 3] =
            [b"msg_p5jXN8AQM9LWM0D4loKWxJek", b".1614265330.", br#"{"test": 2432232314}"#];
        assert_eq!(v1(secret, &signed), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn keys_may_lack_the_padding_or_the_prefix() {
        assert_eq!(standard_key("whsec_aGk="), b"hi");
        assert_eq!(standard_key("whsec_aGk"), b"hi");
        assert_eq!(standard_key("aGk="), b"aGk=");
        assert_eq!(standard_key("whsec_no base64"), b"whsec_no base64");
    }

    #[test]
    fn the_preferred_secret_is_chosen_by_its_index() {
        let mut secrets = Secrets::new("new".into());
        secrets.preferred = 1;
        assert_eq!(secrets.preferred(), ("new", None));
        secrets.previous = vec!["old".into(), "older".into()];
        assert_eq!(secrets.preferred(), ("old", Some("new")));
        secrets.preferred = 2;
        assert_eq!(secrets.preferred(), ("older", Some("new")));
        secrets.preferred = 0;
        assert_eq!(secrets.preferred(), ("new", Some("old")));
        assert_eq!(secrets.all().collect::<Vec<_>>(), ["new", "old", "older"]);
        assert!(!format!("{secrets:?}").contains("new"));
    }
}
