//! The operators' handle to a running node.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Inner;
use crate::NodeId;
use crate::backup::{BackupError, BackupKey};
use crate::disk_budget;
use crate::error::{Refused, StoreError};
use crate::membership::Operation;
use crate::net::dial;
use crate::node::Node;

/// A handle for operators, from [`crate::Cluster::admin`]; cheap to clone. Like the other handles, it keeps
/// the node running.
#[derive(Clone)]
pub struct Admin {
    pub(super) inner: Arc<Inner>,
}

impl Admin {
    fn node(&self) -> &Node {
        &self.inner.running.node
    }

    /// Waits until the consensus engine answers a request; false if the engine has ended.
    pub async fn answers(&self) -> bool {
        let raft = self.node().engine.raft().clone();
        self.inner.spawn(async move { raft.with_raft_state(|_| ()).await.is_ok() }).await.unwrap_or(false)
    }

    /// Whether the host of another node refuses connections to its peer port: no process listens there. False
    /// if the host gives no answer within `limit`, and for an unknown node.
    pub async fn is_refused_by(&self, node: NodeId, limit: Duration) -> bool {
        let Some(addr) = self.node().engine.peers().addr(node) else { return false };
        self.inner.spawn(async move { dial::is_refused(&addr, limit).await }).await.unwrap_or(false)
    }

    /// Takes changed files of this node's peer certificate at once, and logs the result.
    pub async fn renew_certificate(&self) {
        let peers = self.node().engine.peers().clone();
        // The only error is that the node is stopping.
        let _ = self.inner.spawn(async move { peers.secure().renew().await }).await;
    }

    /// The bytes that the data directory takes, and the number of folders in it with files that were set
    /// aside as damaged. It reads directories, so it is too expensive for every request.
    pub fn disk_use(&self) -> (u64, u64) {
        let root = &self.node().tools.identity.layout().root;
        (disk_budget::used(root), disk_budget::set_aside_folders(root))
    }

    /// How many of the folders that were set aside hold the log of a data directory that was older than what
    /// this node had acknowledged. It reads a directory.
    pub fn older_logs(&self) -> u64 {
        disk_budget::older_folders(&self.node().tools.identity.layout().root)
    }

    /// Hands the lead to the most up-to-date voter, if this node leads. True if it no longer leads.
    pub async fn hand_over(&self, timeout: Duration) -> bool {
        let lead = self.node().tools.lead.clone();
        self.inner.spawn(async move { lead.hand_over(timeout).await }).await.unwrap_or(true)
    }

    /// Carries out an operation. Works on the leader only; other nodes return [`Refused::NotLeader`]. If the
    /// leader itself is to be removed, demoted or drained, it first hands the lead over and then returns the
    /// same error. The time is bounded.
    pub async fn operate(&self, operation: Operation) -> Result<(), Refused> {
        let inner = self.inner.clone();
        let carried_out = async move { inner.running.node.tools.operations.carry_out(operation).await };
        self.inner.spawn(carried_out).await.unwrap_or(Err(Refused::Failed))
    }

    /// Makes everything applied durable and purges the log as far as [`crate::Config::keep_entries`] allows.
    /// Returns the index up to which the store is durable, and the index up to which the log is purged (the
    /// purge may take effect a little later).
    pub async fn snapshot(&self) -> Result<(u64, u64), StoreError> {
        let housekeeping = self.node().tools.housekeeping.clone();
        let stopped = || Err(StoreError::Io("this node is stopping".to_owned()));
        self.inner.spawn(async move { housekeeping.snapshot_now().await }).await.unwrap_or_else(stopped)
    }

    /// Ends this node because its stored data is in doubt (the application read a damaged value). The reason
    /// is logged and passed to [`crate::Config::on_fatal`], then the process is aborted. The next start finds
    /// the damage and rebuilds the node.
    pub fn fail(&self, reason: &str) {
        self.node().tools.fatal.raise(reason);
    }

    /// Makes everything applied so far durable.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        self.node().tools.worker.checkpoint().await.map(drop)
    }

    /// Begins a backup of the state applied here. `files` (name and content) will be put into the data
    /// directory when the backup is restored. The key, which only the nodes have, proves its origin. The
    /// bytes are sent over the channel. If the last item is an error, the backup is worthless.
    ///
    /// # Errors
    /// [`BackupError::Busy`] while another backup is being made on this node, or an error if the store cannot
    /// be read.
    pub async fn backup(
        &self,
        files: Vec<(String, Vec<u8>)>,
        key: Option<BackupKey>,
    ) -> Result<mpsc::Receiver<Result<Bytes, StoreError>>, BackupError> {
        let inner = self.inner.clone();
        self.inner
            .spawn(async move { inner.running.node.tools.backups.begin(files, key) })
            .await
            .unwrap_or(Err(BackupError::Busy))
    }
}
