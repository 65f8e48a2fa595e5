#![allow(clippy::unwrap_used)]

use super::*;
use crate::core::access::Scopes;
use crate::core::json::Members;
use crate::core::jwt::{JwtError, KeySource, Signer, Verifier};
use serde_json::{Value, json};

const SECRET: &str = "a secret of the tests, long enough";
const NOW: u64 = 1_700_000_000;

fn path(text: &str) -> Option<ClaimPath> {
    Some(ClaimPath::new(text).unwrap())
}

/// The client of a signed token with these claims beside the usual ones.
fn client(more: Value, mapping: &ClaimMapping) -> Result<Client, JwtError> {
    let mut claims = json!({"sub": "user-7", "jti": "j", "iat": NOW, "exp": NOW + 600});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let token =
        Signer::with_secret(SECRET.as_bytes()).unwrap().sign(claims.as_object().unwrap(), None).unwrap();
    let source = KeySource::Secret(SECRET.to_owned());
    let verifier = Verifier::new(Algorithm::Hs256, &source, None, None).unwrap();
    let claims = verifier.verify(&token, NOW * 1000).unwrap();
    Client::read(&claims, mapping, 600_000, |name| name == "home")
}

#[test]
fn the_claim_waypost_says_what_a_token_permits() {
    let own = json!({"waypost": {
        "map": "home", "scopes": ["subscribe", "publish"], "subjects": ["chat-*", ""],
        "filter": "payload.n > 1", "connections": 3,
    }});
    let read = client(own, &ClaimMapping::default()).unwrap();
    assert_eq!((read.sub.as_deref(), read.jti.as_deref()), (Some("user-7"), Some("j")));
    assert_eq!((read.iat_ms, read.exp_ms), (NOW * 1000, (NOW + 600) * 1000));
    assert_eq!(read.rights.scopes.names(), ["subscribe", "publish"]);
    assert_eq!(read.rights.connections, Some(3));
    let subjects = read.rights.subjects.unwrap();
    assert_eq!(subjects.patterns().collect::<Vec<_>>(), ["chat-*", ""]);
    let bare = client(json!({}), &ClaimMapping::default()).unwrap().rights;
    assert_eq!((bare.scopes, bare.subjects, bare.filter), (Scopes::SUBSCRIBE, None, None));
    for (bad, claim) in [
        (json!({"waypost": []}), "waypost"),
        (json!({"waypost": {"scope": "x"}}), "waypost"),
        (json!({"waypost": {"map": "other"}}), "waypost.map"),
        (json!({"waypost": {"map": 7}}), "waypost.map"),
        (json!({"waypost": {"scopes": []}}), "waypost.scopes"),
        (json!({"waypost": {"scopes": ["manage"]}}), "waypost.scopes"),
        (json!({"waypost": {"scopes": ["subscribe", "x"]}}), "waypost.scopes"),
        (json!({"waypost": {"subjects": []}}), "waypost.subjects"),
        (json!({"waypost": {"subjects": ["a b"]}}), "waypost.subjects"),
        (json!({"waypost": {"filter": "payload.n >"}}), "waypost.filter"),
        (json!({"waypost": {"filter": "a".repeat(MAX_FILTER_LEN + 1)}}), "waypost.filter"),
        (json!({"waypost": {"connections": 0}}), "waypost.connections"),
    ] {
        assert_eq!(client(bad.clone(), &ClaimMapping::default()), Err(JwtError::BadClaim(claim)), "{bad}");
    }
    let long = client(json!({"exp": NOW + 601}), &ClaimMapping::default());
    assert_eq!(long, Err(JwtError::LivesTooLong { most_s: 600 }));
}

#[test]
fn claims_of_other_issuers_are_found_by_paths() {
    let auth0 = ClaimMapping {
        map: path("https://example.com/map"),
        scopes: path("scope"),
        ..ClaimMapping::default()
    };
    let of_auth0 = json!({"https://example.com/map": "home", "scope": "openid subscribe profile"});
    assert_eq!(client(of_auth0, &auth0).unwrap().rights.scopes, Scopes::SUBSCRIBE);
    let keycloak = ClaimMapping { scopes: path("realm_access.roles"), ..ClaimMapping::default() };
    let of_keycloak = json!({"realm_access": {"roles": ["offline_access", "waypost:publish", "manage"]}});
    assert_eq!(client(of_keycloak, &keycloak).unwrap().rights.scopes, Scopes::PUBLISH);
    let supabase = ClaimMapping {
        scopes: path("/app_metadata/waypost/scopes"),
        subjects: path("/app_metadata/a~1b"),
        ..ClaimMapping::default()
    };
    let of_supabase = json!({"app_metadata": {"waypost": {"scopes": ["presence"]}, "a/b": "team-7-*"}});
    let rights = client(of_supabase, &supabase).unwrap().rights;
    assert_eq!(rights.scopes, Scopes::PRESENCE);
    assert_eq!(rights.subjects.unwrap().patterns().collect::<Vec<_>>(), ["team-7-*"]);
    // A claim that the mapping names and the token lacks gives no rights.
    assert_eq!(client(json!({}), &keycloak), Err(JwtError::BadClaim("waypost.scopes")));
}

