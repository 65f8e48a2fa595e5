//! Channel rules that keep less of a subject than the map keeps: by count, bytes and age with the ticks, and
//! over all subjects after a change of the rules.
//!
//! A live reader learns of an event and reads it a little later. It would miss what a rule took in between,
//! so an event beyond the rule's count or bytes stays for [`YOUNG_MS`]. Its subject waits for a tick to trim
//! it ([`super::keys::thinning`]). A publish itself takes events only beyond [`SLACK_EVENTS`], so that a
//! subject stays bounded.

use super::{StateError, Streams, keys};
use crate::core::access::Map;
use crate::core::channel_rules::{LIFECYCLE_HISTORY, SubjectHistory};
use crate::core::event::Event;
use crate::core::ids::TopicId;
use crate::core::state::subjects::{Runs, SubjectRecord};
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use std::collections::BTreeMap;

/// Events beyond a rule's bound that may accumulate before a publish takes some. A publish then takes half of
/// them at once.
const SLACK_EVENTS: u64 = 256;
/// Younger events stay beyond the bound of a rule (milliseconds of the expiry clock).
pub(super) const YOUNG_MS: u64 = 5_000;
/// A subject that has young events beyond its bound is checked again after this time (milliseconds).
const AGAIN_MS: u64 = 1_000;
/// The largest number of events taken after one publish, over all of its subjects.
const THIN_PER_PUBLISH: usize = 2048;

/// Events that rules take from readers: ascending seqs, by subject.
pub(super) type ByRule = BTreeMap<Subject, Vec<u64>>;

/// How much a rule keeps of a subject.
struct Bound {
    events: u64,
    bytes: u64,
}

impl Bound {
    /// Returns `None` if only age bounds the subject.
    fn of(map: &Map, subject: &Subject) -> Option<Self> {
        let SubjectHistory { events, bytes, .. } = map.rules.history_of(subject.as_str());
        events.or(bytes)?;
        Some(Self { events: events.unwrap_or(u64::MAX), bytes: bytes.unwrap_or(u64::MAX) })
    }

    /// Returns whether the bound is exceeded. The newest event always stays.
    fn is_exceeded_by(&self, count: u64, bytes: u64) -> bool {
        count > 1 && (count > self.events || bytes > self.bytes)
    }

    /// Extends the bound by this number of events of the subject's average size.
    fn with_slack(&self, one: &SubjectRecord, events: u64) -> Self {
        let bytes = (one.bytes / one.count.max(1)).saturating_mul(events);
        Self { events: self.events.saturating_add(events), bytes: self.bytes.saturating_add(bytes) }
    }
}

