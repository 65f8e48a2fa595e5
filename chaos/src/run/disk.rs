//! Disks that fill up, fail, are slow or lose power.

use super::Run;
use crate::environment::trace::Trace;
use crate::history::{MAIN, Record};
use crate::load::publish;
use anyhow::Result;
use serde_json::json;
use std::time::{Duration, Instant};

/// How soon another node must lead when each sync of the leader takes seconds: five seconds, and three
/// because the tracer makes the leader's every system call slow.
const LEADS: Duration = Duration::from_secs(8);
/// How long to publish beside a slow disk.
const PUBLISHES: Duration = Duration::from_secs(15);
/// One in a hundred of these publishes may take longer than this, on processors that the load shares.
const SOON: Duration = Duration::from_secs(1);

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

/// Each sync of the leader takes 2 to 60 s, those of the others as long as ever. Another node leads within
/// seconds and stays the leader, and from then on publishing at the others is as quick as ever.
pub fn slow_leader(run: &mut Run) -> Result<()> {
    run.settle()?;
    let node = run.leader();
    let by = run.dice.between(Duration::from_secs(2), Duration::from_secs(60));
    run.broken("slow leader", &[node], true, format!("{by:?}"));
    let trace = traced(run, node, |pid| Trace::slow_sync(pid, by))?;
    let followed = another_leads(run, node).and_then(|leads| if leads { quick(run, node) } else { Ok(()) });
    trace.stop()?;
    run.mended("slow leader", &[node]);
    followed?;
    // A sync that was held up may hang on for a while after the tracer has gone.
    run.settle()
}

/// Waits for another leader than `slow`; false if there is none in time.
fn another_leads(run: &mut Run, slow: usize) -> Result<bool> {
    let began = Instant::now();
    while began.elapsed() < LEADS {
        if run.leader_of_all().is_some_and(|leader| leader != slow) {
            return Ok(true);
        }
        run.rest(Duration::from_millis(100))?;
    }
    let why = format!("node {slow} still leads after {LEADS:?}");
    run.journal.note(Record::Behind { whom: "a leader with a slow disk".to_owned(), why });
    Ok(false)
}

/// Publishes at the other nodes, one after the other, and records if that takes long.
fn quick(run: &mut Run, slow: usize) -> Result<()> {
    let until = Instant::now() + PUBLISHES;
    let mut times = Vec::new();
    while Instant::now() < until {
        let key = format!("beside-{}-{}", run.journal.now_ms(), times.len());
        let body = json!({"type": "a", "payload": {"key": key, "n": 0}});
        let began = Instant::now();
        let others: Vec<usize> = (0..run.load.site.nodes.len()).filter(|node| *node != slow).collect();
        let node = others[times.len() % others.len()];
        let is_acked = publish::publish(&run.load.site, MAIN, &key, &body, node).is_some();
        times.push(if is_acked { began.elapsed() } else { Duration::MAX });
        run.rest(Duration::from_millis(50))?;
    }
    times.sort();
    let at = times.len() * 99 / 100;
    let late = times.get(at).copied().unwrap_or_default();
    println!("  {} publishes beside the slow disk of node {slow}: p99 {late:?}", times.len());
    let whom = "publishes beside a slow disk".to_owned();
    if late > SOON {
        run.journal.note(Record::Behind { whom, why: format!("{late:?} for one in a hundred") });
    } else if run.leader_of_all() == Some(slow) {
        run.journal.note(Record::Behind { whom, why: format!("node {slow} leads again") });
    }
    Ok(())
}

fn traced(run: &Run, node: usize, trace: impl FnOnce(i32) -> Result<Trace>) -> Result<Trace> {
    trace(run.cluster.nodes[node].pid()?.as_raw_nonzero().get())
}
