//! What retention keeps for webhooks after readers have lost it: which webhook needs which events, and which
//! webhook loses some.
//!
//! Events that an active webhook has not passed stay in their stream, before `first_seq`, where readers do
//! not see them. An event that only a waiting delivery or a dead letter still needs is copied under the
//! webhook's own key when the stream removes it; the copy lives as long as they do. The map's
//! [`WebhookBacklog`] bounds both, and what goes beyond it is counted as lost. Everything follows from the
//! log, so each node keeps and removes the same.
//!
//! [`WebhookBacklog`]: crate::core::access::WebhookBacklog

use super::{Context, StateError, Streams, keys, owner_commands, records};
use crate::core::access::Map;
use crate::core::codec;
use crate::core::command::Change;
use crate::core::consumer::progress::{NumberedCommand, OwnerCommand, Progress, Retry, Track};
use crate::core::event::Event;
use crate::core::ids::{TopicId, WebhookId};
use crate::core::operators::{LOSING, about_webhook};
use crate::core::state::rights::Rights;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::time::iso_millis;
use crate::core::webhook::records::Update;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// The copies for the retries and dead letters of one webhook may have this part of the map's bound in bytes.
/// It comes on top of the bound, so no webhook takes another's share.
const KEPT_SHARE: u64 = 16;
/// A webhook recovers when it has lost nothing for this long and has caught up.
const LOSING_ENDS_MS: u64 = 600_000;
/// Announcements in one tick; the others wait for the next tick.
const ANNOUNCED_PER_TICK: usize = 64;

/// What retention keeps for one webhook alone, and what the webhook lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// Bytes of the copies for its retries and dead letters.
    pub kept_bytes: u64,
    /// Set while the webhook loses events.
    pub losing: Option<Losing>,
}

/// A record of lost events: retention removed events that an active webhook still needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losing {
    /// When the first event was lost (milliseconds of the expiry clock).
    pub since_ms: u64,
    /// When the last event was lost (milliseconds of the expiry clock).
    pub last_ms: u64,
    /// How many events were lost since, checked by the owner's last report.
    pub events: u64,
    /// Whether the map was told.
    pub announced: bool,
}

/// The events that one webhook needs.
#[derive(Debug)]
struct Hold {
    topic: TopicId,
    active: bool,
    /// The webhook may need every event from here on.
    from_seq: u64,
    track: Track,
}

impl Hold {
    fn new(topic: TopicId, active: bool, progress: &Progress, commands: &[NumberedCommand]) -> Self {
        let open = progress.replays.iter().filter(|replay| replay.ended_ms.is_none() && !replay.failed_only);
        let ordered = commands.iter().filter_map(|waits| match &waits.command {
            OwnerCommand::Seek(seq) => Some(*seq),
            OwnerCommand::Replay { from_seq, failed_only: false, .. } => Some(*from_seq),
            _ => None,
        });
        let others = open.map(|replay| replay.track.next).chain(ordered).min().unwrap_or(u64::MAX);
        let track = progress.track.clone();
        Self { topic, active, from_seq: track.next.min(others), track }
    }
}

/// The events that wait for a webhook, each with the number of its records: it may wait in the live delivery
/// and in a replay.
#[derive(Debug, Default)]
struct Waiting(BTreeMap<u64, u32>);

impl Waiting {
    fn add(&mut self, retry: &Retry) {
        for event in &retry.events {
            *self.0.entry(event.seq).or_default() += 1;
        }
    }

    fn remove(&mut self, retry: &Retry) {
        for event in &retry.events {
            if let Entry::Occupied(mut records) = self.0.entry(event.seq) {
                *records.get_mut() -= 1;
                if *records.get() == 0 {
                    records.remove();
                }
            }
        }
    }
}

/// The mirror of what webhooks need and keep.
#[derive(Debug, Default)]
pub(super) struct Holds {
    of: BTreeMap<WebhookId, Hold>,
    /// The webhooks with waiting events.
    waiting: BTreeMap<WebhookId, Waiting>,
    /// The first seq that each active webhook needs of its stream.
    floors: BTreeSet<(TopicId, u64, WebhookId)>,
    /// The webhooks that have copies or lose events.
    backlogs: BTreeMap<WebhookId, Backlog>,
    /// Backlogs that differ from the store's. They are written once in a transaction.
    dirty: BTreeSet<WebhookId>,
}

