//! Whether a node hears from the cluster.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{Instant, sleep};

use crate::engine::Engine;

/// After this many of the longest election time-outs without a majority no election is expected to end soon.
const LOST: u64 = 4;

/// A period in which a node heard from the cluster without interruption: a follower from its leader, the
/// leader from a majority, with never more than three heartbeats between. What is committed during the period
/// reaches the node at once. What was committed before may be unknown to it until a read barrier has passed.
///
/// A node that stood still for so long begins another period, whatever it reads then: answers that came
/// meanwhile look new to a leader, although another one may have taken its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contact {
    term: u64,
    leads: bool,
    silences: u64,
    standstills: u64,
}

/// When this process last ran, as far as it noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ran {
    at: Instant,
    /// How often it has stood still since it started.
    standstills: u64,
}

impl Ran {
    /// The state of a process that runs at `at`. A pause longer than `longest` is a standstill.
    fn after(self, at: Instant, longest: Duration) -> Self {
        let pause = at.saturating_duration_since(self.at);
        Self { at: at.max(self.at), standstills: self.standstills + u64::from(pause > longest) }
    }
}

/// The leader's last message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    term: u64,
    at: Instant,
    /// The longest time between two of its messages.
    silence: Duration,
    /// How often this node has had a silence since it started.
    silences: u64,
}

impl Heard {
    /// The state after another message of the leader of `term`. A pause longer than `longest` is a silence.
    fn after(before: Option<Self>, term: u64, at: Instant, longest: Duration) -> Self {
        let pause = before.map_or(Duration::ZERO, |last| at.saturating_duration_since(last.at));
        let silences = before.map_or(0, |last| last.silences) + u64::from(pause > longest);
        match before {
            Some(last) if last.term == term => {
                Self { term, at: at.max(last.at), silence: last.silence.max(pause), silences }
            }
            _ => Self { term, at, silence: Duration::ZERO, silences },
        }
    }
}

/// Which leader this node heard, and when. One for each node; at the start it has heard nothing.
pub(crate) struct LeaderContact {
    engine: Arc<Engine>,
    heard: Mutex<Option<Heard>>,
    ran: Mutex<Ran>,
    /// When this node last knew of a majority; at first, when it started.
    majority: Mutex<Instant>,
}

impl LeaderContact {
    pub(crate) fn new(engine: Arc<Engine>) -> Arc<Self> {
        let now = Instant::now();
        let ran = Mutex::new(Ran { at: now, standstills: 0 });
        Arc::new(Self { engine, heard: Mutex::default(), ran, majority: Mutex::new(now) })
    }

    /// Notices when this process stands still; runs as long as the node.
    pub(crate) async fn watch_standstills(self: Arc<Self>) {
        let pause = Duration::from_millis(self.engine.config().heartbeat_ms);
        loop {
            {
                let mut ran = self.ran.lock().unwrap_or_else(PoisonError::into_inner);
                *ran = ran.after(Instant::now(), self.longest_pause());
            }
            sleep(pause).await;
        }
    }

    /// Records a message of the leader of `term` that arrived at `at`.
    pub(crate) fn heard_leader(&self, term: u64, at: Instant) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        *heard = Some(Heard::after(*heard, term, at, self.longest_pause()));
    }

    /// A node that hears nothing for longer than this has lost contact.
    fn longest_pause(&self) -> Duration {
        Duration::from_millis(self.engine.config().heartbeat_ms * 3)
    }

    /// The contact that this node has with the cluster.
    pub(crate) fn present(&self) -> Option<Contact> {
        let longest = self.longest_pause();
        let ran = *self.ran.lock().unwrap_or_else(PoisonError::into_inner);
        if ran.at.elapsed() > longest {
            return None;
        }
        let (leads, term, followed) = {
            let metrics = self.engine.raft().metrics();
            let now = metrics.borrow_watched();
            let leads = now.state == ServerState::Leader;
            let acked = || {
                now.last_quorum_acked
                    .is_some_and(|at| openraft::Instant::elapsed(&at.into_inner()) <= longest)
            };
            let alone = || now.membership_config.voter_ids().count() == 1;
            (leads, now.current_term, leads && (acked() || alone()))
        };
        let heard = self.heard();
        let silences = heard.map_or(0, |heard| heard.silences);
        let in_contact =
            if leads { followed } else { heard.is_some_and(|h| h.term == term && h.at.elapsed() <= longest) };
        in_contact.then_some(Contact { term, leads, silences, standstills: ran.standstills })
    }

    /// Records that this node hears from a majority, or from a leader, at this moment.
    pub(crate) fn has_majority(&self) {
        *self.majority.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether this node has heard neither from a majority nor from a leader for longer than several
    /// elections take. Then it is of no use to wait a little longer.
    pub(crate) fn has_lost_contact(&self) -> bool {
        let long = Duration::from_millis(self.engine.config().election_max_ms * LOST);
        self.majority.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > long
    }

    fn heard(&self) -> Option<Heard> {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the leader was last heard.
    pub(crate) fn heard_ms(&self) -> Option<u64> {
        self.heard().map(|heard| u64::try_from(heard.at.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The longest time (milliseconds) without a message from the leader of `term`.
    pub(crate) fn silence_ms(&self, term: u64) -> u64 {
        let heard = self.heard().filter(|heard| heard.term == term);
        let silence = heard.map_or(Duration::ZERO, |heard| heard.silence.max(heard.at.elapsed()));
        u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(300);

    #[test]
    fn a_long_pause_is_a_silence_and_is_remembered() {
        let began = Instant::now();
        let word = |before, ms| Heard::after(before, 1, began + Duration::from_millis(ms), LONGEST);
        let first = word(None, 0);
        assert_eq!((first.silences, first.silence), (0, Duration::ZERO));
        let soon = word(Some(first), 300);
        assert_eq!((soon.silences, soon.silence), (0, LONGEST));
        let late = word(Some(soon), 700);
        assert_eq!((late.silences, late.silence), (1, Duration::from_millis(400)));
        let next = word(Some(late), 710);
        assert_eq!((next.silences, next.silence), (1, Duration::from_millis(400)));
        let overtaken = word(Some(next), 600);
        assert_eq!(overtaken, next, "a message that was overtaken changes nothing");
    }

    #[test]
    fn a_process_that_stands_still_notices_it_once() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let ran = Ran { at: began, standstills: 0 };
        let soon = ran.after(at(300), LONGEST);
        assert_eq!(soon, Ran { at: at(300), standstills: 0 });
        let late = soon.after(at(601), LONGEST);
        assert_eq!(late, Ran { at: at(601), standstills: 1 });
        assert_eq!(late.after(at(700), LONGEST).standstills, 1);
    }

    #[test]
    fn another_leader_begins_anew_but_the_silence_before_it_counts() {
        let began = Instant::now();
        let first = Heard::after(None, 1, began, LONGEST);
        let other = Heard::after(Some(first), 2, began + 2 * LONGEST, LONGEST);
        assert_eq!((other.term, other.silence, other.silences), (2, Duration::ZERO, 1));
    }
}
