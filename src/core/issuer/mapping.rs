//! Where the tokens of an issuer say what they permit.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest path of a claim (bytes).
const MAX_PATH_LEN: usize = 256;

/// The path of a claim: a JSON pointer if it begins with `/`; otherwise the name of a claim, or names with
/// dots between them. A claim with the whole name, such as `https://example.com/map`, comes before one that
/// is found name by name, such as `realm_access.roles`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimPath(Box<str>);

impl ClaimPath {
    /// Returns `None` unless the text is a path.
    pub fn new(text: &str) -> Option<Self> {
        let good = (1..=MAX_PATH_LEN).contains(&text.len()) && !text.chars().any(char::is_control);
        good.then(|| Self(text.into()))
    }

    /// Returns the text of the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the claim that the path names.
    pub fn find<'v>(&self, claims: &'v Map<String, Value>) -> Option<&'v Value> {
        if self.0.starts_with('/') {
            return pointed(claims, &self.0);
        }
        claims.get(&*self.0).or_else(|| {
            let mut names = self.0.split('.');
            let first = claims.get(names.next()?)?;
            names.try_fold(first, |value, name| value.as_object()?.get(name))
        })
    }
}

/// The value that a JSON pointer (RFC 6901) names. Only members of objects have names here.
fn pointed<'v>(claims: &'v Map<String, Value>, pointer: &str) -> Option<&'v Value> {
    let mut names = pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~"));
    let first = claims.get(&names.next()?)?;
    names.try_fold(first, |value, name| value.as_object()?.get(&name))
}

/// The paths of the claims that say what a token permits. `None`: the member of the claim `waypost`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimMapping {
    /// The map, by id or slug.
    pub map: Option<ClaimPath>,
    /// The scopes: a list, or a text with spaces between them. Names that are no scopes do not count.
    pub scopes: Option<ClaimPath>,
    /// The patterns of the subjects that may be used.
    pub subjects: Option<ClaimPath>,
    /// The condition that events must meet.
    pub filter: Option<ClaimPath>,
    /// The most sessions of the token's `sub` on one node.
    pub connections: Option<ClaimPath>,
}
