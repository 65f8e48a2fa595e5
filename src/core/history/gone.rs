//! Removed history: the events that a reader wants and that retention, a rule or a deletion removed.

use super::{History, HistoryError, MAX_VISITED, Wanted};
use crate::core::event::Event;
use crate::core::ids::EventId;
use crate::core::state::keys;
use crate::core::state::subjects::SubjectRecord;
use crate::core::store::ReadStore;

/// The number of events that are searched for the oldest one left.
const MAX_SCANNED_FOR_OLDEST: u64 = 250_000;

/// The newest event that a reader wants and that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    /// Its id; [`EventId::ZERO`] if no event was removed.
    pub(super) id: EventId,
    /// Its seq, or that of a later event which nobody can read either; 0 if no event was removed.
    pub(super) seq: u64,
}

impl Gone {
    const NONE: Self = Self { id: EventId::ZERO, seq: 0 };

    fn of(record: &SubjectRecord) -> Self {
        Self { id: record.trimmed_id, seq: record.trimmed_seq }
    }

    fn newer(self, other: Self) -> Self {
        if other.id > self.id { other } else { self }
    }

    /// Returns its id as a position of a reader that reads from `next_seq` on.
    pub(super) fn position_before(&self, next_seq: u64) -> EventId {
        if self.seq < next_seq { self.id } else { EventId::ZERO }
    }
}

impl<S: ReadStore> History<'_, S> {
    /// Returns the newest event that the reader wants and that was removed.
    pub(super) fn gone(&self) -> Result<Gone, HistoryError> {
        match &self.wanted {
            Wanted::One(_, one) => Ok(Gone::of(one)),
            Wanted::Several(several) => {
                let of_stream = self.gone_of_stream();
                if of_stream == Gone::NONE {
                    return Ok(of_stream);
                }
                let mut gone = Gone::NONE;
                let is_whole =
                    self.visit_records(several, &mut |record| gone = gone.newer(Gone::of(record)))?;
                Ok(if is_whole { gone } else { of_stream })
            }
            Wanted::Whole => Ok(self.gone_of_stream()),
            Wanted::All => self.gone_of_all(),
        }
    }

    /// Does so for all subjects except the server's own. If the stream's newest removed event was the
    /// server's, the records of the other subjects decide.
    fn gone_of_all(&self) -> Result<Gone, HistoryError> {
        let newest = self.gone_of_stream();
        if newest == Gone::NONE {
            return Ok(newest);
        }
        let mut is_reserved = self.record.lifecycle.gone_id == newest.id;
        if !is_reserved {
            let mut left = MAX_VISITED;
            self.visit_named("$", &mut left, &mut |_, record| is_reserved |= record.trimmed_id == newest.id)?;
        }
        if !is_reserved {
            return Ok(newest);
        }
        let mut gone = Gone::NONE;
        let is_whole = self.visit_open(&mut |record| gone = gone.newer(Gone::of(record)))?;
        Ok(if is_whole { gone } else { newest })
    }

    pub(super) fn gone_of_stream(&self) -> Gone {
        let record = &self.record;
        let at_the_front = Gone { id: record.trimmed_id, seq: record.first_seq - 1 };
        let inside = Gone { id: record.removed_id, seq: record.removed_seq };
        Gone::NONE.newer(at_the_front).newer(inside)
    }

    /// Returns whether the reader receives the event, which is stored at `seq`.
    pub(super) fn is_wanted(&self, seq: u64, value: &[u8]) -> bool {
        Event::stored_subject(value)
            .is_some_and(|subject| self.wanted.matches(subject) && !self.record.is_deleted(subject, seq))
    }

    /// Returns whether an event was removed that the reader wants and whose time is `ms` or later. The stored
    /// events of that time begin with `first_seq`.
    pub(super) fn is_gone_since(&self, ms: u64, first_seq: u64, gone: &Gone) -> Result<bool, HistoryError> {
        let may_be = |gone: &Gone| gone.id.id_ms() >= ms;
        if *gone == Gone::NONE {
            return Ok(false);
        }
        if gone.seq < self.record.first_seq {
            let of_all = matches!(self.wanted, Wanted::Whole | Wanted::All);
            return Ok(self.record.trimmed_peak_ms >= ms && (of_all || may_be(gone)));
        }
        // Everything before `first_seq` lies before a stored event and was older. Between it and the next
        // stored event the times are unknown.
        let is_behind = |next: Option<u64>| next.is_some_and(|next| gone.seq > next);
        Ok(gone.seq >= first_seq && (is_behind(self.next_stored(first_seq)?) || may_be(gone)))
    }

    fn next_stored(&self, seq: u64) -> Result<Option<u64>, HistoryError> {
        let from = keys::event(self.stream, seq);
        let to = keys::event(self.stream, self.record.next_seq);
        let mut next = None;
        if from < to {
            self.store.scan(&from, &to, &mut |key, _| {
                next = keys::event_seq(key);
                false
            })?;
        }
        Ok(next)
    }

    /// Returns the highest seq in `from_seq..next_seq` of a removed event that the reader wants. `missing` is
    /// the highest seq there that was removed inside the stream.
    pub(super) fn gone_within(
        &self,
        from_seq: u64,
        next_seq: u64,
        missing: Option<u64>,
    ) -> Result<Option<u64>, HistoryError> {
        let within = |seq: u64| (from_seq..next_seq).contains(&seq);
        if let Wanted::One(_, one) = &self.wanted {
            return Ok(Some(one.trimmed_seq).filter(|seq| within(*seq)));
        }
        let front = self.record.first_seq.saturating_sub(1);
        let of_stream = missing.max(Some(front).filter(|front| from_seq <= *front));
        if of_stream.is_none() {
            return Ok(None);
        }
        let mut gone = None;
        let mut add =
            |record: &SubjectRecord| gone = gone.max(Some(record.trimmed_seq).filter(|seq| within(*seq)));
        let is_told_apart = match &self.wanted {
            Wanted::Several(several) => self.visit_records(several, &mut add)?,
            Wanted::All => self.has_reserved()? && self.visit_open(&mut add)?,
            Wanted::One(..) | Wanted::Whole => false,
        };
        Ok(if is_told_apart { gone } else { of_stream })
    }

    /// Returns seq and id of the first event from `seq` on that the reader wants.
    pub(super) fn first_wanted(&self, seq: u64) -> Result<Option<(u64, EventId)>, HistoryError> {
        let Wanted::One(subject, one) = &self.wanted else { return self.first_by_scan(seq) };
        let mut first = None;
        self.runs(subject, one).visit(seq.max(self.record.first_seq), &mut |run| {
            first = Some(seq.max(self.record.first_seq).max(*run.start()));
            false
        })?;
        let Some(first) = first else { return Ok(None) };
        Ok(self.id_at(first)?.map(|id| (first, id)))
    }

    fn first_by_scan(&self, seq: u64) -> Result<Option<(u64, EventId)>, HistoryError> {
        let from_seq = seq.max(self.record.first_seq);
        let from = keys::event(self.stream, from_seq);
        let to = keys::event(self.stream, self.record.next_seq);
        let mut first = None;
        let mut looked = 0;
        if from < to {
            self.store.scan(&from, &to, &mut |key, value| {
                let seq = keys::event_seq(key).unwrap_or_default();
                first = Event::stored_id(value).filter(|_| self.is_wanted(seq, value)).map(|id| (seq, id));
                looked += 1;
                first.is_none() && looked < MAX_SCANNED_FOR_OLDEST
            })?;
        }
        Ok(first)
    }
}
