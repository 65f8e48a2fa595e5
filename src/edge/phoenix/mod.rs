//! Phoenix Channels, V2 and V1, over WebSocket and long poll, at `/socket/events`.
//!
//! Wire source: phoenix.js 1.8 and Phoenix 1.7's transports.

mod form;
pub mod frame;
mod join;
mod longpoll;
mod reply;
mod request;
mod routes;
mod session;
mod settings;
mod state;

pub use routes::{HEADERS, TAKES, start};
