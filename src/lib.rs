//! Waypost: a clustered real-time event broker.

pub mod cli;
pub mod config;
pub mod server;
