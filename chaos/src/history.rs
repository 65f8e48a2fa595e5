//! The record of a run, as its clients and its operator saw it: one record for each observation, in order of
//! time.
//!
//! A [`Journal`] takes records from many threads and writes each as a line of JSON. A [`History`] holds all
//! records for the checks. This module never checks and never waits for a node.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
pub use testkit::event::{Event, digest};

/// The most records of a run. A run with more records fails; it must not use up the memory of the machine.
const RECORDS: usize = 4_000_000;

/// The topic (a map) whose whole history is kept.
pub const MAIN: &str = "main";
/// The topic (a map) with short retention.
pub const SHORT: &str = "short";
/// The topic (a map) with many subjects: rules keep fewer events of some, and some events are deleted.
pub const CHANNELS: &str = "channels";

/// Whether a reader of these subjects and patterns wants an event of `subject`. An empty list means the map's
/// own subject.
pub fn selects(subjects: &[String], subject: &str) -> bool {
    subjects.is_empty() && subject.is_empty()
        || subjects.iter().any(|pattern| fits(pattern.as_bytes(), subject.as_bytes()))
}

/// Whether `subject` matches; `*` stands for any bytes, or none.
fn fits(pattern: &[u8], subject: &[u8]) -> bool {
    match (pattern.split_first(), subject.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), more) => {
            fits(rest, subject) || more.is_some_and(|(_, more)| fits(pattern, more))
        }
        (Some((one, rest)), Some((other, more))) => one == other && fits(rest, more),
        _ => false,
    }
}

