//! Who receives: dispatchers (one a worker thread), the sessions of clients, and the bodies that write to them.
//!
//! Frames are encoded once by the hub; here their bytes are shared, coalesced and written. A client's own memory is a
//! cursor: what it hasn't taken lies in the ring or in the archive, never in a queue of its own.

mod body;
mod close;
mod dispatcher;
mod doorbell;
#[doc(hidden)]
pub mod guard;
mod pace;
mod position;
mod protocol;
mod reading;
mod rings;
mod settings;
mod socket;
mod stream;
mod subscriber;
mod tally;
mod topic_view;
mod watchdog;
pub mod webhook;
mod ws;

pub use body::OutboundBody;
pub use close::End;
pub use dispatcher::{Dispatcher, Held, Watch};
pub use protocol::{Incoming, Link, Next, Protocol, Resume};
pub use settings::DispatcherConfig;
pub use socket::{Connection, SocketConfig, on_connect};
pub use stream::EventStream;
pub use subscriber::{Of, Subscriber, SubscriptionId};
pub use topic_view::TopicView;
pub use ws::{WsConfig, close_frame, push_binary_frame, push_text_frame, start as start_ws};
