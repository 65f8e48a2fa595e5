//! Actors that own topics, and the node's way to the replicated log and back.
//!
//! Publishing goes `edge → Hub::propose → Raft → Replica → Bridge → Topic → Recipient<Deliver>`. The hub never names a
//! session, a webhook or a protocol: it holds [`Recipient`](actix::Recipient)s of [`Deliver`] and encodes with the
//! wire form that a subscription brings.

mod access;
mod applied;
mod archive;
mod bridge;
mod conditions;
mod configured;
mod contact;
mod endpoints;
mod ephemeral;
mod janitor;
mod judges;
mod leases;
mod nudges;
mod operations;
mod patterns;
mod peers;
mod propose;
mod registry;
mod replica;
mod requests;
mod resume;
mod seal;
#[cfg(test)]
mod stage;
mod topic;
mod vitals;

pub use access::{Grant, Who};
pub use archive::{Archive, ArchiveError, Page};
pub use bridge::Deliver;
pub use conditions::TooManyConditions;
pub use endpoints::{EndpointState, News, Watch};
pub use judges::{Judges, Turn};
pub use leases::Connection;
pub use operations::Blocks;
pub use patterns::{PatternsInUse, TooManyPatterns};
pub use peers::{Lane, PeerError, PeerRequest, Peers};
pub use propose::HubError;
pub use registry::{Subscribe, Unsubscribe};
pub use resume::ResumeError;
pub use seal::{Seal, SealError};
pub use vitals::{InfoSource, NodeInfo, Seen};

use crate::core::access::{Access, TokenHash};
use crate::core::ids::NodeId;
use actix::{Addr, Recipient};
use bridge::Bridge;
use registry::Registry;
use std::sync::{Arc, RwLockReadGuard};
use std::time::Duration;
use waypost_cluster::{Cluster, StartError, Status};

/// What the hub must be told.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Hash of the admin token of the configuration, if there is one.
    pub admin: Option<TokenHash>,
    /// For how long an idempotency key is remembered.
    pub idempotency: Duration,
    /// The key that seals endpoints, if the configuration has one.
    pub seal_key: Option<[u8; 32]>,
    /// Different expressions that subscriptions to one map may have on this node, and different patterns of subjects.
    pub expressions_per_topic: usize,
    /// Bytes of ephemeral events that wait for one other node.
    pub ephemeral_link_bytes: usize,
}

/// The node's hub; cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    bridge: Arc<Bridge>,
    ephemeral: ephemeral::Ephemeral,
    registry: Addr<Registry>,
    archive: Archive,
    judges: Judges,
    leases: leases::Leases,
    caught_up: contact::CaughtUp,
    conditions: conditions::Conditions,
    patterns: patterns::Patterns,
    requests: Arc<requests::Requests>,
    info: Arc<InfoSource>,
    peers: Arc<Peers>,
    keys: Arc<seal::KeyRing>,
    configured: Arc<configured::Configured>,
    vitals: vitals::Vitals,
    config: HubConfig,
}

impl Hub {
    /// Joins the cluster and starts the actors. Must run on an actix system.
    pub async fn start(config: HubConfig, cluster: waypost_cluster::Config) -> Result<Self, StartError> {
        let bridge = Arc::new(Bridge::default());
        let requests = Arc::new(requests::Requests::default());
        let info = Arc::new(InfoSource::default());
        let keys = Arc::new(seal::KeyRing::new(config.seal_key, &cluster.data_dir));
        let configured = Arc::new(configured::Configured::default());
        let peers = Arc::new(Peers::default());
        let ephemeral = ephemeral::Ephemeral::new(config.ephemeral_link_bytes, info.clone());
        requests::serve(&peers, requests.clone());
        let exchange = ephemeral.serve(&peers);
        seal::serve(&peers, keys.clone());
        configured::serve(&peers, configured.clone());
        let cluster = Cluster::start(cluster, replica::Replica::new(bridge.clone()), peers.clone()).await?;
        applied::serve(&peers, &cluster);
        operations::serve(&peers, &cluster);
        vitals::serve(&peers, &cluster, info.clone(), bridge.clone());
        let judges = Judges::start_on_own_thread();
        let archive = Archive::new(cluster.clone(), judges.clone());
        let registry =
            Registry::start_on_own_thread(bridge.clone(), ephemeral.clone(), archive.clone(), judges.clone());
        bridge.attach_registry(registry.clone().recipient());
        ephemeral.attach_registry(registry.clone().recipient());
        ephemeral.start(&exchange, &peers, &cluster);
        let leases = leases::Leases::start(cluster.clone(), bridge.clone());
        janitor::spawn(cluster.clone(), bridge.clone());
        let inner = Inner {
            cluster,
            bridge,
            ephemeral,
            registry,
            archive,
            judges,
            leases,
            caught_up: contact::CaughtUp::default(),
            conditions: conditions::Conditions::default(),
            patterns: patterns::Patterns::default(),
            requests,
            info,
            peers,
            keys,
            configured,
            vitals: vitals::Vitals::default(),
            config,
        };
        let hub = Self(Arc::new(inner));
        actix_rt::spawn(hub.clone().settle_seal());
        actix_rt::spawn(hub.clone().watch_vitals());
        Ok(hub)
    }

