//! Delivery by request: webhooks to HTTP receivers, chats and AWS Lambda functions.
//!
//! The modules, in the order in which a delivery passes them:
//! - [`start`]: the interface of this folder: the node starts it, the API calls it, a shutdown drains it.
//! - [`shard`]: one thread's share of the webhooks that this node owns. It starts, wakes and retires their
//!   actors. [`shared`]: the state that all actors of a thread use.
//! - [`actor`]: one webhook. It reads events from its own cursor ([`source`]), asks the engine in
//!   `core::consumer` what to send, and sends it.
//! - [`evaluate`]: decides which events a webhook wants, and which of them must wait for each other.
//! - [`sender`]: makes one request with [`render`] (bodies and signatures), sends it through [`client`], and
//!   decides what the answer means.
//! - [`redirect`]: what an attempt's error says of a redirect.
//! - [`guard`], [`resolve`], [`dial`]: decide where a request may go, and check it when the request is
//!   dialled. [`lambda`]: AWS Lambda functions as targets.
//! - [`check`]: checks settings before they are stored.
//! - [`handover`]: releases webhooks when a new node is to own them.
//! - [`report_queue`], [`report`]: report progress to the cluster, in batches. [`remembered`]: the record of
//!   an attempt. [`gauges`]: the metrics of queues.
//!
//! A webhook never delays another one: each has its own window, and failing webhooks share a budget of their
//! own. A payload is never copied for a webhook. A secret never appears in a log.

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
mod redirect;
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
pub use sender::ShownRequest;
pub use start::{AsAttempt, BadWebhooks, CheckError, PreviewError, ReadError, TestError, Webhooks};
