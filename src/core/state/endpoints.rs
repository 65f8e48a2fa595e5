//! Endpoints: made, changed, deleted, asked for something. Their progress is the owner's (see [`super::delivery`]).

use super::{Context, State, StateError, keys};
use crate::core::access::Scopes;
use crate::core::codec;
use crate::core::command::{Activate, Change, Refusal, Reply};
use crate::core::consumer::progress::{Order, Progress};
use crate::core::ids::{EndpointId, MapId};
use crate::core::store::WriteStore;
use crate::core::webhook::directory::EndpointChange;
use crate::core::webhook::{Endpoint, OnEndpoint, Origin, PutEndpoint};
use std::sync::Arc;

impl State {
    pub(super) fn put_endpoint<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        put: PutEndpoint,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let PutEndpoint { by, mut endpoint, revision } = put;
        if let Err(refusal) = self.check(endpoint.map, by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        let old = self.endpoints.get(endpoint.id).cloned();
        let refusal = match (&old, revision) {
            (None, Some(_)) => Some(Refusal::UnknownEndpoint),
            // One of that id was deleted, and not all of it is gone yet.
            (None, None) if self.doomed_endpoints.contains(&endpoint.id) => Some(Refusal::Busy),
            (Some(_), None) => Some(Refusal::IdTaken),
            (Some(old), Some(_)) if old.map != endpoint.map => Some(Refusal::UnknownEndpoint),
            (Some(old), Some(_)) if old.origin == Origin::Config && endpoint.origin == Origin::Api => {
                Some(Refusal::Configured)
            }
            (Some(old), Some(revision)) if old.revision != revision => Some(Refusal::Changed),
            _ => self.room_for(&endpoint),
        };
        if let Some(refusal) = refusal {
            return Ok(Reply::Refused(refusal));
        }
        let now_ms = context.time_ms();
        endpoint.revision = revision.unwrap_or(0) + 1;
        endpoint.inserted_ms = old.as_ref().map_or(now_ms, |old| old.inserted_ms);
        endpoint.updated_ms = now_ms;
        if endpoint.active {
            endpoint.disabled = None;
        }
        // Where it is on again, or goes elsewhere, what failed before says nothing.
        if endpoint.active && old.as_ref().is_some_and(|old| !old.active || old.mark != endpoint.mark) {
            self.resume(context, &endpoint, store)?;
        }
        endpoint.born = match &old {
            Some(old) => old.born,
            None => context.index() << 20 | u64::from(context.take_places(1)),
        };
        if old.is_none() {
            let progress = Progress::new(self.next_seq_of(endpoint.map));
            store.put(&keys::progress(endpoint.id), &codec::encode(&progress)?)?;
        }
        self.keep_endpoint(endpoint, store)
    }

    /// Why the map can't have that endpoint.
    fn room_for(&self, endpoint: &Endpoint) -> Option<Refusal> {
        let is_new = self.endpoints.get(endpoint.id).is_none();
        let limit = self.access.map(endpoint.map).and_then(|map| map.limits.webhooks);
        if let Some(limit) = limit
            && is_new
            && endpoint.origin == Origin::Api
            && self.endpoints.count(endpoint.map) >= limit as usize
        {
            return Some(Refusal::Limit(limit));
        }
        let same = |other: &&Arc<Endpoint>| other.mark == endpoint.mark && other.id != endpoint.id;
        self.endpoints.of_map(endpoint.map).find(same).map(|other| Refusal::TargetTaken(other.id))
    }

    pub(super) fn next_seq_of(&self, map: MapId) -> u64 {
        let topic = self.access.map(map).and_then(|map| self.topics.get(&map.topic));
        topic.map_or(1, |record| record.next_seq)
    }

    pub(super) fn keep_endpoint<S: WriteStore>(
        &mut self,
        endpoint: Endpoint,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        store.put(&keys::endpoint(endpoint.id), &codec::encode(&endpoint)?)?;
        self.change_endpoints(EndpointChange::Put(Arc::new(endpoint.clone())));
        self.hold(endpoint.id, store)?;
        Ok(Reply::Endpoint(Box::new(endpoint)))
    }

