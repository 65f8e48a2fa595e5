//! Makes the store durable and purges the log, in the background.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::catchup::Progress;
use crate::disk_budget::DiskBudget;
use crate::engine::{Engine, Metrics, index};
use crate::error::StoreError;
use crate::fatal::Fatal;
use crate::log::Log;
use crate::observer::Observer;
use crate::purge::Held;
use crate::store::Store;
use crate::types::Types;

/// How often the log and the store are checked.
const ROUND: Duration = Duration::from_millis(500);
/// Shortest time between checkpoints while the disk or the log is short of space.
const PRESSED: Duration = Duration::from_secs(1);
/// Longest wait for a checkpoint that was asked for.
const SNAPSHOT: Duration = Duration::from_secs(20);

/// Makes checkpoints and purges the log, by policy or on request.
pub(crate) struct Housekeeping {
    pub(crate) engine: Arc<Engine>,
    pub(crate) log: Log,
    pub(crate) store: Arc<Store>,
    pub(crate) disk: Arc<DiskBudget>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) fatal: Arc<Fatal>,
}

impl Housekeeping {
    /// Makes the store durable and purges the log by policy, as long as the node runs.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            rounds.tick().await;
            self.disk.measure().await;
            let metrics = self.engine.metrics();
            if let Err(fatal) = &metrics.running_state
                && !self.engine.is_stopping()
            {
                return self.fatal.raise(&format!("the consensus engine stopped: {fatal}"));
            }
            self.note_progress(&metrics);
            let applied = index(&metrics.last_applied);
            let durable = index(&metrics.snapshot);
            let held = self.held(&metrics);
            let pressed = self.disk.is_near_full() || held.is_far_beyond(self.engine.config());
            let every = if pressed { PRESSED } else { self.engine.config().checkpoint_interval };
            let due = applied >= durable + self.engine.config().checkpoint_entries || last.elapsed() >= every;
            if applied > durable && due {
                last = Instant::now();
                // The engine reports its own end in the metrics.
                let _ = self.engine.raft().trigger().snapshot().await;
            }
            if let Some(upto) = held.due(self.engine.config(), self.disk.room()) {
                let _ = self.purge(upto).await;
            }
        }
    }

    /// Takes note of how far the members are that are brought up to date with a snapshot.
    fn note_progress(&self, metrics: &Metrics) {
        let progress = metrics.replication.as_ref().map(|known| Progress {
            last: metrics.last_log_index.unwrap_or(0),
            matched: known.iter().map(|(id, matched)| (*id, index(matched))).collect(),
            keeps: self.engine.config().keep_entries,
        });
        self.engine.catch_ups().note(progress.as_ref());
    }

    /// Purges the log, and gives up the members that need what goes.
    async fn purge(&self, upto: u64) -> Result<(), openraft::error::Fatal<Types>> {
        self.engine.catch_ups().give_up(upto);
        self.engine.raft().trigger().purge_log(upto).await
    }

    /// Makes a checkpoint now and purges the log as far as allowed. Returns the indexes of both.
    pub(crate) async fn snapshot_now(&self) -> Result<(u64, u64), StoreError> {
        let ended = |_| StoreError::Io("the consensus engine has stopped".to_owned());
        let applied = *self.store.applied().borrow();
        self.engine.raft().trigger().snapshot().await.map_err(ended)?;
        let deadline = Instant::now() + SNAPSHOT;
        loop {
            let metrics = self.engine.metrics();
            let durable = index(&metrics.snapshot);
            if durable >= applied {
                let held = self.held(&metrics);
                let upto = held.upto(self.engine.config(), self.disk.room());
                if upto > held.purged {
                    self.purge(upto).await.map_err(ended)?;
                }
                return Ok((durable, upto.max(held.purged)));
            }
            if Instant::now() >= deadline {
                return Err(StoreError::Io(format!("no checkpoint within {} s", SNAPSHOT.as_secs())));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The content of the log, and which entries other members still need, as far as this node knows.
    fn held(&self, metrics: &Metrics) -> Held {
        Held {
            durable: index(&metrics.snapshot),
            purged: index(&metrics.purged),
            bytes: self.log.bytes(),
            // Only the leader knows it. A follower's entries are needed by no other node.
            needed_after: self.observer.matched_by_all(metrics).unwrap_or(u64::MAX),
            kept_after: self.engine.catch_ups().kept_after().unwrap_or(u64::MAX),
        }
    }
}
