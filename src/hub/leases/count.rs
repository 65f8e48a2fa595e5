//! How many connections maps have on a node, for whoever wants to know how many there are in the cluster.

use super::Leases;
use crate::core::ids::MapId;
use crate::hub::peers::{Lane, PeerRequest, Peers};
use serde::{Deserialize, Serialize};

/// Asks a node how many connections each of these maps has there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountConnections {
    /// The maps.
    pub maps: Vec<MapId>,
}

impl PeerRequest for CountConnections {
    /// The counts, in the order of the maps.
    type Answer = Option<Vec<u32>>;
    const KIND: u16 = 44;
    const LANE: Lane = Lane::quick(4, 28);
}

/// Answers the other nodes, and this one.
pub(in crate::hub) fn serve(peers: &Peers, leases: &Leases) {
    let book = leases.book.clone();
    peers.serve(move |_, ask: CountConnections| std::future::ready(Some(book.of_maps(&ask.maps))));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::codec::{decode, encode};

    #[test]
    fn the_request_keeps_its_bytes() {
        let ask = CountConnections { maps: vec![MapId::from_bytes([1; 16]), MapId::from_bytes([2; 16])] };
        assert_eq!(decode::<CountConnections>(&encode(&ask).unwrap()).unwrap(), ask);
    }
}
