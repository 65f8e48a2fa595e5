//! Each sender's signatures: published examples, what is refused, and that what we sign verifies.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::core::ingest::secrets::SourceSecrets;
use crate::core::ingest::settings::{JwtRules, KeyKind};
use crate::core::ingest::sign::signed_headers;
use crate::core::jwt::{Algorithm, JwtError, Signer};
use proptest::prelude::*;
use serde_json::{Value, json};

const URL: &str = "https://events.example.com/webhooks/wh_0123456789abcdef0123456789abcdef";

fn settings(authentication: Authentication) -> Settings {
    Settings { authentication, ..Settings::new() }
}

fn keys(authentication: Authentication, secrets: &SourceSecrets) -> Keys {
    Keys::read(&settings(authentication), secrets).unwrap()
}

fn verified(
    authentication: Authentication,
    secrets: &SourceSecrets,
    headers: &[(&str, &str)],
    (url, body): (&str, &[u8]),
    now_ms: u64,
) -> Result<Proof, Denied> {
    let headers = Headers::new(headers.iter().copied());
    let incoming = Incoming { headers: &headers, body, url, now_ms, expiry_ms: now_ms };
    verify(&settings(authentication), &keys(authentication, secrets), &incoming)
}

/// A request that its sender's documentation shows, or that another implementation of HMAC has signed.
struct Golden {
    authentication: Authentication,
    secret: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    url: &'static str,
    body: &'static [u8],
    /// The time of the signature (Unix milliseconds), if it has one.
    at_ms: Option<u64>,
}

const SLACK: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

fn golden() -> Vec<Golden> {
    let of = |authentication, secret, headers: &[(&'static str, &'static str)], body, at_ms| Golden {
        authentication,
        secret,
        headers: headers.to_vec(),
        url: URL,
        body,
        at_ms,
    };
    let standard = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1a,other"),
    ];
    let svix = standard.map(|(name, value)| match name {
        "webhook-id" => ("svix-id", value),
        "webhook-timestamp" => ("svix-timestamp", value),
        _ => ("svix-signature", value),
    });
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let test: &[u8] = br#"{"test": 2432232314}"#;
    let twilio = [("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=")];
    let form: &[u8] =
        b"Digits=1234&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309&CallSid=CA1234567890ABCDE";
    let with_hash = [("x-twilio-signature", "Qn4WJaeLzFaivLn0zS5stsXtABY=")];
    vec![
        of(
            Authentication::GitHub,
            "It's a Secret to Everybody",
            &[(
                "X-Hub-Signature-256",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            )],
            b"Hello, World!",
            None,
        ),
        of(
            Authentication::Slack,
            "8f742231b10e8888abcd99yyyzzz85a5",
            &[
                ("x-slack-request-timestamp", "1531420618"),
                ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
            ],
            SLACK,
            Some(1_531_420_618_000),
        ),
        of(Authentication::Standard, key, &standard, test, Some(1_614_265_330_000)),
        of(Authentication::Waypost, key, &standard, test, Some(1_614_265_330_000)),
        of(Authentication::Standard, key, &svix, test, Some(1_614_265_330_000)),
        of(Authentication::Standard, &key[6..], &standard, test, Some(1_614_265_330_000)),
        Golden {
            url: "https://mycompany.com/myapp.php?foo=1&bar=2",
            ..of(Authentication::Twilio, "12345", &twilio, form, None)
        },
        Golden {
            url: "https://mycompany.com:443/myapp.php?foo=1&bar=2",
            ..of(Authentication::Twilio, "12345", &twilio, form, None)
        },
        Golden {
            url: "https://mycompany.com/webhooks/wh_1?bodySHA256=015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862",
            ..of(Authentication::Twilio, "12345", &with_hash, br#"{"a":1}"#, None)
        },
        of(
            Authentication::Hmac,
            "your-secret-key",
            &[
                ("x-webhook-timestamp", "1705314600000"),
                (
                    "x-webhook-signature",
                    "sha256=1074c3a3adf1d4e4f1a67f0d40d37acafb0d62d0e2dcd7c2401a36fc246f016b",
                ),
            ],
            br#"{"event_type":"purchase"}"#,
            Some(1_705_314_600_000),
        ),
        of(
            Authentication::Stripe,
            "whsec_test_secret",
            &[(
                "stripe-signature",
                "t=1492774577,v1=799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f,v0=other",
            )],
            br#"{"id":"evt_1"}"#,
            Some(1_492_774_577_000),
        ),
        of(
            Authentication::Shopify,
            "hush-hush",
            &[("x-shopify-hmac-sha256", "xP02f1wlCxM/KJVfZiF3TMBIcVH2R36hhxiEfN2oo00=")],
            br#"{"id":1}"#,
            None,
        ),
        of(Authentication::GitLab, "gitlab-token", &[("x-gitlab-token", "gitlab-token")], b"{}", None),
        of(Authentication::ApiKey, "your-api-key", &[("x-api-key", "your-api-key")], b"{}", None),
    ]
}

