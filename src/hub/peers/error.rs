//! The reasons for which a request to another node has no answer.

use crate::core::codec::CodecError;
use waypost_cluster::{RequestError, Unreached};

/// Why a request to another node has no answer. Each variant says whether the other node may have acted.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The other node does not know this kind of request (it runs another release), or does not answer it
    /// yet. It did not act.
    #[error("the node does not know this kind of request")]
    Unknown,
    /// The other node has as many requests of this kind as it accepts. It did not act.
    #[error("the node has too many requests of this kind")]
    Busy,
    /// This node has as many requests to that node under way as it may have. The other node was not asked,
    /// and may be gone.
    #[error("too many requests to that node are under way")]
    NotAsked,
    /// The other node can't read the request. It did not act.
    #[error("the node can't read the request")]
    Malformed,
    /// The other node accepted the request and gave no answer. It may have acted.
    #[error("the node gave no answer")]
    Failed,
    /// The request or the answer can't be encoded or read.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The other node was not reached, or did not answer in time. It may have acted.
    #[error(transparent)]
    Request(RequestError),
}

impl From<RequestError> for PeerError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Overloaded(_) => Self::NotAsked,
            other => Self::Request(other),
        }
    }
}

impl PeerError {
    /// Whether the other node was reachable and answered, though not with the requested answer.
    pub fn is_from_the_node(&self) -> bool {
        matches!(self, Self::Unknown | Self::Busy | Self::Malformed | Self::Failed)
    }

    /// Whether no process of the other node runs: its host refuses the connection. So its clients are gone.
    pub fn shows_end(&self) -> bool {
        matches!(self, Self::Request(error) if error.unreached() == Some(Unreached::Refused))
    }
}
