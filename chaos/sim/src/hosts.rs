//! The simulated hosts and the nodes that run on them.
//!
//! The module starts, ends and queries nodes; it never decides when.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use simulated::sim::{Process, World};
use simulated::{Cluster, NoHandler, Role};
use tokio::time::sleep;

use crate::history::History;
use crate::ledger::Ledger;
use crate::plan::{Plan, Target};
use crate::presence::{self, Local, Replica};

/// The longest time of a membership change before a disk is lost.
const SETTLE: Duration = Duration::from_millis(500);

/// One host.
#[derive(Default)]
struct Host {
    process: Option<Process>,
    node: Option<Cluster>,
    /// What the process holds of presence, once its node has started.
    local: Option<Arc<Local>>,
    /// The number of its present disk; each loss of a disk raises it.
    disk: u64,
    /// Whether its node begins the cluster. A node on an emptied disk joins instead.
    begins: bool,
}

/// All hosts of a run.
pub(crate) struct Hosts {
    pub(crate) world: Arc<World>,
    pub(crate) plan: Plan,
    pub(crate) history: Arc<History>,
    /// The commands of Waypost that nodes applied.
    pub(crate) commands: Arc<presence::Log>,
    hosts: Mutex<Vec<Host>>,
    /// Node id → the disk (host, number) that has this id.
    ids: Mutex<HashMap<u64, (usize, u64)>>,
    /// Whether a disk is being lost on purpose.
    losing: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hosts {
    /// Hosts with empty disks and no node.
    pub(crate) fn new(world: Arc<World>, plan: Plan, history: Arc<History>) -> Arc<Self> {
        let hosts = (0..plan.nodes).map(|i| Host { begins: i == 0, ..Host::default() }).collect();
        let hosts = Mutex::new(hosts);
        let commands = Arc::default();
        let ids = Mutex::default();
        Arc::new(Self { world, plan, history, commands, hosts, ids, losing: AtomicBool::new(false) })
    }

    /// Starts the node of `host`, unless it runs. The start completes later.
    pub(crate) fn start(self: &Arc<Self>, host: usize) {
        let (process, disk, begins) = {
            let mut hosts = lock(&self.hosts);
            let slot = &mut hosts[host];
            if slot.process.is_some() {
                return;
            }
            let process = Process::start(&self.world, host);
            slot.process = Some(process.clone());
            (process, slot.disk, slot.begins)
        };
        let mut config = self.plan.config(host, begins);
        let world = self.world.clone();
        let ended = process.clone();
        config.on_fatal = Some(Arc::new(move |why| {
            if !ended.is_dead() {
                world.violation(format!("node on host {host} ended: {why}"));
            }
        }));
        let ledger = Ledger::new(host, self.history.clone());
        let this = self.clone();
        let local = Arc::new(Local::default());
        let started = if self.plan.presence {
            let replica = Replica::new(ledger, local.clone(), self.commands.clone());
            process.run(Cluster::start(config, replica, Arc::new(NoHandler))).boxed()
        } else {
            process.run(Cluster::start(config, ledger, Arc::new(NoHandler))).boxed()
        };
        tokio::spawn(async move {
            match started.await {
                Ok(node) => {
                    this.started(host, disk, &process, node.clone());
                    if this.plan.presence {
                        this.keep_presence(host, process, node, local);
                    }
                }
                Err(error) => this.world.violation(format!("node on host {host} does not start: {error}")),
            }
        });
    }

    fn started(&self, host: usize, disk: u64, process: &Process, node: Cluster) {
        if process.is_dead() {
            return;
        }
        tracing::debug!(host, id = node.node_id(), applied = node.applied(), "started");
        let disk = self.disk(host, disk);
        let owner = *lock(&self.ids).entry(node.node_id()).or_insert((host, disk));
        if owner != (host, disk) {
            let what = format!("node id {} belongs to {owner:?} and to {:?}", node.node_id(), (host, disk));
            self.world.violation(what);
        }
        let mut hosts = lock(&self.hosts);
        hosts[host].begins = false;
        hosts[host].node = Some(node);
    }

    /// Lets users come to a process, unless it has ended.
    fn keep_presence(self: &Arc<Self>, host: usize, process: Process, node: Cluster, local: Arc<Local>) {
        if process.is_dead() {
            return;
        }
        lock(&self.hosts)[host].local = Some(local.clone());
        tokio::spawn(presence::keep(self.clone(), process, node, local));
    }

    /// What the process on `host` holds of presence.
    pub(crate) fn local(&self, host: usize) -> Option<Arc<Local>> {
        lock(&self.hosts)[host].local.clone()
    }

    /// The name of a disk; a disk that was given up as damaged counts as another disk.
    fn disk(&self, host: usize, disk: u64) -> u64 {
        disk * 1000 + self.world.damaged().iter().filter(|(at, _)| *at == host).count() as u64
    }

    /// Ends the node of `host`, if it runs.
    pub(crate) fn end(&self, host: usize, power: bool) {
        let (process, node) = {
            let mut hosts = lock(&self.hosts);
            hosts[host].local = None;
            (hosts[host].process.take(), hosts[host].node.take())
        };
        if let Some(process) = process {
            if power { process.cut_power(&self.world) } else { process.kill(&self.world) }
        }
        drop(node);
    }

    /// Empties the disk of a host that is down.
    pub(crate) fn wipe(&self, host: usize) {
        self.world.wipe(host);
        lock(&self.hosts)[host].disk += 1;
    }

    /// The process on `host`, if one runs.
    pub(crate) fn process(&self, host: usize) -> Option<Process> {
        lock(&self.hosts)[host].process.clone()
    }

    /// The node on `host`, if it runs and has started.
    pub(crate) fn node(&self, host: usize) -> Option<Cluster> {
        lock(&self.hosts)[host].node.clone()
    }

    /// The host whose node leads; the one with the highest term if several nodes report that they lead.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leads = |host: usize| {
            let status = self.node(host)?.status();
            (status.role == Role::Leader).then_some((status.term, host))
        };
        (0..self.plan.nodes).filter_map(leads).max().map(|(_, host)| host)
    }

    /// The host that is the target of a fault.
    pub(crate) fn find(&self, target: Target) -> Option<usize> {
        match target {
            Target::Host(host) => Some(host),
            Target::Leader => self.leader(),
        }
    }

    /// Whether every host's node is up and a member with the role it wants, and the leader hears from all.
    pub(crate) fn all_well(&self) -> bool {
        let up = (0..self.plan.nodes).all(|host| self.node(host).is_some());
        let Some(leader) = self.leader().filter(|_| up).and_then(|host| self.node(host)) else {
            return false;
        };
        let status = leader.status();
        let member = |host| self.node(host).is_some_and(|node| status.member(node.node_id()).is_some());
        let voters = status.members.iter().filter(|m| m.voter).count();
        status.has_quorum
            && !status.changing
            && status.members.len() == self.plan.nodes
            && voters == self.plan.nodes - self.plan.learners
            && status.members.iter().all(|m| m.reachable)
            && (0..self.plan.nodes).all(member)
    }

    /// Whether a disk may be lost now: true for one caller at a time, while all nodes are well.
    pub(crate) async fn may_lose_disk(&self) -> bool {
        // A membership change may be in progress, in which fewer copies count than it seems. So the entries
        // that it has appended must be committed, and then the entries that it appends after them.
        self.all_committed().await && self.all_committed().await && self.all_well() && self.may_lose_one()
    }

    fn may_lose_one(&self) -> bool {
        !self.losing.swap(true, Ordering::Relaxed)
    }

    /// Whether the leader's present log is committed before long.
    async fn all_committed(&self) -> bool {
        let status = || Some(self.node(self.leader()?)?.status());
        let Some(last) = status().map(|s| s.last_log).filter(|_| self.all_well()) else { return false };
        self.until(SETTLE, |_| status().is_some_and(|s| s.committed >= last)).await
    }

    /// The host that lost its disk has power again.
    pub(crate) fn disk_was_lost(&self) {
        self.losing.store(false, Ordering::Relaxed);
    }

    /// Waits until `done`, but not longer than `limit`. Returns whether it is done.
    pub(crate) async fn until(&self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.world.elapsed_ms() + u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        while !done(self) {
            if self.world.elapsed_ms() >= end {
                return false;
            }
            sleep(Duration::from_millis(50)).await;
        }
        true
    }
}
