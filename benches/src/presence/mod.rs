//! Measures joins of presence channels over three nodes: sockets subscribe at a steady pace, with signed
//! subscriptions, and leave the channels again that they joined first. What every node says of the members is
//! checked at the end.

mod clients;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use testkit::{background::Background, proc, pusher::App, wait};
use tokio::{task::spawn_blocking, time::sleep};

use self::clients::{Joining, Outcome, Seen, channel};
use crate::{
    event, fleet,
    node::{Cluster, Node},
    report::Report,
};

/// The fewest joins a second.
const JOINS: f64 = 10_000.0;
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(10);
/// How many channels are checked on every node.
const CHECKED: usize = 20;

/// The sizes of the measurement.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
    /// Sockets in all, spread over three nodes; each is another user
    #[arg(long, default_value_t = 1_500)]
    sockets: usize,
    /// Users of a channel, each on another node than the one before
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// Channels of which a socket is a member at the same time; it leaves the oldest when it joins one more
    #[arg(long, default_value_t = 20)]
    stay: usize,
    /// Joins a second
    #[arg(long, default_value_t = 10_500.0)]
    rate: f64,
    /// Seconds before the measurement begins
    #[arg(long, default_value_t = 5.0)]
    warm: f64,
    /// Seconds of the measurement
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
}

/// Boots three nodes, joins for a while and adds the lines.
///
/// # Errors
/// A node does not start, a client is refused, or a node does not know the members at the end.
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    ensure!(size.members > 0 && size.sockets.is_multiple_of(size.members), "channels must be full");
    let cluster = Cluster::start(binary, dir, 3).await?;
    let app = cluster.app("presence").await?;
    let nodes: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.http).collect();
    let pids = cluster.nodes.iter().map(Node::pid).collect::<Result<Vec<_>>>()?;
    let seen = Arc::new(Seen::new(event::latencies()?));
    let joining = Joining::new(nodes.clone(), app.clone(), size, seen.clone());
    let thread = Background::start(move |stop| fleet::run(joining, stop));
    let measured = measure(size, &pids, &seen, &thread).await;
    // Whoever is there now stays there.
    seen.is_over.store(true, Relaxed);
    let checked = async {
        let measured = measured?;
        until(&thread, || seen.answered.load(Relaxed) == seen.asked.load(Relaxed)).await?;
        check(&nodes, &app, size, seen.asked.load(Relaxed)).await?;
        anyhow::Ok(measured)
    };
    let checked = checked.await;
    let Outcome { losses } = thread.stop()?;
    let measured = checked.with_context(|| format!("sockets lost: {losses:?}"))?;
    measured.tell(size, report);
    Ok(())
}

/// The results.
struct Measured {
    /// Joins that were answered in a second.
    rate: f64,
    /// Microseconds of CPU of each node for one join.
    micros: Vec<f64>,
    /// Milliseconds until a join was answered: the median and the 99th percentile.
    median: f64,
    p99: f64,
    /// Frames about other members for one join.
    news: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
async fn measure(size: Size, pids: &[u32], seen: &Seen, thread: &Background<Outcome>) -> Result<Measured> {
    until(thread, || seen.greeted.load(Relaxed) == size.sockets as u64).await?;
    sleep(Duration::from_secs_f64(size.warm)).await;
    let cpu = |pid: &u32| proc::cpu_seconds(&[*pid]);
    let before: Vec<f64> = pids.iter().map(cpu).collect::<Result<_>>()?;
    seen.latency.lock().unwrap_or_else(PoisonError::into_inner).reset();
    let counts = || [&seen.answered, &seen.news].map(|count| count.load(Relaxed));
    let [answered, news] = counts();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs_f64(size.seconds) {
        sleep(Duration::from_millis(100)).await;
        ensure!(!thread.is_over(), "the clients' thread has ended");
    }
    let seconds = start.elapsed().as_secs_f64();
    let [answered, news] = [(0, answered), (1, news)].map(|(of, before)| counts()[of] - before);
    let after: Vec<f64> = pids.iter().map(cpu).collect::<Result<_>>()?;
    let joins = answered as f64;
    let latency = seen.latency.lock().unwrap_or_else(PoisonError::into_inner);
    let millis = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Measured {
        rate: joins / seconds,
        micros: before.iter().zip(&after).map(|(before, after)| (after - before) * 1e6 / joins).collect(),
        median: millis(0.5),
        p99: millis(0.99),
        news: news as f64 / joins,
    })
}

impl Measured {
    fn tell(&self, size: Size, report: &mut Report) {
        let of = format!("presence: {} sockets, three nodes,", size.sockets);
        report.at_least(&format!("{of} joins"), self.rate, JOINS, "a second");
        report.note(&format!("{of} a join answered, median"), self.median, "ms");
        report.note(&format!("{of} a join answered, p99"), self.p99, "ms");
        report.note(&format!("{of} CPU of a join and a leave"), self.micros.iter().sum(), "CPU-µs");
        for (node, micros) in self.micros.iter().enumerate() {
            report.note(&format!("{of} of these on node {node}"), *micros, "CPU-µs");
        }
        report.note(&format!("{of} frames to other members for each"), self.news, "");
    }
}

/// Waits for a condition while the clients run.
async fn until(thread: &Background<Outcome>, is_so: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        ensure!(!thread.is_over(), "the clients' thread has ended");
        if Instant::now() > end {
            bail!("the clients do not come to rest");
        }
        sleep(GLANCE).await;
    }
    Ok(())
}

/// Compares what every node says of the last channels with who is there.
async fn check(nodes: &[SocketAddr], app: &Arc<App>, size: Size, asked: u64) -> Result<()> {
    let whole_rounds = usize::try_from(asked)? / size.sockets;
    let Some(last) = whole_rounds.checked_sub(1) else { bail!("no socket was in a channel") };
    let groups = size.sockets / size.members;
    for group in (0..groups).step_by(groups.div_ceil(CHECKED)) {
        for &node in nodes {
            let (app, below) = (app.clone(), format!("channels/{}/users", channel(group, last)));
            spawn_blocking(move || {
                wait::until("a node to know the members", || {
                    let answer = app.get_at(&format!("http://{node}"), &below, &[])?.expect(200)?.json()?;
                    let users = answer["users"].as_array().map(Vec::len);
                    ensure!(users == Some(size.members), "{below}: {answer}");
                    Ok(Some(()))
                })
            })
            .await??;
        }
    }
    Ok(())
}
