//! Releases webhooks when a new node is to own them: each one after its requests have ended.
//!
//! Owns the set of those webhooks that still have an actor on this node. One task reports for all threads.

use crate::core::ids::{NodeId, WebhookId};
use crate::hub::Hub;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The pause between reports: webhooks that are released within it are reported together.
const PAUSE: Duration = Duration::from_millis(30);
/// The pause after a report that failed.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// The webhooks that are to leave this node and still have an actor, by thread. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Leaving(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    threads: Mutex<Vec<Option<Part>>>,
    changed: Notify,
}

/// The webhooks of one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    /// The first epoch of the handover that the thread knows of.
    began: u64,
    webhooks: BTreeSet<WebhookId>,
}

impl Leaving {
    pub(super) fn new(threads: usize) -> Self {
        Self(Arc::new(Inner { threads: Mutex::new(vec![None; threads]), changed: Notify::new() }))
    }

    /// Sets the webhooks that a thread still has, of the handover that began with that epoch.
    pub(super) fn set(&self, thread: usize, began: u64, webhooks: BTreeSet<WebhookId>) {
        let mut threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = threads.get_mut(thread) {
            *part = Some(Part { began, webhooks });
        }
        drop(threads);
        self.0.changed.notify_one();
    }

    /// The webhooks that the node still has of that handover; `None` until all threads know of the handover.
    fn left(&self, began: u64) -> Option<BTreeSet<WebhookId>> {
        let threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = BTreeSet::new();
        for part in threads.iter() {
            all.extend(part.as_ref().filter(|part| part.began == began)?.webhooks.iter().copied());
        }
        Some(all)
    }
}

/// Reports to the cluster as long as the node runs.
pub(super) async fn run(hub: Hub, leaving: Leaving) {
    loop {
        leaving.0.changed.notified().await;
        while let Some(left) = unreported(&hub, &leaving, hub.node_id()) {
            if let Err(error) = hub.leases().report_handover(left).await {
                tracing::debug!(%error, "released webhooks can't be reported yet; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The webhooks that this node still has, if the cluster does not know this set yet.
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
    fn nothing_is_reported_before_all_threads_know() {
        let (leaving, id) = (Leaving::new(2), |n| WebhookId::from_bytes([n; 16]));
        leaving.set(0, 7, [id(1)].into());
        assert_eq!(leaving.left(7), None);
        leaving.set(1, 6, [id(2)].into());
        assert_eq!(leaving.left(7), None, "the thread knows only of an earlier handover");
        leaving.set(1, 7, [id(3)].into());
        assert_eq!(leaving.left(7), Some([id(1), id(3)].into()));
    }
}
