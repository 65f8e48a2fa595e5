//! Disks that fill up, fail, are slow or lose power.

use super::Run;
use crate::environment::trace::Trace;
use anyhow::Result;
use std::time::Duration;

/// The disk of a node, or of two nodes, is full for a while.
pub fn full(run: &mut Run) -> Result<()> {
    let first = if run.dice.thousandth(500) { run.leader() } else { run.any() };
    let mut nodes = vec![first];
    if run.dice.thousandth(300) {
        nodes.push((first + 1) % run.disks.len());
    }
    run.broken("disk full", &nodes, true, "");
    for node in &nodes {
        run.disks[*node].fill()?;
    }
    let rested = run.rest_between(2000, 8000);
    for node in &nodes {
        run.disks[*node].empty()?;
    }
    run.mended("disk full", &nodes);
    rested
}

/// A node, or all nodes, lose power: data that was not synced is gone.
pub fn power_cut(run: &mut Run) -> Result<()> {
    let one = run.any();
    let nodes: Vec<usize> = if run.dice.thousandth(500) { (0..run.disks.len()).collect() } else { vec![one] };
    run.broken("power cut", &nodes, true, "");
    for node in &nodes {
        run.disks[*node].cut_power()?;
    }
    for node in &nodes {
        run.kill(*node)?;
    }
    run.rest_between(0, 1000)?;
    for node in &nodes {
        // The watch over ended processes may have started the node between the two steps.
        run.kill(*node)?;
        run.disks[*node].restore_power()?;
        run.start(*node)?;
    }
    run.mended("power cut", &nodes);
    run.settle()
}

/// Syncs of a node fail from some call on.
pub fn failing(run: &mut Run) -> Result<()> {
    let node = if run.dice.thousandth(500) { run.leader() } else { run.any() };
    run.settle()?;
    let nth = 1 + run.dice.below(20) as u32;
    run.broken("disk error", &[node], true, format!("EIO from the {nth}th sync on"));
    let trace = traced(run, node, |pid| Trace::failing_sync(pid, nth))?;
    let rested = run.rest_between(2000, 5000);
    // The traced process may have ended because of the failed sync.
    trace.stop()?;
    rested?;
    // A disk that failed once is not trusted: the node ends and is started again, as after a repair.
    run.kill(node)?;
    run.start(node)?;
    run.mended("disk error", &[node]);
    run.settle()
}

/// Each sync of a node takes 50 to 800 ms longer.
pub fn slow(run: &mut Run) -> Result<()> {
    let node = if run.dice.thousandth(500) { run.leader() } else { run.any() };
    run.settle()?;
    let by = run.dice.between(Duration::from_millis(50), Duration::from_millis(800));
    run.broken("slow sync", &[node], true, format!("{by:?}"));
    let trace = traced(run, node, |pid| Trace::slow_sync(pid, by))?;
    let rested = run.rest_between(3000, 8000);
    trace.stop()?;
    run.mended("slow sync", &[node]);
    rested
}

fn traced(run: &Run, node: usize, trace: impl FnOnce(i32) -> Result<Trace>) -> Result<Trace> {
    trace(run.cluster.nodes[node].pid()?.as_raw_nonzero().get())
}