impl Holds {
    /// Returns the first seq of the stream that an active webhook needs; `u64::MAX` if no webhook is active.
    pub(super) fn floor(&self, topic: TopicId) -> u64 {
        let first = self.floors.range((topic, 0, WebhookId::from_bytes([0; 16]))..).next();
        first.filter(|(of, ..)| *of == topic).map_or(u64::MAX, |(_, seq, _)| *seq)
    }

    fn set(&mut self, id: WebhookId, hold: Hold) {
        let floor = (hold.topic, hold.from_seq, id);
        if let Some(old) = self.of.insert(id, hold) {
            self.floors.remove(&(old.topic, old.from_seq, id));
        }
        if self.of.get(&id).is_some_and(|hold| hold.active) {
            self.floors.insert(floor);
        }
    }

    pub(super) fn remove(&mut self, id: WebhookId) {
        if let Some(old) = self.of.remove(&id) {
            self.floors.remove(&(old.topic, old.from_seq, id));
        }
        self.waiting.remove(&id);
        self.backlogs.remove(&id);
        self.dirty.remove(&id);
    }

    fn waits(&self, id: WebhookId, seq: u64) -> bool {
        self.waiting.get(&id).is_some_and(|waiting| waiting.0.contains_key(&seq))
    }

    /// Replaces a waiting record; either of them may be absent.
    fn replace(&mut self, id: WebhookId, old: Option<&Retry>, new: Option<&Retry>) {
        let waiting = self.waiting.entry(id).or_default();
        new.into_iter().for_each(|retry| waiting.add(retry));
        old.into_iter().for_each(|retry| waiting.remove(retry));
        if waiting.0.is_empty() {
            self.waiting.remove(&id);
        }
    }

    pub(super) fn kept_bytes(&self, id: WebhookId) -> u64 {
        self.backlogs.get(&id).map_or(0, |backlog| backlog.kept_bytes)
    }

    /// Returns the backlog for a change.
    pub(super) fn backlog(&mut self, id: WebhookId) -> &mut Backlog {
        self.dirty.insert(id);
        self.backlogs.entry(id).or_default()
    }
}

impl Streams {
    pub(super) fn load_holds<S: ReadStore>(&mut self, store: &S) -> Result<(), StateError> {
        for (key, backlog) in records::<Backlog, S>(store, keys::BACKLOGS)? {
            self.holds.backlogs.extend(keys::webhook_of(&key).map(|id| (id, backlog)));
        }
        for (key, retry) in records::<Retry, S>(store, keys::WAITING)? {
            // The waiting records of a deleted webhook are about to be removed.
            if let Some(id) = keys::webhook_of(&key).filter(|id| self.facts.webhooks().get(*id).is_some()) {
                self.holds.replace(id, None, Some(&retry));
            }
        }
        let ids: Vec<WebhookId> = self.facts.webhooks().all().map(|webhook| webhook.id).collect();
        ids.into_iter().try_for_each(|id| self.hold(id, store))
    }

    pub(super) fn flush_backlogs<S: WriteStore>(&mut self, store: &mut S) -> Result<(), StateError> {
        for id in std::mem::take(&mut self.holds.dirty) {
            match self.holds.backlogs.get(&id).filter(|backlog| **backlog != Backlog::default()) {
                Some(backlog) => store.put(&keys::backlog(id), &codec::encode(backlog)?)?,
                None => {
                    self.holds.backlogs.remove(&id);
                    store.delete(&keys::backlog(id))?;
                }
            }
        }
        Ok(())
    }

    /// Updates what the webhook needs, from its stored progress.
    pub(super) fn hold<S: ReadStore>(&mut self, id: WebhookId, store: &S) -> Result<(), StateError> {
        match owner_commands::progress(id, store)? {
            Some(progress) => self.hold_at(id, &progress, store),
            None => Ok(()),
        }
    }

    /// Updates what the webhook needs, from the given progress.
    pub(super) fn hold_at<S: ReadStore>(
        &mut self,
        id: WebhookId,
        progress: &Progress,
        store: &S,
    ) -> Result<(), StateError> {
        let Some(webhook) = self.facts.webhooks().get(id) else { return Ok(()) };
        let Some(topic) = self.facts.map(webhook.map).map(|map| map.topic) else { return Ok(()) };
        let hold = Hold::new(topic, webhook.active, progress, &owner_commands::waiting(id, store)?);
        self.holds.set(id, hold);
        Ok(())
    }

