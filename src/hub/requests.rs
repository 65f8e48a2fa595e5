//! API requests a minute, counted for the whole cluster where the leader is.
//!
//! Counts live in memory alone: when the lead changes a caller may start afresh, and while no leader can be asked a
//! node counts for itself.

use super::Hub;
use super::peers::{Lane, PeerRequest, Peers};
use crate::core::ids::TokenId;
use crate::core::rate::Rate;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Callers remembered at most; beyond it those with a full bucket are forgotten, which changes nothing for them.
const MAX_CALLERS: usize = 100_000;
/// The leader answers at once or is asked in vain.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// Count one request of that token.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Charge {
    token: TokenId,
    permits: u32,
}

impl PeerRequest for Charge {
    /// Counted, or the wait in milliseconds.
    type Answer = Result<(), u64>;
    const KIND: u16 = 1;
    const LANE: Lane = Lane::quick(256, 0);
}

pub(super) fn serve(peers: &Peers, requests: Arc<Requests>) {
    peers.serve(move |_, Charge { token, permits }| std::future::ready(requests.charge(token, permits)));
}

/// A node's counts.
pub(super) struct Requests {
    began: Instant,
    full_at_us: Mutex<FxHashMap<TokenId, u64>>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { began: Instant::now(), full_at_us: Mutex::default() }
    }
}

impl Requests {
    /// Charges one request; `Err` is the wait in milliseconds. Measured by this process's monotonic clock.
    pub(super) fn charge(&self, token: TokenId, permits: u32) -> Result<(), u64> {
        let now_ms = self.began.elapsed().as_millis() as u64;
        let mut callers = self.full_at_us.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MAX_CALLERS {
            callers.retain(|_, full_at| *full_at > now_ms * 1000);
        }
        let kept = callers.get(&token).copied().unwrap_or(0);
        let next = Rate { permits, period_ms: 60_000 }.charge(kept, 1, now_ms)?;
        if callers.len() < MAX_CALLERS {
            callers.insert(token, next);
        }
        Ok(())
    }
}

impl Hub {
    /// Charges one API request of a token that may make `permits` a minute; `Err` is the wait in milliseconds.
    pub async fn charge_request(&self, token: TokenId, permits: u32) -> Result<(), u64> {
        let me = self.node_id();
        if let Some(leader) = self.status().leader.filter(|leader| *leader != me)
            && let Ok(result) = self.ask(leader, &Charge { token, permits }, ASK_TIMEOUT).await
        {
            return result;
        }
        self.0.requests.charge(token, permits)
    }
}
