//! What tests, the chaos suite and benchmarks share: real Waypost nodes as processes, the clients that drive them, and
//! checks of what those clients saw.
//!
//! A guided map:
//! - [`cluster`] boots N nodes and speaks of them together; [`node`] is one process and its disk, [`clock`] turns its
//!   clock, [`proc`] says what it uses;
//! - [`http`] calls the REST API; [`stream`] reads an event stream; [`ws`] is a raw WebSocket that may also misbehave;
//!   [`phoenix`] speaks Channels frames over it, [`longpoll`] over long polls; [`fleet`] holds hundreds of sockets on a
//!   few threads;
//! - [`clients`] runs the JavaScript clients of other people ([`lines`]: such a process); [`publisher`] publishes in a loop and remembers what was
//!   acknowledged; [`receiver`] is what webhooks are delivered to: good, slow, broken and malicious ones;
//! - [`event`] is an event as those outside see it; [`checks`] compares what was acknowledged with what was seen;
//! - [`wait`] waits for a condition; [`dice`] is chance by a seed.
//!
//! Never: links against the server. All is seen from outside, as a client and an operator see it.

pub mod checks;
pub mod clients;
pub mod clock;
pub mod cluster;
pub mod dice;
pub mod event;
pub mod fleet;
pub mod http;
pub mod lines;
pub mod longpoll;
pub mod node;
pub mod phoenix;
pub mod proc;
pub mod publisher;
pub mod receiver;
pub mod stream;
pub mod wait;
pub mod ws;

pub use cluster::{Cluster, Options};
