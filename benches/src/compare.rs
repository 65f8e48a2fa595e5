//! Compares the raw limit and Waypost in turns, A B A B, under the same load: what a delivery costs each. The
//! figures are medians over the rounds, because other work on the machine disturbs single runs.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

use crate::{
    load::{self, Pace, Plan},
    node::{ADMIN, Cluster, Limit},
    report::Report,
    stats::median,
    subscribers::Target,
    wire::{Requests, Wire},
};

/// Waypost may use this many times the limit's CPU when every frame is a write of its own.
const PACED_RATIO: f64 = 1.5;
/// CPU-seconds per million deliveries when events are pending.
const SATURATED: f64 = 2.5;
/// How many frames the limit coalesces when it is compared with a saturated Waypost.
const LIMIT_COALESCE: usize = 8;

/// The sizes of the comparison.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// Bytes of one broadcast frame
    #[arg(long, default_value_t = 300)]
    frame: usize,
    /// Events a second in the paced runs
    #[arg(long, default_value_t = 40.0)]
    rate: f64,
    #[arg(long, default_value_t = 50)]
    batch: usize,
    #[arg(long, default_value_t = 200)]
    window: u64,
    /// Seconds of each run
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Runs of each server, for paced and for saturated load
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Runs the comparison and adds its lines.
///
/// # Errors
/// A server does not start, or a run fails.
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let paced = Pace::Paced { rate: size.rate };
    let (limit, waypost) = in_turns(binary, dir, size, paced, 1).await?;
    report.note("paced: waypost", waypost, "CPU-s/M").beside(limit);
    report.at_most("paced: waypost / limit", waypost / limit, PACED_RATIO, "x");
    let saturated = Pace::Saturated { batch: size.batch, window: size.window };
    let (limit, waypost) = in_turns(binary, dir, size, saturated, LIMIT_COALESCE).await?;
    // The limit writes LIMIT_COALESCE frames at once.
    report.at_most("saturated: waypost", waypost, SATURATED, "CPU-s/M").beside(limit);
    Ok(())
}

/// The median CPU-seconds per million deliveries of the limit and of Waypost.
async fn in_turns(binary: &Path, dir: &Path, size: Size, pace: Pace, coalesce: usize) -> Result<(f64, f64)> {
    let limit = Limit::start(coalesce).await?;
    let cluster = Cluster::start(binary, dir, 1).await?;
    let node = cluster.nodes.first().context("no node")?;
    let (map, token) = cluster.map("bench").await?;
    let plan = |addr, pid| Plan {
        target: Target {
            addr,
            wire: Wire::Phoenix { map: map.clone(), subject: None, deflate: false, token: token.clone() },
            connections: size.connections,
        },
        publish_to: addr,
        requests: Requests::rest(&map, ADMIN, size.frame),
        pace,
        duration: Duration::from_secs_f64(size.seconds),
        pids: vec![pid],
    };
    let plans = [plan(limit.addr, limit.pid), plan(node.http, node.pid()?)];
    let mut limits = Vec::new();
    let mut wayposts = Vec::new();
    for round in 1..=size.rounds {
        let measured = load::run(&plans[0]).await.context("the limit")?;
        println!("{} {round} limit    {}", name(pace), measured.line());
        limits.push(measured.cpu_per_million());
        let measured = load::run(&plans[1]).await.context("waypost")?;
        println!("{} {round} waypost  {}", name(pace), measured.line());
        wayposts.push(measured.cpu_per_million());
    }
    Ok((median(limits), median(wayposts)))
}

fn name(pace: Pace) -> &'static str {
    match pace {
        Pace::Paced { .. } => "paced    ",
        Pace::Saturated { .. } => "saturated",
    }
}
