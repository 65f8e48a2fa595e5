//! The tasks that send events to other nodes, report this node's interest to them and answer their requests.
//! They run on a thread of their own, so that a flood of ephemeral events delays neither the log nor the
//! topics.

use super::exchange::{Confirmation, Dropped, Receipt};
use super::{AskLast, Ephemeral, SendEvents, TellInterest, Wake, tell_live};
use crate::core::ids::NodeId;
use crate::hub::pace::Pace;
use crate::hub::peers::{PeerServer, Peers};
use crate::metric;
use actix::Arbiter;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use waypost_cluster::Cluster;

/// How often a node gets a report even if nothing has changed, and how often the list of members is checked.
const TICK: Duration = Duration::from_secs(1);
/// Longest wait for the answer to a report.
const TELL_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause before a report is repeated to a node that does not know this one yet.
const AGAIN: Duration = Duration::from_millis(20);
/// Shortest time between two small batches to a node, about. A batch takes its way through four threads of the
/// two nodes, so events that come close together go together. An event after a pause goes at once.
const PACE: Duration = Duration::from_millis(1);
/// Shortest time between two reports to a node while many subscriptions begin, about: they are reported, and
/// confirmed, together.
const TELL_PACE: Duration = Duration::from_millis(5);
/// While fewer subscriptions wait for a confirmation, the next report goes at once: a client that subscribes to one
/// channel after the other waits for the nodes' answers alone.
const FEW_WAIT: usize = 4;
/// Longest wait for a receipt. After it, nothing is sent until the node has reported its interest.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

impl Dropped {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Stale => "stale",
            Self::Gone => "gone",
        }
    }
}

/// What the tasks need to reach the other nodes.
#[derive(Clone)]
struct Tasks {
    ephemeral: Ephemeral,
    peers: Peers,
    cluster: Cluster,
}

impl Ephemeral {
    /// Starts the thread and answers the requests of the other nodes on it. Returns the thread, on which the
    /// other tasks start once the cluster exists ([`Ephemeral::start`]).
    pub(in crate::hub) fn serve(&self, peers: &Arc<PeerServer>) -> Arbiter {
        let arbiter = Arbiter::new();
        let ephemeral = self.clone();
        let peers = peers.clone();
        arbiter.spawn_fn(move || {
            let receiving = ephemeral.clone();
            peers.serve_here(move |from, request: SendEvents| {
                let receiving = receiving.clone();
                async move { receiving.receive(from, request) }
            });
            let asked = ephemeral.clone();
            peers.serve_here(move |_, request: AskLast| {
                let asked = asked.clone();
                async move { asked.tell_last(request) }
            });
            peers.serve_here(move |from, request: TellInterest| {
                let learning = ephemeral.clone();
                async move { learning.learn(from, request).await }
            });
        });
        arbiter
    }

    /// Starts the tasks that send events and report interest.
    pub(in crate::hub) fn start(&self, arbiter: &Arbiter, peers: &Peers, cluster: &Cluster) {
        let tasks = Tasks { ephemeral: self.clone(), peers: peers.clone(), cluster: cluster.clone() };
        arbiter.spawn(tasks.run());
    }

    fn is_member(&self, node: NodeId) -> bool {
        self.lock().exchange.is_member(node)
    }
}

