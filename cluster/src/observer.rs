//! What a node knows about the cluster and itself at this moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::NodeId;
use crate::contact::LeaderContact;
use crate::disk_budget::DiskBudget;
use crate::engine::{Engine, Exclusion, Metrics, index};
use crate::fatal::Fatal;
use crate::identity::{Identity, shown};
use crate::log::Log;
use crate::os::here;
use crate::slow_disk::{DiskSpeed, SlowDisk};
use crate::status::{Claim, MemberStatus, Role, Status};
use crate::store::Store;
use crate::time::ClusterClock;
use crate::types::Member;

/// How often the status is renewed if no change is reported.
const RENEW: Duration = Duration::from_millis(100);
/// How long a claim counts after it was last noticed: a process that is refused announces itself again sooner.
const CLAIM_LASTS: Duration = Duration::from_secs(30);

/// The parts of a node that its status describes.
pub(crate) struct Observed {
    pub(crate) engine: Arc<Engine>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) log: Log,
    pub(crate) slow_disk: Arc<SlowDisk>,
    pub(crate) store: Arc<Store>,
    pub(crate) disk: Arc<DiskBudget>,
    pub(crate) contact: Arc<LeaderContact>,
    pub(crate) clock: Arc<ClusterClock>,
    pub(crate) fatal: Arc<Fatal>,
}

/// Describes a node by its parts, and wakes the watchers of its status. One for each node.
pub(crate) struct Observer {
    of: Observed,
    status: watch::Sender<Status>,
    /// The index of the last checkpoint, and when this node first saw it.
    checkpoint: Mutex<(u64, Instant)>,
    /// When a node of another cluster last took this node for a member of its own.
    foreign: Mutex<Option<Instant>>,
    /// The ids that two processes claimed, and when that was last noticed.
    claims: Mutex<BTreeMap<NodeId, (Claim, Instant)>>,
}

impl Observer {
    pub(crate) fn new(of: Observed) -> Arc<Self> {
        let checkpoint = Mutex::new((0, Instant::now()));
        let foreign = Mutex::default();
        let claims = Mutex::default();
        Arc::new(Self { of, status: watch::Sender::default(), checkpoint, foreign, claims })
    }

    /// Wakes on changes of role, leader, quorum and members.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Records that a node of another cluster has just taken this node for a member of its own.
    pub(crate) fn note_foreign(&self) {
        *self.foreign.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Milliseconds since [`Observer::note_foreign`] was last called.
    fn foreign_ms(&self) -> Option<u64> {
        let at = *self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        at.map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Records that two processes have just claimed the id: one at the known address, one at another. Returns
    /// whether that is news.
    pub(crate) fn note_claim(&self, id: NodeId, known: &str, other: &str) -> bool {
        let claim = Claim { id, known: known.to_owned(), other: other.to_owned() };
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let before = claims.insert(id, (claim.clone(), Instant::now()));
        before.is_none_or(|(before, at)| before != claim || at.elapsed() >= CLAIM_LASTS)
    }

    /// The claims that were noticed lately.
    fn claims(&self) -> Vec<Claim> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|_, (_, at)| at.elapsed() < CLAIM_LASTS);
        claims.values().map(|(claim, _)| claim.clone()).collect()
    }

