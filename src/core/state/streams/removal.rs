//! Removal of events from inside a stream: events that a rule no longer keeps, and deleted events.
//!
//! A removed event leaves a hole in the stream ([`crate::core::state::subjects`]). What a rule takes from
//! readers is withheld for the webhooks that still need it; a deleted event is gone for webhooks as well.

use super::rules::ByRule;
use super::{Deletion, StateError, Streams, TopicRecord, keys};
use crate::core::access::{Map, Scopes};
use crate::core::command::{Change, DeleteEvent, DeleteSubject, Refusal, Reply, Touched};
use crate::core::event::Event;
use crate::core::ids::{EventId, TopicId, WebhookId};
use crate::core::state::rights::Rights;
use crate::core::state::subjects::{self, Runs};
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use std::collections::BTreeSet;

/// The largest number of deleted histories of one map that wait for their removal.
const MAX_DELETIONS: usize = 64;
/// Events that are searched to count how many of a subject are kept for webhooks alone.
const MAX_COUNTED: usize = 10_000;

impl Streams {
    /// Takes the oldest events of each subject from readers. Webhooks that have not passed them still receive
    /// them.
    pub(super) fn take_inside<S: WriteStore>(
        &mut self,
        map: &Map,
        taken: &ByRule,
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        let floor = self.holds.floor(map.topic);
        let mut free: Vec<u64> = taken.values().flatten().copied().filter(|seq| *seq < floor).collect();
        free.sort_unstable();
        self.copy_needed(map, &free, now_ms, store)?;
        taken
            .iter()
            .try_for_each(|(subject, seqs)| self.take_from_subject(map.topic, subject, seqs, floor, store))
    }

    fn take_from_subject<S: WriteStore>(
        &mut self,
        stream: TopicId,
        subject: &Subject,
        seqs: &[u64],
        floor: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        let mut gone = 0;
        let mut bytes = 0;
        let mut newest = None;
        for &seq in seqs {
            let key = keys::event(stream, seq);
            let Some(event) = store.get(&key)? else { continue };
            let Some(id) = Event::stored_id(&event) else { continue };
            gone += 1;
            bytes += event.len() as u64;
            newest = Some((seq, id));
            store.delete(&key)?;
            subjects::add_hole(stream, seq, store)?;
            if seq >= floor {
                store.put(&keys::withheld(stream, seq), &event)?;
                if let Some(record) = self.topics.get_mut(&stream) {
                    record.withheld += 1;
                    record.keep(subject.as_str(), event.len() as u64);
                }
            }
        }
        let (Some(newest), Some(record)) = (newest, self.topics.get_mut(&stream)) else { return Ok(()) };
        record.take(subject.as_str(), gone, bytes);
        record.lost_inside(subject.as_str(), newest.0, newest.1);
        let runs_from = record.deleted_below(subject.as_str());
        self.change_subject(stream, subject, store, |one, store| {
            one.trim((stream, subject), newest, (gone, bytes), runs_from, store)
        })
    }

