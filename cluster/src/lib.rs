//! Replicates any deterministic state machine over Raft, durably.
//!
//! It knows no event, no actor and no HTTP: commands and replies are bytes.
//!
//! A guided map, from the outside in:
//! - [`Cluster`] and its [`Admin`] (`cluster`): the handle of a running node. `config`, `status`, `error`:
//!   its words.
//! - [`StateMachine`], [`Handler`] (`machine`): what the application brings.
//! - `boot` starts and stops a node, `node` puts its parts together, `service` hands them what peers ask.
//! - The parts, each with a type and an API of its own. `engine`: openraft and the way to the peers, which
//!   all others use. `proposer`: gathers what waits into one log entry. `reads`: linearizable reads.
//!   `membership`: who is a member, who votes, who leads. `contact`: whether a leader is heard. `failover`: a
//!   leader whose process is gone. `time`: what the cluster's time is. `observer`: what a node knows at this
//!   moment. `housekeeping`: checkpoints, and what of the log is let go of (`purge`). `backup`, `restore`: the
//!   state in one file, and a new cluster of it.
//! - On disk: `log`: the Raft log; `store`: the applied state and the thread that applies; `identity`: the
//!   data directory and who this node is; `open`: opening all of them; `damage`, `fatal`, `older`: when a disk
//!   lied or went back; `disk`: when it is full.
//! - On the network: `net`: the one peer port: frames, handshake, who is let in, connections. `raft`: how
//!   openraft speaks over it; `snapshot`: how a state is sent. `wire`: the only place that knows the bytes.
//! - `types`: what openraft is instantiated with. `late`: deadlines that do not hold a pause of this process
//!   against others.
//! - `clock`: the only wall clock. `os`: everything else that the operating system gives, and all that a
//!   simulation replaces.
//!
//! All of it is per node and per handle: a process may run several groups, each with its own directory and
//! port.

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
mod certificate;
#[cfg_attr(feature = "sim", path = "sim/clock.rs")]
mod clock;
mod cluster;
mod config;
mod contact;
mod damage;
#[cfg_attr(feature = "sim", path = "sim/disk.rs")]
mod disk;
mod engine;
mod error;
mod failover;
#[cfg(feature = "failpoints")]
pub mod failpoints;
mod fatal;
#[doc(hidden)]
pub mod fuzz;
mod housekeeping;
mod identity;
mod late;
#[cfg_attr(feature = "sim", path = "sim/log.rs")]
mod log;
mod machine;
mod membership;
mod net;
mod node;
mod observer;
mod older;
mod open;
#[cfg_attr(feature = "sim", path = "sim/os.rs")]
mod os;
mod proposer;
mod purge;
mod raft;
mod reads;
#[cfg(not(feature = "sim"))]
mod restore;
mod service;
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
pub use certificate::{BadFile, Certificate, PemFile, Renewed};
pub use cluster::{Admin, Cluster, Proposed};
pub use config::{Config, FatalHook, Security, TlsFiles};
pub use contact::Contact;
pub use damage::repair;
pub use error::{ProposeError, Refused, RequestError, StartError, StoreError};
pub use machine::{ApplyContext, Handler, Load, NoHandler, StateMachine};
pub use membership::Operation;
pub use net::RequestLane;
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
