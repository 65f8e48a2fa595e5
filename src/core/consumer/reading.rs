//! What clients that read a consumer and its owner say to each other.

use crate::core::ids::{EventId, NodeId};
use crate::core::lease::Incarnation;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The most events of one read.
pub const MAX_READ: u32 = 500;
/// The most bytes of the events of one read. A single event may have more.
pub const MAX_READ_BYTES: usize = 1 << 20;
/// The most ids that one request acknowledges, refuses or extends.
pub const MAX_IDS: usize = 1000;
/// The longest time for which a reader waits, in milliseconds.
pub const MAX_WAIT_MS: u64 = 30_000;
/// The longest visibility, in milliseconds: twelve hours.
pub const MAX_VISIBILITY_MS: u64 = 43_200_000;

/// Names one hand-over of one event to one reader. Only the owner that handed the event over knows it, and only
/// until the event is acknowledged, refused or handed over again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AckId {
    /// The owner.
    pub node: NodeId,
    /// The owner's incarnation. A process that was started again knows none of the earlier ones.
    pub incarnation: Incarnation,
    /// Counts the hand-overs of the incarnation.
    pub loan: u64,
}

/// Why a text is no [`AckId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of an acknowledgement")]
pub struct NotAnAckId;

impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.node, self.incarnation, self.loan)
    }
}

impl FromStr for AckId {
    type Err = NotAnAckId;

    /// Accepts what [`AckId`]'s `Display` writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('-').map(|part| u64::from_str_radix(part, 16).map_err(|_| NotAnAckId));
        let mut next = || parts.next().unwrap_or(Err(NotAnAckId));
        let id = Self { node: next()?, incarnation: next()?, loan: next()? };
        if id.to_string() == text { Ok(id) } else { Err(NotAnAckId) }
    }
}

/// An event that was handed to a reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    /// What the reader acknowledges it by.
    pub ack_id: AckId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The last event before it in its lane that was given up, if no hand-over has reported that yet.
    pub gap: Option<EventId>,
    /// The event's envelope, as JSON.
    #[serde(with = "serde_bytes")]
    pub event: Vec<u8>,
}

/// What a reader asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Names a reader that reads again and again. Readers that do not are all 0.
    pub reader: u64,
    /// The most events that the named reader may have unacknowledged.
    pub unacknowledged: u32,
    /// The most events.
    pub max: u32,
    /// How long it waits for the first event, in milliseconds.
    pub wait_ms: u64,
}

/// What a reader says about events that it was handed, by their loans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// The owner's incarnation that handed them over.
    pub incarnation: Incarnation,
    /// Done with.
    pub acknowledged: Vec<u64>,
    /// To be handed over again: after so many milliseconds, or as the schedule says.
    pub refused: Vec<(u64, Option<u64>)>,
    /// Visible to no other reader for so many milliseconds from now on.
    pub extended: Vec<(u64, u64)>,
    /// To be handed over again as if they had not been: no reader has got them.
    pub returned: Vec<u64>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_ack_id_survives_its_text_form(node in any::<u64>(), incarnation in any::<u64>(), loan in any::<u64>()) {
            let id = AckId { node, incarnation, loan };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn other_texts_are_refused(text in "[0-9a-g+-]{0,20}") {
            if let Ok(id) = text.parse::<AckId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn texts_that_are_no_ack_ids_are_refused() {
        for text in ["", "1", "1-2", "1-2-3-4", "1-2-", "+1-2-3", "01-2-3", "1-2-G", "1-2-A"] {
            assert_eq!(text.parse::<AckId>(), Err(NotAnAckId), "{text}");
        }
    }
}
