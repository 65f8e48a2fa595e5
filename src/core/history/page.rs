//! Reading a stream from a seq on, one page at a time.

use super::{History, HistoryError, Wanted};
use crate::core::event::Event;
use crate::core::ids::EventId;
use crate::core::state::keys;
use crate::core::state::subjects::SubjectRecord;
use crate::core::store::ReadStore;
use crate::core::subject::Subject;
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::RangeInclusive;

/// Events examined for one page, whether or not the reader wants them: a reader of a rare subject must also
/// yield.
const MAX_SCANNED: usize = 4096;
/// Approximate bytes of stored events examined for one page.
const MAX_SCANNED_BYTES: usize = 4 << 20;

/// Up to this number, events are scanned one by one even if all wanted subjects are named.
const SCAN_UP_TO: u64 = if cfg!(test) { 4 } else { 256 };
/// Runs of a subject that are read at once when the runs of several subjects are merged.
const RUNS_AT_ONCE: usize = 16;

/// How much a page may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Events.
    pub events: usize,
    /// Bytes of stored events. The page ends with the event that reaches them.
    pub bytes: usize,
}

/// The events that a reader wants in a range of seqs: all that are left.
#[derive(Debug)]
pub struct Page {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The seq after the range. A page without events may still have moved on.
    pub next_seq: u64,
    /// Id of the newest examined event of the stream before `next_seq`, if it is known.
    pub passed_id: Option<EventId>,
    /// Highest seq, within the range, of a removed event that the reader wants.
    pub gone_seq: Option<u64>,
}

/// A page that is being filled.
struct PageBuilder {
    events: Vec<Event>,
    bounds: Bounds,
    bytes: usize,
}

/// One of several subjects whose runs are merged.
struct Named<'n> {
    name: &'n Subject,
    record: SubjectRecord,
    /// Its next runs.
    runs: VecDeque<RangeInclusive<u64>>,
    /// The seq from which runs are not fetched yet.
    next_seq: u64,
}

/// How far a stream was scanned, and what was missing.
struct Scan {
    next_seq: u64,
    passed_id: Option<EventId>,
    missing: Vec<RangeInclusive<u64>>,
    /// The newest event that was deleted and is still to be removed.
    deleted: Option<u64>,
    damaged: Option<u64>,
    events: usize,
    bytes: usize,
    /// Whether there may be more events.
    is_cut: bool,
}

impl Scan {
    fn from(next_seq: u64) -> Self {
        Self {
            next_seq,
            passed_id: None,
            missing: Vec::new(),
            deleted: None,
            damaged: None,
            events: 0,
            bytes: 0,
            is_cut: false,
        }
    }

    fn pass(&mut self, seq: u64, id: EventId, bytes: usize) {
        if seq > self.next_seq {
            self.missing.push(self.next_seq..=seq - 1);
        }
        self.next_seq = seq + 1;
        self.passed_id = Some(id);
        self.events += 1;
        self.bytes += bytes;
    }

    fn is_enough(&self) -> bool {
        self.events >= MAX_SCANNED || self.bytes >= MAX_SCANNED_BYTES
    }

    /// Records that everything up to `next_seq` was examined.
    fn end(&mut self, next_seq: u64, head_id: Option<EventId>) {
        if !self.is_cut && self.next_seq < next_seq {
            self.missing.push(self.next_seq..=next_seq - 1);
            self.next_seq = next_seq;
            self.passed_id = head_id.or(self.passed_id);
        }
    }
}

impl PageBuilder {
    fn push(&mut self, event: Event, bytes: usize) {
        self.bytes += bytes;
        self.events.push(event);
    }

    fn has_room(&self) -> bool {
        self.events.len() < self.bounds.events && self.bytes < self.bounds.bytes
    }
}

