//! A disk that fills up: the node refuses publishes before it is too late, does everything else, and recovers
//! by itself. Needs root, to mount a small file system.

use crate::support::{nodes, prepared, publish, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the filler leaves free (MiB): less than the required free space, and enough for votes and small
/// writes.
const LEFT_MIB: u64 = 2;

/// A small file system in memory, unmounted on drop.
struct Small(PathBuf);

impl Small {
    /// Mounts it; returns `None` without the right to mount.
    fn mount(at: &Path, mib: u32) -> Result<Option<Self>> {
        std::fs::create_dir_all(at)?;
        let size = format!("size={mib}m");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        let mounted = status.is_ok_and(|out| out.status.success()).then(|| Self(at.to_owned()));
        if mounted.is_none() {
            println!("skipped: mounting a file system needs root");
        }
        Ok(mounted)
    }

    /// Gives it another size.
    fn resize(&self, mib: u32) -> Result<()> {
        let size = format!("remount,size={mib}m");
        ensure!(Command::new("mount").args(["-o", &size]).arg(&self.0).status()?.success());
        Ok(())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Publishes until a publish is refused; returns the acknowledged seqs and whether one was refused.
fn fill(cluster: &testkit::Cluster, map: &testkit::cluster::Map, at_most: usize) -> Result<(Vec<u64>, bool)> {
    let body = json!({"type": "x", "payload": "x".repeat(100 << 10)});
    let mut acked = Vec::new();
    for _ in 0..at_most {
        let answer = cluster.api(0, map).post_once(&map.events(), &testkit::cluster::fresh_key(), &body)?;
        match answer.status {
            201 => acked.push(answer.data(201)?["seq"].as_u64().context("no seq")?),
            503 if answer.code() == "disk_full" => return Ok((acked, true)),
            _ => anyhow::bail!("expected 201 or 503 disk_full: {} {}", answer.status, answer.text()),
        }
    }
    Ok((acked, false))
}

/// Fills the file system except for [`LEFT_MIB`]. Called again, it fills what has become free since.
fn fill_disk(dir: &Path) -> Result<PathBuf> {
    let df = Command::new("df").args(["-BM", "--output=avail"]).arg(dir).output()?;
    let df = String::from_utf8(df.stdout)?;
    let available: u64 =
        df.lines().last().context("df printed nothing")?.trim().trim_end_matches('M').parse()?;
    let filler = dir.join("filler");
    let count = format!("count={}", available.saturating_sub(LEFT_MIB));
    Command::new("dd")
        .args(["if=/dev/zero", "bs=1M", &count, "oflag=append", "conv=notrunc"])
        .arg(format!("of={}", filler.display()))
        .output()?;
    Ok(filler)
}

/// Runs `body` with nodes that are not started yet, each with a disk of so many MiB.
fn on_small_disks(count: usize, mib: u32, body: impl FnOnce(&mut testkit::Cluster, &[Small]) -> Result<()>) {
    prepared(&nodes(count), |cluster| {
        let mut disks = Vec::new();
        for node in &cluster.nodes {
            let Some(disk) = Small::mount(&node.data, mib)? else { return Ok(()) };
            disks.push(disk);
        }
        body(cluster, &disks)?;
        // The nodes end before their disks are unmounted.
        cluster.nodes.clear();
        Ok(())
    });
}

#[test]
fn a_full_disk_refuses_events_and_loses_none() {
    on_small_disks(1, 160, |cluster, disks| full(cluster, &disks[0]));
}

fn full(cluster: &mut testkit::Cluster, disk: &Small) -> Result<()> {
    cluster.start(0)?;
    let map = cluster.map("full")?;
    let mut socket = cluster.joined(0, &map, json!({"events": ["never"]}))?;
    let (mut acked, refused) = fill(cluster, &map, 2000)?;
    ensure!(refused, "a disk of 160 MiB took {} events of 100 KiB", acked.len());
    println!("refused after {} events", acked.len());

    // A filler takes nearly all the rest. A node that could not write the data in its memory would end, and
    // run again after a restart with free space: this one has nothing to write.
    cluster.admin(0).post("/api/cluster/snapshot", &json!({}))?.expect(200)?;
    let filler = fill_disk(&cluster.nodes[0].data)?;
    std::thread::sleep(std::time::Duration::from_secs(3));
    ensure!(cluster.nodes[0].ended()?.is_none(), "the node ended");
    cluster.wait_until("both problems to be reported", |c| {
        // The log is compacted a while after the snapshot.
        fill_disk(&c.nodes[0].data)?;
        let both = c.problem(0, "disk_full")?.is_some() && c.problem(0, "disk_low")?.is_some();
        ensure!(both, "{:?}", c.problems(0)?);
        Ok(Some(()))
    })?;
    let small = json!({"type": "x", "payload": "y"});
    let refused = cluster.api(0, &map).post(&map.events(), &small)?;
    ensure!((refused.status, refused.code().as_str()) == (503, "disk_full"), "{}", refused.text());
    let page = cluster.api(0, &map).get(&format!("{}?limit=1", map.events()))?.expect(200)?.json()?;
    ensure!(page["data"].as_array().is_some_and(|events| events.len() == 1), "{page}");
    socket.alive()?;
    cluster.joined(0, &map, json!({}))?;

    std::fs::remove_file(&filler)?;
    let retention = json!({"retention": {"events": 10}});
    cluster.admin(0).patch(&format!("/api/maps/{}", map.id), &retention)?;
    // The store reuses the space that retention frees; the log frees its own.
    let accepted = |cluster: &testkit::Cluster| {
        let again = |c: &testkit::Cluster| {
            publish(c, 0, &map, "x", json!("z"))?["seq"].as_u64().context("no seq").map(Some)
        };
        cluster.wait_until("a publish to be accepted again", again)
    };
    let next = accepted(cluster).or_else(|_| {
        println!("retention alone freed too little: enlarging the file system");
        disk.resize(400)?;
        accepted(cluster)
    })?;
    acked.push(next);
    let (more, _) = fill(cluster, &map, 5)?;
    acked.extend(more);
    ensure!(acked.windows(2).all(|pair| pair[0] < pair[1]), "seqs went back: {acked:?}");
    cluster.nodes[0].kill9()?;
    cluster.start(0)?;
    let kept: Vec<u64> =
        testkit::checks::same_backfill(cluster, &map)?.iter().map(|event| event.seq).collect();
    ensure!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]), "a gap: {kept:?}");
    ensure!(
        kept.last() == acked.last(),
        "the newest is {:?}, acknowledged was {:?}",
        kept.last(),
        acked.last()
    );
    Ok(())
}

