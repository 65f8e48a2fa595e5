//! What the hosts' disks see, compared: an oracle below the clients'.
//!
//! Owns the facts that no honest cluster contradicts: a node votes once in a term, a term has one leader, a log id has
//! one content. Stands outside of the simulated hosts: no crash makes it forget.

use std::collections::HashMap;

use crate::types::{Entry, Vote};
use crate::wire::StoredPayload;

/// Most violations that are kept of one run.
const MOST: usize = 20;

#[derive(Default)]
pub(crate) struct Witness {
    pub(super) violations: Vec<(u64, String)>,
    /// (journal, term) → whom it voted for.
    votes: HashMap<(u64, u64), u64>,
    /// term → who led.
    leaders: HashMap<u64, u64>,
    /// (term, index) → leader and checksum of the content.
    entries: HashMap<(u64, u64), (u64, u8, u32)>,
}

impl Witness {
    pub(super) fn violation(&mut self, at: u64, what: String) {
        if self.violations.len() < MOST {
            self.violations.push((at, what));
        }
    }

    pub(crate) fn voted(&mut self, at: u64, journal: u64, vote: &Vote) {
        let (term, node) = (vote.leader_id.term, vote.leader_id.node_id);
        let first = *self.votes.entry((journal, term)).or_insert(node);
        if first != node && !vote.committed {
            self.violation(at, format!("log {journal} voted for {first} and for {node} in term {term}"));
        }
        if vote.committed {
            let leader = *self.leaders.entry(term).or_insert(node);
            if leader != node {
                self.violation(at, format!("term {term} has two leaders: {leader} and {node}"));
            }
        }
    }

    pub(crate) fn appended(&mut self, at: u64, journal: u64, entry: &Entry) {
        let id = &entry.log_id;
        let Ok((kind, content)) = StoredPayload(entry.payload.clone()).parts() else { return };
        let new = (id.leader_id.node_id, kind, crc32fast::hash(&content));
        let first = *self.entries.entry((id.leader_id.term, id.index)).or_insert(new);
        if first != new {
            self.violation(at, format!("log id {id} was used twice, the second time in log {journal}"));
        }
    }
}
