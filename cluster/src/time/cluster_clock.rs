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

/// A leader that does not know the time waits so long at most for a majority's clocks.
const UNKNOWN: Duration = Duration::from_secs(1);

/// Brings the [`Timekeeper`] this process's clocks, the stamps that were applied, and what others say. One
/// for each node.
pub(crate) struct ClusterClock {
    engine: Arc<Engine>,
    store: Arc<Store>,
    keeper: Mutex<Timekeeper>,
    /// Woken when the time became known.
    timed: Notify,
    /// Where this process's monotonic clock begins.
    began: Instant,
}

impl ClusterClock {
    pub(crate) fn new(engine: Arc<Engine>, store: Arc<Store>) -> Arc<Self> {
        let (keeper, timed, began) = (Mutex::default(), Notify::new(), Instant::now());
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
        let (clock, mono) = (clock::now_ms(), self.mono());
        i64::try_from(clock).unwrap_or(i64::MAX).saturating_sub(i64::try_from(mono).unwrap_or(i64::MAX))
    }

    /// What an entry is stamped with now; `None` where this node does not know the time yet.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        if crate::failpoint!("own-clock") {
            let wall = clock::now_ms();
            return Some(Stamp { time_ms: wall, expiry_ms: wall, checked: true });
        }
        let mono = self.mono();
        self.keeper().now(mono)
    }

    /// The time as far as this node knows it: its own clock's where no leader has told it yet.
    pub(crate) fn now(&self) -> Stamp {
        let applied = self.store.last_stamp();
        let now = self.stamp().unwrap_or(Stamp { time_ms: clock::now_ms(), ..applied });
        Stamp { expiry_ms: now.expiry_ms.max(applied.expiry_ms), ..now }
    }

    /// The leader (or who takes itself for that) told the time.
    pub(crate) fn told(&self, from: NodeId, told: Option<StampV1>) -> Answer {
        if let Some(told) = told.filter(|_| self.engine.leader() == Some(from)) {
            let mono = self.mono();
            self.keeper().told(told.into(), mono);
        }
        Answer::ClockV1 { clock_ms: clock::now_ms() }
    }

    /// What is known of the clocks.
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

    /// Another node leads: what this one thought of the clocks as leader counts no more.
    pub(crate) fn follow(&self) {
        self.keeper().follow();
    }

    /// Sets or steers the time by the voters' clocks.
    pub(crate) fn take_clocks(&self, clocks: &Clocks, leads_for: Duration) -> ClockState {
        // In this order: a stamp read after the monotonic clock would put the expiry clock ahead.
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
        let (state, held_ms) = (keeper.state(), keeper.held_ms());
        drop(keeper);
        self.timed.notify_waiters();
        if (state, held_ms) != before && (state, held_ms) != (ClockState::Good, None) {
            tracing::warn!(?state, ?held_ms, "the clocks of this cluster");
        }
        state
    }

    /// Waits until this node knows the time, a moment at most.
    pub(crate) async fn until_timed(&self, limit: Duration) -> Option<Stamp> {
        let known = self.timed.notified();
        if let Some(stamp) = self.stamp() {
            return Some(stamp);
        }
        // Either will do: it is looked for again.
        let _ = timeout(limit, known).await;
        self.stamp().filter(|_| !self.engine.is_stopping())
    }
}
