//! The directory: maps with their limits, retention and rules; tokens; apps; ingest sources; webhooks; owners; and the
//! settings of the cluster.
//!
//! It reports each change twice: as a [`Step`] that the streams follow, and as a [`Change`] for the actors of
//! the node.

mod apps;
mod issuers;
mod leases;
mod maps;
mod operators;
mod owners;
mod settings;
mod sources;
mod tokens;
mod users;
mod webhooks;

use super::rights::Rights;
use super::steps::{Request, Step};
use super::streams::Facts;
use super::{Context, StateError, keys, records};
use crate::core::access::{Access, AccessChange, Map, Token};
use crate::core::admin_token::AdminToken;
use crate::core::app::App;
use crate::core::codec;
use crate::core::command::{Change, Command, Refusal, Reply};
use crate::core::consumer::ownership::Owners;
use crate::core::ids::{MapId, TokenId, WebhookId};
use crate::core::ingest::Source;
use crate::core::issuer::{ClientRevocation, Issuer};
use crate::core::store::{ReadStore, WriteStore};
use crate::core::webhook::directory::{WebhookChange, WebhookDirectory as Webhooks};
use crate::core::webhook::{Wants, Webhook};
use leases::Leases;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The directory: the replicated machine, mirrored in memory.
#[derive(Default)]
pub struct Directory {
    access: Access,
    webhooks: Webhooks,
    /// Ids of deleted webhooks of which the streams still store something.
    leaving: BTreeSet<WebhookId>,
    leases: Leases,
    /// The lifecycle events that somebody wants, of the maps where somebody wants some.
    wants: BTreeMap<MapId, Wants>,
    next_topic: u64,
    steps: Vec<Step>,
    changes: Vec<Change>,
}

impl Directory {
    /// Rebuilds the mirror from a store.
    pub fn load<S: ReadStore>(store: &S) -> Result<Self, StateError> {
        let mut directory = Self { next_topic: 1, ..Self::default() };
        if let Some(bytes) = store.get(keys::COUNTERS)? {
            directory.next_topic = codec::decode(&bytes)?;
        }
        if let Some(bytes) = store.get(keys::ADMIN)? {
            directory.access.change(&AccessChange::Admin(codec::decode(&bytes)?));
        }
        for (_, map) in records::<Map, S>(store, keys::MAPS)? {
            directory.access.change(&AccessChange::Map(map.into()));
        }
        for (_, token) in records::<Token, S>(store, keys::TOKENS)? {
            directory.access.change(&AccessChange::Token(token.into()));
        }
        for (_, app) in records::<App, S>(store, keys::APPS)? {
            directory.access.change(&AccessChange::App(app.into()));
        }
        for (_, issuer) in records::<Issuer, S>(store, keys::ISSUERS)? {
            directory.access.change(&AccessChange::Issuer(issuer.into()));
        }
        for (_, revocation) in records::<ClientRevocation, S>(store, keys::REVOCATIONS)? {
            directory.access.change(&AccessChange::ClientsRevoked(revocation.into()));
        }
        for (_, token) in records::<AdminToken, S>(store, keys::ADMIN_TOKENS)? {
            directory.access.change(&AccessChange::AdminToken(token.into()));
        }
        for (_, source) in records::<Source, S>(store, keys::SOURCES)? {
            directory.access.change(&AccessChange::Source(source.into()));
        }
        for (_, webhook) in records::<Webhook, S>(store, keys::WEBHOOKS)? {
            directory.webhooks.change(&WebhookChange::Put(webhook.into()));
        }
        if let Some(bytes) = store.get(keys::OWNERS)? {
            directory.webhooks.change(&WebhookChange::Owners(codec::decode::<Owners>(&bytes)?));
        }
        let (from, to) = keys::all(keys::LEAVING);
        store.scan(&from, &to, &mut |key, _| {
            directory.leaving.extend(keys::webhook_of(key));
            true
        })?;
        directory.leases = Leases::load(store)?;
        for map in directory.access.maps() {
            let wants = Wants::of(Some(&**map), directory.webhooks.of_map(map.id));
            directory.wants.extend((wants != Wants::NOTHING).then_some((map.id, wants)));
        }
        Ok(directory)
    }

    /// Returns the facts for streams that are loaded at this position of the log.
    pub fn facts(&self) -> Facts {
        let tokens = self.access.maps().flat_map(|map| self.access.tokens_of(map.id));
        let of_apps = self.access.apps().all().filter_map(|app| self.access.token(app.token));
        let of_issuers = self.access.issuers().all().filter_map(|issuer| self.access.token(issuer.token));
        let tokens = tokens.chain(of_apps).chain(of_issuers).cloned();
        let sources = self.access.sources().clone();
        Facts::new(self.access.maps().cloned(), tokens, self.webhooks.clone(), sources)
    }

    /// Returns the maps, tokens, apps and ingest sources.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Returns the webhooks and their owners.
    pub fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// Returns the connections of a map that are counted, over all nodes.
    pub fn connections(&self, map: MapId) -> u32 {
        self.leases.connections(map)
    }

    /// Returns the counted connections that a token opened, over all nodes. Only maps with a limit are
    /// counted.
    pub fn connections_by(&self, token: TokenId) -> u32 {
        self.leases.connections_by(token)
    }

