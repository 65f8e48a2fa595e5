//! Which endpoints stand in the nodes' configuration files. Nodes may have different files while one is rolled out: an
//! endpoint is in nobody's file only once every member of the cluster has said so.

use super::Hub;
use super::peers::{Lane, PeerRequest, Peers};
use crate::core::ids::EndpointId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Which of these stand in your configuration file?
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AreConfigured(Vec<EndpointId>);

impl PeerRequest for AreConfigured {
    /// Those that do, once the node knows.
    type Answer = Option<Vec<EndpointId>>;
    const KIND: u16 = 5;
    const LANE: Lane = Lane::quick(8, 8);
}

pub(super) fn serve(peers: &Peers, configured: Arc<Configured>) {
    peers.serve(move |_, AreConfigured(endpoints)| std::future::ready(configured.among(&endpoints)));
}

/// What stands in this node's file; nothing is known before the file has been looked through.
#[derive(Debug, Default)]
pub(super) struct Configured(RwLock<Option<BTreeSet<EndpointId>>>);

impl Configured {
    /// Those of `endpoints` that stand in the file.
    pub(super) fn among(&self, endpoints: &[EndpointId]) -> Option<Vec<EndpointId>> {
        let configured = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let configured = configured.as_ref()?;
        Some(endpoints.iter().filter(|endpoint| configured.contains(endpoint)).copied().collect())
    }
}

impl Hub {
    /// Takes what stands in this node's file, for other nodes that ask.
    pub fn set_configured(&self, endpoints: BTreeSet<EndpointId>) {
        *self.0.configured.0.write().unwrap_or_else(PoisonError::into_inner) = Some(endpoints);
    }

    /// Those of `endpoints` that stand in no member's file; none while a member doesn't answer.
    pub async fn configured_nowhere(&self, mut endpoints: Vec<EndpointId>) -> Vec<EndpointId> {
        for node in self.status().members.into_iter().map(|member| member.id) {
            let standing = if node == self.node_id() {
                self.0.configured.among(&endpoints)
            } else {
                self.ask(node, &AreConfigured(endpoints.clone()), ASK_TIMEOUT).await.ok().flatten()
            };
            let Some(standing) = standing else { return Vec::new() };
            endpoints.retain(|endpoint| !standing.contains(endpoint));
        }
        endpoints
    }
}
