//! Measures publishing through three nodes with fsync: batches, single events from many connections, and one
//! publisher alone compared with the disk. It never subscribes and never harms a node.

use std::{
    net::SocketAddr,
    path::Path,
    slice,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    disk,
    event::{self, Maker},
    http,
    line::Line,
    node::{ADMIN, Cluster, Limit},
    report::Report,
};

const BATCHES: f64 = 20_000.0;
const SINGLES: f64 = 6_000.0;
/// The bound for one publisher alone: this many fdatasyncs of the disk, and [`ALONE_EXTRA_MS`].
const ALONE_SYNCS: f64 = 3.0;
const ALONE_EXTRA_MS: f64 = 2.0;
const SYNC_ROUNDS: usize = 300;
/// How long a connection pauses that may not go on.
const PAUSE: Duration = Duration::from_millis(1);

/// The sizes of the measurement.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
    /// Seconds of each measurement
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Bytes of one broadcast frame
    #[arg(long, default_value_t = 300)]
    frame: usize,
    #[arg(long, default_value_t = 100)]
    batch: usize,
    #[arg(long, default_value_t = 12)]
    batch_connections: usize,
    #[arg(long, default_value_t = 192)]
    single_connections: usize,
}

/// Boots three nodes, measures and adds the lines.
///
/// # Errors
/// A node does not start, or a publish is refused.
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start(binary, dir, 3).await?;
    let (map, _) = cluster.map("bench").await?;
    let path = format!("/api/maps/{map}/events");
    let maker = Maker::new(&map, size.frame);
    let duration = Duration::from_secs_f64(size.seconds);
    let single = http::request("POST", &path, ADMIN, &maker.one());
    let batch = http::request("POST", &path, ADMIN, &maker.batch(size.batch));
    let everywhere: Vec<_> = cluster.nodes.iter().map(|n| n.http).collect();

    let limit = Limit::start(1).await?;
    let mut acknowledged = alone(&cluster, slice::from_ref(&single), duration, report).await?;
    let tally = publish(&everywhere, size.batch_connections, slice::from_ref(&batch), duration).await?;
    let name = format!("publish: {} connections, batches of {}", size.batch_connections, size.batch);
    let bare = publish(&[limit.addr], size.batch_connections, slice::from_ref(&batch), duration).await?;
    let rate = report.at_least(&name, tally.rate(size.batch), BATCHES, "events/s");
    rate.beside(bare.rate(size.batch));
    acknowledged += tally.requests * size.batch as u64;
    let tally = publish(&everywhere, size.single_connections, slice::from_ref(&single), duration).await?;
    let name = format!("publish: {} connections, single events", size.single_connections);
    let bare = publish(&[limit.addr], size.single_connections, slice::from_ref(&single), duration).await?;
    report.at_least(&name, tally.rate(1), SINGLES, "events/s").beside(bare.rate(1));
    acknowledged += tally.requests;
    report.note("publish: median answer of those", tally.millis(0.5), "ms").beside(bare.millis(0.5));
    report.note("publish: 99th percentile of those", tally.millis(0.99), "ms").beside(bare.millis(0.99));
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let off = next_seq(everywhere[0], &single).await?.abs_diff(acknowledged + 1) as f64;
    report.at_most("publish: the next seq is off by", off, 0.0, "events");
    Ok(())
}

/// Measures one publisher alone, at the leader and at a follower. Returns how many events were acknowledged.
async fn alone(
    cluster: &Cluster,
    single: &[Vec<u8>],
    duration: Duration,
    report: &mut Report,
) -> Result<u64> {
    let leader = cluster.leader().await?;
    let sync_before = disk::fdatasync_median(cluster.dir(), SYNC_ROUNDS)?;
    let on = |node: usize| cluster.nodes[node % cluster.nodes.len()].http;
    let at_leader = publish(&[on(leader)], 1, single, duration / 2).await?;
    let at_follower = publish(&[on(leader + 1)], 1, single, duration / 2).await?;
    let sync_after = disk::fdatasync_median(cluster.dir(), SYNC_ROUNDS)?;
    let sync = (sync_before + sync_after).as_secs_f64() * 1e3 / 2.0;
    report.note("disk: median fdatasync", sync, "ms");
    let bound = ALONE_SYNCS * sync + ALONE_EXTRA_MS;
    // The least that one publisher waits for is the disk.
    let (leader, follower) = (at_leader.millis(0.5), at_follower.millis(0.5));
    report.at_most("publish: alone, median at the leader", leader, bound, "ms").beside(sync);
    report.at_most("publish: alone, median at a follower", follower, bound, "ms").beside(sync);
    Ok(at_leader.requests + at_follower.requests)
}

