//! Measures the Pusher protocol against the raw limit, and against figures of Sockudo 5.0.1 that were measured
//! elsewhere on two cores: payloads of 150 bytes, CPU and memory of the server alone.

mod fanout;
mod publishes;
mod sockets;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use testkit::pusher::App;

use crate::{
    node::Cluster,
    report::{Report, Row},
    subscribers::Target,
    wire::{Channels, Wire},
};

/// Waypost may use this part of Sockudo's CPU.
const OF_CPU: f64 = 0.5;
/// Waypost may use this part of Sockudo's memory.
const OF_MEMORY: f64 = 0.1;

/// The sizes of the measurement.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
    /// Subscribers of one channel, in the first runs
    #[arg(long, default_value_t = 1_000)]
    few: usize,
    /// Subscribers of one channel, in the runs after them; and sockets of all other measurements
    #[arg(long, default_value_t = 10_000)]
    many: usize,
    /// Bytes of an event's data
    #[arg(long, default_value_t = 150)]
    payload: usize,
    /// Deliveries a second in the paced runs
    #[arg(long, default_value_t = 40_000.0)]
    pace: f64,
    /// Events, on average over the subscribers, that may be on their way in the saturated runs
    #[arg(long, default_value_t = 200)]
    window: u64,
    /// Connections that publish at the same time, where the cost of a publish is measured
    #[arg(long, default_value_t = 16)]
    publishers: usize,
    /// Channels over which all sockets are spread
    #[arg(long, default_value_t = 2_000)]
    channels: usize,
    /// Seconds of each run
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Runs of each kind
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

impl Size {
    fn duration(self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// The range in which a figure of Sockudo lies.
#[derive(Clone, Copy)]
struct Sockudo {
    low: f64,
    high: f64,
}

impl Sockudo {
    const fn of(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// Adds a line: the figure, beside Sockudo's, of which it may be a `part`.
    fn compare<'a>(
        self,
        report: &'a mut Report,
        what: &str,
        measured: f64,
        part: f64,
        unit: &str,
    ) -> &'a mut Row {
        let Self { low, high } = self;
        let of = if low < high { format!("{low} to {high}") } else { low.to_string() };
        report.at_most(&format!("pusher: {what} (Sockudo {of})"), measured, low * part, unit)
    }
}

/// Measures everything and adds the lines.
///
/// # Errors
/// A node does not start, a client is refused, or an event is lost.
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let one = Cluster::start(binary, dir, 1).await?;
    sockets::run(&one, size, report).await?;
    fanout::run(&one, size, report).await?;
    publishes::run(&one, size, report).await?;
    drop(one);
    let three = Cluster::start(binary, dir, 3).await?;
    publishes::over_nodes(&three, size, report).await
}

/// Channels of an app, and clients at that server that are spread over them.
fn target(addr: std::net::SocketAddr, app: &Arc<App>, channels: usize, connections: usize) -> Target {
    let channels = Channels { credentials: app.clone(), count: channels };
    Target { addr, wire: Wire::Pusher(channels), connections }
}
