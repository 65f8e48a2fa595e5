//! The pure core: ids, events, filters, rings, access, commands and the replicated state.
//!
//! It owns every rule that must give the same result on every node. It has no clock, no I/O, no actor and no
//! runtime, and names no protocol. Time arrives with a command, storage through the [`store`] traits.

pub mod access;
pub mod admin_token;
pub mod app;
mod appended;
pub mod channel;
pub mod channel_rules;
pub mod client_kind;
pub mod codec;
pub mod command;
pub mod console;
pub mod consumer;
pub mod data;
pub mod digest;
pub mod error_code;
pub mod event;
pub mod expression;
pub mod field_error;
pub mod filter;
pub mod frame;
pub mod history;
pub mod ids;
pub mod ingest;
pub mod issuer;
pub mod json;
pub mod jwt;
pub mod lease;
pub mod lifecycle;
pub mod limits;
pub(crate) mod markup;
mod named_set;
pub mod nearest;
pub mod oidc;
pub mod operators;
pub mod rate;
pub mod reached;
pub mod retention;
pub mod ring;
pub mod roster;
pub mod state;
pub mod store;
pub mod subject;
pub mod subject_limit;
pub mod template;
pub mod text;
pub mod time;
pub mod topic;
mod touched;
pub mod trace;
pub mod usage;
pub mod webhook;
