//! Commands on ingest sources: create, change, delete.

use super::{Directory, StateError, keys};
use crate::core::access::{AccessChange, Scopes};
use crate::core::codec;
use crate::core::command::{Counted, Refusal, Reply};
use crate::core::ids::{MapId, SourceId};
use crate::core::ingest::{DeleteSource, MAX_SOURCES, PutSource, Source};
use crate::core::operators::SYSTEM_MAP;
use crate::core::state::rights::Rights;
use crate::core::store::WriteStore;
use std::sync::Arc;

impl Directory {
    pub(super) fn put_source<S: WriteStore>(
        &mut self,
        now_ms: u64,
        put: PutSource,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = self.check(put.source.map, put.by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        if put.source.map == SYSTEM_MAP {
            return Ok(Reply::Refused(Refusal::SystemMap));
        }
        let (revision, inserted_ms) = match self.revision_after(&put) {
            Ok(Some((revision, inserted_ms))) => (revision, inserted_ms),
            Ok(None) => (1, now_ms),
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        let source = Source { revision, inserted_ms, updated_ms: now_ms, ..put.source };
        store.put(&keys::source(source.id), &codec::encode(&source)?)?;
        self.change_access(AccessChange::Source(Arc::new(source.clone())));
        Ok(Reply::Source(Box::new(source)))
    }

    /// Returns the next revision of a known source and when it was made, or `None` for a new one.
    fn revision_after(&self, put: &PutSource) -> Result<Option<(u64, u64)>, Refusal> {
        let sources = self.access.sources();
        match (sources.get(put.source.id), put.base) {
            (None, Some(_)) => Err(Refusal::UnknownSource),
            (None, None) if sources.count(put.source.map) >= MAX_SOURCES => {
                Err(Refusal::Limit(Counted::Sources, MAX_SOURCES as u32))
            }
            (None, None) => Ok(None),
            (Some(old), _) if old.map != put.source.map => Err(Refusal::UnknownSource),
            (Some(_), None) => Err(Refusal::IdTaken),
            (Some(old), Some(base)) if old.revision != base => Err(Refusal::Changed),
            (Some(old), Some(_)) => Ok(Some((old.revision + 1, old.inserted_ms))),
        }
    }

    pub(super) fn delete_source<S: WriteStore>(
        &mut self,
        delete: &DeleteSource,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = self.check(delete.map, delete.by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        if self.access.sources().get(delete.id).is_none_or(|source| source.map != delete.map) {
            return Ok(Reply::Refused(Refusal::UnknownSource));
        }
        store.delete(&keys::source(delete.id))?;
        self.change_access(AccessChange::SourceGone(delete.id));
        Ok(Reply::Done)
    }

    /// Removes the records of a map's sources. The change that removes the map removes them from memory.
    pub(super) fn forget_sources<S: WriteStore>(&self, map: MapId, store: &mut S) -> Result<(), StateError> {
        let ids: Vec<SourceId> = self.access.sources().of_map(map).map(|source| source.id).collect();
        ids.into_iter().try_for_each(|id| Ok(store.delete(&keys::source(id))?))
    }
}
