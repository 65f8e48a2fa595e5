//! The streams: the events of maps, idempotency keys, retention, and the progress of consumers.
//!
//! Each map has one stream. Small records are mirrored in memory; events are in the store only. What the
//! streams know of the directory is [`Facts`], which only [`Streams::follow`] changes.

mod append;
pub mod backlog;
mod consumers;
mod facts;
mod idempotency;
mod lifecycle;
mod mirror;
mod owner_commands;
mod progress;
mod publish;
mod record;
mod removal;
mod retention;
mod rules;
mod sources;
pub mod subjects;
mod usage;

pub use facts::Facts;
pub use record::{Deletion, LifecycleRecord, TopicRecord};
pub use sources::SourceCounts;
pub use usage::usage_of;

use super::rights::Rights;
use super::steps::{Request, Step};
use super::{Context, StateError, keys, records};
use crate::core::access::{AccessChange, Map};
use crate::core::codec;
use crate::core::command::{Change, Command, Refusal, Reply};
use crate::core::ids::{MapId, TopicId, WebhookId};
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use crate::core::webhook::directory::WebhookChange;
use std::collections::{BTreeMap, BTreeSet};
use subjects::SubjectRecord;
use usage::Usage;

/// The streams: the replicated machine, with its small records mirrored in memory.
#[derive(Default)]
pub struct Streams {
    facts: Facts,
    pub(super) topics: BTreeMap<TopicId, TopicRecord>,
    /// Streams whose record differs from the store's. It is written once in a transaction, however many
    /// publishes that has.
    dirty: BTreeSet<TopicId>,
    /// Records of subjects that differ from the store's. The maps' own subjects are not among them: their
    /// records are part of [`TopicRecord`].
    touched: BTreeMap<(TopicId, Subject), SubjectRecord>,
    tombstone: BTreeSet<TopicId>,
    tombstone_webhooks: BTreeSet<WebhookId>,
    holds: backlog::Holds,
    usage: Usage,
    requests: Vec<Request>,
    changes: Vec<Change>,
}

impl Streams {
    /// Rebuilds the mirror from a store. `facts` must be of the same position in the log.
    pub fn load<S: ReadStore>(store: &S, facts: Facts) -> Result<Self, StateError> {
        let mut streams = Self { facts, ..Self::default() };
        for (key, record) in records::<TopicRecord, S>(store, keys::TOPICS)? {
            streams.topics.extend(keys::topic_of(&key).map(|topic| (topic, record)));
        }
        let (from, to) = keys::all(keys::TOMBSTONE);
        store.scan(&from, &to, &mut |key, _| {
            streams.tombstone.extend(keys::topic_of(key));
            true
        })?;
        let (from, to) = keys::all(keys::TOMBSTONE_WEBHOOKS);
        store.scan(&from, &to, &mut |key, _| {
            streams.tombstone_webhooks.extend(keys::webhook_of(key));
            true
        })?;
        streams.load_holds(store)?;
        streams.load_usage(store)?;
        Ok(streams)
    }

    /// Returns what is known of the directory.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Applies a command. A command that belongs to the directory is refused.
    pub fn apply<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        command: Command,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        match command {
            Command::Publish(publish) => self.publish(context, publish, store),
            Command::Ingest(ingest) => self.ingest(context, ingest, store),
            Command::Tick => self.tick(context, store),
            Command::OwnerCommand(on) => self.owner_command(context, on, store),
            Command::PurgeDead(on) => self.purge_dead(&on, store),
            Command::Progress(report) => self.progress(context, report, store),
            Command::NoteAttempt(webhook, attempt) => self.note_attempt(context, webhook, *attempt, store),
            Command::DeleteEvent(delete) => self.delete_event(delete, store),
            Command::DeleteSubject(delete) => self.delete_subject(delete, store),
            Command::Usage(report) => self.report_usage(context, &report, store),
            _ => Ok(Reply::Refused(Refusal::Malformed)),
        }
    }

    /// Applies a step of the directory. It decides everything that follows it in the streams' order.
    pub fn follow<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        step: Step,
        store: &mut S,
    ) -> Result<(), StateError> {
        match step {
            Step::Access(change) => {
                self.forget_sources(&change, store)?;
                if let AccessChange::MapGone(id) = change {
                    self.end_stream(id, store)?;
                }
                if let AccessChange::Map(map) = &change {
                    self.begin_stream(map);
                }
                self.facts.change_access(&change);
            }
            Step::Webhook(change) => {
                let is_new =
                    matches!(&change, WebhookChange::Put(put) if self.facts.webhooks().get(put.id).is_none());
                self.facts.change_webhooks(&change);
                match change {
                    WebhookChange::Put(webhook) if is_new => self.begin_consumer(&webhook, store)?,
                    WebhookChange::Put(webhook) => self.hold(webhook.id, store)?,
                    WebhookChange::Gone(id) => self.end_consumer(id, store)?,
                    WebhookChange::Commanded(_) | WebhookChange::Owners(_) => {}
                }
            }
            Step::Append(map, events) => self.append_facts(context, map, &events, store)?,
            Step::Start(id, seq) => self.start_consumer(id, seq, store)?,
            Step::Begin(id, command) => {
                if let Some(webhook) = self.facts.webhooks().get(id).cloned() {
                    // An owner command to start over is never refused: it replaces the waiting ones.
                    let _number = self.add_command(context, &webhook, command, store)?;
                }
            }
        }
        Ok(())
    }

    /// Writes the records that are written at the end of the transaction.
    pub fn flush<S: WriteStore>(&mut self, store: &mut S) -> Result<(), StateError> {
        for topic in std::mem::take(&mut self.dirty) {
            if let Some(record) = self.topics.get(&topic) {
                store.put(&keys::topic(topic), &codec::encode(record)?)?;
            }
        }
        for ((stream, subject), record) in std::mem::take(&mut self.touched) {
            store.put(&keys::subject(stream, subject.as_str()), &codec::encode(&record)?)?;
        }
        self.flush_usage(store)?;
        self.flush_backlogs(store)
    }

    /// Takes the requests to the directory since the last call.
    pub fn take_requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// Takes the changes since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Creates the stream of a new map, or applies the new rules of a known one.
    fn begin_stream(&mut self, map: &Map) {
        let is_new = !self.topics.contains_key(&map.topic);
        let record = self.topics.entry(map.topic).or_default();
        let had = self.facts.map(map.id).map(|known| &known.rules);
        if had.is_some_and(|had| *had != map.rules) {
            let had = had.map_or(0, |had| had.all().len());
            record.begin_rules(&map.rules, had);
        } else if !is_new {
            return;
        }
        self.dirty.insert(map.topic);
    }

    fn end_stream<S: WriteStore>(&mut self, map: MapId, store: &mut S) -> Result<(), StateError> {
        let Some(topic) = self.facts.map(map).map(|map| map.topic) else { return Ok(()) };
        store.delete(&keys::topic(topic))?;
        self.forget_usage(topic, store)?;
        store.delete(&keys::told_of_map(map))?;
        // The ticks remove the events in pieces.
        store.put(&keys::tombstone(topic), &[])?;
        self.topics.remove(&topic);
        self.dirty.remove(&topic);
        self.touched.retain(|(stream, _), _| *stream != topic);
        self.tombstone.insert(topic);
        Ok(())
    }
}
