//! This node's part in delivering to endpoints: it announces itself, and comes back when the cluster struck it off.
//!
//! Each time it announces itself under a new run. What was known of endpoints under an earlier run counts no more:
//! another node may have moved them since.

use super::{Hub, HubError};
use crate::core::command::Command;
use crate::core::ids::EndpointId;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// Longest wait until what was told is known here too.
const APPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether, and under which run, this node delivers.
#[derive(Debug, Default)]
pub(super) struct Duty {
    run: AtomicU64,
    resting: AtomicBool,
}

impl Hub {
    /// This node begins as one that delivers nothing, until [`Hub::deliver_again`].
    pub fn rest_first(&self) {
        self.0.duty.resting.store(true, Ordering::Release);
    }

    /// Makes this node one that delivers again, after [`Hub::rest`].
    pub async fn deliver_again(&self) {
        self.0.duty.resting.store(false, Ordering::Release);
        self.announce().await;
    }

    /// Makes this node one that delivers, and keeps it so until [`Hub::rest`].
    pub fn deliver_here(&self) {
        let (hub, watch) = (self.clone(), self.watch());
        actix_rt::spawn(async move {
            loop {
                let news = watch.next().await;
                if news.all || !news.owners.is_empty() {
                    hub.announce().await;
                }
            }
        });
    }

    async fn announce(&self) {
        let duty = &self.0.duty;
        while !duty.resting.load(Ordering::Acquire) && !self.is_announced() {
            let run = getrandom::u64().unwrap_or_else(|_| crate::clock::now_ms()).max(1);
            duty.run.store(run, Ordering::Release);
            match self.propose_at(&Command::NodeDelivers(self.node_id(), run)).await {
                Ok((_, index)) => drop(self.0.cluster.wait_applied(index, APPLY_TIMEOUT).await),
                Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
            }
        }
    }

    fn is_announced(&self) -> bool {
        self.endpoints().owners().nodes.get(&self.node_id()) == Some(&self.run())
    }

    /// Tells the cluster that this node has ended its requests to all endpoints that are to leave it, but for these.
    pub async fn let_go(&self, but: BTreeSet<EndpointId>) -> Result<(), HubError> {
        self.propose(&Command::HandOver(self.node_id(), self.run(), but)).await.map(drop)
    }

    /// The run under which this node delivers; 0 before the first.
    pub fn run(&self) -> u64 {
        self.0.duty.run.load(Ordering::Acquire)
    }

    /// Gives this node's endpoints to the others, as far as the cluster can be told within `within`.
    pub async fn rest(&self, within: Duration) {
        self.0.duty.resting.store(true, Ordering::Release);
        let told = tokio::time::timeout(within, self.propose(&Command::NodeRests(self.node_id()))).await;
        if !matches!(told, Ok(Ok(_))) {
            tracing::warn!("the cluster could not be told that this node delivers no more");
        }
    }
}
