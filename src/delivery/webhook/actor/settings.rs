//! A webhook's settings, and what its actor makes of them.

use crate::core::ids::TopicId;
use crate::core::webhook::Endpoint;
use crate::delivery::webhook::judge::{BadFilter, Judge};
use crate::delivery::webhook::sender::{BadEndpoint, Sender};
use crate::delivery::webhook::shared::Shared;
use crate::hub::{ArchiveError, SealError};
use std::rc::Rc;
use std::sync::Arc;

/// Why an endpoint can't be delivered to on this node.
#[derive(Debug, thiserror::Error)]
pub(in crate::delivery::webhook) enum LoadError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Settings(#[from] BadEndpoint),
    #[error(transparent)]
    Filter(#[from] BadFilter),
}

/// The present settings. Sender and filters are those of the last settings that could be used.
pub(super) struct Settings {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) topic: TopicId,
    pub(super) sender: Rc<Sender>,
    pub(super) judge: Arc<Judge>,
    /// The revision that sender and filters were made from.
    made_from: u64,
}

impl Settings {
    pub(super) fn new(shared: &Shared, endpoint: Arc<Endpoint>, topic: TopicId) -> Result<Self, LoadError> {
        let (sender, judge) = make(shared, &endpoint)?;
        Ok(Self { made_from: endpoint.revision, endpoint, topic, sender, judge })
    }

    /// Takes in changed settings. Where they can't be used nothing begins any more: see
    /// [`Settings::permitted`].
    pub(super) fn change(&mut self, shared: &Shared, endpoint: Arc<Endpoint>) {
        match make(shared, &endpoint) {
            Ok((sender, judge)) => {
                self.sender = sender;
                self.judge = judge;
                self.made_from = endpoint.revision;
            }
            Err(error) => {
                tracing::error!(webhook = %endpoint.id, %error, "the webhook's new settings can't be used");
            }
        }
        self.endpoint = endpoint;
    }

    /// Whether others choose, and order, the same events as these.
    pub(super) fn choose_like(&self, other: &Endpoint) -> bool {
        let own = &self.endpoint;
        own.events == other.events && own.filter == other.filter && own.ordering == other.ordering
    }

    /// The revision under which requests may begin; `None` while none may: the webhook is not active, its
    /// settings can't be used, or it moves to another node.
    pub(super) fn permitted(&self, shared: &Shared) -> Option<u64> {
        let Endpoint { id, active, revision, .. } = *self.endpoint;
        (active && self.made_from == revision && !shared.is_leaving(id)).then_some(revision)
    }
}

fn make(shared: &Shared, endpoint: &Arc<Endpoint>) -> Result<(Rc<Sender>, Arc<Judge>), LoadError> {
    let private = shared.seal.open(endpoint.id, &endpoint.sealed)?;
    let judge = Judge::new(endpoint)?;
    let sender = Sender::new(endpoint.clone(), private, shared.outside.guard(), &shared.config.aws)?;
    Ok((Rc::new(sender), Arc::new(judge)))
}