impl Streams {
    /// Schedules the subjects of new events whose rule keeps less for a tick, and trims those at once that
    /// have far too much.
    pub(super) fn thin_published<'e, S: WriteStore>(
        &mut self,
        map: &Map,
        subjects: impl Iterator<Item = &'e Subject>,
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        let has_rules = !map.rules.all().is_empty();
        let mut named: Vec<&Subject> =
            subjects.filter(|subject| has_rules || subject.channel().is_some()).collect();
        named.sort_unstable();
        named.dedup();
        let mut left = THIN_PER_PUBLISH;
        let mut taken = ByRule::new();
        for subject in named {
            let Some(bound) = Bound::of(map, subject) else { continue };
            let Some(one) = self.subject(map.topic, subject, store)? else { continue };
            if !bound.is_exceeded_by(one.count, one.bytes) {
                continue;
            }
            self.wait_for_thinning(map.topic, subject, now_ms.saturating_add(YOUNG_MS), store)?;
            if left > 0 && bound.with_slack(&one, SLACK_EVENTS).is_exceeded_by(one.count, one.bytes) {
                let bound = bound.with_slack(&one, SLACK_EVENTS / 2);
                let over = |count, bytes, _| bound.is_exceeded_by(count, bytes);
                let oldest = oldest(map.topic, subject, &one, left, over, store)?;
                left -= oldest.seqs.len();
                taken.insert(subject.clone(), oldest.seqs);
            }
        }
        self.take_inside(map, &taken, now_ms, store)
    }

    /// Schedules the subject to be trimmed by a tick at `due_ms` or later. A subject that waits already keeps
    /// its time.
    fn wait_for_thinning<S: WriteStore>(
        &mut self,
        stream: TopicId,
        subject: &Subject,
        due_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        if self.subject(stream, subject, store)?.is_none_or(|one| one.waits_for_thinning) {
            return Ok(());
        }
        store.put(&keys::thinning(stream, due_ms, subject.as_str()), &[])?;
        self.change_subject(stream, subject, store, |one, _| {
            one.waits_for_thinning = true;
            Ok(())
        })
    }

    /// Trims the waiting subjects, at most `max` events and subjects. Returns how many.
    pub(super) fn thin_waiting<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let from = keys::thinning(map.topic, 0, "");
        let to = keys::thinning(map.topic, now_ms.saturating_add(1), "");
        let mut due = Vec::new();
        store.scan(&from, &to, &mut |key, _| {
            if due.len() < max {
                due.push(key.to_vec());
            }
            due.len() < max
        })?;
        let mut done = 0;
        let mut taken = ByRule::new();
        for key in due {
            if done >= max {
                break;
            }
            store.delete(&key)?;
            done += 1;
            let Some(subject) = keys::thinning_name(&key).and_then(|name| Subject::parse_any(name).ok())
            else {
                continue;
            };
            if self.subject(map.topic, &subject, store)?.is_none() {
                continue;
            }
            self.change_subject(map.topic, &subject, store, |one, _| {
                one.waits_for_thinning = false;
                Ok(())
            })?;
            done += self.thin(map, &subject, max - done, now_ms, &mut taken, store)?;
        }
        self.take_inside(map, &taken, now_ms, store)?;
        Ok(done)
    }

    /// Finds up to `max` events that the subject's rule no longer keeps and that are not young. The subject
    /// waits while there are more. Returns how many it found.
    fn thin<S: WriteStore>(
        &mut self,
        map: &Map,
        subject: &Subject,
        max: usize,
        now_ms: u64,
        taken: &mut ByRule,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let Some(bound) = Bound::of(map, subject) else { return Ok(0) };
        let Some(one) = self.subject(map.topic, subject, store)? else { return Ok(0) };
        let is_old = |stored_ms: u64| stored_ms.saturating_add(YOUNG_MS) <= now_ms;
        let over = |count, bytes, stored_ms| bound.is_exceeded_by(count, bytes) && is_old(stored_ms);
        let oldest = oldest(map.topic, subject, &one, max, over, store)?;
        if bound.is_exceeded_by(oldest.count, oldest.bytes) {
            let wait_ms = if oldest.seqs.len() < max { AGAIN_MS } else { 0 };
            self.wait_for_thinning(map.topic, subject, now_ms.saturating_add(wait_ms), store)?;
        }
        let count = oldest.seqs.len();
        taken.insert(subject.clone(), oldest.seqs);
        Ok(count)
    }

    /// Takes events from readers that exceed the age of their rule. Events age in the order of the stream, so
    /// each rule examines each event once. Returns how many were examined, at most `max`.
    pub(super) fn age_by_rules<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let mut looked = 0;
        let mut aged = ByRule::new();
        let rules = map.rules.all().iter().map(|rule| rule.history);
        let has_lifecycle = self.topics.get(&map.topic).is_some_and(|record| record.aged.len() > rules.len());
        let built_in = has_lifecycle.then_some(LIFECYCLE_HISTORY);
        for (index, history) in rules.chain(built_in).enumerate() {
            let Some(seconds) = history.seconds else { continue };
            let keep_from_ms = now_ms.saturating_sub(seconds.saturating_mul(1000));
            if looked < max && keep_from_ms > 0 {
                looked += self.age_by_rule(map, index, keep_from_ms, max - looked, &mut aged, store)?;
            }
        }
        self.take_inside(map, &aged, now_ms, store)?;
        Ok(looked)
    }

    fn age_by_rule<S: WriteStore>(
        &mut self,
        map: &Map,
        index: usize,
        keep_from_ms: u64,
        max: usize,
        aged: &mut ByRule,
        store: &S,
    ) -> Result<usize, StateError> {
        let Some(record) = self.topics.get(&map.topic) else { return Ok(0) };
        let from_seq = record.aged.get(index).map_or(1, |seq| *seq).max(record.first_seq);
        let has_lifecycle = record.aged.len() > map.rules.all().len();
        // The server's own subjects are not counted.
        let rule = map.rules.all().get(index);
        let is_for_server = rule.is_some_and(|rule| rule.matches.prefix().starts_with('$'));
        let is_for_none = record.subjects == 0 && !has_lifecycle && !is_for_server;
        if is_for_none && map.rules.history_index("") != Some(index) {
            return Ok(0);
        }
        let mut next_seq = from_seq;
        let mut looked = 0;
        let from = keys::event(map.topic, from_seq);
        let to = keys::event(map.topic, record.next_seq);
        store.scan(&from, &to, &mut |key, value| {
            let is_old = Event::stored_times(value).is_some_and(|times| times.expiry_ms < keep_from_ms);
            let Some(seq) = keys::event_seq(key).filter(|_| is_old && looked < max) else { return false };
            next_seq = seq + 1;
            looked += 1;
            let name = Event::stored_subject(value).unwrap_or_default();
            if map.rules.history_index(name) == Some(index)
                && !record.is_deleted(name, seq)
                && let Ok(subject) = Subject::parse_any(name)
            {
                aged.entry(subject).or_default().push(seq);
            }
            true
        })?;
        if looked > 0
            && let Some(record) = self.topics.get_mut(&map.topic)
        {
            if record.aged.len() <= index {
                record.aged.resize(index + 1, 1);
            }
            record.aged[index] = next_seq;
            self.dirty.insert(map.topic);
        }
        Ok(looked)
    }

    /// Checks each subject after a change of the rules and takes what its rule no longer keeps, at most `max`
    /// events and subjects. Returns how many.
    pub(super) fn sweep<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let mut done = 0;
        let mut taken = ByRule::new();
        while done < max
            && let Some(subject) = self.topics.get(&map.topic).and_then(|record| record.sweep.clone())
        {
            done += self.thin(map, &subject, max - done, now_ms, &mut taken, store)?;
            done += 1;
            // A subject that used up the budget may have more to take.
            if done <= max {
                let next = self.subject_after(map.topic, &subject, store)?;
                if let Some(record) = self.topics.get_mut(&map.topic) {
                    record.sweep = next;
                    self.dirty.insert(map.topic);
                }
            }
        }
        self.take_inside(map, &taken, now_ms, store)?;
        Ok(done.min(max))
    }

    /// Returns the next subject by name that has a record.
    fn subject_after<S: ReadStore>(
        &self,
        stream: TopicId,
        subject: &Subject,
        store: &S,
    ) -> Result<Option<Subject>, StateError> {
        let mut from = keys::subject(stream, subject.as_str());
        from.push(0);
        let (_, to) = keys::of_stream(keys::SUBJECTS, stream);
        let mut next = None;
        store.scan(&from, &to, &mut |key, _| {
            next = keys::subject_name(key).and_then(|name| Subject::parse_any(name).ok());
            false
        })?;
        // A subject that appeared within this transaction is not stored yet.
        let new = self.touched.range((stream, subject.clone())..).map(|((of, name), _)| (of, name));
        let new = new
            .take_while(|(of, _)| **of == stream)
            .map(|(_, name)| name)
            .find(|name| *name > subject)
            .cloned();
        Ok(next.into_iter().chain(new).min())
    }
}

