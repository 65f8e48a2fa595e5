//! What one client connection does, how long it may do it, and how soon it gives way.

use super::ClientLimits;
use super::interim::Interim;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// How long a client may send after an answer that ends its connection. What it sends is thrown away.
const CLOSING: Duration = Duration::from_secs(2);

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    /// It waits for a request.
    Waiting {
        /// Whether a request was answered before.
        answered: bool,
        /// When the first byte of the request came.
        heard: Option<Instant>,
        /// Bytes of the request so far.
        bytes: usize,
    },
    /// A request is being answered.
    Serving,
    /// The last request is answered.
    Closing,
    /// It gave way.
    Evicted,
}

/// Whether bytes of a connection may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// They may.
    Read {
        /// The wait for them ends at this time.
        until: Option<Instant>,
        /// Whether the sender is known.
        known: bool,
    },
    /// They may until this time, and are thrown away: the last request is answered.
    Discard {
        /// The connection ends at this time.
        until: Instant,
    },
    /// Not yet: a request of an unknown sender is being answered.
    Hold,
    /// No more of them.
    Over(Over),
    /// The connection gave way.
    Evicted,
}

/// Why no more bytes of a connection are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// No further request came in time. The client is told nothing: it asked nothing.
    Idle,
    /// A request did not come in time. The client is told.
    Slow,
    /// The head of a request is too long. The client is told.
    TooLong,
    /// The client went on sending after the last answer.
    Closing,
}

/// How soon a connection gives way. The least one gives way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(Usefulness, Instant);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Usefulness {
    /// Nothing is done for anybody.
    Idle,
    /// A request of an unknown sender is being answered.
    Unknown,
    /// A known sender may send a further request.
    Kept,
    /// A handler waits for the body of a known sender.
    Sending,
}

/// The state of one connection.
pub(super) struct State {
    activity: Activity,
    /// When the activity began.
    since: Instant,
    /// Whether the sender is known.
    pub(super) known: bool,
    /// Whether an unknown sender is read while its request is answered: a socket whose first message says who
    /// it is.
    introduces: bool,
    /// Whether the connection is one beyond the limit.
    pub(super) surplus: bool,
    /// Its place in the order in which connections give way, if it has one.
    pub(super) place: Option<Rank>,
    /// Whether a handler waits for the request's body.
    awaits_body: bool,
    /// The interim answer to the request.
    pub(super) interim: Interim,
    /// A read was held back.
    held: bool,
    /// When the connection's task is woken by its timer.
    pub(super) armed: Option<Instant>,
    waker: Option<Waker>,
}

impl State {
    pub(super) fn new(surplus: bool, now: Instant) -> Self {
        let activity = Activity::Waiting { answered: false, heard: None, bytes: 0 };
        Self {
            activity,
            since: now,
            known: false,
            introduces: false,
            surplus,
            place: None,
            awaits_body: false,
            interim: Interim::None,
            held: false,
            armed: None,
            waker: None,
        }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.interim.begin();
        self.awaits_body = false;
        self.introduces = false;
        self.change_to(Activity::Serving, now);
    }

    pub(super) fn end(&mut self, close: bool, now: Instant) {
        let waiting = Activity::Waiting { answered: true, heard: None, bytes: 0 };
        self.change_to(if close { Activity::Closing } else { waiting }, now);
        // Otherwise the task is woken by the client or by its timer.
        if std::mem::take(&mut self.held) || self.armed.is_none_or(|armed| armed <= now) {
            self.wake();
        }
    }

    pub(super) fn know(&mut self) {
        self.known = true;
        if std::mem::take(&mut self.held) {
            self.wake();
        }
    }

    pub(super) fn hear_out(&mut self) {
        self.introduces = true;
        if std::mem::take(&mut self.held) {
            self.wake();
        }
    }

    pub(super) fn await_body(&mut self) {
        self.awaits_body = true;
        self.interim.want();
        if self.interim == Interim::Due {
            self.wake();
        }
    }

    pub(super) fn body_came(&mut self) {
        self.awaits_body = false;
    }

    pub(super) fn evict(&mut self) {
        self.activity = Activity::Evicted;
        self.wake();
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.activity == Activity::Evicted
    }

    pub(super) fn is_serving(&self) -> bool {
        self.activity == Activity::Serving
    }

    fn change_to(&mut self, activity: Activity, now: Instant) {
        if !self.is_evicted() {
            (self.activity, self.since) = (activity, now);
        }
    }

    /// How soon the connection gives way. `None` if it does not.
    pub(super) fn rank(&self) -> Option<Rank> {
        let usefulness = match (self.activity, self.known) {
            (Activity::Waiting { .. }, false) | (Activity::Closing, _) => Usefulness::Idle,
            (Activity::Serving, false) => Usefulness::Unknown,
            (Activity::Waiting { .. }, true) => Usefulness::Kept,
            (Activity::Serving, true) if self.awaits_body => Usefulness::Sending,
            (Activity::Serving, true) | (Activity::Evicted, _) => return None,
        };
        Some(Rank(usefulness, self.since))
    }

    /// Whether the connection gives way sooner than its place says, or has none.
    pub(super) fn is_misplaced(&self) -> bool {
        self.rank().is_some_and(|rank| self.place.is_none_or(|place| place > rank))
    }

    pub(super) fn turn(&mut self, limits: &ClientLimits, seen: bool, now: impl Fn() -> Instant) -> Turn {
        let (until, over) = match self.activity {
            Activity::Evicted => return Turn::Evicted,
            Activity::Serving if self.known || self.introduces => {
                return Turn::Read { until: None, known: true };
            }
            Activity::Serving => {
                self.held = true;
                return Turn::Hold;
            }
            Activity::Waiting { bytes, .. } if !self.known && seen && bytes >= limits.head_bytes => {
                return Turn::Over(Over::TooLong);
            }
            Activity::Waiting { heard: Some(heard), .. } => (heard + limits.head_time, Over::Slow),
            Activity::Waiting { answered: false, .. } => (self.since + limits.head_time, Over::Slow),
            Activity::Waiting { .. } if self.known => (self.since + limits.keep_known, Over::Idle),
            Activity::Waiting { .. } => (self.since + limits.keep_unknown, Over::Idle),
            Activity::Closing => (self.since + CLOSING, Over::Closing),
        };
        if now() >= until {
            return Turn::Over(over);
        }
        if self.activity == Activity::Closing {
            return Turn::Discard { until };
        }
        Turn::Read { until: Some(until), known: self.known }
    }

    /// Counts bytes that were read. Returns how many there are of the head of a request so far.
    pub(super) fn heard(&mut self, more: usize, now: impl Fn() -> Instant) -> usize {
        let Activity::Waiting { heard, bytes, .. } = &mut self.activity else { return 0 };
        heard.get_or_insert_with(now);
        *bytes += more;
        *bytes
    }

    pub(super) fn wake_later(&mut self, cx: &Context<'_>) {
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}
