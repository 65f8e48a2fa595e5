//! Stored events, read off the actors' threads.
//!
//! Owns the bound on how many readers share the disk; a page is bounded in events and bytes by its caller.

use super::error::HubError;
use super::evaluators::Evaluators;
use super::log::Log;
use super::replica::ViewStore;
use crate::core::event::Event;
use crate::core::expression::Condition;
use crate::core::filter::Filter;
use crate::core::history::{Bounds, History, HistoryError, Position, Start, StoredSubject};
use crate::core::ids::{EventId, LogPosition, TopicId};
use crate::core::ring::Span;
use crate::core::store::StoreError;
use crate::core::subject::{Selector, Subject};
use crate::core::topic::TopicKey;
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
    /// The reader has seen more than this node, and no leader can be asked.
    #[error("this node is behind what you have seen: {0}")]
    Behind(#[from] HubError),
    /// The store can't be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Reads of stored events; cheap to clone.
#[derive(Clone)]
pub struct Archive {
    cluster: Cluster,
    log: Log,
    reader: Reader,
    permits: Arc<Semaphore>,
    evaluators: Evaluators,
    /// Whether events that retention keeps for webhooks alone are among those read.
    backlog: bool,
}

/// What is read of a stream.
#[derive(Clone, Debug)]
pub enum Part {
    /// Every event, of whatever subject: for webhooks.
    Whole(TopicId),
    /// What a topic has of it.
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
    /// Whether a place in it is found by looking at many subjects.
    fn is_several(&self) -> bool {
        matches!(self, Self::Topic(TopicKey { selector: Selector::Several(_), .. }))
    }
}

impl From<&TopicKey> for Part {
    fn from(topic: &TopicKey) -> Self {
        Self::Topic(topic.clone())
    }
}

/// Events from the store, and where their stream stood at the time.
#[derive(Debug)]
pub struct Page {
    /// The events, in order; all that are left of the range of seqs that was read.
    pub events: Vec<Event>,
    /// Where a condition was given: which of the events meet it.
    pub verdicts: Option<Vec<bool>>,
    /// Seq after the range. A page without events may have moved on all the same.
    pub next_seq: u64,
    /// Oldest seq that is left. What is missing behind it was removed inside the stream.
    pub first_seq: u64,
    /// Newest seq of the stream.
    pub head_seq: u64,
    /// Id of the newest event of the stream before `next_seq`, of whatever subject; `None` where nothing was looked at.
    pub passed_id: Option<EventId>,
    /// Highest seq of the range of an event that belongs there and is gone.
    pub gone_seq: Option<u64>,
}

impl Page {
    /// The range from `first_seq` on, where the page has events.
    pub fn span(&self, first_seq: u64) -> Option<Span> {
        let last_id = self.passed_id.filter(|_| !self.events.is_empty())?;
        Some(Span { first_seq, next_seq: self.next_seq, last_id })
    }

    /// The events, and whether each meets the condition, if there was one, and the filter.
    pub fn wanted<'p>(&'p self, filter: &'p Filter) -> impl Iterator<Item = (&'p Event, bool)> {
        let met = |place: usize| self.verdicts.as_ref().is_none_or(|verdicts| verdicts[place]);
        self.events
            .iter()
            .enumerate()
            .map(move |(place, event)| (event, met(place) && filter.matches(&event.kind)))
    }
}

impl Archive {
    pub(super) fn new(cluster: Cluster, log: Log, evaluators: Evaluators) -> Self {
        let permits = Arc::new(Semaphore::new(CONCURRENT_READS));
        Self { reader: cluster.reader(), cluster, log, permits, evaluators, backlog: false }
    }

    /// Reads what is stored for webhooks, too; the same readers share the disk.
    pub fn with_backlog(&self) -> Self {
        Self { backlog: true, ..self.clone() }
    }

