//! The signature of a request: the parameters that it consists of, and its checks. Pure: no clock, no I/O.
//!
//! The client signs the method, the path, and all other query parameters in the order of their names, as they
//! are before they are percent-encoded. One of the parameters is the MD5 of the body, so the signature
//! covers the body too, and is known to be right before the body is read.

use crate::core::app::Secret;
use crate::core::app::signature::is_signed;
use crate::core::error_code::Code;
use crate::edge::error::ApiError;
use actix_web::http::StatusCode;
use md5::{Digest, Md5};

/// The query parameters of every signed request.
pub const NAMES: &[&str] = &[KEY, TIMESTAMP, VERSION, BODY_MD5, SIGNATURE];

pub(super) const KEY: &str = "auth_key";
pub(super) const TIMESTAMP: &str = "auth_timestamp";
pub(super) const VERSION: &str = "auth_version";
pub(super) const BODY_MD5: &str = "body_md5";
pub(super) const SIGNATURE: &str = "auth_signature";

/// The version of the signature that there is.
const ONLY_VERSION: &str = "1.0";

/// How far a request's time may be from the cluster's time (seconds), in both directions.
pub const MAX_SKEW_SECONDS: u64 = 600;
/// A time from here on is meant in milliseconds: in seconds it is the year 5138.
const IN_MILLISECONDS: u64 = 100_000_000_000;

/// Why a request counts as unsigned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A parameter of the signature is missing.
    #[error("the parameter {0} is missing")]
    Missing(&'static str),
    /// The signature has a version that does not exist.
    #[error("{VERSION} must be {ONLY_VERSION}")]
    Version,
    /// The request's time is no number.
    #[error("{TIMESTAMP} must be Unix time in seconds")]
    Timestamp,
    /// The request's time is too far from the cluster's time.
    #[error("{TIMESTAMP} {given} is not within {MAX_SKEW_SECONDS} s of the cluster's time {now}")]
    Expired {
        /// The request's time (Unix seconds).
        given: u64,
        /// The cluster's time (Unix seconds).
        now: u64,
    },
    /// The app in the path has no such key, or there is no such app.
    #[error("no app has the app id of the path and this {KEY}")]
    UnknownKey,
    /// The signature was made with another secret, or over another text.
    #[error("{SIGNATURE} is not the signature of this request")]
    Mismatch {
        /// The text that is to be signed.
        text: String,
    },
    /// The body is not the one that was signed.
    #[error("{BODY_MD5} is not the MD5 of the body")]
    Body,
}

impl SignatureError {
    /// A stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing(_) => Code::SignatureMissing,
            Self::Version => Code::SignatureVersion,
            Self::Timestamp => Code::InvalidTimestamp,
            Self::Expired { .. } => Code::TimestampExpired,
            Self::UnknownKey => Code::UnknownKey,
            Self::Mismatch { .. } => Code::InvalidSignature,
            Self::Body => Code::BodyChanged,
        }
    }

    /// What the caller can do about it.
    fn hint(&self) -> String {
        match self {
            Self::Missing(_) | Self::Version => {
                "sign requests as Pusher's server libraries do, or use one of them".to_owned()
            }
            Self::Timestamp => "send Unix time in seconds, as a whole number".to_owned(),
            Self::Expired { given, .. } if *given >= IN_MILLISECONDS => {
                "send Unix time in seconds, not milliseconds".to_owned()
            }
            Self::Expired { .. } => "set the clock of the back end".to_owned(),
            Self::UnknownKey => {
                "compare both with the credentials of the map: waypost pusher list MAP".to_owned()
            }
            Self::Mismatch { text } => {
                format!(
                    "compare the back end's secret with that of the app; the signature is hex(HMAC-SHA256(secret, \
                     text)), where the text is {text:?}"
                )
            }
            Self::Body => "sign the bytes that are sent".to_owned(),
        }
    }
}

impl From<SignatureError> for ApiError {
    fn from(error: SignatureError) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error.code(), error.to_string()).hint(error.hint())
    }
}

/// What a request was signed with. It borrows from the query, whose values are no longer percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<'q> {
    /// The key of the app.
    pub key: &'q str,
    /// Unix seconds.
    timestamp: u64,
    signature: &'q str,
    body_md5: Option<&'q str>,
    /// All parameters but the signature, by name.
    params: Vec<(&'q str, &'q str)>,
}

impl<'q> Signed<'q> {
    /// Reads the parameters of a request. Each name occurs once.
    ///
    /// # Errors
    /// A parameter of the signature is missing or malformed.
    pub fn of(params: impl IntoIterator<Item = (&'q str, &'q str)>) -> Result<Self, SignatureError> {
        let mut params: Vec<_> = params.into_iter().collect();
        params.sort_unstable();
        let get = |name| params.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let need = |name| get(name).filter(|value| !value.is_empty()).ok_or(SignatureError::Missing(name));
        let key = need(KEY)?;
        let timestamp = need(TIMESTAMP)?.parse().map_err(|_| SignatureError::Timestamp)?;
        if need(VERSION)? != ONLY_VERSION {
            return Err(SignatureError::Version);
        }
        let signature = need(SIGNATURE)?;
        let body_md5 = get(BODY_MD5);
        params.retain(|(name, _)| *name != SIGNATURE);
        Ok(Self { key, timestamp, signature, body_md5, params })
    }