/// One observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[allow(missing_docs, reason = "each field is named after what it holds; the variants say the rest")]
pub enum Record {
    /// A publish to a subject was sent, for the first time or again.
    Asked {
        topic: String,
        key: String,
        #[serde(default)]
        subject: String,
        node: usize,
    },
    /// The publish was acknowledged.
    Acked { topic: String, key: String, id: String, seq: u64, node: usize },
    /// The publish was refused, or its answer was lost: nobody knows whether the event was stored.
    Unknown { topic: String, key: String, node: usize, why: String },
    /// A client starts. It wants those subjects and patterns, or the map's own subject when the list is
    /// empty; and of those the named types, or all types when none is named.
    Client {
        client: String,
        topic: String,
        #[serde(default)]
        subjects: Vec<String>,
        kinds: Vec<String>,
    },
    /// A rule was asked for: of subjects that match the pattern, readers of the topic keep only `events` of
    /// the newest events. It holds from this record on and may hold sooner.
    Keeps { topic: String, subjects: String, events: u64 },
    /// The deletion of an event was asked for at that time; `done` when it was acknowledged.
    Deleted { topic: String, id: String, asked_ms: u64, done: bool },
    /// The deletion of all events of a subject was asked for.
    Emptied { topic: String, subject: String, asked_ms: u64, done: bool },
    /// A client joined at a node, after the event with that id, or from the start.
    Joined { client: String, node: usize, after: Option<String> },
    /// A client was sent a gap: history is missing, and this is the oldest event that exists.
    Gap { client: String, oldest: Option<String> },
    /// A client received an event.
    Seen { client: String, event: Event },
    /// A webhook of a topic was created, with subjects as for a client. The receiver of a dead webhook
    /// accepts nothing.
    Hook {
        hook: String,
        strict: bool,
        dead: bool,
        topic: String,
        #[serde(default)]
        subjects: Vec<String>,
    },
    /// A webhook's receiver got a request with an event, at that time of the run; `digest` is the digest of
    /// the body.
    Got { hook: String, request: String, digest: String, id: String, seq: u64, key: String, accepted: bool },
    /// A node reported the progress of a webhook; the question was sent at that time.
    Progress { node: usize, hook: String, asked_ms: u64, delivered: u64, queued: u64 },
    /// An event was acknowledged that this webhook must get.
    Owed { hook: String, id: String, key: String },
    /// A node reported the state of a webhook. `beyond`: more was published than retention holds back for
    /// webhooks.
    Webhook { hook: String, node: usize, state: String, missed: u64, given_up: u64, beyond: bool },
    /// A map received an event that says how many events one of its webhooks lost.
    Announced { hook: String, lost: u64 },
    /// So many events were published for a webhook: each was accepted, or was reported as missed or given up.
    /// The stream had `stream` events, the server's own included: they too count as missed where they are gone.
    Offered { hook: String, events: u64, stream: u64 },
    /// A token was created: asked for at that time, answered now.
    TokenMade { token: String, asked_ms: u64 },
    /// A token was used: asked at that time, answered now with that status.
    TokenUsed { token: String, node: usize, asked_ms: u64, status: u16 },
    /// A token was revoked: asked for at that time, answered now.
    TokenRevoked { token: String, asked_ms: u64 },
    /// A socket with that token was closed, or was still open long after the revoke.
    TokenSocket { token: String, node: usize, closed: bool },
    /// A setting was written: asked for at that time, acknowledged now if `acked`. A write without an
    /// acknowledgement may take effect at any later time.
    Wrote { register: String, version: u64, asked_ms: u64, acked: bool },
    /// A setting was read at a node: asked at that time, answered now.
    Read { register: String, node: usize, version: u64, asked_ms: u64 },
    /// A fault begins for those nodes. `cut`: the fault may put them out of reach of the others.
    Fault { fault: String, nodes: Vec<usize>, cut: bool, note: String },
    /// The fault is over.
    Over { fault: String, nodes: Vec<usize> },
    /// Something on a stopped node's disk was damaged. The record says whether the node must find the damage,
    /// or whether the damage may be where nothing is kept.
    Damaged { node: usize, file: String, certain: bool },
    /// A node was started again: it may know less than before, until it has caught up.
    Started { node: usize },
    /// A started node reported that it found damage.
    Noticed { node: usize },
    /// A process ended by itself.
    Ended { node: usize, status: String },
    /// All faults are over.
    Healed,
    /// A client, a webhook or the cluster has caught up after the faults.
    CaughtUp { whom: String },
    /// It did not catch up in time.
    Behind { whom: String, why: String },
    /// A leader fell silent. So many publishes at the other nodes were answered from then on. `unknown`: how
    /// many had an unknown outcome, or no answer, although a new leader stood. `next_ms`: how long it took at
    /// most until a publish that began afterwards was acknowledged; `None` if some publisher got no
    /// acknowledgement.
    Silence { answered: u64, unknown: u64, next_ms: Option<u64> },
    /// The most memory that a node used, and its limit, in bytes.
    Memory { node: usize, peak: u64, limit: u64 },
    /// 99 of 100 actions of a healthy tenant took at most these times (µs): alone, and beside a hostile tenant.
    Pace { of: String, alone_us: u64, beside_us: u64 },
    /// How far the time of a new event was from the true time (ms), and which node took the event.
    Stamped { node: usize, off_ms: i64 },
    /// An event that a node holds at the end.
    Stored { node: usize, topic: String, event: Event },
    /// A client's connection became a member of a presence channel, as that user. It was shown these members
    /// and their count.
    Entered { client: String, user: String, channel: String, node: usize, members: Vec<String>, count: u64 },
    /// A client was told that a user is there from now on, or is gone.
    Told { client: String, channel: String, user: String, there: bool },
    /// A client left a channel, or its connection ended.
    Exited { client: String, channel: String },
    /// A client broke off, and was back in all its channels by another connection between these times. A user
    /// who is back within the grace period neither leaves nor joins.
    Returned { client: String, user: String, broke_ms: u64, back_ms: u64, grace_ms: u64 },
    /// A receiver of webhooks got a fact about a channel, and about a user if it is about one.
    Fact { id: String, fact: String, channel: String, user: String },
    /// A node listed the members of a channel.
    Members { node: usize, channel: String, users: Vec<String> },
    /// A node reported the number of users and of subscriptions of a channel.
    Counts { node: usize, channel: String, users: u64, subscriptions: u64 },
    /// All clients of presence channels have a connection that stays, or none; what they, the nodes and the
    /// receiver know of it was recorded.
    Settled,
    /// A backup of the running cluster begins.
    BackupBegun { backup: String },
    /// An event of the main topic held by a node that was restored from that backup.
    Copied { backup: String, event: Event },
    /// All events of the restored node were recorded.
    Restored { backup: String },
    /// All events that a node holds of a topic were recorded.
    Listed { node: usize, topic: String, events: u64 },
    /// A consumer of the main topic was created, before anything was published. Clients read it.
    Consumer { consumer: String },
    /// A reader of a consumer was handed an event; it had asked at that time.
    HandedOver { consumer: String, seq: u64, lane: String, attempt: u64, asked_ms: u64 },
    /// A reader acknowledged an event; `certain`: the acknowledgement was answered.
    Worked { consumer: String, seq: u64, certain: bool },
    /// An event of a consumer is a dead letter at the end.
    WorkGivenUp { consumer: String, seq: u64 },
    /// How many events of a consumer were settled at the end, as the cluster counts.
    WorkDone { consumer: String, acknowledged: u64, given_up: u64 },
}