impl Golden {
    fn verify(&self, secret: &str, body: &[u8], now_ms: u64) -> Result<Proof, Denied> {
        let secrets = SourceSecrets::new(secret);
        verified(self.authentication, &secrets, &self.headers, (self.url, body), now_ms)
    }

    fn now_ms(&self) -> u64 {
        self.at_ms.unwrap_or(1_705_314_600_000)
    }
}

#[test]
fn the_published_examples_verify_and_nothing_else_does() {
    for golden in golden() {
        let name = golden.authentication.name();
        let now_ms = golden.now_ms();
        let proof = golden.verify(golden.secret, golden.body, now_ms);
        assert!(proof.is_ok(), "{name}: {proof:?}");
        let wrong = golden.verify("another-secret", golden.body, now_ms).unwrap_err();
        assert!(matches!(wrong, Denied::Mismatch(_) | Denied::WrongKey(_)), "{name}: {wrong}");
        let is_signed = proof.unwrap().delivery.is_some();
        let changed = golden.verify(golden.secret, b"{\"changed\":true}", now_ms);
        assert_eq!(changed.is_err(), is_signed, "{name}");
        if golden.at_ms.is_some() {
            for now_ms in [now_ms - TOLERANCE_MS - 1, now_ms + TOLERANCE_MS + 1] {
                let stale = golden.verify(golden.secret, golden.body, now_ms).unwrap_err();
                assert!(matches!(stale, Denied::Stale(_)), "{name}: {stale}");
            }
            assert!(golden.verify(golden.secret, golden.body, now_ms + TOLERANCE_MS).is_ok(), "{name}");
        }
    }
}

#[test]
fn a_header_that_is_missing_or_given_twice_is_refused() {
    for golden in golden() {
        let name = golden.authentication.name();
        let secrets = SourceSecrets::new(golden.secret);
        for (index, header) in golden.headers.iter().enumerate() {
            let mut twice = golden.headers.clone();
            twice.push(*header);
            let mut missing = golden.headers.clone();
            missing.remove(index);
            for (headers, is_twice) in [(twice, true), (missing, false)] {
                let now_ms = golden.now_ms();
                let request = (golden.url, golden.body);
                let refused =
                    verified(golden.authentication, &secrets, &headers, request, now_ms).unwrap_err();
                assert_eq!(matches!(refused, Denied::Twice(_)), is_twice, "{name} {header:?}: {refused}");
            }
        }
    }
}

#[test]
fn two_secrets_are_valid_while_one_replaces_the_other() {
    let golden = &golden()[0];
    let mut secrets = SourceSecrets::new(golden.secret);
    secrets.rotate("the-next-secret".to_owned(), 1000);
    let at = |expiry_ms| {
        let headers = Headers::new(golden.headers.iter().copied());
        let incoming = Incoming { headers: &headers, body: golden.body, url: URL, now_ms: 5, expiry_ms };
        verify(&settings(golden.authentication), &keys(golden.authentication, &secrets), &incoming)
    };
    assert!(at(999).is_ok());
    assert_eq!(at(1000), Err(Denied::Mismatch("x-hub-signature-256")));
}

#[test]
fn an_empty_secret_opens_nothing() {
    for authentication in [Authentication::ApiKey, Authentication::Hmac, Authentication::Standard] {
        let body: &[u8] = b"{}";
        let headers = signed_headers(authentication, "", (URL, body), 1_705_314_600_000, "1");
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let secrets = SourceSecrets::new("");
        assert!(verified(authentication, &secrets, &headers, (URL, body), 1_705_314_600_000).is_err());
    }
}

#[test]
fn a_signature_with_other_bytes_is_the_same_delivery() {
    let golden = golden().into_iter().find(|one| one.authentication == Authentication::Stripe).unwrap();
    let first = golden.verify(golden.secret, golden.body, golden.now_ms()).unwrap();
    let [(name, value)] = golden.headers[..] else { panic!("one header") };
    let junk = format!("{value},v1={}", "0".repeat(64));
    let secrets = SourceSecrets::new(golden.secret);
    let request = (golden.url, golden.body);
    let again =
        verified(golden.authentication, &secrets, &[(name, &junk)], request, golden.now_ms()).unwrap();
    assert_eq!(first, again);
}

