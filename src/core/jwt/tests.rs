#![allow(clippy::unwrap_used)]

use super::*;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};

const SECRET: &str = "a secret of the tests, long enough for HS256";
const RSA: &str = include_str!("tests/rsa.pub");
const EC: &str = include_str!("tests/ec.pub");
const ED: &str = include_str!("tests/ed.pub");
const JWKS: &str = include_str!("tests/jwks.json");
/// The time of the tests (Unix seconds).
const NOW: u64 = 1_700_000_000;

fn secret() -> KeySource {
    KeySource::Secret(SECRET.to_owned())
}

fn verifier(algorithm: Algorithm, source: &KeySource) -> Verifier {
    Verifier::new(algorithm, source, Some("https://issuer.example"), Some("waypost")).unwrap()
}

fn signer(algorithm: Algorithm) -> Signer {
    match algorithm {
        Algorithm::Hs256 => Signer::with_secret(SECRET.as_bytes()).unwrap(),
        Algorithm::Rs256 => Signer::with_pem(algorithm, include_str!("tests/rsa.pem")).unwrap(),
        Algorithm::Es256 => Signer::with_pem(algorithm, include_str!("tests/ec.pem")).unwrap(),
        Algorithm::EdDsa => Signer::with_pem(algorithm, include_str!("tests/ed.pem")).unwrap(),
    }
}

fn good() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": ["other", "waypost"], "sub": "user-7", "jti": "j",
        "iat": NOW, "exp": NOW + 600,
    })
}

/// The good claims with another value of one of them; null leaves it out.
fn with(name: &str, value: Value) -> String {
    let mut claims = good();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims.to_string()
}

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token with these texts as header and claims, which are signed with HS256 whatever they say.
fn forged(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encoded(header), encoded(claims));
    hs256(&signed, SECRET.as_bytes())
}

fn hs256(signed: &str, secret: &[u8]) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(secret).unwrap();
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, jsonwebtoken::Algorithm::HS256);
    format!("{signed}.{}", signature.unwrap())
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn of_claims(claims: &str) -> String {
    forged(HEADER, claims)
}

fn of_header(header: &str) -> String {
    forged(header, &good().to_string())
}

fn valid(algorithm: Algorithm, kid: Option<&str>) -> String {
    signer(algorithm).sign(good().as_object().unwrap(), kid).unwrap()
}

#[test]
fn each_algorithm_signs_and_verifies() {
    for (algorithm, source, kid) in [
        (Algorithm::Hs256, secret(), "any"),
        (Algorithm::Rs256, KeySource::Pem(RSA.to_owned()), "any"),
        (Algorithm::Es256, KeySource::Pem(EC.to_owned()), "any"),
        (Algorithm::EdDsa, KeySource::Pem(ED.to_owned()), "any"),
        (Algorithm::Rs256, KeySource::Jwks(JWKS.to_owned()), "rsa"),
        (Algorithm::Es256, KeySource::Jwks(JWKS.to_owned()), "ec"),
        (Algorithm::EdDsa, KeySource::Jwks(JWKS.to_owned()), "ed"),
    ] {
        let verifier = verifier(algorithm, &source);
        for kid in [Some(kid), None] {
            let claims = verifier.verify(&valid(algorithm, kid), NOW * 1000).unwrap();
            assert_eq!((claims.sub(), claims.jti()), (Some("user-7"), Some("j")), "{algorithm:?}");
            assert_eq!((claims.exp_ms(), claims.iat_ms()), ((NOW + 600) * 1000, Some(NOW * 1000)));
        }
        assert_eq!(Algorithm::named(algorithm.name()), Some(algorithm));
    }
    let shown = format!("{:?} {:?}", verifier(Algorithm::Hs256, &secret()), secret());
    assert!(!shown.contains("a secret"), "{shown}");
}

