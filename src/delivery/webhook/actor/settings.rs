//! A webhook's settings, and the sender and the filters that are made from them.

use crate::core::ids::TopicId;
use crate::core::webhook::Webhook;
use crate::delivery::webhook::evaluate::{BadFilter, Evaluator};
use crate::delivery::webhook::sender::{BadWebhook, Sender};
use crate::delivery::webhook::shared::Shared;
use crate::hub::{ArchiveError, EncryptionError};
use std::rc::Rc;
use std::sync::Arc;

/// Why a webhook can't be delivered to on this node.
#[derive(Debug, thiserror::Error)]
pub(in crate::delivery::webhook) enum LoadError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    #[error(transparent)]
    Settings(#[from] BadWebhook),
    #[error(transparent)]
    Filter(#[from] BadFilter),
}

/// The present settings. Sender and filters are made from the last settings that could be used.
pub(super) struct Settings {
    pub(super) webhook: Arc<Webhook>,
    pub(super) topic: TopicId,
    /// `None` where clients read: no requests are made.
    pub(super) sender: Option<Rc<Sender>>,
    pub(super) evaluate: Arc<Evaluator>,
    /// The revision of the settings that sender and filters were made from.
    made_from: u64,
}

impl Settings {
    pub(super) fn new(shared: &Shared, webhook: Arc<Webhook>, topic: TopicId) -> Result<Self, LoadError> {
        let (sender, evaluate) = make(shared, &webhook)?;
        Ok(Self { made_from: webhook.revision, webhook, topic, sender, evaluate })
    }

    /// Takes in changed settings. If they can't be used, no request begins any more: see
    /// [`Settings::permitted`].
    pub(super) fn change(&mut self, shared: &Shared, webhook: Arc<Webhook>) {
        match make(shared, &webhook) {
            Ok((sender, evaluate)) => {
                self.sender = sender;
                self.evaluate = evaluate;
                self.made_from = webhook.revision;
            }
            Err(error) => {
                tracing::error!(webhook = %webhook.id, %error, "the webhook's new settings can't be used");
            }
        }
        self.webhook = webhook;
    }

    /// Whether the other settings choose the same events, in the same order.
    pub(super) fn choose_like(&self, other: &Webhook) -> bool {
        let own = &self.webhook;
        own.events == other.events && own.filter == other.filter && own.ordering == other.ordering
    }

    /// The revision under which requests may begin. `None` while none may begin: the webhook is not active,
    /// its settings can't be used, or it moves to another node.
    pub(super) fn permitted(&self, shared: &Shared) -> Option<u64> {
        let Webhook { id, active, revision, .. } = *self.webhook;
        (active && self.made_from == revision && !shared.is_leaving(id)).then_some(revision)
    }
}

/// The sender and the filters of these settings.
type Made = (Option<Rc<Sender>>, Arc<Evaluator>);

fn make(shared: &Shared, webhook: &Arc<Webhook>) -> Result<Made, LoadError> {
    if webhook.is_read() {
        return Ok((None, Arc::new(Evaluator::new(webhook)?)));
    }
    let private = shared.encryption.open(webhook.id, &webhook.encrypted)?;
    let evaluate = Evaluator::new(webhook)?;
    let sender = shared.sender(webhook.clone(), private)?;
    Ok((Some(Rc::new(sender)), Arc::new(evaluate)))
}
