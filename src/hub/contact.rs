//! Makes sure that this node knows every revoked token.
//!
//! A revoke is acknowledged when every reachable node has applied it. A node that was out of reach, because
//! it was suspended or not running, must not answer from its old state: it catches up with the leader first.
//! Thousands of clients may come at that moment, so they share a read barrier.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use waypost_cluster::{Cluster, Contact, ProposeError};

/// How long callers wait for a leader.
const LIMITS: Limits = Limits {
    within: Duration::from_secs(1),
    again: Duration::from_millis(500),
    // Longer than the node takes to ask again by itself.
    pause: Duration::from_secs(2),
};
/// Pause before something is tried again that failed at once.
const RETRY: Duration = Duration::from_millis(10);
/// How long a caller waits behind a barrier that began too early, before it looks for a contact again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Clone, Copy)]
struct Limits {
    /// Longest wait for a leader. A node that finds none is cut off, and uses the state that it has.
    within: Duration,
    /// Pause before a node that is cut off looks for a leader again by itself, so that no caller has to.
    again: Duration,
    /// For how long callers need not wait after such a look was in vain.
    pause: Duration,
}

/// Tracks whether this node has caught up; cheap to clone.
#[derive(Clone)]
pub(super) struct CaughtUp {
    cluster: Cluster,
    barriers: Barriers<Contact>,
}

impl CaughtUp {
    /// Must run on a runtime that lives as long as the node.
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, barriers: Barriers::new(LIMITS) }
    }

    /// Whether this node looked for a leader a moment ago, in vain, and has heard of none since.
    pub(super) fn looked_in_vain(&self) -> bool {
        self.barriers.is_in_vain(self.cluster.contact())
    }

    /// Makes sure that this node has applied every revoke that was acknowledged before this call. If no
    /// leader answers, this node goes by what it knows. The call costs almost nothing while the node is in
    /// contact with the cluster.
    pub(super) async fn ensure(&self) {
        if !self.barriers.must_wait(self.cluster.contact()) {
            return;
        }
        let cluster = self.cluster.clone();
        let contact = move || cluster.contact();
        let cluster = self.cluster.clone();
        let barrier = move || {
            let cluster = cluster.clone();
            async move { has_reached_a_leader(&cluster).await }
        };
        self.barriers.ensure(contact, barrier).await;
    }
}

/// Waits for a read barrier. Many other reads may wait already: that says nothing about the leader.
async fn has_reached_a_leader(cluster: &Cluster) -> bool {
    loop {
        match cluster.barrier().await {
            Ok(_) => return true,
            Err(ProposeError::Overloaded) => sleep(RETRY).await,
            Err(_) => return false,
        }
    }
}

/// The read barriers of a node; `C` names a contact with the cluster. Clones share the barriers.
///
/// A barrier covers a caller if it began after the call, or if it began in the contact in which the node is:
/// what is acknowledged during a contact reaches the node without a barrier.
#[derive(Clone)]
struct Barriers<C> {
    limits: Limits,
    /// Where barriers run, so that a caller that gives up does not end a barrier for which others wait.
    runtime: Handle,
    state: Arc<Mutex<State<C>>>,
}

struct State<C> {
    /// The contact in which the node caught up: everything acknowledged since then has reached it.
    contact: Option<C>,
    /// When the node last waited for a leader in vain, and in which contact.
    failed: Option<(Instant, Option<C>)>,
    /// How many barriers have begun.
    begun: u64,
    /// The barrier that began last, unless it has ended.
    last: Option<Barrier<C>>,
    /// The node is cut off and looks for a leader by itself.
    is_looking: bool,
}

/// A barrier under way.
struct Barrier<C> {
    /// Its position in the order in which barriers begin, from 1.
    number: u64,
    /// The contact right before it began.
    contact: Option<C>,
    ended: Ended,
    task: AbortHandle,
}

/// Turns true when a barrier ends, with whatever result. It is closed before that if its runtime ends first.
type Ended = watch::Receiver<bool>;

/// What a caller waits for.
enum Wait {
    /// A barrier that covers it.
    Covered(Ended),
    /// A barrier that began too early. Who waits for its end shares the next one.
    Behind(Ended),
}

