//! Presence on simulated nodes: users join, leave and return on all hosts while nodes die (invariant 12).
//!
//! `replica` is Waypost's own state machine, `local` what one process holds of presence, with the roster that the
//! server uses. `users` come and go. `model` says from the applied commands alone who must be there and which facts
//! must be told. At the end every node must show what the model says, and that must be what the living processes
//! hold.

mod local;
mod model;
mod replica;
mod users;

pub(crate) use local::{Local, keep};
pub(crate) use replica::{Log, Replica};
pub(crate) use users::{check, prepare, start};

use machine::core::ids::MapId;

/// How long a member stays after the end of its node (ms).
const GRACE_MS: u32 = 400;

/// The map of all users.
fn map() -> MapId {
    MapId::from_bytes([1; 16])
}
