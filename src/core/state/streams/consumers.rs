//! What the streams store of a webhook. It begins with the webhook, at the stream's end, and is removed in
//! pieces after the webhook is deleted.

use super::{Request, StateError, Streams, keys};
use crate::core::codec;
use crate::core::consumer::progress::Progress;
use crate::core::ids::{MapId, WebhookId};
use crate::core::state::rights::Rights;
use crate::core::store::WriteStore;
use crate::core::webhook::Webhook;

impl Streams {
    pub(super) fn begin_consumer<S: WriteStore>(
        &mut self,
        webhook: &Webhook,
        store: &mut S,
    ) -> Result<(), StateError> {
        let progress = Progress::new(self.next_seq_of(webhook.map));
        store.put(&keys::progress(webhook.id), &codec::encode(&progress)?)?;
        self.hold(webhook.id, store)
    }

    /// Moves the cursor of a consumer that has just begun back to `seq`, or to the first event that readers may
    /// have. What lies before it was gone when the consumer began, so it misses nothing of that.
    pub(super) fn start_consumer<S: WriteStore>(
        &mut self,
        id: WebhookId,
        seq: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        let Some(map) = self.facts.webhooks().get(id).map(|webhook| webhook.map) else { return Ok(()) };
        let topic = self.facts.map(map).and_then(|map| self.topics.get(&map.topic));
        let first_seq = topic.map_or(1, |record| record.first_seq);
        let next_seq = self.next_seq_of(map);
        let first = seq.max(first_seq).min(next_seq);
        store.put(&keys::progress(id), &codec::encode(&Progress::new(first))?)?;
        self.hold(id, store)
    }

    pub(in crate::core::state) fn next_seq_of(&self, map: MapId) -> u64 {
        let topic = self.facts.map(map).and_then(|map| self.topics.get(&map.topic));
        topic.map_or(1, |record| record.next_seq)
    }

    pub(super) fn end_consumer<S: WriteStore>(
        &mut self,
        id: WebhookId,
        store: &mut S,
    ) -> Result<(), StateError> {
        store.delete(&keys::progress(id))?;
        store.delete(&keys::attempt_history(id))?;
        store.delete(&keys::backlog(id))?;
        self.holds.remove(id);
        // The ticks remove dead letters, copied events, owner commands and waiting records in pieces.
        store.put(&keys::tombstone_webhook(id), &[])?;
        self.tombstone_webhooks.insert(id);
        Ok(())
    }

    /// Removes up to `max` dead letters, copied events, owner commands and waiting records of deleted
    /// webhooks.
    pub(super) fn remove_deleted_consumers<S: WriteStore>(
        &mut self,
        max: usize,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let mut gone = 0;
        while let Some(&id) = self.tombstone_webhooks.first()
            && gone < max
        {
            let mut found: Vec<Vec<u8>> = Vec::new();
            for numbered in [keys::dead_letter, keys::kept_event, keys::owner_command, keys::waiting] {
                store.scan(&numbered(id, 0), &numbered(id, u64::MAX), &mut |key, _| {
                    found.push(key.to_vec());
                    gone + found.len() < max
                })?;
            }
            found.iter().try_for_each(|key| store.delete(key))?;
            gone += found.len().max(1);
            if gone < max {
                self.tombstone_webhooks.remove(&id);
                store.delete(&keys::tombstone_webhook(id))?;
                self.requests.push(Request::Free(id));
            }
        }
        Ok(gone.min(max))
    }
}
