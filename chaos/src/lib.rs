//! Real Waypost nodes under fire: boots them as processes, breaks them, drives real clients against
//! them, and judges what those clients saw against what publishers were told.
//!
//! A guided map:
//! - [`cluster`] boots N nodes and speaks of them together; [`node`] is one process and its disk;
//! - [`http`] calls the REST API; [`ws`] is a raw WebSocket that may also misbehave; [`phoenix`]
//!   speaks Channels frames over it; [`crowd`] holds hundreds of them on a few threads;
//! - [`clients`] runs the JavaScript clients of other people; [`publisher`] publishes in a loop and
//!   remembers what was acknowledged; [`oracle`] compares the two;
//! - [`receiver`] is what webhooks are delivered to: good, slow, broken and malicious ones, and what they saw.
//!
//! And the chaos suite, which the executable runs (`docs/CHAOS.md`):
//! - [`scenario`] lists what can be broken; [`fire`] breaks it, on a [`ground`] of the run's own;
//! - [`load`] is who takes part; all note what they saw in a [`history`]; [`invariants`] judges that and nothing else;
//! - [`series`] is many runs one after the other; [`prove`] has builds that are broken on purpose, to be found.
//!
//! Never: links against the server. All is seen from outside, as a client and an operator see it.

pub mod clients;
pub mod cluster;
pub mod crowd;
pub mod dice;
pub mod fire;
pub mod ground;
pub mod history;
pub mod http;
pub mod invariants;
pub mod load;
pub mod node;
pub mod oracle;
pub mod phoenix;
pub mod prove;
pub mod publisher;
pub mod receiver;
pub mod scenario;
pub mod series;
pub mod wait;
pub mod ws;

pub use cluster::{Cluster, Options};
