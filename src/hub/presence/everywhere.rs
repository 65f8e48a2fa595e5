//! Counts over the whole cluster: every node is asked for its subscriptions, and every node knows the members.

use super::member::{Counted, Counts};
use super::state::PresenceState;
use crate::core::ids::{MapId, NodeId};
use crate::core::subject::Subject;
use crate::hub::bridge::Bridge;
use crate::hub::peers::{Lane, PeerRequest, PeerServer, Peers};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;
use waypost_cluster::Cluster;

/// How long the nodes have to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// The most subjects of one answer.
pub(super) const MOST_SUBJECTS: usize = 4096;

/// Asks a node how many subscriptions of some subjects it has.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Count {
    map: MapId,
    of: Of,
}

/// The subjects that are asked for.
#[derive(Debug, Serialize, Deserialize)]
enum Of {
    /// The first occupied ones by name that begin with the prefix and come after that one.
    Prefix { prefix: String, after: Option<Subject>, limit: u32 },
    /// These.
    Named(Vec<Subject>),
}

impl PeerRequest for Count {
    /// The occupied ones among the subjects, with the node's subscriptions.
    type Answer = Vec<(Subject, u32)>;
    const KIND: u16 = 30;
    const LANE: Lane = Lane::quick(16, 240);
}

impl Count {
    /// Answers for this node.
    fn answer(&self, state: &PresenceState) -> Vec<(Subject, u32)> {
        match &self.of {
            Of::Prefix { prefix, after, limit } => {
                let mut found = Vec::new();
                let range = Range { prefix, after: after.as_ref(), limit: *limit as usize };
                let Some(from) = range.from() else { return found };
                state.with_roster(|roster| {
                    roster.occupied(self.map, &from, |subject, count| {
                        range.takes(subject).is_some_and(|takes| {
                            if takes {
                                found.push((subject.clone(), count));
                            }
                            found.len() < range.limit
                        })
                    });
                });
                found
            }
            Of::Named(subjects) => state.with_roster(|roster| {
                let counts =
                    subjects.iter().map(|subject| (subject.clone(), roster.subscriptions(self.map, subject)));
                counts.filter(|(_, count)| *count > 0).take(MOST_SUBJECTS).collect()
            }),
        }
    }
}

/// A range of subjects by name.
struct Range<'a> {
    prefix: &'a str,
    after: Option<&'a Subject>,
    limit: usize,
}

impl Range<'_> {
    /// The subject to begin with. `None` if no subject has the prefix.
    fn from(&self) -> Option<Subject> {
        let first = Subject::parse_any(self.prefix).ok()?;
        Some(self.after.filter(|after| **after > first).cloned().unwrap_or(first))
    }

    /// Whether the subject belongs to the range. `None` if the range has ended before it.
    fn takes(&self, subject: &Subject) -> Option<bool> {
        subject
            .as_str()
            .starts_with(self.prefix)
            .then(|| Some(subject) != self.after && !subject.is_reserved())
    }
}

/// Answers the other nodes.
pub(in crate::hub) fn serve(server: &PeerServer, bridge: Arc<Bridge>) {
    server.serve(move |_, count: Count| ready(count.answer(&bridge.presence)));
}

/// Asks all nodes; cheap to clone.
#[derive(Clone)]
pub(super) struct Census {
    cluster: Cluster,
    peers: Peers,
    bridge: Arc<Bridge>,
}

impl Census {
    pub(super) fn new(cluster: Cluster, peers: Peers, bridge: Arc<Bridge>) -> Self {
        Self { cluster, peers, bridge }
    }

    /// Counts the first `limit` subjects by name that begin with the prefix and come after `after`.
    pub(super) async fn range(
        &self,
        map: MapId,
        prefix: &str,
        after: Option<&Subject>,
        limit: usize,
    ) -> Counted {
        let limit = limit.clamp(1, MOST_SUBJECTS - 1);
        // One more shows whether there are more.
        let range = Range { prefix, after, limit: limit + 1 };
        let Some(from) = range.from() else { return Counted::default() };
        let of = Of::Prefix {
            prefix: prefix.to_owned(),
            after: after.cloned(),
            limit: u32::try_from(range.limit).unwrap_or(u32::MAX),
        };
        let (mut counts, silent) = self.ask_all(&Count { map, of }).await;
        let mut taken = 0;
        self.bridge.presence.board.occupied(map, &from, |subject| {
            range.takes(subject).is_some_and(|takes| {
                if takes {
                    counts.entry(subject.clone()).or_default();
                    taken += 1;
                }
                taken < range.limit
            })
        });
        let more = counts.len() > limit;
        if let Some(first_beyond) = counts.keys().nth(limit).cloned() {
            counts.split_off(&first_beyond);
        }
        self.add_users(map, &mut counts);
        Counted { counts, silent, more }
    }

    /// Counts these subjects.
    pub(super) async fn named(&self, map: MapId, subjects: Vec<Subject>) -> Counted {
        let mut counts: BTreeMap<Subject, Counts> =
            subjects.iter().map(|subject| (subject.clone(), Counts::default())).collect();
        let (found, silent) = self.ask_all(&Count { map, of: Of::Named(subjects) }).await;
        counts.extend(found);
        self.add_users(map, &mut counts);
        Counted { counts, silent, more: false }
    }

    fn add_users(&self, map: MapId, counts: &mut BTreeMap<Subject, Counts>) {
        for (subject, count) in counts {
            count.users = self.bridge.presence.board.users(map, subject);
        }
    }

    /// Sums the answers of all nodes. Returns also the nodes that did not answer.
    async fn ask_all(&self, count: &Count) -> (BTreeMap<Subject, Counts>, Vec<NodeId>) {
        let me = self.cluster.node_id();
        let members = self.cluster.status().members;
        let asked = members.iter().map(async |member| (member.id, self.ask(me, member.id, count).await));
        let mut sums: BTreeMap<Subject, Counts> = BTreeMap::new();
        let mut silent = Vec::new();
        for (node, answer) in futures_util::future::join_all(asked).await {
            match answer {
                Some(counts) => counts.into_iter().for_each(|(subject, count)| {
                    sums.entry(subject).or_default().subscriptions += u64::from(count);
                }),
                None => silent.push(node),
            }
        }
        silent.sort_unstable();
        (sums, silent)
    }

    /// Asks one node. `None` if it may have subscriptions and did not answer.
    async fn ask(&self, me: NodeId, node: NodeId, count: &Count) -> Option<Vec<(Subject, u32)>> {
        let state = &self.bridge.presence;
        if node == me {
            return Some(count.answer(state));
        }
        match tokio::time::timeout(ANSWER_WAIT, self.peers.ask(node, count, ANSWER_WAIT)).await {
            Ok(Ok(answer)) => {
                state.node_is_back(node);
                Some(answer)
            }
            // No process of the node runs, or its connections have ended.
            Ok(Err(error)) if error.shows_end() => Some(Vec::new()),
            _ if state.is_gone(node) => Some(Vec::new()),
            Ok(Err(error)) => {
                let node = self.peers.called(node);
                tracing::debug!(node, %error, "a node does not count its subscriptions");
                None
            }
            Err(_) => None,
        }
    }
}
