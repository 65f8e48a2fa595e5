//! Benchmarks: load, the raw limit, and the ratio of Waypost's cost to that limit. `docs/BENCHMARKS.md`
//! explains the results.

mod burden;
mod compare;
mod disk;
mod ephemeral;
mod event;
mod exodus;
mod failover;
mod fairness;
mod history;
mod http;
mod idle;
mod limit;
mod load;
mod many_webhooks;
mod node;
mod post;
mod publish;
mod publishers;
mod receiver;
mod report;
mod subscribers;
mod webhooks;
mod ws;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::{load::Pace, report::Report, subscribers::Target};

/// The longest time of a benchmark, without the time that it was told to watch; a benchmark that takes longer
/// is stuck.
const AT_MOST: Duration = Duration::from_secs(15 * 60);

#[derive(Parser)]
#[command(about = "Measures Waypost against a raw limit and its targets")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The built server executable
    #[arg(long, global = true, default_value = "target/release/waypost")]
    waypost: PathBuf,
    /// Where nodes keep their temporary data; the disk of this folder is measured
    #[arg(long, global = true, default_value = "target/bench-data")]
    dir: PathBuf,
    /// Bytes of one broadcast frame
    #[arg(long, global = true, default_value_t = 300)]
    frame: usize,
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
    /// The raw limit and Waypost in turns: CPU per delivery
    Compare(Compare),
    /// Publishing through three nodes, by one publisher and by many
    Publish(Publish),
    /// CPU of an ephemeral publish, compared with a durable one
    Ephemeral(Ephemeral),
    /// The loss of leaders under load: by kill -9, and by a hand-over on SIGTERM
    Failover(Failover),
    /// The loss of a node with thousands of sockets, which all resume at other nodes
    Exodus(Exodus),
    /// Whether a busy machine keeps its leader: full processors, a full disk queue, a snapshot being sent
    Fairness(Fairness),
    /// Memory of each idle connection that has joined
    Idle {
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
    },
    /// CPU of a webhook delivery, compared with a bare client
    Webhooks {
        /// Deliveries of each run
        #[arg(long, default_value_t = 50_000)]
        deliveries: usize,
        /// Bytes of an event's payload
        #[arg(long, default_value_t = 300)]
        payload: usize,
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Memory of idle webhooks, and the time of one event to many of them
    ManyWebhooks {
        #[arg(long, default_value_t = 100)]
        maps: usize,
        /// Webhooks in all
        #[arg(long, default_value_t = 50_000)]
        webhooks: usize,
        /// Bytes of an event's payload
        #[arg(long, default_value_t = 300)]
        payload: usize,
    },
    /// One request again and again, by a bare client; prints its CPU-seconds
    #[command(hide = true)]
    Post(post::Plan),
    /// Every benchmark with short durations, in one table
    All,
}

