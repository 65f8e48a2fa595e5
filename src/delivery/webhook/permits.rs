//! How many requests may be under way on a node at once.
//!
//! Owns two budgets: webhooks that fail draw from one of their own, so that however many of them hang, those that
//! work find room.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budgets; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Permits {
    working: Arc<Semaphore>,
    failing: Arc<Semaphore>,
    total: usize,
}

impl Permits {
    /// `total` requests at once, a quarter of them to webhooks that fail.
    pub(super) fn new(total: usize) -> Self {
        let failing = (total / 4).max(1);
        let working = total.saturating_sub(failing).max(1);
        let total = working + failing;
        Self { working: Arc::new(Semaphore::new(working)), failing: Arc::new(Semaphore::new(failing)), total }
    }

    /// Nothing is under way.
    pub(super) fn all_back(&self) -> bool {
        self.working.available_permits() + self.failing.available_permits() == self.total
    }

    /// Waits for room; `None` when the node stops.
    pub(super) async fn take(&self, failing: bool) -> Option<OwnedSemaphorePermit> {
        let budget = if failing { &self.failing } else { &self.working };
        budget.clone().acquire_owned().await.ok()
    }
}
