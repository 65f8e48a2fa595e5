//! Start positions: where a reader starts in a stream.

use super::{History, HistoryError, Position, Start, Wanted};
use crate::core::event::{Event, Times};
use crate::core::ids::EventId;
use crate::core::state::{keys, subjects};
use crate::core::store::ReadStore;

/// Events searched from the newest back, for the last events of several subjects.
const MAX_SCANNED_BACK: u64 = 250_000;
/// Runs examined for one count.
const MAX_COUNTED_RUNS: usize = 10_000;

/// A stored event without its payload.
struct Found {
    seq: u64,
    id: EventId,
    times: Times,
}

impl<S: ReadStore> History<'_, S> {
    /// Returns where a reader starts.
    pub fn locate(&self, start: Start) -> Result<Position, HistoryError> {
        let record = &self.record;
        let gone = self.gone()?;
        let mut is_known = true;
        let (next_seq, complete) = match start {
            Start::Live => (record.next_seq, true),
            Start::Last(count) => (self.last(count)?, true),
            Start::Since(ms) => {
                let first = self.first_where(|found| found.times.peak_ms >= ms)?;
                (first, !self.is_gone_since(ms, first, &gone)?)
            }
            Start::After(id) => match self.seq_after(id)? {
                Some(seq) => (seq, gone.id <= id && !self.reports_gap_of_another(id)),
                None => {
                    // It is not a position of this stream: the reader is told, and reads everything that is
                    // left.
                    is_known = false;
                    (record.first_seq, false)
                }
            },
        };
        let is_reported = !complete && !crate::failpoint!("gap-not-told") && !self.hides_gap_of_subject();
        // A reader that is told a gap starts with the oldest event that is left: rings may still hold events
        // before it that were removed.
        let oldest = if is_reported { Some(self.first_wanted(next_seq)?) } else { None };
        let next_seq = oldest.flatten().map_or(next_seq, |(seq, _)| seq);
        let gap = oldest.map(|oldest| oldest.map(|(_, id)| id));
        // The event of a position may have been removed, and the event left before it lies further back. A
        // reader is never sent back there.
        let asked = match start {
            Start::After(id) if is_known => id,
            _ => EventId::ZERO,
        };
        let before = self.event_before(next_seq)?.max(gone.position_before(next_seq)).max(asked);
        let head_seq = self.head_seq();
        let head_id = record.head_id;
        Ok(Position { next_seq, before, head_seq, head_id, is_known, gap, gone_seq: gone.seq })
    }

    fn reports_gap_of_another(&self, id: EventId) -> bool {
        crate::failpoint!("gap-of-another-subject") && self.gone_of_stream().id > id
    }

    fn hides_gap_of_subject(&self) -> bool {
        crate::failpoint!("gap-of-subject-unreported") && self.record.removed_seq > 0
    }

    /// Returns the seq to read from after the position `id`; `None` if this stream does not have that position.
    /// Only its neighbours locate a removed event: an id between two stored events, where some were removed, counts
    /// as one of these.
    fn seq_after(&self, id: EventId) -> Result<Option<u64>, HistoryError> {
        let record = &self.record;
        if id == record.head_id {
            return Ok(Some(record.next_seq));
        }
        if id <= record.trimmed_id {
            return Ok(Some(record.first_seq));
        }
        let seq = self.first_where(|found| found.id >= id)?;
        match self.stored_from(seq, record.next_seq)? {
            Some(found) if found.id == id => Ok(Some(found.seq + 1)),
            Some(found) if found.seq > seq => Ok(Some(found.seq)),
            // The newest events were removed.
            None if seq < record.next_seq && id < record.head_id => Ok(Some(record.next_seq)),
            _ => Ok(None),
        }
    }

    /// Returns the id of the event before `seq`, or of the event that retention removed there.
    fn event_before(&self, seq: u64) -> Result<EventId, HistoryError> {
        let record = &self.record;
        if seq >= record.next_seq {
            return Ok(record.head_id);
        }
        let from = keys::event(self.stream, record.first_seq);
        let to = keys::event(self.stream, seq);
        let mut before = None;
        if from < to {
            self.store.scan_back(&from, &to, &mut |_, value| {
                before = Event::stored_id(value);
                false
            })?;
        }
        Ok(before.unwrap_or(record.trimmed_id))
    }

    /// Returns the lowest seq from which on all stored events meet `holds`. If one event meets it, so do all
    /// later ones.
    fn first_where(&self, holds: impl Fn(&Found) -> bool) -> Result<u64, HistoryError> {
        let mut low = self.record.first_seq;
        let mut high = self.record.next_seq;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.stored_from(middle, high)? {
                Some(found) if !holds(&found) => low = found.seq + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Returns the first event stored in `from_seq..to_seq`.
    fn stored_from(&self, from_seq: u64, to_seq: u64) -> Result<Option<Found>, HistoryError> {
        if from_seq >= to_seq {
            return Ok(None);
        }
        let mut found = None;
        self.store.scan(
            &keys::event(self.stream, from_seq),
            &keys::event(self.stream, to_seq),
            &mut |key, value| {
                let times = Event::stored_id(value).zip(Event::stored_times(value));
                found =
                    keys::event_seq(key).map(|seq| (seq, times.map(|(id, times)| Found { seq, id, times })));
                false
            },
        )?;
        let next = found.as_ref().map_or(to_seq, |(seq, _)| *seq);
        if next > from_seq && !subjects::is_hole(self.stream, from_seq..=next - 1, self.store)? {
            return Err(self.damaged(from_seq));
        }
        match found {
            Some((seq, None)) => Err(self.damaged(seq)),
            found => Ok(found.and_then(|(_, found)| found)),
        }
    }

    /// Returns the position from which a reader starts at `seq`.
    pub fn position_at(&self, seq: u64) -> Result<EventId, HistoryError> {
        Ok(self.event_before(seq)?.max(self.gone()?.position_before(seq)))
    }

    /// Returns the id of the event at `seq`, if it is stored.
    pub fn id_at(&self, seq: u64) -> Result<Option<EventId>, HistoryError> {
        if seq < self.record.first_seq || seq >= self.record.next_seq {
            return Ok(None);
        }
        Ok(self.stored_from(seq, seq + 1)?.map(|found| found.id))
    }

    /// Returns the seq of the first of the last `count` events that the reader wants.
    fn last(&self, count: u64) -> Result<u64, HistoryError> {
        let record = &self.record;
        match &self.wanted {
            Wanted::One(_, one) if count >= one.count => Ok(one.first_seq.max(record.first_seq)),
            Wanted::One(subject, one) => Ok(self.runs(subject, one).last(count)?.max(record.first_seq)),
            Wanted::Several(several) => {
                let mut first = record.next_seq;
                let mut all = 0u64;
                let is_whole = self.visit_records(several, &mut |one| {
                    if one.count > 0 {
                        first = first.min(one.first_seq);
                        all += one.count;
                    }
                })?;
                if is_whole && count >= all {
                    Ok(first.max(record.first_seq))
                } else {
                    self.last_by_scan(count)
                }
            }
            Wanted::Whole | Wanted::All => {
                let seq = record.next_seq.saturating_sub(count).max(record.first_seq);
                if seq == record.first_seq || self.has_all_from(seq)? {
                    Ok(seq)
                } else {
                    self.last_by_scan(count)
                }
            }
        }
    }

    /// Returns whether the reader wants every seq from `seq` on and none was removed.
    fn has_all_from(&self, seq: u64) -> Result<bool, HistoryError> {
        let wants_all = match self.wanted {
            Wanted::Whole => true,
            Wanted::All => !self.has_reserved()?,
            Wanted::One(..) | Wanted::Several(_) => false,
        };
        Ok(wants_all && self.record.removed_seq < seq)
    }

    fn last_by_scan(&self, count: u64) -> Result<u64, HistoryError> {
        let record = &self.record;
        let from = keys::event(self.stream, record.first_seq);
        let to = keys::event(self.stream, record.next_seq);
        let mut left = count;
        let mut looked = 0;
        let mut seq = record.next_seq;
        if from >= to || count == 0 {
            return Ok(seq);
        }
        self.store.scan_back(&from, &to, &mut |key, value| {
            looked += 1;
            let at = keys::event_seq(key).unwrap_or(seq);
            if self.is_wanted(at, value) {
                left -= 1;
                seq = at;
            }
            left > 0 && looked < MAX_SCANNED_BACK
        })?;
        Ok(seq)
    }

    /// Counts the events in `from_seq..=last_seq` that the reader receives, if that is known without reading
    /// them.
    pub fn count(&self, from_seq: u64, last_seq: u64) -> Result<Option<u64>, HistoryError> {
        let from_seq = from_seq.max(self.record.first_seq);
        let last_seq = last_seq.min(self.head_seq());
        match &self.wanted {
            _ if from_seq > last_seq => Ok(Some(0)),
            Wanted::One(_, one) if from_seq > one.last_seq => Ok(Some(0)),
            Wanted::One(_, one) if from_seq <= one.first_seq && one.last_seq <= last_seq => {
                Ok(Some(one.count))
            }
            Wanted::One(subject, one) => {
                let mut count = 0;
                let mut runs = 0;
                self.runs(subject, one).visit(from_seq, &mut |run| {
                    count += (run.end().min(&last_seq) + 1).saturating_sub(from_seq.max(*run.start()));
                    runs += 1;
                    runs < MAX_COUNTED_RUNS && *run.end() < last_seq
                })?;
                Ok((runs < MAX_COUNTED_RUNS).then_some(count))
            }
            Wanted::Several(_) => Ok(None),
            Wanted::Whole | Wanted::All => Ok(self.has_all_from(from_seq)?.then(|| last_seq + 1 - from_seq)),
        }
    }
}
