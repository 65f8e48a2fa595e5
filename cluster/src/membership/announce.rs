//! A node's own part in the membership: it announces itself to the leader.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::members::Members;
use crate::contact::LeaderContact;
use crate::engine::{Engine, Exclusion};
use crate::identity::Identity;
use crate::log::Log;
use crate::net::{Lane, Shown, Standing, ask_at, dial};
use crate::older::OlderData;
use crate::roster::Roster;
use crate::wire::{Announce, Answer, JoinReply, Request};

/// Longest that one request about membership may take.
const ASK: Duration = Duration::from_secs(10);
/// How often to check whether a node leads.
const LOOK: Duration = Duration::from_millis(500);
/// A node announces itself again after no node has led for this long.
const LEADERLESS: Duration = Duration::from_secs(1);
/// Pause before a refused node asks again.
const REFUSED: Duration = Duration::from_secs(30);
/// Pause before a node asks again whose id another process has: that process may be stopped soon.
const CLAIMED: Duration = Duration::from_secs(5);

/// A node that leads and was never introduced asks the other members for so long, then goes on without: only
/// a learner that is away now, and knows none of the members, will have to join again.
const INTRODUCED_WITHIN: Duration = Duration::from_secs(30);

/// The result of an announcement.
enum Announced {
    Member,
    NotYet,
    Refused,
    Claimed,
}

/// Announces this node until the members know it with its present address and facts, and again after a long
/// time without a leader, or with another address in the membership. It runs as long as the node.
pub(crate) struct Announcer {
    pub(crate) engine: Arc<Engine>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) log: Log,
    pub(crate) contact: Arc<LeaderContact>,
    pub(crate) members: Arc<Members>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) older: OlderData,
    /// Since when this node has led without being introduced.
    pub(crate) unintroduced: Option<Instant>,
}

