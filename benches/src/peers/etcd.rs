//! etcd: three nodes that acknowledge a put once a majority has it on disk.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Result, ensure};

use super::process::{Held, Process, listens, patiently};
use crate::http;

const NODES: usize = 3;
/// The most bytes of its store: 8 GiB.
const QUOTA: &str = "8589934592";

/// Three servers.
pub(super) struct Three {
    pub(super) processes: Vec<Process>,
    pub(super) nodes: Vec<SocketAddr>,
}

/// Starts three servers and waits until they take a put.
///
/// # Errors
/// They do not in time.
pub(super) async fn three(program: &Path, home: &Path) -> Result<Three> {
    let held = Held::take(2 * NODES)?;
    let addresses = held.addresses()?;
    let (nodes, peers) = addresses.split_at(NODES);
    let cluster: Vec<String> =
        peers.iter().enumerate().map(|(number, peer)| format!("e{number}=http://{peer}")).collect();
    let dir = home.join("etcd");
    fs::create_dir_all(&dir)?;
    drop(held);
    let mut processes = Vec::new();
    for (number, (node, peer)) in nodes.iter().zip(peers).enumerate() {
        let (node, peer) = (format!("http://{node}"), format!("http://{peer}"));
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(dir.join(number.to_string())).args([
            "--name",
            &format!("e{number}"),
            "--listen-client-urls",
            &node,
            "--advertise-client-urls",
            &node,
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster",
            &cluster.join(","),
            "--initial-cluster-state",
            "new",
            "--quota-backend-bytes",
            QUOTA,
            "--log-level",
            "error",
        ]);
        processes.push(Process::start(&mut command, dir.join(format!("log{number}")))?);
    }
    for (process, node) in processes.iter().zip(nodes) {
        listens(process, *node).await?;
        patiently(|| puts(*node)).await.map_err(|error| process.explain(error))?;
    }
    Ok(Three { processes, nodes: nodes.to_vec() })
}

async fn puts(node: SocketAddr) -> Result<()> {
    let status = http::Client::connect(node).await?.exchange(&put(3)).await?;
    ensure!(status == 200, "a put is answered with {status}");
    Ok(())
}

/// A request that puts a value of about so many bytes under the only key.
pub(super) fn put(bytes: usize) -> Vec<u8> {
    // Keys and values are base64: `k`, and `xxx` again and again.
    let value = "eHh4".repeat(bytes / 3);
    http::post("/v3/kv/put", &format!(r#"{{"key":"aw==","value":"{value}"}}"#))
}
