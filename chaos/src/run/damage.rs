//! Files that are damaged while their node is down.

use super::Run;
use crate::history::Record;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A bit of the log, which also holds the votes, is flipped.
pub fn flip_log(run: &mut Run) -> Result<()> {
    flipped(run, "raft")
}

/// A bit of the store is flipped.
pub fn flip_store(run: &mut Run) -> Result<()> {
    flipped(run, "state.redb")
}

/// A bit of the file with the node's identity is flipped.
pub fn flip_identity(run: &mut Run) -> Result<()> {
    flipped(run, "identity")
}

fn flipped(run: &mut Run, part: &str) -> Result<()> {
    down_and_damaged(run, "bit flip", |run, node| flip(run, node, part))
}

/// Flips a bit of the largest file of that name, or in the folder of that name. Returns where.
fn flip(run: &mut Run, node: usize, part: &str) -> Result<String> {
    let file = largest(&run.cluster.nodes[node].data.join(part))?;
    let bytes = std::fs::read(&file)?;
    // A file of zeros may hold nothing that could be damaged.
    let used: Vec<usize> =
        bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
    let at = *used.get(run.dice.below(used.len())).context("the file has only zeros")?;
    let byte = [bytes[at] ^ (1 << run.dice.below(8))];
    // In place, because the node may be running.
    OpenOptions::new().write(true).open(&file)?.write_all_at(&byte, at as u64)?;
    Ok(format!("{} at {at}", file.display()))
}

/// Every node is damaged in another place: one in its log, one in its vote, one in its store; half the time
/// while they run, before they are killed. Every record is whole on two of them: nothing may be lost, and
/// each keeps its id.
pub fn flip_all(run: &mut Run) -> Result<()> {
    run.settle()?;
    let all: Vec<usize> = (0..run.cluster.nodes.len()).collect();
    let ids = ids(run, &all)?;
    let running = run.dice.thousandth(500);
    run.broken("bit flips", &all, true, if running { "while they run" } else { "at rest" });
    if !running {
        kill_all(run, &all)?;
    }
    let first = run.dice.below(all.len());
    for (at, part) in ["raft", "vote.0", "state.redb"].into_iter().enumerate() {
        let node = (first + at) % all.len();
        let file = flip(run, node, part)?;
        run.journal.note(Record::Damaged { node, file, certain: false });
    }
    kill_all(run, &all)?;
    run.rest_between(0, 1000)?;
    for node in &all {
        run.start(*node)?;
    }
    run.settle()?;
    run.mended("bit flips", &all);
    let kept = self::ids(run, &all).and_then(|after| {
        ensure!(after == ids, "the nodes had the ids {ids:?}, and have {after:?}");
        Ok(())
    });
    run.journal.caught_up("nodes that were damaged, each in another place", kept);
    Ok(())
}

fn kill_all(run: &mut Run, all: &[usize]) -> Result<()> {
    all.iter().try_for_each(|node| run.kill(*node))
}

/// The id of each node.
fn ids(run: &Run, all: &[usize]) -> Result<Vec<Value>> {
    all.iter().map(|node| Ok(run.cluster.status(*node)?["node_id"].clone())).collect()
}

/// The first node, which has no addresses of others, loses its log and its vote. It starts twice while the
/// others are down. It must found no cluster, and come back when they do.
pub fn damaged_founder(run: &mut Run) -> Result<()> {
    run.settle()?;
    let all: Vec<usize> = (0..run.cluster.nodes.len()).collect();
    run.broken("damaged founder", &all, true, "");
    kill_all(run, &all)?;
    let file = flip(run, 0, "raft")?;
    for copy in ["vote.0", "vote.1"] {
        std::fs::write(run.cluster.nodes[0].data.join(copy), "damaged")?;
    }
    run.journal.note(Record::Damaged { node: 0, file, certain: true });
    let said = run.cluster.nodes[0].log.metadata()?.len();
    let join = run.cluster.nodes[0].env.remove("WAYPOST_JOIN");
    let mut alone = Ok(());
    for _ in 0..2 {
        run.start(0)?;
        run.rest_between(2000, 4000)?;
        let founded = run.cluster.status(0).is_ok_and(|status| status["role"] == "leader");
        if founded {
            alone = Err(anyhow!("the damaged founder leads a cluster while all others are down"));
        }
        run.kill(0)?;
    }
    for node in &all {
        run.start(*node)?;
    }
    run.settle()?;
    if let Some(join) = join {
        run.cluster.nodes[0].env.insert("WAYPOST_JOIN".to_owned(), join);
    }
    run.mended("damaged founder", &all);
    noticed(run, 0, said)?;
    run.journal.caught_up("a founder whose data was damaged", alone);
    Ok(())
}

/// The log ends in the middle of a record that was never acknowledged.
pub fn torn_tail(run: &mut Run) -> Result<()> {
    down_and_damaged(run, "torn tail", |run, node| {
        let file = newest(&run.cluster.nodes[node].data.join("raft"))?;
        let length = 1 + run.dice.below(200);
        let torn: Vec<u8> = (0..length).map(|_| run.dice.next() as u8).collect();
        OpenOptions::new().append(true).open(&file)?.write_all(&torn)?;
        Ok(format!("{} by {length} bytes", file.display()))
    })
}

fn down_and_damaged(
    run: &mut Run,
    fault: &str,
    damage: impl FnOnce(&mut Run, usize) -> Result<String>,
) -> Result<()> {
    run.settle()?;
    let node = if run.dice.thousandth(400) { run.leader() } else { run.any() };
    run.broken(fault, &[node], true, "");
    run.kill(node)?;
    let file = damage(run, node)?;
    // A store also has unused pages, and a torn record is mended without a report.
    let certain = fault == "bit flip" && !file.contains("state.redb");
    run.journal.note(Record::Damaged { node, file, certain });
    let said = run.cluster.nodes[node].log.metadata()?.len();
    run.rest_between(0, 2000)?;
    run.start(node)?;
    run.settle()?;
    run.mended(fault, &[node]);
    noticed(run, node, said)
}

/// Records whether a node has reported damage since its log had that length.
fn noticed(run: &Run, node: usize, said: u64) -> Result<()> {
    let log = std::fs::read(&run.cluster.nodes[node].log)?;
    let since = String::from_utf8_lossy(log.get(said as usize..).unwrap_or_default()).to_lowercase();
    if since.contains("damaged") {
        run.journal.note(Record::Noticed { node });
    }
    Ok(())
}

/// The file itself, or the files in the folder, with their sizes.
fn files(path: &Path) -> Result<Vec<(PathBuf, u64)>> {
    if path.is_file() {
        return Ok(vec![(path.to_owned(), path.metadata()?.len())]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        let entry = entry?;
        if entry.metadata()?.is_file() {
            files.push((entry.path(), entry.metadata()?.len()));
        }
    }
    files.sort();
    Ok(files)
}

fn largest(path: &Path) -> Result<PathBuf> {
    files(path)?.into_iter().max_by_key(|(_, length)| *length).map(|(file, _)| file).context("no file")
}

fn newest(path: &Path) -> Result<PathBuf> {
    files(path)?.pop().map(|(file, _)| file).context("no file")
}
