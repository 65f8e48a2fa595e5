//! The reasons for which the hub does not do what it was asked.

use crate::core::codec::CodecError;
use crate::core::command::Refusal;
use crate::core::rate::{Exceeded, PublishRates};
use waypost_cluster::ProposeError;

/// Why something was not done. Each variant says whether anything was changed.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The replicated state refused the command; nothing was changed.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The map publishes more than it may; nothing was changed.
    #[error("the map publishes more than it may: {exceeded:?}")]
    TooFast {
        /// The rate that is exceeded.
        exceeded: Exceeded,
        /// The rates of the map, as this node knows them.
        rates: PublishRates,
    },
    /// There is no majority, or the node is stopping. Nothing was changed; try again.
    #[error("the cluster can't take this now: {0}")]
    Unavailable(&'static str),
    /// Too many requests of all maps are waiting. Nothing was changed; try again.
    #[error("the cluster can't take this now: too many requests are waiting")]
    QueueFull,
    /// As much of the map waits on this node as one map may hold. Nothing was changed; try again.
    #[error("as much of the map waits on this node as one map may hold")]
    MapQueueFull,
    /// The disks of a majority or of the leader have too little space; nothing was changed.
    #[error("the cluster's disks are nearly full")]
    DiskFull,
    /// No answer came in time: the command may have been carried out. Repeat it with an idempotency key.
    #[error("no answer came in time: it may or may not have been done")]
    Unknown,
    /// The request is larger than the log accepts; nothing was changed.
    #[error("larger than the {0} bytes that one request may store")]
    TooLarge(usize),
    /// A defect of the program: this should never happen.
    #[error("internal: {0}")]
    Internal(String),
}

impl From<ProposeError> for HubError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Unavailable => Self::Unavailable("no leader with a majority"),
            ProposeError::Overloaded => Self::QueueFull,
            ProposeError::FlowFull => Self::MapQueueFull,
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
