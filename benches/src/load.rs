//! One run of load: it joins the subscribers, publishes paced or saturating, waits until everything has
//! arrived, and reports the cost for the server. It never starts a server.

use std::{
    net::SocketAddr,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use testkit::proc;

use crate::{
    event,
    line::Line,
    subscribers::{Outcome, Subscribers, Target},
    wire::Requests,
};

/// How long all joins may take; thousands of them take some seconds.
const JOIN_PATIENCE: Duration = Duration::from_secs(90);
/// How long events may take to arrive after the last publish; later ones count as missing.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(15);
const GLANCE: Duration = Duration::from_millis(5);

/// How events are published.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// Single events, `rate` a second: the server sees one frame at a time.
    Paced { rate: f64 },
    /// Batches without a pause, with at most `window` events on their way to the subscribers.
    Saturated { batch: usize, window: u64 },
}

/// One run.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    /// Where to publish; this may be another node than that of the subscribers.
    pub(crate) publish_to: SocketAddr,
    pub(crate) requests: Requests,
    pub(crate) pace: Pace,
    pub(crate) duration: Duration,
    /// The processes of the server.
    pub(crate) pids: Vec<u32>,
}

/// The measurements of a run.
pub(crate) struct Measured {
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    pub(crate) expected: u64,
    pub(crate) elapsed: Duration,
    pub(crate) cpu_seconds: f64,
    pub(crate) resident: u64,
    pub(crate) mean_frame: f64,
    /// The frames that the client found in one read: at least as many as the server coalesced.
    pub(crate) frames_a_read: f64,
    pub(crate) latency: Histogram<u64>,
}

impl Measured {
    /// The server's CPU-seconds for a million deliveries.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn cpu_per_million(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.delivered.max(1) as f64
    }

    /// The measurements as one readable line.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn line(&self) -> String {
        let seconds = self.elapsed.as_secs_f64();
        let ms = |q: f64| self.latency.value_at_quantile(q) as f64 / 1000.0;
        format!(
            "{:.2} CPU-s/M ({:.2} s for {} of {} deliveries, {:.0}/s, {:.0} events/s, {:.0} B, \
             {:.1} frames/read), latency ms p50 {:.2} p99 {:.2} max {:.2}, RSS {:.1} MiB",
            self.cpu_per_million(),
            self.cpu_seconds,
            self.delivered,
            self.expected,
            self.delivered as f64 / seconds,
            self.published as f64 / seconds,
            self.mean_frame,
            self.frames_a_read,
            ms(0.5),
            ms(0.99),
            ms(1.0),
            self.resident as f64 / f64::from(1 << 20),
        )
    }
}

