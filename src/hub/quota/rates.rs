//! The rates of API requests (per minute) and of ephemeral events (per second). The leader counts them for
//! the whole cluster.
//!
//! The counts exist only in memory: when the lead changes, a caller may start with a full allowance. While no
//! leader answers, a node counts by itself.

use crate::core::ids::{MapId, TokenId};
use crate::core::rate::Rate;
use crate::hub::peers::{Lane, PeerRequest, PeerServer, Peers};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use waypost_cluster::Cluster;

/// Most callers that are remembered. Beyond that, callers with a full allowance are forgotten, which changes
/// nothing for them.
const MAX_CALLERS: usize = 100_000;
/// Longest wait for the leader's answer. A leader that is reachable answers at once.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// Asks the leader to charge one API request of that token.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hub) struct Charge {
    token: TokenId,
    permits: u32,
}

impl PeerRequest for Charge {
    /// `Err` is the wait in milliseconds.
    type Answer = Result<(), u64>;
    const KIND: u16 = 1;
    const LANE: Lane = Lane::quick(256, 0);
}

/// Asks the leader to charge ephemeral events of that map.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hub) struct ChargePublish {
    map: MapId,
    permits: u32,
    events: u32,
}

impl PeerRequest for ChargePublish {
    /// `Err` is the wait in milliseconds.
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

/// The counts of a node. While the node leads, they are those of the whole cluster.
pub(in crate::hub) struct Requests {
    began: Instant,
    full_at_us: Mutex<FxHashMap<TokenId, u64>>,
    /// The same for the ephemeral events of maps.
    publishes: Mutex<FxHashMap<MapId, u64>>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { began: Instant::now(), full_at_us: Mutex::default(), publishes: Mutex::default() }
    }
}

impl Requests {
    /// Charges one request; `Err` is the wait in milliseconds. Time is measured by this process's monotonic
    /// clock.
    fn charge(&self, token: TokenId, permits: u32) -> Result<(), u64> {
        self.charge_for(&self.full_at_us, token, Rate { permits, period_ms: 60_000 }, 1)
    }

    /// Charges events to a map that may publish `permits` of them per second.
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

/// Charges on the leader.
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

    /// Charges one API request to a token that may make `permits` per minute; `Err` is the wait in
    /// milliseconds.
    pub(super) async fn charge(&self, token: TokenId, permits: u32) -> Result<(), u64> {
        match self.ask_leader(&Charge { token, permits }).await {
            Some(answer) => answer,
            None => self.here.charge(token, permits),
        }
    }

    /// Charges ephemeral events to a map that may publish `permits` of them per second.
    pub(super) async fn charge_publish(&self, map: MapId, permits: u32, events: u32) -> Result<(), u64> {
        match self.ask_leader(&ChargePublish { map, permits, events }).await {
            Some(answer) => answer,
            None => self.here.charge_publish(map, permits, events),
        }
    }

    /// Asks the leader. `None` if this node leads, or if no leader answers.
    async fn ask_leader<R: PeerRequest>(&self, ask: &R) -> Option<R::Answer> {
        let me = self.cluster.node_id();
        let leader = self.cluster.status().leader.filter(|leader| *leader != me)?;
        self.peers.ask(leader, ask, ASK_TIMEOUT).await.ok()
    }
}
