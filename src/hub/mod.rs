//! The actors that own topics, and the node's path to the replicated log and back.
//!
//! Publishing goes `edge → Publisher → Log → Raft → Replica → Bridge → Topic → Recipient<Deliver>`. The hub
//! never names a session, a webhook's receiver or a protocol: it holds [`Recipient`](actix::Recipient)s of
//! [`Deliver`], and encodes events with the wire form that a subscription supplies.
//!
//! [`Hub`] is a set of parts. Each part has its own type and API, and receives the parts that it needs when
//! it is created. No part has access to the hub.

mod access;
mod applied;
mod apps;
mod archive;
mod bridge;
mod clients;
mod clock;
mod configured;
mod connections;
mod contact;
mod ephemeral;
mod error;
mod evaluators;
mod handed;
mod health;
mod janitor;
mod lane;
mod leases;
mod log;
mod news;
mod nudges;
mod operations;
mod operator_events;
mod pace;
mod peers;
mod presence;
mod publisher;
mod quota;
mod replica;
mod settings;
#[cfg(test)]
mod stage;
mod timeline;
mod topic;
mod topics;
mod traced;
mod usage;
mod vault;
mod wakes;
mod webhooks;
mod who;

pub use access::AccessControl;
pub use apps::{Apps, AppsError, OpenApp};
pub use archive::{Archive, ArchiveError, Page, ResumeError};
pub use bridge::Deliver;
pub use clients::{ClientError, ClientTokens, KeyRequest};
pub use clock::Clock;
pub use configured::Configured;
pub use connections::{
    AskClosed, AskConnections, AskThread, ClientConnection, ClosedConnection, EndConnection, MOST_CONNECTIONS,
};
pub use ephemeral::Ephemeral;
pub use error::HubError;
pub use evaluators::{Evaluators, Turn};
pub use health::{Health, NodeInfo, Report, Seen, Sight};
pub use leases::{Connection, CountConnections, Leases};
pub use log::Log;
pub use news::{News, Watch};
pub use operations::{Blocks, Operations};
pub use peers::{Lane, PeerError, PeerRequest, Peers};
pub use presence::{
    Counted, Counts, Membership, Occupancy, Presence, PresenceError, PresenceNews, PresenceWatch,
    PresentMember, Termination, TooManyChannelJoins,
};
pub use publisher::{Placed, Publisher};
pub use quota::{
    FULL_WAIT, PatternsInUse, PublishCharge, Quotas, TooManyConditions, TooManyJoins, TooManyPatterns,
};
pub use settings::report_settings;
pub use timeline::{ApplyNote, Author, DeliveryNote, Gathered, Known, Notes, PublishNote, Timeline, Via};
pub use topics::Topics;
pub use usage::{Meter, Usage};
pub use vault::{Encryption, EncryptionError, KEY_FILE, Vault};
pub use webhooks::{WebhookState, WebhookStore};
pub use who::{Grant, Holder, Who};

use crate::core::access::TokenHash;
use crate::core::ids::NodeId;
use actix_rt::Arbiter;
use bridge::Bridge;
use contact::CaughtUp;
use peers::PeerServer;
use quota::rates::Rates;
use std::sync::Arc;
use std::time::Duration;
use waypost_cluster::{Cluster, StartError};

/// The settings of the hub.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Hash of the configured admin token, if there is one.
    pub admin: Option<TokenHash>,
    /// How long an idempotency key is remembered.
    pub idempotency: Duration,
    /// The key that encrypts the secrets of webhooks and apps, if it is configured.
    pub encryption_key: Option<[u8; 32]>,
    /// The most distinct expressions that subscriptions to one map may have on this node, and the most
    /// distinct patterns of subjects.
    pub expressions_per_topic: usize,
    /// The most bytes of ephemeral events that may wait for one other node.
    pub ephemeral_link_bytes: usize,
    /// How long a node may be without a majority before it sends its clients to other nodes; `None`: for ever.
    pub cut_off_after: Option<Duration>,
    /// For how long a presence member stays after its last connection broke.
    pub presence_grace: Duration,
    /// The most joins of channels of one map in a minute on this node, where they are written to the log; 0 is no
    /// limit.
    pub channel_joins_per_minute: u32,
    /// The longest lifetime of a client token (JWT). One that lives longer is refused.
    pub longest_client_token: Duration,
}

/// The node's hub; cheap to clone. It lives as long as the node.
#[derive(Clone)]
pub struct Hub(Arc<Parts>);

