//! Counts how far frames have come to the sockets of a worker thread: how many sockets were handed them, and
//! how long the slowest one waited. People ask for it when they follow an event.
//!
//! Each chunk of a topic view has one record, with two counters. A socket that takes the frames adds to one of
//! them; the clock is read once for the sockets that are served in a turn. The newest records are kept, in room
//! that is made once. Only this thread reads and writes them, so nothing is locked and nothing is shared.

use crate::clock::now_ns;
use crate::core::digest;
use crate::core::ids::TopicId;
use crate::core::reached::{Asked, Reached};
use crate::core::ring::Chunk;
use crate::core::subject::Selector;
use crate::core::topic::TopicKey;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// Records that the threads of a node keep together.
const KEPT: usize = 65_536;
/// Records that a thread keeps at least.
const LEAST_KEPT: usize = 4096;
/// Records that a socket has passed without being handed anything, of which so many are looked at. There are
/// few, but for a socket that read history meanwhile.
const LOOK: usize = 256;
/// Records that may wait for the clock to be read.
const MOST_TOUCHED: usize = 256;

/// Which of a stream's events a topic view has. It does not keep a topic view that has ended.
#[derive(Clone, Debug)]
enum Whose {
    /// Those of the subject with this hash.
    One(u64),
    /// Those of all subjects but the server's own.
    All,
    /// Those of the subjects that the topic selects, as long as the topic view is in use.
    Several(Weak<TopicKey>),
}

/// What the records need of a topic view.
#[derive(Debug)]
pub(super) struct Subscribed {
    whose: Whose,
    /// What [`Whose::Several`] looks at.
    _several: Option<Rc<TopicKey>>,
    /// The number of its first record; 0: there is none yet.
    first: Cell<u64>,
    /// The number of its newest record.
    newest: Cell<u64>,
}

impl Subscribed {
    pub(super) fn to(topic: &TopicKey) -> Self {
        let several = matches!(topic.selector, Selector::Several(_)).then(|| Rc::new(topic.clone()));
        let whose = match (&topic.selector, &several) {
            (_, Some(several)) => Whose::Several(Rc::downgrade(several)),
            (Selector::One(subject), None) => Whose::One(hash(subject.as_str())),
            (Selector::All | Selector::Several(_), None) => Whose::All,
        };
        Self { whose, _several: several, first: Cell::new(0), newest: Cell::new(0) }
    }

    /// The number of its newest record; 0: there is none.
    pub(super) fn newest(&self) -> u64 {
        self.newest.get()
    }
}

fn hash(subject: &str) -> u64 {
    digest::short(&[subject.as_bytes()])
}

/// One chunk of a topic view.
#[derive(Debug)]
struct Handout {
    /// Records are numbered from 1 on, in the order in which their chunks came to the thread.
    number: u64,
    came: Instant,
    stream: TopicId,
    whose: Whose,
    /// The first seq of the chunk, and the seq after its last one.
    seqs: Range<u64>,
    /// The number of the topic view's record before it; 0: it is the first one.
    before: u64,
    /// The number of the topic view's next record; 0: there is none yet.
    following: u64,
    sockets: u32,
    slowest_us: u32,
}

/// The records of a worker thread. They live as long as its dispatcher.
#[derive(Debug, Default)]
pub(super) struct Handouts {
    ring: RefCell<Ring>,
    /// Records with sockets whose time is not known yet.
    touched: RefCell<Vec<u64>>,
}

#[derive(Debug, Default)]
struct Ring {
    handouts: Vec<Handout>,
    room: usize,
    /// How many records were made.
    made: u64,
    /// When the last one that was overwritten had come.
    forgotten: Option<Instant>,
}

impl Ring {
    /// The place of a record: below `room`, which is a power of two.
    fn place(&self, number: u64) -> usize {
        number.wrapping_sub(1) as usize & self.room.saturating_sub(1)
    }

    /// The record of that number, if it is still kept.
    fn get(&mut self, number: u64) -> Option<&mut Handout> {
        let place = self.place(number);
        self.handouts.get_mut(place).filter(|handout| handout.number == number)
    }

    /// Reads the clock for records that sockets were handed, and takes them out of `touched`.
    fn settle(&mut self, touched: &mut Vec<u64>) {
        let now = Instant::now();
        for number in touched.drain(..) {
            if let Some(handout) = self.get(number) {
                let took = now.saturating_duration_since(handout.came).as_micros();
                handout.slowest_us = handout.slowest_us.max(u32::try_from(took).unwrap_or(u32::MAX));
            }
        }
    }

