//! Many readers that never read next to as many that read everything: memory stays bounded, the server closes
//! the stalled readers, and the healthy ones miss nothing. `WAYPOST_TEST_FLEET` and `WAYPOST_TEST_SECONDS`
//! make it larger.

use crate::support::{nodes, publish, scale, scenario};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::fleet::{Healthy, Stalled, StalledStreams};

const GROWTH: u64 = 64 << 20;

#[test]
fn stalled_readers_cost_other_readers_nothing() {
    let count = scale("WAYPOST_TEST_FLEET", 100) as usize;
    let seconds = scale("WAYPOST_TEST_SECONDS", 15);
    let stall = (seconds / 3).clamp(2, 15);
    scenario(nodes(1).set("WAYPOST_SESSION_STALL_SECONDS", stall), |cluster| {
        let map = cluster.map("fleet")?;
        let addr = cluster.nodes[0].http;
        let healthy = Healthy::join(count, addr, &map.token, &map.topic())?;
        let stalled = Stalled::join(count, addr, &map.token, &map.topic())?;
        let path = format!("{}/stream", map.events());
        let streams = StalledStreams::open(count / 10, addr, &map.token, &path)?;
        let before = cluster.nodes[0].rss()?;
        let (sent, peak) = load(cluster, &map, Duration::from_secs(seconds))?;
        healthy.wait_seq(sent)?;
        println!("{sent} events; memory {} MiB, then at most {}", before >> 20, peak >> 20);
        ensure!(peak < before + GROWTH, "memory grew from {before} to {peak} bytes");
        cluster.wait_until("the stalled readers to be closed", |c| {
            let status = c.status(0)?;
            let open = status["members"][0]["connections"].as_u64();
            Ok((open == Some(count as u64)).then_some(()))
        })?;
        let closed = stalled.closed(Duration::from_secs(10));
        ensure!(closed == count, "{closed} of {count} stalled readers were closed");
        let closed = streams.closed(Duration::from_secs(10));
        ensure!(closed == count / 10, "{closed} of {} stalled streams were closed", count / 10);
        publish(cluster, 0, &map, "x", json!({}))?;
        healthy.wait_seq(sent + 1)?;
        healthy.finish()
    });
}

/// Publishes events of 1 KiB for `length`, 40 a second or as fast as it can; returns their number and the
/// peak memory of the server.
fn load(cluster: &Cluster, map: &Map, length: Duration) -> Result<(u64, u64)> {
    let start = Instant::now();
    let filler = "x".repeat(1000);
    let mut sent = 0;
    let mut peak = 0;
    while start.elapsed() < length || sent < 40 * length.as_secs() {
        publish(cluster, 0, map, "tick", json!({"n": sent, "filler": filler}))?;
        sent += 1;
        peak = peak.max(cluster.nodes[0].rss()?);
        let due = Duration::from_millis(25) * sent as u32;
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    Ok((sent, peak))
}
