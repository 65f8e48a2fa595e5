//! The token of a long poll's session: the node that holds the session, the map whose token opened it, the
//! session's secret, and the last batch that the client has.
//!
//! The token carries a tag under the cluster's key. So every node knows a session of the cluster from a
//! made-up one, before it asks the node that holds the session. The tag does not cover the batch: a client
//! that changes its number harms itself alone. Clients treat the token as one opaque text. Each answer to a
//! poll replaces it.

use crate::core::ids::{MapId, NodeId};
use crate::hub::Encryption;
use std::fmt;
use std::str::FromStr;

/// The prefix of every session's token. It keeps such a token apart from one that opens maps.
const PREFIX: &str = "lp.";
/// Keeps the tags of these tokens apart from other uses of the cluster's key.
const PURPOSE: &str = "session of a long poll";
/// The digits of 128 bits in hexadecimal.
const DIGITS: usize = 32;

/// What a client sends to identify its session. The token lives as long as the session, and its number grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SessionToken {
    /// The node that holds the session.
    pub(super) node: NodeId,
    /// The map of the token that opened the session. `None` for the admin's token.
    pub(super) map: Option<MapId>,
    /// Names the session on that node; random.
    pub(super) secret: u128,
    tag: u128,
    /// Number of the last batch that the client has; 0 before the first.
    pub(super) seen: u64,
}

impl SessionToken {
    /// The token of a new session on `node`. `None` if the system has no random bits.
    pub(super) fn new(node: NodeId, map: Option<MapId>, key: &Encryption) -> Option<Self> {
        let high = getrandom::u64().ok()?;
        let low = getrandom::u64().ok()?;
        let secret = u128::from(high) << 64 | u128::from(low);
        let untagged = Self { node, map, secret, tag: 0, seen: 0 };
        let tag = untagged.with_parts(|parts| key.tag(PURPOSE, parts));
        Some(Self { tag: u128::from_be_bytes(tag), ..untagged })
    }

    /// Whether a node of this cluster made the token.
    pub(super) fn is_genuine(&self, key: &Encryption) -> bool {
        self.with_parts(|parts| key.is_tag(&self.tag.to_be_bytes(), PURPOSE, parts))
    }

    /// The same token for a client that has the batches up to `seen`.
    pub(super) fn having(self, seen: u64) -> Self {
        Self { seen, ..self }
    }

    /// The parts that the tag covers.
    fn with_parts<T>(&self, of: impl FnOnce(&[&str]) -> T) -> T {
        let secret = format!("{:032x}", self.secret);
        of(&[&self.node.to_string(), &map_text(self.map), &secret])
    }
}

fn map_text(map: Option<MapId>) -> String {
    map.map_or_else(|| "admin".to_owned(), |map| map.to_string())
}

impl fmt::Display for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, map, secret, tag, seen } = self;
        write!(f, "{PREFIX}{node}.{}.{secret:032x}.{tag:032x}.{seen}", map_text(*map))
    }
}

/// The text is not a session's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the token of a long poll's session")]
pub(super) struct NoSession;

impl FromStr for SessionToken {
    type Err = NoSession;

    fn from_str(text: &str) -> Result<Self, NoSession> {
        let parts: Vec<&str> = text.strip_prefix(PREFIX).ok_or(NoSession)?.split('.').collect();
        let [node, map, secret, tag, seen] = parts[..] else { return Err(NoSession) };
        let map = match map {
            "admin" => None,
            map => Some(map.parse().map_err(|_| NoSession)?),
        };
        let node = node.parse().map_err(|_| NoSession)?;
        let seen = seen.parse().map_err(|_| NoSession)?;
        Ok(Self { node, map, secret: hexadecimal(secret)?, tag: hexadecimal(tag)?, seen })
    }
}

fn hexadecimal(text: &str) -> Result<u128, NoSession> {
    let digits = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits {
        return Err(NoSession);
    }
    u128::from_str_radix(text, 16).map_err(|_| NoSession)
}

/// Whether a text from a query is meant as a session's token, of this release or another. Such a token opens no
/// map.
pub(in crate::edge::phoenix) fn is_session_token(text: &str) -> bool {
    let parts = text.strip_prefix(PREFIX).and_then(|text| text.split_once('.'));
    parts.is_some_and(|(node, _)| node.parse::<NodeId>().is_ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = "lp.3.01010101-0101-0101-0101-010101010101.\
                        000000000000000000000000000000ff.0000000000000000000000000000000a.7";

    fn token() -> SessionToken {
        let map = Some(MapId::from_bytes([1; 16]));
        SessionToken { node: 3, map, secret: 0xff, tag: 10, seen: 7 }
    }

    #[test]
    fn golden_token() {
        assert_eq!(token().to_string(), TEXT);
        assert_eq!(TEXT.parse(), Ok(token()));
        assert_eq!(token().having(8).to_string(), TEXT.replace(".7", ".8"));
        let admin = SessionToken { map: None, ..token() };
        assert_eq!(admin.to_string().parse(), Ok(admin));
        for bad in [
            "",
            "lp.",
            "lp.3.00ff.7",
            &TEXT.replace(".7", ""),
            &TEXT.replace(".7", ".-1"),
            &TEXT.replace("lp.3", "lp.x"),
            &TEXT.replace(".7", ".7.8"),
            &TEXT.replace("lp.", "wp_"),
            &TEXT.replace(".0000000000000000000000000000000a", ".a"),
            &TEXT.replace(".0000000000000000000000000000000a", ".+000000000000000000000000000000a"),
        ] {
            assert_eq!(bad.parse::<SessionToken>(), Err(NoSession), "{bad}");
        }
    }

    #[test]
    fn a_session_of_another_release_opens_no_map() {
        assert!(is_session_token(TEXT) && is_session_token("lp.3.00ff.7"));
        assert!(
            !is_session_token("wp_3.00ff.7") && !is_session_token("lp.x.00ff.7") && !is_session_token("lp.3")
        );
    }

    #[test]
    fn only_the_clusters_own_tokens_are_genuine() {
        let key = Encryption::for_tests(1);
        let other = Encryption::for_tests(2);
        let token = SessionToken::new(3, Some(MapId::from_bytes([1; 16])), &key).unwrap();
        assert!(token.is_genuine(&key) && !token.is_genuine(&other));
        assert!(token.clone().having(9).is_genuine(&key), "each batch has the same tag");
        let forged = [
            SessionToken { node: 2, ..token.clone() },
            SessionToken { map: None, ..token.clone() },
            SessionToken { map: Some(MapId::from_bytes([2; 16])), ..token.clone() },
            SessionToken { secret: token.secret ^ 1, ..token.clone() },
            SessionToken { tag: token.tag ^ 1, ..token.clone() },
        ];
        assert!(forged.iter().all(|forged| !forged.is_genuine(&key)), "{forged:?}");
        assert_ne!(token.secret, SessionToken::new(3, None, &key).unwrap().secret);
    }
}