/// The oldest events of a subject, and what remains of the subject without them.
struct Oldest {
    seqs: Vec<u64>,
    count: u64,
    bytes: u64,
}

/// Finds up to `max` of the oldest events of a subject that readers have, while `over(count, bytes, time when
/// the oldest was stored)` holds for the remaining ones.
fn oldest<S: ReadStore>(
    stream: TopicId,
    subject: &Subject,
    one: &SubjectRecord,
    max: usize,
    over: impl Fn(u64, u64, u64) -> bool,
    store: &S,
) -> Result<Oldest, StateError> {
    let mut runs = Vec::new();
    let mut found = 0;
    Runs::new(store, stream, subject.as_str(), one).visit(0, &mut |run| {
        found += run.end() + 1 - run.start();
        runs.push(run);
        found < max as u64
    })?;
    let mut oldest = Oldest { seqs: Vec::new(), count: one.count, bytes: one.bytes };
    for seq in runs.into_iter().flatten().take(max) {
        let event = store.get(&keys::event(stream, seq))?.unwrap_or_default();
        let stored_ms = Event::stored_times(&event).map_or(0, |times| times.expiry_ms);
        if !over(oldest.count, oldest.bytes, stored_ms) {
            break;
        }
        oldest.count = oldest.count.saturating_sub(1);
        oldest.bytes = oldest.bytes.saturating_sub(event.len() as u64);
        oldest.seqs.push(seq);
    }
    Ok(oldest)
}
