//! What a delivery and an idle subscriber cost: the limit, Waypost, nchan and NATS, in turns.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};

use super::{
    Bench, nats, nchan,
    process::Process,
    table::{Better, Row, Table, Who},
};
use crate::{
    idle,
    load::{self, Pace, Plan},
    node::{ADMIN, Cluster, Limit},
    subscribers::Target,
    wire::{Requests, Wire},
};

/// How many frames the limit coalesces when it is compared with saturated servers.
const LIMIT_COALESCE: usize = 8;

/// A server and how it is spoken to.
struct Server {
    who: Who,
    addr: SocketAddr,
    publish_to: SocketAddr,
    wire: Wire,
    requests: Requests,
    pids: Vec<u32>,
}

/// Measures and adds the rows.
///
/// # Errors
/// The limit or Waypost fails. A peer that fails is left out, and the reason is printed.
pub(super) async fn run(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let size = &bench.size;
    let cluster = Cluster::start(bench.binary, bench.dir, 1).await?;
    let (map, token) = cluster.map("bench").await?;
    let node = cluster.nodes.first().context("no node")?;
    let wire = Wire::Phoenix { map: map.clone(), subject: None, deflate: false, token };
    let requests = Requests::rest(&map, ADMIN, size.frame);
    let spoken = |who, addr, pid| Server {
        who,
        addr,
        publish_to: addr,
        wire: wire.clone(),
        requests: requests.clone(),
        pids: vec![pid],
    };
    let waypost = || Ok::<_, anyhow::Error>(spoken(Who::Waypost, node.http, node.pid()?));
    let (peers, _processes) = peers(bench).await;

    let limit = Limit::start(1).await?;
    let mut servers = vec![spoken(Who::Limit, limit.addr, limit.pid), waypost()?];
    servers.extend(peers.iter().map(Server::again));
    let paced = Pace::Paced { rate: size.rate };
    let what = format!("one topic, {} subscribers, paced", size.connections);
    table.push(in_turns(bench, &mut servers, paced, &what).await?);
    memory(bench, &servers, table).await?;
    drop(limit);

    let limit = Limit::start(LIMIT_COALESCE).await?;
    let mut servers = vec![spoken(Who::Limit, limit.addr, limit.pid), waypost()?];
    // Nchan takes one event a request.
    servers.extend(peers.iter().filter(|peer| peer.who != Who::Nchan).map(Server::again));
    let saturated = Pace::Saturated { batch: size.batch, window: size.window };
    let what = format!("saturated (limit: {LIMIT_COALESCE} a send)");
    table.push(in_turns(bench, &mut servers, saturated, &what).await?);
    Ok(())
}

/// Starts the peers that are installed and can be started.
async fn peers(bench: &Bench<'_>) -> (Vec<Server>, Vec<Process>) {
    let mut servers = Vec::new();
    let mut processes = Vec::new();
    let frame = bench.size.frame;
    if let Some(installed) = &bench.installed.nchan {
        match nchan::start(installed, bench.home()).await {
            Ok((process, addr)) => {
                let (wire, requests) = (Wire::Nchan, Requests::nchan(frame));
                let pids = process.pids();
                servers.push(Server { who: Who::Nchan, addr, publish_to: addr, wire, requests, pids });
                processes.push(process);
            }
            Err(error) => left_out(Who::Nchan, &error),
        }
    }
    if let Some(program) = &bench.installed.nats {
        match nats::alone(program, bench.home()).await {
            Ok(nats::Alone { process, socket: addr, publish_to }) => {
                let (wire, requests) = (Wire::Nats, Requests::nats(frame));
                let pids = process.pids();
                servers.push(Server { who: Who::Nats, addr, publish_to, wire, requests, pids });
                processes.push(process);
            }
            Err(error) => left_out(Who::Nats, &error),
        }
    }
    (servers, processes)
}

/// Says why a peer is not measured.
pub(super) fn left_out(who: Who, error: &anyhow::Error) {
    println!("{} is left out: {error:#}", who.name());
}

/// What a delivery costs each server. A peer that fails is removed.
async fn in_turns(bench: &Bench<'_>, servers: &mut Vec<Server>, pace: Pace, what: &str) -> Result<Row> {
    let mut row = Row::new(what, "CPU-s/M", Better::Less);
    for round in 1..=bench.size.rounds {
        let mut failed = Vec::new();
        for server in &*servers {
            let who = server.who;
            match load::run(&server.plan(bench, pace)).await {
                Ok(measured) => {
                    println!("{round} {:8} {}", who.name(), measured.line());
                    row.add(who, measured.cpu_per_million());
                }
                Err(error) if matches!(who, Who::Limit | Who::Waypost) => {
                    return Err(error.context(who.name()));
                }
                Err(error) => {
                    left_out(who, &error);
                    failed.push(who);
                }
            }
        }
        servers.retain(|server| !failed.contains(&server.who));
    }
    Ok(row)
}

/// What an idle subscriber costs each server.
async fn memory(bench: &Bench<'_>, servers: &[Server], table: &mut Table) -> Result<()> {
    let connections = bench.size.idle;
    let mut memory = Row::new(&format!("each of {connections} idle sockets, memory"), "KiB", Better::Less);
    let mut joining = Row::new("connect and join", "CPU-µs", Better::Less);
    for server in servers {
        let who = server.who;
        match idle::cost(|connections| server.target(connections), &server.pids, connections).await {
            Ok(cost) => {
                println!("{:8} {cost:?}", who.name());
                memory.add(who, cost.kib);
                joining.add(who, cost.join_micros);
            }
            Err(error) if matches!(who, Who::Limit | Who::Waypost) => return Err(error.context(who.name())),
            Err(error) => left_out(who, &error),
        }
    }
    table.push(memory);
    table.push(joining);
    Ok(())
}

impl Server {
    /// The same server once more, for another measurement.
    fn again(&self) -> Self {
        let Self { who, addr, publish_to, .. } = *self;
        let (wire, requests, pids) = (self.wire.clone(), self.requests.clone(), self.pids.clone());
        Self { who, addr, publish_to, wire, requests, pids }
    }

    fn target(&self, connections: usize) -> Target {
        Target { addr: self.addr, wire: self.wire.clone(), connections }
    }

    fn plan(&self, bench: &Bench<'_>, pace: Pace) -> Plan {
        Plan {
            target: self.target(bench.size.connections),
            publish_to: self.publish_to,
            requests: self.requests.clone(),
            pace,
            duration: Duration::from_secs_f64(bench.size.seconds),
            pids: self.pids.clone(),
        }
    }
}
