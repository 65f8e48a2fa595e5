//! How far an event has come to the sockets of a node, as the dispatchers of its worker threads count it.

use super::ids::TopicId;
use super::subject::Subject;
use serde::{Deserialize, Serialize};

/// A stored event whose way to the sockets is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The stream.
    pub stream: TopicId,
    /// The event's seq.
    pub seq: u64,
    /// Its subject.
    pub subject: Subject,
    /// Its type.
    pub kind: String,
}

/// What is known of it. Events that are handed out together are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Sockets that were handed the frames.
    pub sockets: u64,
    /// How long the slowest of them waited for the frames, from when they came to its thread (microseconds).
    pub slowest_us: u64,
    /// Subscriptions that want events of the type and have not come to the event yet.
    pub waiting: u64,
    /// When the frames came to a thread first (Unix nanoseconds); `None`: they came to none.
    pub at_ns: Option<u64>,
    /// Some of what was handed out before that time is forgotten (Unix nanoseconds); `None`: nothing is.
    pub forgotten_ns: Option<u64>,
    /// Whether subscriptions of several subjects have ended of which nobody knows whether they had the event.
    pub is_partial: bool,
}

impl Reached {
    /// Adds what another thread knows.
    pub fn add(&mut self, other: &Self) {
        self.sockets += other.sockets;
        self.slowest_us = self.slowest_us.max(other.slowest_us);
        self.waiting += other.waiting;
        self.at_ns = self.at_ns.into_iter().chain(other.at_ns).min();
        self.forgotten_ns = self.forgotten_ns.max(other.forgotten_ns);
        self.is_partial |= other.is_partial;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_know_adds_up() {
        let mut all = Reached { sockets: 2, slowest_us: 7, at_ns: Some(50), ..Reached::default() };
        all.add(&Reached { waiting: 3, slowest_us: 5, forgotten_ns: Some(9), ..Reached::default() });
        all.add(&Reached { sockets: 1, at_ns: Some(40), is_partial: true, ..Reached::default() });
        let expected = Reached {
            sockets: 3,
            slowest_us: 7,
            waiting: 3,
            at_ns: Some(40),
            forgotten_ns: Some(9),
            is_partial: true,
        };
        assert_eq!(all, expected);
    }
}
