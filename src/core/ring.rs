//! A bounded window of encoded frames in seq order, from which subscribers read by cursor.
//!
//! A topic of some subjects has gaps in seq. The chain of chunks shows that a reader missed nothing: a chunk
//! has all frames that the topic has in a range of seqs, and begins where the chunk before it ended. Frames
//! that arrived together lie in one contiguous chunk, so a reader that is behind takes many of them with one
//! slice.

use super::event::Event;
use super::filter::Filter;
use super::frame::WireForm;
use super::ids::EventId;
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use std::collections::VecDeque;
use std::sync::Arc;

/// Chunks up to this size are copied for each thread. A larger chunk costs more to copy than to share.
const MAX_UNSHARED: usize = 8 * 1024;

/// A range of seqs. A chunk has all events of its topic in this range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first seq.
    pub first_seq: u64,
    /// The seq after the last one.
    pub next_seq: u64,
    /// Id of the newest event of the stream before `next_seq`, of any subject.
    pub last_id: EventId,
}

/// Frames of all events that a topic has in a range of seqs.
#[derive(Debug)]
pub struct Chunk {
    span: Span,
    frames: Vec<FrameHead>,
    bytes: Bytes,
    /// Approximate bytes of memory.
    memory: usize,
}

#[derive(Debug)]
struct FrameHead {
    seq: u64,
    kind: ByteString,
    /// The end of the frame's bytes (exclusive).
    end: usize,
}

impl Chunk {
    /// Encodes `events`, which are all that the topic has in the span. An event whose entry in `verdicts` is
    /// false gets an empty frame, and readers skip it.
    pub fn encode(span: Span, events: &[Event], form: &dyn WireForm, verdicts: Option<&[bool]>) -> Self {
        let shown =
            |index: usize| verdicts.is_none_or(|verdicts| verdicts.get(index).copied().unwrap_or(false));
        let sizes = events.iter().enumerate().filter(|(index, _)| shown(*index));
        let mut bytes = Vec::with_capacity(sizes.map(|(_, event)| event.payload.len() + 256).sum());
        let mut frames = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate() {
            debug_assert!((span.first_seq..span.next_seq).contains(&event.seq), "{} of {span:?}", event.seq);
            let mut kind = ByteString::new();
            if shown(index) {
                form.encode(event, &mut bytes);
                // Copy the type: a slice would keep the whole stored event alive beside its frame.
                kind = ByteString::from(&*event.kind);
            }
            frames.push(FrameHead { seq: event.seq, kind, end: bytes.len() });
        }
        let kinds: usize = frames.iter().map(|frame| frame.kind.len()).sum();
        let memory = size_of::<Self>() + frames.len() * size_of::<FrameHead>() + kinds + bytes.len();
        Self { span, frames, bytes: bytes.into(), memory }
    }

    /// Returns the first seq of its range.
    pub fn first_seq(&self) -> u64 {
        self.span.first_seq
    }

    /// Returns the seq after its range.
    pub fn next_seq(&self) -> u64 {
        self.span.next_seq
    }

    /// Returns the bytes of all frames.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Copies the frames into bytes of their own if they are few. Otherwise readers on two threads share one
    /// allocation, and contend for its reference count with every frame.
    pub fn unshared(self: Arc<Self>) -> Arc<Self> {
        if self.bytes.len() > MAX_UNSHARED {
            return self;
        }
        let copy = |frame: &FrameHead| FrameHead { seq: frame.seq, kind: frame.kind.clone(), end: frame.end };
        let frames = self.frames.iter().map(copy).collect();
        let bytes = Bytes::copy_from_slice(&self.bytes);
        Arc::new(Self { span: self.span, frames, bytes, memory: self.memory })
    }

    /// Returns the index of the first frame of that seq or a higher one.
    fn index_of(&self, seq: u64) -> usize {
        if seq <= self.first_seq() { 0 } else { self.frames.partition_point(|frame| frame.seq < seq) }
    }

