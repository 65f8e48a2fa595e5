//! Consumers: named, durable cursors in a map's stream, with retries, order, replays and dead letters.
//!
//! Owns the rules by which events go to a consumer and the replicated records of how far that has come. Pure: the engine
//! decides, a worker delivers. Never: who the worker is, how it delivers, or what its errors mean.

pub mod engine;
pub mod ownership;
pub mod progress;
pub mod schedule;
