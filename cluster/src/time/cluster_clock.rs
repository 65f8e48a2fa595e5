//! The cluster's time as one node knows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::{ClockState, Clocks, Stamp, Timekeeper};
use crate::NodeId;
use crate::clock;
use crate::engine::Engine;
use crate::status::ClockStatus;
use crate::store::Store;
use crate::wire::{Answer, StampV1};

/// Longest that a leader which does not know the time waits for a majority's clocks.
const UNKNOWN: Duration = Duration::from_secs(1);

/// Gives the [`Timekeeper`] its inputs: this process's clocks, the applied stamps, and the reports of other
/// nodes. One for each node.
pub(crate) struct ClusterClock {
    engine: Arc<Engine>,
    store: Arc<Store>,
    keeper: Mutex<Timekeeper>,
    /// Woken when the time becomes known.
    timed: Notify,
    /// The zero of this process's monotonic clock.
    began: Instant,
}

impl ClusterClock {
    pub(crate) fn new(engine: Arc<Engine>, store: Arc<Store>) -> Arc<Self> {
        let keeper = Mutex::default();
        let timed = Notify::new();
        let began = Instant::now();
        Arc::new(Self { engine, store, keeper, timed, began })
    }

    fn keeper(&self) -> MutexGuard<'_, Timekeeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This process's monotonic clock (ms).
    pub(crate) fn mono(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn own_offset(&self) -> i64 {
        let clock = clock::now_ms();
        let mono = self.mono();
        i64::try_from(clock).unwrap_or(i64::MAX).saturating_sub(i64::try_from(mono).unwrap_or(i64::MAX))
    }

    /// The stamp for an entry now; `None` if this node does not know the time yet.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        if crate::failpoint!("own-clock") {
            let wall = clock::now_ms();
            return Some(Stamp { time_ms: wall, expiry_ms: wall, checked: true });
        }
        let mono = self.mono();
        self.keeper().now(mono)
    }

    /// The time as far as this node knows it. Until a leader has reported it, this node's own clock.
    pub(crate) fn now(&self) -> Stamp {
        let applied = self.store.last_stamp();
        let now = self.stamp().unwrap_or(Stamp { time_ms: clock::now_ms(), ..applied });
        Stamp { expiry_ms: now.expiry_ms.max(applied.expiry_ms), ..now }
    }

    /// A node that leads, or believes that it leads, has reported the time.
    pub(crate) fn reported(&self, from: NodeId, reported: Option<StampV1>) -> Answer {
        if let Some(reported) = reported.filter(|_| self.engine.leader() == Some(from)) {
            let mono = self.mono();
            self.keeper().reported(reported.into(), mono);
        }
        Answer::ClockV1 { clock_ms: clock::now_ms() }
    }

    /// What this node knows about the clocks.
    pub(crate) fn status(&self) -> ClockStatus {
        let now = self.now();
        let keeper = self.keeper();
        ClockStatus {
            time_ms: now.time_ms,
            expiry_ms: now.expiry_ms,
            id_ms: self.store.id_ms(),
            clocks: keeper.state(),
            held_ms: keeper.held_ms(),
        }
    }

    /// Another node leads: what this node concluded about the clocks as leader no longer counts.
    pub(crate) fn follow(&self) {
        self.keeper().follow();
    }

    /// Sets the time from the voters' clocks, or moves it toward them.
    pub(crate) fn take_clocks(&self, clocks: &Clocks, leads_for: Duration) -> ClockState {
        // The order matters: a stamp that is read after the monotonic clock would put the expiry clock ahead.
        let last = self.store.last_stamp();
        let mono = self.mono();
        let mut keeper = self.keeper();
        let before = (keeper.state(), keeper.held_ms());
        match keeper.now(mono) {
            Some(_) => {
                keeper.applied(last, mono);
                keeper.look(clocks, mono);
            }
            None if clocks.is_majority() || leads_for >= UNKNOWN => keeper.settle(clocks, last, mono),
            None => {}
        }
        let state = keeper.state();
        let held_ms = keeper.held_ms();
        drop(keeper);
        self.timed.notify_waiters();
        if (state, held_ms) != before && (state, held_ms) != (ClockState::Good, None) {
            tracing::warn!(?state, ?held_ms, "the state of the cluster's clocks changed");
        }
        state
    }

    /// Waits until this node knows the time, for at most `limit`.
    pub(crate) async fn until_timed(&self, limit: Duration) -> Option<Stamp> {
        let known = self.timed.notified();
        if let Some(stamp) = self.stamp() {
            return Some(stamp);
        }
        // The result does not matter: the stamp is looked up again.
        let _ = timeout(limit, known).await;
        self.stamp().filter(|_| !self.engine.is_stopping())
    }
}
