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
//! - `net`: the one peer port: frames, handshake, who is let in, connections. `wire`: the only place that knows the bytes.
//! - `log`: the Raft log on disk; `store`: the applied state on disk and the thread that applies. `housekeeping`: when
//!   the one is made durable; `purge`: what of the other is let go.
//! - `open`, `identity`: the data directory and who this node is; `damage`, `fatal`, `older`: what happens when a disk lied, or went back; `disk`, `room`: when it is full.
//! - `backup`, `restore`: the state in one file, and a new cluster of it.
//! - `time`: what the cluster's time is, `clocks`: the rounds that ask the voters' clocks.
//! - `late`: deadlines that do not hold a pause of this process against others.
//! - `clock`: the only wall clock. `os`: everything else that the operating system gives, and all that a simulation replaces.
//!
//! All of it is per node and per handle: a process may run several groups, each with its own directory and port.

/// Whether the planted defect of that name is switched on; with a number, of its calls one in so many. See [`failpoints`].
/// Always false in a build without the feature.
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint!(@ is_on($name))
    };
    ($name:literal, $every:literal) => {
        $crate::failpoint!(@ strikes($name, $every))
    };
    (@ $ask:ident($($what:tt)*)) => {{
        #[cfg(feature = "failpoints")]
        let on = $crate::failpoints::$ask($($what)*);
        #[cfg(not(feature = "failpoints"))]
        let on = false;
        on
    }};
}

mod backup;
mod boot;
#[cfg_attr(feature = "sim", path = "sim/clock.rs")]
mod clock;
mod clocks;
mod cluster;
mod config;
mod damage;
#[cfg_attr(feature = "sim", path = "sim/disk.rs")]
mod disk;
mod error;
mod failover;
#[cfg(feature = "failpoints")]
pub mod failpoints;
mod fatal;
#[doc(hidden)]
pub mod fuzz;
mod housekeeping;
mod identity;
mod join;
mod late;
#[cfg_attr(feature = "sim", path = "sim/log.rs")]
mod log;
mod machine;
mod membership;
mod net;
mod node;
mod older;
mod open;
mod operate;
#[cfg_attr(feature = "sim", path = "sim/os.rs")]
mod os;
mod proposer;
mod purge;
mod raft;
mod reads;
#[cfg(not(feature = "sim"))]
mod restore;
mod room;
#[cfg(feature = "sim")]
pub mod sim;
mod snapshot;
mod status;
mod store;
#[cfg(all(test, not(feature = "sim")))]
mod suite;
mod time;
mod types;
mod wire;

pub use backup::{BackupError, BackupInfo, verify};
pub use cluster::{Cluster, Proposed};
pub use config::{Config, FatalHook, Security, TlsFiles};
pub use damage::repair;
pub use error::{ProposeError, RequestError, StartError, StoreError};
pub use machine::{ApplyContext, Handler, Load, NoHandler, StateMachine};
pub use net::RequestLane;
pub use node::Contact;
pub use operate::{Operation, Refused};
#[cfg(not(feature = "sim"))]
pub use restore::{Restored, restore};
pub use status::{ClockStatus, MemberStatus, PeerSecurity, Role, Status, certificate_days_left};
pub use store::{MAX_KEY, MAX_VALUE, Pair, Reader, Txn, View};
pub use time::ClockState;

/// Names a log and what is applied from it. Event ids have 12 bits for it, so the highest is 4095.
pub type GroupId = u16;

/// The one group that a node runs today.
pub const FIRST_GROUP: GroupId = 0;

/// Names a member; allocated through the log and never used twice.
pub type NodeId = u64;