/// Publishes one more event. Returns its seq, which is one more than all acknowledged events, if none was
/// lost.
async fn next_seq(node: SocketAddr, single: &[u8]) -> Result<u64> {
    let mut client = http::Client::connect(node).await?;
    let status = client.exchange(single).await?;
    let answer: serde_json::Value = serde_json::from_slice(client.body())?;
    answer["data"]["seq"].as_u64().with_context(|| format!("no seq: {status} {answer}"))
}

/// The acknowledgements of many publishers.
pub(crate) struct Tally {
    pub(crate) requests: u64,
    seconds: f64,
    /// The time of each answer, in microseconds.
    latency: Histogram<u64>,
}

impl Tally {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn rate(&self, events_a_request: usize) -> f64 {
        self.requests as f64 * events_a_request as f64 / self.seconds
    }

    #[expect(clippy::cast_precision_loss, reason = "microseconds far below 2^52")]
    pub(crate) fn millis(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// Sends these requests in turn, over `connections` that are spread over the nodes; each sends its next request
/// when it is answered.
///
/// # Errors
/// A publish is refused, or a connection breaks.
pub(crate) async fn publish(
    nodes: &[SocketAddr],
    connections: usize,
    requests: &[Vec<u8>],
    duration: Duration,
) -> Result<Tally> {
    publish_with(nodes, connections, requests, duration, |_| true).await
}

/// As [`publish`]; after so many requests, connections go on only while `may_go_on` says so.
///
/// # Errors
/// As [`publish`].
pub(crate) async fn publish_with(
    nodes: &[SocketAddr],
    connections: usize,
    requests: &[Vec<u8>],
    duration: Duration,
    may_go_on: impl Fn(u64) -> bool + Send + Sync + 'static,
) -> Result<Tally> {
    let mut lines = Vec::with_capacity(connections);
    for node in nodes.iter().cycle().take(connections) {
        lines.push(Line::Http(http::Client::connect(*node).await?));
    }
    publish_over(lines, requests, 1, duration, may_go_on).await
}

/// As [`publish_with`], over these lines, with so many events a request.
///
/// # Errors
/// As [`publish`].
pub(crate) async fn publish_over(
    lines: Vec<Line>,
    requests: &[Vec<u8>],
    events: usize,
    duration: Duration,
    may_go_on: impl Fn(u64) -> bool + Send + Sync + 'static,
) -> Result<Tally> {
    let connections = lines.len();
    let start = Instant::now();
    let end = start + duration;
    let requests = requests.to_vec();
    let turns = Arc::new(Turns { requests, events, answered: AtomicU64::new(0), may_go_on, end });
    let mut tasks = JoinSet::new();
    for (number, line) in lines.into_iter().enumerate() {
        // Each begins at another request, so that all requests are sent about equally often.
        let first = number * turns.requests.len() / connections;
        tasks.spawn(repeat(line, turns.clone(), first));
    }
    let mut tally = Tally { requests: 0, seconds: 0.0, latency: event::latencies()? };
    while let Some(done) = tasks.join_next().await {
        for micros in done.map_err(|e| anyhow!(e))?? {
            tally.requests += 1;
            tally.latency.saturating_record(u64::from(micros));
        }
    }
    tally.seconds = start.elapsed().as_secs_f64();
    Ok(tally)
}

/// What all connections send, and how far they are.
struct Turns<F> {
    requests: Vec<Vec<u8>>,
    /// How many events a request has.
    events: usize,
    answered: AtomicU64,
    may_go_on: F,
    end: Instant,
}

/// Sends from the request `first` on, until the end. Returns the time of each answer in microseconds.
async fn repeat<F: Fn(u64) -> bool>(mut line: Line, turns: Arc<Turns<F>>, first: usize) -> Result<Vec<u32>> {
    let mut times = Vec::new();
    let mut next = turns.requests.iter().cycle().skip(first);
    while Instant::now() < turns.end {
        if !(turns.may_go_on)(turns.answered.load(Relaxed)) {
            sleep(PAUSE).await;
            continue;
        }
        let request = next.next().context("there is no request")?;
        let asked = Instant::now();
        line.publish(request, turns.events).await?;
        turns.answered.fetch_add(1, Relaxed);
        times.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(times)
}
