//! Helpers for all tests here: clusters that print their state when a check fails, tables of checks, and
//! publishing.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Once;
use std::time::{Duration, Instant};
use testkit::cluster::Map;
use testkit::node::printing_json;
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

/// Builds the command that runs the program with these arguments, without the settings of this environment. It
/// prints JSON.
pub(crate) fn waypost(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    printing_json(&mut command).args(arguments);
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

/// The median time of some publishes at that node.
pub(crate) fn median(cluster: &Cluster, node: usize, map: &Map) -> Result<Duration> {
    const PUBLISHES: usize = 60;
    let mut times = Vec::new();
    for _ in 0..PUBLISHES {
        let start = Instant::now();
        publish(cluster, node, map, "x", json!({}))?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[PUBLISHES / 2])
}

/// Reads until the text ends with `end`, and no further.
pub(crate) fn read_until(stream: &mut impl Read, end: &str) -> Result<String> {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with(end) {
        ensure!(stream.read(&mut byte).with_context(|| text.clone())? > 0, "no {end} in {text}");
        text.push(char::from(byte[0]));
    }
    Ok(text)
}

/// Reads one HTTP answer that says how long it is. Returns its head and its body.
pub(crate) fn read_answer(stream: &mut impl Read) -> Result<(String, String)> {
    let head = read_until(stream, "\r\n\r\n")?;
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok((head, String::from_utf8(body)?))
}

/// Sends these bytes again and again, with pauses, until the connection ends. Returns what came.
pub(crate) fn trickle(stream: &mut TcpStream, bytes: &[u8], limit: Duration) -> Result<String> {
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    let start = Instant::now();
    let mut came = Vec::new();
    let mut some = [0; 1024];
    loop {
        ensure!(start.elapsed() < limit, "the connection is kept");
        match stream.read(&mut some) {
            Ok(0) => break,
            Ok(n) => came.extend_from_slice(&some[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // The node may have closed: its answer is still to be read.
                let _ = stream.write_all(bytes);
            }
            Err(_) => break,
        }
    }
    Ok(String::from_utf8_lossy(&came).into_owned())
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
