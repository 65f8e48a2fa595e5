//! Measures a webhook delivery: one webhook delivers a backlog as fast as it can, in turns with bare clients
//! that send the same request as often. The backlog is published before the measurement, so the figure does
//! not include publishing.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use testkit::proc;

use crate::{
    event::Maker,
    http,
    node::{ADMIN, Cluster, Node},
    post::{self, With},
    receiver::Receiver,
    report::Report,
    stats::median,
};

/// Waypost may use this many times the CPU of the bare client.
const RATIO: f64 = 2.0;
const PROFILES: [&str; 2] = ["standard", "wanderer"];
/// The most requests that Waypost has open to one webhook; the bare clients get as many connections.
const WINDOW: usize = 16;
/// Events in one published batch.
const BATCH: usize = 100;
/// How many deliveries are made before the measurement.
const WARM: usize = 500;
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(20);
/// Time for the node to finish the work of publishing.
const SETTLE: Duration = Duration::from_secs(1);

/// The sizes of the measurement.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
    /// Deliveries of each run
    #[arg(long, default_value_t = 50_000)]
    deliveries: usize,
    /// Bytes of an event's payload
    #[arg(long, default_value_t = 300)]
    payload: usize,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Boots a node, measures and adds the lines.
///
/// # Errors
/// The node does not start, or an event was not delivered exactly once.
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let receiver = Receiver::start()?;
    let cluster = Cluster::start(binary, dir, 1).await?;
    let node = cluster.nodes.first().context("no node")?;
    let batch = Maker::of_payload(size.payload).batch(BATCH);
    let mut lanes = Vec::with_capacity(PROFILES.len());
    for profile in PROFILES {
        lanes.push(Lane::start(&cluster, node, &receiver, profile, &batch).await?);
    }
    for round in 1..=size.rounds {
        for lane in &mut lanes {
            let waypost = lane.work_off(size.deliveries).await.context("waypost")?;
            lane.waypost.push(waypost);
            for with in [With::Awc, With::Raw] {
                let bare = lane.bare(size.deliveries, with).await?;
                match with {
                    With::Awc => lane.awc.push(bare),
                    With::Raw => lane.raw.push(bare),
                }
            }
            println!("webhooks {round} {}", lane.line());
        }
    }
    lanes.iter().for_each(|lane| lane.report(report));
    Ok(())
}

/// The cost of one run.
#[derive(Clone, Copy)]
struct Cost {
    /// Microseconds of CPU for each delivery.
    micros: f64,
    per_second: f64,
}

impl Cost {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn new(cpu_seconds: f64, start: Instant, deliveries: usize) -> Self {
        let deliveries = deliveries as f64;
        Self {
            micros: cpu_seconds * 1e6 / deliveries,
            per_second: deliveries / start.elapsed().as_secs_f64(),
        }
    }
}

/// One profile: its map, its webhook, and the measured costs.
struct Lane<'a> {
    profile: &'static str,
    node: &'a Node,
    receiver: &'a Receiver,
    webhook: String,
    publish: Vec<u8>,
    /// The file with a request as Waypost sends it.
    request: PathBuf,
    /// How many events have been delivered so far.
    delivered: usize,
    waypost: Vec<Cost>,
    awc: Vec<Cost>,
    raw: Vec<Cost>,
}

impl<'a> Lane<'a> {
    async fn start(
        cluster: &Cluster,
        node: &'a Node,
        receiver: &'a Receiver,
        profile: &'static str,
        batch: &str,
    ) -> Result<Self> {
        let (map, _) = cluster.map(profile).await?;
        let body = json!({"url": format!("http://{}/{profile}", receiver.addr), "profile": profile});
        let path = format!("/api/maps/{map}/webhooks");
        let made = call(node, "POST", &path, &body).await?;
        let id = made["id"].as_str().context("no id")?;
        let mut lane = Self {
            profile,
            node,
            receiver,
            webhook: format!("{path}/{id}"),
            publish: http::request("POST", &format!("/api/maps/{map}/events"), ADMIN, batch),
            request: PathBuf::new(),
            delivered: 0,
            waypost: Vec::new(),
            awc: Vec::new(),
            raw: Vec::new(),
        };
        receiver.keep_next();
        lane.work_off(WARM).await?;
        lane.request = post::keep(cluster.dir(), profile, &receiver.kept())?;
        Ok(lane)
    }