    /// The endpoint, if the caller may manage it.
    pub(super) fn managed<T>(&self, on: &OnEndpoint<T>) -> Result<Arc<Endpoint>, Refusal> {
        self.check(on.map, on.by, Scopes::MANAGE)?;
        let endpoint = self.endpoints.get(on.endpoint).filter(|endpoint| endpoint.map == on.map);
        endpoint.cloned().ok_or(Refusal::UnknownEndpoint)
    }

    pub(super) fn delete_endpoint<S: WriteStore>(
        &mut self,
        on: &OnEndpoint<Origin>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        match self.managed(on) {
            Ok(endpoint) if endpoint.origin == Origin::Config && on.what == Origin::Api => {
                Ok(Reply::Refused(Refusal::Configured))
            }
            Ok(endpoint) => {
                self.remove_endpoint(endpoint.id, store)?;
                Ok(Reply::Done)
            }
            Err(refusal) => Ok(Reply::Refused(refusal)),
        }
    }

    fn remove_endpoint<S: WriteStore>(&mut self, id: EndpointId, store: &mut S) -> Result<(), StateError> {
        store.delete(&keys::endpoint(id))?;
        store.delete(&keys::progress(id))?;
        store.delete(&keys::shelf(id))?;
        store.delete(&keys::backlog(id))?;
        self.holds.remove(id);
        // Dead letters, kept events, orders and what waits go a piece at a time, with the ticks.
        store.put(&keys::doomed_endpoint(id), &[])?;
        self.doomed_endpoints.insert(id);
        self.change_endpoints(EndpointChange::Gone(id));
        Ok(())
    }

    pub(super) fn remove_endpoints_of<S: WriteStore>(&mut self, map: MapId, store: &mut S) -> Result<(), StateError> {
        let ids: Vec<EndpointId> = self.endpoints.of_map(map).map(|endpoint| endpoint.id).collect();
        ids.into_iter().try_for_each(|id| self.remove_endpoint(id, store))
    }

    /// Removes up to `max` dead letters, kept events, orders and records of what waits of deleted endpoints.
    pub(super) fn bury_endpoints<S: WriteStore>(&mut self, max: usize, store: &mut S) -> Result<usize, StateError> {
        let mut gone = 0;
        while let Some(&id) = self.doomed_endpoints.first()
            && gone < max
        {
            let mut found: Vec<Vec<u8>> = Vec::new();
            for numbered in [keys::dead_letter, keys::kept_event, keys::order, keys::waiting] {
                store.scan(&numbered(id, 0), &numbered(id, u64::MAX), &mut |key, _| {
                    found.push(key.to_vec());
                    gone + found.len() < max
                })?;
            }
            found.iter().try_for_each(|key| store.delete(key))?;
            gone += found.len().max(1);
            if gone < max {
                self.doomed_endpoints.remove(&id);
                store.delete(&keys::doomed_endpoint(id))?;
            }
        }
        Ok(gone.min(max))
    }

    pub(super) fn activate_endpoint<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        on: &OnEndpoint<Activate>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let mut endpoint = match self.managed(on) {
            Ok(endpoint) => Endpoint::clone(&endpoint),
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        let order = on.what.seek.map_or(Order::Resume, Order::Seek);
        if on.what.active
            && let Err(refusal) = self.add_order(context, &endpoint, order, store)?
        {
            return Ok(Reply::Refused(refusal));
        }
        endpoint.active = on.what.active;
        endpoint.disabled = None;
        endpoint.revision += 1;
        endpoint.updated_ms = context.time_ms();
        self.keep_endpoint(endpoint, store)
    }

    pub(super) fn set_seal_mark<S: WriteStore>(&mut self, mark: [u8; 16], store: &mut S) -> Result<Reply, StateError> {
        if store.get(keys::SEAL_MARK)?.is_some() {
            return Ok(Reply::Refused(Refusal::IdTaken));
        }
        store.put(keys::SEAL_MARK, &mark)?;
        Ok(Reply::Done)
    }

    pub(super) fn change_endpoints(&mut self, change: EndpointChange) {
        self.endpoints.change(&change);
        self.changes.push(Change::Endpoint(change));
    }
}
