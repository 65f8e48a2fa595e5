//! What comes in through ingest sources: the events, and how many there were.

use super::publish::Accepted;
use super::{Context, StateError, Streams, keys};
use crate::core::access::{AccessChange, Scopes};
use crate::core::codec;
use crate::core::command::{Ingest, Refusal, Reply};
use crate::core::ids::SourceId;
use crate::core::state::rights::Rights;
use crate::core::store::WriteStore;
use serde::{Deserialize, Serialize};

/// What came in through a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCounts {
    /// How many events.
    pub events: u64,
    /// The time of the last one (Unix milliseconds); 0 if there was none.
    pub last_ms: u64,
}

impl Streams {
    /// Stores events of a source. The source decides whether they may be stored, as it is at this position of
    /// the log; the rates of the map apply as to every publisher of its own.
    pub(super) fn ingest<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        ingest: Ingest,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let source = self.facts.sources().get(ingest.source);
        if !source.is_some_and(|source| source.map == ingest.map && source.settings.active) {
            return Ok(Reply::Refused(Refusal::UnknownSource));
        }
        let map = match self.facts.check(ingest.map, None, Scopes::PUBLISH) {
            Ok(map) => map.clone(),
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        let request = Accepted { is_own: true, events: &ingest.events, keys: &ingest.keys };
        let reply = self.store_request(context, &map, &request, store)?;
        if let Reply::Published(published) = &reply
            && !published.replayed
        {
            let key = keys::source_counts(ingest.source);
            let known: Option<SourceCounts> =
                store.get(&key)?.map(|bytes| codec::decode(&bytes)).transpose()?;
            let counts = SourceCounts {
                events: known.unwrap_or_default().events.saturating_add(published.count.into()),
                last_ms: published.time_ms,
            };
            store.put(&key, &codec::encode(&counts)?)?;
        }
        Ok(reply)
    }

    /// Removes the counts of the sources that a change deletes. It is called before the change is known.
    pub(super) fn forget_sources<S: WriteStore>(
        &self,
        change: &AccessChange,
        store: &mut S,
    ) -> Result<(), StateError> {
        let gone: Vec<SourceId> = match change {
            AccessChange::SourceGone(id) => vec![*id],
            AccessChange::MapGone(map) => self.facts.sources().of_map(*map).map(|source| source.id).collect(),
            _ => Vec::new(),
        };
        gone.into_iter().try_for_each(|id| Ok(store.delete(&keys::source_counts(id))?))
    }
}
