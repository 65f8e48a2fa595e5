//! Why the server ends a session, and what it says to the client.

/// A session's end by the server's will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The node goes away: connect again, to another.
    Drain,
    /// The token was revoked, or the map deleted.
    Revoked,
    /// The client takes its events too slowly.
    TooSlow,
    /// Nothing was heard from the client for too long.
    Idle,
    /// The client fell behind what is kept: it must resume, to be told of the gap.
    Gap,
    /// The client missed ephemeral events, of which there is no history.
    FellOut,
    /// The map's channel rules changed, so that the client has to subscribe in another way.
    Rules,
    /// Its events can't be read on this node.
    Failed,
}

impl End {
    /// WebSocket close code. Never 1000: clients take that for "don't come back".
    pub fn code(self) -> u16 {
        match self {
            End::Drain | End::TooSlow | End::Gap | End::FellOut | End::Rules => 1012,
            End::Revoked => 1008,
            End::Idle => 1001,
            End::Failed => 1011,
        }
    }

    /// For people, and for the metric's label.
    pub fn reason(self) -> &'static str {
        match self {
            End::Drain => "the node is going away; resume with your last event id",
            End::Revoked => "access was revoked",
            End::TooSlow => "too slow; resume with your last event id",
            End::Idle => "nothing was heard for too long",
            End::Gap => "fell behind what is kept; resume with your last event id",
            End::FellOut => "too slow: ephemeral events were missed; subscribe again",
            End::Rules => "the map's channel rules changed; resume with your last event id",
            End::Failed => "stored events can't be read here; resume elsewhere",
        }
    }

    /// The metric's label.
    pub fn label(self) -> &'static str {
        match self {
            End::Drain => "drain",
            End::Revoked => "revoked",
            End::TooSlow => "too_slow",
            End::Idle => "idle",
            End::Gap => "gap",
            End::FellOut => "fell_out",
            End::Rules => "rules",
            End::Failed => "failed",
        }
    }
}
