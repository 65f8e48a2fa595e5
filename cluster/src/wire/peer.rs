//! Layouts of what peers say to each other.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::ids::{StoredLogId, StoredVote};
use super::system::{MemberV1, StampV1, SystemV1};

/// First frame of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// All zero where the caller is not a member yet; it may only ask to join.
    pub(crate) cluster_id: [u8; 16],
    pub(crate) from: u64,
    /// 0 where the caller does not know (it may only ask to join).
    pub(crate) to: u64,
    /// Where the caller itself listens.
    pub(crate) from_addr: String,
    /// What the connection is for: the number of a lane.
    pub(crate) lane: u8,
}

/// Answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Welcome {
    OkV1,
    RefusedV1 { reason: String },
}

/// First frame of a connection where peers share a key: [`Hello`], and a number that was never used before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyHello {
    pub(crate) nonce: [u8; 32],
    pub(crate) hello: Hello,
}

/// Answer to [`KeyHello`]: the other side's number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyNonce {
    pub(crate) nonce: [u8; 32],
}

/// Shows that its sender has the key: first the caller's, then the other side's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyProof {
    pub(crate) proof: [u8; 32],
}

/// An entry on its way to a follower: as [`super::StoredPayload::parts`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireEntry {
    pub(crate) id: StoredLogId,
    pub(crate) kind: u8,
    pub(crate) content: ByteBuf,
}

/// Entries (or none: a heartbeat) from the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Append {
    pub(crate) vote: StoredVote,
    pub(crate) prev: Option<StoredLogId>,
    pub(crate) commit: Option<StoredLogId>,
    pub(crate) entries: Vec<WireEntry>,
}

/// Asks for (or confirms) membership of the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announce {
    pub(crate) id: u64,
    pub(crate) member: MemberV1,
    /// The caller has never been a member under this id: add it.
    pub(crate) join: bool,
}

/// One pair of the store, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PairV1 {
    pub(crate) key: ByteBuf,
    pub(crate) record: ByteBuf,
}

/// What one peer asks another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    VoteV1 {
        vote: StoredVote,
        last: Option<StoredLogId>,
        transfer: bool,
        pre: bool,
    },
    AppendV1(Append),
    TransferV1 {
        from: StoredVote,
        to: u64,
        last: Option<StoredLogId>,
    },
    /// Commands to propose, in order.
    ForwardV1 {
        commands: Vec<ByteBuf>,
    },
    ReadIndexV1,
    AppV1 {
        body: ByteBuf,
    },
    /// A newcomer asks for an id.
    NewIdV1 {
        member: MemberV1,
    },
    AnnounceV1(Announce),
    /// Snapshot of `state` follows in `SnapshotChunkV1`, then `SnapshotEndV1`, all on this connection.
    SnapshotBeginV1 {
        vote: StoredVote,
        state: SystemV1,
    },
    SnapshotChunkV1 {
        place: u64,
        crc: u32,
        pairs: Vec<PairV1>,
    },
    SnapshotEndV1 {
        chunks: u64,
        pairs: u64,
    },
    /// How much of the log the one asked counts, as leader, as durable on the caller.
    CountedV1,
    /// What does the clock of the one asked say? The leader tells the time with it, where it knows it.
    ClockV1 {
        told: Option<StampV1>,
    },
}

impl Request {
    /// About one group's log, which its frame names. The others are for the node: those of the application,
    /// and those of membership, which all groups share. A leader asks for clocks to stamp its group's
    /// entries, and tells that group's time.
    pub(crate) fn is_of_a_group(&self) -> bool {
        match self {
            Self::VoteV1 { .. }
            | Self::AppendV1(_)
            | Self::TransferV1 { .. }
            | Self::ForwardV1 { .. }
            | Self::ReadIndexV1
            | Self::SnapshotBeginV1 { .. }
            | Self::SnapshotChunkV1 { .. }
            | Self::SnapshotEndV1 { .. }
            | Self::CountedV1
            | Self::ClockV1 { .. } => true,
            Self::AppV1 { .. } | Self::NewIdV1 { .. } | Self::AnnounceV1(_) => false,
        }
    }
}

/// Answer to [`Request::AppendV1`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Appended {
    Success,
    Partial(Option<StoredLogId>),
    Conflict,
    Higher(StoredVote),
}

/// What became of a forwarded batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Forwarded {
    Done {
        index: u64,
        time_ms: u64,
        replies: Vec<ByteBuf>,
    },
    /// Certainly not stored; `leader` is who might take it (0 = unknown). `overloaded` by whoever names
    /// itself there: it leads, and has no room on its disk.
    NotStored {
        leader: u64,
        overloaded: bool,
    },
    /// May or may not be stored.
    Unknown,
}

/// Answer to a newcomer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum JoinReply {
    /// The id given out, and everybody's address.
    Id {
        cluster_id: [u8; 16],
        id: u64,
        peers: Vec<(u64, String)>,
    },
    /// The caller is a member as announced.
    Member,
    /// Ask there (empty = nobody leads now, try again).
    Elsewhere {
        addr: String,
    },
    Refused {
        reason: String,
    },
    /// Not as things are: try again later. Says nothing about whether the caller is a member.
    NotNow {
        reason: String,
    },
}

/// What a peer answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    VoteV1 {
        vote: StoredVote,
        granted: bool,
        last: Option<StoredLogId>,
    },
    AppendV1(Appended),
    TransferV1 {
        accepted: bool,
    },
    ForwardV1(Forwarded),
    /// `None`: the one asked doesn't lead or has no majority.
    ReadIndexV1 {
        index: Option<u64>,
    },
    AppV1 {
        body: ByteBuf,
    },
    JoinV1(JoinReply),
    /// Highest vote of the receiver; `done` after the snapshot is installed.
    SnapshotV1 {
        vote: StoredVote,
        done: bool,
    },
    /// The request was understood but could not be carried out.
    FailedV1 {
        reason: String,
    },
    /// Up to there, in that term; zeros where the one asked does not lead or does not know.
    CountedV1 {
        term: u64,
        index: u64,
    },
    /// The wall clock (ms since 1970).
    ClockV1 {
        clock_ms: u64,
    },
    /// The one asked has no such group; nothing was done.
    NoGroupV1 {
        group: u16,
    },
}