struct Parts {
    cluster: Cluster,
    #[cfg(test)]
    bridge: Arc<Bridge>,
    access: AccessControl,
    apps: Apps,
    archive: Archive,
    clock: Clock,
    ephemeral: Ephemeral,
    evaluators: Evaluators,
    health: Health,
    leases: Leases,
    log: Log,
    operations: Operations,
    peers: Peers,
    presence: Presence,
    publisher: Publisher,
    quota: Quotas,
    topics: Topics,
    vault: Vault,
    webhooks: WebhookStore,
}

/// The tasks that run beside the hub's parts, as long as the node runs.
struct Tasks {
    leases: leases::Task,
    bridge: Arc<Bridge>,
    ephemeral: Arbiter,
    cut_off_after: Option<Duration>,
}

/// The parts that exist before the node joins the cluster, so that no request of another node comes too
/// early.
struct Foundation {
    bridge: Arc<Bridge>,
    server: Arc<PeerServer>,
    counts: Arc<health::Counts>,
    requests: Arc<quota::rates::Requests>,
    keys: Arc<vault::KeyRing>,
    own_file: Arc<configured::OwnFile>,
    ephemeral: Ephemeral,
    ephemeral_thread: Arbiter,
}

impl Foundation {
    fn lay(config: &HubConfig, cluster: &waypost_cluster::Config) -> Self {
        let server = Arc::new(PeerServer::default());
        let counts = Arc::new(health::Counts::default());
        let requests = Arc::default();
        quota::rates::serve(&server, Arc::clone(&requests));
        let keys = Arc::new(vault::KeyRing::new(config.encryption_key, &cluster.data_dir));
        vault::serve(&server, keys.clone());
        let own_file = Arc::default();
        configured::serve(&server, Arc::clone(&own_file));
        let bridge = Arc::<Bridge>::default();
        presence::serve(&server, Arc::clone(&bridge));
        connections::serve(&server, &bridge);
        let ephemeral = Ephemeral::new(config.ephemeral_link_bytes, counts.clone());
        let ephemeral_thread = ephemeral.serve(&server);
        Self { bridge, server, counts, requests, keys, own_file, ephemeral, ephemeral_thread }
    }

    /// Creates each part with the parts that it needs.
    fn build(self, cluster: Cluster, config: HubConfig) -> (Hub, Tasks) {
        let Self { bridge, server, counts, requests, keys, own_file, ephemeral, ephemeral_thread } = self;
        let peers = Peers::new(server, cluster.clone());
        let caught_up = CaughtUp::new(cluster.clone());
        let log = Log::new(cluster.clone(), peers.clone(), caught_up.clone());
        let clock = Clock::new(cluster.clone());
        let evaluators = Evaluators::start_on_own_thread();
        let archive = Archive::new(cluster.clone(), log.clone(), evaluators.clone());
        let topics = Topics::start(bridge.clone(), ephemeral.clone(), archive.clone(), evaluators.clone());
        let health = Health::new(cluster.clone(), peers.clone(), topics.clone(), counts);
        let configured = Configured::new(cluster.clone(), peers.clone(), own_file);
        let webhooks = WebhookStore::new(bridge.clone(), archive.clone(), log.clone(), configured);
        let presence = Presence::new(&cluster, &bridge, &peers, &config);
        let (leases, leases_task) = Leases::new(cluster.clone(), log.clone(), bridge.clone());
        let rates = Rates::new(cluster.clone(), peers.clone(), requests);
        let quota = Quotas::new(rates, leases.clone(), Usage::new(&cluster, &log, &archive), &config);
        let publisher = Publisher {
            log: log.clone(),
            clock: clock.clone(),
            health: health.clone(),
            quota: quota.clone(),
            ephemeral: ephemeral.clone(),
            idempotency: config.idempotency,
            passed_on: metrics::counter!(crate::metric::EPHEMERAL_PUBLISHED),
            bridge: bridge.clone(),
        };
        let vault = Vault::new(keys, cluster.clone(), peers.clone(), log.clone(), archive.clone());
        let access = AccessControl::new(bridge.clone(), log.clone(), &vault, caught_up.clone(), &config);
        let timeline = Timeline::new(cluster.clone(), peers.clone(), topics.clone(), bridge.clone());
        let operations = Operations::new(cluster.clone(), &peers, &log, &health, &webhooks, timeline);
        let tasks = Tasks {
            leases: leases_task,
            bridge: bridge.clone(),
            ephemeral: ephemeral_thread,
            cut_off_after: config.cut_off_after,
        };
        let hub = Hub(Arc::new(Parts {
            access,
            apps: Apps::new(bridge.clone(), log.clone(), vault.clone(), caught_up),
            archive,
            #[cfg(test)]
            bridge,
            clock,
            cluster,
            ephemeral,
            evaluators,
            health,
            leases,
            log,
            operations,
            peers,
            presence,
            publisher,
            quota,
            topics,
            vault,
            webhooks,
        }));
        (hub, tasks)
    }
}

