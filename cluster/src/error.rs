//! The errors of the public API.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::NodeId;
use crate::words::counted;

/// Why the applied state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A checksum does not match or a structure is invalid: the data must not be used.
    #[error("the stored state is damaged: {0}")]
    Corrupt(String),
    /// The store refused an operation (disk full, closed, …).
    #[error("the store failed: {0}")]
    Io(String),
    /// A key or value is larger than the store accepts (bytes).
    #[error("{what} of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Which part is too large.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl StoreError {
    pub(crate) fn corrupt(what: impl ToString) -> Self {
        Self::Corrupt(what.to_string())
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt(_) => io::Error::new(io::ErrorKind::InvalidData, error),
            other => io::Error::other(other),
        }
    }
}

/// Why a proposal (or a barrier) has no answer. A caller may repeat a proposal only if the variant says that
/// nothing was stored. The node itself repeats a proposal whose leader is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// No leader with a majority was found in time. Not stored: the caller may propose it again.
    #[error("no leader with a majority: not stored")]
    Unavailable,
    /// The command was sent to a leader, and no leader answered in time. It may or may not be stored; never
    /// repeat it without an idempotency key.
    #[error("no leader answered in time: it may or may not be stored")]
    Unknown,
    /// The command exceeds the limit (bytes). Not stored.
    #[error("the command of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Size of the command in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The queue of waiting proposals is full. Not stored.
    #[error("too many proposals are waiting: not stored")]
    Overloaded,
    /// Proposals of this flow hold as much of the queue as one flow may. Not stored.
    #[error("too many proposals of this flow are waiting: not stored")]
    FlowFull,
    /// This node leads and its disk is nearly full. Not stored.
    #[error("the disk is full: not stored")]
    DiskFull,
    /// This node is shutting down. Not stored.
    #[error("this node is stopping: not stored")]
    Stopping,
}

/// Why an application request to another node has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The node is not a member or its address is unknown.
    #[error("node {0} is unknown")]
    UnknownNode(u64),
    /// The node cannot be reached, or the connection broke before the answer.
    #[error("node {node} is unreachable: {why}")]
    Unreachable {
        /// The node.
        node: u64,
        /// How far the request came.
        why: Unreached,
    },
    /// The node did not answer in time.
    #[error("node {0} did not answer in time")]
    Timeout(u64),
    /// The body exceeds the limit (bytes).
    #[error("the body of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Size of the body in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Too many requests to that node are under way.
    #[error("too many requests to node {0} are under way")]
    Overloaded(u64),
    /// This node is shutting down.
    #[error("this node is stopping")]
    Stopping,
}

/// How far a request to another node came that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreached {
    /// The machine answers, and no process listens at the node's address.
    #[error("connection refused")]
    Refused,
    /// Nothing answers at the node's address: the machine is down, or something on the way drops packets.
    #[error("no connection")]
    NoConnection,
    /// The node was reached, and one of the two does not accept the other.
    #[error("not admitted")]
    NotAdmitted,
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// Its machine accepts connections, and the node does not answer in time, not even the handshake: it hangs.
    #[error("no answer in time")]
    NoAnswer,
}

impl RequestError {
    /// Why the node was not reached; `None` if the error says nothing about that.
    pub fn unreached(&self) -> Option<Unreached> {
        match self {
            Self::Unreachable { why, .. } => Some(*why),
            Self::Timeout(_) => Some(Unreached::NoAnswer),
            Self::UnknownNode(_) | Self::TooLarge { .. } | Self::Overloaded(_) | Self::Stopping => None,
        }
    }
}

