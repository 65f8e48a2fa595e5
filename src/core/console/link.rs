//! Portal links: what they open.

use super::{Credential, Origin, Theme};
use crate::core::ids::MapId;
use crate::core::named_set::named_set;
use serde::{Deserialize, Serialize};

/// The routes of webhooks that a link can open, below `/api/maps/{map}/webhooks`. Firing is not one: it
/// publishes an event.
const OF_WEBHOOKS: [&str; 15] = [
    "",
    "/preview",
    "/{id}",
    "/{id}/rotate-secret",
    "/{id}/enable",
    "/{id}/disable",
    "/{id}/test",
    "/{id}/attempts",
    "/{id}/dead-letters",
    "/{id}/dead-letters/retry",
    "/{id}/dead-letters/{event}",
    "/{id}/dead-letters/{event}/retry",
    "/{id}/replay",
    "/{id}/replays",
    "/{id}/replays/{replay}",
];
/// The routes of consumers that a link can open, below `/api/maps/{map}/consumers`. Those of readers are not
/// among them: what a reader takes, the worker does not get.
const OF_CONSUMERS: [&str; 9] = [
    "",
    "/{consumer}",
    "/{consumer}/dead-letters",
    "/{consumer}/dead-letters/retry",
    "/{consumer}/dead-letters/{event}",
    "/{consumer}/dead-letters/{event}/retry",
    "/{consumer}/replay",
    "/{consumer}/replays",
    "/{consumer}/replays/{replay}",
];

/// What a link opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkScopes(u8);

impl LinkScopes {
    const WEBHOOKS_READ: Self = Self(1);
    const WEBHOOKS_WRITE: Self = Self(2);
    const CONSUMERS_READ: Self = Self(4);
    const CONSUMERS_WRITE: Self = Self(8);

    /// No scopes.
    pub const NONE: Self = Self(0);
    /// All scopes with their names.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("webhooks:read", Self::WEBHOOKS_READ),
        ("webhooks:write", Self::WEBHOOKS_WRITE),
        ("consumers:read", Self::CONSUMERS_READ),
        ("consumers:write", Self::CONSUMERS_WRITE),
    ];

    /// The scope that a request of the route needs; `None` if no link opens it. A route that is not listed is
    /// closed.
    pub fn needed(is_read: bool, route: &str) -> Option<Self> {
        let below = route.strip_prefix("/api/maps/{map}")?;
        let webhooks = || below.strip_prefix("/webhooks").filter(|rest| OF_WEBHOOKS.contains(rest));
        let consumers = || below.strip_prefix("/consumers").filter(|rest| OF_CONSUMERS.contains(rest));
        match is_read {
            true if webhooks().is_some() => Some(Self::WEBHOOKS_READ),
            false if webhooks().is_some() => Some(Self::WEBHOOKS_WRITE),
            true if consumers().is_some() => Some(Self::CONSUMERS_READ),
            false if consumers().is_some() => Some(Self::CONSUMERS_WRITE),
            _ => None,
        }
    }
}

named_set!(LinkScopes);

/// What stands in the token of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The map that it opens.
    pub map: MapId,
    /// What of the map.
    pub scopes: LinkScopes,
    /// Who made it: it opens nothing once they may not manage the map any more.
    pub maker: Credential,
    /// When it ends (milliseconds of the cluster's time).
    pub end_ms: u64,
    /// How its pages look.
    pub theme: Theme,
}

/// What stands in the path of a link: the pages that may show it, which the server must know before the token
/// is sent to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPage {
    /// The origins of these pages; empty: none.
    pub origins: Vec<Origin>,
    /// When the link ends (milliseconds of the cluster's time).
    pub end_ms: u64,
    /// How its pages look.
    pub theme: Theme,
}

impl LinkPage {
    /// The sources of `frame-ancestors`.
    pub fn ancestors(&self) -> String {
        match self.origins.as_slice() {
            [] => "'none'".to_owned(),
            origins => origins.iter().map(Origin::as_str).collect::<Vec<_>>().join(" "),
        }
    }
}
