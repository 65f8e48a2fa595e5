//! Presence and occupancy: who is there on which channels, over the whole cluster.
//!
//! Members are leases of the nodes that their connections are on. The replicated state decides who is a member,
//! and every node shows the same. One task tells the cluster what this node holds ([`keeper`]). What the cluster
//! holds is on the [`board`], with everybody who watches it. Subscriptions are replicated only where somebody
//! wants to know when channels are occupied; elsewhere the nodes are asked ([`everywhere`]).

mod board;
mod everywhere;
mod keeper;
mod member;
mod notes;
mod pending;
mod rate;
pub(in crate::hub) mod state;
pub(in crate::hub) mod terminations;
#[cfg(test)]
mod tests;

pub(super) use everywhere::serve;
pub use member::{Counted, Counts, PresenceError, PresenceNews, PresentMember};
pub use rate::TooManyChannelJoins;
pub use terminations::Termination;

use super::HubConfig;
use super::bridge::Bridge;
use super::health::Health;
use super::leases::Leases;
use super::log::Log;
use super::peers::Peers;
use crate::core::access::Map;
use crate::core::command::Refusal;
use crate::core::ids::{MapId, NodeId, SocketId};
use crate::core::lease::{MAX_INFO_LEN, MAX_MEMBER_LEN, Member};
use crate::core::lifecycle::{Lifecycle, LifecycleKind, is_told_of};
use crate::core::roster::Joined;
use crate::core::subject::Subject;
use crate::core::webhook::Wants;
use bytes::Bytes;
use bytestring::ByteString;
use everywhere::Census;
use keeper::Keeper;
use notes::Notes;
use rate::JoinRate;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use waypost_cluster::Cluster;

/// How long a join waits for the cluster.
const JOIN_WAIT: Duration = Duration::from_secs(5);

/// Presence and occupancy; cheap to clone.
#[derive(Clone)]
pub struct Presence {
    cluster: Cluster,
    bridge: Arc<Bridge>,
    census: Census,
    notes: Notes,
    joins: Arc<JoinRate>,
    /// For how long a member stays after its last connection broke (milliseconds).
    grace_ms: u32,
}

impl Presence {
    pub(super) fn new(cluster: &Cluster, bridge: &Arc<Bridge>, peers: &Peers, config: &HubConfig) -> Self {
        let census = Census::new(cluster.clone(), peers.clone(), bridge.clone());
        let grace_ms = u32::try_from(config.presence_grace.as_millis()).unwrap_or(u32::MAX);
        let joins = Arc::new(JoinRate::new(config.channel_joins_per_minute));
        Self {
            cluster: cluster.clone(),
            bridge: bridge.clone(),
            census,
            notes: Notes::default(),
            joins,
            grace_ms,
        }
    }

    /// Starts the tasks that tell the cluster what this node holds and sees, and the watchers what changes.
    pub(super) fn start(&self, cluster: &Cluster, log: &Log, health: &Health, leases: &Leases) {
        let keeper = Keeper::new(cluster.clone(), self.bridge.clone(), leases.clone(), self.grace_ms);
        actix_rt::spawn(keeper.run());
        actix_rt::spawn(self.notes.clone().run(log.clone(), health.clone()));
        let bridge = self.bridge.clone();
        actix_rt::spawn(async move { bridge.presence.board.run().await });
    }

