//! Operator events: what a cluster tells those who operate it, as events of a map of its own, the system map.
//!
//! The leader observes the nodes and reports what is news ([`OperatorReport`]); the replicated state decides
//! what is told ([`Told`]), so each fact becomes one event, whoever leads. What is told about a webhook comes
//! from its owner with the webhook's progress, or from the replicated state itself.

mod news;
mod pace;
mod report;
mod told;

pub use news::{FAILING, LOSING, WEBHOOK_DISABLED, WEBHOOK_PREFIX, about_webhook, webhook_subject};
pub use pace::{Often, Pace};
pub use report::{Certificate, NodeName, Observed, OperatorReport};
pub use told::Told;

use super::ids::MapId;

/// The slug of the system map. No other map gets it.
pub const SYSTEM_SLUG: &str = "waypost-system";

/// The id of the system map. No other map gets it.
pub const SYSTEM_MAP: MapId = MapId::from_bytes([
    0x77, 0x61, 0x79, 0x70, 0x6f, 0x73, 0x80, 0x00, 0x80, 0x00, 0x73, 0x79, 0x73, 0x74, 0x65, 0x6d,
]);
