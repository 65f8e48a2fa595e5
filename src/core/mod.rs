//! The pure heart: ids, events, filters, rings, access, commands and the replicated state.
//!
//! Owns every rule that must give the same answer on every node. Never: a clock, I/O, an actor, a runtime, or
//! the name of a protocol. Time comes in with a command, storage through the [`store`] traits.

pub mod access;
pub mod channel_rules;
pub mod codec;
pub mod command;
pub mod consumer;
pub mod digest;
pub mod event;
pub mod expression;
pub mod field_error;
pub mod filter;
pub mod frame;
pub mod history;
pub mod ids;
pub mod json;
pub mod lease;
pub mod limits;
pub(crate) mod markup;
pub mod nearest;
pub mod rate;
pub mod retention;
pub mod ring;
pub mod state;
pub mod store;
pub mod subject;
pub mod template;
pub mod text;
pub mod time;
pub mod topic;
pub mod webhook;
