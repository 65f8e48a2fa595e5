//! The limit on requests under way on a node.
//!
//! Owns two budgets. Failing webhooks have a budget of their own. So, however many of them hang, there is
//! room for the others.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The two budgets. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Permits {
    working: Arc<Semaphore>,
    failing: Arc<Semaphore>,
    total: usize,
}

impl Permits {
    /// Allows `total` requests at once, a quarter of them to failing webhooks.
    pub(super) fn new(total: usize) -> Self {
        let failing = (total / 4).max(1);
        let working = total.saturating_sub(failing).max(1);
        let total = working + failing;
        Self { working: Arc::new(Semaphore::new(working)), failing: Arc::new(Semaphore::new(failing)), total }
    }

    /// Whether no request is under way.
    pub(super) fn all_back(&self) -> bool {
        self.working.available_permits() + self.failing.available_permits() == self.total
    }

    /// Waits for room. Returns `None` when the node stops.
    pub(super) async fn take(&self, failing: bool) -> Option<OwnedSemaphorePermit> {
        let budget = if failing { &self.failing } else { &self.working };
        budget.clone().acquire_owned().await.ok()
    }
}
