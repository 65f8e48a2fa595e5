//! What a leader reports of the nodes.

use crate::core::ids::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A node by its id, with the name that it reported about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeName {
    /// Its id.
    pub id: NodeId,
    /// Its name, if it has one.
    pub name: Option<String>,
}

impl NodeName {
    /// Returns the node as payloads show it.
    pub(super) fn json(&self) -> Value {
        json!({"id": self.id, "name": self.name})
    }
}

/// A certificate that a node shows to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Certificate {
    /// The one that it shows its peers.
    Peer,
    /// The one that it shows clients.
    Client,
}

impl Certificate {
    /// All certificates.
    pub const ALL: [Self; 2] = [Self::Peer, Self::Client];

    /// Returns its name in payloads and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Client => "client",
        }
    }
}

/// What the leader observed of the nodes. It contains only what would change what was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorReport {
    /// The term in which the leader observed it. After a report of a later term it counts no more.
    pub term: u64,
    /// The leader.
    pub leader: NodeName,
    /// What it observed, in order.
    pub observed: Vec<Observed>,
}

/// One observation: how something is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observed {
    /// Whether the leader hears from the node.
    Reach {
        /// The node.
        node: NodeName,
        /// Whether it was silent for some time.
        is_down: bool,
    },
    /// How full the disk of the node's data directory is.
    Disk {
        /// The node.
        node: NodeName,
        /// Whether little of it is free.
        is_low: bool,
        /// Free bytes.
        free_bytes: u64,
        /// The free part of the disk (percent).
        percent: u8,
    },
    /// How the node's clock compares with those of the other nodes.
    Clock {
        /// The node.
        node: NodeName,
        /// Whether it is too far from them.
        is_apart: bool,
        /// The node's clock minus theirs (milliseconds).
        offset_ms: i64,
    },
    /// When a certificate of the node ends.
    Certificate {
        /// The node.
        node: NodeName,
        /// Which one.
        certificate: Certificate,
        /// Its end (seconds since 1970).
        until: u64,
    },
    /// The node is no longer a member.
    Left(NodeId),
    /// Since when the leader that reports it has led: the cluster's time (Unix milliseconds).
    Leads {
        /// The time.
        since_ms: u64,
    },
}
