//! What webhook workers read from the replicated state and report to it. Never sends a request to a webhook
//! itself.

use super::archive::{Archive, ArchiveError};
use super::bridge::Bridge;
use super::configured::Configured;
use super::error::HubError;
use super::log::Log;
use super::news::Watch;
use super::replica::ViewStore;
use super::timeline::notes::Notes;
use crate::core::codec;
use crate::core::command::{Command, Refusal, Reply};
use crate::core::consumer::progress::{NumberedCommand, Progress, Retry, Source, Track};
use crate::core::event::Event;
use crate::core::ids::{EventId, TopicId, WebhookId};
use crate::core::state::backlog::{Backlog, Losing};
use crate::core::state::{TopicRecord, keys};
use crate::core::store::ReadStore;
use crate::core::webhook::directory::WebhookDirectory;
use crate::core::webhook::records::{AttemptHistory, DeadLetter, ProgressReport};
use serde::de::DeserializeOwned;
use std::sync::{Arc, RwLockReadGuard};

/// The stored state of a webhook, apart from its settings.
#[derive(Clone, Debug)]
pub struct WebhookState {
    /// How far the webhook is.
    pub progress: Progress,
    /// Recent attempts and the number of dead letters.
    pub attempt_history: AttemptHistory,
    /// Commands to its owner that the owner has not taken up, in order.
    pub commands: Vec<NumberedCommand>,
    /// The events that retention keeps only for this webhook, and whether the webhook loses events.
    pub backlog: Backlog,
}

impl WebhookState {
    /// How many events retention removed before they were delivered: those that the owner has found missing,
    /// and those that it has yet to find. `stored_seq` is the oldest stored seq of the topic (see
    /// [`WebhookStore::stored_seq`]).
    pub fn missed(&self, stored_seq: u64) -> u64 {
        self.progress.missed + self.progress.track.unsettled(0, stored_seq)
    }
}

/// Webhooks: this node's copy of the directory, and their stored state; cheap to clone.
#[derive(Clone)]
pub struct WebhookStore {
    bridge: Arc<Bridge>,
    archive: Archive,
    log: Log,
    configured: Configured,
}

impl WebhookStore {
    pub(super) fn new(bridge: Arc<Bridge>, archive: Archive, log: Log, configured: Configured) -> Self {
        Self { bridge, archive, log, configured }
    }

    /// What this node notes of events on their way, to which workers add what they do for receivers.
    pub fn notes(&self) -> &Notes {
        &self.bridge.notes
    }

