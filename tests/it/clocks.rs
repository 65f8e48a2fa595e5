//! Wrong clocks: no event and no key is lost, times become right again, and the status reports the problem.
//!
//! libfaketime (Debian's package of that name) moves the clocks; the monotonic clock stays. Where it is not
//! installed the tests say so and pass.

use crate::support::{self, nodes, prepared, publish};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::clock::{Clock, library};
use testkit::cluster::{ADMIN, Map};
use testkit::{Cluster, Options};

const DAY: i64 = 86_400;
/// Longer than ten seconds, the interval at which the server looks for what has expired.
const EXPIRY_CHECKED: Duration = Duration::from_secs(13);
/// The most that an event's time may differ from the true one on a busy machine (ms).
const NEAR_MS: i64 = 15_000;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Returns how far an event's time is from a clock that is `days` ahead (ms).
fn off_ms(event: &Value, days: i64) -> Result<i64> {
    let ts = event["ts"].as_str().context("no ts")?;
    let ms = waypost::core::time::parse_iso(ts).with_context(|| format!("no time: {ts}"))?;
    Ok(ms as i64 - days * DAY * 1000 - now_ms())
}

fn is_near(event: &Value, days: i64) -> Result<()> {
    let off = off_ms(event, days)?;
    ensure!(off.abs() < NEAR_MS, "{off} ms off: {event}");
    Ok(())
}

/// Boots nodes that have clocks of their own, and runs `body`; does nothing where libfaketime is missing.
fn with_clocks(options: &Options, body: impl FnOnce(&mut Cluster, &[Clock]) -> Result<()>) {
    if library().is_none() {
        println!("skipped: libfaketime is not installed");
        return;
    }
    prepared(options, |cluster| {
        let clocks = cluster.nodes.iter_mut().map(Clock::give).collect::<Result<Vec<_>>>()?;
        cluster.launch()?;
        body(cluster, &clocks)
    });
}

fn once(cluster: &Cluster, node: usize, map: &Map) -> Result<Value> {
    let body = json!({"type": "once", "payload": {"n": 1}});
    cluster.api(node, map).post_once(&map.events(), "the-key", &body)?.data(201)
}

fn stored(cluster: &Cluster, node: usize, map: &Map, query: &str) -> Result<Vec<Value>> {
    let data =
        cluster.api(node, map).get(&format!("{}?limit=1000{query}", map.events()))?.expect(200)?.json()?;
    Ok(data["data"].as_array().context("no data")?.clone())
}

fn wait_no_problem(cluster: &Cluster, node: usize, code: &str) -> Result<()> {
    cluster.wait_until(&format!("no problem {code} at node {node}"), |c| {
        Ok(c.problem(node, code)?.is_none().then_some(()))
    })
}

#[test]
fn a_leader_whose_clock_jumps_loses_nothing() {
    with_clocks(&nodes(3), |cluster, clocks| {
        let map = cluster.map("ahead")?;
        let first = once(cluster, 0, &map)?;
        let leader = cluster.leader()?;
        clocks[leader].turn(30 * DAY)?;
        // Published before another node can have noticed.
        let during = publish(cluster, leader, &map, "during", json!({}))?;
        is_near(&during, 0)?;
        cluster.wait_until("another node to lead", |c| Ok((c.leader()? != leader).then_some(())))?;
        for node in 0..3 {
            cluster.wait_problem(node, "clocks_apart")?;
        }
        std::thread::sleep(EXPIRY_CHECKED);
        for node in 0..3 {
            ensure!(stored(cluster, node, &map, "")?.len() == 2, "events expired on node {node}");
            ensure!(once(cluster, node, &map)? == first, "the key was forgotten");
        }
        // Now its clock is behind, then right again.
        clocks[leader].turn(-30 * DAY)?;
        is_near(&publish(cluster, leader, &map, "behind", json!({}))?, 0)?;
        clocks[leader].turn(0)?;
        for node in 0..3 {
            wait_no_problem(cluster, node, "clocks_apart")?;
        }
        let after = publish(cluster, leader, &map, "after", json!({}))?;
        is_near(&after, 0)?;
        ensure!(after["id"].as_str() > during["id"].as_str(), "{after} {during}");
        let since =
            stored(cluster, 0, &map, &format!("&since={}", after["ts"].as_str().unwrap_or_default()))?;
        ensure!(since.len() == 1 && since[0] == after, "{since:?}");
        Ok(())
    });
}

