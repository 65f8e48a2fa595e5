//! Measures whether a cluster keeps its leader on a busy machine: one that computes, one with a full disk
//! queue, and one that sends a snapshot to a new member. Publishers run all the time; each node reports the
//! longest silence of its leader.

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::time::{sleep, timeout};

use crate::{
    args::{millis, seconds},
    burden::Burden,
    event::Maker,
    http,
    node::{ADMIN, Cluster},
    publishers::{self, Publishers},
    report::Report,
    stats::Sorted,
};

/// The pause between two questions to the nodes.
const LOOK: Duration = Duration::from_secs(1);
/// How long the log may take to release what is in the store.
const PURGE: Duration = Duration::from_secs(60);
/// How long a new member may take to have all data.
const JOIN: Duration = Duration::from_secs(180);
/// The batches that fill the history.
const FILL_PAYLOAD: usize = 1_000;
const FILL_EVENTS: usize = 500;
const CALM: Duration = Duration::from_secs(2);

/// The sizes of the measurement.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
    /// Seconds of full processors
    #[arg(long = "seconds", default_value = "600", value_parser = seconds)]
    compute: Duration,
    /// Seconds of a full disk queue
    #[arg(long = "disk-seconds", default_value = "120", value_parser = seconds)]
    write: Duration,
    /// Megabytes of history that a new member is sent
    #[arg(long, default_value_t = 400)]
    megabytes: u64,
    #[arg(long, default_value_t = 12)]
    publishers: usize,
    /// Milliseconds from an acknowledgement to the publisher's next event
    #[arg(long, default_value = "20", value_parser = millis)]
    pause: Duration,
}

impl Size {
    /// How long the machine is kept busy.
    pub(crate) fn watched(&self) -> Duration {
        self.compute + self.write
    }
}

/// What the nodes have reported since `start`.
struct Watch {
    term: u64,
    start: Instant,
    /// By how much the term has grown.
    elections: u64,
    /// The longest time that any follower heard nothing from the leader, in seconds.
    silence: f64,
}

/// Boots three nodes, puts three kinds of load on the machine and adds the lines.
///
/// # Errors
/// A node does not start, or a publish fails for good.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let mut cluster = Cluster::start(binary, dir, 3).await?;
    let (map, _) = cluster.map_that_keeps_all().await?;
    let nodes: Vec<_> = cluster.nodes.iter().map(|node| node.http).collect();
    let Size { publishers, pause, .. } = size;
    let plan = publishers::Plan {
        nodes,
        map: map.clone(),
        token: ADMIN.to_owned(),
        publishers,
        pause,
        pad: 200,
        stays: false,
    };
    let publishers = Publishers::start(&plan);
    sleep(CALM).await;

    let mut watch = Watch::begin(&cluster).await?;
    watch.look_for(&cluster, CALM * 2).await?;
    watch.report("nothing else", &publishers, report)?;

    let mut watch = Watch::begin(&cluster).await?;
    let burden = Burden::compute()?;
    watch.look_for(&cluster, size.compute).await?;
    drop(burden);
    watch.report("full processors", &publishers, report)?;

    let mut watch = Watch::begin(&cluster).await?;
    let burden = Burden::write(cluster.dir().to_owned());
    watch.look_for(&cluster, size.write).await?;
    let written = burden.written.load(Relaxed);
    drop(burden);
    watch.report("full disk queue", &publishers, report)?;
    report.note("fairness, full disk queue: written and synced meanwhile", (written >> 20) as f64, "MiB");

    snapshot(&mut cluster, &map, size.megabytes, &publishers, report).await?;
    publishers.stop().await.map(drop)
}

/// Adds a fourth node, which is sent the whole history, while the processors are full.
async fn snapshot(
    cluster: &mut Cluster,
    map: &str,
    megabytes: u64,
    publishers: &Publishers,
    report: &mut Report,
) -> Result<()> {
    fill(cluster, map, megabytes << 20).await?;
    let leader = cluster.leader().await?;
    let purged = async {
        while cluster.nodes[leader].status().await?["purged_index"].as_u64().unwrap_or(0) == 0 {
            sleep(LOOK).await;
        }
        anyhow::Ok(())
    };
    timeout(PURGE, purged)
        .await
        .context("the log releases no entries: a new member would be sent no snapshot")??;
    let mut watch = Watch::begin(cluster).await?;
    let burden = Burden::compute()?;
    let start = Instant::now();
    cluster.grow(JOIN).await?;
    let seconds = start.elapsed().as_secs_f64();
    watch.look_for(cluster, CALM).await?;
    drop(burden);
    watch.report("snapshot to a new member", publishers, report)?;
    report.note(&format!("fairness: a new member has {megabytes} MB, and a vote, after"), seconds, "s");
    Ok(())
}

