//! API requests a minute, and events a second that go past the log, counted for the whole cluster where the leader is.
//!
//! Counts live in memory alone: when the lead changes a caller may start afresh, and while no leader can be asked a
//! node counts for itself.

use crate::core::ids::{MapId, TokenId};
use crate::core::rate::Rate;
use crate::hub::peers::{Lane, PeerRequest, PeerServer, Peers};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use waypost_cluster::Cluster;

/// Callers remembered at most; beyond it those with a full bucket are forgotten, which changes nothing for them.
const MAX_CALLERS: usize = 100_000;
/// The leader answers at once or is asked in vain.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// Count one request of that token.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hub) struct Charge {
    token: TokenId,
    permits: u32,
}

impl PeerRequest for Charge {
    /// Counted, or the wait in milliseconds.
    type Answer = Result<(), u64>;
    const KIND: u16 = 1;
    const LANE: Lane = Lane::quick(256, 0);
}

/// Count events that are published to that map past the log.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hub) struct ChargePublish {
    map: MapId,
    permits: u32,
    events: u32,
}

impl PeerRequest for ChargePublish {
    /// Counted, or the wait in milliseconds.
    type Answer = Result<(), u64>;
    const KIND: u16 = 19;
    const LANE: Lane = Lane::quick(256, 0);
}

pub(in crate::hub) fn serve(peers: &PeerServer, requests: Arc<Requests>) {
    let publishes = requests.clone();
    peers.serve(move |_, ChargePublish { map, permits, events }| {
        std::future::ready(publishes.charge_publish(map, permits, events))
    });
    peers.serve(move |_, Charge { token, permits }| std::future::ready(requests.charge(token, permits)));
}

/// A node's counts: of the whole cluster, while it leads.
pub(in crate::hub) struct Requests {
    began: Instant,
    full_at_us: Mutex<FxHashMap<TokenId, u64>>,
    /// The same for the events of maps.
    publishes: Mutex<FxHashMap<MapId, u64>>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { began: Instant::now(), full_at_us: Mutex::default(), publishes: Mutex::default() }
    }
}

impl Requests {
    /// Charges one request; `Err` is the wait in milliseconds. Measured by this process's monotonic clock.
    fn charge(&self, token: TokenId, permits: u32) -> Result<(), u64> {
        self.charge_for(&self.full_at_us, token, Rate { permits, period_ms: 60_000 }, 1)
    }

    /// Charges so many events of a map that takes `permits` a second.
    fn charge_publish(&self, map: MapId, permits: u32, events: u32) -> Result<(), u64> {
        self.charge_for(&self.publishes, map, Rate { permits, period_ms: 1000 }, events)
    }

    fn charge_for<K: Eq + Hash>(
        &self,
        kept: &Mutex<FxHashMap<K, u64>>,
        caller: K,
        rate: Rate,
        cost: u32,
    ) -> Result<(), u64> {
        let now_ms = self.began.elapsed().as_millis() as u64;
        let mut callers = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MAX_CALLERS {
            callers.retain(|_, full_at| *full_at > now_ms * 1000);
        }
        let kept = callers.get(&caller).copied().unwrap_or(0);
        let next = rate.charge(kept, cost, now_ms)?;
        if callers.len() < MAX_CALLERS {
            callers.insert(caller, next);
        }
        Ok(())
    }
}

/// Charges where the leader is.
#[derive(Clone)]
pub(in crate::hub) struct Rates {
    cluster: Cluster,
    peers: Peers,
    here: Arc<Requests>,
}

impl Rates {
    pub(in crate::hub) fn new(cluster: Cluster, peers: Peers, here: Arc<Requests>) -> Self {
        Self { cluster, peers, here }
    }

    /// Charges one API request of a token that may make `permits` a minute; `Err` is the wait in milliseconds.
    pub(super) async fn charge(&self, token: TokenId, permits: u32) -> Result<(), u64> {
        match self.ask_leader(&Charge { token, permits }).await {
            Some(answer) => answer,
            None => self.here.charge(token, permits),
        }
    }

    /// Charges events that are published past the log to a map that takes `permits` a second.
    pub(super) async fn charge_publish(&self, map: MapId, permits: u32, events: u32) -> Result<(), u64> {
        match self.ask_leader(&ChargePublish { map, permits, events }).await {
            Some(answer) => answer,
            None => self.here.charge_publish(map, permits, events),
        }
    }

    /// `None` where this node leads, or no leader answers.
    async fn ask_leader<R: PeerRequest>(&self, ask: &R) -> Option<R::Answer> {
        let me = self.cluster.node_id();
        let leader = self.cluster.status().leader.filter(|leader| *leader != me)?;
        self.peers.ask(leader, ask, ASK_TIMEOUT).await.ok()
    }
}