/// A record with its time, in milliseconds since the run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was recorded.
    pub at_ms: u64,
    /// The observation.
    #[serde(flatten)]
    pub record: Record,
}

/// All records of a run.
#[derive(Debug, Clone, Default)]
pub struct History(pub Vec<Entry>);

impl History {
    /// Reads a file with one record a line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let entries = text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned()));
        Ok(Self(entries.collect::<Result<_>>()?))
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.0.iter().map(|entry| &entry.record)
    }
}

/// Collects records from any thread and writes them to a file.
#[derive(Debug, Clone)]
pub struct Journal {
    start: Instant,
    path: PathBuf,
    shared: Arc<Mutex<Shared>>,
}

/// What all clones of a journal share. `broken` is the reason why a record could not be kept.
#[derive(Debug)]
struct Shared {
    history: History,
    file: BufWriter<File>,
    broken: Option<String>,
}

impl Journal {
    /// Creates the file, which must not exist yet. The run begins now.
    pub fn create(path: &Path) -> Result<Self> {
        let file = BufWriter::new(File::create_new(path).with_context(|| path.display().to_string())?);
        let shared = Shared { history: History::default(), file, broken: None };
        Ok(Self { start: Instant::now(), path: path.to_owned(), shared: Arc::new(Mutex::new(shared)) })
    }

    /// Milliseconds since the run began.
    pub fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Records an observation.
    pub fn note(&self, record: Record) {
        self.note_at(self.now_ms(), record);
    }

    /// Records that `whom` caught up, or why it did not.
    pub fn caught_up(&self, whom: &str, done: Result<()>) {
        let whom = whom.to_owned();
        self.note(match done {
            Ok(()) => Record::CaughtUp { whom },
            Err(error) => Record::Behind { whom, why: format!("{error:#}").chars().take(600).collect() },
        });
    }

    /// Records an observation with an earlier time.
    pub fn note_at(&self, at_ms: u64, record: Record) {
        let mut shared = self.lock();
        if shared.history.0.len() >= RECORDS {
            shared.broken.get_or_insert_with(|| format!("more than {RECORDS} records"));
            return;
        }
        let entry = Entry { at_ms, record };
        if let Err(error) = write(&mut shared.file, &entry) {
            shared.broken.get_or_insert_with(|| format!("{error:#}"));
        }
        shared.history.0.push(entry);
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All records so far, by time, and an error if some could not be kept. The journal is empty afterwards.
    pub fn history(&self) -> Result<History> {
        let mut shared = self.lock();
        shared.file.flush()?;
        match &shared.broken {
            Some(why) => Err(anyhow::anyhow!("the history is not complete: {why}")),
            None => {
                let mut history = std::mem::take(&mut shared.history);
                history.0.sort_by_key(|entry| entry.at_ms);
                Ok(history)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(file: &mut BufWriter<File>, entry: &Entry) -> Result<()> {
    serde_json::to_writer(&mut *file, entry)?;
    Ok(file.write_all(b"\n")?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patterns_select_subjects() {
        let selects = |names: &[&str], subject| {
            super::selects(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), subject)
        };
        for (names, subject, wanted) in [
            (&[][..], "", true),
            (&[], "a", false),
            (&["a"], "", false),
            (&["*"], "", true),
            (&["*"], "a", true),
            (&["a-*"], "a-1", true),
            (&["a-*"], "a", false),
            (&["b", "a*c"], "abbc", true),
            (&["b", "a*c"], "abcd", false),
        ] {
            assert_eq!(selects(names, subject), wanted, "{names:?} {subject}");
        }
    }

    #[test]
    fn recorded_observations_are_read_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(&dir.path().join("h.jsonl")).unwrap();
        let text = r#"{"id":"A","seq":1,"type":"t","map_id":"m","ts":"2026-01-01T00:00:00.000Z","payload":{"key":"k"}}"#;
        let event = Event::read(text).unwrap();
        assert_eq!((event.key.as_str(), event.seq), ("k", 1));
        assert_ne!(event.hash, Event::read(&text.replace("\"k\"}", "\"k\" }")).unwrap().hash, "bytes count");
        journal.note(Record::Seen { client: "c".into(), event });
        journal.note_at(7, Record::Healed);
        journal.note_at(5, Record::Started { node: 1 });
        let history = journal.history().unwrap();
        let mut read = History::read(journal.path()).unwrap();
        assert_eq!(read.0.len(), 3);
        read.0.sort_by_key(|entry| entry.at_ms);
        assert_eq!(read.0, history.0);
    }
}
