//! Clients that write and read all the time, and record the answers in the history.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use simulated::{Flow, ProposeError};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::hosts::Hosts;
use crate::ledger::Ledger;

/// Flows that the commands belong to.
const FLOWS: u64 = 3;

/// Starts the plan's clients; they end when `stop` is set.
pub(crate) fn start(hosts: &Arc<Hosts>, stop: &Arc<AtomicBool>, clients: &mut JoinSet<()>) {
    for _ in 0..hosts.plan.writers {
        let hosts = hosts.clone();
        let stop = stop.clone();
        clients.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                write(&hosts, any(&hosts)).await;
                pause(&hosts).await;
            }
        });
    }
    for _ in 0..hosts.plan.readers {
        let hosts = hosts.clone();
        let stop = stop.clone();
        clients.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                read(&hosts, any(&hosts)).await;
                pause(&hosts).await;
            }
        });
    }
}

fn any(hosts: &Hosts) -> usize {
    hosts.world.below(hosts.plan.nodes as u64) as usize
}

async fn pause(hosts: &Hosts) {
    sleep(Duration::from_millis(1 + hosts.world.below(hosts.plan.think_ms))).await;
}

/// Proposes a new command. Returns true if it was acknowledged.
async fn write(hosts: &Hosts, host: usize) -> bool {
    let Some(node) = hosts.node(host) else { return false };
    let command = hosts.history.propose();
    let flow = Flow(u128::from(command % FLOWS));
    match node.propose(flow, command.to_be_bytes().to_vec()).await {
        Ok(proposed) => {
            hosts.history.acknowledged(command, &proposed);
            return true;
        }
        // The outcome is unknown: the command may be in the list, or not.
        Err(ProposeError::Unknown) => {}
        Err(_) => hosts.history.refused(command),
    }
    false
}

/// Reads after a barrier.
async fn read(hosts: &Hosts, host: usize) {
    let Some(node) = hosts.node(host) else { return };
    let floor = hosts.history.floor();
    let Ok(index) = node.barrier().await else { return };
    let seen = node.reader().view().and_then(|view| {
        let found = match floor.1 {
            Some(picked) => Ledger::command(&view, picked.number)?,
            None => None,
        };
        Ok((view.applied(), Ledger::length(&view)?, found))
    });
    match seen {
        Ok((applied, length, found)) => {
            if applied < index {
                hosts.world.violation(format!(
                    "invariant 7: a barrier answered index {index}, the view has applied {applied}"
                ));
            }
            hosts.history.read(host, floor, length, found);
        }
        Err(error) => hosts.world.violation(format!("invariant 11: host {host} cannot be read: {error}")),
    }
}

/// Proposes until a command is acknowledged. Returns false after `limit`.
pub(crate) async fn probe(hosts: &Hosts, host: usize, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while !write(hosts, host).await {
        if Instant::now() >= end {
            return false;
        }
        sleep(Duration::from_millis(50)).await;
    }
    true
}
