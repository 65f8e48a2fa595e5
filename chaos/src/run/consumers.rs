//! The node that hands out a consumer's events is killed.

use super::{Run, operations, process};
use crate::load::workers;
use anyhow::Result;

/// The owner of the consumer is killed and started again; a random node, if there is none.
pub fn kill_owner(run: &mut Run) -> Result<()> {
    let owner = workers::show(&run.load.site).ok().and_then(|shown| shown["state"]["owner"].as_u64());
    let mut nodes = 0..run.cluster.nodes.len();
    let found = nodes.find(|node| operations::id(run, *node).is_ok_and(|id| Some(id) == owner));
    let node = found.unwrap_or_else(|| run.any());
    process::killed(run, &[node], 3000)
}
