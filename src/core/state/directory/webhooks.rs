//! Commands on webhooks: create, change, activate, deactivate, delete. The streams store their progress.

use super::{Context, Directory, StateError, Step, keys};
use crate::core::access::Scopes;
use crate::core::codec;
use crate::core::command::{Activate, Counted, Refusal, Reply};
use crate::core::consumer::progress::OwnerCommand;
use crate::core::ids::{MapId, WebhookId};
use crate::core::state::rights::{Rights, managed};
use crate::core::store::WriteStore;
use crate::core::webhook::directory::WebhookChange;
use crate::core::webhook::{Disabled, OnWebhook, Origin, PutWebhook, Webhook};
use std::sync::Arc;

/// The most consumers of a map that clients read.
const MAX_CONSUMERS: u32 = 100;

impl Directory {
    pub(super) fn put_webhook<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        put: PutWebhook,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let PutWebhook { by, mut webhook, revision, start_seq } = put;
        if let Err(refusal) = self.check(webhook.map, by, Scopes::MANAGE) {
            return Ok(Reply::Refused(refusal));
        }
        let old = self.webhooks.get(webhook.id).cloned();
        let refusal = match (&old, revision) {
            (None, Some(_)) => Some(Refusal::UnknownWebhook),
            // A webhook with that id was deleted, and the streams still store something of it.
            (None, None) if self.leaving.contains(&webhook.id) => Some(Refusal::Busy),
            (Some(_), None) => Some(Refusal::IdTaken),
            (Some(old), Some(_)) if old.map != webhook.map => Some(Refusal::UnknownWebhook),
            (Some(old), Some(_)) if old.origin == Origin::Config && webhook.origin == Origin::Api => {
                Some(Refusal::Configured)
            }
            (Some(old), Some(revision)) if old.revision != revision => Some(Refusal::Changed),
            _ => self.refusal_for(&webhook),
        };
        if let Some(refusal) = refusal {
            return Ok(Reply::Refused(refusal));
        }
        let now_ms = context.time_ms();
        webhook.revision = revision.unwrap_or(0) + 1;
        webhook.inserted_ms = old.as_ref().map_or(now_ms, |old| old.inserted_ms);
        webhook.updated_ms = now_ms;
        if webhook.active {
            webhook.disabled = None;
        }
        // The webhook was inactive or had another target, so earlier failures say nothing about it.
        let begins = webhook.active
            && old.as_ref().is_some_and(|old| !old.active || old.fingerprint != webhook.fingerprint);
        webhook.born = match &old {
            Some(old) => old.born,
            None => context.index() << 20 | u64::from(context.take_slots(1)),
        };
        let id = webhook.id;
        let reply = self.keep_webhook(webhook, store)?;
        if begins {
            self.steps.push(Step::Begin(id, OwnerCommand::Resume));
        }
        if let (None, Some(seq)) = (&old, start_seq) {
            self.steps.push(Step::Start(id, seq));
        }
        Ok(reply)
    }

    /// Returns why the map cannot have that webhook.
    fn refusal_for(&self, webhook: &Webhook) -> Option<Refusal> {
        let is_new = self.webhooks.get(webhook.id).is_none();
        if webhook.is_read() && is_new && self.webhooks.count_read(webhook.map) >= MAX_CONSUMERS as usize {
            return Some(Refusal::Limit(Counted::Consumers, MAX_CONSUMERS));
        }
        let limit = self.access.map(webhook.map).and_then(|map| map.limits.webhooks);
        if let Some(limit) = limit
            && is_new
            && !webhook.is_read()
            && webhook.origin == Origin::Api
            && self.webhooks.count(webhook.map) >= limit as usize
        {
            return Some(Refusal::Limit(Counted::Webhooks, limit));
        }
        let same = |other: &&Arc<Webhook>| other.fingerprint == webhook.fingerprint && other.id != webhook.id;
        self.webhooks.of_map(webhook.map).find(same).map(|other| Refusal::TargetTaken(other.id))
    }

    fn keep_webhook<S: WriteStore>(&mut self, webhook: Webhook, store: &mut S) -> Result<Reply, StateError> {
        store.put(&keys::webhook(webhook.id), &codec::encode(&webhook)?)?;
        self.change_webhooks(WebhookChange::Put(Arc::new(webhook.clone())));
        self.look_at_wants(webhook.map, store)?;
        Ok(Reply::Webhook(Box::new(webhook)))
    }

    pub(super) fn delete_webhook<S: WriteStore>(
        &mut self,
        on: &OnWebhook<Origin>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        match managed(self, &self.webhooks, on) {
            Ok(webhook) if webhook.origin == Origin::Config && on.what == Origin::Api => {
                Ok(Reply::Refused(Refusal::Configured))
            }
            Ok(webhook) => {
                self.remove_webhook(webhook.id, store)?;
                Ok(Reply::Done)
            }
            Err(refusal) => Ok(Reply::Refused(refusal)),
        }
    }

    fn remove_webhook<S: WriteStore>(&mut self, id: WebhookId, store: &mut S) -> Result<(), StateError> {
        store.delete(&keys::webhook(id))?;
        // The id is free again once the streams have removed what they store of the webhook.
        store.put(&keys::leaving(id), &[])?;
        self.leaving.insert(id);
        let map = self.webhooks.get(id).map(|webhook| webhook.map);
        self.change_webhooks(WebhookChange::Gone(id));
        map.map_or(Ok(()), |map| self.look_at_wants(map, store))
    }

    pub(super) fn remove_webhooks_of<S: WriteStore>(
        &mut self,
        map: MapId,
        store: &mut S,
    ) -> Result<(), StateError> {
        let ids: Vec<WebhookId> = self.webhooks.of_map(map).map(|webhook| webhook.id).collect();
        ids.into_iter().try_for_each(|id| self.remove_webhook(id, store))
    }

    pub(super) fn activate_webhook<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        on: &OnWebhook<Activate>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let mut webhook = match managed(self, &self.webhooks, on) {
            Ok(webhook) => Webhook::clone(&webhook),
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        webhook.active = on.what.active;
        webhook.disabled = None;
        webhook.revision += 1;
        webhook.updated_ms = context.time_ms();
        let reply = self.keep_webhook(webhook, store)?;
        if on.what.active {
            let order = on.what.seek.map_or(OwnerCommand::Resume, OwnerCommand::Seek);
            self.steps.push(Step::Begin(on.webhook, order));
        }
        Ok(reply)
    }

    /// Disables a webhook, as its owner decided, unless somebody has changed it since.
    pub(super) fn disable<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        id: WebhookId,
        revision: u64,
        why: String,
        store: &mut S,
    ) -> Result<(), StateError> {
        let found = self.webhooks.get(id).filter(|webhook| webhook.active && webhook.revision == revision);
        let Some(mut webhook) = found.map(|webhook| Webhook::clone(webhook)) else { return Ok(()) };
        let now_ms = context.time_ms();
        webhook.active = false;
        webhook.updated_ms = now_ms;
        webhook.revision += 1;
        webhook.disabled = Some(Disabled { at_ms: now_ms, why });
        self.keep_webhook(webhook, store).map(drop)
    }

    /// Frees the id of a deleted webhook: nothing of it is stored any more.
    pub(super) fn free<S: WriteStore>(&mut self, id: WebhookId, store: &mut S) -> Result<(), StateError> {
        self.leaving.remove(&id);
        Ok(store.delete(&keys::leaving(id))?)
    }
}
