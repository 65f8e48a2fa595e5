//! Measures the loss of leaders under load: with kill -9, how long until publishes that began afterwards are
//! acknowledged; with SIGTERM, the longest gap between acknowledgements. The node comes back before the next
//! loss. At the end it checks that no event is lost. [`silent`] measures leaders that fall silent instead.

mod silent;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time::sleep;

use crate::{
    args::millis,
    history,
    node::{ADMIN, Cluster},
    publishers::{self, Ack, Log, Publishers},
    report::Report,
    stats::Sorted,
};

const NODES: usize = 3;
/// The most seconds from a kill to the next acknowledgement.
const KILL_MEDIAN: f64 = 0.5;
const KILL_MOST: f64 = 1.5;
/// The most seconds without an acknowledgement around a hand-over.
const HANDOVER_MOST: f64 = 0.3;
const PATIENCE: Duration = Duration::from_secs(30);
/// How long only publishers run, before the first loss and after each: the node that came back catches up in
/// that time.
const CALM: Duration = Duration::from_millis(1500);

/// The sizes of the measurement.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
    /// How often the leader is killed
    #[arg(long, default_value_t = 40)]
    kills: usize,
    /// How often the leader is asked to end
    #[arg(long, default_value_t = 40)]
    handovers: usize,
    /// Only leaders that fall silent: they hang (SIGSTOP), and, as root, their packets are dropped
    #[arg(long)]
    silent: bool,
    /// How often a leader falls silent in each way
    #[arg(long, default_value_t = 40)]
    silences: u32,
    #[arg(long, default_value_t = 12)]
    publishers: usize,
    /// Milliseconds from an acknowledgement to the publisher's next event
    #[arg(long, default_value = "4", value_parser = millis)]
    pause: Duration,
    /// Bytes of padding in a payload
    #[arg(long, default_value_t = 200)]
    pad: usize,
}

impl Size {
    /// How long the measurement of silent leaders may take.
    pub(crate) fn watched(&self) -> Duration {
        if self.silent { self.silences * silent::ROUND * 2 } else { Duration::ZERO }
    }
}

/// Boots three nodes, ends their leaders and adds the lines.
///
/// # Errors
/// A node does not start or end, or a publish fails for good.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    if size.silent {
        return silent::run(binary, dir, size, report).await;
    }
    let mut cluster = Cluster::start(binary, dir, NODES).await?;
    let (map, _) = cluster.map_that_keeps_all().await?;
    let nodes: Vec<_> = cluster.nodes.iter().map(|node| node.http).collect();
    let Size { publishers, pause, pad, .. } = size;
    let plan = publishers::Plan {
        nodes: nodes.clone(),
        map: map.clone(),
        token: ADMIN.to_owned(),
        publishers,
        pause,
        pad,
        stays: false,
    };
    let mut publishers = Publishers::start(&plan);
    sleep(CALM).await;
    let start = Instant::now();
    let kills = kills(&mut cluster, &mut publishers, size, report).await?;
    let (refused, lost) = publishers.look(|log| (log.refused, log.lost));
    let handovers = handovers(&mut cluster, &mut publishers, size, report).await?;
    let seconds = start.elapsed().as_secs_f64();
    let log = publishers.stop().await?;
    if kills + handovers > 0 {
        report.note("failover: acknowledged meanwhile", log.acks.len() as f64 / seconds, "events/s");
        report.note("kill: attempts lost, sent again", lost as f64, "");
        report.note("kill: attempts refused, sent again", refused as f64, "");
        report.note("hand-over: attempts lost, sent again", (log.lost - lost) as f64, "");
        report.note("hand-over: attempts refused, sent again", (log.refused - refused) as f64, "");
    }
    history::check(&nodes, &map, &log.acks, report).await
}

