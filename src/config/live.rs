//! The settings of live sessions.

use serde::{Deserialize, Serialize};

/// Live sessions: plain JSON over a WebSocket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Live {
    /// Whether clients may connect at `/api/sessions/live`, and back ends may call the routes of sessions.
    pub enabled: bool,
    /// The types of events, or patterns of types, of the map's own subject that every client of the map gets.
    pub for_all: Vec<String>,
}

impl Default for Live {
    fn default() -> Self {
        Self { enabled: true, for_all: vec!["session.started".to_owned()] }
    }
}
