//! Consumers: named, durable cursors in a map's stream, with retries, order, replays and dead letters.
//!
//! This module has the rules by which a consumer receives events, and the replicated records of its progress.
//! It is pure: the [`engine`] decides, and a worker delivers and answers with a [`verdict`] and a cause. It
//! does not know the worker, how the worker delivers, or what its causes mean.

pub mod desk;
pub mod engine;
mod flights;
mod health;
mod lanes;
mod live;
pub mod ownership;
pub mod plan;
pub mod progress;
mod queue;
pub mod reading;
mod replay;
mod report;
mod retries;
pub mod retry_policy;
pub mod shares;
mod totals;
pub mod used;
pub mod verdict;
