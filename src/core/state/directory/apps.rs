//! Commands on apps: create, change, delete.

use super::{Directory, StateError, keys};
use crate::core::access::{AccessChange, Map, Scopes};
use crate::core::app::{App, DeleteApp, MAX_APPS, Prepared, PutApp, UpdateApp};
use crate::core::channel_rules::{ChannelRule, ChannelRules, Durability};
use crate::core::codec;
use crate::core::command::{By, Counted, Refusal, Reply};
use crate::core::ids::{MapId, TokenId};
use crate::core::operators::SYSTEM_MAP;
use crate::core::state::rights::Rights;
use crate::core::store::WriteStore;
use crate::core::subject::SubjectPattern;
use crate::core::webhook::Origin;
use std::sync::Arc;

impl Directory {
    pub(super) fn put_app<S: WriteStore>(
        &mut self,
        now_ms: u64,
        put: PutApp,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let map = match self.check(put.app.map, put.by, Scopes::MANAGE) {
            Ok(map) => Map::clone(map),
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        if map.id == SYSTEM_MAP {
            return Ok(Reply::Refused(Refusal::SystemMap));
        }
        if let Some(refusal) = self.refuses_app(&put.app, put.by) {
            return Ok(Reply::Refused(refusal));
        }
        let is_first = self.access.apps().of_map(map.id).next().is_none();
        let prepared = if is_first { self.prepare(now_ms, map, &put, store)? } else { Prepared::default() };
        let old = self.access.apps().get(put.app.token);
        let app = App { inserted_ms: old.map_or(now_ms, |old| old.inserted_ms), ..put.app };
        store.put(&keys::app(app.token), &codec::encode(&app)?)?;
        self.change_access(AccessChange::App(Arc::new(app.clone())));
        Ok(Reply::App(Box::new(app), prepared))
    }

    /// Returns why the map cannot have that app. A map's token does not learn that another map has the id.
    fn refuses_app(&self, app: &App, by: By) -> Option<Refusal> {
        let apps = self.access.apps();
        if apps.with_id(&app.id).any(|other| other.map != app.map) {
            return Some(if by.is_some() { Refusal::Forbidden } else { Refusal::AppIdTaken });
        }
        if apps.with_key(&app.key).is_some_and(|other| other.token != app.token) {
            return Some(Refusal::AppKeyTaken);
        }
        if let Some(old) = apps.get(app.token) {
            // Only the files put an app again.
            let is_same = old.map == app.map && old.key == app.key;
            let of_files = old.origin == Origin::Config && app.origin == Origin::Config;
            return (!is_same || !of_files).then_some(Refusal::IdTaken);
        }
        if self.access.token(app.token).is_some() {
            return Some(Refusal::IdTaken);
        }
        let is_full = apps.of_map(app.map).count() >= MAX_APPS;
        is_full.then_some(Refusal::Limit(Counted::Apps, MAX_APPS as u32))
    }

    /// Prepares a map for its first app: clients of apps expect that nobody stores what they publish, and
    /// that many of them may connect. A limit that somebody has set for the map stays.
    fn prepare<S: WriteStore>(
        &mut self,
        now_ms: u64,
        mut map: Map,
        put: &PutApp,
        store: &mut S,
    ) -> Result<Prepared, StateError> {
        let all = SubjectPattern::new("*").filter(|_| map.rules.all().is_empty() && !put.has_subjects);
        let rule =
            all.map(|all| ChannelRule { durability: Some(Durability::Ephemeral), ..ChannelRule::of(all) });
        let has_usual = map.limits.connections.is_some()
            && map.limits.connections == put.usual_connections
            && store.get(&keys::limited(map.id))?.is_none();
        let connections =
            Some(put.connections).filter(|new| has_usual && Some(*new) > map.limits.connections);
        let prepared = Prepared { rule: rule.is_some(), connections };
        if prepared == Prepared::default() {
            return Ok(prepared);
        }
        if let Some(Ok(rules)) = rule.map(|rule| ChannelRules::new(vec![rule])) {
            map.rules = rules;
        }
        if connections.is_some() {
            map.limits.connections = connections;
            store.put(&keys::limited(map.id), &[])?;
        }
        map.updated_ms = now_ms;
        self.put_map(map, store)?;
        Ok(prepared)
    }

    pub(super) fn update_app<S: WriteStore>(
        &mut self,
        update: &UpdateApp,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let mut app = match self.app_of(update.map, update.by, update.token, Origin::Api) {
            Ok(app) => App::clone(app),
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        update.patch.apply(&mut app);
        store.put(&keys::app(app.token), &codec::encode(&app)?)?;
        self.change_access(AccessChange::App(Arc::new(app.clone())));
        Ok(Reply::App(Box::new(app), Prepared::default()))
    }

    /// The map's app, for a caller that may change it. An app of a configuration file is changed there.
    fn app_of(&self, map: MapId, by: By, token: TokenId, from: Origin) -> Result<&Arc<App>, Refusal> {
        self.check(map, by, Scopes::MANAGE)?;
        match self.access.apps().get(token).filter(|app| app.map == map) {
            Some(app) if app.origin == Origin::Config && from == Origin::Api => Err(Refusal::ConfiguredApp),
            Some(app) => Ok(app),
            None => Err(Refusal::UnknownApp),
        }
    }

    pub(super) fn delete_app<S: WriteStore>(
        &mut self,
        delete: &DeleteApp,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = self.app_of(delete.map, delete.by, delete.token, delete.from) {
            return Ok(Reply::Refused(refusal));
        }
        store.delete(&keys::app(delete.token))?;
        self.change_access(AccessChange::AppGone(delete.token));
        Ok(Reply::Done)
    }

    /// Removes the records of a map's apps. The change that removes the map removes them from memory.
    pub(super) fn forget_apps<S: WriteStore>(&self, map: MapId, store: &mut S) -> Result<(), StateError> {
        let tokens: Vec<TokenId> = self.access.apps().of_map(map).map(|app| app.token).collect();
        tokens.into_iter().try_for_each(|token| Ok(store.delete(&keys::app(token))?))
    }
}
