//! Files that are damaged while their node is down.

use super::Run;
use crate::history::Record;
use anyhow::{Context, Result};
use std::fs::OpenOptions;
use std::io::Write;
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
    down_and_damaged(run, "bit flip", |run, node| {
        let file = largest(&run.cluster.nodes[node].data.join(part))?;
        let mut bytes = std::fs::read(&file)?;
        // A file of zeros may hold nothing that could be damaged.
        let used: Vec<usize> =
            bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
        let at = *used.get(run.dice.below(used.len())).context("the file has only zeros")?;
        bytes[at] ^= 1 << run.dice.below(8);
        std::fs::write(&file, bytes)?;
        Ok(format!("{} at {at}", file.display()))
    })
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
