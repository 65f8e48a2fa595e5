#![allow(clippy::unwrap_used)]

use super::*;
use crate::core::access::Scopes;
use crate::core::expression::Expression;
use crate::core::issuer::ClaimPath;
use crate::core::jwt::{Algorithm, Claims, KeySource, Signer, Verifier};
use serde_json::{Value, json};

const SECRET: &str = "a secret of the tests, long enough";
const NOW: u64 = 1_700_000_000;
const ISSUER: &str = "https://id.example.com/realms/one";

fn settings() -> OidcSettings {
    OidcSettings {
        issuer: ISSUER.into(),
        client_id: "console".into(),
        client_secret: None,
        name: "Example".into(),
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        redirect_uri: "https://events.example.com/console/oidc/callback".into(),
        admin: Some(Expression::of_claims("'admins' in claims.groups").unwrap()),
        maps: Some(MapsClaim {
            claim: ClaimPath::new("groups").unwrap(),
            prefix: "map-".into(),
            token: "console".into(),
        }),
    }
}

/// The claims of a verified token that has these beside the usual ones.
fn claims(more: &Value) -> Claims {
    let mut claims = json!({"sub": "ann", "exp": NOW + 600, "aud": "console"});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let signer = Signer::with_secret(SECRET.as_bytes()).unwrap();
    let token = signer.sign(claims.as_object().unwrap(), None).unwrap();
    let source = KeySource::Secret(SECRET.to_owned());
    let verifier = Verifier::new(Algorithm::Hs256, &source, None, None).unwrap();
    verifier.verify(&token, NOW * 1000).unwrap()
}

#[test]
fn claims_say_what_a_person_may_do() {
    let of = |groups: Value| admission(&settings(), &claims(&json!({"groups": groups})));
    assert!(of(json!(["admins"])).admin && !of(json!("admins")).admin && !of(json!([])).admin);
    let groups = json!(["map-one", "map-two:manage", "map-two:subscribe", "other", "map-three:x", "map-", 7]);
    let both = of(groups);
    let manage = Scopes::from_names(&["manage", "subscribe"]).unwrap();
    assert_eq!(both.maps, [("one".into(), Scopes::ALL), ("two".into(), manage)]);
    assert_eq!(of(json!("map-one map-two:publish")).maps.len(), 2);
    let many: Vec<String> = (0..100).map(|n| format!("map-m{n}")).collect();
    assert_eq!(of(json!(many)).maps.len(), MAX_MAPS);
    let nobody = OidcSettings { admin: None, maps: None, ..settings() };
    assert_eq!(admission(&nobody, &claims(&json!({"groups": ["admins"]}))), Admission::default());
}

#[test]
fn the_tag_changes_with_what_decides() {
    let tag = settings().tag();
    assert_eq!(OidcSettings { name: "Other".into(), scopes: Vec::new(), ..settings() }.tag(), tag);
    for other in [
        OidcSettings { issuer: "https://other.example.com".into(), ..settings() },
        OidcSettings { client_id: "other".into(), ..settings() },
        OidcSettings { admin: None, ..settings() },
        OidcSettings { maps: None, ..settings() },
    ] {
        assert_ne!(other.tag(), tag, "{other:?}");
    }
}

#[test]
fn an_attempt_is_answered_once_in_time_and_by_its_own_token() {
    let attempt = Attempt::new(&[7; RANDOM_BYTES], 2000);
    assert_eq!(attempt.verifier.len(), 43);
    assert!(attempt.is_answered_by(&attempt.state, 1999));
    assert!(!attempt.is_answered_by(&attempt.state, 2000) && !attempt.is_answered_by("x", 1));
    // The example of RFC 7636.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
    let known = Attempt { verifier, ..attempt.clone() };
    assert_eq!(known.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let nonce = &attempt.nonce;
    let checked = |more: Value| attempt.check(&claims(&more), "console");
    assert_eq!(checked(json!({"nonce": nonce})), Ok(()));
    assert_eq!(checked(json!({"nonce": nonce, "aud": ["console", "x"], "azp": "console"})), Ok(()));
    assert_eq!(checked(json!({"nonce": nonce, "aud": ["console", "x"]})), Err(WrongToken::Client));
    assert_eq!(checked(json!({"nonce": nonce, "azp": "x"})), Err(WrongToken::Client));
    assert_eq!(checked(json!({"nonce": "x"})), Err(WrongToken::Nonce));
    assert_eq!(checked(json!({})), Err(WrongToken::Nonce));
}

fn document() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/auth?kept=1"),
        "token_endpoint": format!("{ISSUER}/token"),
        "jwks_uri": format!("{ISSUER}/keys"),
        "id_token_signing_alg_values_supported": ["HS256", "ES256", "RS256"],
        "something_else": [1],
    })
}

#[test]
fn the_document_of_an_issuer_is_read() {
    let read = Discovery::read(&document().to_string(), ISSUER).unwrap();
    assert_eq!(read.algorithms, [Algorithm::Rs256, Algorithm::Es256]);
    assert!(!read.secret_in_body && read.keys_url.ends_with("/keys"));
    let url = read.sign_in_url(&settings(), &Attempt::new(&[1; RANDOM_BYTES], 0));
    for part in ["?kept=1&response_type=code&client_id=console", "&scope=openid+email&", "method=S256"] {
        assert!(url.contains(part), "{part} in {url}");
    }
    assert_eq!(
        Discovery::url_of("https://id.example.com/"),
        "https://id.example.com/.well-known/openid-configuration"
    );
    let mut in_body = document();
    in_body["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    assert!(Discovery::read(&in_body.to_string(), ISSUER).unwrap().secret_in_body);
    for (name, value) in [
        ("issuer", json!("https://other.example.com")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("jwks_uri", json!(7)),
        ("id_token_signing_alg_values_supported", json!(["HS256", "none"])),
    ] {
        let mut bad = document();
        bad[name] = value;
        assert!(Discovery::read(&bad.to_string(), ISSUER).is_err(), "{name}");
    }
}
