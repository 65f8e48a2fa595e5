//! The replicated state: what applying the log makes of maps, tokens, topics and events.
//!
//! Deterministic: any two nodes that apply the same log hold the same bytes. Small records (maps, tokens, topics,
//! sockets) are mirrored in memory; events live in the store alone. Everything written goes through the store's
//! transaction, and [`State::load`] rebuilds the mirror from it.

pub mod backlog;
mod delivery;
mod endpoints;
pub mod keys;
mod maps;
mod orders;
mod publish;
mod retention;
mod slots;
pub mod subjects;
#[cfg(test)]
mod tests;

use super::access::{Access, AccessChange, Map, Scopes, Token};
use super::codec;
use super::command::{By, Change, Command, Refusal, Reply};
use super::consumer::ownership::Owners;
use super::ids::{EndpointId, EventId, MapId, NodeId, TopicId};
use super::store::{ReadStore, StoreError, WriteStore};
use super::webhook::Endpoint;
use super::webhook::directory::{Directory, EndpointChange};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A topic's place: which events it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRecord {
    /// Oldest seq that retention left to readers.
    pub first_seq: u64,
    /// Oldest seq stored: those before `first_seq` are kept for webhooks alone.
    pub stored_seq: u64,
    /// Seq of the next event.
    pub next_seq: u64,
    /// Id of the newest event, kept when retention removes it.
    pub head_id: EventId,
    /// Id of the newest event that retention took from readers.
    pub trimmed_id: EventId,
    /// The highest time of an event (Unix milliseconds), kept when retention removes it.
    pub peak_ms: u64,
    /// The highest time of an event that retention removed (Unix milliseconds).
    pub trimmed_peak_ms: u64,
    /// Bytes of the events from `first_seq` on.
    pub bytes: u64,
    /// Bytes of the events that are kept for webhooks alone.
    pub backlog_bytes: u64,
    /// State of the publish limit (see [`super::rate`]).
    pub full_at_us: u64,
}

impl Default for TopicRecord {
    fn default() -> Self {
        Self {
            first_seq: 1,
            stored_seq: 1,
            next_seq: 1,
            head_id: EventId::ZERO,
            trimmed_id: EventId::ZERO,
            peak_ms: 0,
            trimmed_peak_ms: 0,
            bytes: 0,
            backlog_bytes: 0,
            full_at_us: 0,
        }
    }
}

/// Sockets of one run of a node, by map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct NodeSlots {
    run: u64,
    slots: BTreeMap<MapId, u32>,
}

/// What a command's application may know besides the command.
pub trait Context {
    /// Index of the log entry.
    fn index(&self) -> u64;
    /// The entry's time, Unix milliseconds: for what is shown, never for what expires. It may go back.
    fn time_ms(&self) -> u64;
    /// The highest time of an entry up to this one, Unix milliseconds: for ids, which never go back.
    fn id_ms(&self) -> u64;
    /// The clock that things expire by, in milliseconds. It never goes back and runs no faster than a monotonic clock;
    /// whatever ends by age is measured with it.
    fn expiry_ms(&self) -> u64;
    /// Takes `count` places of the entry; answers the first.
    fn take_places(&mut self, count: u32) -> u32;
}

/// Why a state can't be loaded or applied to.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored record is not readable.
    #[error("stored record: {0}")]
    Record(#[from] codec::CodecError),
}

/// The state's mirror in memory.
#[derive(Default)]
pub struct State {
    access: Access,
    topics: BTreeMap<TopicId, TopicRecord>,
    /// Topics whose record differs from the store's: written once a transaction, however many publishes it held.
    dirty: BTreeSet<TopicId>,
    nodes: BTreeMap<NodeId, NodeSlots>,
    doomed: BTreeSet<TopicId>,
    endpoints: Directory,
    doomed_endpoints: BTreeSet<EndpointId>,
    holds: backlog::Holds,
    next_topic: u64,
    /// What was changed since [`State::take_changes`].
    changes: Vec<Change>,
}

impl State {
    /// Rebuilds the mirror from a store.
    pub fn load<S: ReadStore>(store: &S) -> Result<Self, StateError> {
        let mut state = State { next_topic: 1, ..Self::default() };
        if let Some(bytes) = store.get(keys::COUNTERS)? {
            state.next_topic = codec::decode(&bytes)?;
        }
        if let Some(bytes) = store.get(keys::ADMIN)? {
            state.access.change(&AccessChange::Admin(codec::decode(&bytes)?));
        }
        for (_, map) in records::<Map, S>(store, keys::MAPS)? {
            state.access.change(&AccessChange::Map(map));
        }
        for (_, token) in records::<Token, S>(store, keys::TOKENS)? {
            state.access.change(&AccessChange::Token(token));
        }
        for (key, record) in records::<TopicRecord, S>(store, keys::TOPICS)? {
            state.topics.extend(keys::topic_of(&key).map(|topic| (topic, record)));
        }
        for (key, slots) in records::<NodeSlots, S>(store, keys::SLOTS)? {
            state.nodes.extend(keys::node_of(&key).map(|node| (node, slots)));
        }
        let (from, to) = keys::all(keys::DOOMED);
        store.scan(&from, &to, &mut |key, _| {
            state.doomed.extend(keys::topic_of(key));
            true
        })?;
        state.load_endpoints(store)?;
        state.load_holds(store)?;
        Ok(state)
    }

