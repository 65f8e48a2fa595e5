//! The newest records of one kind: a fixed number of them, each of a fixed number of words.
//!
//! Any thread may put records, and any may look. Nobody waits for anybody: there is no lock. The room is made
//! in a few pieces when it is first needed, so that what is never used costs nothing. A new record overwrites
//! the oldest one. A look never shows a record of which only a part is there, or parts of two: each place has a
//! version that changes before and after its words do, and a look that finds another version afterwards shows
//! nothing of the place.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Records that are kept of one kind.
pub(super) const KEPT: u64 = 65_536;
/// Places for which room is made at once.
const PIECE: u64 = 4096;

/// A place for one record.
#[derive(Debug)]
struct Place<const WORDS: usize> {
    /// 0: it was never written. Odd: it is being written. Even: twice the number of its record.
    version: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Place<WORDS> {
    fn empty() -> Self {
        Self { version: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Writes record `number`, from 1. A place that another thread is writing, or that has a newer record
    /// already, stays as it is: this thread was overtaken by as many records as there are places.
    fn write(&self, number: u64, words: [u64; WORDS]) {
        let known = self.version.load(Ordering::Relaxed);
        let is_free = known.is_multiple_of(2) && known < 2 * number;
        let writing = 2 * number - 1;
        if !is_free
            || self.version.compare_exchange(known, writing, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return;
        }
        // Who sees one of the words sees the odd version too.
        fence(Ordering::Release);
        for (place, word) in self.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        self.version.store(2 * number, Ordering::Release);
    }

    /// The record, with its number. `None` if there is none, or if it is being written.
    fn read(&self) -> Option<(u64, [u64; WORDS])> {
        let before = self.version.load(Ordering::Acquire);
        if before == 0 || !before.is_multiple_of(2) {
            return None;
        }
        let words = std::array::from_fn(|index| self.words[index].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        (self.version.load(Ordering::Relaxed) == before).then_some((before / 2, words))
    }
}

/// Places for records, all of the same kind.
type Piece<const WORDS: usize> = Box<[Place<WORDS>]>;

/// The newest records of one kind. Aligned, so that counting here does not slow down those who use what lies
/// beside it in memory.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Recent<const WORDS: usize> {
    pieces: Box<[OnceLock<Piece<WORDS>>]>,
    room: u64,
    /// Records that were put so far.
    put: AtomicU64,
}

impl<const WORDS: usize> Recent<WORDS> {
    /// Keeps so many records, at least one.
    pub(super) fn new(room: u64) -> Self {
        let room = room.max(1);
        let pieces = (0..room.div_ceil(PIECE)).map(|_| OnceLock::new()).collect();
        Self { pieces, room, put: AtomicU64::new(0) }
    }

    /// Puts a record in the place of the oldest one.
    pub(super) fn put(&self, words: [u64; WORDS]) {
        let before = self.put.fetch_add(1, Ordering::Relaxed);
        let at = before % self.room;
        // The index of a piece is less than their number, and that of a place less than `PIECE`.
        let piece =
            self.pieces[(at / PIECE) as usize].get_or_init(|| (0..PIECE).map(|_| Place::empty()).collect());
        piece[(at % PIECE) as usize].write(before + 1, words);
    }

    /// The records for which `wanted` holds, oldest first. It looks at all that are kept, which takes up to a
    /// few milliseconds.
    pub(super) fn find(&self, wanted: impl Fn(&[u64; WORDS]) -> bool) -> Vec<[u64; WORDS]> {
        let pieces = self.pieces.iter().filter_map(OnceLock::get);
        let kept = pieces.flat_map(|piece| piece.iter()).filter_map(Place::read);
        let mut found: Vec<(u64, [u64; WORDS])> = kept.filter(|(_, words)| wanted(words)).collect();
        found.sort_unstable_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, words)| words).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;

    /// A record all of whose words follow from the first one.
    fn record(of: u64) -> [u64; 5] {
        [of, of ^ 0x5555, of.wrapping_mul(7), !of, of.rotate_left(17)]
    }

    proptest! {
        #[test]
        fn it_has_the_newest_records_in_their_order(room in 1..40u64, count in 0..120u64) {
            let recent = Recent::new(room);
            (0..count).for_each(|of| recent.put(record(of)));
            let kept: Vec<_> = (count.saturating_sub(room)..count).map(record).collect();
            prop_assert_eq!(recent.find(|_| true), kept);
        }

        #[test]
        fn a_record_is_found_by_its_words_while_it_is_kept(
            room in 1..40u64, count in 1..120u64, of in 0..120u64,
        ) {
            let recent = Recent::new(room);
            (0..count).for_each(|of| recent.put(record(of)));
            let is_kept = of < count && count - of <= room;
            let found = recent.find(|words| words[0] == of);
            prop_assert_eq!(found, is_kept.then(|| record(of)).into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_look_never_shows_parts_of_two_records() {
        // Few places, so that writers overtake each other and readers.
        let recent = Recent::new(3);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..3u64)
                .map(|writer| {
                    let recent = &recent;
                    scope.spawn(move || {
                        (0..20_000u64).for_each(|of| recent.put(record(of << 2 | writer)));
                    })
                })
                .collect();
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let found = recent.find(|_| true);
                        assert!(found.len() <= 3);
                        found.iter().for_each(|words| assert_eq!(*words, record(words[0])));
                    }
                });
            }
            let ended: Vec<_> = writers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            is_over.store(true, Ordering::Relaxed);
            ended.into_iter().for_each(|ended| ended.unwrap());
        });
        // What was overtaken is missing; nothing is mixed up.
        let found = recent.find(|_| true);
        assert!(found.iter().all(|words| *words == record(words[0])));
    }

    #[test]
    fn room_is_made_in_pieces() {
        let recent = Recent::new(PIECE + 1);
        (0..2 * PIECE + 5).for_each(|of| recent.put(record(of)));
        let found = recent.find(|_| true);
        assert_eq!(found.len() as u64, PIECE + 1);
        assert_eq!((found[0], found[found.len() - 1]), (record(PIECE + 4), record(2 * PIECE + 4)));
    }

    #[test]
    fn a_place_keeps_the_newer_of_two_records() {
        let place = Place::empty();
        assert_eq!(place.read(), None);
        place.write(9, record(9));
        place.write(4, record(4));
        assert_eq!(place.read(), Some((9, record(9))));
        place.version.store(19, Ordering::Relaxed);
        assert_eq!(place.read(), None, "it is being written");
        place.write(11, record(11));
        assert_eq!(place.read(), None, "another thread writes it");
    }
}