impl Command {
    /// How long the command's options make it watch.
    fn watches(&self) -> Duration {
        match self {
            Self::Fairness(args) => Duration::from_secs(args.seconds + args.disk_seconds),
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
    /// A process of the server, whose CPU and memory are measured; may be repeated
    #[arg(long)]
    pid: Vec<u32>,
}

#[derive(Args)]
struct Compare {
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
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Runs of each server, for paced and for saturated load
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

#[derive(Args)]
struct Publish {
    /// Seconds of each measurement
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    #[arg(long, default_value_t = 100)]
    batch: usize,
    #[arg(long, default_value_t = 12)]
    batch_connections: usize,
    #[arg(long, default_value_t = 192)]
    single_connections: usize,
}

#[derive(Args)]
struct Ephemeral {
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Bytes of an event's payload
    #[arg(long, default_value_t = 200)]
    payload: usize,
    /// Publishers at the same time, after the run with one publisher
    #[arg(long, default_value_t = 48)]
    connections: usize,
    /// Rounds of each kind, in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

#[derive(Args)]
struct Failover {
    /// How often the leader is killed
    #[arg(long, default_value_t = 40)]
    kills: usize,
    /// How often the leader is asked to end
    #[arg(long, default_value_t = 40)]
    handovers: usize,
    #[arg(long, default_value_t = 12)]
    publishers: usize,
    /// Milliseconds from an acknowledgement to the publisher's next event
    #[arg(long, default_value_t = 4)]
    pause: u64,
    /// Bytes of padding in a payload
    #[arg(long, default_value_t = 200)]
    pad: usize,
}

#[derive(Args)]
struct Exodus {
    /// Sockets in all, spread over three nodes
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// The number of maps over which the sockets are spread
    #[arg(long, default_value_t = 50)]
    maps: usize,
    /// Sockets that a map may have (each join is then replicated); without it, any number
    #[arg(long)]
    limit: Option<u32>,
    /// Milliseconds from an acknowledgement to the next event of the same map
    #[arg(long, default_value_t = 250)]
    pause: u64,
    /// Seconds of watching before each kill
    #[arg(long, default_value_t = 10)]
    before: u64,
}

#[derive(Args)]
struct Fairness {
    /// Seconds of full processors
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Seconds of a full disk queue
    #[arg(long, default_value_t = 120)]
    disk_seconds: u64,
    /// Megabytes of history that a new member is sent
    #[arg(long, default_value_t = 400)]
    megabytes: u64,
    #[arg(long, default_value_t = 12)]
    publishers: usize,
    /// Milliseconds from an acknowledgement to the publisher's next event
    #[arg(long, default_value_t = 20)]
    pause: u64,
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
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
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
    let (waypost, dir) = (cli.waypost.as_path(), cli.dir.as_path());
    match cli.command {
        // The raw limit is served before a runtime exists.
        Command::Limit { .. } | Command::Post(_) => {}
        Command::Load(load) => {
            println!("{}", load::run(&load.plan(cli.frame)).await?.line());
            return Ok(true);
        }
        Command::Compare(args) => {
            compare::run(waypost, dir, args.size(cli.frame), &mut report).await?;
        }
        Command::Publish(args) => {
            publish::run(waypost, dir, args.size(cli.frame), &mut report).await?;
        }
        Command::Ephemeral(args) => ephemeral::run(waypost, dir, args.size(), &mut report).await?,
        Command::Failover(args) => failover::run(waypost, dir, args.size(), &mut report).await?,
        Command::Exodus(args) => exodus::run(waypost, dir, args.size(), &mut report).await?,
        Command::Fairness(args) => fairness::run(waypost, dir, args.size(), &mut report).await?,
        Command::Idle { connections } => {
            idle::run(waypost, dir, connections, &mut report).await?;
        }
        Command::Webhooks { deliveries, payload, rounds } => {
            webhooks::run(waypost, dir, webhooks::Size { deliveries, payload, rounds }, &mut report).await?;
        }
        Command::ManyWebhooks { maps, webhooks, payload } => {
            many_webhooks::run(waypost, dir, many_webhooks::Size { maps, webhooks, payload }, &mut report)
                .await?;
        }
        Command::All => all(waypost, dir, cli.frame, &mut report).await,
    }
    print!("{}", report.table());
    Ok(report.passed())
}

/// Every benchmark with short durations. One that can't be measured adds a failed line, and the others
/// continue.
async fn all(waypost: &Path, dir: &Path, frame: usize, report: &mut Report) {
    let compare = compare::Size {
        connections: 1_000,
        frame,
        rate: 40.0,
        batch: 50,
        window: 200,
        seconds: 4.0,
        rounds: 3,
    };
    if let Err(error) = compare::run(waypost, dir, compare, report).await {
        report.broken("compare", &error);
    }
    if let Err(error) = idle::run(waypost, dir, 10_000, report).await {
        report.broken("idle", &error);
    }
    let webhooks = webhooks::Size { deliveries: 30_000, payload: 300, rounds: 3 };
    if let Err(error) = webhooks::run(waypost, dir, webhooks, report).await {
        report.broken("webhooks", &error);
    }
    let webhooks = many_webhooks::Size { maps: 100, webhooks: 50_000, payload: 300 };
    if let Err(error) = many_webhooks::run(waypost, dir, webhooks, report).await {
        report.broken("webhooks", &error);
    }
    let publish =
        publish::Size { seconds: 5.0, frame, batch: 100, batch_connections: 12, single_connections: 192 };
    if let Err(error) = publish::run(waypost, dir, publish, report).await {
        report.broken("publish", &error);
    }
    let ephemeral = ephemeral::Size { seconds: 3.0, payload: 200, connections: 48, rounds: 3 };
    if let Err(error) = ephemeral::run(waypost, dir, ephemeral, report).await {
        report.broken("ephemeral", &error);
    }
    let failover = failover::Size {
        kills: 10,
        handovers: 10,
        publishers: 12,
        pause: Duration::from_millis(4),
        pad: 200,
    };
    if let Err(error) = failover::run(waypost, dir, failover, report).await {
        report.broken("failover", &error);
    }
    let (pause, before) = (Duration::from_millis(250), Duration::from_secs(5));
    let exodus = exodus::Size { clients: 10_000, maps: 50, limit: None, pause, before };
    if let Err(error) = exodus::run(waypost, dir, exodus, report).await {
        report.broken("exodus", &error);
    }
}

impl Load {
    fn plan(self, frame: usize) -> load::Plan {
        let (batch, window) = (self.batch, self.window);
        load::Plan {
            publish_to: self.addr,
            publish_token: self.token.clone(),
            pace: self.rate.map_or(Pace::Saturated { batch, window }, |rate| Pace::Paced { rate }),
            duration: Duration::from_secs_f64(self.seconds),
            frame,
            pids: self.pid,
            target: Target {
                addr: self.addr,
                map: self.map,
                subject: None,
                token: self.token,
                connections: self.connections,
            },
        }
    }
}

impl Compare {
    fn size(&self, frame: usize) -> compare::Size {
        let &Self { connections, rate, batch, window, seconds, rounds } = self;
        compare::Size { connections, frame, rate, batch, window, seconds, rounds }
    }
}

impl Publish {
    fn size(&self, frame: usize) -> publish::Size {
        let &Self { seconds, batch, batch_connections, single_connections } = self;
        publish::Size { seconds, frame, batch, batch_connections, single_connections }
    }
}

impl Ephemeral {
    fn size(&self) -> ephemeral::Size {
        let &Self { seconds, payload, connections, rounds } = self;
        ephemeral::Size { seconds, payload, connections, rounds }
    }
}

impl Failover {
    fn size(&self) -> failover::Size {
        let &Self { kills, handovers, publishers, pause, pad } = self;
        failover::Size { kills, handovers, publishers, pause: Duration::from_millis(pause), pad }
    }
}

impl Exodus {
    fn size(&self) -> exodus::Size {
        let &Self { connections, maps, limit, pause, before } = self;
        let (pause, before) = (Duration::from_millis(pause), Duration::from_secs(before));
        exodus::Size { clients: connections, maps, limit, pause, before }
    }
}

impl Fairness {
    fn size(&self) -> fairness::Size {
        let &Self { seconds, disk_seconds, megabytes, publishers, pause } = self;
        let (compute, write) = (Duration::from_secs(seconds), Duration::from_secs(disk_seconds));
        fairness::Size { compute, write, megabytes, publishers, pause: Duration::from_millis(pause) }
    }
}
