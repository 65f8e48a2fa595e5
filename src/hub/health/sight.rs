//! How this node reaches each other one over the peer port.

use crate::core::ids::NodeId;
use crate::hub::peers::PeerError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;
use waypost_cluster::Unreached;

/// How a node reaches another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// The other node.
    pub node: NodeId,
    /// Why it is not reached; `None` if it is.
    pub error: Option<Unreached>,
    /// For how long that has been so (milliseconds).
    pub for_ms: u64,
}

/// What the last request to each node showed.
#[derive(Debug, Default)]
pub(super) struct Sights(BTreeMap<NodeId, (Option<Unreached>, Instant)>);

impl Sights {
    /// Records the result of a request to `node`, where it says anything about the way to the node.
    pub(super) fn note<T>(&mut self, node: NodeId, result: &Result<T, PeerError>, now: Instant) {
        let Some(error) = shown(result) else { return };
        let sight = self.0.entry(node).or_insert((error, now));
        if sight.0.is_some() != error.is_some() {
            sight.1 = now;
        }
        sight.0 = error;
    }

    /// Forgets the nodes for which `keep` is false.
    pub(super) fn retain(&mut self, keep: impl Fn(NodeId) -> bool) {
        self.0.retain(|node, _| keep(*node));
    }

    pub(super) fn list(&self, now: Instant) -> Vec<Sight> {
        let sight = |(node, (error, since)): (&NodeId, &(Option<Unreached>, Instant))| Sight {
            node: *node,
            error: *error,
            for_ms: now.saturating_duration_since(*since).as_millis() as u64,
        };
        self.0.iter().map(sight).collect()
    }
}

/// What a result shows: `Some(None)` if the node was reached; `None` if the result says nothing about that.
fn shown<T>(result: &Result<T, PeerError>) -> Option<Option<Unreached>> {
    match result {
        Ok(_) => Some(None),
        Err(error) if error.is_from_the_node() => Some(None),
        Err(PeerError::Request(error)) => error.unreached().map(Some),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use waypost_cluster::RequestError;

    #[test]
    fn the_time_counts_from_the_change_between_reached_and_not() {
        let mut sights = Sights::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let failed = |why| Err::<(), _>(PeerError::Request(RequestError::Unreachable { node: 2, why }));
        sights.note(2, &Ok(()), at(0));
        sights.note(2, &failed(Unreached::NoAnswer), at(5));
        sights.note(2, &failed(Unreached::NoConnection), at(7));
        let told = |sights: &Sights, now| sights.list(now).pop().map(|sight| (sight.error, sight.for_ms));
        assert_eq!(told(&sights, at(9)), Some((Some(Unreached::NoConnection), 4000)));
        sights.note(2, &Err::<(), _>(PeerError::NotAsked), at(10));
        assert_eq!(told(&sights, at(10)), Some((Some(Unreached::NoConnection), 5000)), "it was not asked");
        sights.note(2, &Err::<(), _>(PeerError::Busy), at(11));
        assert_eq!(told(&sights, at(12)), Some((None, 1000)), "it answers");
        sights.retain(|node| node != 2);
        assert_eq!(sights.list(at(12)), []);
    }
}
