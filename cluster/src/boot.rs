//! Starts and stops a node.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::catchup::CatchUps;
use crate::config::Config;
use crate::disk_budget::{Disk, DiskBudget};
use crate::engine::{Engine, Raft};
use crate::error::StartError;
use crate::fatal::Fatal;
use crate::identity::Identity;
use crate::identity_key::PublicKey;
use crate::log::Log;
use crate::machine::{Handler, StateMachine};
use crate::net::{Limits, Listener, Me, Peers};
use crate::node::{Assembled, Foundation, Node, assemble};
use crate::open::{self, Opened};
use crate::os::{fs, random};
use crate::raft::{Network, settings};
use crate::store::{CheckpointAfter, Machine, Worker};
use crate::types::{Member, Wishes};
use crate::wire::IdentityV1;
use crate::{FIRST_GROUP, NodeId};

/// A started node with its tasks.
pub(crate) struct Running {
    pub(crate) node: Node,
    log: Log,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    /// The lock of the data directory, released when the node has stopped.
    lock: Mutex<Option<fs::File>>,
}

impl Running {
    /// Ends the tasks, then the engine, then makes the store and the log durable.
    pub(crate) async fn stop(&self) {
        let engine = &self.node.engine;
        self.tasks.lock().await.shutdown().await;
        engine.peers().close();
        if let Err(error) = engine.raft().shutdown().await {
            tracing::warn!(%error, "the consensus engine did not stop cleanly");
        }
        if let Err(error) = self.node.tools.worker.stop().await {
            tracing::warn!(%error, "the store did not stop cleanly");
        }
        if let Err(error) = self.log.sync().await {
            tracing::warn!(%error, "the log did not stop cleanly");
        }
        if let Err(error) = self.node.tools.identity.close().await {
            tracing::warn!(%error, "the identity did not stop cleanly");
        }
    }

    /// Releases the data directory.
    pub(crate) fn unlock(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Opens the data, joins a cluster if necessary, and starts all parts.
pub(crate) async fn start(
    config: Config,
    machine: Box<dyn StateMachine>,
    handler: Arc<dyn Handler>,
) -> Result<Running, StartError> {
    let limits = Limits::new(config.max_requests_in_flight, config.max_patient_requests);
    let listener = Listener::bind(config.peer_addr, config.max_connections, limits)
        .await
        .map_err(|source| StartError::Listen { addr: config.peer_addr, source })?;
    let mut member = Member {
        peer_addr: advertised(&config, &listener)?,
        learner_only: config.role_learner,
        meta: config.meta.clone(),
        wishes: Wishes::default(),
        identity: None,
    };
    let Opened { lock, layout, mut identity, secure, log, store, begins } =
        open::open(&config, &member, &listener).await?;
    member.identity = Some(secure.identity());
    // A founder needs no introduction: whoever joins later knows it.
    if identity.joined || identity.peers.is_empty() || !identity.introductions.is_empty() {
        secure.introduce_with(identity.introductions.clone());
    }
    let disk = DiskBudget::new(Disk::new(&layout.root, config.disk_reserve), log.clone(), store.clone());
    disk.enough_to_start().await?;
    let fatal = Arc::new(Fatal::new(&config));
    let after = CheckpointAfter { bytes: config.checkpoint_bytes };
    let worker =
        Worker::start(store.clone(), log.clone(), machine, layout.snapshot(), after, fatal.clone()).await?;
    let me =
        Me { cluster_id: identity.cluster_id, node_id: identity.node_id, addr: member.peer_addr.clone() };
    let peers = Peers::new(me, secure.clone(), limits);
    for known in &identity.peers {
        peers.learn(known.id, &known.addr, PublicKey(known.identity));
    }
    let catch_ups = Arc::new(CatchUps::default());
    let machine = Machine::new(store.clone(), worker.clone());
    let raft = raft(&config, &identity, &peers, &catch_ups, &log, machine.clone()).await?;
    machine.started();
    // After a restart the engine treats the state that it has just applied as a snapshot, and the log may be
    // purged up to it. So the state must be made durable here.
    if !crate::failpoint!("restart-without-checkpoint") {
        worker.checkpoint().await?;
    }
    if begins {
        begin(&raft, identity.node_id, &member).await?;
        // From then on an empty log counts as damaged, and the engine does not wait for the disk.
        log.sync().await?;
        identity.joined = true;
        layout.write_identity(&identity)?;
    }
    let engine = Engine::new(config, FIRST_GROUP, raft, peers, incarnation()?, catch_ups);
    let identity = Arc::new(Identity::new(layout, identity, member));
    let on = Foundation { engine, identity, log: log.clone(), store, worker, disk, handler, fatal };
    let Assembled { node, tasks } = assemble(on, listener, secure);
    Ok(Running { node, log, tasks: tokio::sync::Mutex::new(tasks), lock: Mutex::new(Some(lock)) })
}

/// The number of this run of the process.
fn incarnation() -> std::io::Result<u64> {
    let mut number = [0; 8];
    random(&mut number)?;
    Ok(u64::from_le_bytes(number))
}

/// The address that is reported to peers.
fn advertised(config: &Config, listener: &Listener) -> Result<String, StartError> {
    match config.advertise_peer.as_str() {
        "" if listener.addr()?.ip().is_unspecified() => {
            let what = "the peer address names no host: advertise_peer must say where peers reach this node";
            Err(StartError::Config(what.to_owned()))
        }
        "" => Ok(listener.addr()?.to_string()),
        advertised => Ok(advertised.to_owned()),
    }
}

async fn raft(
    config: &Config,
    identity: &IdentityV1,
    peers: &Arc<Peers>,
    catch_ups: &Arc<CatchUps>,
    log: &Log,
    machine: Machine,
) -> Result<Raft, StartError> {
    let cluster = crate::identity::shown(&identity.cluster_id);
    let settings = settings(config, &cluster).map_err(|e| StartError::Config(e.to_string()))?;
    let network = Network {
        group: FIRST_GROUP,
        peers: peers.clone(),
        catch_ups: catch_ups.clone(),
        log: log.clone(),
        append_timeout: Duration::from_millis(config.election_max_ms * 4).max(Duration::from_secs(2)),
        snapshot_timeout: config.snapshot_timeout,
    };
    Raft::new(identity.node_id, Arc::new(settings), network, log.clone(), machine)
        .await
        .map_err(|e| StartError::Raft(e.to_string()))
}

/// Begins a cluster of one node.
async fn begin(raft: &Raft, id: NodeId, member: &Member) -> Result<(), StartError> {
    let members = std::collections::BTreeMap::from([(id, member.clone())]);
    raft.initialize(members).await.map_err(|e| StartError::Raft(e.to_string()))
}
