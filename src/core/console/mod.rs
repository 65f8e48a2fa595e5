//! The console and the portal: what a browser keeps of them, and what it opens.
//!
//! A [`Session`] stands in the cookie of somebody who has signed in, a [`Link`] in the token of a portal
//! link. Both are encrypted, so that only the cluster can read or make them, and neither opens anything by
//! itself: each names a [`Credential`], which is looked up with every request.

mod asked;
mod link;
mod origin;
mod theme;

pub use asked::{Asked, MAX_MINUTES, USUAL_MINUTES};
pub use link::{Link, LinkPage, LinkScopes};
pub use origin::{FORM as ORIGIN_FORM, MAX_ORIGINS, Origin};
pub use theme::{Colour, Theme};

use super::access::{Scopes, TokenHash};
use super::ids::TokenId;
use serde::{Deserialize, Serialize};

/// Whom a session, or the maker of a link, stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credential {
    /// The holder of the token with this hash: the admin token, or one of a map.
    Token(TokenHash),
    /// Somebody who signed in by OpenID Connect.
    Person(Person),
}

/// What somebody who signed in by OpenID Connect may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The mark of the settings by which this was decided.
    pub settings: [u8; 16],
    /// Whether they are an admin.
    pub admin: bool,
    /// The tokens as which they act, one of each map, with the most that they may do.
    pub maps: Vec<(TokenId, Scopes)>,
}

/// The session of somebody who has signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whom it stands for.
    pub credential: Credential,
    /// When it ends (milliseconds of the cluster's time).
    pub end_ms: u64,
}

impl Session {
    /// How many seconds it goes on; `None` if it has ended.
    pub fn seconds_left(&self, now_ms: u64) -> Option<u64> {
        self.end_ms.checked_sub(now_ms).filter(|left| *left > 0).map(|left| left.div_ceil(1000))
    }
}

#[cfg(test)]
mod tests;
