//! What this node knows of presence: who is there in the cluster, what this node holds, and which facts
//! somebody wants. The thread that applies the log changes it, and never waits.

use super::board::Board;
use super::terminations::Terminations;
use crate::core::command::Refusal;
use crate::core::ids::{MapId, NodeId};
use crate::core::roster::Roster;
use crate::core::webhook::Wants;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// Somebody who waits for a join.
pub(super) type Waiter = oneshot::Sender<Result<(), Refusal>>;

/// The time since this was first asked, by the process's monotonic clock.
pub(super) fn now() -> Duration {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed()
}

/// What this node knows of presence.
#[derive(Default)]
pub(in crate::hub) struct PresenceState {
    /// Who is there.
    pub(in crate::hub) board: Board,
    /// Who ends the connections of users.
    pub(in crate::hub) terminations: Terminations,
    roster: Mutex<Roster<Waiter>>,
    /// The roster may have something to tell.
    changed: Notify,
    wants: RwLock<FxHashMap<MapId, Wants>>,
    /// Nodes whose leases were taken back, and that have neither begun again nor answered since.
    gone: Mutex<BTreeSet<NodeId>>,
}

impl PresenceState {
    /// Reads or changes what this node holds, and has it told.
    pub(super) fn with_roster<T>(&self, work: impl FnOnce(&mut Roster<Waiter>) -> T) -> T {
        let mut roster = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut roster);
        if roster.has_news() {
            self.changed.notify_one();
        }
        done
    }

    /// Waits until the roster may have something to tell.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The map's webhooks or rules changed.
    pub(in crate::hub) fn set_wants(&self, map: MapId, wants: Wants) {
        let mut known = self.wants.write().unwrap_or_else(PoisonError::into_inner);
        let before = if wants == Wants::NOTHING { known.remove(&map) } else { known.insert(map, wants) };
        drop(known);
        if before.is_some_and(Wants::counts) != wants.counts() {
            self.with_roster(|roster| roster.want(map, wants.counts()));
        }
    }

    /// Which lifecycle events somebody wants of the map.
    pub(super) fn wants(&self, map: MapId) -> Wants {
        let known = self.wants.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&map).copied().unwrap_or(Wants::NOTHING)
    }

    /// The maps of which somebody wants some.
    pub(in crate::hub) fn wanted_maps(&self) -> Vec<MapId> {
        self.wants.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    fn gone(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster took back what the node held.
    pub(in crate::hub) fn node_gone(&self, node: NodeId) {
        self.gone().insert(node);
    }

    /// The node answers, or holds something again.
    pub(in crate::hub) fn node_is_back(&self, node: NodeId) {
        self.gone().remove(&node);
    }

    pub(super) fn is_gone(&self, node: NodeId) -> bool {
        self.gone().contains(&node)
    }
}