    /// Stores and removes waiting records, as the owner reported. Returns the seqs of records that were
    /// removed or changed.
    pub(super) fn keep_waiting<S: WriteStore>(
        &mut self,
        id: WebhookId,
        update: &Update,
        store: &mut S,
    ) -> Result<Vec<u64>, StateError> {
        let mut settled = Vec::new();
        let dropped = update.dropped.iter().map(|number| (*number, None));
        let kept = update.kept.iter().map(|(number, retry)| (*number, Some(retry)));
        for (number, new) in dropped.chain(kept) {
            let key = keys::waiting(id, number);
            let old: Option<Retry> = store.get(&key)?.map(|bytes| codec::decode(&bytes)).transpose()?;
            match new {
                Some(retry) => store.put(&key, &codec::encode(retry)?)?,
                None => store.delete(&key)?,
            }
            self.holds.replace(id, old.as_ref(), new);
            settled.extend(old.iter().flat_map(|retry| &retry.events).map(|event| event.seq));
        }
        Ok(settled)
    }

    /// Copies the events that a retry or a dead letter needs under their webhooks, before `seqs` (ascending)
    /// leave the stream.
    pub(super) fn copy_needed<S: WriteStore>(
        &mut self,
        map: &Map,
        seqs: &[u64],
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        let (Some(&first), Some(&last)) = (seqs.first(), seqs.last()) else { return Ok(()) };
        let goes = |seq: &u64| seqs.binary_search(seq).is_ok();
        let ids: Vec<WebhookId> = self.facts.webhooks().of_map(map.id).map(|webhook| webhook.id).collect();
        for id in ids {
            let mut needed: BTreeSet<u64> = BTreeSet::new();
            let waiting = self.holds.waiting.get(&id);
            let waiting = waiting.into_iter().flat_map(|waiting| waiting.0.range(first..=last));
            needed.extend(waiting.map(|(seq, _)| *seq).filter(goes));
            let from = keys::dead_letter(id, first);
            let to = keys::dead_letter(id, last + 1);
            store.scan(&from, &to, &mut |key, _| {
                needed.extend(keys::number_of(key).filter(goes));
                true
            })?;
            for seq in &needed {
                let stored = match store.get(&keys::event(map.topic, *seq))? {
                    Some(event) => Some(event),
                    None => store.get(&keys::withheld(map.topic, *seq))?,
                };
                let Some(event) = stored else { continue };
                store.put(&keys::kept_event(id, *seq), &event)?;
                self.holds.backlog(id).kept_bytes += event.len() as u64;
            }
            if !needed.is_empty() {
                let most = map.retention.webhook_backlog.bytes.map_or(u64::MAX, |bytes| bytes / KEPT_SHARE);
                self.trim_copies(id, usize::MAX, now_ms, store, |kept_bytes, _| kept_bytes > most)?;
            }
        }
        Ok(())
    }

    /// Removes up to `max` of the oldest copies while `over(bytes, time of the oldest)` holds. Returns how
    /// many it removed.
    pub(super) fn trim_copies<S: WriteStore>(
        &mut self,
        id: WebhookId,
        max: usize,
        now_ms: u64,
        store: &mut S,
        over: impl Fn(u64, u64) -> bool,
    ) -> Result<usize, StateError> {
        let mut kept_bytes = self.holds.kept_bytes(id);
        let mut gone: Vec<u64> = Vec::new();
        if kept_bytes == 0 {
            return Ok(0);
        }
        store.scan(&keys::kept_event(id, 0), &keys::kept_event(id, u64::MAX), &mut |key, event| {
            let published_ms = Event::stored_times(event).map_or(0, |times| times.expiry_ms);
            if gone.len() == max || !over(kept_bytes, published_ms) {
                return false;
            }
            kept_bytes = kept_bytes.saturating_sub(event.len() as u64);
            gone.extend(keys::number_of(key));
            true
        })?;
        gone.iter().try_for_each(|seq| store.delete(&keys::kept_event(id, *seq)))?;
        if !gone.is_empty() {
            self.holds.backlog(id).kept_bytes = kept_bytes;
        }
        let active = self.holds.of.get(&id).is_some_and(|hold| hold.active);
        let lost = gone.iter().filter(|seq| active && self.holds.waits(id, **seq)).count() as u64;
        self.lose(id, lost, now_ms);
        Ok(gone.len())
    }