    fn load_endpoints<S: ReadStore>(&mut self, store: &S) -> Result<(), StateError> {
        for (_, endpoint) in records::<Endpoint, S>(store, keys::ENDPOINTS)? {
            self.endpoints.change(&EndpointChange::Put(endpoint.into()));
        }
        if let Some(bytes) = store.get(keys::OWNERS)? {
            self.endpoints.change(&EndpointChange::Owners(codec::decode::<Owners>(&bytes)?));
        }
        let (from, to) = keys::all(keys::DOOMED_ENDPOINTS);
        store.scan(&from, &to, &mut |key, _| {
            self.doomed_endpoints.extend(keys::endpoint_of(key));
            true
        })?;
        Ok(())
    }

    /// Maps and tokens.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Endpoints, and who owns them.
    pub fn endpoints(&self) -> &Directory {
        &self.endpoints
    }

    /// Sockets of a map, over all nodes.
    pub fn sockets(&self, map: MapId) -> u32 {
        self.nodes.values().filter_map(|node| node.slots.get(&map)).sum()
    }

    /// Applies one command and gives the encoded [`Reply`]. Bytes that are no command are refused, the same everywhere.
    pub fn apply<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        command: &[u8],
        store: &mut S,
    ) -> Result<Vec<u8>, StateError> {
        let reply = match codec::decode(command) {
            Ok(command) => self.carry_out(context, command, store)?,
            Err(_) => Reply::Refused(Refusal::Malformed),
        };
        Ok(codec::encode(&reply)?)
    }

    /// Writes the records that wait for the end of the transaction.
    pub fn flush<S: WriteStore>(&mut self, store: &mut S) -> Result<(), StateError> {
        for topic in std::mem::take(&mut self.dirty) {
            if let Some(record) = self.topics.get(&topic) {
                store.put(&keys::topic(topic), &codec::encode(record)?)?;
            }
        }
        self.flush_backlogs(store)
    }

    /// What was changed since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn carry_out<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        command: Command,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        match command {
            Command::Publish(publish) => self.publish(context, publish, store),
            Command::CreateMap(create) => self.create_map(context.time_ms(), create, store),
            Command::UpdateMap(update) => self.update_map(context.time_ms(), update, store),
            Command::DeleteMap(map) => self.delete_map(map, store),
            Command::CreateToken(create) => self.create_token(context.time_ms(), create, store),
            Command::RevokeToken(revoke) => self.revoke_token(&revoke, store),
            Command::SetAdmin(hash) => self.set_admin(hash, store),
            Command::TakeSlot(slots) => self.take_slot(&slots, store),
            Command::GiveSlots(slots) => self.give_slots(&slots, store),
            Command::NodeUp(slots) => self.node_up(&slots, store),
            Command::NodeGone(node) => self.node_gone(node, store),
            Command::Tick => self.tick(context, store),
            Command::PutEndpoint(put) => self.put_endpoint(context, *put, store),
            Command::DeleteEndpoint(on) => self.delete_endpoint(&on, store),
            Command::ActivateEndpoint(on) => self.activate_endpoint(context, &on, store),
            Command::OrderEndpoint(on) => self.order_endpoint(context, on, store),
            Command::PurgeDead(on) => self.purge_dead(&on, store),
            Command::Progress(report) => self.progress(context, report, store),
            Command::NoteAttempt(endpoint, attempt) => self.note_attempt(context, endpoint, *attempt, store),
            Command::NodeDelivers(node, run) => self.node_delivers(context.expiry_ms(), node, run, store),
            Command::NodeRests(node) => self.node_rests(node, store),
            Command::HandOver(node, run, but) => self.hand_over(node, run, &but, store),
            Command::SetSealMark(mark) => self.set_seal_mark(mark, store),
        }
    }

    /// The caller's right to `scope` on `map`, as of this place in the log.
    fn check(&self, map: MapId, by: By, scope: Scopes) -> Result<(), Refusal> {
        if self.access.map(map).is_none() {
            return Err(Refusal::UnknownMap);
        }
        let Some(by) = by else { return Ok(()) };
        match self.access.token(by) {
            Some(token) if token.map == map && token.scopes.contains(scope) => Ok(()),
            _ => Err(Refusal::Forbidden),
        }
    }

    fn change_access(&mut self, change: AccessChange) {
        self.access.change(&change);
        self.changes.push(Change::Access(change));
    }
}

/// All records under a prefix.
fn records<T: serde::de::DeserializeOwned, S: ReadStore>(
    store: &S,
    prefix: u8,
) -> Result<Vec<(Vec<u8>, T)>, StateError> {
    let mut found = Vec::new();
    let mut bad = None;
    let (from, to) = keys::all(prefix);
    store.scan(&from, &to, &mut |key, value| match codec::decode(value) {
        Ok(record) => {
            found.push((key.to_vec(), record));
            true
        }
        Err(error) => {
            bad = Some(error);
            false
        }
    })?;
    bad.map_or(Ok(found), |error| Err(error.into()))
}
