//! Apps: the credentials with which clients of the Pusher protocol use a map.
//!
//! An app has an id, a key that its clients name, and a secret that its back end signs with. Several keys may
//! share an app id of one map, so that credentials can be replaced while both work. A client that names a key
//! acts as the app's token: a token that no secret opens, with the scopes subscribe and publish. It stands
//! behind everything that a token stands behind: sessions, quotas, and the check of a publish when it is
//! applied. So it ends like a revoked token.

mod directory;
mod settings;
pub mod signature;

pub use directory::Apps;
pub use settings::{AppPatch, AppSettings};

use super::ids::{MapId, TokenId};
use super::text::fits;
use super::webhook::{Origin, secret};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Credentials of one map, at most.
pub const MAX_APPS: usize = 10;
/// Origins of one app, at most.
pub const MAX_ORIGINS: usize = 32;
/// Longest app id and longest key (bytes).
pub const MAX_NAME_LEN: usize = 64;
/// Longest pattern of origins (bytes).
const MAX_ORIGIN_LEN: usize = 200;

/// Credentials as they are replicated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// The token as which its clients act.
    pub token: TokenId,
    /// The map that it gives access to.
    pub map: MapId,
    /// The app id. Several credentials of one map may have the same.
    pub id: Box<str>,
    /// The key, unique in the cluster.
    pub key: Box<str>,
    /// Whether its clients may publish where no channel rule decides it.
    pub client_events: bool,
    /// The origins of pages that may connect; empty: any.
    pub origins: Vec<OriginPattern>,
    /// The most sockets of the key over the cluster; `None` is no limit.
    pub max_connections: Option<u32>,
    /// How it was made.
    pub origin: Origin,
    /// The secret, encrypted.
    #[serde(with = "serde_bytes")]
    pub encrypted: Vec<u8>,
    /// When it was made (Unix milliseconds).
    pub inserted_ms: u64,
}

/// Creates an app, or changes one of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutApp {
    /// The caller's token; `None` is the admin.
    pub by: Option<TokenId>,
    /// The app. The state machine sets [`App::inserted_ms`].
    pub app: App,
    /// The limit on connections that new maps get.
    pub usual_connections: Option<u32>,
    /// The limit on connections that replaces it with the first app, if it is greater. A limit that somebody
    /// has set for the map stays.
    pub connections: u32,
    /// Whether the map's stream has events of subjects other than the map's own. The first app of a map
    /// without them and without channel rules brings a rule that makes all subjects ephemeral.
    pub has_subjects: bool,
}

/// Changes settings of an app. Its key, its secret and its app id stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateApp {
    /// The map.
    pub map: MapId,
    /// The caller's token; `None` is the admin.
    pub by: Option<TokenId>,
    /// The app's token.
    pub token: TokenId,
    /// The changes.
    pub patch: AppPatch,
}

/// Deletes an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteApp {
    /// The map.
    pub map: MapId,
    /// The caller's token; `None` is the admin.
    pub by: Option<TokenId>,
    /// The app's token.
    pub token: TokenId,
    /// Who deletes it. An app of a configuration file is deleted there.
    pub from: Origin,
}

/// Ends the connections of a user, at all nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminateUser {
    /// The map.
    pub map: MapId,
    /// The caller's token; `None` is the admin.
    pub by: Option<TokenId>,
    /// The user.
    pub user: Box<str>,
}

/// How a map was prepared for its first app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The map got a channel rule that makes all subjects ephemeral.
    pub rule: bool,
    /// The map's limit on connections was that of new maps, and is now this one.
    pub connections: Option<u32>,
}

/// The secret of an app in the clear. `Debug` gives a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the text. Sign with it, but never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// A pattern of the origins of pages: an origin such as `https://example.com`, or a host such as
/// `example.com` or `localhost:3000` with any scheme. `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginPattern(Box<str>);

impl OriginPattern {
    /// Returns `None` unless `text` is a pattern of origins.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('/').to_ascii_lowercase();
        let good = !text.is_empty()
            && text.len() <= MAX_ORIGIN_LEN
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}?#".contains(&byte));
        good.then(|| Self(text.into()))
    }

    /// Returns whether a page of that origin may connect.
    pub fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let host = origin.split_once("://").map_or(&*origin, |(_, host)| host);
        fits(&self.0, if self.0.contains("://") { &origin } else { host })
    }

    /// Returns the text of the pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether the text can be an app id or a key: 1–64 bytes of `A-Z a-z 0-9 _ - .`.
pub fn is_name(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=MAX_NAME_LEN).contains(&text.len()) && text.bytes().all(is_good)
}

/// Returns why the text can't be an app's secret; `None` if it can. The webhooks of an app sign with its secret, so
/// it is one that a webhook may have, of visible ASCII characters.
pub fn secret_problem(text: &str) -> Option<String> {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_visible || !secret::LENGTH.contains(&text.len()) {
        let (least, most) = (secret::LENGTH.start(), secret::LENGTH.end());
        return Some(format!("must have {least} to {most} visible ASCII characters"));
    }
    secret::problem(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_allows_origins_and_hosts() {
        for (pattern, origin, allowed) in [
            ("https://example.com", "https://example.com", true),
            ("https://example.com/", "https://EXAMPLE.com", true),
            ("https://example.com", "http://example.com", false),
            ("https://example.com", "https://example.com:444", false),
            ("https://*.example.com", "https://a.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://example.com.evil.com", false),
            ("example.com", "http://example.com", true),
            ("localhost:3000", "http://localhost:3000", true),
            ("localhost:3000", "http://localhost:3001", false),
            ("*", "null", true),
        ] {
            assert_eq!(OriginPattern::new(pattern).unwrap().allows(origin), allowed, "{pattern} {origin}");
        }
        for bad in ["", "/", "a b", "https://a?b", &"a".repeat(201)] {
            assert!(OriginPattern::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn names_and_secrets_are_short_and_visible() {
        assert!(is_name("app-1_x.Y") && is_name("1234567") && is_name(&"a".repeat(64)));
        for bad in ["", "a:b", "a/b", "a b", "ä", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
        for good in ["12345678", "a:/&=b!?", "whsec_aGk=", &"a".repeat(256)] {
            assert_eq!(secret_problem(good), None, "{good}");
        }
        for bad in ["", "1234567", "1234 678", "1234567\n", "12345678ä", "whsec_!!", &"a".repeat(257)] {
            // Whatever an app may have, its webhooks may have.
            assert!(secret_problem(bad).is_some(), "{bad}");
        }
        assert_eq!(format!("{:?}", Secret::new("open")), "********");
    }
}