    /// Removes the copies of these events that neither a retry nor a dead letter of the webhook needs any
    /// more.
    pub(super) fn drop_unneeded_copies<S: WriteStore>(
        &mut self,
        id: WebhookId,
        seqs: &[u64],
        store: &mut S,
    ) -> Result<(), StateError> {
        if self.holds.kept_bytes(id) == 0 {
            return Ok(());
        }
        for seq in seqs {
            if self.holds.waits(id, *seq) || store.get(&keys::dead_letter(id, *seq))?.is_some() {
                continue;
            }
            let key = keys::kept_event(id, *seq);
            if let Some(event) = store.get(&key)? {
                store.delete(&key)?;
                let backlog = self.holds.backlog(id);
                backlog.kept_bytes = backlog.kept_bytes.saturating_sub(event.len() as u64);
            }
        }
        Ok(())
    }

    /// Counts these events as lost for the active webhooks that had not passed them. The stream has removed
    /// them.
    pub(super) fn lose_events(&mut self, map: &Map, seqs: &[u64], now_ms: u64) {
        if seqs.is_empty() {
            return;
        }
        let lost: Vec<(WebhookId, u64)> = self
            .facts
            .webhooks()
            .of_map(map.id)
            .filter_map(|webhook| Some((webhook.id, self.holds.of.get(&webhook.id)?)))
            .filter(|(_, hold)| hold.active)
            .map(|(id, hold)| (id, seqs.iter().filter(|seq| !hold.track.is_settled(**seq)).count() as u64))
            .collect();
        lost.into_iter().for_each(|(id, events)| self.lose(id, events, now_ms));
    }

    fn lose(&mut self, id: WebhookId, events: u64, now_ms: u64) {
        if events == 0 {
            return;
        }
        let none = Losing { since_ms: now_ms, last_ms: now_ms, events: 0, announced: false };
        let losing = self.holds.backlog(id).losing.get_or_insert(none);
        losing.events += events;
        losing.last_ms = now_ms;
        self.changes.push(Change::Lost(id, events));
    }

    /// Announces webhooks that began to lose events, and clears the record of those that have recovered.
    pub(super) fn announce_losses<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        store: &mut S,
    ) -> Result<(), StateError> {
        let now_ms = context.expiry_ms();
        let losing = self.holds.backlogs.iter().filter(|(_, backlog)| backlog.losing.is_some());
        let ids: Vec<WebhookId> = losing.map(|(id, _)| *id).collect();
        let mut announced = 0;
        for id in ids {
            // Announcing the losses of one webhook can make another lose more.
            let Some(losing) = self.holds.backlogs.get(&id).and_then(|backlog| backlog.losing) else {
                continue;
            };
            if self.has_recovered(id, &losing, now_ms) {
                self.holds.backlog(id).losing = None;
            } else if !losing.announced && announced < ANNOUNCED_PER_TICK {
                announced += 1;
                self.holds.backlog(id).losing = Some(Losing { announced: true, ..losing });
                self.announce(context, id, &losing, store)?;
            }
        }
        Ok(())
    }

    /// Returns whether the webhook is inactive, or has lost nothing for a while and needs nothing that
    /// readers have lost.
    fn has_recovered(&self, id: WebhookId, losing: &Losing, now_ms: u64) -> bool {
        let Some(hold) = self.holds.of.get(&id).filter(|hold| hold.active) else { return true };
        let first_seq = self.topics.get(&hold.topic).map_or(1, |record| record.first_seq);
        now_ms.saturating_sub(losing.last_ms) >= LOSING_ENDS_MS && hold.track.next >= first_seq
    }

    fn announce<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        id: WebhookId,
        losing: &Losing,
        store: &mut S,
    ) -> Result<(), StateError> {
        let Some(webhook) = self.facts.webhooks().get(id).cloned() else { return Ok(()) };
        let Some(progress) = owner_commands::progress(id, store)? else { return Ok(()) };
        let time_ms = context.time_ms();
        let expiry_ms = context.expiry_ms();
        let shown = |ms: u64| iso_millis(time_ms.saturating_sub(expiry_ms.saturating_sub(ms)));
        let Some(map) = self.facts.map(webhook.map).cloned() else { return Ok(()) };
        let losing_since = Value::from(shown(losing.since_ms));
        let more = [("losing_since", losing_since), ("lost", Value::from(losing.events))];
        let since = progress.failing_since_ms.map(shown);
        let event = about_webhook(LOSING, &map, &webhook, &progress, since.as_deref(), &more);
        self.tell_of_webhook(context, map.id, event.as_slice(), store)
    }
}
