//! The chaos suite, which the executable runs (`docs/CHAOS.md`): real Waypost nodes under faults, and what their clients
//! saw checked against what publishers were told.
//!
//! A guided map:
//! - [`scenario`] lists what can be broken; [`run`] breaks it, in an [`environment`] of the run's own;
//! - [`load`] is who takes part; all note what they saw in a [`history`]; [`invariants`] checks that and nothing else;
//! - [`series`] is many runs one after the other; [`prove`] has builds with a planted defect, to be found.
//!
//! Nodes, clients and receivers are of [`testkit`]. Never: links against the server. All is seen from outside, as a
//! client and an operator see it.

pub mod environment;
pub mod history;
pub mod invariants;
pub mod load;
pub mod prove;
pub mod run;
pub mod scenario;
pub mod series;