impl<C: Copy + PartialEq + Send + 'static> Barriers<C> {
    /// Barriers run on the present runtime.
    fn new(limits: Limits) -> Self {
        let state = State { contact: None, failed: None, begun: 0, last: None, is_looking: false };
        Self { limits, runtime: Handle::current(), state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request that arrives now, in that contact, has to wait for the leader.
    fn must_wait(&self, contact: Option<C>) -> bool {
        self.state().must_wait(contact, self.limits.pause)
    }

    /// Whether the last barrier was in vain, not long ago and in that contact.
    fn is_in_vain(&self, contact: Option<C>) -> bool {
        self.state().is_in_vain(contact, self.limits.pause)
    }

    /// Returns when a barrier that covers this call has ended, if one is needed. `contact` tells the present
    /// contact, and `barrier` makes a barrier, which tells whether it reached a leader.
    async fn ensure<F>(
        &self,
        contact: impl Fn() -> Option<C> + Send + 'static,
        barrier: impl Fn() -> F + Send + 'static,
    ) where
        F: Future<Output = bool> + Send + 'static,
    {
        let present = contact();
        let began_before = {
            let state = self.state();
            if !state.must_wait(present, self.limits.pause) {
                return;
            }
            state.begun
        };
        let wait_all = async {
            while let Some(wait) = self.wait(contact(), began_before, &barrier) {
                let has_ended = match wait {
                    Wait::Covered(barrier) => match has_ended(barrier).await {
                        true => return,
                        false => false,
                    },
                    Wait::Behind(barrier) => timeout(LOOK_AGAIN, has_ended(barrier)).await.unwrap_or(true),
                };
                if !has_ended {
                    // The runtime of the barriers has ended, or the barrier panicked: the limit ends the
                    // loop.
                    sleep(RETRY).await;
                }
            }
        };
        // A caller that has waited for so long goes by what this node knows. The wait is rare, so the
        // requests that do not wait hold no room for it.
        let _ = timeout(self.limits.within, Box::pin(wait_all)).await;
        self.look_on(contact, barrier);
    }

    /// If the last barrier was in vain, or has not ended, begins one after another until one reaches a
    /// leader. Callers do not wait for these.
    fn look_on<F>(
        &self,
        contact: impl Fn() -> Option<C> + Send + 'static,
        barrier: impl Fn() -> F + Send + 'static,
    ) where
        F: Future<Output = bool> + Send + 'static,
    {
        let mut state = self.state();
        // The limit of the caller may be over a moment before that of its barrier.
        let may_fail = state.failed.is_some() || state.last.is_some();
        if !may_fail || std::mem::replace(&mut state.is_looking, true) {
            return;
        }
        drop(state);
        let barriers = self.clone();
        self.runtime.spawn(async move {
            loop {
                sleep(barriers.limits.again).await;
                let Some(ended) = barriers.look(contact(), &barrier) else { return };
                has_ended(ended).await;
            }
        });
    }

    /// The barrier under way, or another one. `None` if the last one has reached a leader.
    fn look<F>(&self, contact: Option<C>, barrier: impl Fn() -> F) -> Option<Ended>
    where
        F: Future<Output = bool> + Send + 'static,
    {
        let mut state = self.state();
        if let Some(last) = state.last.as_ref().filter(|last| last.is_under_way()) {
            return Some(last.ended.clone());
        }
        state.is_looking = state.failed.is_some();
        state.is_looking.then(|| self.begin(&mut state, contact, barrier()))
    }

    /// What a caller waits for that came when `began_before` barriers had begun; `None` if for nothing.
    /// Begins a barrier if none covers the caller. The contact is read before: what is acknowledged after the
    /// barrier reaches this node in it.
    fn wait<F>(&self, contact: Option<C>, began_before: u64, barrier: impl Fn() -> F) -> Option<Wait>
    where
        F: Future<Output = bool> + Send + 'static,
    {
        let mut state = self.state();
        if !state.must_wait(contact, self.limits.pause) {
            return None;
        }
        match state.last.as_ref().filter(|last| last.is_under_way()) {
            Some(last) if last.number > began_before => Some(Wait::Covered(last.ended.clone())),
            Some(last) if contact.is_none() => Some(Wait::Behind(last.ended.clone())),
            Some(last) if last.contact == contact => Some(Wait::Covered(last.ended.clone())),
            // A contact is worth a barrier of its own: the one before may wait for a leader that is gone.
            Some(_) | None => Some(Wait::Covered(self.begin(&mut state, contact, barrier()))),
        }
    }

    fn begin(
        &self,
        state: &mut State<C>,
        contact: Option<C>,
        barrier: impl Future<Output = bool> + Send + 'static,
    ) -> Ended {
        state.begun += 1;
        let number = state.begun;
        let (end, ended) = watch::channel(false);
        let barriers = self.clone();
        let deadline = Instant::now() + self.limits.within;
        let task = self.runtime.spawn(async move {
            let has_reached = timeout_at(deadline, barrier).await.unwrap_or(false);
            // If this process stood still, the wait ended at its deadline, and another one is due now.
            let at = Instant::now().min(deadline);
            barriers.state().end(number, contact, if has_reached { Ok(()) } else { Err(at) });
            end.send_replace(true);
        });
        let task = task.abort_handle();
        state.last = Some(Barrier { number, contact, ended: ended.clone(), task });
        ended
    }
}

impl<C: Copy + PartialEq> State<C> {
    /// Whether a request that arrives now, in that contact, has to wait for the leader.
    fn must_wait(&self, contact: Option<C>, pause: Duration) -> bool {
        let is_current = contact.is_some() && self.contact == contact;
        !is_current && !self.is_in_vain(contact, pause)
    }

    /// Whether the last barrier was in vain, in that contact and within the pause.
    fn is_in_vain(&self, contact: Option<C>, pause: Duration) -> bool {
        self.failed.is_some_and(|(at, failed)| failed == contact && at.elapsed() < pause)
    }

    /// A barrier has ended; an error says when it gave up. Only the last one says how the node is now.
    fn end(&mut self, number: u64, contact: Option<C>, ended: Result<(), Instant>) {
        if self.begun != number {
            return;
        }
        self.last = None;
        (self.contact, self.failed) = match ended {
            Ok(()) => (contact, None),
            Err(at) => (None, Some((at, contact))),
        };
    }
}

impl<C> Barrier<C> {
    fn is_under_way(&self) -> bool {
        !self.task.is_finished()
    }
}

/// Waits for the end of a barrier. False if its runtime ended first.
async fn has_ended(mut barrier: Ended) -> bool {
    barrier.wait_for(|ended| *ended).await.is_ok()
}

#[cfg(test)]
mod tests;
