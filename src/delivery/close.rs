//! The reasons for which the server ends a session, and the texts that the client gets.

/// Why the server ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The node goes away. The client connects again, to another node.
    Drain,
    /// The node has not reached the cluster for long. The client connects again, to another node.
    CutOff,
    /// The token was revoked, or the map was deleted.
    Revoked,
    /// The client takes its events too slowly.
    TooSlow,
    /// The client sent nothing for too long.
    Idle,
    /// The client had no subscription for too long.
    Unused,
    /// The client sent far more messages than it may, for too long.
    Flood,
    /// The client fell behind the events that are kept. It must resume, and then learns of the gap.
    Gap,
    /// The client missed ephemeral events, which have no history.
    FellOut,
    /// The map's channel rules changed, and the client must subscribe in another way.
    Rules,
    /// This node can't read the client's events.
    Failed,
    /// Whoever manages the map closed the connection. The client connects again.
    Closed,
}

impl End {
    /// WebSocket close code. It is never 1000: clients take 1000 for "don't come back".
    pub fn code(self) -> u16 {
        match self {
            End::Drain | End::CutOff | End::TooSlow | End::Gap | End::FellOut | End::Rules | End::Closed => {
                1012
            }
            End::Revoked | End::Flood => 1008,
            End::Idle | End::Unused => 1001,
            End::Failed => 1011,
        }
    }

    /// A text for people. It goes into the close frame, which has room for 123 bytes. Where a limit is the
    /// reason, the text names its setting.
    pub fn reason(self) -> &'static str {
        match self {
            End::Drain => "the node is going away; resume with your last event id",
            End::CutOff => "the node is cut off from the others; resume at another with your last event id",
            End::Revoked => "access was revoked",
            End::TooSlow => {
                "too slow; resume with your last event id; the limit is the setting session.min_bytes_per_second"
            }
            End::Idle => {
                "nothing was heard for too long; the limit is the setting session.idle_timeout_seconds"
            }
            End::Unused => "nothing was joined for too long; the limit is the setting session.join_seconds",
            End::Flood => {
                "too many messages for a minute; the limit is the setting session.messages_per_second"
            }
            End::Gap => "fell behind what is kept; resume with your last event id",
            End::FellOut => {
                "too slow: ephemeral events were missed; subscribe again; the limit is the setting session.ring_bytes"
            }
            End::Rules => "the map's channel rules changed; resume with your last event id",
            End::Failed => "stored events can't be read here; resume elsewhere",
            End::Closed => "the connection was closed by hand; resume with your last event id",
        }
    }

    /// The metric's label.
    pub fn label(self) -> &'static str {
        match self {
            End::Drain => "drain",
            End::CutOff => "cut_off",
            End::Revoked => "revoked",
            End::TooSlow => "too_slow",
            End::Idle => "idle",
            End::Unused => "unused",
            End::Flood => "flood",
            End::Gap => "gap",
            End::FellOut => "fell_out",
            End::Rules => "rules",
            End::Failed => "failed",
            End::Closed => "closed",
        }
    }
}
