//! What a verified client token permits.

use super::mapping::{ClaimMapping, ClaimPath};
use super::revocations::Revocations;
use crate::core::access::Scopes;
use crate::core::expression::Expression;
use crate::core::ids::MapId;
use crate::core::jwt::{Claims, JwtError};
use crate::core::subject_limit::SubjectLimit;
use serde_json::{Map, Value};

/// The claim with what a token permits, where the issuer's mapping names no other one.
pub const WAYPOST_CLAIM: &str = "waypost";
/// What the tokens that the cluster itself hands out have as `iss`. No issuer of a map may have it.
pub const LOGIN_ISSUER: &str = "waypost:login";
/// Longest filter in a token (bytes): it leaves room for the filter of a subscription.
pub const MAX_FILTER_LEN: usize = 512;
/// The most sessions that a token or an issuer may name.
pub(super) const MAX_CONNECTIONS: u64 = 1_000_000;

/// The members of the claim `waypost`.
const MEMBERS: [&str; 5] = ["map", "scopes", "subjects", "filter", "connections"];

/// What a token permits.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientRights {
    /// The scopes; `manage` is never among them.
    pub scopes: Scopes,
    /// The subjects; `None`: all.
    pub subjects: Option<SubjectLimit>,
    /// The condition that every event must meet that the client gets.
    pub filter: Option<Expression>,
    /// The most sessions of the token's `sub` on one node; `None`: no limit of its own.
    pub connections: Option<u32>,
}

/// The client that presented a verified token.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Whom the token is about.
    pub sub: Option<Box<str>>,
    /// The token's own id.
    pub jti: Option<Box<str>>,
    /// When it was issued (Unix milliseconds).
    pub iat_ms: u64,
    /// When it ends (Unix milliseconds, by the clock of its issuer).
    pub exp_ms: u64,
    /// What it permits.
    pub rights: ClientRights,
}

impl Client {
    /// Reads the claims of a verified token. `is_map` tells whether a name is that of the issuer's map. A
    /// token may live for `longest_ms` at most; it must say when it was issued, because revocations are kept
    /// for that long.
    pub fn read(
        claims: &Claims,
        mapping: &ClaimMapping,
        longest_ms: u64,
        is_map: impl Fn(&str) -> bool,
    ) -> Result<Self, JwtError> {
        let iat_ms = claims.iat_ms().ok_or(JwtError::MissingClaim("iat"))?;
        if claims.exp_ms().saturating_sub(iat_ms) > longest_ms {
            return Err(JwtError::LivesTooLong { most_s: longest_ms / 1000 });
        }
        let given = Given::of(claims.object(), mapping)?;
        if let Some(map) = given.map
            && !map.as_str().is_some_and(is_map)
        {
            return Err(JwtError::BadClaim("waypost.map"));
        }
        let rights = given.rights()?;
        let sub = claims.sub().map(Box::from);
        if sub.is_none() && rights.connections.is_some() {
            return Err(JwtError::MissingClaim("sub"));
        }
        let jti = claims.jti().map(Box::from);
        Ok(Self { sub, jti, iat_ms, exp_ms: claims.exp_ms(), rights })
    }

    /// The client whose `sub` has this many sessions on one node at most, unless the token says how many.
    pub fn limited_to(mut self, connections: u32) -> Self {
        if self.sub.is_some() {
            self.rights.connections.get_or_insert(connections);
        }
        self
    }
}

/// Returns whether the client's token of the map was revoked.
pub fn is_revoked(revocations: &Revocations, map: MapId, client: &Client) -> bool {
    revocations.revokes(map, client.jti.as_deref(), client.sub.as_deref(), client.iat_ms)
}

/// The claims that say what a token permits, as they were given.
struct Given<'a> {
    map: Option<&'a Value>,
    scopes: Option<&'a Value>,
    /// The scopes are in a claim that is not ours, with names that are no scopes.
    scopes_are_mapped: bool,
    subjects: Option<&'a Value>,
    filter: Option<&'a Value>,
    connections: Option<&'a Value>,
}

impl<'a> Given<'a> {
    fn of(claims: &'a Map<String, Value>, mapping: &ClaimMapping) -> Result<Self, JwtError> {
        let own = match claims.get(WAYPOST_CLAIM) {
            None => None,
            Some(Value::Object(own)) => Some(own),
            Some(_) => return Err(JwtError::BadClaim("waypost")),
        };
        if own.is_some_and(|own| own.keys().any(|name| !MEMBERS.contains(&name.as_str()))) {
            return Err(JwtError::BadClaim("waypost"));
        }
        let find = |path: &Option<ClaimPath>, name: &str| match path {
            Some(path) => path.find(claims),
            None => own.and_then(|own| own.get(name)),
        };
        Ok(Self {
            map: find(&mapping.map, "map"),
            scopes: find(&mapping.scopes, "scopes"),
            scopes_are_mapped: mapping.scopes.is_some(),
            subjects: find(&mapping.subjects, "subjects"),
            filter: find(&mapping.filter, "filter"),
            connections: find(&mapping.connections, "connections"),
        })
    }

    fn rights(&self) -> Result<ClientRights, JwtError> {
        Ok(ClientRights {
            scopes: self.scopes()?,
            subjects: self.subjects.map(subjects).transpose()?,
            filter: self.filter.map(filter).transpose()?,
            connections: self.connections.map(connections).transpose()?,
        })
    }

    /// The scopes. Without any the client may subscribe.
    fn scopes(&self) -> Result<Scopes, JwtError> {
        let bad = JwtError::BadClaim("waypost.scopes");
        let Some(given) = self.scopes else {
            return if self.scopes_are_mapped { Err(bad) } else { Ok(Scopes::SUBSCRIBE) };
        };
        let names = texts(given).ok_or(bad)?;
        let of_clients =
            |name: &&str| Scopes::from_names(&[*name]).is_some_and(|one| Scopes::OF_ISSUERS.contains(one));
        let known: Vec<&str> = match self.scopes_are_mapped {
            true => names
                .into_iter()
                .map(|name| name.strip_prefix("waypost:").unwrap_or(name))
                .filter(of_clients)
                .collect(),
            false if names.iter().all(of_clients) => names,
            false => return Err(bad),
        };
        Scopes::from_names(&known).ok_or(bad)
    }
}

/// The texts of a list, or of a text with spaces between them.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(text.split(' ').filter(|name| !name.is_empty()).collect()),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn subjects(value: &Value) -> Result<SubjectLimit, JwtError> {
    let bad = JwtError::BadClaim("waypost.subjects");
    let patterns: Vec<&str> = match value {
        Value::String(one) => vec![one.as_str()],
        Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<_>>().ok_or(bad)?,
        _ => return Err(bad),
    };
    SubjectLimit::new(&patterns).ok_or(bad)
}

fn filter(value: &Value) -> Result<Expression, JwtError> {
    let bad = JwtError::BadClaim("waypost.filter");
    let text = value.as_str().filter(|text| text.len() <= MAX_FILTER_LEN).ok_or(bad)?;
    Expression::condition(text).map_err(|_| bad)
}

fn connections(value: &Value) -> Result<u32, JwtError> {
    let most = value.as_u64().filter(|most| (1..=MAX_CONNECTIONS).contains(most));
    most.and_then(|most| u32::try_from(most).ok()).ok_or(JwtError::BadClaim("waypost.connections"))
}
