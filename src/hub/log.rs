//! The way into the log: commands are proposed, their replies awaited, refusals told apart from outages.

use super::applied::{self, Standing};
use super::error::HubError;
use super::peers::Peers;
use crate::core::codec;
use crate::core::command::{Command, Reply};
use std::time::Duration;
use waypost_cluster::Cluster;

/// Longest wait for the nodes in reach to have applied a revocation: an election and more.
const EVERYWHERE: Duration = Duration::from_secs(4);

/// The replicated log; cheap to clone.
#[derive(Clone)]
pub struct Log {
    cluster: Cluster,
    peers: Peers,
}

impl Log {
    /// Also answers other nodes how far this one has applied the log.
    pub(super) fn new(cluster: Cluster, peers: Peers) -> Self {
        applied::serve(&peers, &cluster);
        Self { cluster, peers }
    }

    /// Proposes a command and awaits what became of it.
    ///
    /// # Errors
    /// Why it was not done, or that this is not known.
    pub async fn propose(&self, command: &Command) -> Result<Reply, HubError> {
        match self.settled_at(command).await? {
            (Reply::Refused(refusal), _) => Err(HubError::Refused(refusal)),
            (reply, _) => Ok(reply),
        }
    }

    /// What the replicated state makes of a command, be it a refusal, and where in the log.
    async fn settled_at(&self, command: &Command) -> Result<(Reply, u64), HubError> {
        let proposed = self.cluster.propose(codec::encode(command)?).await?;
        Ok((codec::decode(&proposed.reply)?, proposed.index))
    }

    /// Proposes what takes access away, and waits until every node in reach has applied it: who was revoked gets nothing
    /// once this has answered. A command that is refused because it was carried out before is waited for too.
    ///
    /// # Errors
    /// [`HubError::Unknown`] where most nodes are out of this one's reach, or one that is in reach stays behind.
    pub async fn propose_everywhere(&self, command: &Command) -> Result<Reply, HubError> {
        let (reply, index) = self.settled_at(command).await?;
        let deadline = tokio::time::Instant::now() + EVERYWHERE;
        let mut standings = self.standings(index, deadline).await;
        if standings.contains(&Standing::OutOfReach) {
            // It may be this node that is cut off, while the others serve without it: a majority must follow the same
            // leader as this node before and after they are asked again.
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

    /// How far all members are, this one too: the answer to a proposal may be here before what it answers.
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

    /// Waits until everything that was acknowledged anywhere before this call is applied here; its index in the log.
    ///
    /// # Errors
    /// No leader with a majority can be asked.
    pub async fn barrier(&self) -> Result<u64, HubError> {
        Ok(self.cluster.barrier().await?)
    }

    /// Index of the last log entry applied here.
    pub fn applied(&self) -> u64 {
        self.cluster.applied()
    }
}