/// Publishes batches until the map has `bytes` bytes.
async fn fill(cluster: &Cluster, map: &str, bytes: u64) -> Result<()> {
    let path = format!("/api/maps/{map}/events");
    let request = http::request("POST", &path, ADMIN, &Maker::of_payload(FILL_PAYLOAD).batch(FILL_EVENTS));
    let mut clients = Vec::new();
    for node in &cluster.nodes {
        clients.push(http::Client::connect(node.http).await?);
    }
    let mut sent = 0;
    for turn in 0.. {
        let client = turn % clients.len();
        let status = clients[client].exchange(&request).await?;
        ensure!(status == 201, "a batch was answered with {status}");
        sent += request.len() as u64;
        if sent >= bytes {
            break;
        }
    }
    Ok(())
}

impl Watch {
    /// Begins with a new leader, and so with a new term: each node reports the longest silence of the present
    /// term.
    async fn begin(cluster: &Cluster) -> Result<Self> {
        let leader = cluster.nodes[cluster.leader().await?].http;
        let (status, answer) = http::call(leader, "POST", "/api/cluster/step-down", ADMIN, "{}").await?;
        ensure!(status == 200, "the leader does not step down: {status} {answer}");
        sleep(CALM).await;
        let term = reported(cluster.nodes[cluster.leader().await?].http).await?.0;
        Ok(Self { term, start: Instant::now(), elections: 0, silence: 0.0 })
    }

    /// Asks each node again and again; a node that is too busy to answer is asked again in the next round.
    async fn look_for(&mut self, cluster: &Cluster, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            let last = Instant::now() >= end;
            for (index, node) in cluster.nodes.iter().enumerate() {
                let (term, silence) = match reported(node.http).await {
                    Ok(reported) => reported,
                    Err(error) if last => return Err(error),
                    Err(_) => continue,
                };
                if term != self.term {
                    println!(
                        "after {:.1} s node {} is in term {term}",
                        self.start.elapsed().as_secs_f64(),
                        index + 1
                    );
                    self.elections += term.saturating_sub(self.term);
                    self.term = self.term.max(term);
                }
                self.silence = self.silence.max(silence);
            }
            if last {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn report(&self, what: &str, publishers: &Publishers, report: &mut Report) -> Result<()> {
        let millis = publishers.look(|log| {
            let since = log.acks.iter().rev().take_while(|ack| ack.at > self.start);
            Sorted::of(since.map(|ack| (ack.at - ack.began).as_secs_f64() * 1e3))
        });
        let of = |line: &str| format!("fairness, {what}: {line}");
        report.note(&of("watched"), self.start.elapsed().as_secs_f64(), "s");
        report.at_most(&of("elections"), self.elections as f64, 0.0, "");
        report.note(&of("longest silence of the leader"), self.silence * 1e3, "ms");
        report.note(&of("publishing, median"), millis.at(50), "ms");
        report.note(&of(&format!("publishing, p99 of {}", millis.len())), millis.at(99), "ms");
        println!("{what}: {} elections, longest silence {:.0} ms", self.elections, self.silence * 1e3);
        Ok(())
    }
}

/// The term of a node, and the longest silence of its leader in seconds.
async fn reported(node: SocketAddr) -> Result<(u64, f64)> {
    let mut client = http::Client::connect(node).await?;
    client.exchange(&http::request("GET", "/metrics", "", "")).await?;
    let text = std::str::from_utf8(client.body())?;
    let value = |name: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("no metric {name}"))?.trim().parse()?)
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "terms are small whole numbers"
    )]
    let term = value("waypost_term")? as u64;
    Ok((term, value("waypost_leader_silence_seconds")?))
}
