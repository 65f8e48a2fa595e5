//! The work of operators, done under load: members are promoted, demoted, drained and removed, the lead is
//! handed over, and snapshots and backups are made. An operation may be refused with a reason. One backup is
//! restored at the end.

use super::Run;
use crate::history::Record;
use crate::load::finish;
use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::cluster::ADMIN;
use testkit::http::Api;
use testkit::node::{Node, without_settings};
use testkit::wait;

/// The longest time of an operation; a removal waits for a drain.
const OPERATION: Duration = Duration::from_secs(60);
/// The time from the beginning of one operation to the next, if the first has ended.
const EVERY: Duration = Duration::from_secs(2);
/// How long all nodes may take to be voters again, and to serve.
const MENDED: Duration = Duration::from_secs(60);
/// The operations that need a node.
const ON_NODE: [&str; 7] = ["promote", "demote", "drain", "undrain", "transfer-leader", "snapshot", "add"];

/// The operations of a run so far.
#[derive(Debug, Default)]
pub struct Desk {
    done: u64,
    refused: u64,
    backups: usize,
    /// The last backup that has everything acknowledged before it.
    last: Option<(String, PathBuf)>,
}

/// One random operation.
pub fn any(run: &mut Run) -> Result<()> {
    let begun = Instant::now();
    let node = run.any();
    match run.dice.below(11) {
        0..7 => {
            let name = ON_NODE[run.dice.below(ON_NODE.len())];
            let id = id(run, node)?;
            let body = match name {
                "add" => json!({"address": run.cluster.nodes[node].peer.to_string()}),
                "snapshot" if run.dice.thousandth(500) => json!({}),
                _ => json!({"node": id}),
            };
            operate(run, name, node, &body, false)?;
        }
        7 => {
            operate(run, "step-down", node, &json!({}), false)?;
        }
        8 => replaced(run, node)?,
        _ => backup(run, node)?,
    }
    run.rest(EVERY.saturating_sub(begun.elapsed()))
}

/// The lead is handed over.
pub fn transfer_leader(run: &mut Run) -> Result<()> {
    let begun = Instant::now();
    let node = run.any();
    let body = match run.dice.thousandth(500) {
        true => json!({"node": id(run, node)?}),
        false => json!({}),
    };
    operate(run, "transfer-leader", node, &body, false)?;
    run.rest(EVERY.saturating_sub(begun.elapsed()))
}

fn desk(run: &mut Run) -> &mut Desk {
    run.desk.get_or_insert_with(Desk::default)
}

/// The id under which the cluster knows a node.
pub(super) fn id(run: &Run, node: usize) -> Result<u64> {
    wait::until("a node to report its id", || run.cluster.id(node).map(Some))
}

/// Asks any node to do it. Returns whether it was done. `cut`: the node may be out of reach from then on,
/// until it is mended.
pub(super) fn operate(run: &mut Run, name: &str, node: usize, body: &Value, cut: bool) -> Result<bool> {
    let fault = format!("operation: {name}");
    let asked = run.any();
    run.broken(&fault, &[node], cut, body.to_string());
    let answer = run.cluster.admin(asked).timeout(OPERATION).post(&format!("/api/cluster/{name}"), body);
    let done = match answer {
        Ok(answer) if answer.status == 200 => true,
        // The answer says in a few words why, and what to do about it.
        Ok(answer) if matches!(answer.status, 404 | 409 | 503) && !answer.code().is_empty() => false,
        Ok(answer) => {
            let why = format!("node {asked} answered {}: {}", answer.status, answer.text());
            run.journal.note(Record::Behind { whom: fault.clone(), why });
            false
        }
        // The node that was asked went away meanwhile: only the status shows that.
        Err(_) => false,
    };
    *(if done { &mut desk(run).done } else { &mut desk(run).refused }) += 1;
    if !(done && cut) {
        run.mended(&fault, &[node]);
    }
    Ok(done)
}

/// A member is removed for good; its machine comes back as a new member.
fn replaced(run: &mut Run, node: usize) -> Result<()> {
    let body = json!({"node": id(run, node)?});
    if !operate(run, "remove", node, &body, true)? {
        return Ok(());
    }
    run.kill(node)?;
    run.cluster.nodes[node].wipe()?;
    run.start(node)?;
    run.cluster.wait_node(node)?;
    run.mended("operation: remove", &[node]);
    Ok(())
}

