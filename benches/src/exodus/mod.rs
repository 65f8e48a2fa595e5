//! Measures the loss of a node with thousands of sockets: how long until each client is at another node and
//! has everything that it missed, and how publishers at the surviving nodes are affected. Every event of
//! every client is checked.

mod client;
mod clients;
mod tape;

use std::{
    path::Path,
    sync::{PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::time::sleep;

use self::clients::{Fleet, Return};
use testkit::{cluster::unlimited, proc};

use crate::{
    args::{millis, seconds},
    node::{ADMIN, Cluster},
    publishers::{self, Ack, Publishers},
    report::Report,
    stats::Sorted,
};

/// The most seconds from the kill until the last client is back.
const BACK: f64 = 10.0;
const PATIENCE: Duration = Duration::from_secs(90);
/// The pause between two kills, in which the killed node comes back and catches up.
const CALM: Duration = Duration::from_secs(3);
/// The least time for which publishers are watched after a kill.
const MEANWHILE: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(10);

/// The sizes of the measurement.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
    /// Sockets in all, spread over three nodes
    #[arg(long = "connections", default_value_t = 10_000)]
    clients: usize,
    /// The number of maps over which the sockets are spread
    #[arg(long, default_value_t = 50)]
    maps: usize,
    /// Sockets that a map may have (each join is then replicated); without it, any number
    #[arg(long)]
    limit: Option<u32>,
    /// Milliseconds from an acknowledgement to the next event of the same map
    #[arg(long, default_value = "250", value_parser = millis)]
    pause: Duration,
    /// Seconds of watching before each kill
    #[arg(long, default_value = "10", value_parser = seconds)]
    before: Duration,
}

/// Boots three nodes, joins the clients, kills a follower and then a leader, and adds the lines.
///
/// # Errors
/// A node does not start, or the clients do not join or come back in time.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let mut cluster = Cluster::start(binary, dir, 3).await?;
    let nodes: Vec<_> = cluster.nodes.iter().map(|node| node.http).collect();
    let mut limits = unlimited();
    limits["connections"] = size.limit.into();
    let mut maps = Vec::with_capacity(size.maps);
    for number in 1..=size.maps {
        maps.push(cluster.map_with(&format!("exodus{number}"), json!({"limits": limits})).await?);
    }
    let start = Instant::now();
    let fleet = Fleet::start(nodes.clone(), &maps, size.clients);
    all_live(&fleet, size.clients).await?;
    report.note(
        &format!("exodus: {} sockets joined, after", size.clients),
        start.elapsed().as_secs_f64(),
        "s",
    );
    // Each map has one publisher; their first nodes take turns.
    let publish = |(number, (map, _)): (usize, &(String, String))| {
        let mut nodes = nodes.clone();
        nodes.rotate_left(number % 3);
        let map = map.clone();
        let token = ADMIN.to_owned();
        Publishers::start(&publishers::Plan {
            nodes,
            map,
            token,
            publishers: 1,
            pause: size.pause,
            pad: 100,
            stays: false,
        })
    };
    let publishers: Vec<Publishers> = maps.iter().enumerate().map(publish).collect();
    sleep(CALM).await;
    let leader = cluster.leader().await?;
    one(&mut cluster, (leader + 1) % 3, "follower", &fleet, &publishers, size, report).await?;
    let leader = cluster.leader().await?;
    one(&mut cluster, leader, "leader", &fleet, &publishers, size, report).await?;

    let mut heads = Vec::with_capacity(maps.len());
    for publisher in publishers {
        heads.push(publisher.stop().await?.acks.iter().map(|ack| ack.seq).max().unwrap_or(0));
    }
    let events: u64 = heads.iter().sum();
    *fleet.seen.heads.lock().unwrap_or_else(PoisonError::into_inner) = heads;
    fleet.seen.behind.store(size.clients as u64, Relaxed);
    let end = Instant::now() + PATIENCE;
    while fleet.seen.behind.load(Relaxed) > 0 && Instant::now() < end && !fleet.thread.is_over() {
        sleep(GLANCE).await;
    }
    let behind = fleet.seen.behind.load(Relaxed);
    let outcome = fleet.thread.stop()?;
    for (what, count) in outcome.wrong.iter().chain(&outcome.falls) {
        println!("{count:6} × {what}");
    }
    report.note("exodus: events published", events as f64, "");
    report.note("exodus: events that were a client's next", outcome.right as f64, "");
    report.at_most("exodus: clients without the last event", behind as f64, 0.0, "clients");
    let wrong: u64 = outcome.wrong.values().sum();
    report.at_most("exodus: left out, twice, or different", wrong as f64, 0.0, "events");
    Ok(())
}

