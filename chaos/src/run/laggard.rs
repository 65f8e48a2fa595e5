//! A node that lags because the link to it is slow: it is asked to lead, or it needs a snapshot.

use super::operations::{id, operate};
use super::{LOOK, Run};
use crate::environment::relay::{Slow, Weather};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::cluster::{Map, unlimited};
use testkit::wait;

/// The link to a node that is asked to lead (bytes per second): less than the load needs.
const LAGS_AT: u64 = 30_000;
/// How long publishers may have to wait after a transfer that fails.
const WRITES: Duration = Duration::from_secs(10);
/// The link to a node that needs a snapshot (bytes per second): several times what the load needs.
const FETCHES_AT: u64 = 400_000;
/// Requests that make the state large, the events of each, and the bytes of an event. The snapshot takes more
/// than ten seconds, and the log's limit of entries is reached within a second or two.
const BATCHES: usize = 100;
const BATCH: usize = 50;
const EVENT: usize = 1000;
/// How long the node may take to get the snapshot and the log after it.
const CATCH_UP: Duration = Duration::from_secs(90);
/// A node that lacks this many entries, or fewer, has caught up.
const NEAR: u64 = 50;

/// The lead is to go to a node that lags. Whatever comes of that, publishing goes on, while others read.
pub fn transfer(run: &mut Run) -> Result<()> {
    run.settle()?;
    let node = follower(run);
    let map = own_map(run, "transfer")?;
    run.broken("slow link", &[node], true, format!("{LAGS_AT} bytes per second"));
    set_link(run, node, Some(LAGS_AT))?;
    let transferred = transferred(run, node, &map);
    set_link(run, node, None)?;
    run.mended("slow link", &[node]);
    transferred?;
    remove(run, &map)?;
    run.settle()
}

fn transferred(run: &mut Run, node: usize, map: &Map) -> Result<()> {
    run.rest_between(3000, 6000)?;
    let body = json!({"node": id(run, node)?});
    let done = operate(run, "transfer-leader", node, &body, false)?;
    println!("  the lead went to a node that lags: {done}");
    let body = json!({"type": "probe", "payload": {}});
    let written = publish(run, map, node, "after", &body, WRITES);
    run.journal.caught_up("publishing after a transfer to a node that lags", written);
    Ok(())
}

/// A node that was away needs a snapshot, over a slow link, while the load goes on.
pub fn snapshot(run: &mut Run) -> Result<()> {
    run.settle()?;
    let node = follower(run);
    let map = own_map(run, "snapshot")?;
    let payload = json!({"fill": "x".repeat(EVENT)});
    let events = json!({"events": vec![json!({"type": "ballast", "payload": payload}); BATCH]});
    for batch in 0..BATCHES {
        publish(run, &map, node, &batch.to_string(), &events, wait::LIMIT)?;
    }
    run.broken("away, then a slow link", &[node], true, format!("{FETCHES_AT} bytes per second"));
    let last =
        wait::until("a node's status", || number(&run.cluster.status(node)?, "last_log_index").map(Some))?;
    run.kill(node)?;
    let purged = purged(run, node, last);
    set_link(run, node, Some(FETCHES_AT))?;
    run.start(node)?;
    let begun = Instant::now();
    let caught_up = caught_up(run, node);
    set_link(run, node, None)?;
    println!("  the snapshot and the log after it took {:.1} s", begun.elapsed().as_secs_f64());
    run.mended("away, then a slow link", &[node]);
    run.journal.caught_up("a node that needs a snapshot under load", purged.and(caught_up));
    remove(run, &map)?;
    run.settle()
}

/// A random node that does not lead.
fn follower(run: &mut Run) -> usize {
    let leader = run.leader();
    let others = run.cluster.nodes.len() - 1;
    (leader + 1 + run.dice.below(others)) % run.cluster.nodes.len()
}

/// Sets how many bytes per second the other nodes can send to this one; `None`: any number.
fn set_link(run: &mut Run, to: usize, bytes_per_second: Option<u64>) -> Result<()> {
    let slow = bytes_per_second.map(|bytes_per_second| Slow { to, bytes_per_second });
    run.net()?.relay()?.set(Weather { slow, ..Weather::default() });
    Ok(())
}

/// A map of this action's own.
fn own_map(run: &Run, what: &str) -> Result<Map> {
    // A scenario may run an action more than once.
    let name = format!("{what}-{}", run.journal.now_ms());
    run.cluster.map_with(&name, json!({"limits": unlimited()}))
}

fn remove(run: &mut Run, map: &Map) -> Result<()> {
    let path = format!("/api/maps/{}", map.id);
    wait::until("the map to be gone", || {
        let node = run.any();
        let status = run.load.site.admin(node).delete(&path)?.status;
        // An attempt whose answer was lost may have been carried out.
        Ok(matches!(status, 204 | 404).then_some(()))
    })
}

/// Publishes through the other nodes, until it is acknowledged.
fn publish(run: &mut Run, map: &Map, but: usize, key: &str, body: &Value, within: Duration) -> Result<()> {
    let until = Instant::now() + within;
    let key = format!("{}-{key}", map.slug);
    let mut tries = 0;
    loop {
        let node = (but + 1 + tries % (run.cluster.nodes.len() - 1)) % run.cluster.nodes.len();
        tries += 1;
        let api = run.load.site.api(node, &map.token).timeout(Duration::from_secs(2));
        match api.post_once(&map.events(), &key, body).and_then(|answer| answer.data(201)) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > until => {
                return Err(error.context(format!("nothing was acknowledged for {within:?}")));
            }
            Err(_) => run.rest(Duration::from_millis(50))?,
        }
    }
}

fn number(status: &Value, name: &str) -> Result<u64> {
    status[name].as_u64().with_context(|| format!("the status has no {name}"))
}

/// Waits until all other nodes have purged everything that `node` has.
fn purged(run: &mut Run, node: usize, last: u64) -> Result<()> {
    let until = Instant::now() + wait::LIMIT;
    loop {
        let others = (0..run.cluster.nodes.len()).filter(|other| *other != node);
        let purged: Result<Vec<u64>> = others.map(|other| compacted(run, other)).collect();
        match purged {
            Ok(purged) if purged.iter().all(|index| *index > last) => return Ok(()),
            told if Instant::now() > until => bail!("the logs are not purged up to {last}: {told:?}"),
            _ => run.rest(LOOK)?,
        }
    }
}

/// Compacts a node's log. Returns up to where it is purged.
fn compacted(run: &Run, node: usize) -> Result<u64> {
    let body = json!({"node": run.cluster.id(node)?});
    run.load.site.admin(node).post("/api/cluster/snapshot", &body)?.expect(200)?;
    number(&run.cluster.status(node)?, "purged_index")
}

/// Waits until a node has applied what the others have committed.
fn caught_up(run: &mut Run, node: usize) -> Result<()> {
    let until = Instant::now() + CATCH_UP;
    loop {
        match lacks(run, node) {
            Ok(entries) if entries <= NEAR => return Ok(()),
            told if Instant::now() > until => bail!("after {CATCH_UP:?} it lacks {told:?} entries"),
            _ => run.rest(LOOK)?,
        }
    }
}

/// How many entries a node lacks.
fn lacks(run: &Run, node: usize) -> Result<u64> {
    let other = (node + 1) % run.cluster.nodes.len();
    let committed = number(&run.cluster.status(other)?, "committed_index")?;
    let applied = number(&run.cluster.status(node)?, "applied_index")?;
    ensure!(applied > 0, "it has applied nothing");
    Ok(committed.saturating_sub(applied))
}