    /// Charges a subscription of these subjects to the joins of the map, if somebody wants to know of it. A
    /// membership is charged when it is made.
    ///
    /// # Errors
    /// The subscription must not begin.
    pub fn admit<'s>(
        &self,
        map: MapId,
        subjects: impl Iterator<Item = &'s Subject>,
    ) -> Result<(), TooManyChannelJoins> {
        if self.bridge.presence.wants(map) == Wants::NOTHING {
            return Ok(());
        }
        let told = subjects.filter(|subject| is_told_of(subject)).count();
        self.joins.charge(map, u32::try_from(told).unwrap_or(u32::MAX))
    }

    /// Charges a connection to the joins of the map, if somebody wants to know of it.
    ///
    /// # Errors
    /// The connection must not begin.
    pub fn admit_connection(&self, map: MapId) -> Result<(), TooManyChannelJoins> {
        let wants = self.bridge.presence.wants(map);
        let is_told = [LifecycleKind::ConnectionEstablished, LifecycleKind::ConnectionTerminated]
            .into_iter()
            .any(|kind| wants.has(kind));
        self.joins.charge(map, u32::from(is_told))
    }

    /// Makes the user a member of the subject. Returns once the membership is replicated and applied here, so
    /// that [`Presence::members`] has the user. A user who is a member already keeps the info of the first
    /// membership. Without a majority there are no new members: like a publish, such a join waits for one at
    /// first, and is refused at once when this node has heard of none for long.
    ///
    /// # Errors
    /// Why the user is no member through this call.
    pub async fn join(
        &self,
        map: &Map,
        subject: &Subject,
        user: ByteString,
        info: Bytes,
        socket: Option<SocketId>,
    ) -> Result<Membership, PresenceError> {
        if user.is_empty() || user.len() > MAX_MEMBER_LEN {
            return Err(PresenceError::Name);
        }
        if info.len() > MAX_INFO_LEN {
            return Err(PresenceError::Info);
        }
        let member = Member { map: map.id, subject: subject.clone(), name: (&*user).into() };
        if let Some(limit) = self.full(&member).await {
            return Err(PresenceError::Full { limit });
        }
        self.joins.charge(map.id, 1)?;
        let (answer, answered) = oneshot::channel();
        let joined = self.bridge.presence.with_roster(|roster| roster.join(&member, info, socket, answer));
        // Until the user is there, there is nothing to grant a grace period for.
        let mut membership = Membership { bridge: self.bridge.clone(), member, leave_ms: 0 };
        if joined == Joined::Later {
            if self.cluster.has_lost_contact() {
                return Err(PresenceError::Unavailable);
            }
            match timeout(JOIN_WAIT, answered).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(refusal))) => return Err(refused(&refusal)),
                Ok(Err(_)) | Err(_) => return Err(PresenceError::Unavailable),
            }
        }
        membership.leave_ms = self.grace_ms;
        Ok(membership)
    }

    /// Returns the limit of the members of the user's subject, if this node knows that there is no room for
    /// the user: joins that the cluster would refuse do not fill the log. A node that has heard of no
    /// majority for long does not know.
    async fn full(&self, member: &Member) -> Option<u32> {
        self.full_here(member)?;
        if self.cluster.has_lost_contact() {
            return None;
        }
        // Somebody may have left meanwhile, at any node.
        self.cluster.barrier().await.ok()?;
        self.full_here(member)
    }

    /// Returns the limit, if there is no room as far as this node has applied the log, and none of its
    /// members is about to leave.
    fn full_here(&self, member: &Member) -> Option<u32> {
        let limit = self.bridge.access().map(member.map)?.rules.members_max_of(member.subject.as_str());
        let state = &self.bridge.presence;
        let is_full = state.board.is_full(member, limit);
        let is_full = is_full && !state.with_roster(|roster| roster.may_leave(member.map, &member.subject));
        is_full.then_some(limit)
    }

    /// Returns the members of the subject, sorted by user, and has a task call `f` for each later change, in the
    /// order of the log. Changes of a user that undo each other before their turn comes are left out. `f` must not
    /// block, and must not call a method of [`Presence`].
    pub fn watch(
        &self,
        map: MapId,
        subject: &Subject,
        f: impl Fn(PresenceNews) + Send + Sync + 'static,
    ) -> (Vec<PresentMember>, PresenceWatch) {
        let (members, number) = self.bridge.presence.board.watch(map, subject, Box::new(f));
        (members, PresenceWatch { bridge: self.bridge.clone(), map, subject: subject.clone(), number })
    }

    /// Returns the members of the subject as this node has applied the log, sorted by user.
    pub fn members(&self, map: MapId, subject: &Subject) -> Vec<PresentMember> {
        self.bridge.presence.board.members(map, subject)
    }

    /// Counts one more subscription of the subject on this node.
    pub fn occupy(&self, map: MapId, subject: &Subject) -> Occupancy {
        self.bridge.presence.with_roster(|roster| roster.occupy(map, subject));
        Occupancy { bridge: self.bridge.clone(), map, subject: subject.clone() }
    }

    /// Asks all nodes for the occupied subjects of a map whose names begin with `prefix`: the first `limit` by
    /// name that come after `after`. Takes one second at most.
    pub async fn count_everywhere(
        &self,
        map: MapId,
        prefix: Option<&str>,
        after: Option<&Subject>,
        limit: usize,
    ) -> Counted {
        self.census.range(map, prefix.unwrap_or_default(), after, limit).await
    }

    /// Asks all nodes for these subjects, occupied or not. Takes one second at most.
    pub async fn counts_of(&self, map: MapId, subjects: Vec<Subject>) -> Counted {
        self.census.named(map, subjects).await
    }

    /// Returns whether the cluster has taken back what the node held, and the node has not been heard of
    /// since.
    pub fn is_gone(&self, node: NodeId) -> bool {
        self.bridge.presence.is_gone(node)
    }

    /// Calls `f` whenever connections of users are to end that other nodes were not asked to end. `f` must
    /// not block, and must not call a method of [`Presence`].
    pub fn on_termination(&self, f: impl Fn(&Termination) + Send + Sync + 'static) {
        self.bridge.presence.terminations.listen(Box::new(f));
    }

    /// Returns whether somebody wants the map's facts of that kind, so that they have to be noted.
    pub fn wants(&self, map: MapId, kind: LifecycleKind) -> bool {
        self.bridge.presence.wants(map).has(kind)
    }

    /// Publishes a lifecycle event that this node saw, if somebody wants it. Returns at once.
    pub fn note(&self, map: MapId, fact: Lifecycle) {
        if self.wants(map, fact.kind()) && fact.channel().is_none_or(is_told_of) {
            self.notes.add(map, &fact);
        }
    }
}

