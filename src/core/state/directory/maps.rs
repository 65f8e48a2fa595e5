//! Commands on maps: create, change, delete.

use super::{Directory, StateError, keys};
use crate::core::access::{AccessChange, Map, Scopes};
use crate::core::channel_rules::ChannelRules;
use crate::core::codec;
use crate::core::command::{
    Counted, CreateMap, LimitsPatch, Refusal, Reply, RetentionPatch, SetChannelRules, UpdateMap,
};
use crate::core::ids::{MapId, TokenId, TopicId};
use crate::core::operators::{SYSTEM_MAP, SYSTEM_SLUG};
use crate::core::state::Context;
use crate::core::state::rights::Rights;
use crate::core::store::WriteStore;
use std::sync::Arc;

impl Directory {
    pub(super) fn create_map<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        create: CreateMap,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let now_ms = context.time_ms();
        if create.id == SYSTEM_MAP || self.access.map(create.id).is_some() {
            return Ok(Reply::Refused(Refusal::IdTaken));
        }
        if create.slug.as_deref().is_some_and(|slug| self.is_slug_taken(slug, create.id)) {
            return Ok(Reply::Refused(Refusal::SlugTaken));
        }
        // The system map takes nobody's place.
        let counted = self.access.maps().len() - usize::from(self.access.map(SYSTEM_MAP).is_some());
        if counted >= create.max_maps as usize {
            return Ok(Reply::Refused(Refusal::Limit(Counted::Maps, create.max_maps)));
        }
        let topic = self.new_topic(store)?;
        let map = Map {
            id: create.id,
            slug: create.slug,
            name: create.name,
            topic,
            limits: create.limits,
            retention: create.retention,
            rules: ChannelRules::default(),
            inserted_ms: now_ms,
            updated_ms: now_ms,
        };
        self.put_map(map.clone(), store)?;
        self.put_token(context, map.id, create.token, store)?;
        Ok(Reply::Map(map))
    }

    /// Returns a number for a new stream. No other stream gets it.
    pub(super) fn new_topic<S: WriteStore>(&mut self, store: &mut S) -> Result<TopicId, StateError> {
        let topic = TopicId(self.next_topic);
        self.next_topic += 1;
        store.put(keys::COUNTERS, &codec::encode(&self.next_topic)?)?;
        Ok(topic)
    }

    /// Whether the map can't have the slug.
    fn is_slug_taken(&self, slug: &str, map: MapId) -> bool {
        slug == SYSTEM_SLUG || self.access.slug_holder(slug).is_some_and(|holder| holder != map)
    }

    pub(super) fn update_map<S: WriteStore>(
        &mut self,
        now_ms: u64,
        update: UpdateMap,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = self.check(update.map, update.by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        // A slug that another map had would lead that map's publishers here.
        let is_for_the_admin = update.slug.is_some()
            || update.limits != LimitsPatch::default()
            || update.retention != RetentionPatch::default();
        if update.by.is_some() && is_for_the_admin {
            return Ok(Reply::Refused(Refusal::Forbidden));
        }
        let Some(mut map) = self.access.map(update.map).map(|map| Map::clone(map)) else {
            return Ok(Reply::Refused(Refusal::UnknownMap));
        };
        if let Some(slug) = update.slug {
            if map.id == SYSTEM_MAP && slug != map.slug {
                return Ok(Reply::Refused(Refusal::SystemMap));
            }
            if slug != map.slug && slug.as_deref().is_some_and(|slug| self.is_slug_taken(slug, map.id)) {
                return Ok(Reply::Refused(Refusal::SlugTaken));
            }
            map.slug = slug;
        }
        map.name = update.name.unwrap_or(map.name);
        map.limits = update.limits.over(&map.limits);
        map.retention = update.retention.over(&map.retention);
        map.updated_ms = now_ms;
        if update.limits.connections.is_some() {
            store.put(&keys::limited(map.id), &[])?;
        }
        if map.limits.connections.is_none() {
            self.forget_connections(map.id, store)?;
        }
        self.put_map(map.clone(), store)?;
        Ok(Reply::Map(map))
    }

    pub(super) fn set_channel_rules<S: WriteStore>(
        &mut self,
        now_ms: u64,
        set: SetChannelRules,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let mut map = match self.check(set.map, set.by, Scopes::MANAGE) {
            Ok(map) => Map::clone(map),
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        if map.id == SYSTEM_MAP {
            return Ok(Reply::Refused(Refusal::SystemMap));
        }
        if set.rules.check().is_err() {
            return Ok(Reply::Refused(Refusal::Malformed));
        }
        map.rules = set.rules;
        map.updated_ms = now_ms;
        self.put_map(map.clone(), store)?;
        Ok(Reply::Map(map))
    }

    pub(super) fn delete_map<S: WriteStore>(
        &mut self,
        id: MapId,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if self.access.map(id).is_none() {
            return Ok(Reply::Refused(Refusal::UnknownMap));
        }
        if id == SYSTEM_MAP {
            return Ok(Reply::Refused(Refusal::SystemMap));
        }
        let tokens: Vec<TokenId> = self.access.tokens_of(id).map(|token| token.id).collect();
        for token in tokens {
            store.delete(&keys::token(token))?;
        }
        self.forget_apps(id, store)?;
        self.forget_issuers(id, store)?;
        self.forget_sources(id, store)?;
        store.delete(&keys::map(id))?;
        store.delete(&keys::limited(id))?;
        self.forget_leases(id, store)?;
        self.remove_webhooks_of(id, store)?;
        self.wants.remove(&id);
        self.change_access(AccessChange::MapGone(id));
        Ok(Reply::Done)
    }

    pub(super) fn put_map<S: WriteStore>(&mut self, map: Map, store: &mut S) -> Result<(), StateError> {
        store.put(&keys::map(map.id), &codec::encode(&map)?)?;
        let id = map.id;
        self.change_access(AccessChange::Map(Arc::new(map)));
        self.look_at_wants(id, store)
    }
}
