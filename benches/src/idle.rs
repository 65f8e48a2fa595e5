//! Measures an idle connection: how much a server's resident memory grows for each subscriber that has joined
//! and waits, and what its join costs.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use tokio::time::sleep;

use testkit::proc;

use crate::{
    load,
    node::{Cluster, Limit},
    report::Report,
    subscribers::{Subscribers, Target},
    wire::Wire,
};

/// The most KiB for each connection.
const BOUND: f64 = 16.0;
/// Connections that come and go before.
const WARM: usize = 8;
/// The time after which memory no longer changes.
const CALM: Duration = Duration::from_secs(2);

/// The size of the measurement.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
}

/// Joins the subscribers and adds the line.
///
/// # Errors
/// The node does not start, or a connection is refused.
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let connections = size.connections;
    let cluster = Cluster::start(binary, dir, 1).await?;
    let node = cluster.nodes.first().context("no node")?;
    let (map, token) = cluster.map("bench").await?;
    let target = |connections| Target {
        addr: node.http,
        wire: Wire::Phoenix { map: map.clone(), subject: None, deflate: false, token: token.clone() },
        connections,
    };
    let limit = Limit::start(1).await?;
    let at_limit = |connections| Target { addr: limit.addr, ..target(connections) };
    let bare = cost(at_limit, &[limit.pid], connections).await.context("the limit")?;
    let own = cost(target, &[node.pid()?], connections).await.context("waypost")?;
    report.at_most(&format!("idle: memory of each of {connections}"), own.kib, BOUND, "KiB").beside(bare.kib);
    report.note("idle: connect and join", own.join_micros, "CPU-µs").beside(bare.join_micros);
    Ok(())
}

/// What a connection costs.
#[derive(Debug)]
pub(crate) struct Cost {
    /// The server's memory while it is idle.
    pub(crate) kib: f64,
    /// The server's CPU until it has joined.
    pub(crate) join_micros: f64,
}

/// Joins so many subscribers, and measures the server with these processes.
///
/// # Errors
/// A connection is refused, or a process has ended.
#[expect(clippy::cast_precision_loss, reason = "bytes and counts far below 2^52")]
pub(crate) async fn cost(target: impl Fn(usize) -> Target, pids: &[u32], connections: usize) -> Result<Cost> {
    // The first connections make the server allocate things that stay; these are not the cost of a
    // connection.
    let warm = Subscribers::start(target(WARM))?;
    load::all_joined(&warm, WARM).await?;
    warm.stop()?;
    sleep(CALM).await;
    let before = proc::resident_bytes(pids)?;
    let cpu = proc::cpu_seconds(pids)?;
    let fleet = Subscribers::start(target(connections))?;
    let joined = load::all_joined(&fleet, connections).await;
    let spent = proc::cpu_seconds(pids)? - cpu;
    sleep(CALM).await;
    let after = proc::resident_bytes(pids)?;
    let losses = fleet.stop()?.losses;
    joined.with_context(|| format!("{losses:?}"))?;
    Ok(Cost {
        kib: after.saturating_sub(before) as f64 / connections as f64 / 1024.0,
        join_micros: spent * 1e6 / connections as f64,
    })
}