    /// Checks the request's time against the cluster's time (Unix seconds).
    ///
    /// # Errors
    /// The request is too old, or from the future.
    pub fn check_time(&self, now: u64) -> Result<(), SignatureError> {
        if self.timestamp.abs_diff(now) > MAX_SKEW_SECONDS {
            return Err(SignatureError::Expired { given: self.timestamp, now });
        }
        Ok(())
    }

    /// Checks the signature. `paths` are the forms of the request's path that a client may have signed: as it
    /// was sent, and before it was percent-encoded.
    ///
    /// # Errors
    /// The holder of the secret did not sign this request.
    pub fn check(&self, secret: &Secret, method: &str, paths: &[&str]) -> Result<(), SignatureError> {
        if paths.iter().any(|path| is_signed(secret, (method, *path), &self.params, self.signature)) {
            return Ok(());
        }
        let params: Vec<String> = self.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let path = paths.first().copied().unwrap_or_default();
        Err(SignatureError::Mismatch { text: format!("{method}\n{path}\n{}", params.join("&")) })
    }

    /// Checks that the request is signed with its body, if it has one: called before the body is read.
    ///
    /// # Errors
    /// The signature does not cover the body.
    pub fn covers_body(&self) -> Result<(), SignatureError> {
        self.body_md5.map(drop).ok_or(SignatureError::Missing(BODY_MD5))
    }
}

