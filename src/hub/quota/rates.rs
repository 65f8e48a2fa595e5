//! The rates of API requests (per minute), and of ephemeral events and their bytes (per second). The leader
//! counts them for the whole cluster.
//!
//! The counts exist only in memory: when the lead changes, a caller may start with a full allowance. While no
//! leader answers, a node counts by itself.

use crate::core::ids::{MapId, TokenId};
use crate::core::rate::{Amount, Charged, Exceeded, PublishRates, Rate};
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

/// Asks the leader to charge ephemeral events to that map.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hub) struct ChargePublish {
    map: MapId,
    rates: PublishRates,
    amount: Amount,
}

impl PeerRequest for ChargePublish {
    type Answer = Result<(), Exceeded>;
    const KIND: u16 = 19;
    const LANE: Lane = Lane::quick(256, 0);
}

pub(in crate::hub) fn serve(peers: &PeerServer, requests: Arc<Requests>) {
    let publishes = requests.clone();
    peers.serve(move |_, ChargePublish { map, rates, amount }| {
        std::future::ready(publishes.charge_publish(map, rates, amount))
    });
    peers.serve(move |_, Charge { token, permits }| std::future::ready(requests.charge(token, permits)));
}

/// The counts of a node. While the node leads, they are those of the whole cluster.
pub(in crate::hub) struct Requests {
    began: Instant,
    full_at_us: Mutex<FxHashMap<TokenId, u64>>,
    /// What was charged for the ephemeral events of maps.
    publishes: Mutex<FxHashMap<MapId, Charged>>,
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
        let rate = Rate { permits, period_ms: 60_000 };
        let now_ms = self.now_ms();
        change(
            &self.full_at_us,
            token,
            |full_at_us| *full_at_us <= now_ms * 1000,
            |full_at_us| rate.charge(full_at_us, 1, now_ms),
        )
    }

    /// Charges ephemeral events to a map.
    fn charge_publish(&self, map: MapId, rates: PublishRates, amount: Amount) -> Result<(), Exceeded> {
        let now_ms = self.now_ms();
        change(
            &self.publishes,
            map,
            |charged| charged.is_full(now_ms),
            |charged| rates.charge(charged, amount, now_ms),
        )
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

/// Changes what is kept of a caller. When too many callers are kept, those that are `idle` are forgotten; if
/// none is, the caller is not remembered.
pub(in crate::hub) fn change<K: Eq + Hash, V: Copy + Default, E>(
    kept: &Mutex<FxHashMap<K, V>>,
    caller: K,
    idle: impl Fn(&V) -> bool,
    charge: impl FnOnce(V) -> Result<V, E>,
) -> Result<(), E> {
    let mut callers = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if callers.len() >= MAX_CALLERS {
        callers.retain(|_, kept| !idle(kept));
    }
    let next = charge(callers.get(&caller).copied().unwrap_or_default())?;
    if callers.len() < MAX_CALLERS || callers.contains_key(&caller) {
        callers.insert(caller, next);
    }
    Ok(())
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

    /// Charges ephemeral events to a map.
    pub(super) async fn charge_publish(
        &self,
        map: MapId,
        rates: PublishRates,
        amount: Amount,
    ) -> Result<(), Exceeded> {
        match self.ask_leader(&ChargePublish { map, rates, amount }).await {
            Some(answer) => answer,
            None => self.here.charge_publish(map, rates, amount),
        }
    }

    /// Asks the leader. `None` if this node leads, or if no leader answers.
    async fn ask_leader<R: PeerRequest>(&self, ask: &R) -> Option<R::Answer> {
        let me = self.cluster.node_id();
        // A leader that gives no sign does not answer in time.
        self.cluster.contact()?;
        let leader = self.cluster.status().leader.filter(|leader| *leader != me)?;
        self.peers.ask(leader, ask, ASK_TIMEOUT).await.ok()
    }
}
