//! A node with a low limit of open files, and more silent connections than that: they cost time and never end
//! the node.

use crate::support::{nodes, publish, scenario};
use anyhow::{Result, ensure};
use rustix::process::{Resource, getrlimit};
use serde_json::json;
use std::net::{SocketAddr, TcpStream};
use testkit::Cluster;

/// More connections than the node may have open files.
const SILENT: usize = 1300;

fn silent(addr: SocketAddr, n: usize) -> Result<Vec<TcpStream>> {
    Ok((0..n).map(|_| TcpStream::connect(addr)).collect::<std::io::Result<_>>()?)
}

/// Checks that this process may hold the other ends of the connections.
fn enough_files() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    ensure!(
        maximum.is_none_or(|most| most > 2 * SILENT as u64),
        "this test needs more open files than {maximum:?}"
    );
    Ok(())
}

/// Restarts the only node with that limit of open files.
fn restart_with(cluster: &mut Cluster, files: usize) -> Result<()> {
    cluster.nodes[0].kill9()?;
    let script = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
    cluster.nodes[0].launcher = vec!["sh".to_owned(), "-c".to_owned(), script];
    cluster.bring_back(0)
}

#[test]
fn silent_connections_do_not_use_up_the_open_files() {
    enough_files().unwrap();
    // The node closes silent connections soon, so that the test does not wait for them.
    scenario(nodes(1).set("WAYPOST_LIMITS_UPGRADE_TIMEOUT_MS", 1000), |cluster| {
        restart_with(cluster, 1024)?;
        let map = cluster.map("files")?;
        let http = cluster.nodes[0].http;
        let peer = cluster.nodes[0].peer;
        for round in 0..3 {
            let _kept = (silent(http, SILENT)?, silent(peer, SILENT / 2)?);
            for _ in 0..3 {
                cluster.wait_until("an event to be published", |cluster| {
                    Ok(publish(cluster, 0, &map, "x", json!({"round": round})).ok())
                })?;
            }
        }
        ensure!(cluster.nodes[0].ended()?.is_none(), "the node ended");
        let log = cluster.nodes[0].log_tail(usize::MAX);
        // A peer that connects while the node closes other connections may have to wait; nothing else may
        // lack a file.
        let missed =
            log.lines().find(|l| l.contains("Too many open files") && !l.contains("cannot accept a peer"));
        ensure!(missed.is_none(), "the node ran out of files: {missed:?}");
        ensure!(log.contains("a limit of 1024 open files leaves"), "the low limit was not logged");
        let status = cluster.wait_until("the status", |cluster| Ok(cluster.status(0).ok()))?;
        ensure!(status["problems"].to_string().contains("few_open_files"), "{status}");
        Ok(())
    });
}
