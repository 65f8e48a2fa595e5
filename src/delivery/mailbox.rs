//! The mailbox of one session: what other threads have to say to a client, beside the events of its
//! subscriptions. The session hands each note to its protocol, in the order in which they were sent.
//!
//! A mailbox never drops a note silently. When it is full, the session ends like one whose client takes its
//! events too slowly.

use futures_util::task::AtomicWaker;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// Notes that may wait for one session.
pub const MAX_NOTES: usize = 4096;
/// The room for notes that an empty mailbox keeps.
const KEPT_NOTES: usize = 16;

/// Sends notes to a session, from any thread; cheap to clone. Notes for a session that is over are dropped.
pub struct Mailbox<N>(Arc<Shared<N>>);

struct Shared<N> {
    state: Mutex<State<N>>,
    session: AtomicWaker,
}

enum State<N> {
    /// The session takes these notes.
    Open(VecDeque<N>),
    /// A note had no room: the session ends.
    Overfull,
    /// The session is over.
    Closed,
}

/// What a session finds in its mailbox.
#[derive(Debug, PartialEq, Eq)]
pub enum Note<N> {
    /// The next note.
    Next(N),
    /// A note had no room. The session must end, because its client would miss it.
    Overfull,
}

impl<N> Mailbox<N> {
    /// An empty mailbox.
    pub fn new() -> Self {
        let state = Mutex::new(State::Open(VecDeque::new()));
        Self(Arc::new(Shared { state, session: AtomicWaker::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, State<N>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a note. The session takes it as soon as its client has room for the answer.
    pub fn send(&self, note: N) {
        match &mut *self.lock() {
            State::Open(notes) if notes.len() < MAX_NOTES => notes.push_back(note),
            state @ State::Open(_) => *state = State::Overfull,
            State::Overfull | State::Closed => return,
        }
        self.0.session.wake();
    }

    /// The next note. Wakes the caller's task when there is one. That a note had no room is told once.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Note<N>> {
        // Registered before the mailbox is read: a note in between is either seen here or wakes the task.
        self.0.session.register(cx.waker());
        match &mut *self.lock() {
            State::Open(notes) => match notes.pop_front() {
                Some(note) => Poll::Ready(Note::Next(note)),
                None => {
                    notes.shrink_to(KEPT_NOTES);
                    Poll::Pending
                }
            },
            state @ State::Overfull => {
                *state = State::Closed;
                Poll::Ready(Note::Overfull)
            }
            State::Closed => Poll::Pending,
        }
    }

    /// Whether a note had no room, and the session has not been told so.
    pub fn is_overfull(&self) -> bool {
        matches!(*self.lock(), State::Overfull)
    }

    /// The session is over. Drops what waits.
    pub fn close(&self) {
        *self.lock() = State::Closed;
    }
}

impl<N> Default for Mailbox<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<N> Clone for Mailbox<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker_ref;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Wake, Waker};

    fn next(mailbox: &Mailbox<usize>) -> Poll<Note<usize>> {
        mailbox.poll_next(&mut Context::from_waker(noop_waker_ref()))
    }

    #[test]
    fn a_full_mailbox_tells_so_once_and_takes_nothing_more() {
        let mailbox = Mailbox::new();
        (0..MAX_NOTES).for_each(|note| mailbox.send(note));
        assert!(!mailbox.is_overfull());
        assert_eq!(next(&mailbox), Poll::Ready(Note::Next(0)));
        mailbox.send(MAX_NOTES);
        assert!(!mailbox.is_overfull());
        mailbox.send(MAX_NOTES + 1);
        assert!(mailbox.is_overfull());
        mailbox.send(0);
        assert_eq!(next(&mailbox), Poll::Ready(Note::Overfull), "no note comes behind one that is missing");
        mailbox.send(0);
        assert!(next(&mailbox).is_pending() && !mailbox.is_overfull());
    }

    #[test]
    fn a_closed_mailbox_drops_its_notes() {
        let note = Arc::new(());
        let mailbox = Mailbox::new();
        mailbox.send(note.clone());
        mailbox.close();
        mailbox.clone().send(note.clone());
        assert_eq!(Arc::strong_count(&note), 1);
        assert!(mailbox.poll_next(&mut Context::from_waker(noop_waker_ref())).is_pending());
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Release);
        }
    }

    #[test]
    fn a_note_of_another_thread_wakes_the_session() {
        let woken = Arc::new(Woken::default());
        let mailbox = Mailbox::new();
        let waker = Waker::from(woken.clone());
        assert!(mailbox.poll_next(&mut Context::from_waker(&waker)).is_pending());
        let sender = mailbox.clone();
        assert!(std::thread::spawn(move || sender.send(7)).join().is_ok());
        assert!(woken.0.load(Ordering::Acquire));
        assert_eq!(next(&mailbox), Poll::Ready(Note::Next(7)));
    }

    proptest! {
        /// However sends and takes follow each other, notes come once and in order.
        #[test]
        fn notes_come_once_and_in_order(steps in prop::collection::vec(any::<bool>(), 0..200)) {
            let mailbox = Mailbox::new();
            let (mut sent, mut taken) = (0, 0);
            for is_send in steps {
                if is_send {
                    mailbox.send(sent);
                    sent += 1;
                } else if taken < sent {
                    prop_assert_eq!(next(&mailbox), Poll::Ready(Note::Next(taken)));
                    taken += 1;
                } else {
                    prop_assert!(next(&mailbox).is_pending());
                }
            }
        }
    }
}