    /// Returns whether the command belongs to the directory.
    pub fn decides(command: &Command) -> bool {
        match command {
            Command::CreateMap(_)
            | Command::UpdateMap(_)
            | Command::DeleteMap(_)
            | Command::CreateToken(_)
            | Command::RevokeToken(_)
            | Command::SetAdmin(_)
            | Command::Lease(_)
            | Command::NodeGone(_)
            | Command::Presence(_)
            | Command::EndGraces
            | Command::PutWebhook(_)
            | Command::DeleteWebhook(_)
            | Command::ActivateWebhook(_)
            | Command::HandOver(..)
            | Command::SetKeyFingerprint(_)
            | Command::SetChannelRules(_)
            | Command::PutApp(_)
            | Command::DeleteApp(_)
            | Command::TerminateUser(_)
            | Command::SetIssuers(_)
            | Command::RevokeClients(_)
            | Command::MakeAdminToken(_)
            | Command::RevokeAdminToken(_)
            | Command::PutSource(_)
            | Command::DeleteSource(_)
            | Command::TellOperators(_)
            | Command::UpdateApp(_) => true,
            Command::Publish(_)
            | Command::Ingest(_)
            | Command::Tick
            | Command::OwnerCommand(_)
            | Command::PurgeDead(_)
            | Command::Progress(_)
            | Command::NoteAttempt(..)
            | Command::DeleteEvent(_)
            | Command::DeleteSubject(_)
            | Command::Usage(_) => false,
        }
    }

    /// Applies a command. A command that does not belong to the directory ([`Directory::decides`]) is
    /// refused.
    pub fn apply<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        command: Command,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        match command {
            Command::CreateMap(create) => self.create_map(context, create, store),
            Command::UpdateMap(update) => self.update_map(context.time_ms(), update, store),
            Command::DeleteMap(map) => self.delete_map(map, store),
            Command::CreateToken(create) => self.create_token(context, create, store),
            Command::RevokeToken(revoke) => self.revoke_token(&revoke, store),
            Command::SetAdmin(hash) => self.set_admin(hash, store),
            Command::Lease(batch) => self.lease(context.expiry_ms(), &batch, store),
            Command::NodeGone(node) => self.node_gone(context.expiry_ms(), node, store),
            Command::Presence(batch) => self.presence(context.expiry_ms(), &batch, store),
            Command::EndGraces => self.end_graces(context.expiry_ms(), store).map(Reply::Ticked),
            Command::PutWebhook(put) => self.put_webhook(context, *put, store),
            Command::DeleteWebhook(on) => self.delete_webhook(&on, store),
            Command::ActivateWebhook(on) => self.activate_webhook(context, &on, store),
            Command::HandOver(node, run, but) => self.hand_over(node, run, &but, store),
            Command::SetKeyFingerprint(fingerprint) => self.set_key_fingerprint(fingerprint, store),
            Command::SetChannelRules(set) => self.set_channel_rules(context.time_ms(), set, store),
            Command::PutApp(put) => self.put_app(context.time_ms(), *put, store),
            Command::UpdateApp(update) => self.update_app(&update, store),
            Command::DeleteApp(delete) => self.delete_app(&delete, store),
            Command::TerminateUser(terminate) => Ok(self.terminate_user(terminate)),
            Command::SetIssuers(set) => self.set_issuers(context.time_ms(), *set, store),
            Command::RevokeClients(revoke) => self.revoke_clients(context, revoke, store),
            Command::MakeAdminToken(token) => self.make_admin_token(context.time_ms(), *token, store),
            Command::RevokeAdminToken(id) => self.revoke_admin_token(id, store),
            Command::PutSource(put) => self.put_source(context.time_ms(), *put, store),
            Command::DeleteSource(delete) => self.delete_source(&delete, store),
            Command::TellOperators(report) => self.tell_operators(context, &report, store),
            Command::Publish(_)
            | Command::Ingest(_)
            | Command::Tick
            | Command::OwnerCommand(_)
            | Command::PurgeDead(_)
            | Command::Progress(_)
            | Command::NoteAttempt(..)
            | Command::DeleteEvent(_)
            | Command::DeleteSubject(_)
            | Command::Usage(_) => Ok(Reply::Refused(Refusal::Malformed)),
        }
    }

    /// Removes what has expired.
    pub fn tick<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        store: &mut S,
    ) -> Result<(), StateError> {
        self.end_graces(context.expiry_ms(), store)?;
        self.end_tokens(context.expiry_ms(), store)?;
        self.forget_revocations(context.expiry_ms(), store)?;
        self.time_passes_for_owners(context.expiry_ms(), store)
    }

    /// Carries out a request of the streams, if it still applies.
    pub fn grant<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        request: Request,
        store: &mut S,
    ) -> Result<(), StateError> {
        match request {
            Request::Disable { webhook, revision, why } => {
                self.disable(context, webhook, revision, why, store)
            }
            Request::Free(webhook) => self.free(webhook, store),
        }
    }

    /// Takes the steps since the last call, in order, for the streams to follow.
    pub fn take_steps(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.steps)
    }

    /// Takes the changes since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn change_access(&mut self, change: AccessChange) {
        self.access.change(&change);
        self.steps.push(Step::Access(change.clone()));
        self.changes.push(Change::Access(change));
    }

    fn change_webhooks(&mut self, change: WebhookChange) {
        self.webhooks.change(&change);
        self.steps.push(Step::Webhook(change.clone()));
        self.changes.push(Change::Webhook(change));
    }
}

impl Rights for Directory {
    fn map(&self, id: MapId) -> Option<&Arc<Map>> {
        self.access.map(id)
    }
    fn token(&self, id: TokenId) -> Option<&Arc<Token>> {
        self.access.token(id)
    }
}
