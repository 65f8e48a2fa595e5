//! What operators do, done while everybody works: members promoted, demoted, drained and removed, the lead handed over,
//! snapshots and backups. What is refused with a reason is fine; one backup is restored in the end.

use super::Fire;
use crate::cluster::ADMIN;
use crate::history::Record;
use crate::http::Api;
use crate::load::finish;
use crate::node::Node;
use crate::wait;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long an operation may take; a removal waits for a drain.
const OPERATION: Duration = Duration::from_secs(60);
/// One operation begins so long after the one before, if that one has ended.
const EVERY: Duration = Duration::from_secs(2);
/// How long all nodes may take to be voters again, and to serve.
const MENDED: Duration = Duration::from_secs(60);
/// Those that need a node.
const ON_NODE: [&str; 7] = ["promote", "demote", "drain", "undrain", "transfer-leader", "snapshot", "add"];

/// What is remembered of a run's operations.
#[derive(Debug, Default)]
pub struct Desk {
    done: u64,
    refused: u64,
    backups: usize,
    /// The last one that has all that was acknowledged before it.
    last: Option<(String, PathBuf)>,
}

/// One operation, by chance.
pub fn any(fire: &mut Fire) -> Result<()> {
    let begun = Instant::now();
    let node = fire.any();
    match fire.dice.below(11) {
        0..7 => {
            let name = ON_NODE[fire.dice.below(ON_NODE.len())];
            let id = id(fire, node)?;
            let body = match name {
                "add" => json!({"address": fire.cluster.nodes[node].peer.to_string()}),
                "snapshot" if fire.dice.thousandth(500) => json!({}),
                _ => json!({"node": id}),
            };
            operate(fire, name, node, &body, false)?;
        }
        7 => {
            operate(fire, "step-down", node, &json!({}), false)?;
        }
        8 => replaced(fire, node)?,
        _ => backup(fire, node)?,
    }
    fire.rest(EVERY.saturating_sub(begun.elapsed()))
}

/// The lead is handed over.
pub fn transfer_leader(fire: &mut Fire) -> Result<()> {
    let begun = Instant::now();
    let node = fire.any();
    let body = match fire.dice.thousandth(500) {
        true => json!({"node": id(fire, node)?}),
        false => json!({}),
    };
    operate(fire, "transfer-leader", node, &body, false)?;
    fire.rest(EVERY.saturating_sub(begun.elapsed()))
}

fn desk(fire: &mut Fire) -> &mut Desk {
    fire.desk.get_or_insert_with(Desk::default)
}

fn id(fire: &Fire, node: usize) -> Result<u64> {
    wait::until("a node to tell its id", || Ok(fire.cluster.status(node)?["node_id"].as_u64()))
}

/// Has any node do it; whether it was done. `cut`: the node may be out of reach from then on, until that is mended.
fn operate(fire: &mut Fire, name: &str, node: usize, body: &Value, cut: bool) -> Result<bool> {
    let fault = format!("operation: {name}");
    let asked = fire.any();
    fire.broken(&fault, &[node], cut, body.to_string());
    let answer = fire.cluster.admin(asked).timeout(OPERATION).post(&format!("/api/cluster/{name}"), body);
    let done = match answer {
        Ok(answer) if answer.status == 200 => true,
        // In a few words why, and what to do about it.
        Ok(answer) if matches!(answer.status, 404 | 409 | 503) && !answer.code().is_empty() => false,
        Ok(answer) => {
            let why = format!("node {asked} answered {}: {}", answer.status, answer.text());
            fire.journal.note(Record::Behind { whom: fault.clone(), why });
            false
        }
        // The node that was asked went away meanwhile: it can be known by the status alone.
        Err(_) => false,
    };
    *(if done { &mut desk(fire).done } else { &mut desk(fire).refused }) += 1;
    if !(done && cut) {
        fire.mended(&fault, &[node]);
    }
    Ok(done)
}

/// A member is taken out for good; its machine comes back as a new member.
fn replaced(fire: &mut Fire, node: usize) -> Result<()> {
    let body = json!({"node": id(fire, node)?});
    if !operate(fire, "remove", node, &body, true)? {
        return Ok(());
    }
    fire.kill(node)?;
    fire.cluster.nodes[node].wipe()?;
    fire.start(node)?;
    fire.cluster.wait_node(node)?;
    fire.mended("operation: remove", &[node]);
    Ok(())
}

