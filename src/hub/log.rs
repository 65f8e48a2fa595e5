//! The way into the log: proposes commands, awaits their replies, and distinguishes refusals from outages.

use super::applied::{self, Standing};
use super::contact::CaughtUp;
use super::error::HubError;
use super::peers::Peers;
use crate::core::codec;
use crate::core::command::{Command, Reply};
use crate::core::ids::MapId;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;
use waypost_cluster::{Cluster, Flow, ProposeError};

/// Longest wait until the reachable nodes have applied a revocation: longer than an election takes.
const EVERYWHERE: Duration = Duration::from_secs(4);
/// Longest wait for a leader of a node that is cut off: one that is back is heard of within a few heartbeats.
const HEARD_SOON: Duration = Duration::from_millis(400);
/// Bytes of a command with events beside them, about.
const COMMAND_BYTES: usize = 128;
/// The same of an event beside its texts.
const EVENT_BYTES: usize = 64;

/// The flow of a command: maps take turns in the log. What manages a map waits apart from its publishes, so
/// that a token that floods the map can be revoked at once.
fn flow_of(command: &Command) -> Flow {
    let publishes = |map: MapId| Flow(u128::from_be_bytes(*map.as_bytes()));
    match command {
        Command::Publish(publish) => publishes(publish.map),
        Command::Ingest(ingest) => publishes(ingest.map),
        command => managed_map(command).map_or(Flow::NONE, |map| Flow(!publishes(map).0)),
    }
}

/// The bytes of a command's encoding, about, if the command has events.
fn bytes_of(command: &Command) -> usize {
    let events = match command {
        Command::Publish(publish) => &publish.events,
        Command::Ingest(ingest) => &ingest.events,
        _ => return 0,
    };
    COMMAND_BYTES + events.iter().map(|event| event.len_bytes() + EVENT_BYTES).sum::<usize>()
}

/// The map that a command manages. `None` if the command is the cluster's own.
fn managed_map(command: &Command) -> Option<MapId> {
    match command {
        Command::Publish(publish) => Some(publish.map),
        Command::Ingest(ingest) => Some(ingest.map),
        Command::PutSource(put) => Some(put.source.map),
        Command::DeleteSource(delete) => Some(delete.map),
        Command::CreateMap(create) => Some(create.id),
        Command::UpdateMap(update) => Some(update.map),
        Command::DeleteMap(map) => Some(*map),
        Command::CreateToken(create) => Some(create.map),
        Command::RevokeToken(revoke) => Some(revoke.map),
        Command::PutWebhook(put) => Some(put.webhook.map),
        Command::DeleteWebhook(on) => Some(on.map),
        Command::ActivateWebhook(on) => Some(on.map),
        Command::OwnerCommand(on) => Some(on.map),
        Command::PurgeDead(on) => Some(on.map),
        Command::SetChannelRules(set) => Some(set.map),
        Command::DeleteEvent(delete) => Some(delete.map),
        Command::DeleteSubject(delete) => Some(delete.map),
        Command::PutApp(put) => Some(put.app.map),
        Command::UpdateApp(update) => Some(update.map),
        Command::DeleteApp(delete) => Some(delete.map),
        Command::TerminateUser(terminate) => Some(terminate.map),
        Command::SetIssuers(set) => Some(set.map),
        Command::RevokeClients(revoke) => Some(revoke.map),
        Command::SetAdmin(_)
        | Command::MakeAdminToken(_)
        | Command::RevokeAdminToken(_)
        | Command::Lease(_)
        | Command::NodeGone(_)
        | Command::Presence(_)
        | Command::EndGraces
        | Command::Tick
        | Command::Progress(_)
        | Command::NoteAttempt(..)
        | Command::HandOver(..)
        | Command::SetKeyFingerprint(_)
        | Command::TellOperators(_)
        | Command::Usage(_) => None,
    }
}

/// The replicated log; cheap to clone.
#[derive(Clone)]
pub struct Log {
    cluster: Cluster,
    peers: Peers,
    caught_up: CaughtUp,
}

impl Log {
    /// Also answers other nodes that ask how far this node has applied the log.
    pub(super) fn new(cluster: Cluster, peers: Peers, caught_up: CaughtUp) -> Self {
        applied::serve(&peers, &cluster);
        Self { cluster, peers, caught_up }
    }

    /// Proposes a command and awaits its result.
    ///
    /// # Errors
    /// Why the command was not carried out, or that this is unknown.
    pub async fn propose(&self, command: &Command) -> Result<Reply, HubError> {
        match self.settled_at(command).await? {
            (Reply::Refused(refusal), _) => Err(HubError::Refused(refusal)),
            (reply, _) => Ok(reply),
        }
    }