#[test]
fn one_full_follower_stops_no_publisher() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("follower")?;
        let node = cluster.follower()?;
        cluster.nodes[node].kill9()?;
        cluster.nodes[node].wipe()?;
        let Some(_small) = Small::mount(&cluster.nodes[node].data, 64)? else { return Ok(()) };
        cluster.bring_back(node)?;
        let filler = fill_disk(&cluster.nodes[node].data)?;
        cluster.wait_until("the full disk to be reported", |c| {
            Ok(c.members(c.leader()?)?.iter().any(|m| m["disk_full"] == true).then_some(()))
        })?;
        let at = cluster.leader()?;
        for n in 0..20 {
            publish(cluster, at, &map, "x", json!({"n": n}))?;
        }
        ensure!(cluster.nodes[node].ended()?.is_none(), "the full node ended");
        std::fs::remove_file(&filler)?;
        cluster.wait_ready()?;
        ensure!(testkit::checks::same_backfill(cluster, &map)?.len() == 20);
        cluster.nodes[node].kill9()
    });
}

/// Publishes 900 KiB at a time, from several connections at once, until each is refused a few times.
fn flood(cluster: &testkit::Cluster, map: &testkit::cluster::Map) -> Result<()> {
    let urls = cluster.urls_from(0);
    let event = json!({"type": "x", "payload": "x".repeat(100 << 10)});
    let body = json!({"events": vec![event; 9]});
    let one = |url: &str| -> Result<()> {
        let mut refused = 0;
        for _ in 0..300 {
            let answer = testkit::http::Api::new(url, Some(&map.token)).post(&map.events(), &body)?;
            match answer.status {
                201 => {}
                503 => refused += 1,
                _ => anyhow::bail!("expected 201 or 503: {} {}", answer.status, answer.text()),
            }
            if refused == 5 {
                return Ok(());
            }
        }
        anyhow::bail!("the disk never filled up")
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = urls.iter().cycle().take(6).map(|url| scope.spawn(|| one(url))).collect();
        all.into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a publisher panicked"))?)
    })
}

