//! Reads stored events outside the actors' threads.
//!
//! Owns the limit on concurrent readers of the disk. The caller limits the events and bytes of a page.

mod count;

use super::error::HubError;
use super::evaluators::Evaluators;
use super::log::Log;
use super::replica::ViewStore;
use crate::core::codec;
use crate::core::event::Event;
use crate::core::expression::Condition;
use crate::core::filter::Filter;
use crate::core::history::{Bounds, History, HistoryError, Position, Start, StoredSubject};
use crate::core::ids::{EventId, SourceId, TopicId};
use crate::core::ring::Span;
use crate::core::state::{SourceCounts, TopicRecord, keys};
use crate::core::store::{ReadStore, StoreError};
use crate::core::subject::{Selector, Subject};
use crate::core::topic::TopicKey;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use waypost_cluster::{Cluster, Reader};

/// Most concurrent readers of stored pages; others wait.
const CONCURRENT_READS: usize = 16;

/// How long a node waits for what another node has applied, before it asks the leader: usually it is on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(100);
/// The most entries that may be on their way.
const NEAR: u64 = 10_000;

/// Why stored events can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store failed.
    #[error("stored events can't be read: {0}")]
    Store(String),
    /// The store holds damaged records: the node stops and rebuilds itself at its next start.
    #[error("stored events are damaged on this node: {0}")]
    Damaged(String),
    /// A condition could not be evaluated.
    #[error("the filter's expression failed on this node")]
    NotEvaluated,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

