//! A node's own part in the membership: it announces itself to the leader.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::members::Members;
use crate::contact::LeaderContact;
use crate::engine::Engine;
use crate::identity::Identity;
use crate::log::Log;
use crate::net::{Lane, ask_guest};
use crate::older::OlderData;
use crate::wire::{Announce, Answer, JoinReply, Request};

/// Longest that one request about membership may take.
const ASK: Duration = Duration::from_secs(10);
/// How often to check whether a node leads.
const LOOK: Duration = Duration::from_millis(500);
/// A node announces itself again after no node has led for this long.
const LEADERLESS: Duration = Duration::from_secs(1);
/// Pause before a refused node asks again.
const REFUSED: Duration = Duration::from_secs(30);

/// The result of an announcement.
enum Announced {
    Member,
    NotYet,
    Refused,
}

/// Announces this node until the members know it with its present address and facts, and again after a long
/// time without a leader. It runs as long as the node.
pub(crate) struct Announcer {
    pub(crate) engine: Arc<Engine>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) log: Log,
    pub(crate) contact: Arc<LeaderContact>,
    pub(crate) members: Arc<Members>,
    pub(crate) older: OlderData,
}

impl Announcer {
    /// Announces this node to the leader until the membership agrees. Announces it again after a long time
    /// without a leader: while this node was not listening, the cluster may have removed it or moved to other
    /// addresses.
    pub(crate) async fn run(self) {
        let mut pause = Duration::from_millis(50);
        let mut is_compared = false;
        loop {
            match self.announce_once().await {
                Announced::Member => {
                    self.engine.set_removed(false);
                    if !std::mem::replace(&mut is_compared, true) {
                        self.older.refuse().await;
                    }
                    self.leaderless().await;
                    pause = Duration::from_millis(50);
                }
                Announced::NotYet => {}
                Announced::Refused => pause = REFUSED,
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Waits until this node has not heard from a leader for a while.
    async fn leaderless(&self) {
        let mut since = None;
        loop {
            sleep(LOOK).await;
            let silent = Duration::from_millis(self.engine.config().election_max_ms * 2);
            if self.engine.leads()
                || self.contact.heard_ms().is_some_and(|ms| u128::from(ms) < silent.as_millis())
            {
                since = None;
            } else if since.get_or_insert_with(Instant::now).elapsed() >= LEADERLESS {
                return;
            }
        }
    }

    async fn announce_once(&self) -> Announced {
        let join = !self.identity.has_joined();
        let announce = Announce { id: self.engine.id(), member: self.identity.member().into(), join };
        for reply in self.ask_about(announce).await {
            match reply {
                JoinReply::Member => {
                    // From then on an empty log counts as damaged, so the log must first have something on
                    // disk.
                    if self.log.is_pristine() || self.log.sync().await.is_err() {
                        return Announced::NotYet;
                    }
                    if let Err(error) = self.identity.update(|identity| identity.joined = true) {
                        tracing::error!(%error, "cannot write the identity");
                        return Announced::NotYet;
                    }
                    tracing::info!(id = self.engine.id(), "this node is a member");
                    return Announced::Member;
                }
                JoinReply::Refused { reason } => {
                    tracing::error!(reason, "the cluster refuses this node");
                    if !join {
                        self.engine.set_removed(true);
                    }
                    return Announced::Refused;
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
    async fn ask_about(&self, announce: Announce) -> Vec<JoinReply> {
        match self.engine.leader() {
            Some(id) if id == self.engine.id() => return vec![self.members.announced(announce).await],
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
            self.engine.peers().addrs().into_iter().map(|(_, addr)| addr).collect();
        addrs.extend(self.engine.config().join.iter().cloned());
        addrs.remove(&self.engine.peers().me().addr);
        for addr in addrs {
            replies.extend(self.ask_at(&addr, &announce).await);
        }
        replies
    }

    async fn ask_at(&self, addr: &str, announce: &Announce) -> Option<JoinReply> {
        let (cluster, own) = (self.engine.peers().me().cluster_id, &self.engine.peers().me().addr);
        let request = Request::AnnounceV1(announce.clone());
        let reply =
            joined(ask_guest(self.engine.peers().secure(), addr, cluster, own, &request, ASK).await.ok()?)?;
        match reply {
            JoinReply::Elsewhere { addr } if !addr.is_empty() && addr != *own => joined(
                ask_guest(self.engine.peers().secure(), &addr, cluster, own, &request, ASK).await.ok()?,
            ),
            other => Some(other),
        }
    }
}

fn joined(answer: Answer) -> Option<JoinReply> {
    match answer {
        Answer::JoinV1(reply) => Some(reply),
        _ => None,
    }
}
