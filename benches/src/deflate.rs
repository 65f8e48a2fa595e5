//! Compares compressed messages with plain ones, in turns, at one node: what a delivery costs the node, and
//! how many bytes it has.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

use crate::{
    load::{self, Pace, Plan},
    node::{ADMIN, Cluster},
    report::Report,
    stats::median,
    subscribers::Target,
    wire::{Requests, Wire},
};

/// Compressed messages may cost this many times the CPU of plain ones.
const RATIO: f64 = 1.15;
/// The sizes of frames before they are compressed.
const FRAMES: [usize; 3] = [300, 1_024, 4_096];

/// The sizes of the comparison.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// Events a second in the paced runs
    #[arg(long, default_value_t = 40.0)]
    rate: f64,
    #[arg(long, default_value_t = 50)]
    batch: usize,
    #[arg(long, default_value_t = 200)]
    window: u64,
    /// Seconds of each run
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Runs of each kind
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// What a delivery costs, and its bytes.
#[derive(Default)]
struct Costs {
    cpu: Vec<f64>,
    bytes: Vec<f64>,
}

/// Runs the comparison and adds its lines.
///
/// # Errors
/// The node does not start, or a run fails.
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start(binary, dir, 1).await?;
    let (map, token) = cluster.map("bench").await?;
    let node = cluster.nodes.first().context("no node")?;
    let paced = Pace::Paced { rate: size.rate };
    let saturated = Pace::Saturated { batch: size.batch, window: size.window };
    for (pace, name) in [(paced, "paced"), (saturated, "saturated")] {
        for frame in FRAMES {
            let plan = |deflate| {
                let (map, token) = (map.clone(), token.clone());
                let requests = Requests::rest_of_words(&map, ADMIN, frame);
                let wire = Wire::Phoenix { map, subject: None, deflate, token };
                Ok::<_, anyhow::Error>(Plan {
                    target: Target { addr: node.http, wire, connections: size.connections },
                    publish_to: node.http,
                    requests,
                    pace,
                    duration: Duration::from_secs_f64(size.seconds),
                    pids: vec![node.pid()?],
                })
            };
            let plans = [plan(false)?, plan(true)?];
            let mut costs = [Costs::default(), Costs::default()];
            for round in 1..=size.rounds {
                for ((plan, costs), kind) in plans.iter().zip(&mut costs).zip(["plain", "deflated"]) {
                    let measured = load::run(plan).await.context(kind)?;
                    println!("{name} {frame} B, {round}, {kind:8} {}", measured.line());
                    costs.cpu.push(measured.cpu_per_million());
                    costs.bytes.push(measured.mean_frame);
                }
            }
            let [plain, deflated] = costs.map(|costs| (median(costs.cpu), median(costs.bytes)));
            let of = format!("deflate: frames of {frame} B, {name}");
            report.note(&of, deflated.0, "CPU-s/M").beside(plain.0);
            report.at_most(&format!("{of}, of plain ones"), deflated.0 / plain.0, RATIO, "x");
            report.note(&format!("{of}, bytes"), deflated.1, "B").beside(plain.1);
        }
    }
    Ok(())
}
