//! Benchmarks: load, the raw limit, and the ratio of Waypost's cost to that limit. `docs/BENCHMARKS.md`
//! explains the results.

mod args;
mod burden;
mod compare;
mod consumers;
mod deflate;
mod disk;
mod ephemeral;
mod event;
mod exodus;
mod failover;
mod fairness;
mod fleet;
mod history;
mod http;
mod idle;
mod limit;
mod line;
mod load;
mod many_webhooks;
mod nats;
mod node;
mod peers;
mod post;
mod presence;
mod publish;
mod publishers;
mod pusher;
mod receiver;
mod report;
mod stats;
mod subscribers;
mod track;
mod webhooks;
mod wire;
mod ws;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    load::Pace,
    report::Report,
    subscribers::Target,
    wire::{Requests, Wire},
};

/// The longest time of a benchmark, without the time that it was told to watch; a benchmark that takes longer
/// is stuck.
const AT_MOST: Duration = Duration::from_secs(15 * 60);

#[derive(Parser)]
#[command(about = "Measures Waypost against a raw limit and its targets")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The built server executable
    #[arg(long, global = true, default_value = "target/dist/waypost")]
    waypost: PathBuf,
    /// Where nodes keep their temporary data; the disk of this folder is measured
    #[arg(long, global = true, default_value = "target/bench-data")]
    dir: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// The raw limit: a server with one send per connection and frame
    Limit {
        #[arg(long, default_value = "127.0.0.1:4100")]
        addr: SocketAddr,
        /// Frames per send
        #[arg(long, default_value_t = 1)]
        coalesce: usize,
    },
    /// One run of load against a server that already runs
    Load(Load),
    /// One request again and again, by a bare client; prints its CPU-seconds
    #[command(hide = true)]
    Post(post::Plan),
    /// Waypost beside nchan, NATS and etcd, as far as they are installed: one table of ratios
    Peers(peers::Size),
    /// Ratios to the limit as one line for each run, with a plot of all lines
    Track(track::Options),
    /// Every benchmark with short durations, in one table
    All,
    #[command(flatten)]
    One(Benchmark),
}

/// The benchmarks that boot nodes and add lines to the table.
#[derive(Subcommand)]
enum Benchmark {
    /// The raw limit and Waypost in turns: CPU per delivery
    Compare(compare::Size),
    /// Compressed messages, compared with plain ones: CPU and bytes
    Deflate(deflate::Size),
    /// Publishing through three nodes, by one publisher and by many
    Publish(publish::Size),
    /// CPU of an ephemeral publish, compared with a durable one
    Ephemeral(ephemeral::Size),
    /// The loss of leaders under load: by kill -9, and by a hand-over on SIGTERM; or by silence
    Failover(failover::Size),
    /// The loss of a node with thousands of sockets, which all resume at other nodes
    Exodus(exodus::Size),
    /// Whether a busy machine keeps its leader: full processors, a full disk queue, a snapshot being sent
    Fairness(fairness::Size),
    /// Memory of each idle connection that has joined
    Idle(idle::Size),
    /// The Pusher protocol: CPU of deliveries and publishes, memory of sockets
    Pusher(pusher::Size),
    /// Joins of presence channels, sustained over three nodes
    Presence(presence::Size),
    /// CPU of a webhook delivery, compared with a bare client
    Webhooks(webhooks::Size),
    /// Readers of consumers at three nodes: events acknowledged a second
    Consumers(consumers::Size),
    /// Memory of idle webhooks, and the time of one event to many of them
    ManyWebhooks(many_webhooks::Size),
}

/// The benchmarks of `all`, with their options.
const ALL: [&[&str]; 12] = [
    &["compare", "--seconds=4", "--rounds=3"],
    &["idle"],
    &["deflate", "--seconds=2", "--rounds=2"],
    &["webhooks", "--deliveries=30000", "--rounds=3"],
    &["many-webhooks"],
    &["consumers"],
    &["publish", "--seconds=5"],
    &["ephemeral", "--seconds=3"],
    &["pusher", "--seconds=3", "--rounds=2"],
    &["presence", "--seconds=10"],
    &["failover", "--kills=10", "--handovers=10"],
    &["exodus", "--before=5"],
];

impl Command {
    /// How long the command's options make it watch.
    fn watches(&self) -> Duration {
        match self {
            Self::One(Benchmark::Fairness(size)) => size.watched(),
            Self::One(Benchmark::Failover(size)) => size.watched(),
            _ => Duration::ZERO,
        }
    }
}