/// The `waypost` program makes a backup of the running cluster, and must report it as whole.
fn backup(run: &mut Run, node: usize) -> Result<()> {
    let number = desk(run).backups;
    let name = format!("backup{number}");
    let file = run.cluster.dir().join(format!("{number}.backup"));
    desk(run).backups += 1;
    let path = file.display().to_string();
    let url = run.cluster.nodes[node].url();
    run.broken("operation: backup", &[node], false, "");
    run.journal.note(Record::BackupBegun { backup: name.clone() });
    let made = waypost(run, &["cluster", "backup", &path, "--with-key", "--url", &url]);
    run.mended("operation: backup", &[node]);
    let Ok(said) = made else {
        desk(run).refused += 1;
        return Ok(());
    };
    if let Err(error) = waypost(run, &["cluster", "backup", "--verify", &path]) {
        run.journal.note(Record::Behind { whom: name, why: format!("{error:#}") });
        return Ok(());
    }
    desk(run).done += 1;
    // A backup without a majority may lack events: the program reports that.
    if !said.contains("there is no majority") {
        desk(run).last = Some((name, file));
    }
    Ok(())
}

/// Runs the program. Returns what it printed to standard error.
fn waypost(run: &Run, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("timeout");
    command.arg("60").arg(&run.binary).args(arguments);
    let out = without_settings(&mut command).env("WAYPOST_TOKEN", ADMIN).output()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    ensure!(out.status.success(), "{arguments:?}: {said}");
    Ok(said)
}

/// Makes all nodes vote and serve again.
pub(super) fn end(run: &mut Run) -> Result<()> {
    let Some(desk) = &run.desk else { return Ok(()) };
    println!("  {} operations were done, {} refused; {} backups", desk.done, desk.refused, desk.backups);
    let mended = wait::until_for(MENDED, "all nodes to vote and serve", || {
        let members = run.cluster.members(0)?;
        for member in &members {
            let id = &member["id"];
            let body = json!({"node": id});
            for name in ["undrain", "promote"] {
                let done =
                    run.cluster.admin(0).timeout(OPERATION).post(&format!("/api/cluster/{name}"), &body)?;
                ensure!(done.status == 200, "{name} of {id}: {}", done.text());
            }
        }
        Ok((members.len() == run.cluster.nodes.len()).then_some(()))
    });
    if let Err(error) = mended {
        run.journal.note(Record::Behind { whom: "the members".to_owned(), why: format!("{error:#}") });
    }
    Ok(())
}

/// Restores the last backup as a cluster of its own, and records what it holds.
pub(super) fn restore(run: &Run) -> Result<()> {
    let Some((backup, file)) = run.desk.as_ref().and_then(|desk| desk.last.clone()) else { return Ok(()) };
    if let Err(error) = restored(run, &backup, &file) {
        run.journal.note(Record::Behind { whom: format!("{backup}, restored"), why: format!("{error:#}") });
    }
    Ok(())
}

fn restored(run: &Run, backup: &str, file: &Path) -> Result<()> {
    let mut node: Node = run.one_more()?;
    node.env.remove("WAYPOST_JOIN");
    let from = file.display().to_string();
    let to = node.data.display().to_string();
    waypost(run, &["restore", "--from", &from, "--data-dir", &to, "--yes"])?;
    node.start()?;
    wait::until("the restored node", || {
        if let Some(status) = node.ended()? {
            bail!("it ended: {status}: {}", node.log_tail(5));
        }
        Api::new(&node.url(), None).timeout(Duration::from_secs(5)).get("/readyz")?.expect(200).map(Some)
    })?;
    let events = finish::stored(&Api::new(&node.url(), Some(ADMIN)), &run.load.site.main)?;
    println!("  {backup} was restored: {} events", events.len());
    for event in events {
        run.journal.note(Record::Copied { backup: backup.to_owned(), event });
    }
    run.journal.note(Record::Restored { backup: backup.to_owned() });
    Ok(())
}
