//! The handle of a running node.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::config::Config;
use crate::error::{ProposeError, RequestError, StartError};
use crate::machine::{Handler, StateMachine};
use crate::status::Status;
use crate::store::Reader;
use crate::NodeId;

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Index of its log entry.
    pub index: u64,
    /// Time of its log entry (ms since 1970).
    pub time_ms: u64,
    /// What the machine replied.
    pub reply: Vec<u8>,
}

/// A running node; a handle that is cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    _inner: Arc<()>,
}

impl Cluster {
    /// Starts the node.
    pub async fn start(
        _config: Config,
        _machine: impl StateMachine,
        _handler: Arc<dyn Handler>,
    ) -> Result<Self, StartError> {
        Err(StartError::Raft("not linked".to_owned()))
    }
    /// Replicates and applies a command.
    pub async fn propose(&self, _command: Vec<u8>) -> Result<Proposed, ProposeError> { Err(ProposeError::Stopping) }
    /// Waits until everything acknowledged before the call is applied here; returns that index.
    pub async fn barrier(&self) -> Result<u64, ProposeError> { Err(ProposeError::Stopping) }
    /// Waits until `index` is applied here; false after `timeout`.
    pub async fn wait_applied(&self, _index: u64, _timeout: Duration) -> bool { false }
    /// Index of the last entry applied here.
    pub fn applied(&self) -> u64 { 0 }
    /// Reads of the applied state.
    pub fn reader(&self) -> Reader { unreachable!() }
    /// What this node knows now.
    pub fn status(&self) -> Status { Status::default() }
    /// Changes of role, leader and membership.
    pub fn watch(&self) -> watch::Receiver<Status> { watch::channel(Status::default()).1 }
    /// This node's id.
    pub fn node_id(&self) -> NodeId { 0 }
    /// Asks the handler of node `to`.
    pub async fn request(&self, _to: NodeId, _body: Bytes, _timeout: Duration) -> Result<Bytes, RequestError> { Err(RequestError::Stopping) }
    /// Leader: hands the lead to the most caught-up voter; true when this node leads no more.
    pub async fn hand_over(&self, _timeout: Duration) -> bool { true }
    /// Takes a member out of the cluster.
    pub async fn remove(&self, _id: NodeId) -> Result<(), ProposeError> { Err(ProposeError::Stopping) }
    /// Stops the node.
    pub async fn shutdown(&self) {}
}

/// Moves damaged files of a stopped node aside; returns what was moved.
pub fn repair(_data_dir: &Path) -> Result<Vec<PathBuf>, StartError> { Ok(Vec::new()) }