/// Joins, publishes, waits and measures.
///
/// # Errors
/// A subscriber was refused or lost, a publish was refused, or not everything arrived.
pub(crate) async fn run(plan: &Plan) -> Result<Measured> {
    let fleet = Subscribers::start(plan.target.clone())?;
    let outcome = measure(plan, &fleet).await;
    let counters = std::sync::Arc::clone(&fleet.counters);
    let Outcome { latency, losses } = fleet.stop()?;
    let context = if losses.is_empty() { String::new() } else { format!(" ({losses:?})") };
    let mut measured = outcome.with_context(|| format!("the run failed{context}"))?;
    measured.latency = latency;
    let bytes = counters.bytes.load(Relaxed);
    let reads = counters.reads.load(Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    {
        measured.mean_frame = 4.0 + bytes as f64 / measured.delivered.max(1) as f64;
        measured.frames_a_read = measured.delivered as f64 / reads.max(1) as f64;
    }
    Ok(measured)
}

/// Waits until every connection has joined.
///
/// # Errors
/// A connection was refused, or the joins take too long.
pub(crate) async fn all_joined(fleet: &Subscribers, connections: usize) -> Result<()> {
    let joined = async {
        while fleet.counters.joined.load(Relaxed) < connections as u64 {
            if fleet.counters.lost.load(Relaxed) > 0 {
                bail!("a subscriber was refused");
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    };
    timeout(JOIN_PATIENCE, joined).await.context("not all subscribers joined in time")?
}

/// Waits until `expected` events in all have arrived at these subscribers, and fails if one more arrives.
///
/// # Errors
/// Fewer or more arrive in time, or a subscriber is lost.
pub(crate) async fn all_arrived(fleets: &[Subscribers], expected: u64) -> Result<()> {
    let start = Instant::now();
    while delivered(fleets) < expected {
        let lost: u64 = fleets.iter().map(|fleet| fleet.counters.lost.load(Relaxed)).sum();
        if lost > 0 || start.elapsed() > ARRIVAL_PATIENCE {
            bail!("{} of {expected} deliveries arrived, {lost} subscribers were lost", delivered(fleets));
        }
        sleep(GLANCE).await;
    }
    let delivered = delivered(fleets);
    ensure!(delivered == expected, "{delivered} instead of {expected} deliveries");
    Ok(())
}

/// How many events arrived at these subscribers.
pub(crate) fn delivered(fleets: &[Subscribers]) -> u64 {
    fleets.iter().map(|fleet| fleet.counters.delivered.load(Relaxed)).sum()
}

async fn measure(plan: &Plan, fleet: &Subscribers) -> Result<Measured> {
    let connections = plan.target.connections;
    all_joined(fleet, connections).await?;
    let mut publisher = Publisher::connect(plan, fleet).await?;
    sleep(Duration::from_millis(300)).await;
    let cpu = proc::cpu_seconds(&plan.pids)?;
    let start = Instant::now();
    match plan.pace {
        Pace::Paced { rate } => publisher.paced(rate, plan.duration).await?,
        Pace::Saturated { batch, window } => {
            publisher.saturated(batch, window, plan.duration).await?;
        }
    }
    let expected = publisher.published * publisher.receivers;
    // The figures show what did not arrive, with the reasons for lost connections.
    let arrived = timeout(ARRIVAL_PATIENCE, publisher.on_the_way_at_most(0)).await;
    let delivered = fleet.counters.delivered.load(Relaxed);
    if !matches!(arrived, Ok(Ok(()))) || delivered != expected {
        bail!("{delivered} of {expected} deliveries arrived");
    }
    Ok(Measured {
        published: publisher.published,
        delivered,
        expected,
        elapsed: start.elapsed(),
        cpu_seconds: proc::cpu_seconds(&plan.pids)? - cpu,
        resident: proc::resident_bytes(&plan.pids)?,
        mean_frame: 0.0,
        frames_a_read: 0.0,
        latency: event::latencies()?,
    })
}

/// The publisher of a run, on one keep-alive connection.
struct Publisher<'a> {
    line: Line,
    fleet: &'a Subscribers,
    /// How many subscribers get an event.
    receivers: u64,
    requests: Requests,
    published: u64,
}

impl<'a> Publisher<'a> {
    async fn connect(plan: &'a Plan, fleet: &'a Subscribers) -> Result<Self> {
        Ok(Self {
            line: Line::connect(plan.publish_to, &plan.requests).await?,
            fleet,
            receivers: plan.target.wire.receivers(plan.target.connections) as u64,
            requests: plan.requests.clone(),
            published: 0,
        })
    }

    async fn paced(&mut self, rate: f64, duration: Duration) -> Result<()> {
        let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let start = Instant::now();
        while start.elapsed() < duration {
            ticks.tick().await;
            let request = self.requests.one();
            self.publish(&request, 1).await?;
        }
        Ok(())
    }

    async fn saturated(&mut self, batch: usize, window: u64, duration: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < duration {
            let request = self.requests.batch(batch);
            self.publish(&request, batch).await?;
            self.on_the_way_at_most(window).await?;
        }
        Ok(())
    }

    async fn publish(&mut self, request: &[u8], events: usize) -> Result<()> {
        self.line.publish(request, events).await?;
        self.published += events as u64;
        Ok(())
    }

    /// Waits until at most `window` events, on average over the subscribers, are still to arrive.
    async fn on_the_way_at_most(&self, window: u64) -> Result<()> {
        let enough = self.published.saturating_sub(window) * self.receivers;
        while self.fleet.counters.delivered.load(Relaxed) < enough {
            if self.fleet.counters.lost.load(Relaxed) > 0 {
                bail!("a subscriber was lost");
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}