impl Tasks {
    /// Maintains the list of the other nodes, each with its two tasks.
    async fn run(self) {
        let mut status = self.cluster.watch();
        let mut ticks = interval(TICK);
        // After a pause of this node, ticks do not pile up: otherwise the other nodes would seem silent for
        // that time.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.look_at_members();
            tokio::select! {
                _ = ticks.tick() => self.tick(),
                // Changes of the members take effect at once.
                changed = status.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn look_at_members(&self) {
        let status = self.cluster.status();
        let others = status.members.iter().map(|member| member.id).filter(|id| *id != status.node_id);
        let others: Vec<NodeId> = others.collect();
        if others.is_empty() && status.members.is_empty() {
            return;
        }
        let ((new, dropped), confirmed) = {
            let mut state = self.ephemeral.lock();
            // Nobody waits any more for the confirmation of a node that is gone.
            (state.exchange.set_members(&others), state.settle())
        };
        tell_live(confirmed);
        self.ephemeral.count_dropped(Dropped::Gone, dropped);
        let mut wakes = self.ephemeral.wakes();
        wakes.retain(|id, wake| {
            let stays = others.contains(id);
            if !stays {
                wake.send.notify_one();
                wake.tell.notify_one();
            }
            stays
        });
        for id in new {
            let wake = wakes.entry(id).or_default();
            actix_rt::spawn(self.clone().send_to(id, wake.clone()));
            actix_rt::spawn(self.clone().tell_to(id, wake.clone()));
        }
    }

    fn tick(&self) {
        let mut state = self.ephemeral.lock();
        let exchange = &mut state.exchange;
        self.ephemeral.count_dropped(Dropped::Gone, exchange.tick());
        metrics::gauge!(metric::EPHEMERAL_INTEREST).set(exchange.wanted() as f64);
        self.ephemeral.0.counts.ephemeral_interest.store(exchange.wanted() as u64, Ordering::Relaxed);
        for (peer, interest, bytes) in exchange.peers() {
            let peer = peer.to_string();
            metrics::gauge!(metric::EPHEMERAL_PEER_INTEREST, "peer" => peer.clone()).set(interest as f64);
            metrics::gauge!(metric::EPHEMERAL_WAITING, "peer" => peer).set(bytes as f64);
        }
    }

    /// Sends one batch after the other; events that arrive meanwhile go into the next batch. Small batches
    /// keep [`PACE`].
    async fn send_to(self, to: NodeId, wake: Arc<Wake>) {
        let events = metrics::counter!(metric::EPHEMERAL_SENT, "peer" => to.to_string());
        let batches = metrics::counter!(metric::EPHEMERAL_BATCHES, "peer" => to.to_string());
        let mut pace = Pace::new(PACE);
        while self.ephemeral.is_member(to) {
            if self.has_batch(to) {
                pace.wait().await;
            }
            let next = {
                let mut state = self.ephemeral.lock();
                let sender = state.exchange.incarnation();
                state.exchange.batch(to).map(|(to, batch)| SendEvents { sender, to, batch })
            };
            let Some(request) = next else {
                wake.send.notified().await;
                continue;
            };
            let number = request.batch.number;
            if !request.batch.is_large() {
                pace.begin();
            }
            batches.increment(1);
            let receipt = self.peers.ask(to, &request, SEND_TIMEOUT).await;
            let receipt = receipt
                .inspect_err(|error| {
                    tracing::debug!(to = self.peers.called(to), %error, "ephemeral events have no receipt");
                })
                .ok();
            if let Some(Receipt::Taken(stale)) = receipt
                && stale > 0
            {
                self.ephemeral.count_dropped(Dropped::Stale, stale as usize);
            }
            let (arrived, dropped) = self.ephemeral.lock().exchange.sent(to, number, receipt);
            events.increment(arrived as u64);
            self.ephemeral.count_dropped(Dropped::Gone, dropped);
            self.ephemeral.0.flushed.notify_waiters();
        }
    }

    fn has_batch(&self, to: NodeId) -> bool {
        self.ephemeral.lock().exchange.has_batch(to)
    }

    /// Reports this node's interest whenever it changes or a subscription begins, and once a second in any
    /// case. While many subscriptions begin, reports keep [`TELL_PACE`].
    async fn tell_to(self, to: NodeId, wake: Arc<Wake>) {
        let mut anyway = true;
        let mut pace = Pace::new(TELL_PACE);
        while self.ephemeral.is_member(to) {
            pace.wait().await;
            let (next, waiting) = {
                let state = self.ephemeral.lock();
                let incarnation = state.exchange.incarnation();
                let tell = state.exchange.tell(to, anyway);
                (tell.map(|tell| TellInterest { incarnation, tell }), state.waiting.len())
            };
            anyway = false;
            if let Some(request) = next {
                if waiting >= FEW_WAIT {
                    pace.begin();
                }
                let told = request.tell.version;
                let answer = self.peers.ask(to, &request, TELL_TIMEOUT).await.ok().flatten();
                let is_known = answer.is_some_and(|answer| answer.known.is_some());
                self.note(to, told, answer);
                if !is_known {
                    // Both nodes have to learn of each other first.
                    sleep(AGAIN).await;
                }
            } else {
                let _ = timeout(TICK, wake.tell.notified()).await;
                anyway = true;
            }
        }
    }

    /// Notes the answer to a report, and tells those who waited for it.
    fn note(&self, to: NodeId, told: u64, answer: Option<Confirmation>) {
        let (dropped, confirmed) = {
            let mut state = self.ephemeral.lock();
            (state.exchange.confirmed(to, told, answer), state.settle())
        };
        tell_live(confirmed);
        self.ephemeral.count_dropped(Dropped::Gone, dropped);
    }
}
