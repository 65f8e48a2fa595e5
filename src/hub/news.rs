//! What those who deliver by request are told.
//!
//! Owns the coalescing of news: the thread that applies the log notes what happened and never waits; who delivers
//! takes all of it at once.

use crate::core::consumer::ownership::Owners;
use crate::core::ids::{TopicId, WebhookId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// What happened since the last look.
#[derive(Debug, Default)]
pub struct News {
    /// Topics with new events.
    pub topics: FxHashSet<TopicId>,
    /// Streams from which somebody removed stored events.
    pub removed: FxHashSet<TopicId>,
    /// Webhooks that came, went, were changed or asked for something.
    pub webhooks: FxHashSet<WebhookId>,
    /// Events that retention removed though the webhook needed them.
    pub lost: FxHashMap<WebhookId, u64>,
    /// Every change of the nodes that deliver, in order: who owned a webhook all along sees it here.
    pub owners: Vec<Owners>,
    /// Everything may be different, and what was known before counts no more.
    pub all: bool,
}

/// Changes of owners that are told one by one; with more, everything counts as different.
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

/// Hears of what happens; cheap to clone.
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
