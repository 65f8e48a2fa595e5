//! Live sessions: plain JSON frames over a WebSocket at `/api/sessions/live`, and the routes by which a
//! back end says what happens in its sessions.
//!
//! Wire source: the webhook and event guide of a game service. A client says who it is in its first
//! message. From then on it gets the events that are for all clients of its map, and those of the sessions
//! that it subscribes to. A session is the subject `session:{id}`: whoever publishes to that subject
//! reaches its subscribers, whatever the event's type. Where the server offers more than the guide
//! (positions, resuming), it adds members to the answers to clients that ask for it.

mod bodies;
mod door;
mod form;
pub mod frame;
mod problem;
mod publish;
mod routes;
mod session;
mod session_id;
mod settings;

pub use routes::{HEADERS, TAKES, start};
pub use session_id::SessionId;
