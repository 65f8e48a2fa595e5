//! The task that tells the cluster who is there through this node, one batch after another.
//!
//! While there are many changes, batches begin some milliseconds apart, so that more of them share an entry of the
//! log.
//! A batch whose outcome is unknown is sent again as it was; the cluster applies it once. Each incarnation states
//! all that the node holds. If the cluster counted the node as gone, the members join again within their grace
//! period; otherwise they never leave.

use super::state::{PresenceState, Waiter};
use crate::core::codec::{self, CodecError};
use crate::core::command::{Command, Denied, Refusal, Reply};
use crate::core::lease::PresenceBatch;
use crate::core::roster::Answer;
use crate::hub::bridge::Bridge;
use crate::hub::leases::Leases;
use crate::hub::pace::Pace;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use waypost_cluster::{Cluster, Flow, ProposeError};

/// Shortest time between the beginnings of two batches while there are many changes, about.
const PACE: Duration = Duration::from_millis(10);
/// After a batch of fewer changes the next one goes at once: a client that joins one channel after the other waits
/// for the log alone.
const FEW: usize = 8;
/// After a batch of so many changes the next one goes at once, too: it was worth an entry, and so will the next be.
const LARGE: usize = 256;
/// Pause before a batch is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Pause before a batch is sent again whose incarnation the cluster does not know yet.
const BEGIN_PAUSE: Duration = Duration::from_millis(20);
/// How long one wait for this node's own application of a batch takes; it is repeated.
const APPLY_WAIT: Duration = Duration::from_secs(1);

/// Why a batch has no reply.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// The cluster does not know the incarnation, or no longer.
    #[error("the incarnation is not the present one")]
    Stale,
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Tells the cluster what the roster holds; runs as long as the node.
pub(super) struct Keeper {
    cluster: Cluster,
    bridge: Arc<Bridge>,
    leases: Leases,
    /// For how long members stay after the incarnation ends (milliseconds).
    grace_ms: u32,
}

impl Keeper {
    pub(super) fn new(cluster: Cluster, bridge: Arc<Bridge>, leases: Leases, grace_ms: u32) -> Self {
        Self { cluster, bridge, leases, grace_ms }
    }

    fn state(&self) -> &PresenceState {
        &self.bridge.presence
    }

    pub(super) async fn run(self) {
        let node = self.cluster.node_id();
        let mut incarnation = self.leases.incarnation();
        let mut pace = Pace::new(PACE);
        loop {
            pace.wait().await;
            let present = self.leases.incarnation();
            if present != incarnation {
                incarnation = present;
                self.state().with_roster(|roster| roster.begin_again());
            }
            let batch = self.state().with_roster(|roster| roster.batch(node, incarnation, self.grace_ms));
            let Some(batch) = batch else {
                tokio::select! {
                    () = self.state().changed() => {}
                    () = self.leases.renewed() => {}
                }
                continue;
            };
            if (FEW..LARGE).contains(&batch.changes.len()) {
                pace.begin();
            }
            match self.propose(batch).await {
                Ok(denied) => {
                    let answers = self.state().with_roster(|roster| roster.settle(&denied));
                    answers.into_iter().for_each(answer);
                }
                Err(Failed::Propose(ProposeError::Stopping)) => return,
                Err(Failed::Stale) => sleep(BEGIN_PAUSE).await,
                Err(error) => {
                    tracing::debug!(%error, "this node's members can't be reported to the cluster yet");
                    sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Proposes a batch and waits until it is applied here. Returns the changes that were denied.
    async fn propose(&self, batch: PresenceBatch) -> Result<Vec<Denied>, Failed> {
        let command = codec::encode(&Command::Presence(batch))?;
        let proposed = self.cluster.propose(Flow::NONE, command).await?;
        let denied = match codec::decode(&proposed.reply)? {
            Reply::Leased(denied) => denied,
            Reply::Refused(Refusal::Stale(_)) => return Err(Failed::Stale),
            other => {
                tracing::error!(?other, "a presence batch got an unexpected answer");
                return Err(Failed::Propose(ProposeError::Unknown));
            }
        };
        while !self.cluster.wait_applied(proposed.index, APPLY_WAIT).await {
            tracing::debug!(index = proposed.index, "this node has not applied its own presence batch yet");
        }
        Ok(denied)
    }
}

/// Answers somebody who waited, and who may have stopped waiting.
fn answer((waiting, answer): Answer<Waiter>) {
    let _ = waiting.send(answer);
}
