//! Layouts of log positions and votes.

use std::io::{self, Read, Write};

use raft_log::codeq::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::WireError;
use crate::types::{LeaderId, LogId, Vote};

/// Position of a log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub(crate) struct StoredLogId {
    pub(crate) term: u64,
    pub(crate) node: u64,
    pub(crate) index: u64,
}

impl From<&LogId> for StoredLogId {
    fn from(id: &LogId) -> Self {
        Self { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
    }
}

impl From<StoredLogId> for LogId {
    fn from(id: StoredLogId) -> Self {
        LogId::new(LeaderId { term: id.term, node_id: id.node }, id.index)
    }
}

/// A vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub(crate) struct StoredVote {
    pub(crate) term: u64,
    pub(crate) node: u64,
    pub(crate) committed: bool,
}

impl From<&Vote> for StoredVote {
    fn from(vote: &Vote) -> Self {
        Self { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
    }
}

impl From<StoredVote> for Vote {
    fn from(vote: StoredVote) -> Self {
        if vote.committed {
            Vote::new_committed(vote.term, vote.node)
        } else {
            Vote::new(vote.term, vote.node)
        }
    }
}

impl Encode for StoredLogId {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        for number in [self.term, self.node, self.index] {
            w.write_all(&number.to_le_bytes())?;
        }
        Ok(24)
    }
}

impl Decode for StoredLogId {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        Ok(Self { term: number(&mut r)?, node: number(&mut r)?, index: number(&mut r)? })
    }
}

impl Encode for StoredVote {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        w.write_all(&self.term.to_le_bytes())?;
        w.write_all(&self.node.to_le_bytes())?;
        w.write_all(&[u8::from(self.committed)])?;
        Ok(17)
    }
}

impl Decode for StoredVote {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let term = number(&mut r)?;
        let node = number(&mut r)?;
        let mut committed = [0];
        r.read_exact(&mut committed)?;
        match committed[0] {
            0 | 1 => Ok(Self { term, node, committed: committed[0] == 1 }),
            other => Err(WireError::Malformed(format!("vote flag {other}")).into()),
        }
    }
}

fn number(r: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    r.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
