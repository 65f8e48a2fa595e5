//! Measures idle webhooks: a node's resident memory with tens of thousands of them, after they were created
//! and after a restart; and how long one event takes to reach all webhooks of its map.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use testkit::proc;

use crate::{
    event::Maker,
    http,
    node::{ADMIN, Cluster, Node},
    receiver::Receiver,
    report::Report,
};

/// The most resident memory of the node, in MiB.
const BOUND: f64 = 200.0;
const MIB: f64 = 1024.0 * 1024.0;
/// How many connections create webhooks.
const MAKERS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the creation of all webhooks may take.
const MAKING: Duration = Duration::from_secs(8 * 60);
/// The time between two looks at the memory; two equal looks make a figure.
const CALM: Duration = Duration::from_secs(2);
const CALM_LOOKS: usize = 15;
/// How long the node is left alone to measure its idle CPU.
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// The sizes of the measurement.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
    #[arg(long, default_value_t = 100)]
    maps: usize,
    /// Webhooks in all
    #[arg(long, default_value_t = 50_000)]
    webhooks: usize,
    /// Bytes of an event's payload
    #[arg(long, default_value_t = 300)]
    payload: usize,
}

/// Boots a node, creates the webhooks and adds the lines.
///
/// # Errors
/// The node does not start, a webhook is refused, or a delivery is missing.
#[expect(clippy::cast_precision_loss, reason = "bytes and counts far below 2^52")]
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let receiver = Receiver::start()?;
    let cluster = Cluster::start(binary, dir, 1).await?;
    let mut maps = Vec::with_capacity(size.maps);
    for number in 0..size.maps {
        maps.push(cluster.map(&format!("bench-{number}")).await?.0);
    }
    let before = calm_memory(cluster.nodes.first().context("no node")?).await?;
    let start = Instant::now();
    timeout(MAKING, make_all(&cluster.nodes[0], &receiver, &maps, size.webhooks))
        .await
        .context("making webhooks")??;
    println!("webhooks: {} made in {:.1} s", size.webhooks, start.elapsed().as_secs_f64());
    let made = calm_memory(&cluster.nodes[0]).await?;
    let name = format!("webhooks: {} idle", size.webhooks);
    report.note(&format!("{name}, memory before"), before / MIB, "MiB");
    report.at_most(&format!("{name}, memory"), made / MIB, BOUND, "MiB");
    report.note(&format!("{name}, of each"), (made - before) / size.webhooks as f64, "bytes");
    report.note(&format!("{name}, CPU"), idle_cpu(&cluster.nodes[0]).await? * 100.0, "% of a core");
    let each = (size.webhooks / size.maps) as u64;
    for what in ["new connections", "kept connections"] {
        let took = one_event(&cluster.nodes[0], &receiver, &maps[0], each, size.payload).await?;
        report.note(&format!("webhooks: one event to {each}, {what}"), took, "ms");
    }
    let start = Instant::now();
    cluster.nodes[0].kill().await?;
    cluster.nodes[0].restart().await?;
    println!("webhooks: ready {:.1} s after kill -9", start.elapsed().as_secs_f64());
    let loaded = calm_memory(&cluster.nodes[0]).await?;
    report.at_most(&format!("{name}, memory after a restart"), loaded / MIB, BOUND, "MiB");
    let took = one_event(&cluster.nodes[0], &receiver, &maps[1 % maps.len()], each, size.payload).await?;
    report.note(&format!("webhooks: one event to {each}, after a restart"), took, "ms");
    Ok(())
}

/// Creates `count` webhooks, the same number on each map, each with its own URL.
async fn make_all(node: &Node, receiver: &Receiver, maps: &[String], count: usize) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..MAKERS {
        let mut client = http::Client::connect(node.http).await?;
        let next = next.clone();
        let maps = maps.to_vec();
        let receiver = receiver.addr;
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(());
                }
                let map = &maps[number % maps.len()];
                let body = json!({"url": format!("http://{receiver}/hooks/{number}"), "profile": "standard"});
                let request =
                    http::request("POST", &format!("/api/maps/{map}/webhooks"), ADMIN, &body.to_string());
                let status = client.exchange(&request).await?;
                ensure!(status == 201, "{status} {}", String::from_utf8_lossy(client.body()));
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| anyhow!(error))??;
    }
    Ok(())
}

/// The resident bytes once they no longer change.
#[expect(clippy::cast_precision_loss, reason = "bytes far below 2^52")]
async fn calm_memory(node: &Node) -> Result<f64> {
    let pids = [node.pid()?];
    let mut last = 0;
    for _ in 0..CALM_LOOKS {
        sleep(CALM).await;
        let now = proc::resident_bytes(&pids)?;
        if now.abs_diff(last) < 1 << 18 {
            return Ok(now as f64);
        }
        last = now;
    }
    Ok(last as f64)
}

/// The CPU-seconds per second of a node that is left alone.
async fn idle_cpu(node: &Node) -> Result<f64> {
    let pids = [node.pid()?];
    let before = proc::cpu_seconds(&pids)?;
    let start = Instant::now();
    sleep(LEFT_ALONE).await;
    Ok((proc::cpu_seconds(&pids)? - before) / start.elapsed().as_secs_f64())
}

/// The milliseconds from publishing one event to the last of the deliveries to its map's webhooks.
async fn one_event(
    node: &Node,
    receiver: &Receiver,
    map: &str,
    deliveries: u64,
    payload: usize,
) -> Result<f64> {
    let event = Maker::of_payload(payload).one();
    let request = http::request("POST", &format!("/api/maps/{map}/events"), ADMIN, &event);
    let mut publisher = http::Client::connect(node.http).await?;
    let start = Instant::now();
    let seen = receiver.requests();
    let status = publisher.exchange(&request).await?;
    ensure!(status == 201, "publishing: {status}");
    receiver.until(seen + deliveries, PATIENCE).await?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
