//! What a running node sends to a peer that repairs its data.

use std::io;
use std::sync::Arc;

use openraft::RaftLogReader;

use crate::error::StoreError;
use crate::log::Log;
use crate::os::spawn_blocking;
use crate::store::{Store, View, chunk_after, chunk_crc};
use crate::types::Entry;
use crate::wire::{Answer, Records, StoredLogId, StoredPayload, WireEntry};

/// The entries from `from` on, if this log holds `upto`.
pub(crate) async fn records(log: &Log, from: u64, upto: StoredLogId) -> io::Result<Records> {
    let mut log = log.clone();
    if log.purged().is_some_and(|purged| from <= purged.index) {
        return Ok(Records::Purged);
    }
    let end = upto.index.saturating_add(1);
    let found = log.limited_get_log_entries(upto.index, end).await?;
    if found.first().map(|entry| StoredLogId::from(&entry.log_id)) != Some(upto) || from > upto.index {
        return Ok(Records::Lacks);
    }
    held(&log.limited_get_log_entries(from, end).await?)
}

/// Entries as they are sent.
pub(super) fn held(entries: &[Entry]) -> io::Result<Records> {
    let mut sent = Vec::with_capacity(entries.len());
    for entry in entries {
        let (kind, content) = StoredPayload(entry.payload.clone()).parts()?;
        sent.push(WireEntry { id: (&entry.log_id).into(), kind, content });
    }
    Ok(Records::Held(sent))
}

/// The state that a connection is sending.
#[derive(Default)]
pub(crate) struct Sending(Option<Arc<View>>);

impl Sending {
    /// The chunk after that key, or the first one of the present state.
    pub(crate) async fn chunk(&mut self, store: &Arc<Store>, after: Option<Vec<u8>>) -> Answer {
        match self.next(store, after).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, "cannot send the state to a node that repairs its data");
                self.0 = None;
                Answer::FailedV1 { reason: error.to_string() }
            }
        }
    }

    async fn next(&mut self, store: &Arc<Store>, after: Option<Vec<u8>>) -> Result<Answer, StoreError> {
        let view = match (&self.0, &after) {
            (Some(view), Some(_)) => view.clone(),
            (None, Some(_)) => {
                return Err(StoreError::Io("a chunk of a state that was not begun".to_owned()));
            }
            (_, None) => {
                let store = store.clone();
                Arc::new(blocking(move || View::of(&store)).await?)
            }
        };
        let read = view.clone();
        let (pairs, is_last) = blocking(move || chunk_after(&read, after.as_deref())).await?;
        let state = view.state().clone();
        // The view is let go with the last chunk: until then the space of what it sees cannot be reused.
        self.0 = (!is_last).then_some(view);
        Ok(Answer::StateV1 { state, crc: chunk_crc(&pairs), pairs, is_last })
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    spawn_blocking(work).await.map_err(|e| StoreError::Io(e.to_string()))?
}
