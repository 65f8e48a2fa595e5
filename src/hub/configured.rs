//! Which webhooks and apps are in the nodes' configuration files. Nodes may have different files while a new
//! one is rolled out. So something counts as removed from the files only once every member of the cluster has
//! said so.

use super::peers::{Lane, PeerRequest, PeerServer, Peers};
use crate::core::ids::{TokenId, WebhookId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use waypost_cluster::Cluster;

const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// An id of something in a file: the id of a webhook, or the token of an app.
type Id = [u8; 16];

/// A list of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Listed {
    Webhooks,
    Apps,
}

/// Asks a node which of these are in that list of its configuration file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AreConfigured(Listed, Vec<Id>);

impl PeerRequest for AreConfigured {
    /// Those that are in the file; `None` while the node has not read its file.
    type Answer = Option<Vec<Id>>;
    const KIND: u16 = 5;
    const LANE: Lane = Lane::quick(8, 8);
}

pub(super) fn serve(peers: &PeerServer, configured: Arc<OwnFile>) {
    peers.serve(move |_, AreConfigured(listed, ids)| std::future::ready(configured.among(listed, &ids)));
}

/// What is in this node's file; `None` before the file was read.
#[derive(Debug, Default)]
pub(super) struct OwnFile {
    webhooks: RwLock<Option<BTreeSet<Id>>>,
    apps: RwLock<Option<BTreeSet<Id>>>,
}

impl OwnFile {
    fn list(&self, listed: Listed) -> &RwLock<Option<BTreeSet<Id>>> {
        match listed {
            Listed::Webhooks => &self.webhooks,
            Listed::Apps => &self.apps,
        }
    }

    fn set(&self, listed: Listed, ids: BTreeSet<Id>) {
        *self.list(listed).write().unwrap_or_else(PoisonError::into_inner) = Some(ids);
    }

    /// Those of `ids` that are in the file.
    fn among(&self, listed: Listed, ids: &[Id]) -> Option<Vec<Id>> {
        let configured = self.list(listed).read().unwrap_or_else(PoisonError::into_inner);
        let configured = configured.as_ref()?;
        Some(ids.iter().filter(|id| configured.contains(*id)).copied().collect())
    }
}

/// Finds out what is in configuration files; cheap to clone.
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
    pub fn set_webhooks(&self, webhooks: BTreeSet<WebhookId>) {
        self.own.set(Listed::Webhooks, webhooks.iter().map(|id| *id.as_bytes()).collect());
    }

    /// Records the tokens of the apps in this node's file, for the requests of other nodes.
    pub fn set_apps(&self, apps: BTreeSet<TokenId>) {
        self.own.set(Listed::Apps, apps.iter().map(|id| *id.as_bytes()).collect());
    }

    /// Those of `webhooks` that are in no member's file; an empty list while a member does not answer.
    pub async fn webhooks_nowhere(&self, webhooks: Vec<WebhookId>) -> Vec<WebhookId> {
        let ids = webhooks.iter().map(|id| *id.as_bytes()).collect();
        self.nowhere(Listed::Webhooks, ids).await.into_iter().map(WebhookId::from_bytes).collect()
    }

    /// Those of the apps with these tokens that are in no member's file, as for webhooks.
    pub async fn apps_nowhere(&self, apps: Vec<TokenId>) -> Vec<TokenId> {
        let ids = apps.iter().map(|id| *id.as_bytes()).collect();
        self.nowhere(Listed::Apps, ids).await.into_iter().map(TokenId::from_bytes).collect()
    }

    async fn nowhere(&self, listed: Listed, mut ids: Vec<Id>) -> Vec<Id> {
        let me = self.cluster.node_id();
        for node in self.cluster.status().members.into_iter().map(|member| member.id) {
            let standing = if node == me {
                self.own.among(listed, &ids)
            } else {
                self.peers.ask(node, &AreConfigured(listed, ids.clone()), ASK_TIMEOUT).await.ok().flatten()
            };
            let Some(standing) = standing else { return Vec::new() };
            ids.retain(|id| !standing.contains(id));
        }
        ids
    }
}
