//! Measures the loss of leaders under load: with kill -9, how long until publishes that began afterwards are
//! acknowledged; with SIGTERM, the longest gap between acknowledgements. The node comes back before the next
//! loss. At the end it checks that no event is lost.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time::sleep;

use crate::{
    history,
    node::{ADMIN, Cluster},
    publishers::{self, Ack, Log, Publishers},
    report::Report,
};

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
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) kills: usize,
    pub(crate) handovers: usize,
    pub(crate) publishers: usize,
    /// The pause from an acknowledgement to the publisher's next event.
    pub(crate) pause: Duration,
    /// The bytes of padding in a payload.
    pub(crate) pad: usize,
}

/// Boots three nodes, ends their leaders and adds the lines.
///
/// # Errors
/// A node does not start or end, or a publish fails for good.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let mut cluster = Cluster::start(binary, dir, 3).await?;
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
    let (mut anyone, mut everyone) = (Vec::new(), Vec::new());
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
        let (first, last) =
            (next.iter().copied().fold(f64::MAX, f64::min), next.iter().copied().fold(0.0, f64::max));
        println!("kill {round:2}: acknowledged after {first:.3} s, for every publisher after {last:.3} s");
        anyone.push(first);
        everyone.extend(next);
        cluster.nodes[leader].restart().await?;
        sleep(CALM).await;
    }
    if size.kills > 0 {
        let (p50, p99, worst) = quantiles(&mut anyone);
        report.at_most(
            &format!("kill: next acknowledgement, median of {}", size.kills),
            p50,
            KILL_MEDIAN,
            "s",
        );
        report.at_most("kill: next acknowledgement, p99", p99, KILL_MOST, "s");
        report.note("kill: next acknowledgement, longest", worst, "s");
        let (p50, p99, worst) = quantiles(&mut everyone);
        report.at_most(
            &format!("kill: each of {} publishers, median", size.publishers),
            p50,
            KILL_MEDIAN,
            "s",
        );
        report.at_most("kill: each publisher, p99", p99, KILL_MOST, "s");
        report.note("kill: each publisher, longest", worst, "s");
    }
    Ok(size.kills)
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
    let (mut anyone, mut everyone) = (Vec::new(), Vec::new());
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
        let (p50, p99, worst) = quantiles(&mut anyone);
        report.note(&format!("hand-over: longest gap, median of {}", size.handovers), p50, "s");
        report.at_most("hand-over: longest gap, p99", p99, HANDOVER_MOST, "s");
        report.note("hand-over: longest gap of all", worst, "s");
        let (p50, p99, worst) = quantiles(&mut everyone);
        report.note(&format!("hand-over: each of {} publishers, median", size.publishers), p50, "s");
        report.at_most("hand-over: each publisher, p99", p99, HANDOVER_MOST, "s");
        report.note("hand-over: each publisher, longest", worst, "s");
    }
    Ok(size.handovers)
}

/// The longest time in seconds between two of these acknowledgements, from the last one before `start` to
/// `end`.
fn gap(acks: &[Ack], start: Instant, end: Instant, of: impl Fn(&Ack) -> bool) -> f64 {
    let (mut longest, mut after) = (Duration::ZERO, end);
    for ack in acks.iter().rev().filter(|ack| ack.at <= end && of(ack)) {
        longest = longest.max(after - ack.at);
        after = ack.at;
        if ack.at < start {
            break;
        }
    }
    longest.as_secs_f64()
}

/// The median, the 99th percentile (the longest, of fewer than a hundred) and the longest.
fn quantiles(times: &mut [f64]) -> (f64, f64, f64) {
    times.sort_unstable_by(f64::total_cmp);
    let at =
        |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1))).copied();
    (at(50).unwrap_or(f64::NAN), at(99).unwrap_or(f64::NAN), times.last().copied().unwrap_or(f64::NAN))
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