/// Checks that a body is the one that was signed.
///
/// # Errors
/// It is another one.
pub fn check_body(body_md5: &str, body: &[u8]) -> Result<(), SignatureError> {
    let mut signed = [0; 16];
    let is_md5 = hex::decode_to_slice(body_md5, &mut signed).is_ok();
    if is_md5 && Md5::digest(body)[..] == signed { Ok(()) } else { Err(SignatureError::Body) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::app::signature::request_signature;
    use proptest::prelude::*;

    const BODY: &str = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
    const NOW: u64 = 1_353_088_179;

    fn secret() -> Secret {
        Secret::new("7ad3773142a6692b25b8")
    }

    /// The example of Pusher's documentation.
    const EXAMPLE: [(&str, &str); 5] = [
        (VERSION, "1.0"),
        (KEY, "278d425bdf160c739803"),
        (SIGNATURE, "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"),
        (TIMESTAMP, "1353088179"),
        (BODY_MD5, "ec365a775a4cd0599faeb73354201b6f"),
    ];

    fn changed(name: &str, value: Option<&'static str>) -> Vec<(&'static str, &'static str)> {
        let others = EXAMPLE.into_iter().filter(|(other, _)| *other != name);
        let known = EXAMPLE.into_iter().find(|(other, _)| *other == name);
        let changed = value.and_then(|value| Some((known?.0, value)));
        others.chain(changed).collect()
    }

    #[test]
    fn the_published_example_is_signed() {
        let signed = Signed::of(EXAMPLE).unwrap();
        assert_eq!(signed.key, "278d425bdf160c739803");
        assert_eq!(signed.check_time(NOW), Ok(()));
        assert_eq!(signed.check(&secret(), "POST", &["/apps/3/events"]), Ok(()));
        assert_eq!(signed.check(&secret(), "POST", &["/apps/%33/events", "/apps/3/events"]), Ok(()));
        assert_eq!(signed.covers_body(), Ok(()));
        assert_eq!(check_body("ec365a775a4cd0599faeb73354201b6f", BODY.as_bytes()), Ok(()));
        assert_eq!(check_body("EC365A775A4CD0599FAEB73354201B6F", BODY.as_bytes()), Ok(()));
        assert_eq!(check_body("ec365a775a4cd0599faeb73354201b6f", b"{}"), Err(SignatureError::Body));
        assert_eq!(check_body("d41d8cd98f00b204e9800998ecf8427e", b""), Ok(()));
    }

    #[test]
    fn each_parameter_is_needed_and_has_a_form() {
        for name in [KEY, TIMESTAMP, VERSION, SIGNATURE] {
            for value in [None, Some("")] {
                assert_eq!(Signed::of(changed(name, value)), Err(SignatureError::Missing(name)), "{value:?}");
            }
        }
        assert_eq!(Signed::of(changed(VERSION, Some("1.1"))), Err(SignatureError::Version));
        for time in ["now", "-1", "1353088179.5", "99999999999999999999"] {
            assert_eq!(Signed::of(changed(TIMESTAMP, Some(time))), Err(SignatureError::Timestamp), "{time}");
        }
        let bare = Signed::of(changed(BODY_MD5, None)).unwrap();
        assert_eq!(bare.covers_body(), Err(SignatureError::Missing(BODY_MD5)));
    }

    #[test]
    fn a_request_is_good_for_ten_minutes_in_both_directions() {
        let signed = Signed::of(EXAMPLE).unwrap();
        for now in [NOW - MAX_SKEW_SECONDS, NOW + MAX_SKEW_SECONDS] {
            assert_eq!(signed.check_time(now), Ok(()), "{now}");
        }
        for now in [0, NOW - MAX_SKEW_SECONDS - 1, NOW + MAX_SKEW_SECONDS + 1, u64::MAX] {
            assert_eq!(signed.check_time(now), Err(SignatureError::Expired { given: NOW, now }), "{now}");
        }
    }

    #[test]
    fn a_signature_is_good_for_one_request_and_one_secret() {
        let signed = Signed::of(EXAMPLE).unwrap();
        let path = ["/apps/3/events"];
        for refused in [
            signed.check(&Secret::new("another"), "POST", &path),
            signed.check(&secret(), "GET", &path),
            signed.check(&secret(), "POST", &["/apps/4/events"]),
            signed.check(&secret(), "POST", &[]),
            Signed::of(changed(TIMESTAMP, Some("1353088180"))).unwrap().check(&secret(), "POST", &path),
            Signed::of(changed(BODY_MD5, None)).unwrap().check(&secret(), "POST", &path),
            Signed::of(changed(SIGNATURE, Some("da45"))).unwrap().check(&secret(), "POST", &path),
        ] {
            assert!(matches!(refused, Err(SignatureError::Mismatch { .. })), "{refused:?}");
        }
        let told = signed.check(&Secret::new("another"), "POST", &path).unwrap_err();
        let text = "POST\n/apps/3/events\nauth_key=278d425bdf160c739803&auth_timestamp=1353088179&\
                    auth_version=1.0&body_md5=ec365a775a4cd0599faeb73354201b6f";
        assert_eq!(told, SignatureError::Mismatch { text: text.to_owned() });
        assert!(!ApiError::from(told).body().to_string().contains("another"));
    }

    #[test]
    fn each_refusal_is_401_with_a_code_of_its_own() {
        let all = [
            SignatureError::Missing(KEY),
            SignatureError::Version,
            SignatureError::Timestamp,
            SignatureError::Expired { given: 1, now: 2 },
            SignatureError::UnknownKey,
            SignatureError::Mismatch { text: "text".to_owned() },
            SignatureError::Body,
        ];
        let mut codes = std::collections::BTreeSet::new();
        for error in all {
            codes.insert(error.code());
            let body = ApiError::from(error).body();
            assert_eq!(body["status"], 401, "{body}");
            assert!(body["hint"].is_string(), "{body}");
        }
        assert_eq!(codes.len(), 7);
    }

    #[test]
    fn the_hint_says_what_to_look_at() {
        let now = NOW;
        for (error, told) in [
            (SignatureError::Expired { given: NOW - 700, now }, "set the clock"),
            (SignatureError::Expired { given: NOW * 1000, now }, "in seconds, not milliseconds"),
            (SignatureError::Timestamp, "in seconds"),
            (SignatureError::Mismatch { text: "a text".to_owned() }, "compare the back end's secret"),
            (SignatureError::UnknownKey, "waypost pusher list"),
        ] {
            assert!(error.hint().contains(told), "{error}: {}", error.hint());
        }
        let mismatch = SignatureError::Mismatch { text: "a text".to_owned() }.hint();
        assert!(mismatch.contains("\"a text\""), "{mismatch}");
        assert!(!SignatureError::Timestamp.hint().contains("clock"));
    }

    proptest! {
        #[test]
        fn what_the_holder_of_the_secret_signs_is_good(
            info in "[a-z_,]{0,20}",
            prefix in "[ -~]{0,20}",
            method in "GET|POST",
            path in "/[a-z0-9/@;=-]{0,30}",
        ) {
            let mut params = vec![(KEY, "key"), (TIMESTAMP, "1"), (VERSION, "1.0"), ("info", info.as_str())];
            params.push(("filter_by_prefix", &prefix));
            let signature = request_signature(&secret(), &method, &path, &params);
            params.insert(2, (SIGNATURE, &signature));
            let signed = Signed::of(params).unwrap();
            prop_assert_eq!(signed.check(&secret(), &method, &["/", &path]), Ok(()));
        }

        #[test]
        fn any_query_is_signed_or_refused(
            params in proptest::collection::vec(("[a-z_]{0,9}", ".{0,9}"), 0..9),
        ) {
            let params = params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            if let Ok(signed) = Signed::of(params.chain([(KEY, "key")])) {
                prop_assert!(signed.check(&secret(), "GET", &["/"]).is_err());
            }
        }
    }
}
