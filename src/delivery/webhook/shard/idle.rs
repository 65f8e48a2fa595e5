//! Idle webhooks that have something to do. Their actors start one by one, so that nothing else on the thread
//! waits for hundreds of them.
//!
//! To start an actor means to read its webhook's state and to decrypt the settings.

use crate::core::ids::WebhookId;
use rustc_hash::FxHashSet;
use std::cell::RefCell;
use std::collections::VecDeque;
use tokio::sync::Notify;

/// The webhooks whose actors are to start, each once. Those of different topics take turns.
#[derive(Default)]
pub(super) struct Idle {
    groups: RefCell<VecDeque<VecDeque<WebhookId>>>,
    queued: RefCell<FxHashSet<WebhookId>>,
    some: Notify,
}

impl Idle {
    /// Adds the idle webhooks of a topic.
    pub(super) fn add(&self, webhooks: impl Iterator<Item = WebhookId>) {
        let mut queued = self.queued.borrow_mut();
        let group: VecDeque<WebhookId> = webhooks.filter(|id| queued.insert(*id)).collect();
        if !group.is_empty() {
            self.groups.borrow_mut().push_back(group);
            self.some.notify_one();
        }
    }

    /// Takes the next one.
    pub(super) fn next(&self) -> Option<WebhookId> {
        let mut groups = self.groups.borrow_mut();
        let mut group = groups.pop_front()?;
        let next = group.pop_front()?;
        if !group.is_empty() {
            groups.push_back(group);
        }
        self.queued.borrow_mut().remove(&next);
        Some(next)
    }

    /// Waits until there may be some.
    pub(super) async fn some(&self) {
        self.some.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_take_turns_and_each_webhook_is_in_once() {
        let (idle, id) = (Idle::default(), |n: u8| WebhookId::from_bytes([n; 16]));
        idle.add([1, 2, 3].into_iter().map(id));
        idle.add([4].into_iter().map(id));
        idle.add([2, 3, 5].into_iter().map(id));
        idle.add([].into_iter());
        let order: Vec<WebhookId> = std::iter::from_fn(|| idle.next()).collect();
        assert_eq!(order, [1, 4, 5, 2, 3].map(id));
        idle.add([1].into_iter().map(id));
        assert_eq!(idle.next(), Some(id(1)));
    }
}
