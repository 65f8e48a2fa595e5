//! Measures the cost of an ephemeral publish as a ratio to that of a durable one: three nodes with fsync, on
//! each node one subscriber of each kind of subject, and the CPU of all nodes for the same events. It never
//! harms a node.

use std::{net::SocketAddr, path::Path, slice, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::{sleep, timeout};

use testkit::proc;

use crate::{
    event::Maker,
    http, load,
    node::{ADMIN, Cluster, Node},
    publish,
    report::Report,
    stats::median,
    subscribers::{Subscribers, Target},
    wire::Wire,
};

/// The bound: an ephemeral publish costs at most this part of a durable one.
const RATIO: f64 = 1.0;
/// How long published events may take to arrive; later ones count as lost.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(15);
const GLANCE: Duration = Duration::from_millis(5);

/// The sizes of the measurement.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
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

/// One kind of events, and its subscribers.
struct Kind {
    name: &'static str,
    request: Vec<u8>,
    /// The subscribers, one on each node.
    subscribers: Vec<Subscribers>,
}

/// The cluster under test.
struct Bench {
    cluster: Cluster,
    map: String,
    token: String,
}

/// Boots three nodes, measures both kinds in turns and adds the lines.
///
/// # Errors
/// A node does not start, a publish is refused, or an event is lost.
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start(binary, dir, 3).await?;
    let (map, token) = cluster.map("bench").await?;
    let bench = Bench { cluster, map, token };
    let body = |subject| Maker::of_payload(size.payload).one_of(subject);
    let unread = bench.request(&body("live-unread"));
    bench.make_ephemeral("live-*", &unread).await?;
    let kinds = [
        bench.kind("ephemeral", "live-1", &body("live-1")).await?,
        bench.kind("durable", "stored-1", &body("stored-1")).await?,
    ];
    let duration = Duration::from_secs_f64(size.seconds);
    for (publishers, who) in [(1, "one publisher"), (size.connections, "fleet")] {
        let mut costs = [Vec::new(), Vec::new()];
        for round in 1..=size.rounds {
            for (kind, costs) in kinds.iter().zip(&mut costs) {
                let cost = bench.cost(kind, publishers, duration).await.context(kind.name)?;
                println!("{who}, round {round}: {:9} {cost:.1} CPU-µs a publish", kind.name);
                costs.push(cost);
            }
        }
        let [ephemeral, durable] = costs.map(median);
        let of = format!("ephemeral: {who} ({publishers})");
        report.note(&format!("{of}, ephemeral"), ephemeral, "CPU-µs");
        report.note(&format!("{of}, durable"), durable, "CPU-µs");
        report.at_most(&format!("{of}, ephemeral / durable"), ephemeral / durable, RATIO, "x");
    }
    Ok(())
}

impl Bench {
    fn nodes(&self) -> Vec<SocketAddr> {
        self.cluster.nodes.iter().map(|node| node.http).collect()
    }

    fn cpu_seconds(&self) -> Result<f64> {
        let pids = self.cluster.nodes.iter().map(Node::pid).collect::<Result<Vec<_>>>()?;
        proc::cpu_seconds(&pids)
    }

    fn request(&self, body: &str) -> Vec<u8> {
        http::request("POST", &format!("/api/maps/{}/events", self.map), ADMIN, body)
    }

    /// Makes subjects ephemeral, and waits until all nodes know it: they then answer `publish` with 202.
    async fn make_ephemeral(&self, subjects: &str, publish: &[u8]) -> Result<()> {
        let path = format!("/api/maps/{}/channel-rules", self.map);
        let rules = json!([{"match": subjects, "durability": "ephemeral"}]);
        let (status, answer) = http::call(self.nodes()[0], "PUT", &path, ADMIN, &rules.to_string()).await?;
        ensure!(status == 200, "channel rules: {status} {answer}");
        let known = async {
            for node in self.nodes() {
                let mut client = http::Client::connect(node).await?;
                while client.exchange(publish).await? != 202 {
                    sleep(GLANCE).await;
                }
            }
            anyhow::Ok(())
        };
        timeout(ARRIVAL_PATIENCE, known).await.context("the channel rules are not known everywhere")?
    }

    /// Joins a subscriber on each node, and waits until the events of every node arrive at all of them.
    async fn kind(&self, name: &'static str, subject: &'static str, body: &str) -> Result<Kind> {
        let request = self.request(body);
        let mut subscribers = Vec::new();
        for addr in self.nodes() {
            let map = self.map.clone();
            let token = self.token.clone();
            let wire = Wire::Phoenix { map, subject: Some(subject), deflate: false, token };
            let target = Target { addr, wire, connections: 1 };
            let joined = Subscribers::start(target)?;
            load::all_joined(&joined, 1).await?;
            subscribers.push(joined);
        }
        let kind = Kind { name, request, subscribers };
        for node in self.nodes() {
            let before = load::delivered(&kind.subscribers);
            let status = http::Client::connect(node).await?.exchange(&kind.request).await?;
            ensure!(matches!(status, 201 | 202), "a publish was answered with {status}");
            load::all_arrived(&kind.subscribers, before + kind.subscribers.len() as u64).await?;
        }
        Ok(kind)
    }

    /// The CPU of all nodes for one publish, in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    async fn cost(&self, kind: &Kind, publishers: usize, duration: Duration) -> Result<f64> {
        let before = self.cpu_seconds()?;
        let delivered = load::delivered(&kind.subscribers);
        let request = slice::from_ref(&kind.request);
        let published = publish::publish(&self.nodes(), publishers, request, duration).await?.requests;
        let expected = delivered + published * kind.subscribers.len() as u64;
        load::all_arrived(&kind.subscribers, expected).await?;
        Ok((self.cpu_seconds()? - before) * 1e6 / published as f64)
    }
}
