//! A disk that fills up: publishing is refused before it is too late, everything else goes on, and the node recovers by
//! itself. Needs root, for a small file system of its own.

use crate::support::{nodes, publish, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::phoenix::Socket;

/// What is left when somebody has taken the room, MiB: less than must be free, and enough for votes and small writes.
const LEFT_MIB: u64 = 3;

/// A small file system in memory; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    /// `None` where it may not be mounted.
    fn mount(at: &Path, mib: u32) -> Result<Option<Self>> {
        std::fs::create_dir_all(at)?;
        let size = format!("size={mib}m");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        Ok(status.is_ok_and(|out| out.status.success()).then(|| Self(at.to_owned())))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Publishes until it is refused; the acknowledged seqs.
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

/// Fills the file system but for [`LEFT_MIB`].
fn take_room(dir: &Path) -> Result<PathBuf> {
    let told = Command::new("df").args(["-BM", "--output=avail"]).arg(dir).output()?;
    let told = String::from_utf8(told.stdout)?;
    let available: u64 = told.lines().last().context("df says nothing")?.trim().trim_end_matches('M').parse()?;
    let filler = dir.join("filler");
    let count = format!("count={}", available.saturating_sub(LEFT_MIB));
    Command::new("dd").args(["if=/dev/zero", "bs=1M", &count]).arg(format!("of={}", filler.display())).output()?;
    Ok(filler)
}

#[test]
fn a_full_disk_refuses_events_and_loses_none() {
    let mut cluster = testkit::Cluster::prepare(&nodes(1)).unwrap();
    let Some(_small) = Small::mount(&cluster.nodes[0].data, 160).unwrap() else {
        return println!("skipped: mounting a file system of its own needs root");
    };
    let done = full(&mut cluster);
    if let Err(error) = done {
        panic!("{error:#}\n{}", cluster.dump());
    }
    cluster.nodes.clear();
}

fn full(cluster: &mut testkit::Cluster) -> Result<()> {
    cluster.nodes[0].start()?;
    cluster.wait_node(0)?;
    let map = cluster.map("full")?;
    let mut socket = Socket::connect(cluster.nodes[0].http, &map.token)?;
    socket.join_ok(&map.topic(), json!({"events": ["never"]}))?;
    let (mut acked, refused) = fill(cluster, &map, 2000)?;
    ensure!(refused, "160 MiB took {} events of 100 KiB", acked.len());
    println!("refused after {} events", acked.len());

    // Somebody else takes nearly all that is left. A node that could not write what it has in memory would end, and
    // go on after a restart with room: this one has nothing to write.
    cluster.admin(0).post("/api/cluster/snapshot", &json!({}))?.expect(200)?;
    let filler = take_room(&cluster.nodes[0].data)?;
    std::thread::sleep(std::time::Duration::from_secs(3));
    ensure!(cluster.nodes[0].ended()?.is_none(), "the node ended");
    cluster.wait_until("both problems to be told", |c| {
        let status = c.status(0)?;
        let problems = status["problems"].as_array().context("no problems")?;
        let codes: Vec<&Value> = problems.iter().map(|p| &p["code"]).collect();
        ensure!(codes.contains(&&json!("disk_full")) && codes.contains(&&json!("disk_low")), "{codes:?}");
        Ok(Some(()))
    })?;
    let small = json!({"type": "x", "payload": "y"});
    let refused = cluster.api(0, &map).post(&map.events(), &small)?;
    ensure!((refused.status, refused.code().as_str()) == (503, "disk_full"), "{}", refused.text());
    let page = cluster.api(0, &map).get(&format!("{}?limit=1", map.events()))?.expect(200)?.json()?;
    ensure!(page["data"].as_array().is_some_and(|events| events.len() == 1), "{page}");
    socket.alive()?;
    let mut late = Socket::connect(cluster.nodes[0].http, &map.token)?;
    late.join_ok(&map.topic(), json!({}))?;

    std::fs::remove_file(&filler)?;
    let retention = json!({"retention": {"events": 10}});
    cluster.admin(0).patch(&format!("/api/maps/{}", map.id), &retention)?;
    // The store reuses what retention frees; the log gives its part back by itself.
    let taken = |cluster: &testkit::Cluster| {
        let again =
            |c: &testkit::Cluster| publish(c, 0, &map, "x", json!("z"))?["seq"].as_u64().context("no seq").map(Some);
        cluster.wait_until("publishing to be taken again", again)
    };
    let next = taken(cluster).or_else(|_| {
        println!("retention alone made too little room: the file system is made larger");
        let grown = Command::new("mount").args(["-o", "remount,size=400m"]).arg(&cluster.nodes[0].data).status()?;
        ensure!(grown.success());
        taken(cluster)
    })?;
    acked.push(next);
    let (more, _) = fill(cluster, &map, 5)?;
    acked.extend(more);
    ensure!(acked.windows(2).all(|pair| pair[0] < pair[1]), "seqs went back: {acked:?}");
    cluster.nodes[0].kill9()?;
    cluster.nodes[0].start()?;
    cluster.wait_node(0)?;
    let kept: Vec<u64> = testkit::checks::same_backfill(cluster, &map)?.iter().map(|event| event.seq).collect();
    ensure!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]), "a gap: {kept:?}");
    ensure!(kept.last() == acked.last(), "the newest is {:?}, acknowledged was {:?}", kept.last(), acked.last());
    Ok(())
}