    /// Webhooks and their owners, as this node knows them. Hold the guard only briefly: the thread that
    /// applies the log waits for it.
    pub fn directory(&self) -> RwLockReadGuard<'_, WebhookDirectory> {
        self.bridge.webhooks()
    }

    /// Which webhooks are in the nodes' configuration files.
    pub fn configured(&self) -> &Configured {
        &self.configured
    }

    /// Receives news of events, webhooks and owners from now on. The first news is that everything may have
    /// changed.
    pub fn watch(&self) -> Watch {
        let watch = Watch::default();
        self.bridge.attach_watch(watch.clone());
        watch.tell(|news| news.all = true);
        watch
    }

    /// The stored state of a webhook; `None` if there is no such webhook.
    pub fn state(&self, id: WebhookId) -> Result<Option<WebhookState>, ArchiveError> {
        self.archive.look(|store| {
            let Some(progress) = record(store, &keys::progress(id))? else { return Ok(None) };
            let attempt_history = record(store, &keys::attempt_history(id))?.unwrap_or_default();
            let commands =
                range(store, &keys::owner_command(id, 0), &keys::owner_command(id, u64::MAX), usize::MAX)?;
            let backlog = record(store, &keys::backlog(id))?.unwrap_or_default();
            Ok(Some(WebhookState { progress, attempt_history, commands, backlog }))
        })
    }

    /// The oldest seq of a topic that is stored, for readers or only for webhooks.
    pub fn stored_seq(&self, topic: TopicId) -> Result<u64, ArchiveError> {
        Ok(self.topic(topic)?.stored_seq)
    }

    /// The newest seq of a topic; 0 if it never had an event.
    pub fn head_seq(&self, topic: TopicId) -> Result<u64, ArchiveError> {
        Ok(self.topic(topic)?.next_seq.saturating_sub(1))
    }

    fn topic(&self, topic: TopicId) -> Result<TopicRecord, ArchiveError> {
        let found = self.archive.look(|store| record::<TopicRecord>(store, &keys::topic(topic)))?;
        Ok(found.unwrap_or_default())
    }

    /// When the event of that seq was published (Unix milliseconds), which a webhook of the topic still needs. If
    /// the event is gone, when the first after it was; `None` if there is none. It reads on the caller's thread.
    pub fn published_ms(&self, id: WebhookId, topic: TopicId, seq: u64) -> Result<Option<u64>, ArchiveError> {
        if let Some(kept) = self.kept_event(id, seq)? {
            return Ok(Some(kept.time_ms));
        }
        let page = self.archive.with_backlog().read_now(topic, seq, 1, 1)?;
        Ok(page.events.first().map(|event| event.time_ms))
    }

    /// An event that retention removed from its topic, but that a retry or a dead letter of the webhook
    /// needs.
    pub fn kept_event(&self, id: WebhookId, seq: u64) -> Result<Option<Event>, ArchiveError> {
        let key = keys::kept_event(id, seq);
        let bytes = self.archive.look(|store| store.get(&key).map_err(ArchiveError::of_store))?;
        let damaged = || ArchiveError::Damaged(format!("event {seq}, kept for webhook {id}"));
        bytes.map(|bytes| Event::from_stored(seq, bytes.into()).ok_or_else(damaged)).transpose()
    }

    /// Webhooks that are losing events, and since when.
    pub fn losing(&self) -> Result<Vec<(WebhookId, Losing)>, ArchiveError> {
        let (from, to) = keys::all(keys::BACKLOGS);
        self.archive.look(|store| {
            let mut found: Vec<(WebhookId, Result<Backlog, codec::CodecError>)> = Vec::new();
            let scanned = store.scan(&from, &to, &mut |key, value| {
                found.extend(keys::webhook_of(key).map(|id| (id, codec::decode(value))));
                true
            });
            scanned.map_err(ArchiveError::of_store)?;
            let losing =
                found.into_iter().map(|(id, backlog)| Ok(backlog?.losing.map(|losing| (id, losing))));
            losing.filter_map(Result::transpose).collect::<Result<_, _>>().map_err(damaged)
        })
    }

    /// The retries of a webhook that wait, by number.
    pub fn waiting(&self, id: WebhookId) -> Result<Vec<(u64, Retry)>, ArchiveError> {
        let from = keys::waiting(id, 0);
        let to = keys::waiting(id, u64::MAX);
        self.archive.look(|store| {
            let mut found = Vec::new();
            let mut bad = None;
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

    /// How many events of a replay wait for another attempt. It looks at all that wait, which may be many, and
    /// does that outside the caller's thread.
    pub async fn replay_waits(&self, id: WebhookId, replay: u64) -> Result<u64, ArchiveError> {
        let count = move |store: &ViewStore<'_>| {
            let mut events = 0;
            let mut bad = None;
            let scanned = store.scan(&keys::waiting(id, 0), &keys::waiting(id, u64::MAX), &mut |_, value| {
                match codec::decode::<Retry>(value) {
                    Ok(retry) if retry.source == Source::Replay(replay) => {
                        events += retry.events.len() as u64;
                    }
                    Ok(_) => {}
                    Err(error) => bad = Some(error),
                }
                bad.is_none()
            });
            scanned.map_err(ArchiveError::of_store)?;
            bad.map_or(Ok(events), |error| Err(damaged(error)))
        };
        self.archive.blocking(move |archive| archive.look(count)).await
    }

    /// How many dead letters of a webhook have a seq before `until_seq` that `track` has not settled. It looks
    /// at all of them, which may be thousands, and does that outside the caller's thread.
    pub async fn dead_left(&self, id: WebhookId, track: Track, until_seq: u64) -> Result<u64, ArchiveError> {
        if track.next >= until_seq {
            return Ok(0);
        }
        let count = move |store: &ViewStore<'_>| {
            let mut dead = 0_u64;
            let (from, to) = (keys::dead_letter(id, track.next), keys::dead_letter(id, until_seq));
            let scanned = store.scan(&from, &to, &mut |key, _| {
                let is_left = keys::number_of(key).is_some_and(|seq| !track.is_settled(seq));
                dead += u64::from(is_left);
                true
            });
            scanned.map(|()| dead).map_err(ArchiveError::of_store)
        };
        self.archive.blocking(move |archive| archive.look(count)).await
    }

    /// The waiting delivery of a webhook that has the event, if there is one. It looks at all that wait, which
    /// may be many.
    pub fn waits(&self, id: WebhookId, event: EventId) -> Result<Option<Retry>, ArchiveError> {
        let from = keys::waiting(id, 0);
        let to = keys::waiting(id, u64::MAX);
        self.archive.look(|store| {
            let mut found = Ok(None);
            let scanned = store.scan(&from, &to, &mut |_, value| {
                match codec::decode::<Retry>(value) {
                    Ok(retry) if retry.events.iter().any(|known| known.id == event) => {
                        found = Ok(Some(retry));
                    }
                    Ok(_) => {}
                    Err(error) => found = Err(error),
                }
                matches!(found, Ok(None))
            });
            scanned.map_err(ArchiveError::of_store)?;
            found.map_err(damaged)
        })
    }

    /// The dead letters of a webhook from that seq on, oldest first.
    pub fn dead_letters(
        &self,
        id: WebhookId,
        from_seq: u64,
        max: usize,
    ) -> Result<Vec<DeadLetter>, ArchiveError> {
        let from = keys::dead_letter(id, from_seq);
        let to = keys::dead_letter(id, u64::MAX);
        self.archive.look(|store| range(store, &from, &to, max))
    }

    /// Reports the progress of webhooks to the cluster. `Ok(Ok(gone))`: it is stored, except for the webhooks
    /// `gone`, which no longer exist. `Ok(Err(epoch))`: this node does not own them in the present `epoch`.
    pub async fn report_progress(
        &self,
        report: ProgressReport,
    ) -> Result<Result<Vec<WebhookId>, u64>, HubError> {
        match self.log.propose(&Command::Progress(report)).await {
            Ok(Reply::Progressed(gone)) => Ok(Ok(gone)),
            Ok(other) => Err(HubError::Internal(format!("progress was answered with {other:?}"))),
            Err(HubError::Refused(Refusal::Stale(epoch))) => Ok(Err(epoch)),
            Err(error) => Err(error),
        }
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
    let mut found = Vec::new();
    let mut bad = None;
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