    /// Returns the seq from which the frames from index `index` on are read. Behind the last frame the topic
    /// has nothing more in the range.
    fn seq_at(&self, index: usize) -> u64 {
        if index == self.frames.len() {
            return self.next_seq();
        }
        index.checked_sub(1).map_or(self.first_seq(), |before| self.frames[before].seq + 1)
    }

    fn start_of(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.frames[before].end)
    }
}

/// The position of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The seq to read from.
    pub next_seq: u64,
    /// The seq after the last event that the reader was shown; before the first one, the seq where it began.
    pub shown_seq: u64,
}

impl Cursor {
    /// Returns the cursor of a reader that begins with the event at `next_seq`.
    pub fn at(next_seq: u64) -> Self {
        Self { next_seq, shown_seq: next_seq }
    }

    /// Returns whether the reader has passed events without being shown them since the last one that it was
    /// shown.
    pub fn has_passed_unseen(&self) -> bool {
        self.next_seq > self.shown_seq
    }
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// There is nothing newer than the cursor.
    UpToDate,
    /// Frames to write; the cursor has moved past them.
    Frames(Bytes),
    /// The cursor lies before the ring: its next frames are no longer in memory.
    FellOut,
}

/// A bounded window of chunks without a gap between them.
#[derive(Debug)]
pub struct Ring {
    chunks: VecDeque<Arc<Chunk>>,
    /// The seq that the next chunk must start with.
    next_seq: u64,
    /// Id of the newest event, if the ring ever had one.
    head_id: Option<EventId>,
    bytes: usize,
    memory: usize,
    events: usize,
    max_bytes: usize,
    max_events: usize,
}

impl Ring {
    /// Creates an empty ring whose first chunk must begin with `next_seq`. The ring keeps at least the newest
    /// chunk, whatever its size.
    pub fn new(next_seq: u64, max_bytes: usize, max_events: usize) -> Self {
        let chunks = VecDeque::new();
        let head_id = None;
        Self { chunks, next_seq, head_id, bytes: 0, memory: 0, events: 0, max_bytes, max_events }
    }

    /// Returns the oldest seq in the ring, or the next one if the ring is empty.
    pub fn first_seq(&self) -> u64 {
        self.chunks.front().map_or(self.next_seq, |chunk| chunk.first_seq())
    }

    /// Returns the seq that the next chunk must start with.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Returns the id of the stream's event right before `seq`, if the ring ends there.
    pub fn id_before(&self, seq: u64) -> Option<EventId> {
        self.head_id.filter(|_| seq == self.next_seq)
    }

    /// Returns the bytes of all frames.
    pub fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// Returns approximately the memory of all chunks: frames and their bookkeeping.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Drops all chunks. The next chunk must still continue from the last one.
    pub fn clear(&mut self) {
        self.chunks = VecDeque::new();
        self.bytes = 0;
        self.memory = 0;
        self.events = 0;
    }

    /// Appends a chunk. Returns `false` and appends nothing if the chunk does not continue the ring: the ring
    /// never has a gap.
    pub fn push(&mut self, chunk: Arc<Chunk>) -> bool {
        if chunk.first_seq() != self.next_seq {
            return false;
        }
        self.next_seq = chunk.next_seq();
        self.head_id = Some(chunk.span.last_id);
        self.bytes += chunk.len_bytes();
        self.memory += chunk.memory;
        self.events += chunk.frames.len();
        self.chunks.push_back(chunk);
        while self.chunks.len() > 1 && (self.bytes > self.max_bytes || self.events > self.max_events) {
            if let Some(old) = self.chunks.pop_front() {
                self.bytes -= old.len_bytes();
                self.memory -= old.memory;
                self.events -= old.frames.len();
            }
        }
        true
    }

    /// Reads matching frames from the cursor on, up to about `max_bytes` but at least one frame, and moves
    /// the cursor.
    pub fn read(&self, cursor: &mut Cursor, filter: &Filter, max_bytes: usize) -> Read {
        if cursor.next_seq < self.first_seq() {
            return Read::FellOut;
        }
        let mut gathered = Gathered::default();
        let from = self.chunks.partition_point(|chunk| chunk.next_seq() <= cursor.next_seq);
        for chunk in self.chunks.range(from..) {
            gather(chunk, cursor, filter, max_bytes, &mut gathered);
            if gathered.len >= max_bytes {
                break;
            }
        }
        gathered.finish().map_or(Read::UpToDate, Read::Frames)
    }
}

