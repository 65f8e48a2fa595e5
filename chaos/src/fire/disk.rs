//! Disks that fill up, fail, are slow or lose power.

use super::Fire;
use crate::ground::trace::Trace;
use anyhow::Result;
use std::time::Duration;

/// A node's disk, or those of two, are full for a while.
pub fn full(fire: &mut Fire) -> Result<()> {
    let first = if fire.dice.thousandth(500) { fire.leader() } else { fire.any() };
    let mut nodes = vec![first];
    if fire.dice.thousandth(300) {
        nodes.push((first + 1) % fire.disks.len());
    }
    fire.broken("disk full", &nodes, true, "");
    for node in &nodes {
        fire.disks[*node].fill()?;
    }
    let rested = fire.rest_between(2000, 8000);
    for node in &nodes {
        fire.disks[*node].empty()?;
    }
    fire.mended("disk full", &nodes);
    rested
}

/// A node, or all, lose power: what was not synced is gone.
pub fn power_cut(fire: &mut Fire) -> Result<()> {
    let one = fire.any();
    let nodes: Vec<usize> = if fire.dice.thousandth(500) { (0..fire.disks.len()).collect() } else { vec![one] };
    fire.broken("power cut", &nodes, true, "");
    for node in &nodes {
        fire.disks[*node].cut_power()?;
    }
    for node in &nodes {
        fire.kill(*node)?;
    }
    fire.rest_between(0, 1000)?;
    for node in &nodes {
        // It may have been started again between the two, by who looks after processes that ended.
        fire.kill(*node)?;
        fire.disks[*node].restore_power()?;
        fire.start(*node)?;
    }
    fire.mended("power cut", &nodes);
    fire.settle()
}

/// Syncs of a node fail from some point on.
pub fn failing(fire: &mut Fire) -> Result<()> {
    let node = if fire.dice.thousandth(500) { fire.leader() } else { fire.any() };
    fire.settle()?;
    let nth = 1 + fire.dice.below(20) as u32;
    fire.broken("disk error", &[node], true, format!("EIO from the {nth}th sync on"));
    let trace = traced(fire, node, |pid| Trace::failing_sync(pid, nth))?;
    let rested = fire.rest_between(2000, 5000);
    // The process that was traced may have ended with what it met.
    trace.stop()?;
    rested?;
    // A disk that failed once is not trusted: the machine is replaced or looked after, and started again.
    fire.kill(node)?;
    fire.start(node)?;
    fire.mended("disk error", &[node]);
    fire.settle()
}

/// Each sync of a node takes 50 to 800 ms longer.
pub fn slow(fire: &mut Fire) -> Result<()> {
    let node = if fire.dice.thousandth(500) { fire.leader() } else { fire.any() };
    fire.settle()?;
    let by = fire.dice.between(Duration::from_millis(50), Duration::from_millis(800));
    fire.broken("slow sync", &[node], true, format!("{by:?}"));
    let trace = traced(fire, node, |pid| Trace::slow_sync(pid, by))?;
    let rested = fire.rest_between(3000, 8000);
    trace.stop()?;
    fire.mended("slow sync", &[node]);
    rested
}

fn traced(fire: &Fire, node: usize, trace: impl FnOnce(i32) -> Result<Trace>) -> Result<Trace> {
    trace(fire.cluster.nodes[node].pid()?.as_raw_nonzero().get())
}
