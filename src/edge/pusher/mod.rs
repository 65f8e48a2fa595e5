//! The Pusher protocol 7: WebSockets of clients at `/app/{key}`, and the signed HTTP API of back ends at
//! `/apps/{id}`.
//!
//! Wire source: Pusher's documentation, npm `pusher-js` 8 and npm `pusher` 5. An app is a map, seen through its
//! credentials, and a channel is a subject. Where the server offers more than Pusher (ids and positions of
//! stored events), it adds members that clients of Pusher ignore.

mod alias;
pub mod api;
mod cache;
mod close;
mod counts;
pub mod credentials;
mod form;
pub mod frame;
mod note;
mod quota;
mod routes;
mod session;
mod settings;
mod sockets;
mod state;

pub use routes::{HEADERS, TAKES, start};
