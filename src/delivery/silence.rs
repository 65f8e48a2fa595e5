//! A client's silence: since when it lasts, when the client is asked for a sign of life, and when its session
//! ends.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How long a client that was asked for a sign of life may stay silent.
pub const IDLE_ANSWER: Duration = Duration::from_secs(30);

/// What a session knows of its client's silence. Times are the dispatcher's seconds.
pub(super) struct Silence {
    /// When the client last sent something.
    heard_at: Cell<u64>,
    /// The seconds of silence after which the client is asked. `None` if it is never asked.
    ask_after: Cell<Option<u64>>,
    /// The client was asked since it was last heard.
    is_asked: Cell<bool>,
    /// Wakes the part of the session that asks.
    asker: RefCell<Option<Waker>>,
}

impl Silence {
    /// The silence of a client that is heard now.
    pub(super) fn new(now: u64) -> Self {
        let heard_at = Cell::new(now);
        Self { heard_at, ask_after: Cell::new(None), is_asked: Cell::new(false), asker: RefCell::default() }
    }

    /// The client sent something.
    pub(super) fn heard(&self, now: u64) {
        self.heard_at.set(now);
        self.is_asked.set(false);
    }

    /// From now on, the client is asked for a sign of life after that time.
    pub(super) fn ask_after(&self, after: Duration) {
        self.ask_after.set(Some(after.as_secs()));
    }

    /// Whether the client has been silent for too long: longer than `most` seconds, or for [`IDLE_ANSWER`]
    /// after it is asked.
    pub(super) fn is_too_long(&self, now: u64, most: u64) -> bool {
        let most = self.ask_after.get().map_or(most, |after| after + IDLE_ANSWER.as_secs());
        now.saturating_sub(self.heard_at.get()) > most
    }

    fn is_ask_due(&self, now: u64) -> bool {
        let due = self.ask_after.get().map(|after| self.heard_at.get() + after);
        !self.is_asked.get() && due.is_some_and(|due| now >= due)
    }

    /// Ready when the client is to be asked: once in a silence.
    pub(super) fn poll_ask(&self, now: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_ask_due(now) {
            self.is_asked.set(true);
            return Poll::Ready(());
        }
        if self.ask_after.get().is_some() {
            let mut asker = self.asker.borrow_mut();
            if !asker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                *asker = Some(cx.waker().clone());
            }
        }
        Poll::Pending
    }

    /// Runs once a second. Wakes the session when it is to ask its client.
    pub(super) fn look(&self, now: u64) {
        if self.is_ask_due(now)
            && let Some(asker) = self.asker.take()
        {
            asker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker_ref;

    fn asks(silence: &Silence, now: u64) -> bool {
        silence.poll_ask(now, &mut Context::from_waker(noop_waker_ref())).is_ready()
    }

    #[test]
    fn a_silent_client_is_asked_once_and_then_has_some_time_to_answer() {
        let silence = Silence::new(5);
        silence.ask_after(Duration::from_secs(120));
        assert_eq!([124, 125, 126].map(|now| asks(&silence, now)), [false, true, false]);
        assert!(!silence.is_too_long(155, 10), "the node's setting does not apply");
        assert!(silence.is_too_long(156, 10));
        silence.heard(150);
        assert!(!silence.is_too_long(156, 10));
        assert_eq!([200, 270, 271].map(|now| asks(&silence, now)), [false, true, false]);
    }

    #[test]
    fn a_client_of_another_protocol_is_never_asked() {
        let silence = Silence::new(5);
        assert!(!asks(&silence, 1_000_000));
        assert!(!silence.is_too_long(65, 60) && silence.is_too_long(66, 60));
    }
}