impl<S: ReadStore> History<'_, S> {
    /// Reads events from `from_seq` on. If these are removed, it starts at the oldest event that is left.
    pub fn read(&self, from_seq: u64, bounds: Bounds) -> Result<Page, HistoryError> {
        let start = from_seq.max(self.record.first_seq);
        if start >= self.record.next_seq || bounds.events == 0 {
            let gone_seq = self.gone_within(from_seq, start, None)?;
            return Ok(Page { events: Vec::new(), next_seq: start, passed_id: None, gone_seq });
        }
        let few = self.record.next_seq - start <= SCAN_UP_TO;
        let mut page = match &self.wanted {
            Wanted::One(..) => self.read_runs(start, bounds)?,
            Wanted::Several(several) if !few && several.patterns().is_empty() && !self.backlog => {
                self.read_named(several.named(), start, bounds)?
            }
            _ => self.scan(start, bounds)?,
        };
        page.gone_seq = self.gone_within(from_seq, page.next_seq, page.gone_seq)?;
        Ok(page)
    }

    /// Reads one subject by its runs.
    fn read_runs(&self, start: u64, bounds: Bounds) -> Result<Page, HistoryError> {
        let Wanted::One(subject, record) = &self.wanted else { return self.scan(start, bounds) };
        let mut runs = Vec::new();
        let mut count = 0;
        self.runs(subject, record).visit(start, &mut |run| {
            let run = start.max(*run.start())..=*run.end();
            count += run.end() - run.start() + 1;
            runs.push(run);
            count < bounds.events as u64
        })?;
        let mut page = PageBuilder { events: Vec::new(), bounds, bytes: 0 };
        for run in runs {
            if !page.has_room() {
                break;
            }
            self.read_run(&run, &mut page)?;
        }
        // If the page has room left, all runs were read.
        let has_room = page.has_room();
        let (next_seq, passed_id) = match page.events.last() {
            Some(last) if !has_room && last.seq < record.last_seq => (last.seq + 1, last.id),
            _ => (self.record.next_seq, self.record.head_id),
        };
        let passed_id = Some(passed_id);
        Ok(Page { events: page.events, next_seq, passed_id, gone_seq: None })
    }

    /// Reads several named subjects by merging their runs. It costs what they hold, and one lookup for each.
    fn read_named(&self, named: &[Subject], start: u64, bounds: Bounds) -> Result<Page, HistoryError> {
        let mut subjects = Vec::with_capacity(named.len());
        for name in named {
            let mut one = Named { name, record: self.subject(name)?, runs: VecDeque::new(), next_seq: start };
            self.fetch_runs(&mut one)?;
            subjects.push(one);
        }
        let first_of = |one: &Named<'_>| one.runs.front().map(|run| *run.start());
        let mut order: BinaryHeap<_> = (0..subjects.len())
            .filter_map(|index| first_of(&subjects[index]).map(|first| Reverse((first, index))))
            .collect();
        let mut page = PageBuilder { events: Vec::new(), bounds, bytes: 0 };
        while page.has_room()
            && let Some(Reverse((_, index))) = order.pop()
        {
            let one = &mut subjects[index];
            if let Some(run) = one.runs.pop_front() {
                self.read_run(&run, &mut page)?;
            }
            if one.runs.is_empty() {
                self.fetch_runs(one)?;
            }
            order.extend(first_of(one).map(|first| Reverse((first, index))));
        }
        let newest = subjects.iter().map(|one| one.record.last_seq).max().unwrap_or_default();
        let (next_seq, passed_id) = match page.events.last() {
            Some(last) if !page.has_room() && last.seq < newest => (last.seq + 1, last.id),
            _ => (self.record.next_seq, self.record.head_id),
        };
        let trimmed = subjects.iter().map(|one| one.record.trimmed_seq);
        let gone_seq = trimmed.filter(|seq| (start..next_seq).contains(seq)).max();
        Ok(Page { events: page.events, next_seq, passed_id: Some(passed_id), gone_seq })
    }

    /// Fetches the next runs of a subject, if it has any.
    fn fetch_runs(&self, one: &mut Named<'_>) -> Result<(), HistoryError> {
        let from_seq = one.next_seq;
        let runs = &mut one.runs;
        self.runs(one.name, &one.record).visit(from_seq, &mut |run| {
            runs.push_back(from_seq.max(*run.start())..=*run.end());
            runs.len() < RUNS_AT_ONCE
        })?;
        one.next_seq = one.runs.back().map_or(u64::MAX, |last| *last.end() + 1);
        Ok(())
    }

    fn read_run(&self, run: &RangeInclusive<u64>, page: &mut PageBuilder) -> Result<(), HistoryError> {
        let from = keys::event(self.stream, *run.start());
        let to = keys::event(self.stream, run.end() + 1);
        let mut expected = *run.start();
        let mut damaged = false;
        self.store.scan(&from, &to, &mut |key, value| {
            let event =
                keys::event_seq(key).filter(|seq| *seq == expected).and_then(|seq| stored(seq, value));
            let Some(event) = event else {
                damaged = true;
                return false;
            };
            expected += 1;
            page.push(event, value.len());
            page.has_room()
        })?;
        if damaged || page.has_room() && expected <= *run.end() {
            Err(self.damaged(expected))
        } else {
            Ok(())
        }
    }

    /// Scans the stream and skips what the reader does not want without decoding it. `gone_seq` is the
    /// highest removed seq.
    fn scan(&self, start: u64, bounds: Bounds) -> Result<Page, HistoryError> {
        let (withheld, to_seq) = self.withheld(start, bounds)?;
        let mut looked = Scan::from(start);
        let mut page = PageBuilder { events: Vec::new(), bounds, bytes: 0 };
        let from = keys::event(self.stream, start);
        let to = keys::event(self.stream, to_seq);
        self.store.scan(&from, &to, &mut |key, value| {
            let seq = keys::event_seq(key).unwrap_or_default();
            let (Some(id), Some(subject)) = (Event::stored_id(value), Event::stored_subject(value)) else {
                looked.damaged = Some(seq);
                return false;
            };
            looked.pass(seq, id, value.len());
            match self.wanted.matches(subject) || crate::failpoint!("subject-leaks", 20) {
                false => {}
                true if self.record.is_deleted(subject, seq) => looked.deleted = Some(seq),
                true => match stored(seq, value) {
                    Some(event) => page.push(event, value.len()),
                    None => looked.damaged = Some(seq),
                },
            }
            looked.is_cut = !page.has_room() || looked.is_enough();
            !looked.is_cut && looked.damaged.is_none()
        })?;
        if let Some(seq) = looked.damaged {
            return Err(self.damaged(seq));
        }
        looked.end(to_seq, if to_seq == self.record.next_seq { Some(self.record.head_id) } else { None });
        self.check_missing(&looked.missing)?;
        let Scan { next_seq, passed_id, .. } = looked;
        let mut events = page.events;
        if !withheld.is_empty() {
            events.extend(withheld.into_iter().filter(|event| event.seq < next_seq));
            events.sort_unstable_by_key(|event| event.seq);
        }
        let gone_seq = looked.missing.last().map(|range| *range.end()).max(looked.deleted);
        Ok(Page { events, next_seq, passed_id, gone_seq })
    }

    /// Returns the withheld events, which rules took from readers and webhooks still need, and the seq up to
    /// which these are all.
    fn withheld(&self, start: u64, bounds: Bounds) -> Result<(Vec<Event>, u64), HistoryError> {
        let end = self.record.next_seq;
        let mut page = PageBuilder { events: Vec::new(), bounds, bytes: 0 };
        if !self.backlog || self.record.withheld == 0 {
            return Ok((page.events, end));
        }
        let mut damaged = None;
        self.store.scan(
            &keys::withheld(self.stream, start),
            &keys::withheld(self.stream, end),
            &mut |key, value| {
                let seq = keys::event_seq(key).unwrap_or_default();
                match stored(seq, value) {
                    // The event was deleted since and is still to be removed.
                    Some(event) if self.record.is_deleted(event.subject.as_str(), seq) => {}
                    Some(event) => page.push(event, value.len()),
                    None => damaged = Some(seq),
                }
                damaged.is_none() && page.has_room()
            },
        )?;
        match damaged {
            Some(seq) => Err(self.damaged(seq)),
            None => {
                let last = page.events.last().map(|last| last.seq + 1).filter(|_| !page.has_room());
                Ok((page.events, last.unwrap_or(end)))
            }
        }
    }

    /// Checks that holes cover every missing seq; otherwise the store is damaged. One scan of the holes
    /// serves a whole page.
    fn check_missing(&self, missing: &[RangeInclusive<u64>]) -> Result<(), HistoryError> {
        let Some(first) = missing.first() else { return Ok(()) };
        let mut left = missing.iter().peekable();
        let from = keys::hole(self.stream, *first.start());
        let to = keys::hole(self.stream, u64::MAX);
        self.store.scan(&from, &to, &mut |key, value| {
            let Some((end, start)) = keys::hole_end(key).zip(keys::run_start(value)) else { return false };
            // A hole ends before a stored event, so no hole contains two of the ranges.
            left.next_if(|range| start <= *range.start() && *range.end() <= end);
            left.peek().is_some_and(|range| *range.start() > end)
        })?;
        left.next().map_or(Ok(()), |range| Err(self.damaged(*range.start())))
    }
}

fn stored(seq: u64, value: &[u8]) -> Option<Event> {
    Event::from_stored(seq, Bytes::copy_from_slice(value))
}
