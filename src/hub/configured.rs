//! Which webhooks are in the nodes' configuration files. Nodes may have different files while a new one is
//! rolled out. So a webhook counts as removed from the files only once every member of the cluster has said
//! so.

use super::peers::{Lane, PeerRequest, PeerServer, Peers};
use crate::core::ids::WebhookId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use waypost_cluster::Cluster;

const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks a node which of these webhooks are in its configuration file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AreConfigured(Vec<WebhookId>);

impl PeerRequest for AreConfigured {
    /// The webhooks that are in the file; `None` while the node has not read its file.
    type Answer = Option<Vec<WebhookId>>;
    const KIND: u16 = 5;
    const LANE: Lane = Lane::quick(8, 8);
}

pub(super) fn serve(peers: &PeerServer, configured: Arc<OwnFile>) {
    peers.serve(move |_, AreConfigured(webhooks)| std::future::ready(configured.among(&webhooks)));
}

/// The webhooks in this node's file; `None` before the file was read.
#[derive(Debug, Default)]
pub(super) struct OwnFile(RwLock<Option<BTreeSet<WebhookId>>>);

impl OwnFile {
    /// Those of `webhooks` that are in the file.
    fn among(&self, webhooks: &[WebhookId]) -> Option<Vec<WebhookId>> {
        let configured = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let configured = configured.as_ref()?;
        Some(webhooks.iter().filter(|webhook| configured.contains(webhook)).copied().collect())
    }
}

/// Finds out which webhooks are in configuration files; cheap to clone.
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

    /// Records the webhooks in this node's file, for the requests of other nodes.
    pub fn set(&self, webhooks: BTreeSet<WebhookId>) {
        *self.own.0.write().unwrap_or_else(PoisonError::into_inner) = Some(webhooks);
    }

    /// Those of `webhooks` that are in no member's file; an empty list while a member does not answer.
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
