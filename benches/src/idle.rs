//! Measures an idle connection: how much a node's resident memory grows for each subscriber that has joined
//! and waits.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use tokio::time::sleep;

use testkit::proc;

use crate::{
    load,
    node::Cluster,
    report::Report,
    subscribers::{Subscribers, Target},
    wire::Wire,
};

/// The most KiB for each connection.
const BOUND: f64 = 16.0;

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
#[expect(clippy::cast_precision_loss, reason = "bytes and counts far below 2^52")]
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let connections = size.connections;
    let cluster = Cluster::start(binary, dir, 1).await?;
    let node = cluster.nodes.first().context("no node")?;
    let (map, token) = cluster.map("bench").await?;
    let target = |connections| Target {
        addr: node.http,
        wire: Wire::Phoenix { map: map.clone(), subject: None, token: token.clone() },
        connections,
    };
    // The first connections make the server allocate things that stay; these are not the cost of a
    // connection.
    let warm = Subscribers::start(target(8))?;
    load::all_joined(&warm, 8).await?;
    warm.stop()?;
    let pids = [node.pid()?];
    let before = proc::resident_bytes(&pids)?;
    let fleet = Subscribers::start(target(connections))?;
    let joined = load::all_joined(&fleet, connections).await;
    sleep(Duration::from_secs(2)).await;
    let after = proc::resident_bytes(&pids)?;
    let losses = fleet.stop()?.losses;
    joined.with_context(|| format!("{losses:?}"))?;
    let each = after.saturating_sub(before) as f64 / connections as f64 / 1024.0;
    report.at_most(&format!("idle: memory of each of {connections}"), each, BOUND, "KiB");
    Ok(())
}
