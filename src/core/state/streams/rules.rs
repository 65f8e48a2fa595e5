//! What rules keep less of a subject than the map keeps: by count and bytes as events come, by age with the ticks, and all
//! there is once a map has other rules.

use super::{StateError, Streams, keys};
use crate::core::access::Map;
use crate::core::channel_rules::SubjectHistory;
use crate::core::event::Event;
use crate::core::ids::TopicId;
use crate::core::state::subjects::{Runs, SubjectRecord};
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use std::collections::BTreeMap;

/// Events beyond the bound of a rule that may pile up before they are taken together.
const SLACK_EVENTS: u64 = 256;
/// Most events taken from one subject after one publish.
const THIN_PER_PUBLISH: usize = 2048;

impl Streams {
    /// Takes the oldest events of these subjects from readers where their rules keep less.
    pub(super) fn thin_published<'e, S: WriteStore>(
        &mut self,
        map: &Map,
        subjects: impl Iterator<Item = &'e Subject>,
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        if map.rules.all().is_empty() {
            return Ok(());
        }
        let mut named: Vec<&Subject> = subjects.collect();
        named.sort_unstable();
        named.dedup();
        for subject in named {
            self.thin(map, subject, SLACK_EVENTS, THIN_PER_PUBLISH, now_ms, store)?;
        }
        Ok(())
    }

    /// Takes up to `max` of the subject's oldest events from readers where it exceeds its rule's count or bytes, by more
    /// than the slack; the newest always stays. Answers how many.
    fn thin<S: WriteStore>(
        &mut self,
        map: &Map,
        subject: &Subject,
        slack: u64,
        max: usize,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let SubjectHistory { events, bytes, .. } = map.rules.history_of(subject.as_str());
        if events.or(bytes).is_none() {
            return Ok(0);
        }
        let (max_count, max_bytes) = (events.unwrap_or(u64::MAX), bytes.unwrap_or(u64::MAX));
        let Some(one) = self.subject(map.topic, subject, store)? else { return Ok(0) };
        let slack_bytes = (one.bytes / one.count.max(1)).saturating_mul(slack).min(max_bytes / 16);
        if one.count <= max_count.saturating_add(slack.min(max_count / 16))
            && one.bytes <= max_bytes.saturating_add(slack_bytes)
        {
            return Ok(0);
        }
        let over = |count: u64, bytes: u64| count > 1 && (count > max_count || bytes > max_bytes);
        let seqs = oldest(map.topic, subject, &one, max, over, store)?;
        self.take_inside(map, subject, &seqs, now_ms, store)?;
        Ok(seqs.len())
    }

    /// Takes events from readers that rules keep no longer at their age. Events grow old in the order of the stream, so
    /// each rule looks at each event once. Answers how many were looked at, at most `max` of them.
    pub(super) fn age_by_rules<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let mut looked = 0;
        for (place, rule) in map.rules.all().iter().enumerate() {
            let Some(seconds) = rule.history.seconds else { continue };
            let keep_from_ms = now_ms.saturating_sub(seconds.saturating_mul(1000));
            if looked < max && keep_from_ms > 0 {
                looked += self.age_by_rule(map, place, keep_from_ms, max - looked, now_ms, store)?;
            }
        }
        Ok(looked)
    }

    fn age_by_rule<S: WriteStore>(
        &mut self,
        map: &Map,
        place: usize,
        keep_from_ms: u64,
        max: usize,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let Some(record) = self.topics.get(&map.topic) else { return Ok(0) };
        let from_seq = record.aged.get(place).map_or(1, |seq| *seq).max(record.first_seq);
        if record.subjects == 0 && map.rules.place_of("") != Some(place) {
            return Ok(0);
        }
        let (mut next_seq, mut looked, mut aged) = (from_seq, 0, BTreeMap::<String, Vec<u64>>::new());
        let (from, to) = (keys::event(map.topic, from_seq), keys::event(map.topic, record.next_seq));
        store.scan(&from, &to, &mut |key, value| {
            let is_old = Event::stored_times(value).is_some_and(|times| times.expiry_ms < keep_from_ms);
            let Some(seq) = keys::event_seq(key).filter(|_| is_old && looked < max) else { return false };
            (next_seq, looked) = (seq + 1, looked + 1);
            let subject = Event::stored_subject(value).unwrap_or_default();
            if map.rules.place_of(subject) == Some(place) && !record.is_deleted(subject, seq) {
                aged.entry(subject.to_owned()).or_default().push(seq);
            }
            true
        })?;
        if looked == 0 {
            return Ok(0);
        }
        if let Some(record) = self.topics.get_mut(&map.topic) {
            record.aged.resize(map.rules.all().len(), 1);
            record.aged[place] = next_seq;
            self.dirty.insert(map.topic);
        }
        for (name, seqs) in aged {
            if let Ok(subject) = Subject::parse_any(&name) {
                self.take_inside(map, &subject, &seqs, now_ms, store)?;
            }
        }
        Ok(looked)
    }

    /// After the rules were changed: takes from each subject what its rule keeps no longer, `max` events and subjects at
    /// most. Answers how many.
    pub(super) fn sweep<S: WriteStore>(
        &mut self,
        map: &Map,
        max: usize,
        now_ms: u64,
        store: &mut S,
    ) -> Result<usize, StateError> {
        let mut done = 0;
        while done < max
            && let Some(subject) = self.topics.get(&map.topic).and_then(|record| record.sweep.clone())
        {
            let taken = self.thin(map, &subject, 0, max - done, now_ms, store)?;
            done += taken + 1;
            // What took all that there was room for may have more.
            if done <= max {
                let next = self.subject_after(map.topic, &subject, store)?;
                if let Some(record) = self.topics.get_mut(&map.topic) {
                    record.sweep = next;
                    self.dirty.insert(map.topic);
                }
            }
        }
        Ok(done.min(max))
    }

    /// The next subject by name that has a record.
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
        // One that came within this transaction is not stored yet.
        let new = self.touched.range((stream, subject.clone())..).map(|((of, name), _)| (of, name));
        let new = new.take_while(|(of, _)| **of == stream).map(|(_, name)| name).find(|name| *name > subject).cloned();
        Ok(next.into_iter().chain(new).min())
    }
}

/// The oldest events of a subject that readers have, up to `max` of them, while `over(count, bytes)` of what is left
/// holds.
fn oldest<S: ReadStore>(
    stream: TopicId,
    subject: &Subject,
    one: &SubjectRecord,
    max: usize,
    over: impl Fn(u64, u64) -> bool,
    store: &S,
) -> Result<Vec<u64>, StateError> {
    let (mut runs, mut found) = (Vec::new(), 0);
    Runs::new(store, stream, subject.as_str(), one).visit(0, &mut |run| {
        found += run.end() + 1 - run.start();
        runs.push(run);
        found < max as u64
    })?;
    let (mut seqs, mut count, mut bytes) = (Vec::new(), one.count, one.bytes);
    for seq in runs.into_iter().flatten().take(max) {
        if !over(count, bytes) {
            break;
        }
        let stored = store.get(&keys::event(stream, seq))?.map_or(0, |event| event.len() as u64);
        (count, bytes) = (count.saturating_sub(1), bytes.saturating_sub(stored));
        seqs.push(seq);
    }
    Ok(seqs)
}
