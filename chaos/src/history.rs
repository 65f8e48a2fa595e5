//! What happened in a run, as those outside saw it: one record an observation, in the order in which it was made.
//!
//! A [`Journal`] takes records from many threads and writes each as a line of JSON; a [`History`] is all of them, for
//! the checks. Never: checks, and never waits for a node.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
pub use testkit::event::{Event, digest};

/// The most records of a run: what comes after them ends the run as failed, instead of the machine's memory.
const RECORDS: usize = 4_000_000;

/// The topic whose whole history is kept.
pub const MAIN: &str = "main";
/// The topic with short retention.
pub const SHORT: &str = "short";
/// The topic with many subjects: rules keep less of some, and some of it is deleted.
pub const CHANNELS: &str = "channels";

/// Whether who wants these subjects and patterns, the map's own when none is named, wants an event of that subject.
pub fn selects(subjects: &[String], subject: &str) -> bool {
    subjects.is_empty() && subject.is_empty()
        || subjects.iter().any(|pattern| fits(pattern.as_bytes(), subject.as_bytes()))
}

/// `*` stands for any bytes, or none.
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
    /// It was acknowledged.
    Acked { topic: String, key: String, id: String, seq: u64, node: usize },
    /// It was refused, or its answer was lost: whether it landed is not known.
    Unknown { topic: String, key: String, node: usize, why: String },
    /// A client is there and wants those subjects and patterns, or the map's own when none is named; and of those the
    /// types, or all when none is named.
    Client {
        client: String,
        topic: String,
        #[serde(default)]
        subjects: Vec<String>,
        kinds: Vec<String>,
    },
    /// A topic's readers were to lose all but the newest so many events of the subjects that fit the pattern, from now on
    /// and maybe sooner.
    Keeps { topic: String, subjects: String, events: u64 },
    /// An event was to be deleted, asked then; `done` when that was acknowledged.
    Deleted { topic: String, id: String, asked_ms: u64, done: bool },
    /// All events of a subject were to be.
    Emptied { topic: String, subject: String, asked_ms: u64, done: bool },
    /// It joined at a node, from behind that id, or from the start.
    Joined { client: String, node: usize, after: Option<String> },
    /// It was told that history is missing, and what the oldest event is that there is.
    Gap { client: String, oldest: Option<String> },
    /// It was given an event.
    Seen { client: String, event: Event },
    /// A webhook of a topic is there, for subjects as a client wants them. A dead one's receiver takes nothing.
    Hook {
        hook: String,
        strict: bool,
        dead: bool,
        topic: String,
        #[serde(default)]
        subjects: Vec<String>,
    },
    /// Its receiver got a request with an event, at that time of the run; `digest` is the body's.
    Got { hook: String, request: String, digest: String, id: String, seq: u64, key: String, accepted: bool },
    /// A node told how far a webhook is, in an answer to a question of that time.
    Progress { node: usize, hook: String, asked_ms: u64, delivered: u64, queued: u64 },
    /// An event was acknowledged that this webhook has to get.
    Owed { hook: String, id: String, key: String },
    /// A node told how a webhook is doing. `beyond` when more was published than retention waits for.
    Webhook { hook: String, node: usize, state: String, missed: u64, given_up: u64, beyond: bool },
    /// A map was told that a webhook of it lost so many events.
    Announced { hook: String, lost: u64 },
    /// So many events there were for a webhook: each was accepted, or told as missed or given up.
    Offered { hook: String, events: u64 },
    /// A token was made: asked for then, answered now.
    TokenMade { token: String, asked_ms: u64 },
    /// A token was used: asked then, and answered now with that status.
    TokenUsed { token: String, node: usize, asked_ms: u64, status: u16 },
    /// A token was revoked: asked for then, answered now.
    TokenRevoked { token: String, asked_ms: u64 },
    /// A socket with that token was seen to be closed, or was still open long after.
    TokenSocket { token: String, node: usize, closed: bool },
    /// A setting was written: asked then, acknowledged now if `acked`. One that was not may land at any later time.
    Wrote { register: String, version: u64, asked_ms: u64, acked: bool },
    /// A setting was read at a node: asked then, answered now.
    Read { register: String, node: usize, version: u64, asked_ms: u64 },
    /// A fault begins for those nodes. `cut` when they may be out of reach of the others by it.
    Fault { fault: String, nodes: Vec<usize>, cut: bool, note: String },
    /// It is over.
    Over { fault: String, nodes: Vec<usize> },
    /// Something on a stopped node's disk was damaged; in such a way that the node must find it, or else by chance
    /// where nothing is kept.
    Damaged { node: usize, file: String, certain: bool },
    /// A node was started again: it may know less than before, until it has caught up.
    Started { node: usize },
    /// A started node told that it found damage.
    Noticed { node: usize },
    /// A process ended that nobody ended.
    Ended { node: usize, status: String },
    /// All faults are over.
    Healed,
    /// After that something is in order again.
    CaughtUp { whom: String },
    /// It did not come in order in time.
    Behind { whom: String, why: String },
    /// The most memory of a node, and what it may be, in bytes.
    Memory { node: usize, peak: u64, limit: u64 },
    /// A new event's time was so far from the true one (ms), by the node that took it.
    Stamped { node: usize, off_ms: i64 },
    /// An event that a node holds in the end.
    Stored { node: usize, topic: String, event: Event },
    /// A backup of the running cluster is begun.
    BackupBegun { backup: String },
    /// An event of the main topic that a node holds which was made of that backup.
    Copied { backup: String, event: Event },
    /// All of them were told.
    Restored { backup: String },
    /// A node's last word on a topic: all it holds was told.
    Listed { node: usize, topic: String, events: u64 },
}

/// A record with its time, in milliseconds since the run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was noted.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub record: Record,
}

/// All of a run.
#[derive(Debug, Clone, Default)]
pub struct History(pub Vec<Entry>);

impl History {
    /// From a file of lines.
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

/// Takes records, from any thread.
#[derive(Debug, Clone)]
pub struct Journal {
    start: Instant,
    path: PathBuf,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    history: History,
    file: BufWriter<File>,
    broken: Option<String>,
}

impl Journal {
    /// Writes to that file, which must not be there yet. The run begins now.
    pub fn create(path: &Path) -> Result<Self> {
        let file = BufWriter::new(File::create_new(path).with_context(|| path.display().to_string())?);
        let shared = Shared { history: History::default(), file, broken: None };
        Ok(Self { start: Instant::now(), path: path.to_owned(), shared: Arc::new(Mutex::new(shared)) })
    }

    /// Milliseconds since the run began.
    pub fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Notes a record.
    pub fn note(&self, record: Record) {
        self.note_at(self.now_ms(), record);
    }

    /// Notes that somebody caught up, or why not.
    pub fn caught_up(&self, whom: &str, done: Result<()>) {
        let whom = whom.to_owned();
        self.note(match done {
            Ok(()) => Record::CaughtUp { whom },
            Err(error) => Record::Behind { whom, why: format!("{error:#}").chars().take(600).collect() },
        });
    }

    /// Notes a record of an earlier time.
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

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All so far, by time; an error where some could not be kept. The journal is empty then.
    pub fn history(&self) -> Result<History> {
        let mut shared = self.lock();
        shared.file.flush()?;
        match &shared.broken {
            Some(why) => Err(anyhow::anyhow!("the history is not whole: {why}")),
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
    fn subjects_and_patterns() {
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
    fn what_is_noted_is_read_again() {
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