#[test]
fn a_form_in_another_order_is_the_same_delivery() {
    let golden = golden().into_iter().find(|one| one.authentication == Authentication::Twilio).unwrap();
    let first = golden.verify(golden.secret, golden.body, golden.now_ms()).unwrap();
    let turned: &[u8] =
        b"To=%2b18005551212&CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&Caller=%2B14158675309";
    assert_eq!(golden.verify(golden.secret, turned, golden.now_ms()), Ok(first));
}

#[test]
fn a_jwt_of_the_sources_key_proves_its_sender() {
    let rules = JwtRules {
        algorithm: Algorithm::Hs256,
        key: KeyKind::Secret,
        issuer: Some("shop".into()),
        audience: None,
    };
    let settings = Settings { authentication: Authentication::Jwt, jwt: Some(rules), ..Settings::new() };
    let mut secrets = SourceSecrets::new("a-secret-of-jwts");
    secrets.rotate("the-next-secret-of-jwts".to_owned(), 1000);
    let keys = Keys::read(&settings, &secrets).unwrap();
    let signed = |secret: &str, claims: Value| {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        Signer::with_secret(secret.as_bytes()).unwrap().sign(&claims, None).unwrap()
    };
    let checked = |scheme: &str, token: &str, now_ms, expiry_ms| {
        let header = format!("{scheme} {token}");
        let headers = Headers::new([("authorization", header.as_str())]);
        check_head(&settings, &keys, &headers, now_ms, expiry_ms)
    };
    let claims = json!({"iss": "shop", "exp": 2_000_000_000u64});
    let old = signed("a-secret-of-jwts", claims.clone());
    let now_ms = 1_900_000_000_000;
    let proved = Ok(Head::Proved(Proof::default()));
    assert_eq!(checked("Bearer", &old, now_ms, 999), proved);
    assert_eq!(checked("bearer", &signed("the-next-secret-of-jwts", claims.clone()), now_ms, 1000), proved);
    assert_eq!(checked("Bearer", &old, now_ms, 1000), Err(Denied::Jwt(JwtError::BadSignature)));
    assert_eq!(checked("Bearer", &old, 2_000_000_000_000, 999), Err(Denied::Jwt(JwtError::Expired)));
    let foreign = signed("the-next-secret-of-jwts", json!({"iss": "other", "exp": 2_000_000_000u64}));
    assert_eq!(checked("Bearer", &foreign, now_ms, 1000), Err(Denied::Jwt(JwtError::WrongIssuer)));
    assert_eq!(checked("Basic", &old, now_ms, 999), Err(Denied::Malformed("authorization")));
}

fn authentication() -> impl Strategy<Value = Authentication> {
    let names: Vec<Authentication> = Authentication::NAMES.iter().map(|(_, way)| *way).collect();
    prop::sample::select(names).prop_filter("JWTs are signed elsewhere", |way| *way != Authentication::Jwt)
}

proptest! {
    #[test]
    fn what_is_signed_verifies_with_its_secret_alone(
        way in authentication(), secret in "[!-~]{8,40}", body in prop::collection::vec(any::<u8>(), 0..200),
        now_ms in 1_000_000_000_000u64..2_000_000_000_000, delivery in "[a-z0-9]{1,20}",
    ) {
        prop_assume!(!secret.starts_with("whsec_"));
        let headers = signed_headers(way, &secret, (URL, &body), now_ms, &delivery);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let proof = verified(way, &SourceSecrets::new(secret.clone()), &headers, (URL, &body), now_ms + 1000);
        prop_assert!(proof.is_ok(), "{:?}", proof);
        let other = SourceSecrets::new(format!("{secret}x"));
        let refused = verified(way, &other, &headers, (URL, &body), now_ms);
        prop_assert_eq!(refused.is_err(), way != Authentication::None);
    }

    #[test]
    fn any_headers_and_bytes_are_read_without_a_panic(
        way in authentication(), body in any::<Vec<u8>>(), text in "[ -~]{0,80}", url in ".{0,60}",
    ) {
        let names = [
            "x-webhook-timestamp", "x-webhook-signature", "x-hub-signature-256", "x-shopify-hmac-sha256",
            "stripe-signature", "x-slack-request-timestamp", "x-slack-signature", "webhook-id",
            "webhook-timestamp", "webhook-signature", "x-twilio-signature", "x-api-key", "x-gitlab-token",
        ];
        let headers: Vec<(&str, &str)> = names.iter().map(|name| (*name, text.as_str())).collect();
        let secrets = SourceSecrets::new("a-secret-that-nobody-knows");
        let proof = verified(way, &secrets, &headers, (&url, &body), 1_705_314_600_000);
        prop_assert_eq!(proof.is_ok(), way == Authentication::None);
    }
}
