//! Waypost: a clustered real-time event broker.
//!
//! The modules are listed from top to bottom. A module uses only modules below it.
//!
//! - [`cli`]: the subcommands, one file each; [`config`]: all settings, as one typed tree.
//! - [`server`]: the composition root; the only file that uses every module.
//! - [`edge`]: what clients speak: one folder per protocol, and the REST API.
//! - [`delivery`]: the receivers of events: dispatchers, session actors, streams.
//! - [`hub`]: the actors that own topics; publishing; the bridge from the replicated log.
//! - [`core`]: pure rules: ids, events, filters, rings, access, the replicated state.
//! - `waypost_cluster`: replicates a deterministic state machine; it knows nothing of events.

pub(crate) use waypost_cluster::failpoint;

pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod delivery;
pub mod edge;
#[cfg(feature = "failpoints")]
pub mod failpoints;

pub mod hub;
pub mod metric;
pub mod notify;
pub mod server;
pub mod spans;
pub mod tls;
