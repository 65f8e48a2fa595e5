//! Phoenix Channels, V2 and V1, over WebSocket and long poll, at `/socket/events`.
//!
//! Wire source: phoenix.js 1.8 and Phoenix 1.7's transports.

mod channel;
mod form;
pub mod frame;
mod join_params;
mod longpoll;
mod plain;
mod presence;
mod push;
mod refresh;
mod repeats;
mod reply;
mod request;
mod routes;
mod session;
mod settings;
mod state;

/// The parameters of a join. They are public for the fuzzers.
#[doc(hidden)]
pub use join_params::JoinParams;
pub use routes::{HEADERS, TAKES, start};
