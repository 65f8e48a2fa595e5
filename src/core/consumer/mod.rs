//! Consumers: named, durable cursors in a map's stream, with retries, order, replays and dead letters.
//!
//! Owns the rules by which events go to a consumer and the replicated records of how far that has come. Pure: the
//! [`engine`] decides, a worker delivers and answers with a [`verdict`] and a cause. Never: who the worker is, how it
//! delivers, or what its causes mean.

pub mod engine;
mod flights;
mod health;
mod lanes;
mod live;
pub mod ownership;
pub mod plan;
pub mod progress;
mod queue;
mod replay;
mod report;
mod retry;
pub mod schedule;
mod totals;
pub mod verdict;