impl Announcer {
    /// Announces this node to the leader until the membership agrees. Announces it again after a long time
    /// without a leader: while this node was not listening, the cluster may have removed it or moved to other
    /// addresses. Announces it again too when the members take it to be elsewhere: a copy of its data directory
    /// may have announced itself while this node did not answer.
    pub(crate) async fn run(mut self) {
        let mut pause = Duration::from_millis(50);
        let mut is_compared = false;
        loop {
            match self.announce_once().await {
                Announced::Member => {
                    self.engine.exclude(None);
                    if is_compared {
                        tracing::debug!(
                            node = self.engine.called(self.engine.id()),
                            "this node is still a member"
                        );
                    } else {
                        is_compared = true;
                        tracing::info!(node = self.engine.called(self.engine.id()), "this node is a member");
                        self.older.refuse().await;
                    }
                    self.unsettled().await;
                    pause = Duration::from_millis(50);
                }
                Announced::NotYet => {}
                Announced::Refused => pause = REFUSED,
                Announced::Claimed => pause = CLAIMED,
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Waits until this node has not heard from a leader for a while, or the members have taken it to be at
    /// another address for a while.
    async fn unsettled(&self) {
        let mut since = None;
        loop {
            sleep(LOOK).await;
            let silent = Duration::from_millis(self.engine.config().election_max_ms * 2);
            let hears = self.contact.heard_ms().is_some_and(|ms| u128::from(ms) < silent.as_millis());
            if (hears || self.engine.leads()) && !self.is_taken_to_be_elsewhere() {
                since = None;
            } else if since.get_or_insert_with(Instant::now).elapsed() >= LEADERLESS {
                return;
            }
        }
    }

    /// Whether the members, as far as this node knows, have another address for it than its own.
    fn is_taken_to_be_elsewhere(&self) -> bool {
        let members = self.engine.metrics().membership_config;
        let known = members.membership().get_node(&self.engine.id()).map(|member| member.peer_addr.clone());
        known.is_some_and(|addr| addr != self.engine.peers().me().addr)
    }

    async fn announce_once(&mut self) -> Announced {
        let join = !self.identity.has_joined();
        let announce = Announce { id: self.engine.id(), member: self.identity.member().into(), join };
        for reply in self.ask_about(announce).await {
            match reply {
                JoinReply::Member { introductions } => {
                    // From then on an empty log counts as damaged, so the log must first have something on
                    // disk.
                    if self.log.is_pristine() || self.log.sync().await.is_err() {
                        return Announced::NotYet;
                    }
                    let engine = self.engine.clone();
                    let joined = self.identity.update(move |identity| {
                        // Those of its admission stay: whoever was away longer than it believes no others.
                        if !std::mem::replace(&mut identity.joined, true) && identity.introductions.is_empty()
                        {
                            identity.introductions = introductions;
                        }
                        engine.peers().secure().introduce_with(identity.introductions.clone());
                    });
                    if let Err(error) = joined.await {
                        tracing::error!(%error, "cannot write the identity");
                        return Announced::NotYet;
                    }
                    return Announced::Member;
                }
                JoinReply::Refused { reason } if join => {
                    tracing::error!(reason, "the cluster refuses this node");
                    return Announced::Refused;
                }
                JoinReply::Refused { reason } => {
                    let data = self.identity.layout().root.display();
                    tracing::error!(
                        reason, %data,
                        "this node was removed from the cluster, which needs nothing of its data; stop it, empty its \
                         data directory, and start it with join (WAYPOST_JOIN): it joins under a new id"
                    );
                    self.engine.exclude(Some(Exclusion::Removed));
                    return Announced::Refused;
                }
                JoinReply::Claimed { addr } => {
                    tracing::error!(
                        addr,
                        "another process has this node's id and answers there: this data directory is a copy"
                    );
                    self.engine.exclude(Some(Exclusion::Copied(addr)));
                    return Announced::Claimed;
                }
                JoinReply::NotNow { reason } => {
                    tracing::warn!(reason, "the cluster does not accept the announcement of this node yet");
                }
                JoinReply::Id { .. } | JoinReply::Elsewhere { .. } => {}
            }
        }
        Announced::NotYet
    }

    /// Asks the leader, or all nodes if the leader is unknown.
    async fn ask_about(&mut self, announce: Announce) -> Vec<JoinReply> {
        match self.engine.leader() {
            Some(id) if id == self.engine.id() => {
                if !self.is_introduced().await {
                    return Vec::new();
                }
                let own = self.engine.peers().secure().identity();
                return vec![self.members.announced(announce, own).await];
            }
            Some(id) => {
                let request = Request::AnnounceV1(announce.clone());
                let asked = self.engine.peers().link(id, Lane::Work).ask_node(&request, ASK).await;
                // A node that is not a member yet does not learn of a new leader, so the leader that it knows
                // may be a former one. An answer that points elsewhere is ignored, and all nodes are asked.
                let reply =
                    asked.ok().and_then(joined).filter(|reply| !matches!(reply, JoinReply::Elsewhere { .. }));
                if let Some(reply) = reply {
                    return vec![reply];
                }
            }
            None => {}
        }
        // A member hears from its leader without asking. A node that is not a member yet, or has moved, must
        // announce itself.
        let mut replies = Vec::new();
        let mut addrs: BTreeSet<String> =
            self.engine.peers().known().into_iter().map(|known| known.addr).collect();
        for name in &self.engine.config().join {
            // A name may stand for several nodes, this one among them.
            let found = dial::addresses(name).await.unwrap_or_default();
            addrs.extend(found.iter().map(ToString::to_string));
        }
        addrs.remove(&self.engine.peers().me().addr);
        for addr in addrs {
            replies.extend(self.ask_at(&addr, &announce).await);
        }
        replies
    }

    /// Whether this node, which leads, has been introduced. The reply of the leader that admitted it may have
    /// been lost, so it asks the other members. Nodes that were away do not believe what it signs for
    /// itself.
    async fn is_introduced(&mut self) -> bool {
        let engine = self.engine.clone();
        let secure = engine.peers().secure();
        if secure.is_introduced() {
            return true;
        }
        let request = Request::IntroduceV1;
        let others = engine.peers().known();
        let asked = others.iter().map(|known| async {
            engine.peers().link(known.id, Lane::Work).ask_node(&request, ASK).await.ok().and_then(joined)
        });
        let replies = join_all(asked).await;
        let introductions = replies.into_iter().find_map(|reply| match reply {
            Some(JoinReply::Member { introductions }) => Some(introductions),
            _ => None,
        });
        let introductions = match introductions {
            Some(introductions) => introductions,
            None if self.unintroduced.get_or_insert_with(Instant::now).elapsed() < INTRODUCED_WITHIN => {
                return false;
            }
            None => {
                tracing::warn!(
                    node = engine.called(engine.id()),
                    "no member introduces this node, which leads; a learner that knows none of the present members \
                     must join again"
                );
                Vec::new()
            }
        };
        let kept = introductions.clone();
        let written = self.identity.update(move |identity| identity.introductions = kept);
        if let Err(error) = written.await {
            tracing::error!(%error, "cannot write the identity");
            return false;
        }
        secure.introduce_with(introductions);
        true
    }

    async fn ask_at(&self, addr: &str, announce: &Announce) -> Option<JoinReply> {
        match self.ask_once_at(addr, announce).await? {
            JoinReply::Elsewhere { addr } if !addr.is_empty() && addr != self.engine.peers().me().addr => {
                self.ask_once_at(&addr, announce).await
            }
            other => Some(other),
        }
    }

    async fn ask_once_at(&self, addr: &str, announce: &Announce) -> Option<JoinReply> {
        let peers = self.engine.peers();
        let hello = peers.me().hello(0, Lane::Work);
        let request = Request::AnnounceV1(announce.clone());
        // A node that is not a member yet believes whoever has what admits newcomers; a member believes only
        // members.
        let is_believed = |shown: &Shown| match self.roster.standing(shown) {
            Standing::Member(_) | Standing::Introduced(_) => true,
            Standing::Guest => announce.join,
            Standing::Stranger => false,
        };
        joined(ask_at(peers.secure(), addr, &hello, is_believed, &request, ASK).await.ok()?)
    }
}

fn joined(answer: Answer) -> Option<JoinReply> {
    match answer {
        Answer::JoinV1(reply) => Some(reply),
        _ => None,
    }
}
