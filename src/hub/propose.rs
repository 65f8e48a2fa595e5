//! The way into the log: commands are proposed, their replies awaited, refusals told apart from outages.

use super::Hub;
use super::applied::Standing;
use crate::core::codec::{self, CodecError};
use crate::core::command::{Command, Publish, Published, Refusal, Reply};
use std::time::{Duration, Instant};
use waypost_cluster::ProposeError;

/// Longest wait for the nodes in reach to have applied a revocation: an election and more.
const EVERYWHERE: Duration = Duration::from_secs(4);

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The replicated state refused; nothing was changed.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// No majority, too much waiting, or stopping; nothing was changed. Try again.
    #[error("the cluster can't take this now: {0}")]
    Unavailable(&'static str),
    /// Too little room on the disks of a majority or of the leader; nothing was changed.
    #[error("the cluster's disks are nearly full")]
    DiskFull,
    /// The answer was lost: it may have been done. Repeat with an idempotency key.
    #[error("the answer was lost: it may or may not have been done")]
    Unknown,
    /// Larger than the log takes; nothing was changed.
    #[error("larger than the {0} bytes that one request may store")]
    TooLarge(usize),
    /// Neither side should ever see this.
    #[error("internal: {0}")]
    Internal(String),
}

impl From<ProposeError> for HubError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Unavailable => Self::Unavailable("no leader with a majority"),
            ProposeError::Overloaded => Self::Unavailable("too many requests are waiting"),
            ProposeError::DiskFull => Self::DiskFull,
            ProposeError::Stopping => Self::Unavailable("this node is stopping"),
            ProposeError::Unknown => Self::Unknown,
            ProposeError::TooLarge { limit, .. } => Self::TooLarge(limit),
        }
    }
}

impl From<CodecError> for HubError {
    fn from(error: CodecError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl Hub {
    /// Proposes a command and awaits what became of it.
    pub async fn propose(&self, command: &Command) -> Result<Reply, HubError> {
        self.propose_at(command).await.map(|(reply, _)| reply)
    }

    pub(super) async fn propose_at(&self, command: &Command) -> Result<(Reply, u64), HubError> {
        match self.settled_at(command).await? {
            (Reply::Refused(refusal), _) => Err(HubError::Refused(refusal)),
            settled => Ok(settled),
        }
    }

    /// What the replicated state makes of a command, be it a refusal, and where in the log.
    async fn settled_at(&self, command: &Command) -> Result<(Reply, u64), HubError> {
        let proposed = self.0.cluster.propose(codec::encode(command)?).await?;
        Ok((codec::decode(&proposed.reply)?, proposed.index))
    }

    /// Appends events to a map's topic.
    pub async fn publish(&self, publish: Publish) -> Result<Published, HubError> {
        if !self.has_room() {
            metrics::counter!(crate::metric::PUBLISH_REFUSED, "reason" => "disk_full").increment(1);
            return Err(HubError::DiskFull);
        }
        #[cfg(feature = "failpoints")]
        if crate::failpoint!("delivered-early", 20) {
            crate::failpoints::deliver_early(self, &publish);
        }
        #[cfg(feature = "failpoints")]
        if crate::failpoint!("never-freed") {
            crate::failpoints::never_free();
        }
        let began = Instant::now();
        let count = publish.events.len() as u64;
        match self.propose(&Command::Publish(publish)).await {
            Ok(Reply::Published(published)) => {
                metrics::histogram!(crate::metric::PUBLISH_SECONDS).record(began.elapsed().as_secs_f64());
                if !published.replayed {
                    metrics::counter!(crate::metric::EVENTS_PUBLISHED).increment(count);
                }
                Ok(published)
            }
            Ok(other) => Err(HubError::Internal(format!("a publish was answered with {other:?}"))),
            Err(error) => {
                let reason = match &error {
                    HubError::Refused(_) => "refused",
                    HubError::Unavailable(_) => "unavailable",
                    HubError::DiskFull => "disk_full",
                    HubError::Unknown => "unknown",
                    HubError::TooLarge(_) => "too_large",
                    HubError::Internal(_) => "internal",
                };
                metrics::counter!(crate::metric::PUBLISH_REFUSED, "reason" => reason).increment(1);
                Err(error)
            }
        }
    }

    /// Proposes what takes access away, and waits until every node in reach has applied it: who was revoked gets nothing
    /// once this has answered. So it is where it is refused because it was done before.
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
        let me = self.node_id();
        let members = self.status().members;
        let asked = members.iter().map(async |member| match member.id {
            id if id == me => match self.0.cluster.wait_applied(index, EVERYWHERE).await {
                true => Standing::Applied,
                false => Standing::Behind,
            },
            id => self.applied_on(id, index, deadline).await,
        });
        futures_util::future::join_all(asked).await
    }

    /// Waits until everything that was acknowledged anywhere before this call is applied here.
    pub async fn barrier(&self) -> Result<u64, HubError> {
        Ok(self.0.cluster.barrier().await?)
    }

    /// Index of the last log entry applied here.
    pub fn applied(&self) -> u64 {
        self.0.cluster.applied()
    }
}
