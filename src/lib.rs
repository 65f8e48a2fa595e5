//! Waypost: a clustered real-time event broker.
//!
//! A guided map of the rooms; arrows point down only.
//!
//! - [`cli`]: one file a subcommand; [`config`]: one typed tree of settings.
//! - [`server`]: the composition root, the only file that sees every room.
//! - [`edge`]: what clients speak, a folder a protocol, and the REST API.
//! - [`delivery`]: who receives: dispatchers, session actors, streams.
//! - [`hub`]: actors that own topics; publishing; the bridge from the replicated log.
//! - [`core`]: pure rules: ids, events, filters, rings, access, the replicated state.
//! - `waypost_cluster`: replicates a deterministic state machine; knows no event.

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
pub mod tls;
