//! The slow work: making the store durable, letting the log go, keeping status and address book up to date.
//!
//! Owns the policy of checkpoints; what of the log may go is `purge`'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::error::StoreError;
use crate::identity::shown;
use crate::node::{Metrics, Node};
use crate::purge::{self, Held};
use crate::status::{MemberStatus, Role, Status};

/// How often the log and the store are looked after.
const ROUND: Duration = Duration::from_millis(500);
/// How often a checkpoint is made at most while the disk or the log presses for it.
const PRESSED: Duration = Duration::from_secs(1);
/// Longest wait for a checkpoint that was asked for.
const SNAPSHOT: Duration = Duration::from_secs(20);
/// How often the status is renewed when nothing tells of a change.
const RENEW: Duration = Duration::from_millis(200);

impl Node {
    /// Makes the store durable and purges the log, by policy.
    pub(crate) async fn keep_house(self: Arc<Self>) {
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            rounds.tick().await;
            self.measure_disk().await;
            let metrics = self.metrics();
            if let Err(fatal) = &metrics.running_state
                && !self.is_stopping()
            {
                return self.fatal.raise(&format!("the consensus engine stopped: {fatal}"));
            }
            let index = |id: &Option<_>| id.as_ref().map_or(0, |id: &crate::types::LogId| id.index);
            let (applied, durable) = (index(&metrics.last_applied), index(&metrics.snapshot));
            let pressed = self.is_near_full() || self.log.bytes() > purge::far_beyond(&self.config);
            let every = if pressed { PRESSED } else { self.config.checkpoint_interval };
            let due = applied >= durable + self.config.checkpoint_entries || last.elapsed() >= every;
            if applied > durable && due {
                last = Instant::now();
                // The engine reports its own end in the metrics.
                let _ = self.raft.trigger().snapshot().await;
            }
            let held = self.held(&metrics);
            if let Some(upto) = held.due(&self.config, self.disk.room()) {
                let _ = self.raft.trigger().purge_log(upto).await;
            }
        }
    }

    /// A checkpoint now, and as much of the log purged as may be: indexes of both.
    pub(crate) async fn snapshot_now(&self) -> Result<(u64, u64), StoreError> {
        let ended = |_| StoreError::Io("the consensus engine has stopped".to_owned());
        let applied = *self.store.applied().borrow();
        self.raft.trigger().snapshot().await.map_err(ended)?;
        let index = |id: &Option<crate::types::LogId>| id.as_ref().map_or(0, |id| id.index);
        let deadline = Instant::now() + SNAPSHOT;
        loop {
            let metrics = self.metrics();
            let durable = index(&metrics.snapshot);
            if durable >= applied {
                let held = self.held(&metrics);
                let upto = held.upto(&self.config, self.disk.room());
                if upto > held.purged {
                    self.raft.trigger().purge_log(upto).await.map_err(ended)?;
                }
                return Ok((durable, upto.max(held.purged)));
            }
            if Instant::now() >= deadline {
                return Err(StoreError::Io(format!("no checkpoint within {} s", SNAPSHOT.as_secs())));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the log holds, and who still needs it as far as this node knows.
    fn held(&self, metrics: &Metrics) -> Held {
        let index = |id: &Option<crate::types::LogId>| id.as_ref().map_or(0, |id| id.index);
        // Only the leader knows; what a follower has nobody asks for.
        let reachable = self.describe_members(metrics, self.config.election_max_ms * 2).into_iter();
        let matched = reachable.filter(|m| m.reachable).map(|m| m.matched.unwrap_or(0)).min();
        Held {
            durable: index(&metrics.snapshot),
            purged: index(&metrics.purged),
            bytes: self.log.bytes(),
            needed_after: matched.filter(|_| metrics.replication.is_some()).unwrap_or(u64::MAX),
        }
    }

    /// Follows the metrics: renews the status, learns addresses.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut changes = self.raft.metrics();
        let mut seen = None;
        loop {
            let metrics = changes.borrow_watched().clone();
            if seen.as_ref() != Some(metrics.membership_config.as_ref()) {
                seen = Some((*metrics.membership_config).clone());
                self.learn(&metrics);
            }
            let status = self.describe(&metrics);
            self.status.send_if_modified(|known| {
                let news = essence(known) != essence(&status);
                *known = status;
                news
            });
            if matches!(timeout(RENEW, changes.changed()).await, Ok(Err(_))) {
                // An engine that panicked says no more: what it last told would stand for ever.
                if !self.is_stopping() {
                    self.fatal.raise("the consensus engine ended");
                }
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Takes over the addresses of a new membership and remembers them for the next start.
    fn learn(&self, metrics: &Metrics) {
        let members = metrics.membership_config.membership();
        if members.nodes().next().is_none() {
            return;
        }
        for (id, member) in members.nodes() {
            self.peers.learn(*id, &member.peer_addr);
        }
        if members.get_node(&self.id()).is_some() {
            self.peers.retain(|id| members.get_node(&id).is_some());
        }
        let peers = self.peers.addrs();
        if let Err(error) = self.update_identity(|identity| identity.peers = peers) {
            tracing::warn!(%error, "cannot write the identity");
        }
    }

    /// What this node knows at this moment.
    pub(crate) fn describe(&self, metrics: &Metrics) -> Status {
        let index = |id: &Option<crate::types::LogId>| id.as_ref().map_or(0, |id| id.index);
        let lately = self.config.election_max_ms * 2;
        let leads = metrics.state == ServerState::Leader;
        let quorum_ms = metrics.last_quorum_acked.map(|at| millis(at.into_inner()));
        let voters = metrics.membership_config.voter_ids().count();
        let heard = self.leader_heard_ms();
        let has_quorum = if leads {
            voters == 1 || quorum_ms.is_some_and(|ms| ms < lately)
        } else {
            metrics.current_leader.is_some() && heard.is_some_and(|ms| ms < lately)
        };
        let room = self.disk.room();
        Status {
            cluster_id: shown(&self.peers.me().cluster_id),
            node_id: self.id(),
            leader: metrics.current_leader,
            term: metrics.current_term,
            role: role(metrics),
            last_log: metrics.last_log_index.unwrap_or(0),
            committed: index(&metrics.cluster_committed).max(index(&metrics.local_committed)),
            applied: *self.store.applied().borrow(),
            snapshot: index(&metrics.snapshot),
            purged: index(&metrics.purged),
            log_bytes: self.log.bytes(),
            has_quorum,
            changing: metrics.membership_config.membership().get_joint_config().len() > 1,
            silence_ms: if leads { 0 } else { self.leader_silence_ms(metrics.current_term) },
            disk_total: room.total,
            disk_free: room.free,
            disk_reserve: room.reserve,
            disk_full: room.is_full,
            snapshot_age_ms: self.checkpoint_age_ms(index(&metrics.snapshot)),
            removed: self.removed.load(Ordering::Relaxed),
            failure: self.fatal.reason(),
            foreign_ms: self.foreign_ms(),
            peer_security: self.peers.secure().mode(),
            peer_certificate_until: self.peers.secure().certificate_until(),
            clock: self.clock_status(),
            members: self.describe_members(metrics, lately),
        }
    }

    fn describe_members(&self, metrics: &Metrics, lately: u64) -> Vec<MemberStatus> {
        let membership = metrics.membership_config.membership();
        let voters: std::collections::BTreeSet<u64> = membership.voter_ids().collect();
        let own = self.id();
        let describe = |(id, member): (&u64, &crate::types::Member)| {
            let matched =
                metrics.replication.as_ref().and_then(|r| r.get(id)).and_then(|m| m.as_ref()).map(|m| m.index);
            let beat = metrics.heartbeat.as_ref().and_then(|h| h.get(id)).and_then(|at| *at);
            let heard_ms = match beat {
                _ if *id == own => Some(0),
                Some(at) => Some(millis(at.into_inner())),
                None if metrics.current_leader == Some(*id) => self.leader_heard_ms(),
                None => None,
            };
            MemberStatus {
                id: *id,
                voter: voters.contains(id),
                wants_vote: member.wants_vote(),
                drained_ms: member.wishes.drained_ms,
                peer_addr: member.peer_addr.clone(),
                meta: member.meta.clone(),
                matched: matched.or((*id == own).then_some(metrics.last_log_index.unwrap_or(0))),
                heard_ms,
                reachable: heard_ms.is_some_and(|ms| ms < lately),
            }
        };
        membership.nodes().map(describe).collect()
    }
}

fn millis(at: openraft::TokioInstant) -> u64 {
    use openraft::Instant as _;
    u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)
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

/// What watchers are woken for: roles and members, not indexes that move all the time.
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
