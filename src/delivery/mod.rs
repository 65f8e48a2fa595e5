//! Delivery to clients: dispatchers (one per worker thread), the sessions of clients, and the response bodies
//! that write to them.
//!
//! The hub encodes each frame once. This module shares, coalesces and writes the bytes of the frames. A
//! client costs one cursor: the events that it has not taken stay in the ring or in the archive, never in a
//! queue of its own.

mod allowance;
mod body;
mod close;
mod dispatcher;
mod doorbell;
pub mod jwks;
mod mailbox;
mod pace;
mod position;
mod protocol;
mod reading;
mod rings;
mod settings;
mod silence;
mod socket;
mod stream;
mod subscriber;
mod tally;
mod topic_view;
mod watchdog;
pub mod webhook;
#[doc(hidden)]
pub mod ws;

pub use allowance::{Allowance, FLOOD, MessageRate};
pub use body::OutboundBody;
pub use close::End;
pub use dispatcher::{Dispatcher, Held, Watch};
pub use mailbox::{MAX_NOTES, Mailbox, Note};
pub use protocol::{Incoming, Link, Next, Protocol, Resume};
pub use settings::DispatcherConfig;
pub use silence::IDLE_ANSWER;
pub use socket::{Connection, SocketConfig, on_connect};
pub use stream::EventStream;
pub use subscriber::{Of, Subscriber, SubscriptionId};
pub use topic_view::TopicView;
pub use ws::{BadHandshake, Handshake, WS_VERSION, WsConfig};
pub use ws::{close_frame, push_binary_frame, push_text_frame, refuse as refuse_ws, start as start_ws};
