//! The token of a long poll's session: the node that holds the session, the session's secret, and the last
//! batch that the client has.
//!
//! Clients treat it as one opaque text. Each answer to a poll replaces it.

use crate::core::ids::NodeId;
use std::fmt;
use std::str::FromStr;

/// The prefix of every session's token. It keeps such a token apart from one that opens maps.
const PREFIX: &str = "lp.";

/// What a client sends to identify its session. The token lives as long as the session, and its number grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SessionToken {
    /// The node that holds the session.
    pub(super) node: NodeId,
    /// Names the session on that node; 128 random bits in hexadecimal.
    pub(super) secret: String,
    /// Number of the last batch that the client has; 0 before the first.
    pub(super) seen: u64,
}

impl SessionToken {
    /// The token of a new session on `node`. `None` if the system has no random bits.
    pub(super) fn new(node: NodeId) -> Option<Self> {
        let (high, low) = (getrandom::u64().ok()?, getrandom::u64().ok()?);
        Some(Self { node, secret: format!("{high:016x}{low:016x}"), seen: 0 })
    }

    /// The same token for a client that has the batches up to `seen`.
    pub(super) fn having(self, seen: u64) -> Self {
        Self { seen, ..self }
    }
}

impl fmt::Display for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}.{}.{}", self.node, self.secret, self.seen)
    }
}

/// The text is not a session's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the token of a long poll's session")]
pub(super) struct NoSession;

impl FromStr for SessionToken {
    type Err = NoSession;

    fn from_str(text: &str) -> Result<Self, NoSession> {
        let mut parts = text.strip_prefix(PREFIX).ok_or(NoSession)?.split('.');
        let (Some(node), Some(secret), Some(seen), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoSession);
        };
        let (node, seen) = (node.parse().map_err(|_| NoSession)?, seen.parse().map_err(|_| NoSession)?);
        Ok(Self { node, secret: secret.to_owned(), seen })
    }
}

/// Whether a text from a query is a session's token. Such a token opens no map.
pub(in crate::edge::phoenix) fn is_session_token(text: &str) -> bool {
    text.parse::<SessionToken>().is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn golden_token() {
        let token = SessionToken { node: 3, secret: "00ff".to_owned(), seen: 7 };
        assert_eq!(token.to_string(), "lp.3.00ff.7");
        assert_eq!("lp.3.00ff.7".parse(), Ok(token.clone()));
        assert_eq!(token.having(8).to_string(), "lp.3.00ff.8");
        assert_ne!(SessionToken::new(1).unwrap().secret, SessionToken::new(1).unwrap().secret);
        for bad in [
            "",
            "lp.",
            "lp.3.00ff",
            "lp.3.00ff.",
            "lp.3.00ff.-1",
            "lp.x.00ff.7",
            "lp.3.00ff.7.8",
            "wp_3.00ff.7",
        ] {
            assert_eq!(bad.parse::<SessionToken>(), Err(NoSession), "{bad}");
        }
    }
}
