//! Shows whether a part of a task was woken, so that only that part is polled again.
//!
//! A body is polled for two reasons: its session has a message to send, or an event came. Most polls are for
//! events, and polling the session's actor for each of them costs more than the event.

use futures_util::task::AtomicWaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Notes that the part was woken, and wakes the whole task.
pub(super) struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Bell {
    /// Whether the part was woken and not polled since.
    pub(super) fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// Polls a part of a task only when that part was woken.
pub(super) struct Doorbell {
    bell: Arc<Bell>,
    waker: Waker,
}

impl Doorbell {
    /// A bell that has already rung, so that the first poll always happens.
    pub(super) fn new() -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { waker: bell.clone().into(), bell }
    }

    /// The bell.
    pub(super) fn bell(&self) -> Arc<Bell> {
        self.bell.clone()
    }

    /// Polls the part if it was woken since it was last pending. The part counts as woken as long as it is
    /// ready.
    pub(super) fn answer<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Registered before the bell is read: a ring in between is either seen here or wakes the task.
        self.bell.task.register(cx.waker());
        if !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.bell.rung.store(true, Ordering::Release);
        }
        polled
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    #[test]
    fn the_part_is_polled_only_when_it_was_woken() {
        let bell = Doorbell::new();
        let polls = Cell::new(0);
        let inner = RefCell::new(None);
        let mut task = Context::from_waker(Waker::noop());
        let mut poll = |ready: bool| {
            bell.answer(&mut task, |cx| {
                polls.set(polls.get() + 1);
                *inner.borrow_mut() = Some(cx.waker().clone());
                if ready { Poll::Ready(()) } else { Poll::Pending }
            })
        };
        assert!(poll(true).is_ready() && poll(false).is_pending() && poll(false).is_pending());
        assert_eq!(polls.get(), 2);
        inner.borrow().as_ref().unwrap().wake_by_ref();
        assert!(poll(false).is_pending());
        assert_eq!(polls.get(), 3);
    }
}
