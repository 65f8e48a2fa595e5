//! What every test here needs: a cluster that tells its state when a check fails, tables of checks,
//! and short ways to publish.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use testkit::cluster::Map;
use testkit::{Cluster, Options};

/// A named check.
pub(crate) type Check = (&'static str, fn(&Cluster) -> Result<()>);

/// The program under test: the one that was built with these tests, unless `WAYPOST_TEST_BINARY`
/// names another.
pub(crate) fn binary() -> String {
    let built = || env!("CARGO_BIN_EXE_waypost").to_owned();
    std::env::var("WAYPOST_TEST_BINARY").unwrap_or_else(|_| built())
}

/// N nodes of it. A socket that a test leaves alone for a while, on a busy machine for long, is not idle.
pub(crate) fn nodes(n: usize) -> Options {
    static RAISED: Once = Once::new();
    // For all tests of this process together.
    RAISED.call_once(|| {
        testkit::proc::raise_open_files().expect("a limit that is not over the maximum");
    });
    Options::new(&binary(), n).set("WAYPOST_SESSION_IDLE_TIMEOUT_SECONDS", 600)
}

/// Boots a cluster and runs `body` on it; a failure comes with the state and logs of all nodes.
pub(crate) fn scenario(options: Options, body: impl FnOnce(&mut Cluster) -> Result<()>) {
    let mut cluster = Cluster::boot(&options).unwrap_or_else(|e| panic!("boot: {e:#}"));
    if let Err(error) = body(&mut cluster) {
        panic!("{error:#}\n{}", cluster.dump());
    }
}

/// Boots a cluster and runs all checks on it, one after another; those that fail are told together.
pub(crate) fn checked(options: Options, checks: &[Check]) {
    let only = std::env::var("WAYPOST_TEST_CHECK").ok();
    scenario(options, |cluster| {
        let mut failures = String::new();
        for (name, check) in checks {
            if only.as_ref().is_some_and(|o| !name.contains(o.as_str())) {
                continue;
            }
            match check(cluster).and_then(|()| unharmed(cluster)) {
                Ok(()) => println!("  ok: {name}"),
                Err(error) => {
                    println!("  FAILED: {name}: {error:#}");
                    writeln!(failures, "* {name}: {error:#}")?;
                }
            }
        }
        ensure!(failures.is_empty(), "failed checks:\n{failures}");
        Ok(())
    });
}

/// Every node still answers, and is ready, if need be after an election.
pub(crate) fn unharmed(cluster: &Cluster) -> Result<()> {
    cluster.wait_until("every node to be ready", |cluster| {
        for node in 0..cluster.nodes.len() {
            cluster.admin(node).get("/readyz")?.expect(200)?;
        }
        Ok(Some(()))
    })
}

/// Publishes one event through a node; the envelope from the answer.
pub(crate) fn publish(cluster: &Cluster, node: usize, map: &Map, kind: &str, payload: Value) -> Result<Value> {
    cluster.publish(node, map, &json!({"type": kind, "payload": payload}))
}

/// Publishes `n` events of one type in one batch; their envelopes.
pub(crate) fn publish_many(cluster: &Cluster, node: usize, map: &Map, kind: &str, n: usize) -> Result<Vec<Value>> {
    let events: Vec<Value> = (0..n).map(|i| json!({"type": kind, "payload": {"i": i}})).collect();
    let data = cluster.publish(node, map, &json!({"events": events}))?;
    Ok(data.as_array().cloned().unwrap_or_default())
}

/// A script of `tests/py`, by the interpreter that has what it needs.
pub(crate) fn python(script: &str) -> Result<Command> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target folder")?;
    let python = target.join("python/bin/python");
    ensure!(python.exists(), "the Python packages aren't installed: run `make clients`");
    let mut command = Command::new(python);
    command.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/py").join(script));
    Ok(command)
}

/// A number from the environment, to make a test larger by hand.
pub(crate) fn scale(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}