/// Kills one node and follows its clients.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
async fn one(
    cluster: &mut Cluster,
    victim: usize,
    what: &str,
    fleet: &Fleet,
    publishers: &[Publishers],
    size: Size,
    report: &mut Report,
) -> Result<()> {
    fleet.seen.returns.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let watched = Instant::now();
    sleep(size.before).await;
    let sockets = fleet.seen.at[victim].load(Relaxed);
    let others: Vec<u32> =
        (0..3).filter(|node| *node != victim).map(|node| cluster.nodes[node].pid()).collect::<Result<_>>()?;
    let cpu = proc::cpu_seconds(&others)?;
    let start = Instant::now();
    cluster.nodes[victim].kill().await?;
    // The clients notice the loss by themselves.
    while fleet.seen.at[victim].load(Relaxed) > 0 && start.elapsed() < PATIENCE {
        sleep(GLANCE).await;
    }
    all_live(fleet, size.clients).await?;
    let returns = fleet.seen.returns.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (own, strange): (Vec<Return>, Vec<Return>) =
        returns.into_iter().partition(|back| back.lost == victim);
    let times = Sorted::of(own.iter().map(|back| (back.at - start).as_secs_f64()));
    let last = times.at(100);
    let end = start + Duration::from_secs_f64(last.clamp(0.0, 90.0)).max(MEANWHILE);
    let cpu = proc::cpu_seconds(&others)? - cpu;
    sleep(end.saturating_duration_since(Instant::now())).await;
    let of = |line: &str| format!("exodus, {what} killed: {line}");
    report.note(&of("sockets there"), sockets as f64, "");
    report.note(&of("half of them back after"), times.at(50), "s");
    report.at_most(&of("all back, with all they missed"), last, BACK, "s");
    report.at_most(
        &of("sockets of that node that did not come"),
        sockets.abs_diff(own.len() as u64) as f64,
        0.0,
        "",
    );
    report.at_most(&of("sockets of other nodes that broke"), strange.len() as f64, 0.0, "");
    report.note(&of("CPU of the survivors meanwhile"), cpu, "s");
    // These publishers are at the surviving nodes: their first node is not the killed one.
    let at_survivors = |from: Instant, to: Instant| {
        let homes = publishers.iter().enumerate().filter(|(number, _)| number % 3 != victim);
        Sorted::of(homes.flat_map(|(_, publishers)| publishers.look(|log| within(&log.acks, from, to))))
    };
    for (when, from, to) in [("before", watched, start), ("meanwhile", start, end)] {
        let millis = at_survivors(from, to);
        report.note(&of(&format!("publishing at survivors {when}, median")), millis.at(50), "ms");
        let p99 = format!("publishing at survivors {when}, p99 of {}", millis.len());
        report.note(&of(&p99), millis.at(99), "ms");
    }
    cluster.nodes[victim].restart().await?;
    sleep(CALM).await;
    Ok(())
}

/// The milliseconds of each publish that was open between these two times.
fn within(acks: &[Ack], from: Instant, to: Instant) -> Vec<f64> {
    let under_way = acks.iter().filter(|ack| ack.at > from && ack.began < to);
    under_way.map(|ack| (ack.at - ack.began).as_secs_f64() * 1e3).collect()
}

async fn all_live(fleet: &Fleet, clients: usize) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while fleet.seen.live.load(Relaxed) < clients as u64 {
        if fleet.thread.is_over() {
            bail!("the clients' thread has ended");
        }
        if Instant::now() > end {
            let live = fleet.seen.live.load(Relaxed);
            return Err(anyhow::anyhow!("{live} of {clients}"))
                .context("not all clients have joined in time");
        }
        sleep(GLANCE).await;
    }
    Ok(())
}
