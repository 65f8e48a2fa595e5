//! Processes that die, hang or starve, and nodes that come, go and are replaced.

use super::Fire;
use crate::ground::throttle::Throttle;
use crate::history::Record;
use anyhow::Result;
use rustix::process::Signal;
use std::time::Duration;

/// How long a node may take to end after SIGTERM.
const LEAVES: Duration = Duration::from_secs(30);

fn killed(fire: &mut Fire, nodes: &[usize], down_ms: u64) -> Result<()> {
    fire.broken("kill -9", nodes, true, "");
    for node in nodes {
        fire.kill(*node)?;
    }
    fire.rest_between(0, down_ms)?;
    for node in nodes {
        if !fire.cluster.nodes[*node].is_up() {
            fire.start(*node)?;
        }
    }
    fire.mended("kill -9", nodes);
    Ok(())
}

/// Any node is killed and started again.
pub fn kill_one(fire: &mut Fire) -> Result<()> {
    let node = fire.any();
    killed(fire, &[node], 4000)
}

/// The leader is.
pub fn kill_leader(fire: &mut Fire) -> Result<()> {
    let node = fire.leader();
    killed(fire, &[node], 2000)
}

/// All are, at once.
pub fn kill_all(fire: &mut Fire) -> Result<()> {
    let all: Vec<usize> = (0..fire.cluster.nodes.len()).collect();
    killed(fire, &all, 500)?;
    fire.settle()
}

/// The leader is killed every two seconds, whoever that is.
pub fn churn(fire: &mut Fire) -> Result<()> {
    let node = fire.leader();
    killed(fire, &[node], 0)?;
    fire.rest(Duration::from_secs(1))
}

/// A node hangs for 1 to 30 s, half the time the leader, and goes on as if nothing had been.
pub fn pause(fire: &mut Fire) -> Result<()> {
    let node = if fire.dice.thousandth(500) { fire.leader() } else { fire.any() };
    let most = if fire.dice.thousandth(200) { 30_000 } else { 8_000 };
    fire.broken("SIGSTOP", &[node], true, "");
    fire.signal(node, Signal::STOP)?;
    let rested = fire.rest_between(1000, most);
    fire.signal(node, Signal::CONT)?;
    fire.mended("SIGSTOP", &[node]);
    rested
}

/// A node has 3 to 20 percent of a processor.
pub fn throttle(fire: &mut Fire) -> Result<()> {
    let node = if fire.dice.thousandth(500) { fire.leader() } else { fire.any() };
    if !fire.cluster.nodes[node].is_up() {
        return Ok(());
    }
    let percent = 3 + fire.dice.below(18) as u64;
    let pid = fire.cluster.nodes[node].pid()?.as_raw_nonzero().get();
    let throttle = Throttle::begin(&fire.names, pid, percent)?;
    fire.broken("CPU throttle", &[node], true, format!("{percent} % {}", throttle.how()));
    let rested = fire.rest_between(3000, 9000);
    drop(throttle);
    fire.mended("CPU throttle", &[node]);
    rested
}

/// Each node in turn is ended by SIGTERM and started again when the cluster is whole.
pub fn rolling_restart(fire: &mut Fire) -> Result<()> {
    for node in 0..fire.cluster.nodes.len() {
        fire.settle()?;
        fire.broken("SIGTERM", &[node], true, "");
        if let Err(error) = fire.cluster.nodes[node].stop(LEAVES) {
            fire.journal.note(Record::Behind { whom: format!("node {node}, leaving"), why: format!("{error:#}") });
            fire.kill(node)?;
        }
        fire.start(node)?;
        fire.cluster.wait_node(node)?;
        fire.mended("SIGTERM", &[node]);
    }
    fire.settle()
}

/// A fourth member comes; from then on members are replaced: one loses all it has, and joins as a new one.
pub fn membership(fire: &mut Fire) -> Result<()> {
    fire.settle()?;
    let count = fire.cluster.nodes.len();
    if count == super::NODES {
        let mut node = fire.one_more()?;
        node.start()?;
        fire.cluster.nodes.push(node);
        fire.broken("member added", &[count], false, "");
        fire.settle()?;
        fire.mended("member added", &[count]);
        return Ok(());
    }
    replaced(fire, "member replaced")
}

/// A node loses its data directory and joins again.
pub fn data_loss(fire: &mut Fire) -> Result<()> {
    fire.settle()?;
    replaced(fire, "data lost")
}

fn replaced(fire: &mut Fire, fault: &str) -> Result<()> {
    let node = if fire.dice.thousandth(300) { fire.leader() } else { fire.any() };
    fire.broken(fault, &[node], true, "");
    fire.kill(node)?;
    fire.cluster.nodes[node].wipe()?;
    fire.rest_between(0, 2000)?;
    fire.start(node)?;
    fire.settle()?;
    fire.mended(fault, &[node]);
    Ok(())
}
