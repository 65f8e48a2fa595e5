//! What tests, the chaos suite and benchmarks share: real Waypost nodes as processes, the clients that use
//! them, and checks of what those clients saw.
//!
//! The parts:
//! - [`cluster`] boots N nodes, [`status`] asks them about the cluster; [`node`] is one process and its disk,
//!   [`clock`] changes its clock, [`proc`] reads what the process uses;
//! - [`http`] calls the REST API; [`stream`] reads an event stream; [`ws`] is a raw WebSocket that may also
//!   misbehave; [`phoenix`] speaks Channels frames over it, [`longpoll`] over long polls; [`pusher`] speaks
//!   the Pusher protocol; [`fleet`] holds hundreds of sockets on a few threads;
//! - [`clients`] runs the third-party JavaScript clients, and [`lines`] reads what such a process prints;
//! - [`publisher`] publishes in a loop and remembers what was acknowledged;
//! - [`receiver`] receives webhooks: it can be good, slow, broken or malicious;
//! - [`event`] is an event as a client sees it; [`checks`] compares what was acknowledged with what was seen;
//! - [`wait`] waits for a condition; [`background`] is a thread that works until it is stopped; [`dice`]
//!   makes random choices from a seed.
//!
//! This crate never links against the server: it sees everything from outside, as a client and an operator
//! do.

pub mod background;
pub mod checks;
pub mod clients;
pub mod clock;
pub mod cluster;
pub mod consumer;
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
pub mod pusher;
pub mod receiver;
pub mod status;
pub mod stream;
pub mod wait;
pub mod ws;

pub use cluster::{Cluster, Options};