    /// Reads a page at once, on the caller's thread: for the newest events, which the store holds in memory.
    pub fn read_now(
        &self,
        part: impl Into<Part>,
        from_seq: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Page, ArchiveError> {
        self.history(&part.into(), |history| {
            let page = history.read(from_seq, Bounds { events: max_events, bytes: max_bytes })?;
            let (next_seq, first_seq, head_seq) = (page.next_seq, history.first_seq(), history.head_seq());
            let (passed_id, gone_seq) = (page.passed_id, page.gone_seq);
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

    /// The position by which a reader starts at `seq`.
    pub async fn position(&self, part: impl Into<Part>, seq: u64) -> Result<EventId, ArchiveError> {
        let part = part.into();
        self.blocking(move |archive| archive.history(&part, |history| history.position_at(seq))).await
    }

    /// Looks into a stream's past. Damage is never served, nor passed over: the node ends, and at its next start it
    /// rebuilds itself from the others.
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

    /// Looks into the store, all at one point in time.
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

    /// Reads a page, and has its events evaluated if there is a condition: off the caller's thread, since both take time.
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
            // Not while it has a permit: other maps' readers wait for those.
            let evaluated = self.evaluators.verdicts(condition, page.events.clone()).await;
            page.verdicts = Some(evaluated.ok_or(ArchiveError::NotEvaluated)?);
        }
        Ok(page)
    }

    /// Finds where a reader starts, on whatever node it asks: a node that is behind catches up before it answers.
    ///
    /// An id names its place in the log of its group. One that lies beyond what is applied here was seen on another node,
    /// so this node catches up first; if it isn't there even then, it belongs to another topic or history.
    pub async fn resume(&self, part: impl Into<Part>, start: Start) -> Result<Position, ResumeError> {
        let part = part.into();
        let Start::After(id) = start else { return Ok(self.locate(part, start).await?) };
        if self.is_ahead(id.log_position()) {
            self.log.barrier().await?;
        }
        Ok(self.locate(part, start).await?)
    }

    /// Whether a position lies beyond what is applied here. Compared with what its own group has applied; a position of
    /// a group that is not here is none that could be waited for.
    fn is_ahead(&self, position: LogPosition) -> bool {
        self.cluster.applied_in(position.group).is_some_and(|applied| position.index > applied)
    }

    /// Finds where a reader starts, as far as this node has applied the log.
    pub async fn locate(&self, part: impl Into<Part>, start: Start) -> Result<Position, ArchiveError> {
        let part = part.into();
        if start == Start::Live && !part.is_several() {
            // Small records that are always at hand: not worth a thread of its own.
            return self.locate_now(&part, start);
        }
        self.blocking(move |archive| archive.locate_now(&part, start)).await
    }

    fn locate_now(&self, part: &Part, start: Start) -> Result<Position, ArchiveError> {
        self.history(part, |history| history.locate(start))
    }

    /// What is stored of a stream's subjects, by name: up to `max` of those after `after`.
    pub async fn subjects(
        &self,
        stream: TopicId,
        after: Option<Subject>,
        max: usize,
    ) -> Result<Vec<StoredSubject>, ArchiveError> {
        let list = move |archive: Self| {
            archive.history(&Part::Whole(stream), |history| history.subjects(after.as_ref(), max))
        };
        self.blocking(list).await
    }

    /// Counts the events of `from_seq..=head_seq`, where that takes no reading of them; at once, as [`Archive::read_now`].
    pub fn count_now(
        &self,
        part: impl Into<Part>,
        from_seq: u64,
        head_seq: u64,
    ) -> Result<Option<u64>, ArchiveError> {
        self.history(&part.into(), |history| history.count(from_seq, head_seq))
    }

    /// Counts events of `from_seq..=head_seq` that are wanted; `None` where it would take too many to look through.
    pub async fn count(
        &self,
        part: impl Into<Part>,
        from_seq: u64,
        head_seq: u64,
        filter: &Filter,
        condition: Option<&Arc<Condition>>,
    ) -> Result<Option<u64>, ArchiveError> {
        let part = part.into();
        if filter == &Filter::All && condition.is_none() {
            let of = part.clone();
            let counted = self.blocking(move |archive| archive.count_now(of, from_seq, head_seq));
            if let Some(count) = counted.await? {
                return Ok(Some(count));
            }
        }
        if head_seq.saturating_sub(from_seq) >= MAX_COUNTED {
            return Ok(None);
        }
        let (mut from_seq, mut count) = (from_seq, 0);
        while from_seq <= head_seq {
            let page = self.read(part.clone(), from_seq, 1024, 1 << 20, condition.cloned()).await?;
            let in_range = page.wanted(filter).take_while(|(event, _)| event.seq <= head_seq);
            count += in_range.filter(|(_, wanted)| *wanted).count() as u64;
            from_seq = page.next_seq;
        }
        Ok(Some(count))
    }

    /// How many stored events a reader gets before live ones; `None` where a filter leaves it open.
    pub async fn count_coming(
        &self,
        topic: &TopicKey,
        position: &Position,
        filter: &Filter,
        condition: Option<&Arc<Condition>>,
    ) -> Result<Option<u64>, ArchiveError> {
        if position.next_seq > position.head_seq {
            return Ok(Some(0));
        }
        self.count(topic, position.next_seq, position.head_seq, filter, condition).await
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
