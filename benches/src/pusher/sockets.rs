//! What a socket costs: CPU to connect and subscribe, memory and CPU while nothing happens.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use testkit::{proc, pusher::App};
use tokio::time::sleep;

use super::{OF_CPU, OF_MEMORY, Size, Sockudo, target};
use crate::{
    load,
    node::{Cluster, Limit},
    report::Report,
    subscribers::Subscribers,
};

/// Milliseconds of CPU for one socket.
const CONNECT: Sockudo = Sockudo::of(0.2, 0.28);
/// KiB of one idle socket.
const IDLE: Sockudo = Sockudo::of(184.0, 188.0);
/// The time after which memory no longer changes.
const CALM: Duration = Duration::from_secs(2);
/// How long idle sockets are watched.
const WATCHED: Duration = Duration::from_secs(5);

/// The cost of sockets.
struct Cost {
    /// Milliseconds of CPU to connect and subscribe one.
    connect: f64,
    /// KiB of one.
    memory: f64,
    /// The server's CPU while nothing happens, as a part of a core.
    idle: f64,
}

/// Measures sockets that subscribe to one channel, at the limit and at the node, and adds the lines.
pub(super) async fn run(cluster: &Cluster, size: Size, report: &mut Report) -> Result<()> {
    let limit = Limit::start(1).await?;
    let bare = measure(limit.addr, limit.pid, &Arc::default(), size).await.context("the limit")?;
    drop(limit);
    let node = cluster.nodes.first().context("no node")?;
    let app = cluster.app("sockets").await?;
    let cost = measure(node.http, node.pid()?, &app, size).await.context("waypost")?;
    let connect = CONNECT.compare(report, "connect and subscribe", cost.connect, OF_CPU, "CPU-ms");
    connect.beside(bare.connect);
    let memory = IDLE.compare(report, "memory of an idle socket", cost.memory, OF_MEMORY, "KiB");
    memory.beside(bare.memory);
    report.note(&format!("pusher: CPU of {} idle sockets", size.many), cost.idle * 100.0, "% of a core");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "bytes and counts far below 2^52")]
async fn measure(addr: SocketAddr, pid: u32, app: &Arc<App>, size: Size) -> Result<Cost> {
    // The first sockets make the server allocate things that stay.
    let warm = Subscribers::start(target(addr, app, 1, 64))?;
    load::all_joined(&warm, 64).await?;
    warm.stop()?;
    sleep(CALM).await;
    let pids = [pid];
    let sockets = size.many as f64;
    let before = proc::resident_bytes(&pids)?;
    let cpu = proc::cpu_seconds(&pids)?;
    let fleet = Subscribers::start(target(addr, app, 1, size.many))?;
    let joined = load::all_joined(&fleet, size.many).await;
    let connect = (proc::cpu_seconds(&pids)? - cpu) * 1e3 / sockets;
    sleep(CALM).await;
    let memory = proc::resident_bytes(&pids)?.saturating_sub(before) as f64 / sockets / 1024.0;
    let cpu = proc::cpu_seconds(&pids)?;
    sleep(WATCHED).await;
    let idle = (proc::cpu_seconds(&pids)? - cpu) / WATCHED.as_secs_f64();
    let losses = fleet.stop()?.losses;
    joined.with_context(|| format!("{losses:?}"))?;
    Ok(Cost { connect, memory, idle })
}
