//! Layouts of the messages between peers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::founding::NewcomerV1;
use super::ids::{StoredLogId, StoredVote};
use super::proposal::ProposalV1;
use super::system::{IntroductionV1, KnownV1, MemberV1, StampV1, SystemV1};

/// What the caller says about a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// All zero if the caller is not a member yet; then it may only ask to join.
    pub(crate) cluster_id: [u8; 16],
    /// 0 if the caller has no id yet.
    pub(crate) from: u64,
    /// 0 if the caller does not know which node listens there.
    pub(crate) to: u64,
    /// The address that the caller itself listens on.
    pub(crate) from_addr: String,
    /// The purpose of the connection: the number of a lane.
    pub(crate) lane: u8,
}

/// What each side shows of itself. Signature and proofs are made over the connection's exporter and the
/// hello, so they are valid on this connection alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShownV1 {
    pub(crate) identity: [u8; 32],
    pub(crate) signature: ByteBuf,
    /// One proof for each key of the cluster that its sender has.
    pub(crate) proofs: Vec<[u8; 32]>,
    pub(crate) introductions: Vec<IntroductionV1>,
}

/// First frame of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub(crate) hello: Hello,
    pub(crate) shown: ShownV1,
}

/// Answer to [`Greeting`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Welcome {
    OkV1(ShownV1),
    RefusedV1 { reason: String },
}

/// An entry sent to a follower, in the form of [`super::StoredPayload::parts`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireEntry<B = Bytes> {
    pub(crate) id: StoredLogId,
    pub(crate) kind: u8,
    pub(crate) content: B,
}

/// Entries from the leader; without entries, a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Append<B = Bytes> {
    pub(crate) vote: StoredVote,
    pub(crate) prev: Option<StoredLogId>,
    pub(crate) commit: Option<StoredLogId>,
    pub(crate) entries: Vec<WireEntry<B>>,
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

/// The requests of one peer to another.
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
    /// Commands to propose, in order, without a name. They are not taken: they could be stored twice.
    ForwardV1 {
        commands: Vec<Bytes>,
    },
    ReadIndexV1,
    AppV1 {
        body: Bytes,
    },
    /// A newcomer asks for an id.
    NewIdV1 {
        member: MemberV1,
    },
    AnnounceV1(Announce),
    /// A snapshot of `state` follows as `SnapshotChunkV1` requests, then `SnapshotEndV1`, all on this
    /// connection.
    SnapshotBeginV1 {
        vote: StoredVote,
        state: SystemV1,
    },
    SnapshotChunkV1 {
        index: u64,
        crc: u32,
        pairs: Vec<PairV1>,
    },
    SnapshotEndV1 {
        chunks: u64,
        pairs: u64,
    },
    /// Asks how much of the log the receiver, as leader, counts as durable on the caller.
    CountedV1,
    /// Asks for the receiver's wall clock. The leader also reports the cluster's time, if it knows it.
    ClockV1 {
        reported: Option<StampV1>,
    },
    /// Asks which process answers at this address.
    WhoV1,
    /// A newcomer looks for a cluster, or for other newcomers to found one with.
    GreetV1(NewcomerV1),
    /// Commands to propose, in order; `flow` is that of all of them, or `None` if they are of several. The
    /// caller may send it again, also to other nodes: the proposal is applied once.
    ForwardV2 {
        flow: Option<u128>,
        proposal: ProposalV1,
        commands: Vec<Bytes>,
    },
    /// A member that leads asks another member to introduce it to those that were away.
    IntroduceV1,
    /// A node whose log is damaged asks for the entries from `from` to `upto`, of a log that holds `upto`.
    RecordsV1 {
        from: u64,
        upto: StoredLogId,
    },
    /// Such a node asks where the receiver's log ends.
    EndV1,
    /// A node whose store is damaged asks for the applied state: for the chunk after that key, or the first.
    /// A request for the first chunk fixes the state for those that follow it on the connection.
    StateV1 {
        after: Option<ByteBuf>,
    },
}

