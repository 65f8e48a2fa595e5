//! Which webhooks of a thread have something to report, and how soon the reporter must collect it.

use crate::core::ids::WebhookId;
use rustc_hash::FxHashSet;
use std::cell::{Cell, RefCell};
use tokio::sync::Notify;

/// The number of completions after which a report is due at once.
const MANY: u32 = 256;

/// The webhooks that have something to report. Lives as long as the thread.
#[derive(Default)]
pub(super) struct ReportQueue {
    webhooks: RefCell<FxHashSet<WebhookId>>,
    completions: Cell<u32>,
    some: Notify,
    urgent: Notify,
}

impl ReportQueue {
    /// The webhook's actor has something to report.
    pub(super) fn add(&self, webhook: WebhookId) {
        self.webhooks.borrow_mut().insert(webhook);
        self.some.notify_one();
    }

    /// A request has ended.
    pub(super) fn completed(&self) {
        self.completions.set(self.completions.get() + 1);
        if self.completions.get() >= MANY {
            self.urgent.notify_one();
        }
    }

    /// Makes the next report due at once.
    pub(super) fn hurry(&self) {
        self.urgent.notify_one();
    }

    /// Waits until some webhook has something to report.
    pub(super) async fn some(&self) {
        self.some.notified().await;
    }

    /// Waits until a report is due at once.
    pub(super) async fn urgent(&self) {
        self.urgent.notified().await;
    }

    /// Takes all webhooks, and counts completions from 0 again.
    pub(super) fn take(&self) -> FxHashSet<WebhookId> {
        self.completions.set(0);
        std::mem::take(&mut *self.webhooks.borrow_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn many_completions_make_a_report_due_at_once() {
        let queue = ReportQueue::default();
        (1..MANY).for_each(|_| queue.completed());
        assert!(queue.urgent().now_or_never().is_none());
        queue.completed();
        assert!(queue.urgent().now_or_never().is_some());
        queue.take();
        queue.completed();
        assert!(
            queue.urgent().now_or_never().is_none(),
            "completions are counted from one report to the next"
        );
    }

    #[test]
    fn a_webhook_is_asked_once() {
        let queue = ReportQueue::default();
        let id = WebhookId::from_bytes([1; 16]);
        queue.add(id);
        queue.add(id);
        assert!(queue.some().now_or_never().is_some());
        assert_eq!((queue.take().len(), queue.take().len()), (1, 0));
    }
}