#[test]
fn after_all_nodes_restart_the_median_clock_decides() {
    with_clocks(&nodes(3), |cluster, clocks| {
        let map = cluster.map("restarted")?;
        let first = once(cluster, 0, &map)?;
        for node in &mut cluster.nodes {
            node.kill9()?;
        }
        clocks[0].turn(30 * DAY)?;
        clocks[1].turn(2)?;
        cluster.start_all()?;
        cluster.wait_ready()?;
        // Node 0 should lead, to make it hard; if the cluster refuses, the test goes on.
        let lead = json!({"node": cluster.status(0)?["node_id"]});
        let _ = cluster.admin(1).post("/api/cluster/transfer-leader", &lead)?;
        is_near(&publish(cluster, 1, &map, "x", json!({}))?, 0)?;
        std::thread::sleep(EXPIRY_CHECKED);
        ensure!(
            once(cluster, 2, &map)? == first && stored(cluster, 2, &map, "")?.len() == 2,
            "something expired"
        );
        cluster.wait_problem(2, "clocks_apart").map(drop)
    });
}

#[test]
fn a_lone_voter_holds_expiry_and_its_time_can_be_corrected() {
    with_clocks(&nodes(1), |cluster, clocks| {
        let map = cluster.map("lone")?;
        let first = once(cluster, 0, &map)?;
        // While the node runs, its monotonic clock outvotes the wrong one.
        clocks[0].turn(30 * DAY)?;
        cluster.wait_problem(0, "clock_jumped")?;
        is_near(&publish(cluster, 0, &map, "jumped", json!({}))?, 0)?;
        // After a restart it has only its own clock: times follow it, and nothing expires by it.
        cluster.restart(0)?;
        cluster.wait_problem(0, "expiry_held")?;
        let ahead = publish(cluster, 0, &map, "ahead", json!({}))?;
        is_near(&ahead, 30)?;
        std::thread::sleep(EXPIRY_CHECKED);
        ensure!(stored(cluster, 0, &map, "")?.len() == 3, "events expired");
        ensure!(once(cluster, 0, &map)? == first, "the key was forgotten");
        let file = cluster.dir().join("ahead.backup");
        backup(cluster, &file.display().to_string())?;
        // The clock is corrected.
        clocks[0].turn(0)?;
        cluster.restart(0)?;
        cluster.wait_problem(0, "ids_ahead")?;
        check_corrected(cluster, &map, &first, &ahead)?;
        // The same, from a backup with the wrong time.
        cluster.nodes[0].kill9()?;
        cluster.nodes[0].wipe()?;
        waypost(&[
            "restore",
            "--yes",
            "--from",
            &file.display().to_string(),
            "--data-dir",
            &cluster.nodes[0].data.display().to_string(),
        ])?;
        cluster.start(0)?;
        cluster.wait_problem(0, "ids_ahead")?;
        std::thread::sleep(EXPIRY_CHECKED);
        check_corrected(cluster, &map, &first, &ahead)
    });
}

/// Checks that times are right, ids continue, `since` goes by times, and nothing is lost.
fn check_corrected(cluster: &Cluster, map: &Map, first: &Value, ahead: &Value) -> Result<()> {
    let after = publish(cluster, 0, map, "after", json!({}))?;
    is_near(&after, 0)?;
    ensure!(after["id"].as_str() > ahead["id"].as_str(), "{after} {ahead}");
    ensure!(once(cluster, 0, map)? == *first, "the key was forgotten");
    let all = stored(cluster, 0, map, "")?;
    ensure!(all.len() == 4 && all[0] == *first && all[2] == *ahead && all[3] == after, "{all:?}");
    let since = |event: &Value| {
        stored(cluster, 0, map, &format!("&since={}", event["ts"].as_str().unwrap_or_default()))
    };
    // `since` returns events from the first, by seq, with that time or later: wrong times count as well.
    ensure!(since(first)?.len() == 4, "{:?}", since(first)?);
    ensure!(since(ahead)? == all[2..], "{:?}", since(ahead)?);
    ensure!(since(&after)? == all[2..], "{:?}", since(&after)?);
    Ok(())
}

fn backup(cluster: &Cluster, file: &str) -> Result<()> {
    waypost(&["cluster", "backup", file, "--url", &cluster.nodes[0].url()])
}

fn waypost(arguments: &[&str]) -> Result<()> {
    let out = support::waypost(arguments).env("WAYPOST_TOKEN", ADMIN).output()?;
    ensure!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}
