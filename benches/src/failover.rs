//! Owns the loss of a leader: kill -9, and how long until a publish that began afterwards is
//! acknowledged by whichever survivor. Between rounds the dead node comes back.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{
    task::JoinSet,
    time::{sleep, sleep_until, timeout, timeout_at},
};

use crate::{http, node::Cluster, report::Report};

/// Median seconds until the next acknowledgement.
const BOUND: f64 = 1.0;
/// A fresh attempt each so often, at one survivor after the other.
const ATTEMPT_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(20);

/// Kills the leader `kills` times and adds the line.
///
/// # Errors
/// No acknowledgement within a bound, or a node that does not come back.
pub(crate) async fn run(cluster: &mut Cluster, request: &[u8], kills: usize, report: &mut Report) -> Result<()> {
    let mut times = Vec::with_capacity(kills);
    for round in 1..=kills {
        let leader = cluster.leader().await?;
        let start = Instant::now();
        cluster.nodes[leader].kill().await?;
        let others = cluster.nodes.iter().enumerate().filter(|(i, _)| *i != leader);
        let survivors: Vec<_> = others.map(|(_, node)| node.http).collect();
        let acknowledged = first_acknowledgement(&survivors, request);
        timeout(PATIENCE, acknowledged).await.context("no acknowledgement after a kill")??;
        times.push(start.elapsed().as_secs_f64());
        println!("kill {round:2}: acknowledged after {:.3} s", start.elapsed().as_secs_f64());
        cluster.nodes[leader].restart().await?;
        sleep(Duration::from_millis(300)).await;
    }
    times.sort_unstable_by(f64::total_cmp);
    if let (Some(median), Some(worst)) = (times.get(times.len() / 2), times.last()) {
        report.at_most(&format!("failover: median of {kills} kills"), *median, BOUND, "s");
        report.note("failover: the longest", *worst, "s");
    }
    Ok(())
}

async fn first_acknowledgement(survivors: &[SocketAddr], request: &[u8]) -> Result<()> {
    let mut attempts = JoinSet::new();
    for node in survivors.iter().cycle() {
        attempts.spawn(attempt(*node, request.to_vec()));
        let next = Instant::now() + ATTEMPT_EVERY;
        while let Ok(Some(done)) = timeout_at(next.into(), attempts.join_next()).await {
            if matches!(done, Ok(Ok(201))) {
                return Ok(());
            }
        }
        sleep_until(next.into()).await;
    }
    Ok(())
}

async fn attempt(node: SocketAddr, request: Vec<u8>) -> Result<u16> {
    http::Client::connect(node).await?.exchange(&request).await
}
