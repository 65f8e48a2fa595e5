//! What those who deliver by request learn from the replicated state, and tell it.
//!
//! Owns the coalescing of news: the thread that applies the log notes what happened and never waits; who delivers
//! takes all of it at once. Never sends a request itself.

use super::archive::ArchiveError;
use super::replica::ViewStore;
use super::{Hub, HubError};
use crate::core::codec;
use crate::core::command::{Command, Refusal, Reply};
use crate::core::consumer::ownership::Owners;
use crate::core::consumer::progress::{NumberedOrder, Progress, Retry};
use crate::core::event::Event;
use crate::core::ids::{EndpointId, TopicId};
use crate::core::state::backlog::{Backlog, Losing};
use crate::core::state::{TopicRecord, keys};
use crate::core::store::ReadStore;
use crate::core::webhook::directory::Directory;
use crate::core::webhook::records::{DeadLetter, ProgressReport, Shelf};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError, RwLockReadGuard};
use tokio::sync::Notify;

/// What happened since the last look.
#[derive(Debug, Default)]
pub struct News {
    /// Topics with new events.
    pub topics: FxHashSet<TopicId>,
    /// Streams from which somebody removed stored events.
    pub removed: FxHashSet<TopicId>,
    /// Endpoints that came, went, were changed or asked for something.
    pub endpoints: FxHashSet<EndpointId>,
    /// Events that retention removed though the endpoint needed them.
    pub lost: FxHashMap<EndpointId, u64>,
    /// Every change of the nodes that deliver, in order: who owned an endpoint all along sees it here.
    pub owners: Vec<Owners>,
    /// Everything may be different, and what was known before counts no more.
    pub all: bool,
}

/// Changes of owners that are told one by one; with more, everything counts as different.
const MAX_OWNERS: usize = 64;

impl News {
    pub(super) fn stored(&mut self, topic: TopicId) {
        self.topics.insert(topic);
    }

    pub(super) fn removed(&mut self, stream: TopicId) {
        self.removed.insert(stream);
    }

    pub(super) fn owned(&mut self, owners: &Owners) {
        if self.owners.len() >= MAX_OWNERS {
            self.owners.clear();
            self.all = true;
        }
        self.owners.push(owners.clone());
    }

    pub(super) fn lost(&mut self, endpoint: EndpointId, events: u64) {
        *self.lost.entry(endpoint).or_default() += events;
    }

    pub(super) fn changed(&mut self, endpoint: EndpointId) {
        self.endpoints.insert(endpoint);
    }
}

/// Hears of what happens; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Inbox>);

#[derive(Debug, Default)]
struct Inbox {
    news: Mutex<News>,
    some: Notify,
}

