//! The desk: where a consumer's owner hands events to clients that read, and notes who has which.
//!
//! A reader says how many events it takes and until when it waits. An event that is handed over is under a
//! *loan*: until the loan ends, no other reader gets the event. The desk reads no clock: all times are
//! milliseconds of a clock that never goes back, which the caller reads.

#[cfg(test)]
mod tests;

use super::reading::{MAX_READ_BYTES, Wish};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The most readers that wait for one consumer.
pub const MAX_READERS: usize = 1000;
/// How much longer than it wants to a reader waits for events that are being read, in milliseconds. So a reader
/// that waits for nothing gets what there is.
const GRACE_MS: u64 = 2000;
/// How long a reader that has something waits for more that is being read, in milliseconds. It is far less
/// than the shortest visibility.
const GATHER_MS: u64 = 30;
/// The most events that are read for the readers of one consumer at a time.
const MAX_CHOSEN: usize = 64;

/// An event that a reader has and has not acknowledged. `F` names the event for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Loan<F> {
    flight: F,
    reader: u64,
    until_ms: u64,
}

/// A reader that waits. `A` is how the caller answers it.
#[derive(Debug)]
struct Reader<M, A> {
    wish: Wish,
    until_ms: u64,
    /// What it gets, with the number of each loan.
    got: Vec<(u64, M)>,
    bytes: usize,
    /// Until when it waits for more, once it has something.
    gathers_until_ms: Option<u64>,
    answer: A,
}

impl<M, A> Reader<M, A> {
    /// When it has waited for long enough. `comes`: there may be something for it soon.
    fn ends_ms(&self, comes: bool) -> u64 {
        let waits_until_ms = if comes { self.until_ms.saturating_add(GRACE_MS) } else { self.until_ms };
        self.gathers_until_ms.map_or(waits_until_ms, |until_ms| until_ms.min(waits_until_ms))
    }

    fn is_full(&self) -> bool {
        self.got.len() >= self.wish.max as usize || self.bytes >= MAX_READ_BYTES
    }
}

/// What is to be said to a reader: its events, each with the number of its loan.
pub type Told<M, A> = (A, Vec<(u64, M)>);

/// The readers and the loans of one consumer. Lives as long as the owner runs the consumer.
#[derive(Debug)]
pub struct Desk<F, M, A> {
    readers: VecDeque<Reader<M, A>>,
    loans: BTreeMap<u64, Loan<F>>,
    /// When each loan ends.
    ends: BTreeSet<(u64, u64)>,
    /// The loans of readers that read again and again.
    held: BTreeMap<u64, u32>,
    /// Events that were chosen for readers and are still being read.
    chosen: usize,
    /// The bytes of the event that was handed over last. The next ones are likely to be as large.
    last_bytes: usize,
    /// All loans end by then: the consumer moves to another owner.
    closes_ms: Option<u64>,
}

impl<F: Copy, M, A> Default for Desk<F, M, A> {
    fn default() -> Self {
        Self {
            readers: VecDeque::new(),
            loans: BTreeMap::new(),
            ends: BTreeSet::new(),
            held: BTreeMap::new(),
            chosen: 0,
            last_bytes: 0,
            closes_ms: None,
        }
    }
}

impl<F: Copy, M, A> Desk<F, M, A> {
    /// Adds a reader.
    ///
    /// # Errors
    /// Too many wait already; the reader's way to be answered is returned.
    pub fn wait(&mut self, wish: Wish, answer: A, now_ms: u64) -> Result<(), A> {
        if self.readers.len() >= MAX_READERS {
            return Err(answer);
        }
        let until_ms = now_ms.saturating_add(wish.wait_ms);
        self.readers.push_back(Reader {
            wish,
            until_ms,
            got: Vec::new(),
            bytes: 0,
            gathers_until_ms: None,
            answer,
        });
        Ok(())
    }

    /// Returns how many more events may be chosen for the readers, beside those that are chosen.
    pub fn demand(&self) -> usize {
        let wanted: usize = self.readers.iter().map(|reader| self.room(reader)).sum();
        wanted.min(MAX_CHOSEN).saturating_sub(self.chosen)
    }

    /// Returns how many more events that reader takes now.
    fn room(&self, reader: &Reader<M, A>) -> usize {
        if reader.is_full() {
            return 0;
        }
        // What has no place in the answer would be read for nothing.
        let fit = 1 + MAX_READ_BYTES.saturating_sub(reader.bytes) / self.last_bytes.max(1);
        let left = (reader.wish.max as usize - reader.got.len()).min(fit);
        match reader.wish.reader {
            0 => left,
            named => {
                let held = self.held.get(&named).copied().unwrap_or(0);
                left.min(reader.wish.unacknowledged.saturating_sub(held) as usize)
            }
        }
    }