/// A backup of the running cluster, by the program, which must find it whole.
fn backup(fire: &mut Fire, node: usize) -> Result<()> {
    let number = desk(fire).backups;
    let (name, file) = (format!("backup{number}"), fire.cluster.dir().join(format!("{number}.backup")));
    desk(fire).backups += 1;
    let (path, url) = (file.display().to_string(), fire.cluster.nodes[node].url());
    fire.broken("operation: backup", &[node], false, "");
    fire.journal.note(Record::BackupBegun { backup: name.clone() });
    let made = waypost(fire, &["cluster", "backup", &path, "--with-key", "--url", &url]);
    fire.mended("operation: backup", &[node]);
    let Ok(said) = made else {
        desk(fire).refused += 1;
        return Ok(());
    };
    if let Err(error) = waypost(fire, &["cluster", "backup", "--verify", &path]) {
        fire.journal.note(Record::Behind { whom: name, why: format!("{error:#}") });
        return Ok(());
    }
    desk(fire).done += 1;
    // One without a majority need not have all: that is told.
    if !said.contains("there is no majority") {
        desk(fire).last = Some((name, file));
    }
    Ok(())
}

/// Runs the program; what it said beside its output.
fn waypost(fire: &Fire, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("timeout");
    command.arg("60").arg(&fire.binary).args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WAYPOST_")) {
        command.env_remove(name);
    }
    let out = command.env("WAYPOST_TOKEN", ADMIN).output()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(out.status.success(), "{arguments:?}: {said}");
    Ok(said)
}

/// All nodes vote and serve again.
pub(super) fn end(fire: &mut Fire) -> Result<()> {
    let Some(desk) = &fire.desk else { return Ok(()) };
    println!("  {} operations were done, {} refused; {} backups", desk.done, desk.refused, desk.backups);
    let mended = wait::until_for(MENDED, "all to vote and serve", || {
        let status = fire.cluster.status(0)?;
        let members = status["members"].as_array().context("no members")?;
        for member in members {
            let (id, body) = (member["id"].as_u64(), json!({"node": member["id"]}));
            for name in ["undrain", "promote"] {
                let done = fire.cluster.admin(0).timeout(OPERATION).post(&format!("/api/cluster/{name}"), &body)?;
                ensure!(done.status == 200, "{name} of {id:?}: {}", done.text());
            }
        }
        Ok((members.len() == fire.cluster.nodes.len()).then_some(()))
    });
    if let Err(error) = mended {
        fire.journal.note(Record::Behind { whom: "the members".to_owned(), why: format!("{error:#}") });
    }
    Ok(())
}

/// The last backup becomes a cluster of its own, which tells what it holds.
pub(super) fn restore(fire: &Fire) -> Result<()> {
    let Some((backup, file)) = fire.desk.as_ref().and_then(|desk| desk.last.clone()) else { return Ok(()) };
    if let Err(error) = restored(fire, &backup, &file) {
        fire.journal.note(Record::Behind { whom: format!("{backup}, restored"), why: format!("{error:#}") });
    }
    Ok(())
}

fn restored(fire: &Fire, backup: &str, file: &Path) -> Result<()> {
    let mut node: Node = fire.one_more()?;
    node.env.remove("WAYPOST_JOIN");
    let (from, to) = (file.display().to_string(), node.data.display().to_string());
    waypost(fire, &["restore", "--from", &from, "--data-dir", &to])?;
    node.start()?;
    wait::until("the restored node", || {
        if let Some(status) = node.ended()? {
            bail!("it ended: {status}: {}", node.log_tail(5));
        }
        Api::new(&node.url(), None).timeout(Duration::from_secs(5)).get("/readyz")?.expect(200).map(Some)
    })?;
    let events = finish::told(&Api::new(&node.url(), Some(ADMIN)), &fire.load.site.main)?;
    println!("  {backup} was restored: {} events", events.len());
    for event in events {
        fire.journal.note(Record::Copied { backup: backup.to_owned(), event });
    }
    fire.journal.note(Record::Restored { backup: backup.to_owned() });
    Ok(())
}