impl Watch {
    /// Waits for news and takes all of them.
    pub async fn next(&self) -> News {
        self.0.some.notified().await;
        std::mem::take(&mut *self.0.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn tell(&self, tell: impl FnOnce(&mut News)) {
        tell(&mut self.0.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.some.notify_one();
    }
}

/// What is stored of an endpoint beside its settings.
#[derive(Clone, Debug)]
pub struct EndpointState {
    /// How far it is.
    pub progress: Progress,
    /// Attempts and the number of dead letters.
    pub shelf: Shelf,
    /// What its owner was asked and has not taken up, in order.
    pub orders: Vec<NumberedOrder>,
    /// What retention keeps for it alone, and whether it loses events.
    pub backlog: Backlog,
}

impl EndpointState {
    /// Events that retention removed before they were delivered: those that its owner found gone, and those that it has
    /// yet to find. `stored_seq` is the oldest that is stored of its topic (see [`Hub::stored_seq`]).
    pub fn missed(&self, stored_seq: u64) -> u64 {
        self.progress.missed + self.progress.track.unsettled(0, stored_seq)
    }
}

impl Hub {
    /// Endpoints and who owns them, as this node knows. Hold it briefly: the log waits for writers.
    pub fn endpoints(&self) -> RwLockReadGuard<'_, Directory> {
        self.0.bridge.endpoints()
    }

    /// Hears of events, endpoints and owners from now on; the first news are that everything may be different.
    pub fn watch(&self) -> Watch {
        let watch = Watch::default();
        self.0.bridge.attach_watch(watch.clone());
        watch.tell(|news| news.all = true);
        watch
    }

    /// What is stored of an endpoint; `None` when there is no such endpoint.
    pub fn endpoint_state(&self, id: EndpointId) -> Result<Option<EndpointState>, ArchiveError> {
        self.look(|store| {
            let Some(progress) = record(store, &keys::progress(id))? else { return Ok(None) };
            let shelf = record(store, &keys::shelf(id))?.unwrap_or_default();
            let orders = range(store, &keys::order(id, 0), &keys::order(id, u64::MAX), usize::MAX)?;
            let backlog = record(store, &keys::backlog(id))?.unwrap_or_default();
            Ok(Some(EndpointState { progress, shelf, orders, backlog }))
        })
    }

    /// The oldest seq of a topic that is stored, for readers or for webhooks alone.
    pub fn stored_seq(&self, topic: TopicId) -> Result<u64, ArchiveError> {
        let found = self.look(|store| record::<TopicRecord>(store, &keys::topic(topic)))?;
        Ok(found.unwrap_or_default().stored_seq)
    }

    /// An event that retention removed from its topic, and a retry or a dead letter of the endpoint needs.
    pub fn kept_event(&self, id: EndpointId, seq: u64) -> Result<Option<Event>, ArchiveError> {
        let key = keys::kept_event(id, seq);
        let bytes = self.look(|store| store.get(&key).map_err(ArchiveError::of_store))?;
        let damaged = || ArchiveError::Damaged(format!("event {seq}, kept for webhook {id}"));
        bytes.map(|bytes| Event::from_stored(seq, bytes.into()).ok_or_else(damaged)).transpose()
    }

    /// Endpoints that lose events, and since when.
    pub fn losing(&self) -> Result<Vec<(EndpointId, Losing)>, ArchiveError> {
        let (from, to) = keys::all(keys::BACKLOGS);
        self.look(|store| {
            let mut found: Vec<(EndpointId, Result<Backlog, codec::CodecError>)> = Vec::new();
            let scanned = store.scan(&from, &to, &mut |key, value| {
                found.extend(keys::endpoint_of(key).map(|id| (id, codec::decode(value))));
                true
            });
            scanned.map_err(ArchiveError::of_store)?;
            let losing = found.into_iter().map(|(id, backlog)| Ok(backlog?.losing.map(|losing| (id, losing))));
            losing.filter_map(Result::transpose).collect::<Result<_, _>>().map_err(damaged)
        })
    }

    /// What waits of an endpoint: records by number.
    pub fn waiting(&self, id: EndpointId) -> Result<Vec<(u64, Retry)>, ArchiveError> {
        let (from, to) = (keys::waiting(id, 0), keys::waiting(id, u64::MAX));
        self.look(|store| {
            let (mut found, mut bad) = (Vec::new(), None);
            let scanned = store.scan(&from, &to, &mut |key, value| match codec::decode(value) {
                Ok(retry) => {
                    found.extend(keys::number_of(key).map(|number| (number, retry)));
                    true
                }
                Err(error) => {
                    bad = Some(error);
                    false
                }
            });
            scanned.map_err(ArchiveError::of_store)?;
            bad.map_or(Ok(found), |error| Err(damaged(error)))
        })
    }

    /// Dead letters of an endpoint from that seq on, oldest first.
    pub fn dead_letters(&self, id: EndpointId, from_seq: u64, max: usize) -> Result<Vec<DeadLetter>, ArchiveError> {
        let (from, to) = (keys::dead_letter(id, from_seq), keys::dead_letter(id, u64::MAX));
        self.look(|store| range(store, &from, &to, max))
    }

    /// Tells the cluster how far endpoints are. `Ok(Err(epoch))` when this node owns them no more, under that epoch.
    pub async fn report_progress(&self, report: ProgressReport) -> Result<Result<Vec<EndpointId>, u64>, HubError> {
        match self.propose(&Command::Progress(report)).await {
            Ok(Reply::Progressed(gone)) => Ok(Ok(gone)),
            Ok(other) => Err(HubError::Internal(format!("progress was answered with {other:?}"))),
            Err(HubError::Refused(Refusal::Stale(epoch))) => Ok(Err(epoch)),
            Err(error) => Err(error),
        }
    }

    /// Whether this node may act for the cluster: it has heard from a majority, or from the leader, lately.
    pub fn in_touch(&self) -> bool {
        self.0.cluster.status().has_quorum
    }

    pub(super) fn look<T>(
        &self,
        look: impl FnOnce(&ViewStore<'_>) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        self.0.archive.look(look)
    }
}

fn record<T: DeserializeOwned>(store: &ViewStore<'_>, key: &[u8]) -> Result<Option<T>, ArchiveError> {
    let bytes = store.get(key).map_err(ArchiveError::of_store)?;
    bytes.map(|bytes| codec::decode(&bytes)).transpose().map_err(damaged)
}

fn range<T: DeserializeOwned>(
    store: &ViewStore<'_>,
    from: &[u8],
    to: &[u8],
    max: usize,
) -> Result<Vec<T>, ArchiveError> {
    let (mut found, mut bad) = (Vec::new(), None);
    if max == 0 {
        return Ok(found);
    }
    let scanned = store.scan(from, to, &mut |_, value| match codec::decode(value) {
        Ok(value) => {
            found.push(value);
            found.len() < max
        }
        Err(error) => {
            bad = Some(error);
            false
        }
    });
    scanned.map_err(ArchiveError::of_store)?;
    bad.map_or(Ok(found), |error| Err(damaged(error)))
}

fn damaged(error: codec::CodecError) -> ArchiveError {
    ArchiveError::Damaged(error.to_string())
}