impl Request {
    /// Whether the request is about one group's log, which its frame names. The other requests are for the
    /// node: those of the application, and those of membership, which all groups share. A leader asks for
    /// clocks to stamp its group's entries, and reports that group's time.
    pub(crate) fn is_of_a_group(&self) -> bool {
        match self {
            Self::VoteV1 { .. }
            | Self::AppendV1(_)
            | Self::TransferV1 { .. }
            | Self::ForwardV1 { .. }
            | Self::ForwardV2 { .. }
            | Self::ReadIndexV1
            | Self::SnapshotBeginV1 { .. }
            | Self::SnapshotChunkV1 { .. }
            | Self::SnapshotEndV1 { .. }
            | Self::CountedV1
            | Self::ClockV1 { .. }
            | Self::RecordsV1 { .. }
            | Self::EndV1
            | Self::StateV1 { .. } => true,
            Self::AppV1 { .. }
            | Self::NewIdV1 { .. }
            | Self::AnnounceV1(_)
            | Self::WhoV1
            | Self::GreetV1(_)
            | Self::IntroduceV1 => false,
        }
    }

    /// Whether it may be sent to an address without knowing which node listens there.
    pub(crate) fn is_for_any_node(&self) -> bool {
        matches!(self, Self::NewIdV1 { .. } | Self::AnnounceV1(_) | Self::WhoV1 | Self::GreetV1(_))
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

/// The outcome of a forwarded batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Forwarded {
    Done {
        index: u64,
        time_ms: u64,
        replies: Vec<ByteBuf>,
    },
    /// Certainly not stored by this request. `leader` is the node that may take it (0 = unknown). With
    /// `overloaded`, a node that names itself there leads and has no disk space left.
    NotStored {
        leader: u64,
        overloaded: bool,
    },
    /// It may or may not be stored.
    Unknown,
    /// Not stored by this request: another incarnation of the caller, with this ordinal, is in force.
    Superseded {
        ordinal: u64,
    },
    /// Nothing more will be known: it was applied and its replies are forgotten, or the caller has given it
    /// up.
    Forgotten,
}

/// Answer to a newcomer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum JoinReply {
    /// The allocated id, and all members.
    Id {
        cluster_id: [u8; 16],
        id: u64,
        peers: Vec<KnownV1>,
    },
    /// The caller is a member as announced.
    Member {
        introductions: Vec<IntroductionV1>,
    },
    /// Ask at this address (empty = no node leads now, try again).
    Elsewhere {
        addr: String,
    },
    Refused {
        reason: String,
    },
    /// Not possible at present: try again later. Says nothing about whether the caller is a member.
    NotNow {
        reason: String,
    },
    /// Another process has the caller's id, and answers at this address.
    Claimed {
        addr: String,
    },
}

/// Which process answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessV1 {
    pub(crate) cluster_id: [u8; 16],
    pub(crate) id: u64,
    /// The run of the process: it differs between two processes, also if they have the same id.
    pub(crate) incarnation: u64,
}

/// Answer to [`Request::GreetV1`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Greeted {
    /// The receiver belongs to a cluster: ask it for an id.
    Member,
    /// The receiver is a newcomer too.
    Newcomer(NewcomerV1),
}

/// Answer to [`Request::RecordsV1`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Records {
    /// The first of the entries that were asked for, one at least, without a gap.
    Held(Vec<WireEntry>),
    /// The receiver's log has no entry `upto`.
    Lacks,
    /// The receiver's log begins later. Its store has what is before.
    Purged,
    /// The receiver's log is damaged there too.
    Damaged,
}

/// Answer to [`Request::EndV1`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndV1 {
    /// The receiver leads, and a majority has confirmed that since it was asked.
    pub(crate) leads: bool,
    /// The last entry of its log.
    pub(crate) last: Option<StoredLogId>,
    /// The receiver has acknowledged nothing after `last`.
    pub(crate) is_sure: bool,
    /// The index up to which it can send the state; 0 if it cannot.
    pub(crate) applied: u64,
}

/// The answers of a peer.
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
    /// `None`: the receiver does not lead or has no majority.
    ReadIndexV1 {
        index: Option<u64>,
    },
    AppV1 {
        body: Bytes,
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
    /// Up to this index, in that term; zeros if the receiver does not lead or does not know.
    CountedV1 {
        term: u64,
        index: u64,
    },
    /// The wall clock (ms since 1970).
    ClockV1 {
        clock_ms: u64,
    },
    /// The receiver has no such group; nothing was done.
    NoGroupV1 {
        group: u16,
    },
    WhoV1(ProcessV1),
    GreetedV1(Greeted),
    RecordsV1(Records),
    EndV1(EndV1),
    /// A chunk of `state`; `is_last` if no other follows.
    StateV1 {
        state: SystemV1,
        crc: u32,
        pairs: Vec<PairV1>,
        is_last: bool,
    },
}
