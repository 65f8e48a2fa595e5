//! What goes on in maps at the moment: their connections on all nodes, and how their webhooks and consumers
//! stand. It is told only to those who ask for it, because nodes that do not answer are waited for.

use super::nodes::{self, Heard};
use crate::core::error_code::Code;
use crate::core::ids::{MapId, NodeId};
use crate::core::time::iso_millis;
use crate::core::webhook::standing::Standings;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use crate::hub::CountConnections;
use serde_json::{Value, json};

/// The parameter that asks for it.
pub(super) const NAME: &str = "now";

/// Whether the query asks for it.
pub(super) fn is_asked(query: &Query<'_>) -> Result<bool, ApiError> {
    match query.get(NAME) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ApiError::bad_request(Code::InvalidQuery, format!("{NAME} must be true or false"))),
    }
}

/// The connections of maps in the cluster.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Connections {
    /// By map, in the order in which the maps were asked for; only of the nodes that answered.
    counts: Vec<u64>,
    /// The nodes that did not answer.
    pub(super) silent: Vec<NodeId>,
}

impl Connections {
    /// Asks all nodes.
    pub(super) async fn of(edge: &Edge, maps: Vec<MapId>) -> Self {
        let mut all = Self { counts: vec![0; maps.len()], silent: Vec::new() };
        let ask = CountConnections { maps };
        let asks: Vec<(NodeId, CountConnections)> =
            edge.hub.health().status().members.iter().map(|member| (member.id, ask.clone())).collect();
        for (node, heard) in nodes::ask_all(edge, asks).await {
            all.hear(node, heard);
        }
        all
    }

    fn hear(&mut self, node: NodeId, heard: Heard<Vec<u32>>) {
        match heard {
            Heard::Answer(counts) => {
                self.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += u64::from(count));
            }
            Heard::Nothing => self.silent.push(node),
            Heard::NoProcess => {}
        }
    }

    /// Those of the map at that place.
    pub(super) fn at(&self, place: usize) -> u64 {
        self.counts.get(place).copied().unwrap_or_default()
    }
}

/// It as answers show it. `standings` were counted at that time (Unix milliseconds of the cluster's time); `None`
/// if they are not known.
pub(super) fn shown(connections: u64, standings: Option<(&Standings, u64)>) -> Value {
    json!({
        "connections": connections,
        "webhooks": standings.map(|(standings, _)| standings.webhooks_json()),
        "consumers": standings.map(|(standings, _)| standings.consumers_json()),
        "as_of": standings.map(|(_, at_ms)| iso_millis(at_ms)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_all_nodes_are_added_up() {
        let mut all = Connections { counts: vec![0; 2], silent: Vec::new() };
        all.hear(1, Heard::Answer(vec![3, 0]));
        all.hear(2, Heard::NoProcess);
        all.hear(3, Heard::Answer(vec![4, u32::MAX]));
        all.hear(4, Heard::Nothing);
        let expected = Connections { counts: vec![7, u64::from(u32::MAX)], silent: vec![4] };
        assert_eq!(
            all, expected,
            "a node without a process has no clients, and one that is silent may have some"
        );
        assert_eq!((all.at(0), all.at(2)), (7, 0));
    }

    #[test]
    fn what_is_not_known_is_null() {
        let unknown = shown(3, None);
        assert_eq!(unknown, json!({"connections": 3, "webhooks": null, "consumers": null, "as_of": null}));
        let known = shown(0, Some((&Standings::default(), 0)));
        assert_eq!((&known["webhooks"]["total"], &known["consumers"]["unread"]), (&json!(0), &json!(0)));
        assert_eq!(known["as_of"], "1970-01-01T00:00:00.000Z");
    }
}
