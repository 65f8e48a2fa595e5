//! The chaos suite as a library; the executable of this crate runs it. It runs real Waypost nodes under
//! faults and checks what their clients saw against what publishers were answered. `docs/CHAOS.md` describes
//! it.
//!
//! The parts:
//! - [`scenario`] lists what can be broken; [`run`] breaks it, in an [`environment`] that belongs to the run;
//! - [`load`] has the publishers, clients and webhooks; each notes what it saw in a [`history`];
//! - [`invariants`] checks the history and nothing else;
//! - [`series`] runs many scenarios one after the other;
//! - [`prove`] runs builds with a planted defect and shows that the checks find it.
//!
//! Nodes, clients and receivers come from [`testkit`]. This crate never links against the server: it sees
//! everything from outside, as a client and an operator do.

pub mod environment;
pub mod history;
pub mod invariants;
pub mod load;
pub mod prove;
pub mod run;
pub mod scenario;
pub mod series;
