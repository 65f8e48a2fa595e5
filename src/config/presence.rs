//! The settings of presence.

use serde::{Deserialize, Serialize};

/// Who is there on which channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// How long a user stays a member of a channel after the last connection broke, in milliseconds.
    pub grace_ms: u32,
}

impl Default for Presence {
    fn default() -> Self {
        Self { grace_ms: 3000 }
    }
}