/// Kills the leader several times.
async fn kills(
    cluster: &mut Cluster,
    publishers: &mut Publishers,
    size: Size,
    report: &mut Report,
) -> Result<usize> {
    let mut anyone = Vec::new();
    let mut everyone = Vec::new();
    for round in 1..=size.kills {
        let leader = cluster.leader().await?;
        let from = publishers.look(|log| log.acks.len());
        let start = Instant::now();
        cluster.nodes[leader].kill().await?;
        // Requests that were open when the leader died are not measured.
        let gone = Instant::now();
        let next = |log: &Log| next_of_each(&log.acks[from..], size.publishers, gone);
        publishers.wait(PATIENCE, |log| next(log).iter().all(Option::is_some)).await?;
        let next: Vec<f64> =
            publishers.look(next).into_iter().flatten().map(|at| (at - start).as_secs_f64()).collect();
        let first = next.iter().copied().fold(f64::MAX, f64::min);
        let last = next.iter().copied().fold(0.0, f64::max);
        println!("kill {round:2}: acknowledged after {first:.3} s, for every publisher after {last:.3} s");
        anyone.push(first);
        everyone.extend(next);
        cluster.nodes[leader].restart().await?;
        sleep(CALM).await;
    }
    if size.kills > 0 {
        let median = format!("kill: next acknowledgement, median of {}", size.kills);
        let each = format!("kill: each of {} publishers, median", size.publishers);
        for (of, median, times) in
            [("next acknowledgement", median, anyone), ("each publisher", each, everyone)]
        {
            let times = Sorted::of(times);
            report.at_most(&median, times.at(50), KILL_MEDIAN, "s");
            slowest(&format!("kill: {of}"), &times, KILL_MOST, report);
        }
    }
    Ok(size.kills)
}

/// Adds the lines of the slowest times: the 99th percentile, which is bounded, and the longest.
fn slowest(of: &str, times: &Sorted, most: f64, report: &mut Report) {
    report.at_most(&format!("{of}, p99"), times.at(99), most, "s");
    report.note(&format!("{of}, longest"), times.at(100), "s");
}

/// For each publisher, when an event that it began after `gone` was acknowledged.
fn next_of_each(acks: &[Ack], publishers: usize, gone: Instant) -> Vec<Option<Instant>> {
    let mut next = vec![None; publishers];
    for ack in acks.iter().filter(|ack| ack.began > gone) {
        next[ack.publisher].get_or_insert(ack.at);
    }
    next
}

/// Ends the leader by SIGTERM several times.
async fn handovers(
    cluster: &mut Cluster,
    publishers: &mut Publishers,
    size: Size,
    report: &mut Report,
) -> Result<usize> {
    let mut anyone = Vec::new();
    let mut everyone = Vec::new();
    for round in 1..=size.handovers {
        let leader = cluster.leader().await?;
        let start = Instant::now();
        cluster.nodes[leader].terminate().await?;
        let ended = start.elapsed();
        sleep(CALM).await;
        let end = Instant::now();
        let (all, each) = publishers.look(|log| {
            let of = |publisher| gap(&log.acks, start, end, |ack| ack.publisher == publisher);
            (gap(&log.acks, start, end, |_| true), (0..size.publishers).map(of).collect::<Vec<_>>())
        });
        let worst = each.iter().copied().fold(0.0, f64::max);
        println!(
            "hand-over {round:2}: longest gap {all:.3} s, of one publisher {worst:.3} s; ended after {:.2} s",
            ended.as_secs_f64()
        );
        anyone.push(all);
        everyone.extend(each);
        cluster.nodes[leader].restart().await?;
        sleep(CALM).await;
    }
    if size.handovers > 0 {
        let median = format!("hand-over: longest gap, median of {}", size.handovers);
        let each = format!("hand-over: each of {} publishers, median", size.publishers);
        for (of, median, gaps) in [("longest gap", median, anyone), ("each publisher", each, everyone)] {
            let gaps = Sorted::of(gaps);
            report.note(&median, gaps.at(50), "s");
            slowest(&format!("hand-over: {of}"), &gaps, HANDOVER_MOST, report);
        }
    }
    Ok(size.handovers)
}

/// The longest time in seconds between two of these acknowledgements, from the last one before `start` to
/// `end`.
fn gap(acks: &[Ack], start: Instant, end: Instant, of: impl Fn(&Ack) -> bool) -> f64 {
    let mut longest = Duration::ZERO;
    let mut after = end;
    for ack in acks.iter().rev().filter(|ack| ack.at <= end && of(ack)) {
        longest = longest.max(after - ack.at);
        after = ack.at;
        if ack.at < start {
            break;
        }
    }
    longest.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_begin_before_the_start_and_end_with_the_end() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let ack = |publisher, ms| Ack { publisher, number: 0, seq: 0, began: at(ms), at: at(ms) };
        let acks = [ack(0, 0), ack(1, 50), ack(0, 100), ack(1, 400), ack(0, 450), ack(1, 800)];
        let gap = |publisher: Option<usize>| {
            super::gap(&acks, at(110), at(500), |ack| publisher.is_none_or(|p| ack.publisher == p))
        };
        assert_eq!([gap(None), gap(Some(0)), gap(Some(1))], [0.3, 0.35, 0.35]);
        let next = next_of_each(&acks, 2, at(100));
        assert_eq!(next, [Some(at(450)), Some(at(400))]);
    }
}