#[test]
fn revocations_are_found_and_forgotten() {
    let map = MapId::from_bytes([1; 16]);
    let mut all = Revocations::default();
    let revoke = |which, at_ms| Arc::new(ClientRevocation { map, which, at_ms, due_ms: at_ms + 5 });
    let one = client(json!({}), &ClaimMapping::default()).unwrap();
    let before = revoke(RevokedClients::Sub("user-7".into()), NOW * 1000 - 1);
    all.put(&before);
    assert!(!is_revoked(&all, map, &one), "it was issued later");
    let after = revoke(RevokedClients::Sub("user-7".into()), NOW * 1000);
    all.put(&after);
    assert!(is_revoked(&all, map, &one) && !is_revoked(&all, MapId::from_bytes([2; 16]), &one));
    all.put(&revoke(RevokedClients::Jti("j".into()), 0));
    assert_eq!((all.count(map), all.due(5, 9).len(), all.due(4, 9).len()), (2, 1, 0));
    all.remove(map, &after.which);
    assert!(is_revoked(&all, map, &one), "by its id");
    all.remove_map(map);
    assert!(!is_revoked(&all, map, &one) && all.due(u64::MAX, 9).is_empty());
}

#[test]
fn settings_are_read_strictly() {
    let read = |body: Value| {
        let text = body.to_string();
        let mut m = Members::of(&text);
        let is_url = |url: &str| if url.starts_with("https://") { Ok(()) } else { Err("no".to_owned()) };
        let issuers = read_issuers(&mut m, &is_url);
        (issuers, m.finish().messages())
    };
    let good = json!({"issuers": [
        {"name": "a", "algorithm": "HS256", "secret": SECRET, "issuer": null, "claims": {"map": "x.y"}},
        {"name": "b", "algorithm": "RS256", "jwks_url": "https://example.com/", "issuer": "*", "audience": "x"},
        {"name": "c", "algorithm": "HS256", "connections": 3},
    ]});
    let (issuers, faults) = read(good);
    assert_eq!((issuers.len(), faults), (3, Vec::new()));
    assert_eq!(issuers[2].keys, GivenKeys::Kept);
    assert_eq!(issuers[0].claims.map, path("x.y"));
    assert_eq!((issuers[1].issuer.as_deref(), issuers[1].audience.as_deref()), (None, Some("x")));
    assert_eq!((issuers[1].connections, issuers[2].connections), (USUAL_CONNECTIONS, 3));
    let one = |issuer: Value| json!({ "issuers": [issuer] });
    for (bad, field) in [
        (json!({}), "issuers: "),
        (json!({"issuers": {}}), "issuers: "),
        (json!({"issuers": vec![json!({}); 11]}), "issuers: "),
        (one(json!({"name": "a b", "algorithm": "HS256"})), "issuers[0].name: "),
        (one(json!({"name": "a"})), "issuers[0].algorithm: "),
        (one(json!({"name": "a", "algorithm": "RS256"})), "issuers[0].pem: "),
        (one(json!({"name": "a", "algorithm": "RS256", "jwks_url": "http://x"})), "issuers[0].jwks_url: "),
        (one(json!({"name": "a", "algorithm": "HS256", "jwks_url": "https://x"})), "issuers[0].jwks_url: "),
        (
            one(json!({"name": "a", "algorithm": "RS256", "jwks_url": "https://x", "issuer": "y"})),
            "issuers[0].audience: ",
        ),
        (
            one(json!({"name": "a", "algorithm": "RS256", "jwks_url": "https://x", "audience": "y"})),
            "issuers[0].issuer: ",
        ),
        (one(json!({"name": "a", "algorithm": "HS256", "connections": 0})), "issuers[0].connections: "),
        (
            one(json!({"name": "a", "algorithm": "HS256", "secret": SECRET, "pem": "x"})),
            "issuers[0].algorithm: ",
        ),
        (one(json!({"name": "a", "algorithm": "HS256", "claims": {"x": "y"}})), "issuers[0].claims.x: "),
        (
            json!({"issuers": [{"name": "a", "algorithm": "HS256"}, {"name": "a", "algorithm": "HS256"}]}),
            "issuers[1].name: ",
        ),
    ] {
        let faults = read(bad.clone()).1;
        assert!(faults.len() == 1 && faults[0].starts_with(field), "{bad}: {faults:?}");
    }
}
