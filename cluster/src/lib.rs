//! Replicates any deterministic state machine over Raft, durably.
//!
//! It knows no event, no actor and no HTTP: commands and replies are bytes.
//!
//! The parts, from the outside in:
//! - [`Cluster`] and its [`Admin`] (`cluster`): the handle of a running node. `config`, `status` and `error`
//!   define the types of its API.
//! - [`StateMachine`] and [`Handler`] (`machine`): what the application provides.
//! - `boot` starts and stops a node, `node` puts its parts together, and `service` hands each request of a
//!   peer to the part that answers it; `appends` keeps a leader's appends in order.
//! - The parts, each with a type and an API of its own. `engine`: openraft and the way to the peers; all
//!   other parts use it. `proposer`: gathers waiting proposals into one log entry, and sends them again if
//!   the leader is lost; those of different flows (`flow`) take turns. `gate`: keeps entries out of the log
//!   while the lead is handed over. `reads`: linearizable reads. `membership`: who is a member, who votes,
//!   who leads. `roster` and `introduction`: what a peer is to this node. `contact`: whether this node hears
//!   a leader. `failover`: replaces a leader whose process is gone. `time`: the cluster's time. `observer`:
//!   what a node knows at this moment. `housekeeping`: makes checkpoints and removes old log entries (`purge`
//!   decides which); `catchup`: the members that are sent a snapshot, for which entries are kept. `backup`
//!   and `restore`: write the state into one file, and make a new cluster from it.
//! - On disk: `log`: the Raft log; `tail`: whether its end is torn or damaged; `store`: the applied state and
//!   the thread that applies entries; `identity` and `identity_key`: the data directory, and the identity of
//!   this node; `votes`: the second copy of its vote; `open`: opens all of them; `mend`: repairs what is
//!   damaged of them; `damage`, `fatal` and `older`: handle a disk that returned wrong data or an older copy
//!   of the data; `disk`: handles a full disk.
//! - On the network: `net`: the one peer port, with its frames, handshake, admission and connections. `raft`:
//!   how openraft uses it; `snapshot`: how a state is sent. `probe`: asks a node from outside whether it
//!   admits a newcomer. `wire`: the only place that knows the byte formats.
//! - The log's disk: `syncs` measures it, `slow_disk` finds out whether it is slow, and a leader whose disk
//!   is slow gives the lead away (`membership`).
//! - `types`: the types that openraft is instantiated with. `late`: deadlines that do not count a pause of
//!   this process against others.
//! - `clock`: the only wall clock. `os`: everything else that the operating system provides. A simulation
//!   replaces both, and also `log`, `disk` and TLS.
//!
//! Nothing is global: every part belongs to one node or one handle. A process may run several groups, each
//! with its own directory and port.

/// Whether the failpoint of that name is switched on. With a number `n`, it is true in one of `n` calls. See
/// [`failpoints`]. Always false in a build without the feature.
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

mod appends;
mod backup;
mod boot;
mod catchup;
mod certificate;
#[cfg_attr(feature = "sim", path = "sim/clock.rs")]
mod clock;
mod cluster;
mod config;
mod contact;
mod damage;
mod dir;
#[cfg_attr(feature = "sim", path = "sim/disk.rs")]
mod disk_budget;
mod engine;
mod error;
mod failover;
#[cfg(feature = "failpoints")]
pub mod failpoints;
mod fatal;
mod flow;
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod housekeeping;
mod identity;
mod identity_key;
mod introduction;
mod late;
#[cfg_attr(feature = "sim", path = "sim/log.rs")]
mod log;
mod machine;
mod membership;
mod mend;
mod net;
mod node;
mod observer;
mod older;
mod open;
#[cfg_attr(feature = "sim", path = "sim/os.rs")]
mod os;
mod probe;
mod proposer;
mod purge;
mod raft;
mod reads;
#[cfg(not(feature = "sim"))]
mod restore;
mod roster;
mod service;
#[cfg(feature = "sim")]
pub mod sim;
mod slow_disk;
mod snapshot;
mod status;
mod store;
#[cfg(all(test, not(feature = "sim")))]
mod suite;
mod syncs;
mod tail;
mod time;
mod types;
mod votes;
mod wire;
mod words;

pub use backup::{BackupError, BackupInfo, BackupKey, BackupOrigin, Expected, verify};
pub use catchup::CatchUp;
pub use certificate::{BadFile, Certificate, PemFile, Renewed};
pub use cluster::{Admin, Cluster, Proposed};
pub use config::{Config, FatalHook, Security, TlsFiles, WaitHook};
pub use contact::Contact;
pub use damage::repair;
pub use error::{ProposeError, Refused, RequestError, StartError, StoreError, Unreached};
pub use flow::Flow;
pub use machine::{ApplyContext, Handler, Load, NoHandler, ProposalName, StateMachine};
pub use membership::Operation;
#[cfg(not(feature = "sim"))]
pub use mend::{PutBackError, go_on, put_back};
pub use net::RequestLane;
pub use probe::{Probe, ProbeError};
#[cfg(not(feature = "sim"))]
pub use restore::{Restored, restore};
pub use status::{Claim, ClockStatus, MemberStatus, PeerSecurity, Role, Status, certificate_days_left};
pub use store::{MAX_KEY, MAX_VALUE, Pair, Reader, Txn, View};
pub use time::ClockState;
pub use types::NAME;

/// Identifies a log and the state that is applied from it. Event ids have 12 bits for it, so the highest is
/// 4095.
pub type GroupId = u16;

/// The one group that a node runs today.
pub const FIRST_GROUP: GroupId = 0;

/// Identifies a member. Ids are allocated through the log and never used twice.
pub type NodeId = u64;
