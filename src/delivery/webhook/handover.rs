//! Letting go of webhooks when a node comes that is to have them: each once its requests have ended.
//!
//! Owns what the threads of this node still have of them. One task tells the cluster for all threads.

use crate::core::ids::{NodeId, WebhookId};
use crate::hub::Hub;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// What ends in so short a time is told together.
const PAUSE: Duration = Duration::from_millis(30);
/// Pause after the cluster couldn't be told.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Webhooks that are to leave this node and have an actor still, by thread; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Leaving(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    threads: Mutex<Vec<Option<Part>>>,
    changed: Notify,
}

/// What one thread has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    /// The handover that it knows of, by its first epoch.
    began: u64,
    webhooks: BTreeSet<WebhookId>,
}

impl Leaving {
    pub(super) fn new(threads: usize) -> Self {
        Self(Arc::new(Inner { threads: Mutex::new(vec![None; threads]), changed: Notify::new() }))
    }

    /// A thread has these left of the handover that began with that epoch.
    pub(super) fn set(&self, thread: usize, began: u64, webhooks: BTreeSet<WebhookId>) {
        let mut threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = threads.get_mut(thread) {
            *part = Some(Part { began, webhooks });
        }
        drop(threads);
        self.0.changed.notify_one();
    }

    /// What the node has left of that handover, once all threads know of it.
    fn left(&self, began: u64) -> Option<BTreeSet<WebhookId>> {
        let threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = BTreeSet::new();
        for part in threads.iter() {
            all.extend(part.as_ref().filter(|part| part.began == began)?.webhooks.iter().copied());
        }
        Some(all)
    }
}

/// Tells the cluster as long as the node runs.
pub(super) async fn run(hub: Hub, leaving: Leaving) {
    loop {
        leaving.0.changed.notified().await;
        while let Some(left) = unreported(&hub, &leaving, hub.node_id()) {
            if let Err(error) = hub.leases().let_go(left).await {
                tracing::debug!(%error, "the cluster can't be told yet which webhooks this node lets go");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What this node has left, where the cluster doesn't know.
fn unreported(hub: &Hub, leaving: &Leaving, me: NodeId) -> Option<BTreeSet<WebhookId>> {
    let handover = hub.webhooks().directory().owners().handover.clone()?;
    let left = leaving.left(handover.began)?;
    let known: BTreeSet<WebhookId> =
        handover.held.iter().filter(|(_, holder)| **holder == me).map(|(webhook, _)| *webhook).collect();
    (handover.silent.contains(&me) || known != left).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_told_before_all_threads_know() {
        let (leaving, id) = (Leaving::new(2), |n| WebhookId::from_bytes([n; 16]));
        leaving.set(0, 7, [id(1)].into());
        assert_eq!(leaving.left(7), None);
        leaving.set(1, 6, [id(2)].into());
        assert_eq!(leaving.left(7), None, "of an earlier one");
        leaving.set(1, 7, [id(3)].into());
        assert_eq!(leaving.left(7), Some([id(1), id(3)].into()));
    }
}
