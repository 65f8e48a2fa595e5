//! Processes that die, hang or get little CPU, and nodes that are added, removed and replaced.

use super::Run;
use crate::environment::throttle::Throttle;
use crate::history::Record;
use anyhow::Result;
use rustix::process::Signal;
use std::time::Duration;

/// How long a node may take to end after SIGTERM.
const LEAVES: Duration = Duration::from_secs(30);

pub(super) fn killed(run: &mut Run, nodes: &[usize], down_ms: u64) -> Result<()> {
    run.broken("kill -9", nodes, true, "");
    for node in nodes {
        run.kill(*node)?;
    }
    run.rest_between(0, down_ms)?;
    for node in nodes {
        if !run.cluster.nodes[*node].is_up() {
            run.start(*node)?;
        }
    }
    run.mended("kill -9", nodes);
    Ok(())
}

/// A random node is killed and started again.
pub fn kill_one(run: &mut Run) -> Result<()> {
    let node = run.any();
    killed(run, &[node], 4000)
}

/// The leader is killed and started again.
pub fn kill_leader(run: &mut Run) -> Result<()> {
    let node = run.leader();
    killed(run, &[node], 2000)
}

/// All nodes are killed at once and started again.
pub fn kill_all(run: &mut Run) -> Result<()> {
    let all: Vec<usize> = (0..run.cluster.nodes.len()).collect();
    killed(run, &all, 500)?;
    run.settle()
}

/// The leader is killed every two seconds, whichever node it is.
pub fn churn(run: &mut Run) -> Result<()> {
    let node = run.leader();
    killed(run, &[node], 0)?;
    run.rest(Duration::from_secs(1))
}

/// A node hangs for 1 to 30 s, half the time the leader, and then continues.
pub fn pause(run: &mut Run) -> Result<()> {
    let node = if run.dice.thousandth(500) { run.leader() } else { run.any() };
    let most = if run.dice.thousandth(200) { 30_000 } else { 8_000 };
    run.broken("SIGSTOP", &[node], true, "");
    run.signal(node, Signal::STOP)?;
    let rested = run.rest_between(1000, most);
    run.signal(node, Signal::CONT)?;
    run.mended("SIGSTOP", &[node]);
    rested
}

/// A node has 3 to 20 percent of a processor.
pub fn throttle(run: &mut Run) -> Result<()> {
    let node = if run.dice.thousandth(500) { run.leader() } else { run.any() };
    if !run.cluster.nodes[node].is_up() {
        return Ok(());
    }
    let percent = 3 + run.dice.below(18) as u64;
    let pid = run.cluster.nodes[node].pid()?.as_raw_nonzero().get();
    let throttle = Throttle::begin(&run.names, pid, percent)?;
    run.broken("CPU throttle", &[node], true, format!("{percent} % {}", throttle.how()));
    let rested = run.rest_between(3000, 9000);
    drop(throttle);
    run.mended("CPU throttle", &[node]);
    rested
}

/// Each node in turn is ended by SIGTERM, and started again; the next follows when the cluster is whole.
pub fn rolling_restart(run: &mut Run) -> Result<()> {
    for node in 0..run.cluster.nodes.len() {
        run.settle()?;
        run.broken("SIGTERM", &[node], true, "");
        if let Err(error) = run.cluster.nodes[node].stop(LEAVES) {
            run.journal
                .note(Record::Behind { whom: format!("node {node}, leaving"), why: format!("{error:#}") });
            run.kill(node)?;
        }
        run.start(node)?;
        run.cluster.wait_node(node)?;
        run.mended("SIGTERM", &[node]);
    }
    run.settle()
}

/// One more member is added. From then on members are replaced: one loses all its data, and joins as a new
/// member.
pub fn membership(run: &mut Run) -> Result<()> {
    run.settle()?;
    let count = run.cluster.nodes.len();
    if count == run.founders {
        let mut node = run.one_more()?;
        node.start()?;
        run.cluster.nodes.push(node);
        run.broken("member added", &[count], false, "");
        run.settle()?;
        run.mended("member added", &[count]);
        return Ok(());
    }
    replaced(run, "member replaced")
}

/// A node loses its data directory and joins again.
pub fn data_loss(run: &mut Run) -> Result<()> {
    run.settle()?;
    replaced(run, "data lost")
}

fn replaced(run: &mut Run, fault: &str) -> Result<()> {
    let node = if run.dice.thousandth(300) { run.leader() } else { run.any() };
    run.broken(fault, &[node], true, "");
    run.kill(node)?;
    run.cluster.nodes[node].wipe()?;
    run.rest_between(0, 2000)?;
    run.start(node)?;
    run.settle()?;
    run.mended(fault, &[node]);
    Ok(())
}