    /// Lets the node deliver a backlog of at least `deliveries` events, which are published before it begins.
    async fn work_off(&mut self, deliveries: usize) -> Result<Cost> {
        let deliveries = deliveries.next_multiple_of(BATCH);
        call(self.node, "POST", &format!("{}/disable", self.webhook), &Value::Null).await?;
        let mut publisher = http::Client::connect(self.node.http).await?;
        for _ in 0..deliveries / BATCH {
            let status = publisher.exchange(&self.publish).await?;
            ensure!(status == 201, "publishing: {status}");
        }
        sleep(SETTLE).await;
        let pids = [self.node.pid()?];
        let before = proc::cpu_seconds(&pids)?;
        let start = Instant::now();
        let seen = self.receiver.requests();
        call(self.node, "POST", &format!("{}/enable", self.webhook), &json!({"from": "resume"})).await?;
        self.receiver.until(seen + deliveries as u64, PATIENCE).await?;
        self.delivered += deliveries;
        timeout(PATIENCE, self.known())
            .await
            .context("not all deliveries were reported to the cluster")??;
        let cost = Cost::new(proc::cpu_seconds(&pids)? - before, start, deliveries);
        let seen = self.receiver.requests() - seen;
        ensure!(seen == deliveries as u64, "{seen} requests for {deliveries} deliveries");
        Ok(cost)
    }

    /// Waits until the replicated progress shows what the receiver got.
    async fn known(&self) -> Result<()> {
        loop {
            let webhook = call(self.node, "GET", &self.webhook, &Value::Null).await?;
            ensure!(webhook["failed_attempts"] == 0, "some failed: {}", webhook["last_error"]);
            if webhook["delivered"] == self.delivered {
                return Ok(());
            }
            sleep(GLANCE).await;
        }
    }

    async fn bare(&self, deliveries: usize, with: With) -> Result<Cost> {
        let plan = post::Plan {
            addr: self.receiver.addr,
            request: self.request.clone(),
            count: deliveries as u64,
            window: WINDOW,
            with,
        };
        let start = Instant::now();
        let cpu_seconds = post::run(&plan).await.with_context(|| format!("{with:?}"))?;
        Ok(Cost::new(cpu_seconds, start, deliveries))
    }

    fn line(&self) -> String {
        let last =
            |runs: &[Cost]| runs.last().map_or((f64::NAN, f64::NAN), |cost| (cost.micros, cost.per_second));
        let waypost = last(&self.waypost);
        let awc = last(&self.awc);
        let raw = last(&self.raw);
        format!(
            "{}  waypost {:5.1} µs {:6.0}/s  bare client {:5.1} µs {:6.0}/s  bare socket {:5.1} µs {:6.0}/s",
            self.profile, waypost.0, waypost.1, awc.0, awc.1, raw.0, raw.1
        )
    }

    fn report(&self, report: &mut Report) {
        let profile = self.profile;
        let cost = |runs: &[Cost]| median(runs.iter().map(|run| run.micros));
        let speed = |runs: &[Cost]| median(runs.iter().map(|run| run.per_second));
        report.note(&format!("webhooks: {profile}, bare socket"), cost(&self.raw), "CPU-µs");
        let (waypost, bare) = (cost(&self.waypost), cost(&self.awc));
        report.note(&format!("webhooks: {profile}, waypost's CPU"), waypost, "CPU-µs").beside(bare);
        let bare_speed = speed(&self.awc);
        report
            .note(&format!("webhooks: {profile}, waypost"), speed(&self.waypost), "deliveries/s")
            .beside(bare_speed);
        let ratio = waypost / bare;
        report.at_most(&format!("webhooks: {profile}, waypost / bare client"), ratio, RATIO, "x");
    }
}

/// Sends one request to the API. Returns the `data` of its answer.
async fn call(node: &Node, method: &str, path: &str, body: &Value) -> Result<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, mut answer) = http::call(node.http, method, path, ADMIN, &body).await?;
    if !(200..300).contains(&status) {
        bail!("{method} {path}: {status} {answer}");
    }
    Ok(answer["data"].take())
}
