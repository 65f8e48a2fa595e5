//! Layouts of what newcomers tell each other, and keep on disk, until one of them has founded a cluster.

use serde::{Deserialize, Serialize};

/// Which newcomers found a cluster together, and which of them founds it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct AgreementV1 {
    /// The newcomer that proposed this, and that founds the cluster once all the others have agreed.
    pub(crate) founder: [u8; 16],
    /// Counts the founder's proposals.
    pub(crate) number: u64,
    /// All of them, with the founder: random id, and where peers reach it.
    pub(crate) members: Vec<([u8; 16], String)>,
}

/// A newcomer: a node whose data directory holds no data yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct NewcomerV1 {
    /// The random id of its data directory.
    pub(crate) id: [u8; 16],
    /// Where peers reach it.
    pub(crate) addr: String,
    /// How many newcomers found a cluster together, by its settings; 0 = it founds none.
    pub(crate) expect: u32,
    /// How many agreements it has proposed.
    pub(crate) proposed: u64,
    /// The agreement that it holds to.
    pub(crate) agreement: Option<AgreementV1>,
}
