//! Maps and tokens: created, changed, deleted.

use super::{State, StateError, TopicRecord, keys};
use crate::core::access::{AccessChange, Map, Scopes, Token, TokenHash};
use crate::core::codec;
use crate::core::command::{CreateMap, CreateToken, NewToken, Refusal, Reply, RevokeToken, UpdateMap};
use crate::core::ids::{MapId, TokenId, TopicId};
use crate::core::store::WriteStore;

impl State {
    pub(super) fn create_map<S: WriteStore>(
        &mut self,
        now_ms: u64,
        create: CreateMap,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if self.access.map(create.id).is_some() {
            return Ok(Reply::Refused(Refusal::IdTaken));
        }
        if create.slug.as_deref().is_some_and(|slug| self.access.slug_holder(slug).is_some()) {
            return Ok(Reply::Refused(Refusal::SlugTaken));
        }
        if self.access.maps().len() >= create.max_maps as usize {
            return Ok(Reply::Refused(Refusal::Limit(create.max_maps)));
        }
        let topic = TopicId(self.next_topic);
        self.next_topic += 1;
        store.put(keys::COUNTERS, &codec::encode(&self.next_topic)?)?;
        self.topics.insert(topic, TopicRecord::default());
        self.dirty.insert(topic);
        let map = Map {
            id: create.id,
            slug: create.slug,
            name: create.name,
            topic,
            limits: create.limits,
            retention: create.retention,
            inserted_ms: now_ms,
            updated_ms: now_ms,
        };
        self.put_map(map.clone(), store)?;
        self.put_token(now_ms, map.id, create.token, store)?;
        Ok(Reply::Map(map))
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
        let Some(mut map) = self.access.map(update.map).map(|map| Map::clone(map)) else {
            return Ok(Reply::Refused(Refusal::UnknownMap));
        };
        if let Some(slug) = update.slug {
            let holder = slug.as_deref().and_then(|slug| self.access.slug_holder(slug));
            if holder.is_some_and(|holder| holder != map.id) {
                return Ok(Reply::Refused(Refusal::SlugTaken));
            }
            map.slug = slug;
        }
        map.name = update.name.unwrap_or(map.name);
        map.limits = update.limits.over(&map.limits);
        map.retention = update.retention.over(&map.retention);
        map.updated_ms = now_ms;
        if map.limits.connections.is_none() {
            self.clear_slots(map.id, store)?;
        }
        self.put_map(map.clone(), store)?;
        Ok(Reply::Map(map))
    }

    pub(super) fn delete_map<S: WriteStore>(&mut self, id: MapId, store: &mut S) -> Result<Reply, StateError> {
        let Some(topic) = self.access.map(id).map(|map| map.topic) else {
            return Ok(Reply::Refused(Refusal::UnknownMap));
        };
        let tokens: Vec<TokenId> = self.access.tokens_of(id).map(|token| token.id).collect();
        for token in tokens {
            store.delete(&keys::token(token))?;
        }
        store.delete(&keys::map(id))?;
        store.delete(&keys::topic(topic))?;
        // The events go a piece at a time, with the ticks.
        store.put(&keys::doomed(topic), &[])?;
        self.clear_slots(id, store)?;
        self.remove_endpoints_of(id, store)?;
        self.topics.remove(&topic);
        self.dirty.remove(&topic);
        self.doomed.insert(topic);
        self.change_access(AccessChange::MapGone(id));
        Ok(Reply::Done)
    }

    pub(super) fn create_token<S: WriteStore>(
        &mut self,
        now_ms: u64,
        create: CreateToken,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = self.check(create.map, create.by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        if self.access.token_count(create.map) >= create.max_tokens as usize {
            return Ok(Reply::Refused(Refusal::Limit(create.max_tokens)));
        }
        self.put_token(now_ms, create.map, create.token, store).map(Reply::Token)
    }

    pub(super) fn revoke_token<S: WriteStore>(
        &mut self,
        revoke: &RevokeToken,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = self.check(revoke.map, revoke.by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        if self.access.token(revoke.token).is_none_or(|token| token.map != revoke.map) {
            return Ok(Reply::Refused(Refusal::UnknownToken));
        }
        store.delete(&keys::token(revoke.token))?;
        self.change_access(AccessChange::TokenGone(revoke.token));
        Ok(Reply::Done)
    }

    pub(super) fn set_admin<S: WriteStore>(&mut self, hash: TokenHash, store: &mut S) -> Result<Reply, StateError> {
        if self.access.admin().is_some() {
            return Ok(Reply::Refused(Refusal::IdTaken));
        }
        store.put(keys::ADMIN, &codec::encode(&hash)?)?;
        self.change_access(AccessChange::Admin(hash));
        Ok(Reply::Done)
    }

    fn put_map<S: WriteStore>(&mut self, map: Map, store: &mut S) -> Result<(), StateError> {
        store.put(&keys::map(map.id), &codec::encode(&map)?)?;
        self.change_access(AccessChange::Map(map));
        Ok(())
    }

    fn put_token<S: WriteStore>(
        &mut self,
        now_ms: u64,
        map: MapId,
        new: NewToken,
        store: &mut S,
    ) -> Result<Token, StateError> {
        let NewToken { id, name, hash, scopes } = new;
        let token = Token { id, map, name, hash, scopes, inserted_ms: now_ms };
        store.put(&keys::token(id), &codec::encode(&token)?)?;
        self.change_access(AccessChange::Token(token.clone()));
        Ok(token)
    }
}
