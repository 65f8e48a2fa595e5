//! What a delivery costs when a channel has many subscribers, in turns with the raw limit.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use testkit::pusher::App;

use super::{OF_CPU, Size, Sockudo, target};
use crate::{
    load::{self, Pace, Plan},
    node::{Cluster, Limit},
    report::Report,
    stats::median,
    wire::{Channels, PUSHER_BATCH, Requests},
};

/// Waypost may use this many times the limit's CPU when every frame is a write of its own.
const PACED_RATIO: f64 = 1.5;
/// How many frames the limit coalesces when it is compared with a saturated Waypost.
const LIMIT_COALESCE: usize = 8;
/// CPU-seconds for a million saturated deliveries to 1,000 subscribers.
const FEW: Sockudo = Sockudo::of(9.5, 10.4);
/// The same for 10,000 subscribers.
const MANY: Sockudo = Sockudo::of(12.5, 20.0);

/// One server, and an app of it.
struct Server {
    name: &'static str,
    addr: SocketAddr,
    pid: u32,
    app: Arc<App>,
}

/// Measures paced and saturated events for few and for many subscribers, and adds the lines.
pub(super) async fn run(cluster: &Cluster, size: Size, report: &mut Report) -> Result<()> {
    let node = cluster.nodes.first().context("no node")?;
    let app = cluster.app("fanout").await?;
    let waypost = Server { name: "waypost", addr: node.http, pid: node.pid()?, app };
    for (connections, sockudo) in [(size.few, FEW), (size.many, MANY)] {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let paced = Pace::Paced { rate: size.pace / connections as f64 };
        let [limit, own] = in_turns(&waypost, size, connections, paced, 1).await?;
        let of = format!("pusher: {connections} subscribers, paced");
        report.note(&of, own, "CPU-s/M").beside(limit);
        report.at_most(&format!("{of}, of the limit"), own / limit, PACED_RATIO, "x");
        let saturated = Pace::Saturated { batch: PUSHER_BATCH, window: size.window };
        let [limit, own] = in_turns(&waypost, size, connections, saturated, LIMIT_COALESCE).await?;
        let of = format!("{connections} subscribers, saturated");
        // The limit writes LIMIT_COALESCE frames at once.
        sockudo.compare(report, &of, own, OF_CPU, "CPU-s/M").beside(limit);
    }
    Ok(())
}

/// The median CPU-seconds per million deliveries of the limit and of Waypost.
async fn in_turns(
    waypost: &Server,
    size: Size,
    connections: usize,
    pace: Pace,
    coalesce: usize,
) -> Result<[f64; 2]> {
    let limit = Limit::start(coalesce).await?;
    let bare = Server { name: "limit", addr: limit.addr, pid: limit.pid, app: Arc::default() };
    let mut costs = [Vec::new(), Vec::new()];
    for round in 1..=size.rounds {
        for (server, costs) in [&bare, waypost].into_iter().zip(&mut costs) {
            let plan = server.plan(size, connections, pace);
            let measured = load::run(&plan).await.with_context(|| server.name.to_owned())?;
            println!("{connections} subscribers, {round}, {:8} {}", server.name, measured.line());
            costs.push(measured.cpu_per_million());
        }
    }
    Ok(costs.map(median))
}

impl Server {
    fn plan(&self, size: Size, connections: usize, pace: Pace) -> Plan {
        let channels = Channels { credentials: self.app.clone(), count: 1 };
        Plan {
            target: target(self.addr, &self.app, 1, connections),
            publish_to: self.addr,
            requests: Requests::pusher(channels, size.payload),
            pace,
            duration: size.duration(),
            pids: vec![self.pid],
        }
    }
}
