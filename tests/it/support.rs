//! Helpers for all tests here: clusters that print their state when a check fails, tables of checks, and
//! publishing.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Once;
use testkit::cluster::Map;
use testkit::{Cluster, Options};

/// A check and its name.
pub(crate) type Check = (&'static str, fn(&Cluster) -> Result<()>);

/// Returns the path of the program under test: the one built with these tests, unless `WAYPOST_TEST_BINARY`
/// names another.
pub(crate) fn binary() -> String {
    let built = || env!("CARGO_BIN_EXE_waypost").to_owned();
    std::env::var("WAYPOST_TEST_BINARY").unwrap_or_else(|_| built())
}

/// Options for `n` nodes of the program under test. Sockets may be idle, or join nothing, for long, because on a
/// busy machine a test may leave a socket alone for long.
pub(crate) fn nodes(n: usize) -> Options {
    static RAISED: Once = Once::new();
    // Once for all tests of this process.
    RAISED.call_once(|| {
        testkit::proc::raise_open_files().expect("a limit that is not over the maximum");
    });
    Options::new(&binary(), n)
        .set("WAYPOST_SESSION_IDLE_TIMEOUT_SECONDS", 600)
        .set("WAYPOST_SESSION_JOIN_SECONDS", 600)
}

/// Boots a cluster and runs `body` on it; a failure prints the state and logs of all nodes.
pub(crate) fn scenario(options: Options, body: impl FnOnce(&mut Cluster) -> Result<()>) {
    prepared(&options, |cluster| {
        cluster.launch()?;
        body(cluster)
    });
}

/// Does the same with nodes that are not started yet.
pub(crate) fn prepared(options: &Options, body: impl FnOnce(&mut Cluster) -> Result<()>) {
    let mut cluster = Cluster::prepare(options).unwrap();
    if let Err(error) = body(&mut cluster) {
        panic!("{error:#}\n{}", cluster.dump());
    }
}

/// Builds the command that runs the program with these arguments, without the settings of this environment.
pub(crate) fn waypost(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WAYPOST_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Returns all that a program printed.
pub(crate) fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Boots a cluster and runs all checks on it, one after another; reports all failures together.
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

/// Checks that every node answers and becomes ready, if necessary after an election.
pub(crate) fn unharmed(cluster: &Cluster) -> Result<()> {
    cluster.wait_until("every node to be ready", |cluster| {
        for node in 0..cluster.nodes.len() {
            cluster.admin(node).get("/readyz")?.expect(200)?;
        }
        Ok(Some(()))
    })
}

/// Publishes one event through a node and returns the envelope from the answer.
pub(crate) fn publish(
    cluster: &Cluster,
    node: usize,
    map: &Map,
    kind: &str,
    payload: Value,
) -> Result<Value> {
    cluster.publish(node, map, &json!({"type": kind, "payload": payload}))
}

/// Publishes `n` events of one type in one batch and returns their envelopes.
pub(crate) fn publish_many(
    cluster: &Cluster,
    node: usize,
    map: &Map,
    kind: &str,
    n: usize,
) -> Result<Vec<Value>> {
    let events: Vec<Value> = (0..n).map(|i| json!({"type": kind, "payload": {"i": i}})).collect();
    let data = cluster.publish(node, map, &json!({"events": events}))?;
    Ok(data.as_array().cloned().unwrap_or_default())
}

/// Builds the command for a script of `tests/py`, with the interpreter that has its packages.
pub(crate) fn python(script: &str) -> Result<Command> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target folder")?;
    let python = target.join("python/bin/python");
    ensure!(python.exists(), "the Python packages aren't installed: run `make clients`");
    let mut command = Command::new(python);
    command.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/py").join(script));
    Ok(command)
}

/// Reads a number from the environment; it makes a test larger by hand.
pub(crate) fn scale(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}
