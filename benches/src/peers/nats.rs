//! NATS: alone with its WebSocket, and as three nodes that store each message on a majority's disks before
//! they acknowledge it (JetStream).

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};
use serde_json::json;

use super::process::{Held, Process, listens, patiently};
use crate::nats::{Acknowledges, Client};

/// The subject that the stream stores.
pub(super) const STORED: &str = "s.t";
const NODES: usize = 3;
/// The most messages that the stream keeps.
const KEPT: u64 = 1_000_000;

/// One server, where clients of its WebSocket and publishers connect.
pub(super) struct Alone {
    pub(super) process: Process,
    pub(super) socket: SocketAddr,
    pub(super) publish_to: SocketAddr,
}

/// Three servers with a stream.
pub(super) struct Three {
    pub(super) processes: Vec<Process>,
    pub(super) nodes: Vec<SocketAddr>,
}

/// Starts one server that stores nothing.
///
/// # Errors
/// It does not listen in time.
pub(super) async fn alone(program: &Path, home: &Path) -> Result<Alone> {
    let held = Held::take(2)?;
    let addresses = held.addresses()?;
    let (publish_to, socket) = (addresses[0], addresses[1]);
    let config = format!(
        "listen: \"{publish_to}\"\nmax_connections: 20000\nwebsocket {{ listen: \"{socket}\", no_tls: true }}\n"
    );
    let dir = home.join("nats");
    let mut command = with_config(program, &dir, &config)?;
    drop(held);
    let process = Process::start(&mut command, dir.join("log"))?;
    listens(&process, socket).await?;
    listens(&process, publish_to).await?;
    Ok(Alone { process, socket, publish_to })
}

/// Starts three servers and makes the stream.
///
/// # Errors
/// They do not listen in time, or do not make the stream.
pub(super) async fn three(program: &Path, home: &Path) -> Result<Three> {
    let held = Held::take(2 * NODES)?;
    let addresses = held.addresses()?;
    let (nodes, peers) = addresses.split_at(NODES);
    let routes: Vec<String> = peers.iter().map(|peer| format!("nats://{peer}")).collect();
    let mut commands: Vec<(Command, PathBuf)> = Vec::new();
    for (number, (node, peer)) in nodes.iter().zip(peers).enumerate() {
        let dir = home.join(format!("nats{number}"));
        let store = dir.join("store").display().to_string();
        let config = format!(
            "server_name: n{number}\nlisten: \"{node}\"\n\
             jetstream {{ store_dir: \"{store}\", sync_interval: always, max_file_store: 20GB, \
             max_memory_store: 256MB }}\n\
             cluster {{ name: c, listen: \"{peer}\", routes: [ {} ] }}\n",
            routes.join(", ")
        );
        commands.push((with_config(program, &dir, &config)?, dir.join("log")));
    }
    drop(held);
    let mut processes = Vec::new();
    for (command, log) in &mut commands {
        processes.push(Process::start(command, log.clone())?);
    }
    for (process, node) in processes.iter().zip(nodes) {
        listens(process, *node).await?;
    }
    patiently(|| make_stream(nodes[0])).await.map_err(|error| processes[0].explain(error))?;
    for (process, node) in processes.iter().zip(nodes) {
        patiently(|| stores(*node)).await.map_err(|error| process.explain(error))?;
    }
    Ok(Three { processes, nodes: nodes.to_vec() })
}

fn with_config(program: &Path, dir: &Path, config: &str) -> Result<Command> {
    fs::create_dir_all(dir)?;
    let file = dir.join("config");
    fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(file);
    Ok(command)
}

/// Whether messages that are published there are stored: the stream has a leader.
async fn stores(node: SocketAddr) -> Result<()> {
    Client::connect(node, STORED, Acknowledges::Storing).await?.publish(b"{}", 1).await
}

async fn make_stream(node: SocketAddr) -> Result<()> {
    let mut client = Client::connect(node, STORED, Acknowledges::Storing).await?;
    let stream = json!({
        "name": "S",
        "subjects": ["s.>"],
        "retention": "limits",
        "storage": "file",
        "num_replicas": NODES,
        "max_msgs": KEPT,
    });
    let answer = client.ask("$JS.API.STREAM.CREATE.S", &stream.to_string()).await?;
    if answer["config"]["name"] != "S" {
        bail!("the stream is not made: {answer}");
    }
    Ok(())
}
