//! A bounded window of encoded frames in seq order, from which subscribers read by cursor.
//!
//! A topic of some subjects has gaps in seq. The chain of chunks shows that a reader missed nothing: a chunk
//! has all frames that the topic has in a range of seqs, and begins where the chunk before it ended. Frames
//! that arrived together lie in one contiguous chunk, so a reader that is behind takes many of them with one
//! slice.

use super::event::Event;
use super::filter::Filter;
use super::frame::WireForm;
use super::ids::{EventId, SocketId};
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
    /// The sockets that sent some of the events, each with the index of its frame, ascending.
    senders: Vec<(usize, SocketId)>,
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
        let mut senders = Vec::new();
        for (index, event) in events.iter().enumerate() {
            debug_assert!((span.first_seq..span.next_seq).contains(&event.seq), "{} of {span:?}", event.seq);
            let mut kind = ByteString::new();
            if shown(index) {
                form.encode(event, &mut bytes);
                // Copy the type: a slice would keep the whole stored event alive beside its frame.
                kind = ByteString::from(&*event.kind);
                senders.extend(event.sender.as_ref().map(|sender| (index, sender.socket)));
            }
            frames.push(FrameHead { seq: event.seq, kind, end: bytes.len() });
        }
        // A form that compresses writes less than there is room for.
        if bytes.capacity() / 2 > bytes.len() {
            bytes.shrink_to_fit();
        }
        let kinds: usize = frames.iter().map(|frame| frame.kind.len()).sum();
        let heads = frames.len() * size_of::<FrameHead>() + senders.len() * size_of::<(usize, SocketId)>();
        let memory = size_of::<Self>() + heads + kinds + bytes.len();
        Self { span, frames, senders, bytes: bytes.into(), memory }
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
        let senders = self.senders.clone();
        Arc::new(Self { span: self.span, frames, senders, bytes, memory: self.memory })
    }

    /// Returns the seq after the last event that is shown and that the filter accepts. `None` if the chunk
    /// has no such event.
    pub fn after_last(&self, filter: &Filter) -> Option<u64> {
        let mut heads = self.frames.iter().enumerate().rev();
        let last = heads.find(|(index, head)| head.end > self.start_of(*index) && filter.matches(&head.kind));
        last.map(|(_, head)| head.seq + 1)
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

    /// What of it the reader has yet to read (see [`Ring::lag`]).
    fn lag(&self, cursor: Cursor, wanted: Wanted<'_>, frames: &mut usize) -> Lag {
        let first = self.index_of(cursor.next_seq);
        let unread = self.frames.len() - first;
        if unread > *frames {
            return Lag { events: unread as u64, bytes: (self.bytes.len() - self.start_of(first)) as u64 };
        }
        *frames -= unread;
        let mut lag = Lag::default();
        for index in (first..self.frames.len()).filter(|index| wanted.has(self, *index)) {
            // An event that the view's condition rejects has an empty frame.
            let bytes = self.start_of(index + 1) - self.start_of(index);
            lag += Lag { events: u64::from(bytes > 0), bytes: bytes as u64 };
        }
        lag
    }
}

/// Which frames a reader wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Of these types.
    pub filter: &'a Filter,
    /// None of the events that these sockets sent: they are the reader's own.
    pub not_from: &'a [SocketId],
}

impl Wanted<'_> {
    /// Whether the reader wants the frame at that index of a chunk.
    fn has(&self, chunk: &Chunk, index: usize) -> bool {
        let is_own = |socket: &SocketId| chunk.senders.binary_search(&(index, *socket)).is_ok();
        chunk.frames.get(index).is_some_and(|frame| self.filter.matches(&frame.kind))
            && !self.not_from.iter().any(is_own)
    }
}

impl<'a> From<&'a Filter> for Wanted<'a> {
    fn from(filter: &'a Filter) -> Self {
        Self { filter, not_from: &[] }
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

/// What a reader has yet to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Events.
    pub events: u64,
    /// Bytes of their frames, as far as these are in memory.
    pub bytes: u64,
}

impl std::ops::AddAssign for Lag {
    fn add_assign(&mut self, other: Self) {
        self.events = self.events.saturating_add(other.events);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
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
    pub fn read<'w>(&self, cursor: &mut Cursor, wanted: impl Into<Wanted<'w>>, max_bytes: usize) -> Read {
        self.read_counted(cursor, wanted, max_bytes).0
    }

    /// Does the same, and returns how many events the frames have.
    pub fn read_counted<'w>(
        &self,
        cursor: &mut Cursor,
        wanted: impl Into<Wanted<'w>>,
        max_bytes: usize,
    ) -> (Read, u64) {
        let wanted = wanted.into();
        if cursor.next_seq < self.first_seq() {
            return (Read::FellOut, 0);
        }
        let mut gathered = Gathered::default();
        let from = self.chunks.partition_point(|chunk| chunk.next_seq() <= cursor.next_seq);
        for chunk in self.chunks.range(from..) {
            gather(chunk, cursor, wanted, max_bytes, &mut gathered);
            if gathered.len >= max_bytes {
                break;
            }
        }
        let events = gathered.events;
        (gathered.finish().map_or(Read::UpToDate, Read::Frames), events)
    }

    /// Returns what the reader has yet to read. Where the ring no longer has it, each seq counts as an event.
    /// `frames` is the number of frames that may be looked at, and is counted down: of chunks beyond it all
    /// frames count, whether the reader wants them or not.
    pub fn lag<'w>(&self, cursor: Cursor, wanted: impl Into<Wanted<'w>>, frames: &mut usize) -> Lag {
        let wanted = wanted.into();
        let mut lag = Lag { events: self.first_seq().saturating_sub(cursor.next_seq), bytes: 0 };
        let from = self.chunks.partition_point(|chunk| chunk.next_seq() <= cursor.next_seq);
        for chunk in self.chunks.range(from..) {
            lag += chunk.lag(cursor, wanted, frames);
        }
        lag
    }
}

/// Collects slices: the first stays a slice; when a second one follows, all are copied.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    copied: BytesMut,
    len: usize,
    /// How many events the slices have.
    events: u64,
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
fn gather(chunk: &Chunk, cursor: &mut Cursor, wanted: Wanted<'_>, max_bytes: usize, gathered: &mut Gathered) {
    let mut index = chunk.index_of(cursor.next_seq);
    while index < chunk.frames.len() && gathered.len < max_bytes {
        let run_from = index;
        let start = chunk.start_of(index);
        while wanted.has(chunk, index) {
            index += 1;
            if gathered.len + chunk.start_of(index) - start >= max_bytes {
                break;
            }
        }
        if index > run_from {
            gathered.push(chunk.bytes.slice(start..chunk.start_of(index)));
            // An event that the view's condition rejects has an empty frame.
            let hidden = |index: &usize| chunk.start_of(*index) == chunk.start_of(*index + 1);
            let mut shown = (run_from..index).filter(|index| !hidden(index));
            if let Some(last) = shown.next_back() {
                cursor.shown_seq = chunk.seq_at(last + 1);
                gathered.events += 1 + shown.count() as u64;
            }
        } else {
            index += 1;
        }
    }
    cursor.next_seq = cursor.next_seq.max(chunk.seq_at(index));
}

#[cfg(test)]
mod tests;
