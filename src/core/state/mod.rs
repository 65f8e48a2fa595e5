//! The replicated state: maps, tokens, streams and events, as the log's commands make them.
//!
//! It is deterministic: any two nodes that apply the same log hold the same bytes. Everything is written
//! through the store's transaction, and [`State::load`] rebuilds the mirrors in memory from the store.
//!
//! # Two machines
//! [`Directory`] decides who may do what and what exists: maps, tokens, webhooks, owners, settings of the
//! cluster. [`Streams`] stores what maps publish and how far their consumers are. One group of nodes runs
//! both today. They are separate so that each can have a log of its own: one log for the directory, and many
//! for the streams of the maps. Four rules make that possible:
//!
//! - **Streams decide by the facts that they were given.** What they know of the directory is [`Facts`], and
//!   facts change in one way: [`Streams::follow`] takes one [`Step`] of the directory. A step is an entry of
//!   the streams' own order. The facts before it decide all entries before it, and the facts after it decide
//!   all entries after it. What the directory has become since makes no difference, so any two nodes that
//!   apply the same streams' log agree.
//! - **Access comes first.** A revoke is acknowledged when every group has applied its step. From that entry
//!   on, nothing that the token requests enters the group's streams, and so nothing does once the revoke is
//!   acknowledged. With one group the step is applied within the directory's own entry, before anything that
//!   follows it. A node's actors receive the changes in the same order: the directory's changes first, then
//!   events ([`State::take_changes`]).
//! - **Only requests go back.** What the streams want from the directory (disable a webhook, free the id of a
//!   deleted one) they state as a [`Request`]. The directory decides it in its own order, and its changes
//!   come to the streams as a step.
//! - **Neither reads the other's records.** Each kind of key belongs to one of them ([`keys`]). Today facts
//!   share their records with the directory's mirror and are loaded from the directory's keys; with a log of
//!   their own, the streams would store them in records of their own.

pub mod directory;
pub mod keys;
mod rights;
mod steps;
pub mod streams;
#[cfg(test)]
mod tests;

pub use directory::Directory;
pub use steps::{Request, Step};
pub use streams::backlog;
pub use streams::subjects;
pub use streams::{Facts, SourceCounts, Streams, TopicRecord, usage_of};

use super::access::Access;
use super::codec;
use super::command::{Change, Command, Refusal, Reply};
use super::ids::{GroupId, LogPosition, MapId};
use super::lease::Present;
use super::store::{ReadStore, StoreError, WriteStore};
use super::subject::Subject;
use super::webhook::directory::WebhookDirectory as Webhooks;
use bytes::Bytes;
use std::sync::Arc;

/// What the application of a command may know besides the command.
pub trait Context {
    /// Returns the group whose log has the entry.
    fn group(&self) -> GroupId;
    /// Returns the index of the log entry.
    fn index(&self) -> u64;
    /// Returns the position of the entry.
    fn position(&self) -> LogPosition {
        LogPosition { group: self.group(), index: self.index() }
    }
    /// Returns the entry's time (Unix milliseconds). It may go back; it is for display, and nothing expires
    /// by it.
    fn time_ms(&self) -> u64;
    /// Returns the highest time of an entry so far (Unix milliseconds). Ids use it, because they never go
    /// back.
    fn id_ms(&self) -> u64;
    /// Returns the expiry clock in milliseconds. It never goes back and runs no faster than a monotonic
    /// clock. Everything that ends by age is measured with it.
    fn expiry_ms(&self) -> u64;
    /// Takes `count` slots of the entry and returns the first.
    fn take_slots(&mut self, count: u32) -> u32;
}

/// Why a state cannot be loaded, or a command not applied.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored record cannot be decoded.
    #[error("stored record: {0}")]
    Record(#[from] codec::CodecError),
}

/// Both machines, driven by one log.
#[derive(Default)]
pub struct State {
    directory: Directory,
    streams: Streams,
}

impl State {
    /// Rebuilds the mirrors from a store.
    pub fn load<S: ReadStore>(store: &S) -> Result<Self, StateError> {
        let directory = Directory::load(store)?;
        let streams = Streams::load(store, directory.facts())?;
        Ok(Self { directory, streams })
    }

    /// Returns the maps and tokens.
    pub fn access(&self) -> &Access {
        self.directory.access()
    }

    /// Returns the webhooks and their owners.
    pub fn webhooks(&self) -> &Webhooks {
        self.directory.webhooks()
    }

    /// Returns all presence members, with their maps and subjects.
    pub fn all_members(&self) -> impl Iterator<Item = (MapId, Subject, Arc<Present>)> {
        self.directory.all_members()
    }

    /// Applies one command and returns the encoded [`Reply`]. Bytes that are not a command are refused on
    /// every node alike.
    pub fn apply<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        command: &Bytes,
        store: &mut S,
    ) -> Result<Vec<u8>, StateError> {
        let reply = match Command::of_log(command) {
            Ok(command) => self.carry_out(context, command, store)?,
            Err(_) => Reply::Refused(Refusal::Malformed),
        };
        Ok(codec::encode(&reply)?)
    }

    /// Writes the records that are written at the end of the transaction.
    pub fn flush<S: WriteStore>(&mut self, store: &mut S) -> Result<(), StateError> {
        self.streams.flush(store)
    }

    /// Takes the changes since the last call; the directory's changes come first.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = self.directory.take_changes();
        changes.extend(self.streams.take_changes());
        changes
    }

    /// Applies a command in the machine to which it belongs; a tick belongs to both.
    fn carry_out<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        command: Command,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let reply = match command {
            Command::Tick => {
                self.directory.tick(context, store)?;
                self.update_streams(context, store)?;
                self.streams.apply(context, command, store)?
            }
            command if Directory::decides(&command) => self.directory.apply(context, command, store)?,
            command => self.streams.apply(context, command, store)?,
        };
        self.update_streams(context, store)?;
        for request in self.streams.take_requests() {
            self.directory.grant(context, request, store)?;
        }
        self.update_streams(context, store)?;
        Ok(reply)
    }

    /// Makes the streams follow the directory before anything else of this entry.
    fn update_streams<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        store: &mut S,
    ) -> Result<(), StateError> {
        let steps = self.directory.take_steps();
        steps.into_iter().try_for_each(|step| self.streams.follow(context, step, store))
    }
}

/// Returns all records under a prefix.
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