impl Hub {
    /// Joins the cluster and starts the actors. Must run on an actix system.
    ///
    /// # Errors
    /// Why this node could not join the cluster.
    pub async fn start(config: HubConfig, cluster: waypost_cluster::Config) -> Result<Self, StartError> {
        let (hub, tasks) = Self::build(config, cluster).await?;
        hub.spawn(tasks);
        Ok(hub)
    }

    async fn build(config: HubConfig, cluster: waypost_cluster::Config) -> Result<(Self, Tasks), StartError> {
        let foundation = Foundation::lay(&config, &cluster);
        let replica = replica::Replica::new(foundation.bridge.clone());
        let cluster = Cluster::start(cluster, replica, foundation.server.clone()).await?;
        Ok(foundation.build(cluster, config))
    }

    fn spawn(&self, tasks: Tasks) {
        let Parts { cluster, ephemeral, health, leases, log, peers, presence, quota, vault, .. } = &*self.0;
        ephemeral.start(&tasks.ephemeral, peers, cluster);
        actix_rt::spawn(tasks.leases.run());
        leases::serve(peers, leases);
        presence.start(cluster, log, health, leases);
        janitor::spawn(cluster.clone(), tasks.bridge);
        actix_rt::spawn(operator_events::run(cluster.clone(), health.clone()));
        actix_rt::spawn(vault.clone().settle());
        actix_rt::spawn(quota.usage().clone().run());
        actix_rt::spawn(health.clone().watch());
        actix_rt::spawn(health.clone().watch_reach(tasks.cut_off_after));
    }

    /// Authentication and access to maps.
    pub fn access(&self) -> &AccessControl {
        &self.0.access
    }

    /// Apps: the credentials of clients that are known by a public key.
    pub fn apps(&self) -> &Apps {
        &self.0.apps
    }

    /// Stored events.
    pub fn archive(&self) -> &Archive {
        &self.0.archive
    }

    /// The cluster's time.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Events that go from node to node without being stored.
    pub fn ephemeral(&self) -> &Ephemeral {
        &self.0.ephemeral
    }

    /// The evaluation of expressions.
    pub fn evaluators(&self) -> &Evaluators {
        &self.0.evaluators
    }

    /// The health of the nodes.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// The leases of this node: what it holds in the cluster while it lives.
    pub fn leases(&self) -> &Leases {
        &self.0.leases
    }

    /// The replicated log.
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// The operations that operators start.
    pub fn operations(&self) -> &Operations {
        &self.0.operations
    }

    /// Requests from other nodes and to them.
    pub fn peers(&self) -> &Peers {
        &self.0.peers
    }

    /// Who is there on which channels.
    pub fn presence(&self) -> &Presence {
        &self.0.presence
    }

    /// Publishes events.
    pub fn publisher(&self) -> &Publisher {
        &self.0.publisher
    }

    /// The quotas of maps and tokens.
    pub fn quota(&self) -> &Quotas {
        &self.0.quota
    }

    /// Manages subscriptions to topics.
    pub fn topics(&self) -> &Topics {
        &self.0.topics
    }

    /// The key that encrypts the secrets of webhooks.
    pub fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// Webhooks: their stored state and the news about them.
    pub fn webhooks(&self) -> &WebhookStore {
        &self.0.webhooks
    }

    /// This node's id.
    pub fn node_id(&self) -> NodeId {
        self.0.cluster.node_id()
    }

    /// Makes the applied state durable and leaves the network.
    pub async fn shutdown(&self) {
        self.0.cluster.shutdown().await;
    }

    /// The cluster and the bridge, for tests that use them directly.
    #[cfg(test)]
    fn cluster_and_bridge(&self) -> (Cluster, Arc<Bridge>) {
        (self.0.cluster.clone(), self.0.bridge.clone())
    }
}
