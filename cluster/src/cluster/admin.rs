//! What operators do to a running node.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Inner;
use crate::backup::BackupError;
use crate::disk;
use crate::error::{Refused, StoreError};
use crate::membership::Operation;
use crate::node::Node;

/// A handle for operators, from [`crate::Cluster::admin`]; cheap to clone. It keeps the node running as its
/// other handles do.
#[derive(Clone)]
pub struct Admin {
    pub(super) inner: Arc<Inner>,
}

impl Admin {
    fn node(&self) -> &Node {
        &self.inner.running.node
    }

    /// The consensus engine takes orders and answers them; waits until it does, false when it has ended.
    pub async fn answers(&self) -> bool {
        let raft = self.node().engine.raft().clone();
        self.inner.spawn(async move { raft.with_raft_state(|_| ()).await.is_ok() }).await.unwrap_or(false)
    }

    /// Bytes that the data directory takes, and the number of folders in it with files that were set aside as
    /// damaged. Reads directories: not for every request.
    pub fn disk_use(&self) -> (u64, u64) {
        let root = &self.node().tools.identity.layout().root;
        (disk::used(root), disk::set_aside_folders(root))
    }

    /// Hands the lead to the most caught-up voter, if this node leads; true when it leads no more.
    pub async fn hand_over(&self, timeout: Duration) -> bool {
        let lead = self.node().tools.lead.clone();
        self.inner.spawn(async move { lead.hand_over(timeout).await }).await.unwrap_or(true)
    }

    /// Carries out an operation. Works on the leader only, elsewhere [`Refused::NotLeader`]; a leader that is
    /// to be removed, demoted or drained hands the lead over first and then answers so too. Bounded in time.
    pub async fn operate(&self, operation: Operation) -> Result<(), Refused> {
        let inner = self.inner.clone();
        let carried_out = async move { inner.running.node.tools.operations.carry_out(operation).await };
        self.inner.spawn(carried_out).await.unwrap_or(Err(Refused::Failed))
    }

    /// Makes everything applied durable and lets go of the log as far as [`crate::Config::keep_entries`]
    /// allows; the index up to which the store is durable and the one up to which the log is gone (which may
    /// follow a little later).
    pub async fn snapshot(&self) -> Result<(u64, u64), StoreError> {
        let housekeeping = self.node().tools.housekeeping.clone();
        let stopped = || Err(StoreError::Io("this node is stopping".to_owned()));
        self.inner.spawn(async move { housekeeping.snapshot_now().await }).await.unwrap_or_else(stopped)
    }

    /// Ends this node because what it stores is in doubt (the application read a damaged value): logged, told
    /// to [`crate::Config::on_fatal`], then the process is aborted. At the next start the damage is found and
    /// the node rebuilt.
    pub fn fail(&self, reason: &str) {
        self.node().tools.fatal.raise(reason);
    }

    /// Makes everything applied so far durable.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        self.node().tools.worker.checkpoint().await.map(drop)
    }

    /// Begins a backup of what is applied here, with `files` (name and content) to be put into the data
    /// directory of whoever restores it. The bytes come over the channel; an error comes last, and then the
    /// backup is worth nothing.
    ///
    /// # Errors
    /// [`BackupError::Busy`] while another one is being made on this node, or the store can't be read.
    pub async fn backup(
        &self,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<mpsc::Receiver<Result<Bytes, StoreError>>, BackupError> {
        let inner = self.inner.clone();
        self.inner
            .spawn(async move { inner.running.node.tools.backups.begin(files) })
            .await
            .unwrap_or(Err(BackupError::Busy))
    }
}