/// Collects slices: the first stays a slice; when a second one follows, all are copied.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    copied: BytesMut,
    len: usize,
}

impl Gathered {
    fn push(&mut self, slice: Bytes) {
        self.len += slice.len();
        if self.first.is_empty() {
            self.first = slice;
            return;
        }
        if self.copied.is_empty() {
            self.copied.reserve(self.first.len() + slice.len());
            self.copied.extend_from_slice(&self.first);
        }
        self.copied.extend_from_slice(&slice);
    }

    fn finish(self) -> Option<Bytes> {
        match (self.len, self.copied.is_empty()) {
            (0, _) => None,
            (_, true) => Some(self.first),
            (_, false) => Some(self.copied.freeze()),
        }
    }
}

/// Adds the runs of matching frames of one chunk.
fn gather(chunk: &Chunk, cursor: &mut Cursor, filter: &Filter, max_bytes: usize, gathered: &mut Gathered) {
    let mut index = chunk.index_of(cursor.next_seq);
    while index < chunk.frames.len() && gathered.len < max_bytes {
        let run_from = index;
        let start = chunk.start_of(index);
        while let Some(frame) = chunk.frames.get(index)
            && filter.matches(&frame.kind)
        {
            index += 1;
            if gathered.len + frame.end - start >= max_bytes {
                break;
            }
        }
        if index > run_from {
            gathered.push(chunk.bytes.slice(start..chunk.start_of(index)));
            // An event that the view's condition rejects has an empty frame.
            let hidden = |index: &usize| chunk.start_of(*index) == chunk.start_of(*index + 1);
            if let Some(shown) = (run_from..index).rev().find(|index| !hidden(index)) {
                cursor.shown_seq = chunk.seq_at(shown + 1);
            }
        } else {
            index += 1;
        }
    }
    cursor.next_seq = cursor.next_seq.max(chunk.seq_at(index));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::core::event::NewEvent;
    use proptest::prelude::*;

    struct Plain(crate::core::frame::FormKey);
    impl WireForm for Plain {
        fn key(&self) -> &crate::core::frame::FormKey {
            &self.0
        }
        fn encode(&self, event: &Event, out: &mut Vec<u8>) {
            out.extend_from_slice(format!("{}{};", event.kind, event.seq).as_bytes());
        }
        fn encode_position(&self, _: EventId, seq: u64, out: &mut Vec<u8>) {
            out.extend_from_slice(format!("@{seq};").as_bytes());
        }
    }

    fn chunk(from: u64, kinds: &str) -> Arc<Chunk> {
        let events: Vec<Event> = kinds
            .chars()
            .zip(from..)
            .map(|(kind, seq)| {
                let new =
                    NewEvent { subject: Default::default(), kind: kind.into(), payload: b"{}".to_vec() };
                Event::from_stored(seq, Event::to_stored(EventId::new(1, seq, 0), &new).into()).unwrap()
            })
            .collect();
        // Events whose types are capital letters are shown to nobody.
        let verdicts: Vec<bool> = kinds.chars().map(char::is_lowercase).collect();
        let verdicts = kinds.contains(char::is_uppercase).then_some(&*verdicts);
        let next_seq = from + events.len() as u64;
        let span = Span { first_seq: from, next_seq, last_id: EventId::new(1, next_seq - 1, 0) };
        Arc::new(Chunk::encode(span, &events, &Plain("plain".into()), verdicts))
    }

    fn read_all(ring: &Ring, cursor: &mut Cursor, filter: &Filter, max: usize) -> String {
        let mut all = String::new();
        while let Read::Frames(bytes) = ring.read(cursor, filter, max) {
            all.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        all
    }

    #[test]
    fn a_reader_behind_the_ring_is_told_so() {
        let mut ring = Ring::new(1, 6, 100);
        for seq in 1..=4 {
            assert!(ring.push(chunk(seq, "a")));
        }
        assert_eq!(ring.first_seq(), 3);
        assert_eq!(ring.read(&mut Cursor::at(2), &Filter::All, 100), Read::FellOut);
        assert_eq!(ring.read(&mut Cursor::at(5), &Filter::All, 100), Read::UpToDate);
        assert!(!ring.push(chunk(7, "a")), "a hole");
    }

    #[test]
    fn a_contiguous_run_is_shared_and_not_copied() {
        let mut ring = Ring::new(1, 1000, 100);
        let chunk = chunk(1, "aaaa");
        ring.push(chunk.clone());
        let Read::Frames(bytes) = ring.read(&mut Cursor::at(2), &Filter::All, 1000) else { panic!() };
        assert_eq!(&bytes[..], b"a2;a3;a4;");
        assert_eq!(bytes.as_ptr(), chunk.bytes[3..].as_ptr());
    }

    #[test]
    fn readers_skip_events_that_nobody_is_shown() {
        let mut ring = Ring::new(1, 1000, 100);
        ring.push(chunk(1, "ABC"));
        let mut cursor = Cursor::at(1);
        assert_eq!(ring.read(&mut cursor, &Filter::All, 1), Read::UpToDate);
        assert_eq!(cursor.next_seq, 4);
        ring.push(chunk(4, "AaBbC"));
        assert_eq!(ring.read(&mut cursor, &Filter::All, 1), Read::Frames("a5;".into()));
        assert_eq!(ring.read(&mut cursor, &Filter::All, 1), Read::Frames("b7;".into()));
        assert_eq!(ring.read(&mut cursor, &Filter::All, 1), Read::UpToDate);
        assert_eq!((cursor.next_seq, cursor.shown_seq, ring.len_bytes()), (9, 8, 6));
    }

    #[test]
    fn a_ring_knows_the_id_before_its_end_only() {
        let mut ring = Ring::new(4, 1000, 100);
        assert_eq!(ring.id_before(4), None, "nothing has come");
        ring.push(chunk(4, "ab"));
        let ids = [5, 6, 7].map(|seq| ring.id_before(seq));
        assert_eq!(ids, [None, Some(EventId::new(1, 5, 0)), None]);
    }

    proptest! {
        #[test]
        fn a_reader_gets_every_matching_frame_once_and_in_order(
            chunks in prop::collection::vec("[abcAB]{1,5}", 1..12),
            start in 1u64..20,
            max in 1usize..40,
            only_a in any::<bool>(),
        ) {
            let mut ring = Ring::new(1, 1 << 20, 1 << 20);
            let mut expected = String::new();
            let mut seq = 1;
            let filter = if only_a { Filter::from_query(Some("a")).unwrap() } else { Filter::All };
            for kinds in &chunks {
                ring.push(chunk(seq, kinds));
                for kind in kinds.chars() {
                    if seq >= start && kind.is_lowercase() && (!only_a || kind == 'a') {
                        expected += &format!("{kind}{seq};");
                    }
                    seq += 1;
                }
            }
            let mut cursor = Cursor::at(start.min(seq));
            prop_assert_eq!(read_all(&ring, &mut cursor, &filter, max), &*expected);
            prop_assert_eq!(cursor.next_seq, seq);
            let last = expected.split(';').rev().nth(1).map(|frame| frame[1..].parse::<u64>().unwrap() + 1);
            prop_assert_eq!(cursor.shown_seq, last.unwrap_or(start.min(seq)));
        }

        #[test]
        fn the_newest_chunk_and_the_bounds_limit_memory(
            chunks in prop::collection::vec("[ab]{1,8}", 1..60), max_bytes in 1usize..64, max_events in 1usize..32,
        ) {
            let mut ring = Ring::new(1, max_bytes, max_events);
            let mut seq = 1;
            for kinds in chunks {
                prop_assert!(ring.push(chunk(seq, &kinds)));
                seq += kinds.len() as u64;
                prop_assert!(ring.chunks.len() == 1 || (ring.bytes <= max_bytes && ring.events <= max_events));
                prop_assert_eq!(ring.next_seq(), seq);
            }
        }
    }
}