    /// Removes an event and the copies of it for retries and dead letters.
    pub(super) fn delete_event<S: WriteStore>(
        &mut self,
        delete: DeleteEvent,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let map = match self.facts.check(delete.map, delete.by, Scopes::MANAGE) {
            Ok(map) => map.clone(),
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        let stored = self.remove_stored(map.topic, delete.id, store)?;
        let copied = self.remove_copies_of(&map, delete.id, store)?;
        let Some(subject) = stored.or(copied) else { return Ok(Reply::Refused(Refusal::UnknownEvent)) };
        self.changes.push(Change::Removed(map.topic, Touched::These(vec![subject])));
        Ok(Reply::Removed(1))
    }

    /// Removes an event from the stream or from the withheld events. Returns its subject.
    fn remove_stored<S: WriteStore>(
        &mut self,
        stream: TopicId,
        id: EventId,
        store: &mut S,
    ) -> Result<Option<Subject>, StateError> {
        for (prefix, is_withheld) in
            [(keys::event as fn(TopicId, u64) -> [u8; 17], false), (keys::withheld, true)]
        {
            let next_seq = self.topics.get(&stream).map_or(1, |record| record.next_seq);
            let Some(seq) = seq_of(id, next_seq, |seq| prefix(stream, seq), store)? else { continue };
            let key = prefix(stream, seq);
            let Some(event) = store.get(&key)? else { continue };
            let Some(subject) = Event::stored_subject(&event).and_then(|name| Subject::parse_any(name).ok())
            else {
                continue;
            };
            let Some(record) =
                self.topics.get_mut(&stream).filter(|record| !record.is_deleted(subject.as_str(), seq))
            else {
                break;
            };
            let bytes = event.len() as u64;
            store.delete(&key)?;
            self.dirty.insert(stream);
            if is_withheld {
                record.withheld = record.withheld.saturating_sub(1);
            } else {
                subjects::add_hole(stream, seq, store)?;
            }
            if is_withheld || seq < record.first_seq {
                record.drop_kept(subject.as_str(), bytes);
                return Ok(Some(subject));
            }
            record.take(subject.as_str(), 1, bytes);
            record.lost_inside(subject.as_str(), seq, id);
            self.change_subject(stream, &subject, store, |one, store| {
                one.remove((stream, &subject), (seq, id, bytes), store)
            })?;
            return Ok(Some(subject));
        }
        Ok(None)
    }

    /// Removes the copies of that event for retries and dead letters. Returns its subject.
    fn remove_copies_of<S: WriteStore>(
        &mut self,
        map: &Map,
        id: EventId,
        store: &mut S,
    ) -> Result<Option<Subject>, StateError> {
        let next_seq = self.topics.get(&map.topic).map_or(1, |record| record.next_seq);
        let webhooks: Vec<WebhookId> =
            self.facts.webhooks().of_map(map.id).map(|webhook| webhook.id).collect();
        let mut found = None;
        for webhook in webhooks {
            let Some(seq) = seq_of(id, next_seq, |seq| keys::kept_event(webhook, seq), store)? else {
                continue;
            };
            let Some(event) = store.get(&keys::kept_event(webhook, seq))? else { continue };
            let subject = Event::stored_subject(&event).unwrap_or_default();
            let record = self.topics.get(&map.topic);
            // An event that was deleted with its subject's history does not count: it is only still to be
            // removed.
            if record.is_some_and(|record| !record.is_deleted(subject, seq)) {
                found = Subject::parse_any(subject).ok();
                self.remove_copy(webhook, seq, event.len() as u64, store)?;
            }
        }
        Ok(found)
    }

    fn remove_copy<S: WriteStore>(
        &mut self,
        webhook: WebhookId,
        seq: u64,
        bytes: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        store.delete(&keys::kept_event(webhook, seq))?;
        let backlog = self.holds.backlog(webhook);
        backlog.kept_bytes = backlog.kept_bytes.saturating_sub(bytes);
        Ok(())
    }

    /// Deletes the subject's history for readers at once. The ticks remove it in pieces.
    pub(super) fn delete_subject<S: WriteStore>(
        &mut self,
        delete: DeleteSubject,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let map = match self.facts.check(delete.map, delete.by, Scopes::MANAGE) {
            Ok(map) => map.clone(),
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        let stream = map.topic;
        let subject = &delete.subject;
        let one = self.subject(stream, subject, store)?.unwrap_or_default();
        let kept = if one.count == 0 { self.count_backlog(&map, subject, store)? } else { 0 };
        if one.count == 0 && kept == 0 {
            return Ok(Reply::Removed(0));
        }
        let Some(record) = self.topics.get_mut(&stream) else {
            return Ok(Reply::Refused(Refusal::UnknownMap));
        };
        let known = record.deletions.iter().position(|deletion| deletion.subject == *subject);
        let deletion = Deletion::new(subject.clone(), record.next_seq);
        match known {
            Some(index) => record.deletions[index] = deletion,
            None if record.deletions.len() == MAX_DELETIONS => return Ok(Reply::Refused(Refusal::Busy)),
            None => record.deletions.push(deletion),
        }
        self.dirty.insert(stream);
        self.changes.push(Change::Removed(stream, Touched::These(vec![subject.clone()])));
        if one.count == 0 {
            return Ok(Reply::Removed(kept));
        }
        let mut newest = (one.last_seq, one.last_id);
        Runs::new(&*store, stream, subject.as_str(), &one).visit_back(&mut |run| {
            newest.0 = *run.end();
            false
        })?;
        if newest.0 != one.last_seq {
            let event = store.get(&keys::event(stream, newest.0))?;
            newest.1 = event.and_then(|event| Event::stored_id(&event)).unwrap_or(one.last_id);
        }
        record.take(subject.as_str(), one.count, one.bytes);
        record.lost_inside(subject.as_str(), newest.0, newest.1);
        self.change_subject(stream, subject, store, |one, store| {
            one.end_run((stream, subject), store)?;
            one.first_seq = one.last_seq + 1;
            (one.trimmed_seq, one.trimmed_id) = (one.trimmed_seq, one.trimmed_id).max(newest);
            one.count = 0;
            one.bytes = 0;
            Ok(())
        })?;
        Ok(Reply::Removed(u32::try_from(one.count).unwrap_or(u32::MAX)))
    }

    /// Removes up to `max` events of deleted histories. Returns how many it examined.
    pub(super) fn remove_deleted<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let stream = map.topic;
        let mut done = 0;
        while done < max
            && let Some(deletion) =
                self.topics.get(&stream).and_then(|record| record.deletions.first()).cloned()
        {
            done += 1 + self.remove_run(stream, &deletion, max - done, store)?;
            let (from, to) = keys::runs(stream, deletion.subject.as_str(), 0, deletion.below_seq);
            let mut has_runs = false;
            store.scan(&from, &to, &mut |_, _| {
                has_runs = true;
                false
            })?;
            if has_runs || done >= max {
                continue;
            }
            let (looked, mut is_over) = self.remove_from_backlog(stream, &deletion, max - done, store)?;
            done += looked;
            if is_over {
                let (looked, is_last) = self.remove_copies(map, &deletion, max - done, store)?;
                done += looked;
                is_over = is_last;
            }
            if is_over && let Some(record) = self.topics.get_mut(&stream) {
                record.deletions.remove(0);
            }
            self.dirty.insert(stream);
        }
        Ok(done.min(max))
    }

    /// Removes up to `max` events of the deleted history's first run.
    fn remove_run<S: WriteStore>(
        &mut self,
        stream: TopicId,
        deletion: &Deletion,
        max: usize,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let (from, to) = keys::runs(stream, deletion.subject.as_str(), 0, deletion.below_seq);
        let mut first = None;
        store.scan(&from, &to, &mut |key, value| {
            first =
                keys::run_end(key).zip(keys::run_start(value)).map(|(end, start)| (key.to_vec(), start, end));
            false
        })?;
        let Some((run, start, end)) = first else { return Ok(0) };
        let until = end.min(start.saturating_add(max as u64));
        for seq in start..=until {
            let key = keys::event(stream, seq);
            // Retention has removed this event already.
            let Some(event) = store.get(&key)? else { continue };
            store.delete(&key)?;
            subjects::add_hole(stream, seq, store)?;
            // A run may begin with events that readers had lost before, and webhooks had not.
            if let Some(record) = self.topics.get_mut(&stream).filter(|record| seq < record.first_seq) {
                record.drop_kept(deletion.subject.as_str(), event.len() as u64);
                self.dirty.insert(stream);
            }
        }
        match until == end {
            true => store.delete(&run)?,
            false => store.put(&run, &(until + 1).to_be_bytes())?,
        }
        Ok((until + 1 - start) as usize)
    }

    /// Removes the deleted history from the events that are kept for webhooks alone. Returns how many events
    /// were examined, and whether these were all.
    fn remove_from_backlog<S: WriteStore>(
        &mut self,
        stream: TopicId,
        deletion: &Deletion,
        max: usize,
        store: &mut S,
    ) -> Result<(usize, bool), StateError> {
        let Some(record) = self.topics.get_mut(&stream) else { return Ok((0, true)) };
        let kept = backlog(stream, deletion.backlog_seq, record.first_seq, max, store)?;
        let is_over = kept.len() < max;
        for one in &kept {
            if one.seq >= deletion.below_seq || one.subject != deletion.subject.as_str() {
                continue;
            }
            store.delete(&one.key)?;
            record.drop_kept(&one.subject, one.bytes);
            if one.is_withheld() {
                record.withheld = record.withheld.saturating_sub(1);
            } else {
                subjects::add_hole(stream, one.seq, store)?;
            }
        }
        if let (Some(last), Some(first)) = (kept.last(), record.deletions.first_mut()) {
            first.backlog_seq = last.seq + 1;
        }
        Ok((kept.len(), is_over))
    }

    /// Removes the copies of the deleted history for retries and dead letters. Returns how many were
    /// examined, and whether these were all.
    fn remove_copies<S: WriteStore>(
        &mut self,
        map: &Map,
        deletion: &Deletion,
        max: usize,
        store: &mut S,
    ) -> Result<(usize, bool), StateError> {
        let (first, from_seq) = deletion.copies_from;
        let mut webhooks: Vec<WebhookId> =
            self.facts.webhooks().of_map(map.id).map(|webhook| webhook.id).collect();
        webhooks.retain(|webhook| *webhook >= first && self.holds.kept_bytes(*webhook) > 0);
        webhooks.sort_unstable();
        let mut looked = 0;
        for webhook in webhooks {
            let mut next_seq = if webhook == first { from_seq } else { 0 };
            let from = keys::kept_event(webhook, next_seq);
            let to = keys::kept_event(webhook, deletion.below_seq);
            let mut copies = Vec::new();
            store.scan(&from, &to, &mut |key, event| {
                let Some(seq) = keys::number_of(key).filter(|_| looked < max) else { return false };
                looked += 1;
                next_seq = seq + 1;
                if Event::stored_subject(event) == Some(deletion.subject.as_str()) {
                    copies.push((seq, event.len() as u64));
                }
                true
            })?;
            for (seq, bytes) in copies {
                self.remove_copy(webhook, seq, bytes, store)?;
            }
            if looked == max {
                let of_stream = self.topics.get_mut(&map.topic);
                let deletion = of_stream.and_then(|record| record.deletions.first_mut());
                deletion.into_iter().for_each(|deletion| deletion.copies_from = (webhook, next_seq));
                return Ok((looked, false));
            }
        }
        Ok((looked, true))
    }

    /// Counts the events of a subject that are kept for webhooks alone. If very many are kept, only some are
    /// searched and the answer is at least one.
    fn count_backlog<S: ReadStore>(
        &self,
        map: &Map,
        subject: &Subject,
        store: &S,
    ) -> Result<u32, StateError> {
        let Some(record) = self.topics.get(&map.topic) else { return Ok(0) };
        let is_left = |name: &str, seq| name == subject.as_str() && !record.is_deleted(name, seq);
        let kept = backlog(map.topic, 0, record.first_seq, MAX_COUNTED, store)?;
        let mut looked = kept.len();
        let mut seqs: BTreeSet<u64> =
            kept.iter().filter(|one| is_left(&one.subject, one.seq)).map(|one| one.seq).collect();
        for webhook in
            self.facts.webhooks().of_map(map.id).filter(|webhook| self.holds.kept_bytes(webhook.id) > 0)
        {
            let from = keys::kept_event(webhook.id, 0);
            let to = keys::kept_event(webhook.id, u64::MAX);
            store.scan(&from, &to, &mut |key, event| {
                looked += 1;
                let name = Event::stored_subject(event).unwrap_or_default();
                seqs.extend(keys::number_of(key).filter(|seq| is_left(name, *seq)));
                looked < MAX_COUNTED
            })?;
        }
        let least = u32::from(looked >= MAX_COUNTED && self.has_existed(map.topic, subject, store)?);
        Ok(u32::try_from(seqs.len()).unwrap_or(u32::MAX).max(least))
    }

    /// Returns whether the stream may have had events of the subject. For a subject whose record was
    /// forgotten it may.
    fn has_existed<S: ReadStore>(
        &self,
        stream: TopicId,
        subject: &Subject,
        store: &S,
    ) -> Result<bool, StateError> {
        let of_kind = |record: &TopicRecord| record.forgotten(subject.as_str()).0 > 0;
        let is_forgotten = self.topics.get(&stream).is_some_and(of_kind);
        Ok(self.subject(stream, subject, store)?.map_or(is_forgotten, |one| one.last_seq > 0))
    }
}

/// Returns the seq of the stored event with that id, by bisection: ids ascend with seqs, and the keys end
/// with seqs.
fn seq_of<S: ReadStore, const N: usize>(
    id: EventId,
    next_seq: u64,
    key: impl Fn(u64) -> [u8; N],
    store: &S,
) -> Result<Option<u64>, StateError> {
    let mut low = 1;
    let mut high = next_seq;
    while low < high {
        let middle = low + (high - low) / 2;
        let mut found = None;
        store.scan(&key(middle), &key(high), &mut |key, value| {
            found = key.last_chunk().copied().map(u64::from_be_bytes).zip(Event::stored_id(value));
            false
        })?;
        match found {
            Some((seq, there)) if there == id => return Ok(Some(seq)),
            Some((seq, there)) if there < id => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(None)
}

/// An event that is stored for webhooks alone.
pub(super) struct BacklogEvent {
    pub(super) seq: u64,
    pub(super) key: Vec<u8>,
    pub(super) bytes: u64,
    /// When it was stored (milliseconds of the expiry clock).
    pub(super) stored_ms: u64,
    pub(super) subject: String,
}

impl BacklogEvent {
    pub(super) fn is_withheld(&self) -> bool {
        self.key.first() == Some(&keys::WITHHELD)
    }
}

/// Returns the first `max` events from `from_seq` on that are stored for webhooks alone: those before
/// `first_seq`, and the withheld ones.
pub(super) fn backlog<S: ReadStore>(
    stream: TopicId,
    from_seq: u64,
    first_seq: u64,
    max: usize,
    store: &S,
) -> Result<Vec<BacklogEvent>, StateError> {
    let mut kept: Vec<BacklogEvent> = Vec::new();
    let ranges = [
        (keys::event(stream, from_seq), keys::event(stream, first_seq.max(from_seq))),
        (keys::withheld(stream, from_seq), keys::withheld(stream, u64::MAX)),
    ];
    for (from, to) in ranges {
        let mut left = max;
        store.scan(&from, &to, &mut |key, value| {
            let Some(seq) = keys::event_seq(key).filter(|_| left > 0) else { return false };
            left -= 1;
            kept.push(BacklogEvent {
                seq,
                key: key.to_vec(),
                bytes: value.len() as u64,
                stored_ms: Event::stored_times(value).map_or(0, |times| times.expiry_ms),
                subject: Event::stored_subject(value).unwrap_or_default().to_owned(),
            });
            left > 0
        })?;
    }
    kept.sort_unstable_by_key(|one| one.seq);
    kept.truncate(max);
    Ok(kept)
}
