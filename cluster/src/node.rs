//! The parts of one running node.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::backup::Backups;
use crate::contact::LeaderContact;
use crate::disk_budget::DiskBudget;
use crate::engine::Engine;
use crate::failover::Failover;
use crate::fatal::Fatal;
use crate::housekeeping::Housekeeping;
use crate::identity::Identity;
use crate::log::Log;
use crate::machine::Handler;
use crate::membership::{Announcer, Lead, Members, Moves, Operations, StandAside};
use crate::net::{Listener, Secure};
use crate::observer::{Observed, Observer};
use crate::older::OlderData;
use crate::os::here;
use crate::proposer::{Gatherer, Proposer};
use crate::reads::{Reads, Waiting};
use crate::roster::Roster;
use crate::service::PeerService;
use crate::slow_disk::SlowDisk;
use crate::store::{Store, Worker};
use crate::time::{ClockRounds, ClusterClock};

/// Most reads that wait for a round at a time.
const READS: usize = 4096;

/// What a node is built from: its open data and its engine.
pub(crate) struct Foundation {
    pub(crate) engine: Arc<Engine>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) log: Log,
    pub(crate) store: Arc<Store>,
    pub(crate) worker: Worker,
    pub(crate) disk: Arc<DiskBudget>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) fatal: Arc<Fatal>,
}

/// The parts of a running node that the application uses, each with an API of its own. Parts that only work
/// for other parts are owned by their tasks.
pub(crate) struct Node {
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: Arc<Store>,
    pub(crate) disk: Arc<DiskBudget>,
    pub(crate) proposer: Proposer,
    pub(crate) reads: mpsc::Sender<Waiting>,
    pub(crate) contact: Arc<LeaderContact>,
    pub(crate) clock: Arc<ClusterClock>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) tools: Tools,
}

/// The parts of a node that its operators use.
pub(crate) struct Tools {
    pub(crate) identity: Arc<Identity>,
    pub(crate) operations: Operations,
    pub(crate) lead: Arc<Lead>,
    pub(crate) housekeeping: Arc<Housekeeping>,
    pub(crate) backups: Backups,
    pub(crate) worker: Worker,
    pub(crate) fatal: Arc<Fatal>,
}

/// A node and the tasks of its parts. The tasks end when the set is shut down or dropped.
pub(crate) struct Assembled {
    pub(crate) node: Node,
    pub(crate) tasks: JoinSet<()>,
}

impl Foundation {
    fn observer(
        &self,
        contact: &Arc<LeaderContact>,
        clock: &Arc<ClusterClock>,
        slow_disk: &Arc<SlowDisk>,
    ) -> Arc<Observer> {
        Observer::new(Observed {
            engine: self.engine.clone(),
            identity: self.identity.clone(),
            log: self.log.clone(),
            slow_disk: slow_disk.clone(),
            store: self.store.clone(),
            disk: self.disk.clone(),
            contact: contact.clone(),
            clock: clock.clone(),
            fatal: self.fatal.clone(),
        })
    }

    fn housekeeping(&self, observer: &Arc<Observer>) -> Arc<Housekeeping> {
        Arc::new(Housekeeping {
            engine: self.engine.clone(),
            log: self.log.clone(),
            store: self.store.clone(),
            disk: self.disk.clone(),
            observer: observer.clone(),
            fatal: self.fatal.clone(),
        })
    }

    fn announcer(
        &self,
        contact: &Arc<LeaderContact>,
        members: &Arc<Members>,
        roster: &Arc<Roster>,
    ) -> Announcer {
        let layout = self.identity.layout().clone();
        Announcer {
            engine: self.engine.clone(),
            identity: self.identity.clone(),
            log: self.log.clone(),
            contact: contact.clone(),
            members: members.clone(),
            roster: roster.clone(),
            older: OlderData::new(self.engine.clone(), self.log.clone(), layout, self.fatal.clone()),
            unintroduced: None,
        }
    }
}

/// Makes the parts of a node and starts their tasks.
pub(crate) fn assemble(on: Foundation, listener: Listener, secure: Arc<Secure>) -> Assembled {
    let contact = LeaderContact::new(on.engine.clone());
    let clock = ClusterClock::new(on.engine.clone(), on.store.clone());
    let reads = Reads::new(on.engine.clone(), on.store.clone());
    let failover = Failover::new(on.engine.clone());
    let slow_disk = SlowDisk::new(on.log.clone());
    let observer = on.observer(&contact, &clock, &slow_disk);
    let lead = Lead::new(on.engine.clone(), observer.clone());
    let aside = StandAside::new(on.engine.clone(), slow_disk, lead.clone(), contact.clone());
    let roster = Roster::new(on.engine.clone(), on.store.clone());
    let moves = Moves::new(on.engine.clone(), observer.clone(), roster.clone());
    let members =
        Members::new(on.engine.clone(), on.store.clone(), reads.clone(), observer.clone(), moves.clone());
    let housekeeping = on.housekeeping(&observer);
    let rounds = ClockRounds::new(on.engine.clone(), clock.clone(), lead.clone());
    let announcer = on.announcer(&contact, &members, &roster);
    let gatherer = Gatherer::new(on.engine.clone(), on.store.clone(), on.disk.clone(), clock.clone());
    let (proposer, queue) = Proposer::new(on.engine.config());
    let Foundation { engine, identity, store, worker, disk, handler, fatal, log } = on;
    let service = Arc::new(PeerService {
        engine: engine.clone(),
        identity: identity.clone(),
        log,
        store: store.clone(),
        disk: disk.clone(),
        contact: contact.clone(),
        failover: failover.clone(),
        clock: clock.clone(),
        observer: observer.clone(),
        members: members.clone(),
        moves,
        roster,
        reads: reads.clone(),
        proposer: proposer.clone(),
        handler: handler.clone(),
    });
    let (ask_to_read, waiting) = mpsc::channel(READS);
    let mut tasks = JoinSet::new();
    tasks.spawn(here(listener.run(secure.clone(), service)));
    tasks.spawn(here(async move { secure.keep_fresh().await }));
    tasks.spawn(here(gatherer.run(queue)));
    tasks.spawn(here(reads.serve(waiting)));
    tasks.spawn(here(housekeeping.clone().keep()));
    tasks.spawn(here(observer.clone().follow()));
    tasks.spawn(here(contact.clone().watch_standstills()));
    tasks.spawn(here(announcer.run()));
    tasks.spawn(here(members.clone().care()));
    tasks.spawn(here(failover.watch()));
    tasks.spawn(here(rounds.run()));
    tasks.spawn(here(aside.run()));
    let operations = Operations::new(engine.clone(), members, lead.clone(), clock.clone());
    let backups = Backups::new(engine.clone(), store.clone(), clock.clone());
    let tools = Tools { identity, operations, lead, housekeeping, backups, worker, fatal };
    let node =
        Node { engine, store, disk, proposer, reads: ask_to_read, contact, clock, observer, handler, tools };
    Assembled { node, tasks }
}