#[test]
fn one_full_follower_stops_nobody() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("follower")?;
        let node = cluster.follower()?;
        cluster.nodes[node].kill9()?;
        cluster.nodes[node].wipe()?;
        let Some(_small) = Small::mount(&cluster.nodes[node].data, 64)? else {
            println!("skipped: mounting a file system of its own needs root");
            return Ok(());
        };
        cluster.nodes[node].start()?;
        cluster.wait_ready()?;
        let filler = take_room(&cluster.nodes[node].data)?;
        cluster.wait_until("the full disk to be told", |c| {
            let status = c.status(c.leader()?)?;
            let members = status["members"].as_array().context("no members")?;
            Ok(members.iter().any(|m| m["disk_full"] == true).then_some(()))
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

/// Publishes 900 KiB at a time, from several connections at once, until each was refused a few times.
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
        anyhow::bail!("the disk never was full")
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = urls.iter().cycle().take(6).map(|url| scope.spawn(|| one(url))).collect();
        all.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a publisher panicked"))?)
    })
}

#[test]
fn a_disk_that_fills_at_once_ends_no_node() {
    let mut cluster = testkit::Cluster::prepare(&nodes(1)).unwrap();
    let Some(_small) = Small::mount(&cluster.nodes[0].data, 120).unwrap() else {
        return println!("skipped: mounting a file system of its own needs root");
    };
    if let Err(error) = at_once(&mut cluster) {
        panic!("{error:#}\n{}", cluster.dump());
    }
    cluster.nodes.clear();
}

fn at_once(cluster: &mut testkit::Cluster) -> Result<()> {
    cluster.nodes[0].start()?;
    cluster.wait_node(0)?;
    let map = cluster.map("flood")?;
    flood(cluster, &map)?;
    ensure!(cluster.nodes[0].ended()?.is_none(), "the node ended");
    let before = testkit::checks::same_backfill(cluster, &map)?.len();

    // A node that finds no room at its start runs, or says why it doesn't; it takes nothing for damaged.
    cluster.nodes[0].kill9()?;
    let filler = cluster.nodes[0].data.join("filler");
    Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", filler.display())).output()?;
    cluster.nodes[0].start()?;
    let runs = testkit::wait::until("the node to run, or to end", || match cluster.nodes[0].ended()? {
        Some(_) => Ok(Some(false)),
        None => cluster.status(0).map(|_| Some(true)),
    })?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    if !runs || cluster.nodes[0].ended()?.is_some() {
        let told = cluster.nodes[0].log_tail(10);
        ensure!(told.contains("make room") || told.contains("No space left"), "{told}");
        println!("without room: {}", told.lines().last().unwrap_or_default());
    } else {
        ensure!(testkit::checks::same_backfill(cluster, &map)?.len() >= before);
        cluster.nodes[0].kill9()?;
    }
    std::fs::remove_file(&filler)?;
    cluster.nodes[0].start()?;
    cluster.wait_node(0)?;
    // A refusal may have been of a publish that landed after all.
    let after = testkit::checks::same_backfill(cluster, &map)?.len();
    ensure!(after >= before, "{before} events, and {after} after the restart");
    Ok(())
}

#[test]
fn a_follower_whose_disk_is_too_small_lives_and_catches_up_on_a_larger_one() {
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
        let Some(_small) = Small::mount(&cluster.nodes[node].data, 64)? else {
            println!("skipped: mounting a file system of its own needs root");
            return Ok(());
        };
        cluster.nodes[node].start()?;
        cluster.wait_until("the small disk to be full", |c| {
            Ok(c.nodes[node].log_tail(200).contains("room on the disk").then_some(()))
        })?;
        // As long as it takes to try it some times more.
        std::thread::sleep(std::time::Duration::from_secs(5));
        ensure!(cluster.nodes[node].ended()?.is_none(), "the small node ended");
        let grown = Command::new("mount").args(["-o", "remount,size=600m"]).arg(&cluster.nodes[node].data).status()?;
        ensure!(grown.success());
        cluster.wait_ready()?;
        ensure!(testkit::checks::same_backfill(cluster, &map)?.len() == 720);
        cluster.nodes[node].kill9()
    });
}

#[test]
fn three_disks_that_fill_at_once_end_no_node() {
    let mut cluster = testkit::Cluster::prepare(&nodes(3)).unwrap();
    let mut small = Vec::new();
    for node in &cluster.nodes {
        let Some(disk) = Small::mount(&node.data, 120).unwrap() else {
            return println!("skipped: mounting a file system of its own needs root");
        };
        small.push(disk);
    }
    let mut full = || -> Result<()> {
        cluster.launch()?;
        let map = cluster.map("flood")?;
        flood(&cluster, &map)?;
        for disk in &small {
            let grown = Command::new("mount").args(["-o", "remount,size=600m"]).arg(&disk.0).status()?;
            ensure!(grown.success());
        }
        cluster.wait_ready()?;
        ensure!(!testkit::checks::same_backfill(&cluster, &map)?.is_empty());
        for node in &mut cluster.nodes {
            ensure!(node.ended()?.is_none() && !node.log_tail(2000).contains("panicked"), "a node ended");
        }
        Ok(())
    };
    if let Err(error) = full() {
        panic!("{error:#}\n{}", cluster.dump());
    }
    cluster.nodes.clear();
}