    /// Milliseconds since the checkpoint at `index` was first seen.
    fn checkpoint_age_ms(&self, index: u64) -> u64 {
        let mut last = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != index {
            *last = (index, Instant::now());
        }
        u64::try_from(last.1.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Follows the metrics: renews the status and learns addresses. It is woken by changes of role, leader
    /// and members, and looks at everything else now and then: the rest changes with every entry.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut changes = self.of.engine.raft().server_metrics();
        let mut seen = None;
        loop {
            let metrics = self.of.engine.metrics();
            if seen.as_ref() != Some(metrics.membership_config.as_ref()) {
                seen = Some((*metrics.membership_config).clone());
                self.learn(&metrics);
            }
            let status = self.describe_by(&metrics);
            if status.has_quorum {
                self.of.contact.has_majority();
            }
            self.status.send_if_modified(|known| {
                let news = essence(known) != essence(&status);
                *known = status;
                news
            });
            if matches!(timeout(RENEW, changes.changed()).await, Ok(Err(_))) {
                // An engine that panicked no longer updates its metrics, and its last ones would stay for
                // ever.
                if !self.of.engine.is_stopping() {
                    self.of.fatal.raise("the consensus engine ended");
                }
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Takes addresses and identities of a new membership and stores them for the next start.
    fn learn(&self, metrics: &Metrics) {
        let members = metrics.membership_config.membership();
        // While a node that has just joined applies the log from its beginning, it meets memberships of the
        // past. It goes by what the cluster told it, until it comes to one that it is in itself.
        if members.get_node(&self.of.engine.id()).is_none() {
            return;
        }
        for (id, member) in members.nodes() {
            if let Some(identity) = member.identity {
                self.of.engine.peers().learn(*id, &member.peer_addr, identity);
            }
        }
        self.of.engine.peers().retain(|id| members.get_node(&id).is_some());
        let engine = self.of.engine.clone();
        let identity = self.of.identity.clone();
        // The status must not wait for a disk. What is written is what is known when it is this update's
        // turn.
        tokio::spawn(here(async move {
            let written = identity.update(move |identity| identity.peers = engine.peers().known()).await;
            if let Err(error) = written {
                tracing::warn!(%error, "cannot write the identity");
            }
        }));
    }

    /// What this node knows at this moment.
    pub(crate) fn describe(&self) -> Status {
        self.describe_by(&self.of.engine.metrics())
    }

    fn describe_by(&self, metrics: &Metrics) -> Status {
        let lately = self.of.engine.config().election_max_ms * 2;
        let leads = metrics.state == ServerState::Leader;
        let room = self.of.disk.room();
        let syncs = self.of.slow_disk.times();
        Status {
            cluster_id: shown(&self.of.engine.peers().me().cluster_id),
            node_id: self.of.engine.id(),
            leader: metrics.current_leader,
            term: metrics.current_term,
            role: role(metrics),
            last_log: metrics.last_log_index.unwrap_or(0),
            committed: index(&metrics.cluster_committed).max(index(&metrics.local_committed)),
            applied: *self.of.store.applied().borrow(),
            snapshot: index(&metrics.snapshot),
            purged: index(&metrics.purged),
            log_bytes: self.of.log.bytes(),
            has_quorum: self.has_quorum(metrics, lately),
            changing: metrics.membership_config.membership().get_joint_config().len() > 1,
            silence_ms: if leads { 0 } else { self.of.contact.silence_ms(metrics.current_term) },
            disk_total: room.total,
            disk_free: room.free,
            disk_reusable: room.reusable,
            disk_reserve: room.reserve,
            disk_full: room.is_full,
            disk_slow: matches!(self.of.slow_disk.speed(), DiskSpeed::Slow | DiskSpeed::WasSlow),
            sync_slowest_ms: ms(syncs.slowest),
            sync_age_ms: ms(syncs.oldest),
            snapshot_age_ms: self.checkpoint_age_ms(index(&metrics.snapshot)),
            removed: self.of.engine.is_removed(),
            original: match self.of.engine.excluded() {
                Some(Exclusion::Copied(original)) => Some(original),
                Some(Exclusion::Removed) | None => None,
            },
            claims: self.claims(),
            failure: self.of.fatal.reason(),
            foreign_ms: self.foreign_ms(),
            peer_security: self.of.engine.peers().secure().mode(),
            peer_certificate_until: self.of.engine.peers().secure().certificate_until(),
            clock: self.of.clock.status(),
            members: self.describe_members(metrics, lately),
        }
    }

    /// Whether the leader heard from a majority within `lately` milliseconds, or a follower from the leader.
    fn has_quorum(&self, metrics: &Metrics, lately: u64) -> bool {
        if metrics.state != ServerState::Leader {
            return metrics.current_leader.is_some()
                && self.of.contact.heard_ms().is_some_and(|ms| ms < lately);
        }
        let acked_ms = metrics.last_quorum_acked.map(|at| millis(at.into_inner()));
        metrics.membership_config.voter_ids().count() == 1 || acked_ms.is_some_and(|ms| ms < lately)
    }

    /// The last entry that every reachable member has; `None` if this node does not lead and so does not
    /// know.
    pub(crate) fn matched_by_all(&self, metrics: &Metrics) -> Option<u64> {
        let members = self.describe_members(metrics, self.of.engine.config().election_max_ms * 2).into_iter();
        let matched = members.filter(|m| m.reachable).map(|m| m.matched.unwrap_or(0)).min();
        matched.filter(|_| metrics.replication.is_some())
    }

    fn describe_members(&self, metrics: &Metrics, lately: u64) -> Vec<MemberStatus> {
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let own = self.of.engine.id();
        let describe = |(id, member): (&u64, &Member)| {
            let matched = metrics
                .replication
                .as_ref()
                .and_then(|r| r.get(id))
                .and_then(|m| m.as_ref())
                .map(|m| m.index);
            let beat = metrics.heartbeat.as_ref().and_then(|h| h.get(id)).and_then(|at| *at);
            let heard_ms = match beat {
                _ if *id == own => Some(0),
                Some(at) => Some(millis(at.into_inner())),
                None if metrics.current_leader == Some(*id) => self.of.contact.heard_ms(),
                None => None,
            };
            MemberStatus {
                id: *id,
                voter: voters.contains(id),
                wants_vote: member.wants_vote(),
                drained_ms: member.wishes.drained_ms,
                peer_addr: member.peer_addr.clone(),
                identity: member.identity.map(|identity| identity.to_string()),
                meta: member.meta.clone(),
                matched: matched.or((*id == own).then_some(metrics.last_log_index.unwrap_or(0))),
                catch_up: self.of.engine.catch_ups().of(*id),
                heard_ms,
                reachable: heard_ms.is_some_and(|ms| ms < lately),
            }
        };
        membership.nodes().map(describe).collect()
    }
}

fn millis(at: openraft::TokioInstant) -> u64 {
    use openraft::Instant as _;
    ms(at.elapsed())
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn role(metrics: &Metrics) -> Role {
    if metrics.running_state.is_err() {
        return Role::Stopped;
    }
    match metrics.state {
        ServerState::Leader => Role::Leader,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner => Role::Learner,
        ServerState::Shutdown => Role::Stopped,
    }
}

/// Changes that wake watchers: roles and members, but not the indexes, which move all the time.
#[derive(PartialEq)]
struct Essence<'a> {
    who: (u64, Option<u64>, u64, Role, bool, bool, bool, bool, bool),
    members: Vec<EssentialMember<'a>>,
}

#[derive(PartialEq)]
struct EssentialMember<'a> {
    who: (u64, bool, bool, Option<u64>),
    peer_addr: &'a str,
    meta: &'a BTreeMap<String, String>,
}

fn essence(status: &Status) -> Essence<'_> {
    let s = status;
    let member = |m: &'_ MemberStatus| (m.id, m.voter, m.reachable, m.drained_ms);
    Essence {
        who: (
            s.node_id,
            s.leader,
            s.term,
            s.role,
            s.has_quorum,
            s.changing,
            s.removed,
            s.disk_full,
            s.failure.is_some(),
        ),
        members: s
            .members
            .iter()
            .map(|m| EssentialMember { who: member(m), peer_addr: &m.peer_addr, meta: &m.meta })
            .collect(),
    }
}
