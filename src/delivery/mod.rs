//! Delivery to clients: dispatchers (one per worker thread), the sessions of clients, and the response bodies
//! that write to them.
//!
//! The hub encodes each frame once. This module shares, coalesces and writes the bytes of the frames. A
//! client costs one cursor: the events that it has not taken stay in the ring or in the archive, never in a
//! queue of its own.

mod agent;
mod allowance;
mod audience;
mod body;
mod close;
#[doc(hidden)]
pub mod deflate;
mod dispatcher;
mod doorbell;
mod framing;
mod handouts;
pub mod jwks;
mod lull;
mod mailbox;
mod meters;
pub mod oidc;
mod pace;
mod position;
mod protocol;
mod reading;
mod rings;
mod seldom;
mod serving;
mod settings;
mod silence;
mod slow;
mod socket;
mod stream;
mod subscriber;
mod tally;
mod topic_view;
mod watchdog;
pub mod webhook;
mod write_side;
#[doc(hidden)]
pub mod ws;

pub use agent::agent_of;
pub use allowance::{Allowance, FLOOD, MessageRate};
pub use body::OutboundBody;
pub use close::End;
pub use deflate::Compression;
pub use dispatcher::{Dispatcher, Held, Watch};
pub use framing::{close_frame, push_binary_frame, push_text_frame};
pub use mailbox::{MAX_NOTES, Mailbox, Note};
pub use protocol::{Incoming, Link, Next, Protocol, Resume};
pub use settings::DispatcherConfig;
pub use silence::IDLE_ANSWER;
pub use socket::{Connection, SocketConfig, on_connect};
pub use stream::EventStream;
pub use subscriber::{Of, Subscriber, SubscriptionId};
pub use topic_view::TopicView;
pub use write_side::{PlainSocket, WriteSide, Written};
pub use ws::{BadHandshake, Handshake, WS_VERSION, WsConfig};
pub use ws::{refuse as refuse_ws, start as start_ws};
