//! Why a request to another node has no answer.

use crate::core::codec::CodecError;
use waypost_cluster::RequestError;

/// Why a request to another node has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The other node does not know this kind of request (another release), or does not answer it yet. Not acted on.
    #[error("the node does not know this kind of request")]
    Unknown,
    /// The other node has as many requests of this kind as it takes. Not acted on.
    #[error("the node has too many requests of this kind")]
    Busy,
    /// As many requests as may be are under way from here to that node, which was not asked and may be gone.
    #[error("too many requests to that node are under way")]
    NotAsked,
    /// The other node can't read the request. Not acted on.
    #[error("the node can't read the request")]
    Malformed,
    /// The other node took it up and gave no answer: it may have acted.
    #[error("the node gave no answer")]
    Failed,
    /// The request or the answer can't be encoded or read.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The other node was not reached, or did not answer in time: it may have acted.
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
    /// The other node was there and answered, though not with what was asked for.
    pub fn is_from_the_node(&self) -> bool {
        matches!(self, Self::Unknown | Self::Busy | Self::Malformed | Self::Failed)
    }
}