/// Why an operation was not carried out. Nothing was changed, except with [`Refused::Failed`], where that is
/// unknown. New variants are only ever added at the end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refused {
    /// Another node leads: its id, if known.
    #[error("another node leads")]
    NotLeader(Option<NodeId>),
    /// No member has this id.
    #[error("node {0} is not a member of this cluster")]
    UnknownNode(NodeId),
    /// The node is the only one with a vote.
    #[error("node {0} is the last voter")]
    LastVoter(NodeId),
    /// Too few of the remaining voters can be reached.
    #[error("{}", too_few(*.voters, *.reachable, *.needed))]
    Majority {
        /// Number of remaining voters.
        voters: u64,
        /// Number of those that this node heard from lately.
        reachable: u64,
        /// Number of voters that make a majority.
        needed: u64,
    },
    /// The node is a learner, and a learner cannot lead.
    #[error("node {0} is a learner: it has no vote and cannot lead")]
    Learner(NodeId),
    /// This node has not heard from it lately.
    #[error("node {0} cannot be reached")]
    Unreachable(NodeId),
    /// The member lacks too many entries of the log.
    #[error("node {node} is {} behind", counted(*.entries, "log entry", "log entries"))]
    Behind {
        /// The member.
        node: NodeId,
        /// Number of entries that the member lacks.
        entries: u64,
    },
    /// Clients would have no other member.
    #[error("no other node that serves clients can be reached")]
    LastServing(NodeId),
    /// No other voter can take the lead.
    #[error("no other voter can take the lead")]
    NoSuccessor,
    /// Another change is in progress.
    #[error("another change of the members is under way")]
    Busy,
    /// The change was begun, and it is unknown whether it took effect.
    #[error("it was not confirmed in time")]
    Failed,
    /// The voter was asked to lead and did not in time; this node leads on.
    #[error("node {0} did not take the lead in time: the present leader leads on")]
    NotTaken(NodeId),
}

/// Says that too few of the remaining voters can be reached.
fn too_few(voters: u64, reachable: u64, needed: u64) -> String {
    match voters {
        1 => "the only remaining voter cannot be reached".to_owned(),
        _ => format!(
            "only {reachable} of the {voters} remaining voters can be reached, and {needed} are needed"
        ),
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("configuration: {0}")]
    Config(String),
    /// Another process uses the data directory.
    #[error("the data directory {0} is in use by another process")]
    Locked(PathBuf),
    /// The node cannot listen on its peer address.
    #[error("cannot listen for peers on {addr}: {source}")]
    Listen {
        /// The address.
        addr: std::net::SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Files of the data directory are damaged, and no other node is configured to rebuild them from.
    #[error("damaged: {}: {reason}; with the addresses of other nodes in `join` it rebuilds itself from them; alone, restore a backup",
        files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", "))]
    Damaged {
        /// The damaged files or folders.
        files: Vec<PathBuf>,
        /// What is wrong with them.
        reason: String,
    },
    /// A restore into the data directory was interrupted.
    #[error("a restore into {} was interrupted: restore into it again, which begins anew", .0.display())]
    HalfRestored(PathBuf),
    /// A newer release wrote the data.
    #[error("the {what} {} has format {found}, this release knows formats up to {known}: run the newer release again",
        path.display())]
    Newer {
        /// The kind of data.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this release knows.
        known: u32,
    },
    /// The addresses to join are this node's own, and it has no data: it would begin another cluster.
    #[error(
        "`join` names only this node itself ({0}): name the others; without `join` the node begins a cluster of its own"
    )]
    JoinsItself(String),
    /// The directory belonged to a cluster, its files were set aside, and nobody is known who could be asked.
    #[error(
        "the data directory {} belonged to a cluster, and its files were set aside: set `join` to the \
         that cluster's members; to begin another cluster, empty the directory",
        .0.display()
    )]
    Former(PathBuf),
    /// The cluster that this node asked to join refuses it permanently.
    #[error("the cluster refuses this node: {0}")]
    Refused(String),
    /// Reading or writing the data directory failed.
    #[error("data directory: {0}")]
    Io(#[from] io::Error),
    /// The applied state cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The consensus engine did not start.
    #[error("raft: {0}")]
    Raft(String),
}
