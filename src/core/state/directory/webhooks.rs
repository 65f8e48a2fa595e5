//! Webhooks: made, changed, switched on and off, deleted. How far they are is with the streams.

use super::{Context, Directory, StateError, Step, keys};
use crate::core::access::Scopes;
use crate::core::codec;
use crate::core::command::{Activate, Refusal, Reply};
use crate::core::consumer::progress::Order;
use crate::core::ids::{EndpointId, MapId};
use crate::core::state::rights::{Rights, managed};
use crate::core::store::WriteStore;
use crate::core::webhook::directory::EndpointChange;
use crate::core::webhook::{Disabled, Endpoint, OnEndpoint, Origin, PutEndpoint};
use std::sync::Arc;

impl Directory {
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
            (None, None) if self.leaving.contains(&endpoint.id) => Some(Refusal::Busy),
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
        let begins = endpoint.active && old.as_ref().is_some_and(|old| !old.active || old.mark != endpoint.mark);
        endpoint.born = match &old {
            Some(old) => old.born,
            None => context.index() << 20 | u64::from(context.take_places(1)),
        };
        let id = endpoint.id;
        let reply = self.keep_endpoint(endpoint, store)?;
        if begins {
            self.steps.push(Step::Begin(id, Order::Resume));
        }
        Ok(reply)
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

    fn keep_endpoint<S: WriteStore>(&mut self, endpoint: Endpoint, store: &mut S) -> Result<Reply, StateError> {
        store.put(&keys::endpoint(endpoint.id), &codec::encode(&endpoint)?)?;
        self.change_endpoints(EndpointChange::Put(Arc::new(endpoint.clone())));
        Ok(Reply::Endpoint(Box::new(endpoint)))
    }

    pub(super) fn delete_endpoint<S: WriteStore>(
        &mut self,
        on: &OnEndpoint<Origin>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        match managed(self, &self.endpoints, on) {
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
        // The id is free again once the streams have removed what they have of it.
        store.put(&keys::leaving(id), &[])?;
        self.leaving.insert(id);
        self.change_endpoints(EndpointChange::Gone(id));
        Ok(())
    }

    pub(super) fn remove_endpoints_of<S: WriteStore>(&mut self, map: MapId, store: &mut S) -> Result<(), StateError> {
        let ids: Vec<EndpointId> = self.endpoints.of_map(map).map(|endpoint| endpoint.id).collect();
        ids.into_iter().try_for_each(|id| self.remove_endpoint(id, store))
    }

    pub(super) fn activate_endpoint<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        on: &OnEndpoint<Activate>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let mut endpoint = match managed(self, &self.endpoints, on) {
            Ok(endpoint) => Endpoint::clone(&endpoint),
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        endpoint.active = on.what.active;
        endpoint.disabled = None;
        endpoint.revision += 1;
        endpoint.updated_ms = context.time_ms();
        let reply = self.keep_endpoint(endpoint, store)?;
        if on.what.active {
            let order = on.what.seek.map_or(Order::Resume, Order::Seek);
            self.steps.push(Step::Begin(on.endpoint, order));
        }
        Ok(reply)
    }

    /// Disables a webhook, as its owner decided, if nobody has changed it since.
    pub(super) fn disable<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        id: EndpointId,
        revision: u64,
        why: String,
        store: &mut S,
    ) -> Result<(), StateError> {
        let found = self.endpoints.get(id).filter(|endpoint| endpoint.active && endpoint.revision == revision);
        let Some(mut endpoint) = found.map(|endpoint| Endpoint::clone(endpoint)) else { return Ok(()) };
        let now_ms = context.time_ms();
        (endpoint.active, endpoint.updated_ms) = (false, now_ms);
        endpoint.revision += 1;
        endpoint.disabled = Some(Disabled { at_ms: now_ms, why });
        self.keep_endpoint(endpoint, store).map(drop)
    }

    /// Nothing is left of a deleted webhook: its id may come again.
    pub(super) fn free<S: WriteStore>(&mut self, id: EndpointId, store: &mut S) -> Result<(), StateError> {
        self.leaving.remove(&id);
        Ok(store.delete(&keys::leaving(id))?)
    }
}
