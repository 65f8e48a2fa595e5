//! What a publish costs: to one subscriber, in batches, to many small channels, and over three nodes.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use anyhow::{Context, Result};
use testkit::{proc, pusher::App};

use super::{OF_CPU, Size, Sockudo, target};
use crate::{
    load,
    node::{Cluster, Limit, Node},
    publish,
    report::Report,
    stats::median,
    subscribers::Subscribers,
    wire::{Channels, PUSHER_BATCH, Requests},
};

/// Microseconds of CPU for a publish to one subscriber.
const ONE: Sockudo = Sockudo::of(105.0, 110.0);
/// The same for each event of a batch of ten.
const IN_BATCH: Sockudo = Sockudo::of(24.8, 24.8);
/// The most microseconds of CPU of an ephemeral publish on the publisher's node.
const AT_PUBLISHER: f64 = 30.0;
/// The most on a node without subscribers of the channel.
const ELSEWHERE: f64 = 10.0;
/// How many deliveries may be on their way before publishers pause.
const ON_THE_WAY: u64 = 2_000;

/// Publishers, with the subscribers that get their events, and the processes whose CPU counts.
struct Flood {
    publish_to: SocketAddr,
    /// The requests that are sent in turn.
    requests: Vec<Vec<u8>>,
    /// How many deliveries each request makes.
    deliveries: u64,
    subscribers: Vec<Subscribers>,
    pids: Vec<u32>,
}

/// What the publishes of a flood cost.
struct Cost {
    /// Microseconds of CPU for each request, in each process.
    micros: Vec<f64>,
    /// Requests a second.
    rate: f64,
}

/// Measures publishes at one node and adds the lines.
pub(super) async fn run(cluster: &Cluster, size: Size, report: &mut Report) -> Result<()> {
    let node = cluster.nodes.first().context("no node")?;
    let limit = Limit::start(1).await?;
    let bare = Flood::to_one(limit.addr, limit.pid, &Arc::default(), size).await?;
    let at_limit = bare.median("one to one, limit", size).await.context("the limit")?;
    drop((bare, limit));

    let one = Flood::to_one(node.http, node.pid()?, &cluster.app("one").await?, size).await?;
    let cost = one.median("one to one", size).await?;
    let micros = ONE.compare(report, "one publish to one subscriber", cost.micros[0], OF_CPU, "CPU-µs");
    micros.beside(at_limit.micros[0]);
    let rate =
        report.note("pusher: publishes to one subscriber (Sockudo 8600 to 9300)", cost.rate, "a second");
    rate.beside(at_limit.rate);
    drop(one);

    let batches = Flood::in_batches(node, &cluster.app("batches").await?, size).await?;
    let cost = batches.median("batches", size).await?;
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let each = cost.micros[0] / PUSHER_BATCH as f64;
    IN_BATCH.compare(report, "an event in a batch of ten", each, OF_CPU, "CPU-µs");
    drop(batches);

    let rooms = Flood::to_channels(node, &cluster.app("rooms").await?, size).await?;
    let cost = rooms.median("small channels", size).await?;
    let members = size.many / size.channels;
    let of = format!("pusher: {} channels of {members}", size.channels);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    report.note(&format!("{of}, a delivery"), cost.micros[0] / members as f64, "CPU-µs");
    report.note(&format!("{of}, publishes"), cost.rate, "a second");
    Ok(())
}

/// Measures what a publish costs each of three nodes: the publisher's, the subscriber's and the third.
pub(super) async fn over_nodes(cluster: &Cluster, size: Size, report: &mut Report) -> Result<()> {
    let nodes = &cluster.nodes;
    let app = cluster.app("over-nodes").await?;
    let flood = Flood {
        publish_to: nodes[0].http,
        requests: vec![requests(&app, 1, size).one()],
        deliveries: 1,
        subscribers: vec![joined(nodes[1].http, &app, 1, 1).await?],
        pids: nodes.iter().map(Node::pid).collect::<Result<_>>()?,
    };
    let cost = flood.median("three nodes", size).await?;
    let of = "pusher: ephemeral publish, three nodes,";
    report.at_most(&format!("{of} the publisher's"), cost.micros[0], AT_PUBLISHER, "CPU-µs");
    report.note(&format!("{of} the subscriber's"), cost.micros[1], "CPU-µs");
    report.at_most(&format!("{of} without subscribers"), cost.micros[2], ELSEWHERE, "CPU-µs");
    Ok(())
}

