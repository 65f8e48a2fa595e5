//! Phoenix Channels, V2 and V1, over WebSocket and long poll, at `/socket/events`.
//!
//! Wire source: phoenix.js 1.8 and Phoenix 1.7's transports.

mod form;
pub mod frame;
mod join;
mod longpoll;
mod routes;
mod session;

pub use form::{PhoenixForm, Transport};
pub use longpoll::{LongPollConfig, LongPolls, serve_relay};
pub use routes::{TAKES, routes};
pub use session::{PhoenixConfig, PhoenixSession};
