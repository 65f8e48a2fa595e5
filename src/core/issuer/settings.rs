//! The settings of issuers, as callers write them.

use super::client::MAX_CONNECTIONS;
use super::{ClaimMapping, ClaimPath, LOGIN_ISSUER, MAX_ISSUER_NAME_LEN, MAX_ISSUERS, USUAL_CONNECTIONS};
use crate::core::field_error::FieldCode;
use crate::core::json::Members;
use crate::core::jwt::{Algorithm, KeySource, Verifier};
use serde_json::value::RawValue;

/// What `issuer` and `audience` are if any will do.
pub const ANY: &str = "*";
/// Longest `issuer` and `audience` (bytes).
const MAX_TEXT_LEN: usize = 512;
/// Shortest secret (bytes): RFC 7518 asks for as many bytes as the hash has.
const MIN_SECRET_LEN: usize = 32;

/// Where the keys come from, as a caller says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenKeys {
    /// Keys that stand in the settings.
    Source(KeySource),
    /// The URL of a JWKS document.
    Url(String),
    /// The secret that the issuer of this name has already.
    Kept,
}

/// The settings of one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Its name.
    pub name: Box<str>,
    /// The algorithm of its signatures.
    pub algorithm: Algorithm,
    /// Its keys.
    pub keys: GivenKeys,
    /// What its tokens have as `iss`.
    pub issuer: Option<Box<str>>,
    /// What its tokens have among `aud`.
    pub audience: Option<Box<str>>,
    /// Where its tokens say what they permit.
    pub claims: ClaimMapping,
    /// The most sessions of one `sub` on one node, where the token says nothing else.
    pub connections: u32,
}

/// Reads `{"issuers": […]}`. Names are unique. `is_url` says what is wrong with a URL, if something is.
pub fn read_issuers<'a>(
    m: &mut Members<'a>,
    is_url: &dyn Fn(&str) -> Result<(), String>,
) -> Vec<IssuerSettings> {
    let Some(raw) = m.raw(&["issuers"]) else {
        if m.is_object() {
            m.fault("issuers", FieldCode::Required, "is required");
        }
        return Vec::new();
    };
    let Ok(listed) = serde_json::from_str::<Vec<&'a RawValue>>(raw.get()) else {
        m.fault("issuers", FieldCode::WrongType, "must be a list of issuers");
        return Vec::new();
    };
    if listed.len() > MAX_ISSUERS {
        m.fault(
            "issuers",
            FieldCode::OutOfRange,
            format_args!("a map has at most {MAX_ISSUERS} issuers; the limit is fixed"),
        );
        return Vec::new();
    }
    let mut issuers: Vec<IssuerSettings> = Vec::new();
    for (place, one) in listed.into_iter().enumerate() {
        let read = m.inside(&format!("issuers[{place}]"), one, |inner| {
            let read = read_issuer(inner, is_url);
            if read.as_ref().is_some_and(|read| issuers.iter().any(|other| other.name == read.name)) {
                inner.fault("name", FieldCode::Invalid, "is the name of another issuer of the list");
            }
            read
        });
        issuers.extend(read);
    }
    issuers
}

fn read_issuer(m: &mut Members<'_>, is_url: &dyn Fn(&str) -> Result<(), String>) -> Option<IssuerSettings> {
    let name = m.required::<String>("name", "a string");
    if name.as_deref().is_some_and(|name| !is_name(name)) {
        let message = format_args!("must have 1 to {MAX_ISSUER_NAME_LEN} of A-Z a-z 0-9 _ - .");
        m.fault("name", FieldCode::Invalid, message);
    }
    let algorithm = read_algorithm(m);
    let issuer = read_text(m, "issuer");
    if issuer.as_deref().is_some_and(|issuer| issuer.starts_with(LOGIN_ISSUER)) {
        m.fault("issuer", FieldCode::NotAllowed, "is the cluster's own");
    }
    let audience = read_text(m, "audience");
    let claims = m.object("claims", read_mapping).unwrap_or_default();
    let connections = read_connections(m);
    let keys = read_keys(m, algorithm, is_url);
    if matches!(keys, Some(GivenKeys::Url(_))) {
        // The keys at a URL are often those of a service that signs for others, too.
        for (name, _) in
            [("issuer", &issuer), ("audience", &audience)].iter().filter(|(_, text)| text.is_none())
        {
            m.fault(
                name,
                FieldCode::Required,
                format_args!("is required with jwks_url; \"{ANY}\" accepts any"),
            );
        }
    }
    let [issuer, audience] = [issuer, audience].map(|text| text.filter(|text| **text != *ANY));
    Some(IssuerSettings {
        name: name?.into(),
        algorithm: algorithm?,
        keys: keys?,
        issuer,
        audience,
        claims,
        connections,
    })
}

