//! Replicates any deterministic state machine over Raft, durably.
//!
//! It knows no event, no actor and no HTTP: commands and replies are bytes.
//!
//! A guided map, from the outside in:
//! - [`Cluster`] (`cluster`, `boot`): start a node, propose, read, ask, stop. `config`, `status`, `error` are its words.
//! - [`StateMachine`], [`Handler`] (`machine`): what the application brings.
//! - `node`: what the tasks of a node share, and how it answers its peers.
//! - `proposer`: gathers what waits into one log entry, on the leader or on the way to it. `reads`: linearizable reads.
//! - `join`, `membership`: becoming a member, promotion, changes one after another. `operate`: what is done by hand. `failover`: a leader whose process is gone.
//! - `raft`: how openraft speaks over the network; `types`: what it is instantiated with. `snapshot`: sending the state.
//! - `net`: the one peer port: frames, handshake, connections. `wire`: the only place that knows the bytes.
//! - `log`: the Raft log on disk; `store`: the applied state on disk and the thread that applies. `housekeeping`: when
//!   the one is made durable and the other let go.
//! - `open`, `identity`: the data directory and who this node is; `damage`, `fatal`: what happens when a disk lied; `disk`: when it is full.
//! - `backup`, `restore`: the state in one file, and a new cluster of it.
//! - `clock`: the only wall clock.
//!
//! All of it is per node and per handle: a process may run several groups, each with its own directory and port.

mod backup;
mod boot;
mod clock;
mod cluster;
mod config;
mod damage;
mod disk;
mod error;
mod failover;
mod fatal;
#[doc(hidden)]
pub mod fuzz;
mod housekeeping;
mod identity;
mod join;
mod log;
mod machine;
mod membership;
mod net;
mod node;
mod open;
mod operate;
mod proposer;
mod raft;
mod reads;
mod restore;
mod snapshot;
mod status;
mod store;
#[cfg(test)]
mod suite;
mod types;
mod wire;

pub use backup::{BackupError, BackupInfo, verify};
pub use cluster::{Cluster, Proposed};
pub use config::{Config, FatalHook};
pub use damage::repair;
pub use error::{ProposeError, RequestError, StartError, StoreError};
pub use machine::{ApplyContext, Handler, Load, NoHandler, StateMachine};
pub use operate::{Operation, Refused};
pub use restore::{Restored, restore};
pub use status::{MemberStatus, Role, Status};
pub use store::{MAX_KEY, MAX_VALUE, Pair, Reader, Txn, View};

/// Names a member; allocated through the log and never used twice.
pub type NodeId = u64;