fn refused(refusal: &Refusal) -> PresenceError {
    match refusal {
        Refusal::Limit(_, limit) => PresenceError::Full { limit: *limit },
        Refusal::UnknownMap => PresenceError::UnknownMap,
        _ => PresenceError::Unavailable,
    }
}

/// A user's membership of a subject by one connection. Several memberships of one user are one member. When it
/// is dropped, a grace period begins. The user leaves when no membership and no grace period of the user is
/// left.
pub struct Membership {
    bridge: Arc<Bridge>,
    member: Member,
    leave_ms: u32,
}

impl Membership {
    /// Ends the membership without a grace period of its own.
    pub fn leave(mut self) {
        self.leave_ms = 0;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let now = state::now();
        self.bridge.presence.with_roster(|roster| roster.leave(&self.member, self.leave_ms, now));
    }
}

/// Watches the members of a subject until it is dropped.
pub struct PresenceWatch {
    bridge: Arc<Bridge>,
    map: MapId,
    subject: Subject,
    number: u64,
}

impl Drop for PresenceWatch {
    fn drop(&mut self) {
        self.bridge.presence.board.unwatch(self.map, &self.subject, self.number);
    }
}

/// A subscription of a subject; it counts until it is dropped.
pub struct Occupancy {
    bridge: Arc<Bridge>,
    map: MapId,
    subject: Subject,
}

impl Drop for Occupancy {
    fn drop(&mut self) {
        self.bridge.presence.with_roster(|roster| roster.vacate(self.map, &self.subject));
    }
}