#[derive(Args)]
struct Load {
    #[arg(long, default_value = "127.0.0.1:4100")]
    addr: SocketAddr,
    /// The map's id, as subscribers join it
    #[arg(long, default_value = "0f8fad5b-d9cb-469f-a165-70867728950e")]
    map: String,
    #[arg(long, env = "WAYPOST_TOKEN", default_value = "none")]
    token: String,
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// Single events a second; without it, batches back to back
    #[arg(long)]
    rate: Option<f64>,
    /// Events in one batch
    #[arg(long, default_value_t = 50)]
    batch: usize,
    /// Events that may be on their way at the same time
    #[arg(long, default_value_t = 200)]
    window: u64,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Bytes of one broadcast frame
    #[arg(long, default_value_t = 300)]
    frame: usize,
    /// A process of the server, whose CPU and memory are measured; may be repeated
    #[arg(long)]
    pid: Vec<u32>,
}

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Result<bool> {
    testkit::proc::raise_open_files()?;
    if let Command::Limit { addr, coalesce } = cli.command {
        limit::serve(addr, coalesce)?;
        return Ok(true);
    }
    if let Command::Post(plan) = &cli.command {
        println!("{}", post::here(plan)?);
        return Ok(true);
    }
    // One thread: the client must leave the cores to the server.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Whichever ends first: the return drops the nodes, which ends their processes.
        tokio::select! {
            done = tokio::time::timeout(AT_MOST + cli.command.watches(), run(cli)) => done.context("took too long")?,
            _ = interrupt.recv() => Ok(false),
            _ = terminate.recv() => Ok(false),
        }
    })
}

async fn run(cli: Cli) -> Result<bool> {
    let mut report = Report::default();
    match cli.command {
        // The raw limit is served before a runtime exists.
        Command::Limit { .. } | Command::Post(_) => {}
        Command::Load(load) => {
            println!("{}", load::run(&load.plan()).await?.line());
            return Ok(true);
        }
        Command::Peers(size) => {
            peers::run(&cli.waypost, &cli.dir, size).await?;
            return Ok(true);
        }
        Command::Track(options) => {
            track::run(&cli.waypost, &cli.dir, &options).await?;
            return Ok(true);
        }
        Command::One(benchmark) => benchmark.run(&cli.waypost, &cli.dir, &mut report).await?,
        Command::All => {
            for options in ALL {
                let benchmark = parsed(options)?;
                // One that can't be measured adds a failed line, and the others continue.
                if let Err(error) = benchmark.run(&cli.waypost, &cli.dir, &mut report).await {
                    report.broken(options[0], &error);
                }
            }
        }
    }
    print!("{}", report.table());
    Ok(report.passed())
}

/// The benchmark with these options.
fn parsed(options: &[&str]) -> Result<Benchmark> {
    match Cli::try_parse_from([&["benches"][..], options].concat())?.command {
        Command::One(benchmark) => Ok(benchmark),
        _ => bail!("{options:?} is no benchmark"),
    }
}

impl Benchmark {
    async fn run(self, waypost: &Path, dir: &Path, report: &mut Report) -> Result<()> {
        match self {
            Self::Compare(size) => compare::run(waypost, dir, size, report).await,
            Self::Deflate(size) => deflate::run(waypost, dir, size, report).await,
            Self::Publish(size) => publish::run(waypost, dir, size, report).await,
            Self::Ephemeral(size) => ephemeral::run(waypost, dir, size, report).await,
            Self::Failover(size) => failover::run(waypost, dir, size, report).await,
            Self::Exodus(size) => exodus::run(waypost, dir, size, report).await,
            Self::Fairness(size) => fairness::run(waypost, dir, size, report).await,
            Self::Idle(size) => idle::run(waypost, dir, size, report).await,
            Self::Pusher(size) => pusher::run(waypost, dir, size, report).await,
            Self::Presence(size) => presence::run(waypost, dir, size, report).await,
            Self::Webhooks(size) => webhooks::run(waypost, dir, size, report).await,
            Self::Consumers(size) => consumers::run(waypost, dir, size, report).await,
            Self::ManyWebhooks(size) => many_webhooks::run(waypost, dir, size, report).await,
        }
    }
}

impl Load {
    fn plan(self) -> load::Plan {
        let saturated = Pace::Saturated { batch: self.batch, window: self.window };
        load::Plan {
            publish_to: self.addr,
            requests: Requests::rest(&self.map, &self.token, self.frame),
            pace: self.rate.map_or(saturated, |rate| Pace::Paced { rate }),
            duration: Duration::from_secs_f64(self.seconds),
            pids: self.pid,
            target: Target {
                addr: self.addr,
                wire: Wire::Phoenix { map: self.map, subject: None, deflate: false, token: self.token },
                connections: self.connections,
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_of_all_is_parsed() {
        for options in ALL {
            parsed(options).unwrap();
        }
        assert!(parsed(&["all"]).is_err());
    }
}
