//! Publishes that a majority of three nodes has on disk before they are acknowledged: Waypost, NATS and etcd,
//! in turns.

use std::{net::SocketAddr, slice, time::Duration};

use anyhow::Result;
use testkit::proc;

use super::{
    Bench, etcd,
    fanout::left_out,
    nats,
    process::Process,
    table::{Better, Row, Table, Who},
};
use crate::{
    event::Maker,
    http,
    line::Line,
    nats::{Acknowledges, Client},
    node::{ADMIN, Cluster, Node},
    publish,
};

/// How many connections publish, and how many events a request has.
const LOADS: [(usize, usize); 3] = [(64, 1), (256, 1), (12, BATCH)];
const BATCH: usize = 100;
const WARM: Duration = Duration::from_millis(500);

/// Three nodes and what they are sent.
struct Three {
    who: Who,
    nodes: Vec<SocketAddr>,
    pids: Vec<u32>,
    single: Vec<u8>,
    /// A request with [`BATCH`] events; etcd takes none. NATS gets its single ones, one behind the other.
    batch: Option<Vec<u8>>,
    _processes: Vec<Process>,
}

/// Measures and adds the rows.
///
/// # Errors
/// Waypost fails. A peer that fails is left out, and the reason is printed.
pub(super) async fn run(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let cluster = Cluster::start(bench.binary, bench.dir, 3).await?;
    let mut all = vec![waypost(bench, &cluster).await?];
    for peer in [nats_nodes(bench).await, etcd_nodes(bench).await] {
        match peer {
            Ok(peer) => all.extend(peer),
            Err((who, error)) => left_out(who, &error),
        }
    }
    for (connections, events) in LOADS {
        let kind = if events == 1 { String::from("singles") } else { format!("batches of {events}") };
        let what = format!("durable {kind}, three nodes, {connections} connections");
        let mut rates = Row::new(&what, "events/s", Better::More);
        let mut costs = Row::new(&what, "CPU-µs", Better::Less);
        for round in 1..=bench.size.rounds {
            let mut failed = Vec::new();
            for three in all.iter().filter(|three| events == 1 || three.batch.is_some()) {
                match three.measure(connections, events, bench.size.seconds).await {
                    Ok((rate, micros)) => {
                        let name = three.who.name();
                        println!("{round} {name:8} {what}: {rate:.0} events/s, {micros:.1} CPU-µs each");
                        rates.add(three.who, rate);
                        costs.add(three.who, micros);
                    }
                    Err(error) if three.who == Who::Waypost => return Err(error.context("waypost")),
                    Err(error) => {
                        left_out(three.who, &error);
                        failed.push(three.who);
                    }
                }
            }
            all.retain(|three| !failed.contains(&three.who));
        }
        table.push(rates);
        table.push(costs);
    }
    Ok(())
}

async fn waypost(bench: &Bench<'_>, cluster: &Cluster) -> Result<Three> {
    let (map, _) = cluster.map("bench").await?;
    let path = format!("/api/maps/{map}/events");
    let maker = Maker::of_payload(bench.size.frame);
    Ok(Three {
        who: Who::Waypost,
        nodes: cluster.nodes.iter().map(|node| node.http).collect(),
        pids: cluster.nodes.iter().map(Node::pid).collect::<Result<_>>()?,
        single: http::request("POST", &path, ADMIN, &maker.one()),
        batch: Some(http::request("POST", &path, ADMIN, &maker.batch(BATCH))),
        _processes: Vec::new(),
    })
}

async fn nats_nodes(bench: &Bench<'_>) -> Result<Option<Three>, (Who, anyhow::Error)> {
    let Some(program) = &bench.installed.nats else { return Ok(None) };
    let three = nats::three(program, bench.home()).await.map_err(|error| (Who::Nats, error))?;
    let payload = Maker::of_payload(bench.size.frame).payload_now().into_bytes();
    Ok(Some(Three {
        who: Who::Nats,
        nodes: three.nodes,
        pids: three.processes.iter().flat_map(Process::pids).collect(),
        single: payload.clone(),
        batch: Some(payload),
        _processes: three.processes,
    }))
}

async fn etcd_nodes(bench: &Bench<'_>) -> Result<Option<Three>, (Who, anyhow::Error)> {
    let Some(program) = &bench.installed.etcd else { return Ok(None) };
    let three = etcd::three(program, bench.home()).await.map_err(|error| (Who::Etcd, error))?;
    Ok(Some(Three {
        who: Who::Etcd,
        nodes: three.nodes,
        pids: three.processes.iter().flat_map(Process::pids).collect(),
        single: etcd::put(bench.size.frame),
        batch: None,
        _processes: three.processes,
    }))
}

impl Three {
    /// The acknowledged events a second, and the CPU of all nodes for each, in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    async fn measure(&self, connections: usize, events: usize, seconds: f64) -> Result<(f64, f64)> {
        self.publish(connections, events, WARM).await?;
        let before = proc::cpu_seconds(&self.pids)?;
        let tally = self.publish(connections, events, Duration::from_secs_f64(seconds)).await?;
        let spent = proc::cpu_seconds(&self.pids)? - before;
        let acknowledged = tally.requests as f64 * events as f64;
        Ok((tally.rate(events), spent * 1e6 / acknowledged))
    }

    async fn publish(&self, connections: usize, events: usize, duration: Duration) -> Result<publish::Tally> {
        let mut lines = Vec::with_capacity(connections);
        for node in self.nodes.iter().cycle().take(connections) {
            lines.push(self.line(*node).await?);
        }
        let request = if events == 1 { &self.single } else { self.batch.as_ref().unwrap_or(&self.single) };
        publish::publish_over(lines, slice::from_ref(request), events, duration, |_| true).await
    }

    async fn line(&self, node: SocketAddr) -> Result<Line> {
        Ok(match self.who {
            Who::Nats => Line::Nats(Client::connect(node, nats::STORED, Acknowledges::Storing).await?),
            _ => Line::Http(http::Client::connect(node).await?),
        })
    }
}