#[test]
fn a_disk_that_fills_at_once_ends_no_node() {
    on_small_disks(1, 120, |cluster, _| at_once(cluster));
}

fn at_once(cluster: &mut testkit::Cluster) -> Result<()> {
    cluster.start(0)?;
    let map = cluster.map("flood")?;
    flood(cluster, &map)?;
    ensure!(cluster.nodes[0].ended()?.is_none(), "the node ended");
    let before = testkit::checks::same_backfill(cluster, &map)?.len();

    // A node that starts without free space runs, or reports why it can't; it must not take a full disk for
    // damage.
    cluster.nodes[0].kill9()?;
    let filler = cluster.nodes[0].data.join("filler");
    Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", filler.display())).output()?;
    cluster.nodes[0].start()?;
    let runs = testkit::wait::until("the node to run or to end", || match cluster.nodes[0].ended()? {
        Some(_) => Ok(Some(false)),
        None => cluster.status(0).map(|_| Some(true)),
    })?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    if !runs || cluster.nodes[0].ended()?.is_some() {
        let log = cluster.nodes[0].log_tail(10);
        ensure!(log.contains("make room") || log.contains("No space left"), "{log}");
        println!("without free space: {}", log.lines().last().unwrap_or_default());
    } else {
        ensure!(testkit::checks::same_backfill(cluster, &map)?.len() >= before);
        cluster.nodes[0].kill9()?;
    }
    std::fs::remove_file(&filler)?;
    cluster.start(0)?;
    // A refused publish may have been stored after all.
    let after = testkit::checks::same_backfill(cluster, &map)?.len();
    ensure!(after >= before, "{before} events before the restart, {after} after it");
    Ok(())
}

#[test]
fn a_follower_with_too_small_a_disk_runs_and_catches_up_on_a_larger_one() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("small")?;
        let event = json!({"type": "x", "payload": "x".repeat(100 << 10)});
        let body = json!({"events": vec![event; 9]});
        let node = cluster.follower()?;
        cluster.nodes[node].kill9()?;
        let at = cluster.leader()?;
        for _ in 0..80 {
            cluster.publish(at, &map, &body)?;
        }
        cluster.nodes[node].wipe()?;
        let Some(small) = Small::mount(&cluster.nodes[node].data, 64)? else { return Ok(()) };
        cluster.nodes[node].start()?;
        cluster.wait_until("the small disk to be full", |c| {
            Ok(c.nodes[node].log_tail(200).contains("room on the disk").then_some(()))
        })?;
        // Long enough for several more attempts.
        std::thread::sleep(std::time::Duration::from_secs(5));
        ensure!(cluster.nodes[node].ended()?.is_none(), "the small node ended");
        small.resize(600)?;
        cluster.wait_ready()?;
        ensure!(testkit::checks::same_backfill(cluster, &map)?.len() == 720);
        cluster.nodes[node].kill9()
    });
}

#[test]
fn three_disks_that_fill_at_once_end_no_node() {
    on_small_disks(3, 120, |cluster, small| {
        cluster.launch()?;
        let map = cluster.map("flood")?;
        flood(cluster, &map)?;
        small.iter().try_for_each(|disk| disk.resize(600))?;
        cluster.wait_ready()?;
        ensure!(!testkit::checks::same_backfill(cluster, &map)?.is_empty());
        for node in &mut cluster.nodes {
            ensure!(node.ended()?.is_none() && !node.log_tail(2000).contains("panicked"), "a node ended");
        }
        Ok(())
    });
}
