//! Outgoing webhooks: where a request may go, how it gets there, and what came back.

pub mod client;
pub mod dial;
pub mod guard;
pub mod lambda;
pub mod render;
pub mod resolve;