fn read_connections(m: &mut Members<'_>) -> u32 {
    let Some(most) = m.nullable::<u64>("connections", "a whole number").flatten() else {
        return USUAL_CONNECTIONS;
    };
    if !(1..=MAX_CONNECTIONS).contains(&most) {
        m.fault("connections", FieldCode::OutOfRange, format_args!("must be from 1 to {MAX_CONNECTIONS}"));
    }
    u32::try_from(most).unwrap_or(USUAL_CONNECTIONS)
}

fn read_algorithm(m: &mut Members<'_>) -> Option<Algorithm> {
    const EXPECTED: &str = "one of HS256, RS256, ES256 and EdDSA";
    let name: String = m.required("algorithm", EXPECTED)?;
    let algorithm = Algorithm::named(&name);
    if algorithm.is_none() {
        m.fault("algorithm", FieldCode::Invalid, format_args!("must be {EXPECTED}"));
    }
    algorithm
}

/// Whether the text can be the name of an issuer.
fn is_name(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=MAX_ISSUER_NAME_LEN).contains(&text.len()) && text.bytes().all(is_good)
}

fn read_text(m: &mut Members<'_>, name: &str) -> Option<Box<str>> {
    let text: String = m.nullable(name, "a string").flatten()?;
    if !(1..=MAX_TEXT_LEN).contains(&text.len()) {
        m.fault(name, FieldCode::OutOfRange, format_args!("must have 1 to {MAX_TEXT_LEN} bytes"));
    }
    Some(text.into())
}

fn read_mapping(m: &mut Members<'_>) -> ClaimMapping {
    let mut path = |name: &str| {
        let text: String = m.nullable(name, "the path of a claim").flatten()?;
        let path = ClaimPath::new(&text);
        if path.is_none() {
            m.fault(name, FieldCode::Invalid, "must be the name or the path of a claim");
        }
        path
    };
    ClaimMapping {
        map: path("map"),
        scopes: path("scopes"),
        subjects: path("subjects"),
        filter: path("filter"),
        connections: path("connections"),
    }
}

/// Reads the one member that says where the keys come from, and checks that the algorithm can use them. An
/// issuer of HS256 may leave out its secret to keep the one it has.
fn read_keys(
    m: &mut Members<'_>,
    algorithm: Option<Algorithm>,
    is_url: &dyn Fn(&str) -> Result<(), String>,
) -> Option<GivenKeys> {
    let secret: Option<String> = m.take(&["secret"], "a string");
    let pem: Option<String> = m.take(&["pem"], "a string");
    let jwks = m.raw(&["jwks"]).map(|raw| raw.get().to_owned());
    let url: Option<String> = m.take(&["jwks_url"], "a string");
    let algorithm = algorithm?;
    let given = [secret.is_some(), pem.is_some(), jwks.is_some(), url.is_some()];
    if given.into_iter().filter(|is_given| *is_given).count() > 1 {
        m.fault("algorithm", FieldCode::Invalid, "takes one of secret, pem, jwks and jwks_url");
        return None;
    }
    let (name, source) = match (secret, pem, jwks, url) {
        (Some(secret), ..) => ("secret", KeySource::Secret(secret)),
        (_, Some(pem), ..) => ("pem", KeySource::Pem(pem)),
        (_, _, Some(jwks), _) => ("jwks", KeySource::Jwks(jwks)),
        (_, _, _, Some(url)) => return read_url(m, algorithm, url, is_url),
        _ if algorithm == Algorithm::Hs256 => return Some(GivenKeys::Kept),
        _ => {
            m.fault("pem", FieldCode::Required, "one of pem, jwks and jwks_url is required");
            return None;
        }
    };
    if let Err(error) = Verifier::new(algorithm, &source, None, None) {
        m.fault(name, FieldCode::Invalid, error);
        return None;
    }
    if matches!(&source, KeySource::Secret(secret) if secret.len() < MIN_SECRET_LEN) {
        m.fault(name, FieldCode::OutOfRange, format_args!("must have at least {MIN_SECRET_LEN} bytes"));
        return None;
    }
    Some(GivenKeys::Source(source))
}

fn read_url(
    m: &mut Members<'_>,
    algorithm: Algorithm,
    url: String,
    is_url: &dyn Fn(&str) -> Result<(), String>,
) -> Option<GivenKeys> {
    if algorithm == Algorithm::Hs256 {
        m.fault("jwks_url", FieldCode::NotAllowed, "is for public keys; HS256 has a secret");
        return None;
    }
    if let Err(why) = is_url(&url) {
        m.fault("jwks_url", FieldCode::NotAllowed, why);
        return None;
    }
    Some(GivenKeys::Url(url))
}
