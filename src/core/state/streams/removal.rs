//! Events that go from inside a stream: those that a rule keeps no longer, and those that somebody deletes.
//!
//! Where an event was removed the stream has a hole ([`crate::core::state::subjects`]). What a rule takes from readers is
//! withheld for the webhooks that still need it; what somebody deletes nobody gets.

use super::rules::ByRule;
use super::{Deletion, StateError, Streams, keys};
use crate::core::access::{Map, Scopes};
use crate::core::command::{Change, DeleteEvent, DeleteSubject, Refusal, Reply, Touched};
use crate::core::event::Event;
use crate::core::ids::{EventId, TopicId, WebhookId};
use crate::core::state::rights::Rights;
use crate::core::state::subjects::{self, Runs};
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use std::collections::BTreeSet;

/// Deleted histories of one map that may wait for their removal.
const MAX_DELETIONS: usize = 64;
/// Events looked through to say how many of a subject are kept for webhooks alone.
const MAX_COUNTED: usize = 10_000;

impl Streams {
    /// Takes events from readers, of each subject its oldest. Webhooks that have not passed one still get it.
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
        self.set_aside(map, &free, now_ms, store)?;
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
        let (mut gone, mut bytes, mut newest) = (0, 0, None);
        for &seq in seqs {
            let key = keys::event(stream, seq);
            let Some(event) = store.get(&key)? else { continue };
            let Some(id) = Event::stored_id(&event) else { continue };
            (gone, bytes, newest) = (gone + 1, bytes + event.len() as u64, Some((seq, id)));
            store.delete(&key)?;
            subjects::add_hole(stream, seq, store)?;
            if seq >= floor {
                store.put(&keys::withheld(stream, seq), &event)?;
                if let Some(record) = self.topics.get_mut(&stream) {
                    record.withheld += 1;
                    record.backlog_bytes += event.len() as u64;
                }
            }
        }
        let (Some(newest), Some(record)) = (newest, self.topics.get_mut(&stream)) else { return Ok(()) };
        record.take(gone, bytes);
        record.lost_inside(newest.0, newest.1);
        let runs_from = record.deleted_below(subject.as_str());
        self.change_subject(stream, subject, store, |one, store| {
            one.trim((stream, subject), newest, (gone, bytes), runs_from, store)
        })
    }

    /// Removes an event, and the copies of it that are kept for retries and dead letters.
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

    /// Removes an event from the stream, or from what is withheld; answers its subject.
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
                record.backlog_bytes = record.backlog_bytes.saturating_sub(bytes);
                return Ok(Some(subject));
            }
            record.take(1, bytes);
            record.lost_inside(seq, id);
            self.change_subject(stream, &subject, store, |one, store| {
                one.remove((stream, &subject), (seq, id, bytes), store)
            })?;
            return Ok(Some(subject));
        }
        Ok(None)
    }

    /// Removes what is kept of that event for retries and dead letters; answers its subject.
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
            // One that was deleted with its subject is only still to be removed.
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

    /// Readers lose the subject's history at once. It is removed a piece at a time, with the ticks.
    pub(super) fn delete_subject<S: WriteStore>(
        &mut self,
        delete: DeleteSubject,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let map = match self.facts.check(delete.map, delete.by, Scopes::MANAGE) {
            Ok(map) => map.clone(),
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        let (stream, subject) = (map.topic, &delete.subject);
        let one = self.subject(stream, subject, store)?.unwrap_or_default();
        let kept = if one.count == 0 { self.count_kept(&map, subject, store)? } else { 0 };
        if one.count == 0 && kept == 0 {
            return Ok(Reply::Removed(0));
        }
        let Some(record) = self.topics.get_mut(&stream) else {
            return Ok(Reply::Refused(Refusal::UnknownMap));
        };
        let known = record.deletions.iter().position(|deletion| deletion.subject == *subject);
        let deletion = Deletion::new(subject.clone(), record.next_seq);
        match known {
            Some(place) => record.deletions[place] = deletion,
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
        record.take(one.count, one.bytes);
        record.lost_inside(newest.0, newest.1);
        self.change_subject(stream, subject, store, |one, store| {
            one.end_run((stream, subject), store)?;
            one.first_seq = one.last_seq + 1;
            (one.trimmed_seq, one.trimmed_id) = (one.trimmed_seq, one.trimmed_id).max(newest);
            (one.count, one.bytes) = (0, 0);
            Ok(())
        })?;
        Ok(Reply::Removed(u32::try_from(one.count).unwrap_or(u32::MAX)))
    }

    /// Removes up to `max` events of deleted histories; answers how many it looked at.
    pub(super) fn remove_deleted<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let (stream, mut done) = (map.topic, 0);
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
            let (looked, mut is_over) = self.remove_kept(stream, &deletion, max - done, store)?;
            done += looked;
            if is_over {
                let (looked, is_last) = self.remove_copies(map, &deletion, max - done, store)?;
                (done, is_over) = (done + looked, is_last);
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
            // One that retention met before is gone.
            let Some(event) = store.get(&key)? else { continue };
            store.delete(&key)?;
            subjects::add_hole(stream, seq, store)?;
            // A run may begin with events that readers had lost before, and webhooks had not.
            if let Some(record) = self.topics.get_mut(&stream).filter(|record| seq < record.first_seq) {
                record.backlog_bytes = record.backlog_bytes.saturating_sub(event.len() as u64);
                self.dirty.insert(stream);
            }
        }
        match until == end {
            true => store.delete(&run)?,
            false => store.put(&run, &(until + 1).to_be_bytes())?,
        }
        Ok((until + 1 - start) as usize)
    }

    /// Removes what webhooks would still get of the deleted history. Answers how many events were looked at, and whether
    /// those were all.
    fn remove_kept<S: WriteStore>(
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
            record.backlog_bytes = record.backlog_bytes.saturating_sub(one.bytes);
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

    /// Removes what is kept of the deleted history for retries and dead letters. Answers how many events were looked at,
    /// and whether those were all.
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
            let (from, to) =
                (keys::kept_event(webhook, next_seq), keys::kept_event(webhook, deletion.below_seq));
            let mut copies = Vec::new();
            store.scan(&from, &to, &mut |key, event| {
                let Some(seq) = keys::number_of(key).filter(|_| looked < max) else { return false };
                (looked, next_seq) = (looked + 1, seq + 1);
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

    /// How many events of a subject are kept for webhooks alone. Where very much is kept it is not all looked through, and
    /// at least one is said to be there.
    fn count_kept<S: ReadStore>(&self, map: &Map, subject: &Subject, store: &S) -> Result<u32, StateError> {
        let Some(record) = self.topics.get(&map.topic) else { return Ok(0) };
        let is_left = |name: &str, seq| name == subject.as_str() && !record.is_deleted(name, seq);
        let kept = backlog(map.topic, 0, record.first_seq, MAX_COUNTED, store)?;
        let mut looked = kept.len();
        let mut seqs: BTreeSet<u64> =
            kept.iter().filter(|one| is_left(&one.subject, one.seq)).map(|one| one.seq).collect();
        for webhook in
            self.facts.webhooks().of_map(map.id).filter(|webhook| self.holds.kept_bytes(webhook.id) > 0)
        {
            let (from, to) = (keys::kept_event(webhook.id, 0), keys::kept_event(webhook.id, u64::MAX));
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

    /// Whether the stream may have had events of the subject: of one whose record was forgotten nobody knows.
    fn has_existed<S: ReadStore>(
        &self,
        stream: TopicId,
        subject: &Subject,
        store: &S,
    ) -> Result<bool, StateError> {
        let is_forgotten = self.topics.get(&stream).is_some_and(|record| record.forgotten_seq > 0);
        Ok(self.subject(stream, subject, store)?.map_or(is_forgotten, |one| one.last_seq > 0))
    }
}

/// The seq of the stored event with that id, by bisection: ids ascend with seqs, and keys end with them.
fn seq_of<S: ReadStore, const N: usize>(
    id: EventId,
    next_seq: u64,
    key: impl Fn(u64) -> [u8; N],
    store: &S,
) -> Result<Option<u64>, StateError> {
    let (mut low, mut high) = (1, next_seq);
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
pub(super) struct Kept {
    pub(super) seq: u64,
    pub(super) key: Vec<u8>,
    pub(super) bytes: u64,
    /// When it was stored, by the expiry clock.
    pub(super) stored_ms: u64,
    pub(super) subject: String,
}

impl Kept {
    pub(super) fn is_withheld(&self) -> bool {
        self.key.first() == Some(&keys::WITHHELD)
    }
}

/// The first `max` events from `from_seq` on that are stored for webhooks alone: those before `first_seq`, and the
/// withheld.
pub(super) fn backlog<S: ReadStore>(
    stream: TopicId,
    from_seq: u64,
    first_seq: u64,
    max: usize,
    store: &S,
) -> Result<Vec<Kept>, StateError> {
    let mut kept: Vec<Kept> = Vec::new();
    let ranges = [
        (keys::event(stream, from_seq), keys::event(stream, first_seq.max(from_seq))),
        (keys::withheld(stream, from_seq), keys::withheld(stream, u64::MAX)),
    ];
    for (from, to) in ranges {
        let mut left = max;
        store.scan(&from, &to, &mut |key, value| {
            let Some(seq) = keys::event_seq(key).filter(|_| left > 0) else { return false };
            left -= 1;
            kept.push(Kept {
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
