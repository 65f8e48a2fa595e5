//! How far other nodes have applied the log.

use super::peers::{Lane, PeerError, PeerRequest, Peers};
use crate::core::ids::NodeId;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use waypost_cluster::Cluster;

/// A node that does not answer for this long counts as cut off or dead.
const OUT_OF_REACH: Duration = Duration::from_millis(400);
/// Pause before a node is asked again whether it has applied something.
const ASK_PAUSE: Duration = Duration::from_millis(20);
/// Longest time that a node waits before it answers (ms).
const MOST_WAIT_MS: u64 = 5000;

/// Asks a node to answer once it has applied the log up to `index`, or once the time is over.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Applied {
    index: u64,
    within_ms: u64,
}

impl PeerRequest for Applied {
    /// Whether the index is applied.
    type Answer = bool;
    const KIND: u16 = 2;
    const LANE: Lane = Lane::quick(256, 0);
}

/// How far a node has applied the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The node has applied the requested index.
    Applied,
    /// The node answers, and has not applied it.
    Behind,
    /// The node does not answer.
    OutOfReach,
}

pub(super) fn serve(peers: &Peers, cluster: &Cluster) {
    let cluster = cluster.clone();
    peers.serve(move |_, Applied { index, within_ms }| {
        let cluster = cluster.clone();
        let within = Duration::from_millis(within_ms.min(MOST_WAIT_MS));
        async move { cluster.wait_applied(index, within).await }
    });
}

/// Waits until that node has applied the log up to `index`, or has not answered for a while.
pub(super) async fn applied_on(peers: &Peers, node: NodeId, index: u64, deadline: Instant) -> Standing {
    let ask = async |left: Duration| {
        let ask = Applied { index, within_ms: left.as_millis() as u64 / 2 };
        peers.ask(node, &ask, left).await
    };
    follow(ask, deadline).await
}

/// Asks a node repeatedly. A broken connection does not mean that the node is unreachable: after a network
/// recovers, old connections break and new ones are made. Time in which the request could not be sent for
/// lack of a slot does not count either.
async fn follow(ask: impl AsyncFn(Duration) -> Result<bool, PeerError>, deadline: Instant) -> Standing {
    let mut heard = Instant::now();
    loop {
        let began = Instant::now();
        let until = deadline.min(heard + OUT_OF_REACH);
        let left = until.saturating_duration_since(began);
        if left.is_zero() {
            return if until < deadline { Standing::OutOfReach } else { Standing::Behind };
        }
        match ask(left).await {
            Ok(true) => return Standing::Applied,
            Ok(false) => heard = Instant::now(),
            Err(PeerError::NotAsked) => heard += began.elapsed() + ASK_PAUSE,
            Err(error) if error.is_from_the_node() => heard = Instant::now(),
            Err(_) => {}
        }
        sleep(ASK_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use waypost_cluster::{RequestError, Unreached};

    async fn ends(answer: impl Fn(u32) -> Result<bool, PeerError>, within: Duration) -> Standing {
        let asked = Cell::new(0);
        let ask = async |_: Duration| {
            asked.set(asked.get() + 1);
            answer(asked.get())
        };
        follow(ask, Instant::now() + within).await
    }

    #[tokio::test]
    async fn a_request_that_was_not_sent_says_nothing_about_the_node() {
        let unreachable =
            || Err(PeerError::Request(RequestError::Unreachable { node: 2, why: Unreached::Refused }));
        let dead = |nth| if nth % 2 == 0 { Err(PeerError::NotAsked) } else { unreachable() };
        assert_eq!(ends(dead, Duration::from_secs(60)).await, Standing::OutOfReach);
        let within = 2 * OUT_OF_REACH;
        assert_eq!(ends(|_| Err(PeerError::NotAsked), within).await, Standing::Behind, "it was never asked");
        assert_eq!(ends(|_| Err(PeerError::Busy), within).await, Standing::Behind, "it answers");
        assert_eq!(ends(|nth| Ok(nth == 3), Duration::from_secs(60)).await, Standing::Applied);
    }
}