    /// Tells every outlet.
    #[cfg(feature = "failpoints")]
    pub(crate) fn broadcast(&self, news: impl Fn() -> Deliver) {
        self.0.bridge.broadcast(news);
    }

    /// Maps and tokens as this node knows them. Hold it briefly: the log waits for writers.
    pub fn access(&self) -> RwLockReadGuard<'_, Access> {
        self.0.bridge.access()
    }

    /// Where subscriptions are made.
    pub fn registry(&self) -> &Addr<Registry> {
        &self.0.registry
    }

    /// Tells `outlet` of what ends: topics, tokens, maps, the node.
    pub fn register_outlet(&self, outlet: Recipient<Deliver>) {
        self.0.bridge.register_outlet(outlet);
    }

    /// Stored events.
    pub fn archive(&self) -> &Archive {
        &self.0.archive
    }

    /// Where expressions are evaluated.
    pub fn judges(&self) -> &Judges {
        &self.0.judges
    }

    /// The cluster as this node sees it.
    pub fn status(&self) -> Status {
        let mut status = self.0.cluster.status();
        // Who follows hears the leader; whether a majority does, only the leader knows.
        if status.leader.is_some_and(|leader| leader != status.node_id && self.0.vitals.leads_alone(leader)) {
            status.has_quorum = false;
        }
        status
    }

    /// The consensus engine and the thread of the topics answer; waits until they do.
    pub async fn answers(&self) -> bool {
        let admin = self.0.cluster.admin();
        let (engine, topics) = tokio::join!(admin.answers(), self.0.registry.send(registry::Ping));
        engine && topics.is_ok()
    }

    /// This node's id.
    pub fn node_id(&self) -> NodeId {
        self.0.cluster.node_id()
    }

    /// The cluster's time (Unix milliseconds): what is shown, signed, and compared with an event's time.
    pub fn time_ms(&self) -> u64 {
        self.0.cluster.time_ms()
    }

    /// The clock that replicated things expire by (milliseconds): monotonic, and much the same on all nodes.
    pub fn expiry_ms(&self) -> u64 {
        self.0.cluster.expiry_ms()
    }

    /// Both clocks at one moment: the cluster's time, and the expiry clock.
    pub fn clocks(&self) -> (u64, u64) {
        self.0.cluster.clocks()
    }

    /// A reading of the expiry clock as a time to show.
    pub fn shown_ms(&self, expiry_ms: u64) -> u64 {
        expiry_ms.saturating_add_signed(self.shown_shift())
    }

    /// The cluster's time minus the expiry clock (milliseconds).
    pub fn shown_shift(&self) -> i64 {
        let (time_ms, expiry_ms) = self.clocks();
        time_ms as i64 - expiry_ms as i64
    }

    /// Requests of other nodes: who answers them.
    pub fn peers(&self) -> &Peers {
        &self.0.peers
    }

    /// Asks another node (or this one), once.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask<R: PeerRequest>(&self, node: NodeId, ask: &R, timeout: Duration) -> Result<R::Answer, PeerError> {
        self.0.peers.ask(&self.0.cluster, node, ask, timeout).await
    }

    /// Settings.
    pub fn config(&self) -> &HubConfig {
        &self.0.config
    }

    /// What other nodes are told of this one, kept up to date by the room that counts.
    pub fn info(&self) -> &InfoSource {
        &self.0.info
    }

    /// Tells every outlet that the node is going away.
    pub fn announce_drain(&self) {
        self.0.bridge.broadcast(|| Deliver::Drain);
    }

    /// Tells every outlet that the node stays.
    pub fn announce_return(&self) {
        self.0.bridge.broadcast(|| Deliver::Stay);
    }

    /// Gives the lead away, if this node has it.
    pub async fn hand_over(&self, within: Duration) -> bool {
        self.0.cluster.admin().hand_over(within).await
    }

    /// Makes what was applied durable and leaves the network.
    pub async fn shutdown(&self) {
        self.0.cluster.shutdown().await;
    }
}
