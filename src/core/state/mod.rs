//! The replicated state: what applying the log makes of maps, tokens, streams and events.
//!
//! Deterministic: any two nodes that apply the same log hold the same bytes. Everything written goes through the
//! store's transaction, and [`State::load`] rebuilds the mirrors in memory from it.
//!
//! # Two machines
//! [`Directory`] decides who may do what and what there is: maps, tokens, webhooks, owners, settings of the cluster.
//! [`Streams`] holds what maps publish, and how far their consumers are. One group of nodes runs both today. They are
//! made so that each can have a log of its own, the directory one and the streams of the maps many:
//!
//! - **Streams decide by what they were given.** What they know of the directory is [`Facts`], and facts change in one
//!   way: [`Streams::follow`] takes one [`Step`] of the directory. A step is an entry of the streams' own order: all that
//!   stands before it is decided by the facts before, all that stands behind it by the facts after. Whatever the
//!   directory has become since makes no difference, so any two nodes that apply the same streams' log agree.
//! - **Access comes first.** A revoke is acknowledged when every group has applied its step. From that entry on nothing
//!   that the token asks for lands in the group's streams; so nothing does once the revoke is acknowledged. With one
//!   group the step is applied within the directory's own entry, before anything that follows it. A node's actors learn
//!   of it in the same order: changes of the directory first, events then ([`State::take_changes`]).
//! - **Nothing goes back but requests.** What streams want of the directory (that a webhook is disabled, that the id of a
//!   deleted one is free again) they say as a [`Request`]. The directory decides it as of its own order, and what it
//!   changes comes to the streams as a step.
//! - Neither reads the other's records: each kind of key belongs to one of them ([`keys`]). Facts share their records
//!   with the directory's mirror, and are loaded from the directory's keys; with a log of their own, streams keep them
//!   in records of their own.

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
pub use streams::{Facts, Streams, TopicRecord};

use super::access::Access;
use super::codec;
use super::command::{Change, Command, Refusal, Reply};
use super::ids::{GroupId, LogPosition};
use super::store::{ReadStore, StoreError, WriteStore};
use super::webhook::directory::Directory as Webhooks;

/// What a command's application may know besides the command.
pub trait Context {
    /// The group whose log has the entry.
    fn group(&self) -> GroupId;
    /// Index of the log entry.
    fn index(&self) -> u64;
    /// Where the entry lies.
    fn position(&self) -> LogPosition {
        LogPosition { group: self.group(), index: self.index() }
    }
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

/// Both machines, where one log drives them.
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

    /// Maps and tokens.
    pub fn access(&self) -> &Access {
        self.directory.access()
    }

    /// Webhooks, and who owns them.
    pub fn webhooks(&self) -> &Webhooks {
        self.directory.webhooks()
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
        self.streams.flush(store)
    }

    /// What was changed since the last call: the directory's changes come first.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = self.directory.take_changes();
        changes.extend(self.streams.take_changes());
        changes
    }

    /// Time passes for both machines; every other command belongs to one.
    fn carry_out<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        command: Command,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let reply = match command {
            Command::Tick => {
                self.directory.tick(context, store)?;
                self.tell_streams(context, store)?;
                self.streams.apply(context, command, store)?
            }
            command if Directory::decides(&command) => self.directory.apply(context, command, store)?,
            command => self.streams.apply(context, command, store)?,
        };
        self.tell_streams(context, store)?;
        for request in self.streams.take_requests() {
            self.directory.grant(context, request, store)?;
        }
        self.tell_streams(context, store)?;
        Ok(reply)
    }

    /// Has the streams follow the directory, before anything else of this entry.
    fn tell_streams<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        store: &mut S,
    ) -> Result<(), StateError> {
        let steps = self.directory.take_steps();
        steps.into_iter().try_for_each(|step| self.streams.follow(context, step, store))
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
