//! Which webhooks stand in the nodes' configuration files. Nodes may have different files while one is rolled out: an
//! webhook is in nobody's file only once every member of the cluster has said so.

use super::peers::{Lane, PeerRequest, PeerServer, Peers};
use crate::core::ids::WebhookId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use waypost_cluster::Cluster;

const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Which of these stand in your configuration file?
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AreConfigured(Vec<WebhookId>);

impl PeerRequest for AreConfigured {
    /// Those that do, once the node knows.
    type Answer = Option<Vec<WebhookId>>;
    const KIND: u16 = 5;
    const LANE: Lane = Lane::quick(8, 8);
}

pub(super) fn serve(peers: &PeerServer, configured: Arc<OwnFile>) {
    peers.serve(move |_, AreConfigured(webhooks)| std::future::ready(configured.among(&webhooks)));
}

/// What stands in this node's file; nothing is known before the file has been looked through.
#[derive(Debug, Default)]
pub(super) struct OwnFile(RwLock<Option<BTreeSet<WebhookId>>>);

impl OwnFile {
    /// Those of `webhooks` that stand in the file.
    fn among(&self, webhooks: &[WebhookId]) -> Option<Vec<WebhookId>> {
        let configured = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let configured = configured.as_ref()?;
        Some(webhooks.iter().filter(|webhook| configured.contains(webhook)).copied().collect())
    }
}

/// Which webhooks stand in configuration files; cheap to clone.
#[derive(Clone)]
pub struct Configured {
    cluster: Cluster,
    peers: Peers,
    own: Arc<OwnFile>,
}

impl Configured {
    pub(super) fn new(cluster: Cluster, peers: Peers, own: Arc<OwnFile>) -> Self {
        Self { cluster, peers, own }
    }

    /// Takes what stands in this node's file, for other nodes that ask.
    pub fn set(&self, webhooks: BTreeSet<WebhookId>) {
        *self.own.0.write().unwrap_or_else(PoisonError::into_inner) = Some(webhooks);
    }

    /// Those of `webhooks` that stand in no member's file; none while a member doesn't answer.
    pub async fn nowhere(&self, mut webhooks: Vec<WebhookId>) -> Vec<WebhookId> {
        let me = self.cluster.node_id();
        for node in self.cluster.status().members.into_iter().map(|member| member.id) {
            let standing = if node == me {
                self.own.among(&webhooks)
            } else {
                self.peers.ask(node, &AreConfigured(webhooks.clone()), ASK_TIMEOUT).await.ok().flatten()
            };
            let Some(standing) = standing else { return Vec::new() };
            webhooks.retain(|webhook| !standing.contains(webhook));
        }
        webhooks
    }
}