impl From<HistoryError> for ArchiveError {
    fn from(error: HistoryError) -> Self {
        match &error {
            HistoryError::Damaged { .. } | HistoryError::Subject { .. } => Self::Damaged(error.to_string()),
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

/// Why a reader can't start.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The reader has seen more than this node has, and no leader answers.
    #[error("this node is behind what you have seen: {0}")]
    Behind(#[from] HubError),
    /// The store can't be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Reads stored events; cheap to clone.
#[derive(Clone)]
pub struct Archive {
    cluster: Cluster,
    log: Log,
    reader: Reader,
    permits: Arc<Semaphore>,
    evaluators: Evaluators,
    /// Whether to read the events that retention keeps only for webhooks, too.
    backlog: bool,
}

/// The part of a stream that is read.
#[derive(Clone, Debug)]
pub enum Part {
    /// Every event of any subject: for webhooks.
    Whole(TopicId),
    /// The events of a topic.
    Topic(TopicKey),
}

impl From<TopicId> for Part {
    fn from(stream: TopicId) -> Self {
        Self::Whole(stream)
    }
}

impl From<TopicKey> for Part {
    fn from(topic: TopicKey) -> Self {
        Self::Topic(topic)
    }
}

impl Part {
    /// Whether a position in the part is found by looking at many subjects.
    fn is_several(&self) -> bool {
        matches!(self, Self::Topic(TopicKey { selector: Selector::Several(_), .. }))
    }
}

impl From<&TopicKey> for Part {
    fn from(topic: &TopicKey) -> Self {
        Self::Topic(topic.clone())
    }
}

/// Events from the store, and the bounds of their stream at the time of the read.
#[derive(Debug)]
pub struct Page {
    /// The events in order: all that are left of the range of seqs that was read.
    pub events: Vec<Event>,
    /// If a condition was given: whether each event meets it.
    pub verdicts: Option<Vec<bool>>,
    /// The seq after the range. A page without events may have advanced, too.
    pub next_seq: u64,
    /// The oldest seq that is left. Events missing after it were removed inside the stream.
    pub first_seq: u64,
    /// The newest seq of the stream.
    pub head_seq: u64,
    /// The id of the stream's newest event of any subject before `next_seq`; `None` if nothing was read.
    pub passed_id: Option<EventId>,
    /// The highest seq in the range whose event belongs to the part and was removed.
    pub gone_seq: Option<u64>,
}

impl Page {
    /// The range from `first_seq` on, if the page has events.
    pub fn span(&self, first_seq: u64) -> Option<Span> {
        let last_id = self.passed_id.filter(|_| !self.events.is_empty())?;
        Some(Span { first_seq, next_seq: self.next_seq, last_id })
    }

    /// The events, and whether each meets the filter and the condition, if there is one.
    pub fn wanted<'p>(&'p self, filter: &'p Filter) -> impl Iterator<Item = (&'p Event, bool)> {
        let met = |index: usize| self.verdicts.as_ref().is_none_or(|verdicts| verdicts[index]);
        self.events
            .iter()
            .enumerate()
            .map(move |(index, event)| (event, met(index) && filter.matches(&event.kind)))
    }
}

impl Archive {
    pub(super) fn new(cluster: Cluster, log: Log, evaluators: Evaluators) -> Self {
        let permits = Arc::new(Semaphore::new(CONCURRENT_READS));
        Self { reader: cluster.reader(), cluster, log, permits, evaluators, backlog: false }
    }

    /// An archive that also reads the events kept for webhooks. Both share the same limit of readers.
    pub fn with_backlog(&self) -> Self {
        Self { backlog: true, ..self.clone() }
    }

    /// Reads a page immediately, on the caller's thread. Meant for the newest events, which the store holds
    /// in memory.
    pub fn read_now(
        &self,
        part: impl Into<Part>,
        from_seq: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Page, ArchiveError> {
        self.history(&part.into(), |history| {
            let page = history.read(from_seq, Bounds { events: max_events, bytes: max_bytes })?;
            let next_seq = page.next_seq;
            let first_seq = history.first_seq();
            let head_seq = history.head_seq();
            let passed_id = page.passed_id;
            let gone_seq = page.gone_seq;
            Ok(Page {
                events: page.events,
                verdicts: None,
                next_seq,
                first_seq,
                head_seq,
                passed_id,
                gone_seq,
            })
        })
    }

    /// The position from which a reader starts at `seq`.
    pub async fn position(&self, part: impl Into<Part>, seq: u64) -> Result<EventId, ArchiveError> {
        let part = part.into();
        self.blocking(move |archive| archive.history(&part, |history| history.position_at(seq))).await
    }

    /// Reads a stream's history. Damage is never served and never skipped: the node stops, and rebuilds
    /// itself from the others at its next start.
    fn history<T>(
        &self,
        part: &Part,
        look: impl FnOnce(&History<'_, ViewStore<'_>>) -> Result<T, HistoryError>,
    ) -> Result<T, ArchiveError> {
        self.look(|store| {
            let history = match part {
                Part::Whole(stream) => History::open(store, *stream)?,
                Part::Topic(TopicKey { stream, selector, .. }) => History::of(store, *stream, selector)?,
            };
            Ok(look(&if self.backlog { history.with_backlog() } else { history })?)
        })
    }

    /// Reads from the store; everything is read at one point in time.
    pub(super) fn look<T>(
        &self,
        look: impl FnOnce(&ViewStore<'_>) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let looked = self.reader.view().map_err(ArchiveError::from).and_then(|view| look(&ViewStore(&view)));
        if let Err(ArchiveError::Damaged(what)) = &looked {
            self.cluster.admin().fail(what);
        }
        looked
    }

    /// What came in through these ingest sources, in their order.
    pub fn source_counts(&self, ids: &[SourceId]) -> Result<Vec<SourceCounts>, ArchiveError> {
        self.look(|store| {
            let mut counts = Vec::with_capacity(ids.len());
            for id in ids {
                let stored = store.get(&keys::source_counts(*id)).map_err(ArchiveError::of_store)?;
                let known = stored.map(|bytes| codec::decode::<SourceCounts>(&bytes)).transpose();
                counts.push(
                    known.map_err(|error| ArchiveError::Damaged(error.to_string()))?.unwrap_or_default(),
                );
            }
            Ok(counts)
        })
    }

    /// How many events readers can read of each of these streams, and how many bytes, in the order of the
    /// streams.
    pub async fn stored(&self, streams: Vec<TopicId>) -> Result<Vec<(u64, u64)>, ArchiveError> {
        let look = move |archive: Self| {
            archive.look(|store| streams.into_iter().map(|stream| stored(store, stream)).collect())
        };
        self.blocking(look).await
    }

    /// Reads a page and has its events evaluated if there is a condition. Both happen outside the caller's
    /// thread, because both take time.
    pub async fn read(
        &self,
        part: impl Into<Part>,
        from_seq: u64,
        max_events: usize,
        max_bytes: usize,
        condition: Option<Arc<Condition>>,
    ) -> Result<Page, ArchiveError> {
        let part = part.into();
        let mut page =
            self.blocking(move |archive| archive.read_now(part, from_seq, max_events, max_bytes)).await?;
        if let Some(condition) = condition {
            // This waits without holding a permit, because readers of other maps need the permits.
            let evaluated = self.evaluators.verdicts(condition, page.events.clone()).await;
            page.verdicts = Some(evaluated.ok_or(ArchiveError::NotEvaluated)?);
        }
        Ok(page)
    }

    /// Finds where a reader starts, on any node: a node that is behind catches up before it answers.
    ///
    /// An id names its position in the log of its group. A position beyond what is applied here was seen on
    /// another node, so this node catches up first. If the position is still missing then, it belongs to
    /// another topic or history.
    pub async fn resume(&self, part: impl Into<Part>, start: Start) -> Result<Position, ResumeError> {
        self.catch_up(start).await?;
        Ok(self.locate(part, start).await?)
    }

    /// Catches up with a start position that lies beyond what this node has applied in the position's group. A
    /// position of a group that does not exist here can't be waited for.
    async fn catch_up(&self, start: Start) -> Result<(), HubError> {
        let Start::After(id) = start else { return Ok(()) };
        let position = id.log_position();
        let Some(applied) = self.cluster.applied_in(position.group) else { return Ok(()) };
        let ahead = position.index.saturating_sub(applied);
        if ahead == 0 {
            return Ok(());
        }
        // A position that is far ahead is of another history, or this node is far behind.
        if ahead > NEAR || !self.cluster.wait_applied(position.index, ON_ITS_WAY).await {
            self.log.barrier().await?;
        }
        Ok(())
    }

    /// Finds where a reader starts, as far as this node has applied the log.
    pub async fn locate(&self, part: impl Into<Part>, start: Start) -> Result<Position, ArchiveError> {
        self.look_for(part.into(), start, move |history| history.locate(start)).await
    }

    /// Looks for a start position outside the caller's thread, unless that takes only small records that are
    /// always in memory.
    async fn look_for<T: Send + 'static>(
        &self,
        part: Part,
        start: Start,
        look: impl FnOnce(&History<'_, ViewStore<'_>>) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        match start {
            Start::Live if !part.is_several() => self.history(&part, look),
            _ => self.blocking(move |archive| archive.history(&part, look)).await,
        }
    }

    /// The stored subjects of a stream whose names begin with `prefix`, ordered by name: up to `max` of those
    /// after `after`.
    pub async fn subjects(
        &self,
        stream: TopicId,
        (prefix, after): (String, Option<Subject>),
        max: usize,
    ) -> Result<Vec<StoredSubject>, ArchiveError> {
        let list = move |archive: Self| {
            archive.history(&Part::Whole(stream), |history| history.subjects(&prefix, after.as_ref(), max))
        };
        self.blocking(list).await
    }

    /// Does work that takes long, outside the caller's thread.
    pub(super) async fn blocking<T: Send + 'static>(
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

/// How many events readers can read of a stream, and how many bytes. A stream that is gone has none.
fn stored(store: &ViewStore<'_>, stream: TopicId) -> Result<(u64, u64), ArchiveError> {
    let found = store.get(&keys::topic(stream)).map_err(ArchiveError::of_store)?;
    let known = found.map(|bytes| codec::decode::<TopicRecord>(&bytes)).transpose();
    let record = known.map_err(|error| ArchiveError::Damaged(error.to_string()))?.unwrap_or_default();
    Ok((record.count, record.bytes))
}
