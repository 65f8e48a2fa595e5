//! News for the workers that deliver to webhooks.
//!
//! Owns the coalescing of news: the thread that applies the log notes what happened and never waits; a worker
//! takes all notes at once.

use crate::core::consumer::ownership::Owners;
use crate::core::ids::{TopicId, WebhookId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// What happened since the last call of [`Watch::next`].
#[derive(Debug, Default)]
pub struct News {
    /// Topics with new events.
    pub topics: FxHashSet<TopicId>,
    /// Streams from which stored events were removed by request.
    pub removed: FxHashSet<TopicId>,
    /// Webhooks that were created, deleted or changed, or that have a new command.
    pub webhooks: FxHashSet<WebhookId>,
    /// Events that retention removed although the webhook needed them.
    pub lost: FxHashMap<WebhookId, u64>,
    /// Every change of the delivering nodes, in order. From it a worker sees whether a node has owned a
    /// webhook all along.
    pub owners: Vec<Owners>,
    /// Everything may have changed; earlier knowledge is no longer valid.
    pub all: bool,
}

/// Most changes of owners that are reported one by one. Beyond them, everything counts as changed.
const MAX_OWNERS: usize = 64;

impl News {
    pub(super) fn stored(&mut self, topic: TopicId) {
        self.topics.insert(topic);
    }

    pub(super) fn removed(&mut self, stream: TopicId) {
        self.removed.insert(stream);
    }

    pub(super) fn owned(&mut self, owners: &Owners) {
        if self.owners.len() >= MAX_OWNERS {
            self.owners.clear();
            self.all = true;
        }
        self.owners.push(owners.clone());
    }

    pub(super) fn lost(&mut self, webhook: WebhookId, events: u64) {
        *self.lost.entry(webhook).or_default() += events;
    }

    pub(super) fn changed(&mut self, webhook: WebhookId) {
        self.webhooks.insert(webhook);
    }
}

/// Receives news; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Inbox>);

#[derive(Debug, Default)]
struct Inbox {
    news: Mutex<News>,
    some: Notify,
}

impl Watch {
    /// Waits for news and takes all of them.
    pub async fn next(&self) -> News {
        self.0.some.notified().await;
        std::mem::take(&mut *self.0.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn tell(&self, tell: impl FnOnce(&mut News)) {
        tell(&mut self.0.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.some.notify_one();
    }
}
