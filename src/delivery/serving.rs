//! The sessions of a worker thread to whose sockets the dispatcher is about to write.
//!
//! They wait until the dispatcher has taken all that has come from the topics, so that a session gets in one
//! write what came together. They are served in the order in which something came for them.
//!
//! All tasks of a thread take turns. A task that serves gives way after a few sessions; if it were alone,
//! every session would wait for many turns of all other tasks. So the more sessions wait, the more tasks
//! serve.

use super::handouts::Handouts;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

/// Sessions that one task serves in a turn. Then other tasks of the thread have their turn.
const IN_A_TURN: usize = 32;
/// Tasks that serve.
const TASKS: usize = 16;

/// A session to whose socket the dispatcher writes.
pub(super) trait Served {
    /// Writes some of what the session has for its client.
    fn serve(&self) -> Left;
    /// Serving the session has failed: it must end.
    fn give_up(&self);
}

/// What a session still has for its client after it was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing for now, or its own task writes it.
    Nothing,
    /// It has to be served again.
    More,
}

/// The sessions that wait. Each waits once at most, so there are no more of them than sessions.
#[derive(Default)]
pub(super) struct Serving {
    waiting: RefCell<VecDeque<Rc<dyn Served>>>,
    /// The tasks that serve them and sleep.
    sleeping: RefCell<Vec<Waker>>,
    /// Counts what the sessions are handed.
    handouts: Rc<Handouts>,
}

impl Serving {
    /// Starts the tasks. They run on this thread.
    pub(super) fn start(handouts: Rc<Handouts>) -> Rc<Self> {
        let serving = Rc::new(Self { handouts, ..Self::default() });
        for _ in 0..TASKS {
            actix_rt::spawn(Self::run(Rc::downgrade(&serving)));
        }
        serving
    }

    /// Has a session served that does not wait yet.
    pub(super) fn add(&self, session: Rc<dyn Served>) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.push_back(session);
        let mut sleeping = self.sleeping.borrow_mut();
        let awake = TASKS.saturating_sub(sleeping.len());
        if waiting.len() > awake * IN_A_TURN
            && let Some(task) = sleeping.pop()
        {
            task.wake();
        }
    }

    /// Serves those that wait, until `serving` is dropped.
    async fn run(serving: Weak<Self>) {
        while poll_fn(|cx| Self::poll_any(&serving, cx)).await {
            if serving.upgrade().is_some_and(|serving| serving.turn()) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Ready when a session waits. False: there will be none.
    fn poll_any(serving: &Weak<Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(serving) = serving.upgrade() else { return Poll::Ready(false) };
        if !serving.waiting.borrow().is_empty() {
            return Poll::Ready(true);
        }
        serving.sleeping.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }

    /// Serves a few. Returns whether others wait. The clock is read once for all of them.
    fn turn(&self) -> bool {
        let others_wait = self.serve_some();
        self.handouts.settle();
        others_wait
    }

    fn serve_some(&self) -> bool {
        for _ in 0..IN_A_TURN {
            let Some(session) = self.waiting.borrow_mut().pop_front() else { return false };
            // A session that fails must not take the others with it.
            match catch_unwind(AssertUnwindSafe(|| session.serve())) {
                Ok(Left::Nothing) => {}
                Ok(Left::More) => self.waiting.borrow_mut().push_back(session),
                Err(_) => session.give_up(),
            }
        }
        !self.waiting.borrow().is_empty()
    }

    /// Lets go of the room for sessions that waited.
    pub(super) fn give_memory_back(&self) {
        self.waiting.borrow_mut().shrink_to_fit();
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A session that needs some turns.
    struct Needs {
        turns: Cell<usize>,
        served: Rc<RefCell<Vec<usize>>>,
        number: usize,
        given_up: Cell<bool>,
    }

    impl Served for Needs {
        fn serve(&self) -> Left {
            let Some(left) = self.turns.get().checked_sub(1) else { panic!("a session fails") };
            self.turns.set(left);
            self.served.borrow_mut().push(self.number);
            if left > 0 { Left::More } else { Left::Nothing }
        }

        fn give_up(&self) {
            self.given_up.set(true);
        }
    }

    fn sessions(turns: &[usize]) -> (Vec<Rc<Needs>>, Rc<RefCell<Vec<usize>>>) {
        let served = Rc::<RefCell<Vec<usize>>>::default();
        let session = |(number, turns): (usize, &usize)| {
            let turns = Cell::new(*turns);
            Rc::new(Needs { turns, served: served.clone(), number, given_up: Cell::new(false) })
        };
        (turns.iter().enumerate().map(session).collect(), served.clone())
    }

    #[test]
    fn a_session_that_has_much_waits_behind_the_others() {
        let serving = Serving::default();
        let (all, served) = sessions(&[3, 1, 2]);
        all.iter().for_each(|session| serving.add(session.clone()));
        assert!(!serving.turn());
        assert_eq!(*served.borrow(), [0, 1, 2, 0, 2, 0]);
    }

    #[test]
    fn a_session_that_fails_is_given_up_and_the_others_are_served() {
        let serving = Serving::default();
        let (all, served) = sessions(&[1, 0, 1]);
        all.iter().for_each(|session| serving.add(session.clone()));
        assert!(!serving.turn());
        assert_eq!(*served.borrow(), [0, 2]);
        assert!(all[1].given_up.get() && !all[0].given_up.get());
    }

    #[actix_web::test]
    async fn sessions_are_served_in_turns_by_as_many_tasks_as_are_needed() {
        let serving = Serving::start(Rc::default());
        let sleeping = || serving.sleeping.borrow().len();
        while sleeping() < TASKS {
            tokio::task::yield_now().await;
        }
        let (few, served) = sessions(&[1; IN_A_TURN + 1]);
        few.iter().for_each(|session| serving.add(session.clone()));
        assert_eq!(sleeping(), TASKS - 2);
        while served.borrow().len() < few.len() || sleeping() < TASKS {
            tokio::task::yield_now().await;
        }
        let (many, served) = sessions(&[1; 2 * TASKS * IN_A_TURN]);
        many.iter().for_each(|session| serving.add(session.clone()));
        assert_eq!(sleeping(), 0);
        while served.borrow().len() < many.len() || sleeping() < TASKS {
            tokio::task::yield_now().await;
        }
        assert!(served.borrow().is_sorted() && serving.waiting.borrow().is_empty());
        serving.give_memory_back();
        assert_eq!(serving.waiting.borrow().capacity(), 0);
        assert_eq!(Rc::strong_count(&serving), 1, "its tasks do not keep it");
    }
}