/// Tokens whose structure, header or signature is wrong.
fn of_hostile_form() -> Vec<(&'static str, String, JwtError)> {
    use JwtError::*;
    let good = good().to_string();
    let token = of_claims(&good);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let kids = "x".repeat(MAX_NAME_LEN + 1);
    let none = |alg: &str| format!("{}.{claims}.", encoded(&format!(r#"{{"alg":{alg}}}"#)));
    vec![
        ("empty", String::new(), NotThreeParts),
        ("one part", "eyJ9".into(), NotThreeParts),
        ("two parts", signed.into(), NotThreeParts),
        ("four parts", format!("{token}.x"), NotThreeParts),
        ("five parts (encrypted)", "a.b.c.d.e".into(), NotThreeParts),
        ("dots", "..".into(), NotAnObject),
        ("huge", "a".repeat(MAX_TOKEN_LEN + 1), TooLong),
        ("huge claims", of_claims(&with("x", "y".repeat(MAX_TOKEN_LEN).into())), TooLong),
        ("a header that is no base64", format!("!!!.{claims}.{signature}"), NotBase64),
        ("padding", format!("{header}=.{claims}.{signature}"), NotBase64),
        (
            "the other alphabet",
            format!("{}.{claims}.{signature}", STANDARD_NO_PAD.encode([0xfb; 3])),
            NotBase64,
        ),
        ("white space", format!(" {token}"), NotBase64),
        ("a header that is no object", of_header("7"), NotAnObject),
        ("a header that is cut", of_header(r#"{"alg":"HS256""#), NotAnObject),
        (
            "a header that is no text",
            format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode([0xff; 9])),
            NotAnObject,
        ),
        ("deep header", of_header(&format!("{}{}", "[".repeat(500), "]".repeat(500))), NotAnObject),
        ("alg none", none("\"none\""), WrongAlgorithm),
        ("alg None", none("\"None\""), WrongAlgorithm),
        ("alg NONE", none("\"NONE\""), WrongAlgorithm),
        ("alg nOnE with a signature", of_header(r#"{"alg":"nOnE"}"#), WrongAlgorithm),
        ("no alg", of_header("{}"), WrongAlgorithm),
        ("alg null", none("null"), WrongAlgorithm),
        ("alg of another type", none("[\"HS256\"]"), WrongAlgorithm),
        ("alg in small letters", of_header(r#"{"alg":"hs256"}"#), WrongAlgorithm),
        ("a stronger alg", of_header(r#"{"alg":"HS512"}"#), WrongAlgorithm),
        ("alg of another kind", valid(Algorithm::Rs256, None), WrongAlgorithm),
        ("alg twice", of_header(r#"{"alg":"HS256","alg":"none"}"#), NameTwice),
        ("crit", of_header(r#"{"alg":"HS256","crit":["exp"]}"#), BadHeader("crit")),
        ("b64", of_header(r#"{"alg":"HS256","b64":false}"#), BadHeader("b64")),
        ("zip", of_header(r#"{"alg":"HS256","zip":"DEF"}"#), BadHeader("zip")),
        ("enc", of_header(r#"{"alg":"HS256","enc":"A256GCM"}"#), BadHeader("enc")),
        ("a logout token", of_header(r#"{"alg":"HS256","typ":"logout+jwt"}"#), BadHeader("typ")),
        ("typ of another type", of_header(r#"{"alg":"HS256","typ":7}"#), BadHeader("typ")),
        ("a long kid", of_header(&format!(r#"{{"alg":"HS256","kid":"{kids}"}}"#)), BadHeader("kid")),
        ("kid of another type", of_header(r#"{"alg":"HS256","kid":{"a":1}}"#), BadHeader("kid")),
        ("no signature", format!("{signed}."), BadSignature),
        ("a short signature", format!("{signed}.{}", &signature[..20]), BadSignature),
        (
            "a changed claim",
            format!("{header}.{}.{signature}", encoded(&with("sub", "admin".into()))),
            BadSignature,
        ),
        ("another secret", hs256(signed, b"another secret"), BadSignature),
        ("signed with the public key", hs256(signed, RSA.as_bytes()), BadSignature),
        (
            "its own key",
            hs256(&format!("{}.{claims}", encoded(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"YQ"}}"#)), b"a"),
            BadSignature,
        ),
    ]
}

/// Tokens that are signed well, and whose claims are wrong.
fn of_hostile_claims() -> Vec<(&'static str, String, JwtError)> {
    use JwtError::*;
    let long: Value = "x".repeat(MAX_NAME_LEN + 1).into();
    vec![
        ("claims that are a list", of_claims("[]"), NotAnObject),
        ("no exp", of_claims(&with("exp", Value::Null)), MissingClaim("exp")),
        ("exp as text", of_claims(&with("exp", "9999999999".into())), BadClaim("exp")),
        ("negative exp", of_claims(&with("exp", (-1).into())), BadClaim("exp")),
        ("exp without end", of_claims(&with("exp", json!(1e300))), BadClaim("exp")),
        (
            "exp out of range",
            of_claims(&good().to_string().replace(&(NOW + 600).to_string(), "1e400")),
            NotAnObject,
        ),
        ("expired", of_claims(&with("exp", NOW.into())), Expired),
        ("expired long ago", of_claims(&with("exp", 0.into())), Expired),
        ("not yet", of_claims(&with("nbf", (NOW + 6).into())), NotYet),
        ("nbf as text", of_claims(&with("nbf", "0".into())), BadClaim("nbf")),
        ("issued in the future", of_claims(&with("iat", (NOW + 6).into())), NotYet),
        ("another issuer", of_claims(&with("iss", "https://issuer.example.evil".into())), WrongIssuer),
        ("no issuer", of_claims(&with("iss", Value::Null)), WrongIssuer),
        ("a list of issuers", of_claims(&with("iss", json!(["https://issuer.example"]))), WrongIssuer),
        ("another audience", of_claims(&with("aud", "waypost2".into())), WrongAudience),
        ("no audience", of_claims(&with("aud", Value::Null)), WrongAudience),
        ("audience of another type", of_claims(&with("aud", json!({"waypost": 1}))), WrongAudience),
        ("sub of another type", of_claims(&with("sub", 7.into())), BadClaim("sub")),
        ("an empty sub", of_claims(&with("sub", "".into())), BadClaim("sub")),
        ("a long sub", of_claims(&with("sub", long.clone())), BadClaim("sub")),
        ("a long jti", of_claims(&with("jti", long)), BadClaim("jti")),
        ("exp twice", of_claims(&format!(r#"{{"exp":{},"exp":1}}"#, NOW + 600)), NameTwice),
        (
            "a name twice below",
            of_claims(&with("x", json!({})).replace(r#""x":{}"#, r#""x":{"a":1,"a":2}"#)),
            NameTwice,
        ),
    ]
}

#[test]
fn hostile_tokens_are_refused() {
    let verifier = verifier(Algorithm::Hs256, &secret());
    let hostile: Vec<_> = of_hostile_form().into_iter().chain(of_hostile_claims()).collect();
    assert!(hostile.len() >= 60, "{}", hostile.len());
    for (what, token, why) in hostile {
        assert_eq!(verifier.verify(&token, NOW * 1000), Err(why), "{what}: {token:.200}");
    }
}

#[test]
fn a_key_id_picks_one_of_the_known_keys_and_nothing_else() {
    let verifier = verifier(Algorithm::Rs256, &KeySource::Jwks(JWKS.to_owned()));
    for kid in ["../../../../dev/null", "ec", "enc", "' OR 1=1 --", "https://evil.example/jwks", ""] {
        let token = valid(Algorithm::Rs256, Some(kid));
        assert_eq!(verifier.verify(&token, NOW * 1000), Err(JwtError::UnknownKey), "{kid}");
    }
    // The public key as the secret of HS256, and a token of another algorithm's key.
    let confused = hs256(&format!("{}.{}", encoded(HEADER), encoded(&good().to_string())), RSA.as_bytes());
    assert_eq!(verifier.verify(&confused, NOW * 1000), Err(JwtError::WrongAlgorithm));
    let es256 = valid(Algorithm::Es256, Some("ec"));
    assert_eq!(verifier.verify(&es256, NOW * 1000), Err(JwtError::WrongAlgorithm));
    let mut two: Value = serde_json::from_str(JWKS).unwrap();
    two["keys"][3] = two["keys"][0].clone();
    two["keys"][3]["kid"] = "old".into();
    let two = two.to_string();
    let both = Verifier::new(Algorithm::Rs256, &KeySource::Jwks(two), None, None).unwrap();
    assert_eq!(both.verify(&valid(Algorithm::Rs256, None), NOW * 1000), Err(JwtError::NoKeyId));
    assert!(both.verify(&valid(Algorithm::Rs256, Some("old")), NOW * 1000).is_ok());
}

#[test]
fn times_have_a_small_leeway_but_for_the_end() {
    let verifier = verifier(Algorithm::Hs256, &secret());
    let at = |name: &str, second: u64| {
        verifier.verify(&of_claims(&with(name, second.into())), NOW * 1000).map(drop)
    };
    assert_eq!(at("nbf", NOW + 5), Ok(()));
    assert_eq!(at("iat", NOW + 5), Ok(()));
    assert_eq!(at("exp", NOW + 1), Ok(()));
    let token = of_claims(&with("exp", json!(NOW as f64 + 0.5)));
    assert!(verifier.verify(&token, NOW * 1000 + 499).is_ok());
    assert_eq!(verifier.verify(&token, NOW * 1000 + 500), Err(JwtError::Expired));
}

#[test]
fn keys_that_fit_no_algorithm_are_refused() {
    let pem = |text: &str| KeySource::Pem(text.to_owned());
    let jwks = |keys: Value| KeySource::Jwks(json!({ "keys": keys }).to_string());
    let many: Vec<Value> = (0..1000).map(|n| json!({"kty": "OKP", "kid": n.to_string()})).collect();
    let rsa: Value = serde_json::from_str::<Value>(JWKS).unwrap()["keys"][0].clone();
    let mut private = rsa.clone();
    private["d"] = "AQAB".into();
    for (algorithm, source, why) in [
        (Algorithm::Hs256, pem(RSA), KeyError::WrongSource),
        (Algorithm::Rs256, secret(), KeyError::WrongSource),
        (Algorithm::Hs256, KeySource::Secret(String::new()), KeyError::EmptySecret),
        (Algorithm::Hs256, KeySource::Secret(RSA.to_owned()), KeyError::PemSecret),
        (Algorithm::Hs256, KeySource::Secret("x".repeat(MAX_SECRET_LEN + 1)), KeyError::TooLong),
        (Algorithm::Rs256, KeySource::Pem("x".repeat(MAX_PEM_LEN + 1)), KeyError::TooLong),
        (Algorithm::Rs256, pem("x"), KeyError::BadPem),
        (Algorithm::Rs256, pem(EC), KeyError::BadPem),
        (Algorithm::Es256, pem(RSA), KeyError::BadPem),
        (Algorithm::Es256, pem(include_str!("tests/ec384.pub")), KeyError::BadPem),
        (Algorithm::EdDsa, pem(EC), KeyError::BadPem),
        (Algorithm::Rs256, pem(include_str!("tests/rsa.pem")), KeyError::BadPem),
        (Algorithm::Rs256, pem(include_str!("tests/small.pub")), KeyError::RsaSize),
        (Algorithm::Rs256, KeySource::Jwks("[]".into()), KeyError::BadJwks),
        (Algorithm::Rs256, KeySource::Jwks(r#"{"keys":[],"keys":[]}"#.into()), KeyError::BadJwks),
        (Algorithm::Rs256, KeySource::Jwks(" ".repeat(MAX_JWKS_LEN + 1)), KeyError::TooLong),
        (Algorithm::EdDsa, jwks(many.into()), KeyError::TooManyKeys),
        (Algorithm::Rs256, jwks(json!([private])), KeyError::PrivateKey),
        (Algorithm::Hs256, jwks(json!([{"kty": "oct", "k": "YQ"}])), KeyError::WrongSource),
        (Algorithm::Rs256, jwks(json!([{"kty": "oct", "k": "YQ"}])), KeyError::PrivateKey),
        (Algorithm::Rs256, jwks(json!([rsa.clone(), rsa])), KeyError::SameKeyId),
        (Algorithm::EdDsa, jwks(json!([{"kty": "OKP", "crv": "Ed25519", "x": "AQ"}])), KeyError::NoKey),
        (
            Algorithm::Es256,
            jwks(json!([{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}])),
            KeyError::NoKey,
        ),
        (Algorithm::Rs256, jwks(json!([{"kty": "RSA", "n": "AQ", "e": "AQAB"}])), KeyError::NoKey),
    ] {
        let refused = Verifier::new(algorithm, &source, None, None).map(drop);
        assert_eq!(refused, Err(why), "{algorithm:?} {source:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_refused_without_a_panic(text in ".{0,200}", parts in "[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,4}") {
        let verifier = verifier(Algorithm::Hs256, &secret());
        for token in [text, parts] {
            prop_assert!(verifier.verify(&token, NOW * 1000).is_err());
            let _ = Unverified::read(&token);
        }
    }

    #[test]
    fn a_token_with_one_other_byte_is_refused(place in 0usize..10_000, byte in 0x20u8..0x7f) {
        let token = valid(Algorithm::Hs256, None);
        let place = place % token.len();
        let mut changed = token.clone().into_bytes();
        changed[place] = byte;
        let changed = String::from_utf8(changed).unwrap();
        if changed != token {
            prop_assert!(verifier(Algorithm::Hs256, &secret()).verify(&changed, NOW * 1000).is_err());
        }
    }

    #[test]
    fn any_document_of_keys_is_read_without_a_panic(text in ".{0,300}", x in "[A-Za-z0-9_-]{0,60}") {
        let keys = json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": x}, {"kty": "RSA", "n": x, "e": "AQAB"},
            {"kty": "EC", "crv": "P-256", "x": x, "y": x},
        ]});
        for document in [text, keys.to_string()] {
            for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
                let _ = Verifier::new(algorithm, &KeySource::Jwks(document.clone()), None, None);
            }
        }
    }
}
