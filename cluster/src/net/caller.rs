//! What a peer has shown of itself, and what it may therefore ask.

use crate::NodeId;
use crate::identity_key::PublicKey;
use crate::wire::{Hello, IntroductionV1, Request};

/// Why a node that is not a member is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitted {
    #[error("has another key")]
    AnotherKey,
    #[error("has no key")]
    NoKey,
    #[error("shows no certificate of this cluster's authorities")]
    NoCertificate,
}

/// What a peer has shown in the handshake.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// The identity that it has proved.
    pub(crate) identity: PublicKey,
    pub(crate) introductions: Vec<IntroductionV1>,
    /// Whether it has what admits a newcomer to this cluster.
    pub(crate) admission: Result<(), NotAdmitted>,
}

/// A caller whose identity is proved.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) hello: Hello,
    pub(crate) shown: Shown,
}

/// What a caller is at one moment. It may change while the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A member.
    Member(NodeId),
    /// Unknown so far, and introduced as a member by members that this node knows.
    Introduced(NodeId),
    /// No member. It has shown what admits a newcomer.
    Guest,
    /// No member, and nothing admits it.
    Stranger,
}

impl Standing {
    /// The node that the caller is.
    pub(crate) fn id(self) -> Option<NodeId> {
        match self {
            Self::Member(id) | Self::Introduced(id) => Some(id),
            Self::Guest | Self::Stranger => None,
        }
    }

    /// Whether a caller of this standing may ask that.
    pub(crate) fn may_ask(self, request: &Request) -> bool {
        match self {
            Self::Member(_) => true,
            // Enough for a leader to bring this node up to date, and for a candidate to be elected.
            Self::Introduced(_) => matches!(
                request,
                Request::VoteV1 { .. }
                    | Request::AppendV1(_)
                    | Request::TransferV1 { .. }
                    | Request::SnapshotBeginV1 { .. }
                    | Request::SnapshotChunkV1 { .. }
                    | Request::SnapshotEndV1 { .. }
                    | Request::ReadIndexV1
                    | Request::WhoV1
                    | Request::ClockV1 { .. }
            ),
            Self::Guest => {
                matches!(request, Request::NewIdV1 { .. } | Request::AnnounceV1(_) | Request::GreetV1(_))
            }
            Self::Stranger => false,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) standing: Standing,
    pub(crate) identity: PublicKey,
}