    /// Records that an event was chosen for a reader and is being read.
    pub fn chose(&mut self) {
        self.chosen += 1;
    }

    /// Records that a chosen event was read, or could not be.
    pub fn came(&mut self) {
        self.chosen = self.chosen.saturating_sub(1);
    }

    /// Gives an event of `bytes` bytes to the reader that has waited longest, under the loan `number` until
    /// `until_ms`.
    ///
    /// # Errors
    /// No reader waits any more.
    pub fn hand(&mut self, number: u64, flight: F, message: M, bytes: usize, until_ms: u64) -> Result<(), M> {
        let place = (0..self.readers.len()).find(|place| self.room(&self.readers[*place]) > 0);
        let Some(reader) = place.and_then(|place| self.readers.get_mut(place)) else { return Err(message) };
        reader.got.push((number, message));
        reader.bytes += bytes;
        self.last_bytes = bytes;
        let loan = Loan { flight, reader: reader.wish.reader, until_ms };
        if loan.reader != 0 {
            *self.held.entry(loan.reader).or_default() += 1;
        }
        self.loans.insert(number, loan);
        self.ends.insert((until_ms, number));
        Ok(())
    }

    /// Takes the readers that are to be answered: those that have all they take, those whose time is over, and
    /// those that have something while nothing more is to come soon. `is_reading`: events are being read.
    pub fn ready(&mut self, now_ms: u64, is_reading: bool) -> Vec<Told<M, A>> {
        let comes = is_reading || self.chosen > 0;
        for reader in self.readers.iter_mut().filter(|reader| !reader.got.is_empty()) {
            reader.gathers_until_ms.get_or_insert(now_ms.saturating_add(GATHER_MS));
        }
        self.take_readers(|reader| {
            let has_some = !comes && !reader.got.is_empty();
            reader.is_full() || has_some || reader.ends_ms(comes) <= now_ms
        })
    }

    /// Takes the readers that are gone. What they got is to be handed to others.
    pub fn gone(&mut self, is_gone: impl Fn(&A) -> bool) -> Vec<Told<M, A>> {
        self.take_readers(|reader| is_gone(&reader.answer))
    }

    /// Takes all readers, and has all loans end by `by_ms`: the consumer moves to another owner.
    pub fn close(&mut self, by_ms: u64) -> Vec<Told<M, A>> {
        self.closes_ms.get_or_insert(by_ms);
        self.take_readers(|_| true)
    }

    /// The consumer stays after all.
    pub fn reopen(&mut self) {
        self.closes_ms = None;
    }

    fn take_readers(&mut self, is_taken: impl Fn(&Reader<M, A>) -> bool) -> Vec<Told<M, A>> {
        if !self.readers.iter().any(&is_taken) {
            return Vec::new();
        }
        let (taken, left): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.readers).into_iter().partition(is_taken);
        self.readers = left;
        taken.into_iter().map(|reader| (reader.answer, reader.got)).collect()
    }

    /// Ends a loan: its event was acknowledged, refused or returned. `None` if there is no such loan.
    pub fn end(&mut self, number: u64) -> Option<F> {
        let loan = self.loans.remove(&number)?;
        self.ends.remove(&(loan.until_ms, number));
        if let Some(held) = self.held.get_mut(&loan.reader) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&loan.reader);
            }
        }
        Some(loan.flight)
    }

    /// Has a loan end at `until_ms`. Returns whether there is such a loan.
    pub fn extend(&mut self, number: u64, until_ms: u64) -> bool {
        let Some(loan) = self.loans.get_mut(&number) else { return false };
        self.ends.remove(&(loan.until_ms, number));
        loan.until_ms = until_ms;
        self.ends.insert((until_ms, number));
        true
    }

    /// Ends the loans whose time is over, and returns their events.
    pub fn expire(&mut self, now_ms: u64) -> Vec<F> {
        let closes = self.closes_ms.is_some_and(|closes_ms| closes_ms <= now_ms);
        let mut over = Vec::new();
        while let Some(&(until_ms, number)) = self.ends.first()
            && (closes || until_ms <= now_ms)
        {
            over.extend(self.end(number));
        }
        over
    }

    /// Returns when the next loan ends or the next reader has waited for long enough. [`Desk::ready`] describes
    /// `is_reading`.
    pub fn next_ms(&self, is_reading: bool) -> Option<u64> {
        let comes = is_reading || self.chosen > 0;
        let loan = self.ends.first().map(|(until_ms, _)| *until_ms);
        let closes = self.closes_ms.filter(|_| loan.is_some());
        let reader = self.readers.iter().map(|reader| reader.ends_ms(comes)).min();
        loan.into_iter().chain(closes).chain(reader).min()
    }

    /// Returns whether nobody waits and nothing is handed over.
    pub fn is_idle(&self) -> bool {
        self.readers.is_empty() && self.loans.is_empty()
    }
}