    /// The answer of the replicated state to a command, possibly a refusal, and its index in the log.
    async fn settled_at(&self, command: &Command) -> Result<(Reply, u64), HubError> {
        let encoded = codec::encode_about(command, bytes_of(command))?;
        let proposed = self.cluster.propose(flow_of(command), encoded).await?;
        Ok((codec::decode(&proposed.reply)?, proposed.index))
    }

    /// Proposes a command that takes access away, and waits until every reachable node has applied it: after
    /// this call, a revoked client gets nothing. The call also waits if the command is refused because it was
    /// carried out before.
    ///
    /// # Errors
    /// [`HubError::Unknown`] if this node does not reach most nodes, or if a reachable node stays behind.
    pub async fn propose_everywhere(&self, command: &Command) -> Result<Reply, HubError> {
        let (reply, index) = self.settled_at(command).await?;
        let deadline = tokio::time::Instant::now() + EVERYWHERE;
        let mut standings = self.standings(index, deadline).await;
        if standings.contains(&Standing::OutOfReach) {
            // This node may be cut off while the others serve without it. So a majority must follow the same
            // leader as this node, both before the nodes are asked and after it.
            self.barrier().await.map_err(|_| HubError::Unknown)?;
            standings = self.standings(index, deadline).await;
            self.barrier().await.map_err(|_| HubError::Unknown)?;
        }
        if standings.contains(&Standing::Behind) {
            return Err(HubError::Unknown);
        }
        match reply {
            Reply::Refused(refusal) => Err(HubError::Refused(refusal)),
            reply => Ok(reply),
        }
    }

    /// How far each member has applied the log. This node is included: the reply to a proposal may arrive
    /// before this node has applied the entry.
    async fn standings(&self, index: u64, deadline: tokio::time::Instant) -> Vec<Standing> {
        let me = self.cluster.node_id();
        let members = self.cluster.status().members;
        let asked = members.iter().map(async |member| match member.id {
            id if id == me => match self.cluster.wait_applied(index, EVERYWHERE).await {
                true => Standing::Applied,
                false => Standing::Behind,
            },
            id => applied::applied_on(&self.peers, id, index, deadline).await,
        });
        futures_util::future::join_all(asked).await
    }

    /// Waits until everything that was acknowledged anywhere before this call is applied here. Returns its
    /// index in the log. A node that has been cut off for several elections waits only a moment.
    ///
    /// # Errors
    /// If no leader with a majority answers.
    pub async fn barrier(&self) -> Result<u64, HubError> {
        let mut barrier = pin!(self.cluster.barrier());
        loop {
            match timeout(HEARD_SOON, &mut barrier).await {
                Ok(index) => return Ok(index?),
                Err(_) if self.finds_itself_without_leader().await => {
                    return Err(ProposeError::Unavailable.into());
                }
                Err(_) => {}
            }
        }
    }

    /// Whether no election is expected to end soon, and this node looked for a leader a moment ago, in vain.
    /// A node that stood still has not looked, however long it has heard nothing. Neither has a node whose
    /// last request came before the contact was lost: then this call looks, for a second at most.
    async fn finds_itself_without_leader(&self) -> bool {
        if !self.cluster.has_lost_contact() {
            return false;
        }
        self.caught_up.ensure().await;
        self.caught_up.looked_in_vain()
    }

    /// Index of the last log entry applied here.
    pub fn applied(&self) -> u64 {
        self.cluster.applied()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::command::{Publish, RevokeToken};
    use crate::core::event::NewEvent;
    use crate::core::ids::TokenId;
    use crate::core::subject::Subject;

    #[test]
    fn a_map_publishes_and_is_managed_in_flows_of_its_own() {
        let map = |n| MapId::from_bytes([n; 16]);
        let publish = |n| Command::Publish(Publish { map: map(n), by: None, events: Vec::new(), key: None });
        let token = TokenId::from_bytes([1; 16]);
        let revoke = |n| Command::RevokeToken(RevokeToken { map: map(n), by: None, token });
        let flows = [publish(1), publish(2), revoke(1), revoke(2), Command::Tick].map(|c| flow_of(&c));
        let different: std::collections::BTreeSet<Flow> = flows.into_iter().collect();
        assert_eq!(different.len(), 5, "{flows:?}");
        assert_eq!((flow_of(&publish(1)), flow_of(&Command::Tick)), (flows[0], Flow::NONE));
    }

    #[test]
    fn the_buffer_of_a_publish_has_room_for_it() {
        let event = NewEvent::new(Subject::parse("orders-7").unwrap(), "placed", vec![b'1'; 100_000]);
        let map = MapId::from_bytes([1; 16]);
        for events in [vec![event.clone()], vec![event; 9]] {
            let publish = Command::Publish(Publish { map, by: None, events, key: None });
            let (bytes, room) = (codec::encode(&publish).unwrap().len(), bytes_of(&publish));
            assert!((bytes..bytes + 1024).contains(&room), "{room} for {bytes}");
        }
    }
}