fn requests(app: &Arc<App>, channels: usize, size: Size) -> Requests {
    Requests::pusher(Channels { credentials: app.clone(), count: channels }, size.payload)
}

/// Subscribers that have all joined.
async fn joined(
    addr: SocketAddr,
    app: &Arc<App>,
    channels: usize,
    connections: usize,
) -> Result<Subscribers> {
    let fleet = Subscribers::start(target(addr, app, channels, connections))?;
    load::all_joined(&fleet, connections).await?;
    Ok(fleet)
}

impl Flood {
    async fn to_one(addr: SocketAddr, pid: u32, app: &Arc<App>, size: Size) -> Result<Self> {
        Ok(Self {
            publish_to: addr,
            requests: vec![requests(app, 1, size).one()],
            deliveries: 1,
            subscribers: vec![joined(addr, app, 1, 1).await?],
            pids: vec![pid],
        })
    }

    async fn in_batches(node: &Node, app: &Arc<App>, size: Size) -> Result<Self> {
        Ok(Self {
            publish_to: node.http,
            requests: vec![requests(app, 1, size).batch(PUSHER_BATCH)],
            deliveries: PUSHER_BATCH as u64,
            subscribers: vec![joined(node.http, app, 1, 1).await?],
            pids: vec![node.pid()?],
        })
    }

    async fn to_channels(node: &Node, app: &Arc<App>, size: Size) -> Result<Self> {
        let mut requests = requests(app, size.channels, size);
        Ok(Self {
            publish_to: node.http,
            requests: (0..size.channels).map(|_| requests.one()).collect(),
            deliveries: (size.many / size.channels) as u64,
            subscribers: vec![joined(node.http, app, size.channels, size.many).await?],
            pids: vec![node.pid()?],
        })
    }

    /// The medians over the rounds.
    async fn median(&self, what: &str, size: Size) -> Result<Cost> {
        let mut rounds = Vec::new();
        for round in 1..=size.rounds {
            let cost = self.cost(size).await.with_context(|| what.to_owned())?;
            println!("{what}, {round}: {:.1?} CPU-µs a request, {:.0} a second", cost.micros, cost.rate);
            rounds.push(cost);
        }
        let of_process = |process: usize| median(rounds.iter().map(|cost| cost.micros[process]));
        let micros = (0..self.pids.len()).map(of_process).collect();
        Ok(Cost { micros, rate: median(rounds.iter().map(|cost| cost.rate)) })
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    async fn cost(&self, size: Size) -> Result<Cost> {
        let cpu = |pid: &u32| proc::cpu_seconds(&[*pid]);
        let before: Vec<f64> = self.pids.iter().map(cpu).collect::<Result<_>>()?;
        let delivered = load::delivered(&self.subscribers);
        let deliveries = self.deliveries;
        let counters: Vec<_> = self.subscribers.iter().map(|fleet| fleet.counters.clone()).collect();
        // A subscriber that is far behind would be closed.
        let may_go_on = move |requests: u64| {
            let now: u64 = counters.iter().map(|counters| counters.delivered.load(Relaxed)).sum();
            requests * deliveries <= now - delivered + ON_THE_WAY
        };
        let nodes = [self.publish_to];
        let tally =
            publish::publish_with(&nodes, size.publishers, &self.requests, size.duration(), may_go_on)
                .await?;
        load::all_arrived(&self.subscribers, delivered + tally.requests * deliveries).await?;
        let after: Vec<f64> = self.pids.iter().map(cpu).collect::<Result<_>>()?;
        let used = before.iter().zip(&after).map(|(before, after)| after - before);
        let micros = used.map(|seconds| seconds * 1e6 / tally.requests as f64).collect();
        Ok(Cost { micros, rate: tally.rate(1) })
    }
}
