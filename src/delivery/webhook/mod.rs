//! Delivery by request: webhooks to HTTP receivers, chats and functions.
//!
//! A guided map, in the order of a delivery's way:
//! - [`shard`]: a thread's share of the webhooks that this node owns; starts, wakes and retires their actors.
//!   [`shared`]: what these use together.
//! - [`actor`]: one webhook: reads from its own cursor ([`source`]), asks the engine in `core::consumer`, sends.
//! - [`evaluate`]: which events it wants, and which wait for each other.
//! - [`sender`]: one request, from [`render`] (bodies and signatures) through [`client`] to what the answer means.
//! - [`guard`], [`resolve`], [`dial`]: where a request may go, evaluated when it is dialled. [`lambda`]: functions
//!   of AWS.
//! - [`check`]: what can be told of settings beforehand.
//! - [`handover`]: what is let go when a node comes that is to have it.
//! - [`report_queue`], [`report`]: what the cluster must know of it, in batches; [`remembered`]: what of an
//!   attempt; [`gauges`]: what operators see of queues.
//!
//! Never: a webhook that delays another (each has its own window, and those that fail a budget of their own), a
//! payload that is copied for a webhook, a secret in a log.

mod actor;
mod announce;
mod check;
pub mod client;
mod config;
pub mod dial;
mod evaluate;
mod gauges;
pub mod guard;
mod handover;
pub mod lambda;
mod metrics;
mod permits;
mod remembered;
pub mod render;
mod report;
mod report_queue;
pub mod resolve;
mod sender;
mod shard;
mod shared;
mod source;
mod start;
mod supervise;
#[cfg(test)]
mod tests;

pub use check::Checks;
pub use config::WebhookConfig;
pub use lambda::Account;
pub use start::{BadWebhooks, CheckError, TestError, Webhooks};
