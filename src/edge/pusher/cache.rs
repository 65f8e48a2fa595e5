//! The last event of a channel.

use crate::core::access::Map;
use crate::core::channel_rules::Durability;
use crate::core::event::Event;
use crate::core::history::Start;
use crate::core::subject::{Selector, Subject};
use crate::core::topic::TopicKey;
use crate::hub::{ArchiveError, Hub};

/// Bytes of the page with the event, about. A single event may be larger.
const PAGE_BYTES: usize = 1024;

/// The last event of a subject: the stored one, or the last one of an ephemeral cache channel that a node
/// knows.
pub(super) async fn last_event(hub: &Hub, map: &Map, subject: &Subject) -> Option<Event> {
    match map.rules.durability_of(subject.as_str()) {
        Durability::Durable => stored(hub, map, subject)
            .await
            .inspect_err(|error| tracing::warn!(%error, "the last event of a channel can't be read"))
            .ok()
            .flatten(),
        Durability::Ephemeral => {
            let ephemeral = hub.ephemeral();
            let elsewhere = ephemeral.last_elsewhere(hub.peers(), map.topic, subject).await;
            let (here, _) = ephemeral.last_here(map.topic, subject);
            here.into_iter().chain(elsewhere).max_by_key(|event| event.id)
        }
    }
}

async fn stored(hub: &Hub, map: &Map, subject: &Subject) -> Result<Option<Event>, ArchiveError> {
    let topic = TopicKey::new(map.topic, Selector::One(subject.clone()));
    let position = hub.archive().locate(&topic, Start::Last(1)).await?;
    let page = hub.archive().read(topic, position.next_seq, 1, PAGE_BYTES, None).await?;
    Ok(page.events.into_iter().next_back())
}
