//! Why the hub did not do what it was asked.

use crate::core::codec::CodecError;
use crate::core::command::Refusal;
use waypost_cluster::ProposeError;

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
