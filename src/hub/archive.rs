//! Stored events, read off the actors' threads.
//!
//! Owns the bound on how many readers share the disk; a page is bounded in events and bytes by its caller.

use super::judges::Judges;
use super::replica::ViewStore;
use crate::core::event::Event;
use crate::core::expression::Condition;
use crate::core::filter::Filter;
use crate::core::history::{History, HistoryError, Position, Start};
use crate::core::ids::{EventId, TopicId};
use crate::core::store::StoreError;
use std::sync::Arc;
use tokio::sync::Semaphore;
use waypost_cluster::{Cluster, Reader};

/// Readers of stored pages at once; more wait their turn.
const CONCURRENT_READS: usize = 16;

/// Events looked through for one count.
const MAX_COUNTED: u64 = 10_000;

/// Why stored events can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store failed.
    #[error("stored events can't be read: {0}")]
    Store(String),
    /// The store holds something damaged: the node ends, to rebuild itself.
    #[error("stored events are damaged on this node: {0}")]
    Damaged(String),
    /// A condition could not be evaluated.
    #[error("the filter's expression failed on this node")]
    Unjudged,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

impl From<HistoryError> for ArchiveError {
    fn from(error: HistoryError) -> Self {
        match &error {
            HistoryError::Damaged { .. } => Self::Damaged(error.to_string()),
            HistoryError::Store(inner) if inner.is_damage() => Self::Damaged(error.to_string()),
            HistoryError::Store(_) => Self::Store(error.to_string()),
        }
    }
}

impl From<waypost_cluster::StoreError> for ArchiveError {
    fn from(error: waypost_cluster::StoreError) -> Self {
        match error {
            waypost_cluster::StoreError::Corrupt(what) => Self::Damaged(what),
            other => Self::Store(other.to_string()),
        }
    }
}

impl ArchiveError {
    pub(super) fn of_store(error: StoreError) -> Self {
        if error.is_damage() { Self::Damaged(error.to_string()) } else { Self::Store(error.to_string()) }
    }
}

/// Reads of stored events; cheap to clone.
#[derive(Clone)]
pub struct Archive {
    cluster: Cluster,
    reader: Reader,
    permits: Arc<Semaphore>,
    judges: Judges,
    /// Whether events that retention keeps for webhooks alone are among those read.
    backlog: bool,
}

/// Events from the store, and where their topic stood at the time.
#[derive(Debug)]
pub struct Page {
    /// The events, in order; the first may lie behind the seq asked for when older ones are gone.
    pub events: Vec<Event>,
    /// Where a condition was given: which of the events meet it.
    pub verdicts: Option<Vec<bool>>,
    /// Seq after the last event of the page.
    pub next_seq: u64,
    /// Newest seq of the topic.
    pub head_seq: u64,
}

impl Page {
    /// The events, and whether each meets the condition, if there was one, and the filter.
    pub fn wanted<'p>(&'p self, filter: &'p Filter) -> impl Iterator<Item = (&'p Event, bool)> {
        let met = |place: usize| self.verdicts.as_ref().is_none_or(|verdicts| verdicts[place]);
        self.events.iter().enumerate().map(move |(place, event)| (event, met(place) && filter.matches(&event.kind)))
    }
}

impl Archive {
    pub(super) fn new(cluster: Cluster, judges: Judges) -> Self {
        let permits = Arc::new(Semaphore::new(CONCURRENT_READS));
        Self { reader: cluster.reader(), cluster, permits, judges, backlog: false }
    }

    /// Reads what is stored for webhooks, too; the same readers share the disk.
    pub fn with_backlog(&self) -> Self {
        Self { backlog: true, ..self.clone() }
    }

    /// Reads a page at once, on the caller's thread: for the newest events, which the store holds in memory.
    pub fn read_now(
        &self,
        topic: TopicId,
        from_seq: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Page, ArchiveError> {
        self.history(topic, |history| {
            let events = history.read(from_seq, max_events, max_bytes)?;
            let next_seq = events.last().map_or(from_seq, |event| event.seq + 1);
            Ok(Page { events, verdicts: None, next_seq, head_seq: history.head_seq() })
        })
    }

    /// The id of a stored event, if it is kept; at once, as [`Archive::read_now`].
    pub fn id_now(&self, topic: TopicId, seq: u64) -> Result<Option<EventId>, ArchiveError> {
        self.history(topic, |history| history.id_at(seq))
    }

    /// Looks into a topic's past. Damage is never served, nor passed over: the node ends, and at its next start it
    /// rebuilds itself from the others.
    fn history<T>(
        &self,
        topic: TopicId,
        look: impl FnOnce(&History<'_, ViewStore<'_>>) -> Result<T, HistoryError>,
    ) -> Result<T, ArchiveError> {
        self.look(|store| {
            let history = History::open(store, topic)?;
            Ok(look(&if self.backlog { history.with_backlog() } else { history })?)
        })
    }

    /// Looks into the store, all at one point in time.
    pub(super) fn look<T>(
        &self,
        look: impl FnOnce(&ViewStore<'_>) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let looked = self.reader.view().map_err(ArchiveError::from).and_then(|view| look(&ViewStore(&view)));
        if let Err(ArchiveError::Damaged(what)) = &looked {
            self.cluster.fail(what);
        }
        looked
    }

    /// Reads a page, and has its events judged if there is a condition: off the caller's thread, since both take time.
    pub async fn read(
        &self,
        topic: TopicId,
        from_seq: u64,
        max_events: usize,
        max_bytes: usize,
        condition: Option<Arc<Condition>>,
    ) -> Result<Page, ArchiveError> {
        let mut page = self.blocking(move |archive| archive.read_now(topic, from_seq, max_events, max_bytes)).await?;
        if let Some(condition) = condition {
            // Not while it has a permit: other maps' readers wait for those.
            let judged = self.judges.verdicts(condition, page.events.clone()).await;
            page.verdicts = Some(judged.ok_or(ArchiveError::Unjudged)?);
        }
        Ok(page)
    }

    /// Finds where a reader starts.
    pub async fn locate(&self, topic: TopicId, start: Start) -> Result<Position, ArchiveError> {
        if start == Start::Live {
            // One small record that is always at hand: not worth a thread of its own.
            return self.locate_now(topic, start);
        }
        self.blocking(move |archive| archive.locate_now(topic, start)).await
    }

    fn locate_now(&self, topic: TopicId, start: Start) -> Result<Position, ArchiveError> {
        self.history(topic, |history| history.locate(start))
    }

    /// Counts events of `from_seq..=head_seq` that are wanted; `None` where it would take too many to look through.
    pub async fn count(
        &self,
        topic: TopicId,
        from_seq: u64,
        head_seq: u64,
        filter: &Filter,
        condition: Option<&Arc<Condition>>,
    ) -> Result<Option<u64>, ArchiveError> {
        if head_seq.saturating_sub(from_seq) >= MAX_COUNTED {
            return Ok(None);
        }
        let (mut from_seq, mut count) = (from_seq, 0);
        while from_seq <= head_seq {
            let page = self.read(topic, from_seq, 1024, 1 << 20, condition.cloned()).await?;
            if page.events.is_empty() {
                break;
            }
            let in_range = page.wanted(filter).take_while(|(event, _)| event.seq <= head_seq);
            count += in_range.filter(|(_, wanted)| *wanted).count() as u64;
            from_seq = page.next_seq;
        }
        Ok(Some(count))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Archive) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| ArchiveError::Stopping)?;
        let archive = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(archive)
        });
        done.await.map_err(|_| ArchiveError::Stopping)?
    }
}