    fn push(&mut self, handout: Handout) {
        if self.room == 0 {
            self.room = room();
            self.handouts.reserve_exact(self.room);
        }
        self.made = handout.number;
        if self.handouts.len() < self.room {
            return self.handouts.push(handout);
        }
        let place = self.place(handout.number);
        if let Some(oldest) = self.handouts.get_mut(place) {
            self.forgotten = Some(oldest.came);
            *oldest = handout;
        }
    }
}

/// The share of one thread: a power of two.
fn room() -> usize {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    (KEPT / threads.next_power_of_two()).max(LEAST_KEPT)
}

impl Handouts {
    /// A chunk has come to the topic view. It is about to be handed to sockets.
    pub(super) fn begin(&self, subscribed: &Subscribed, topic: &TopicKey, chunk: &Chunk) {
        // Ephemeral events have no seq that anybody knows.
        if topic.is_ephemeral() {
            return;
        }
        let mut ring = self.ring.borrow_mut();
        let number = ring.made + 1;
        let before = subscribed.newest.get();
        if let Some(before) = ring.get(before) {
            before.following = number;
        }
        subscribed.newest.set(number);
        if subscribed.first.get() == 0 {
            subscribed.first.set(number);
        }
        ring.push(Handout {
            number,
            came: Instant::now(),
            stream: topic.stream,
            whose: subscribed.whose.clone(),
            seqs: chunk.first_seq()..chunk.next_seq(),
            before,
            following: 0,
            sockets: 0,
            slowest_us: 0,
        });
    }

    /// A socket was handed the frames of these seqs of a topic view. `last` is the record that this function
    /// returned when the socket was handed something before; at first it is the topic view's newest one when the
    /// subscription began, or 0 if there was none. A record counts when its last seq is passed.
    pub(super) fn handed(&self, subscribed: &Subscribed, last: u64, seqs: &Range<u64>) -> u64 {
        let newest = subscribed.newest.get();
        if newest == 0 {
            return 0;
        }
        let mut ring = self.ring.borrow_mut();
        // Nearly always a socket takes the newest chunk, and took the one before.
        if let Some(handout) = ring.get(newest).filter(|it| it.before == last && it.seqs == *seqs) {
            handout.sockets = handout.sockets.saturating_add(1);
            self.touch(&mut ring, newest);
            return newest;
        }
        let from = if last == 0 { subscribed.first.get() } else { last };
        let mut number = if ring.get(from).is_some() { from } else { newest };
        let mut passed = 0;
        loop {
            let Some(handout) = ring.get(number) else { return newest };
            let following = handout.following;
            if handout.seqs.end > seqs.end {
                return number;
            }
            let is_passed = handout.seqs.end <= seqs.start;
            if !is_passed {
                handout.sockets = handout.sockets.saturating_add(1);
                self.touch(&mut ring, number);
            }
            passed += usize::from(is_passed);
            number = match following {
                0 => return number,
                // What lies between is not looked at.
                _ if passed == LOOK => newest,
                following => following,
            };
        }
    }

    fn touch(&self, ring: &mut Ring, number: u64) {
        let mut touched = self.touched.borrow_mut();
        if touched.last() == Some(&number) {
            return;
        }
        if touched.len() >= MOST_TOUCHED {
            ring.settle(&mut touched);
        }
        touched.push(number);
    }

    /// Reads the clock for the sockets that were handed something since the last call.
    pub(super) fn settle(&self) {
        let mut touched = self.touched.borrow_mut();
        if touched.is_empty() {
            return;
        }
        self.ring.borrow_mut().settle(&mut touched);
    }

    /// How far the event has come to the sockets of this thread. Who waits for it is not known here.
    pub(super) fn reached(&self, asked: &Asked) -> Reached {
        self.settle();
        let subject = asked.subject.as_str();
        let hashed = hash(subject);
        let ring = self.ring.borrow();
        let (now, unix_ns) = (Instant::now(), now_ns());
        let unix_ns = |at| unix_ns.saturating_sub(nanoseconds(now.saturating_duration_since(at)));
        let mut reached = Reached { forgotten_ns: ring.forgotten.map(unix_ns), ..Reached::default() };
        let has = |handout: &&Handout| handout.stream == asked.stream && handout.seqs.contains(&asked.seq);
        let of_seq = ring.handouts.iter().filter(has);
        for handout in of_seq {
            let is_wanted = match &handout.whose {
                Whose::One(one) => *one == hashed,
                Whose::All => Selector::All.matches(subject),
                Whose::Several(topic) => match topic.upgrade() {
                    Some(topic) => topic.selector.matches(subject),
                    None => {
                        reached.is_partial = true;
                        false
                    }
                },
            };
            if is_wanted {
                reached.add(&Reached {
                    sockets: handout.sockets.into(),
                    slowest_us: handout.slowest_us.into(),
                    at_ns: Some(unix_ns(handout.came)),
                    ..Reached::default()
                });
            }
        }
        reached
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
