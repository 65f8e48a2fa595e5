//! `waypost cluster …`: shows the cluster and operates it.

mod backup;
mod status;

use http::Method;
use serde_json::{Value, json};

use super::{
    client::Client,
    common::Common,
    output::{self, cell},
};

pub(super) use backup::{Restore, restore};

/// Commands for the cluster. Most of them need the admin token.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the nodes, the leader, the progress of each node, the problems and what to do about them
    Status(status::Status),
    /// Give the node at a peer address its vote, or show how to start it; nodes join by themselves
    Add(Add),
    /// Remove a node for good, after its clients were sent elsewhere
    Remove(Forced),
    /// Give a learner a vote
    Promote(OnNode),
    /// Take away a node's vote; it goes on as a learner
    Demote(OnNode),
    /// Send a node's clients and webhooks elsewhere until it is undrained; it stays a member
    Drain(Forced),
    /// Let a drained node serve again
    Undrain(OnNode),
    /// Hand the lead to a node, or to the most suitable one
    TransferLeader(Lead),
    /// Make the leader hand the lead to another node
    StepDown(Common),
    /// Make the stored state durable and remove the log before it, on all nodes or on one
    Snapshot(Lead),
    /// Write the state of the running cluster to a file, or check such a file
    Backup(backup::Backup),
    /// Make the first node of a new cluster from a backup
    Restore(Restore),
    /// Make an authority and certificates for the peer port and for clients
    Certs(super::cluster_certs::Args),
}

/// A new node.
#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// host:port at which the other nodes will reach the node
    address: String,
    #[command(flatten)]
    common: Common,
}

/// One node.
#[derive(Debug, clap::Args)]
pub(super) struct OnNode {
    /// Id of the node, as `waypost cluster status` shows it
    node: u64,
    #[command(flatten)]
    common: Common,
}

/// One node, and whether to force the command.
#[derive(Debug, clap::Args)]
pub(super) struct Forced {
    /// Id of the node, as `waypost cluster status` shows it
    node: u64,
    /// remove: do not wait for its clients to leave; drain: even if no other node is left for them
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

/// A node, or none to leave the choice to the cluster.
#[derive(Debug, clap::Args)]
pub(super) struct Lead {
    /// Id of the node, as `waypost cluster status` shows it
    node: Option<u64>,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Status(args) => status::run(args).await,
        Command::Add(args) => add(args).await,
        Command::Remove(args) => {
            on(args.common, "remove", json!({"node": args.node, "force": args.force})).await
        }
        Command::Promote(args) => on(args.common, "promote", json!({"node": args.node})).await,
        Command::Demote(args) => on(args.common, "demote", json!({"node": args.node})).await,
        Command::Drain(args) => {
            on(args.common, "drain", json!({"node": args.node, "force": args.force})).await
        }
        Command::Undrain(args) => on(args.common, "undrain", json!({"node": args.node})).await,
        Command::TransferLeader(args) => on(args.common, "transfer-leader", json!({"node": args.node})).await,
        Command::StepDown(common) => on(common, "step-down", json!({})).await,
        Command::Snapshot(args) => snapshot(args).await,
        Command::Backup(args) => backup::backup(args).await,
        Command::Restore(args) => restore(&args),
        Command::Certs(args) => super::cluster_certs::run(&args),
    }
}

async fn ask(client: &Client, operation: &str, body: &Value) -> anyhow::Result<Value> {
    Ok(client.call(Method::POST, &format!("/api/cluster/{operation}"), Some(body)).await?)
}

async fn on(common: Common, operation: &str, body: Value) -> anyhow::Result<()> {
    let client = Client::new(common.connection);
    let done = ask(&client, operation, &body).await?;
    if !output::for_people(common.json) {
        return Ok(output::json(&done)?);
    }
    let text = match operation {
        "remove" => format!("node {} is out of the cluster; stop it", cell(&done, "node")),
        "drain" => format!("node {} is drained; waypost cluster undrain {0} undoes it", cell(&done, "node")),
        "transfer-leader" | "step-down" => match done.get("leader_id").and_then(Value::as_u64) {
            Some(id) => format!("node {id} leads"),
            None => "the lead was given up; `waypost cluster status` shows who has it now".to_owned(),
        },
        other => format!("{other}: node {} done", cell(&done, "node")),
    };
    Ok(output::line(text)?)
}

async fn add(args: Add) -> anyhow::Result<()> {
    let client = Client::new(args.common.connection);
    let done = ask(&client, "add", &json!({"address": args.address})).await?;
    if !output::for_people(args.common.json) {
        return Ok(output::json(&done)?);
    }
    match done.get("run").and_then(Value::as_str) {
        Some(run) => {
            output::note(
                "no node has joined at that address yet; on its machine, with an empty data directory:",
            );
            Ok(output::line(output::printable(run))?)
        }
        None => Ok(output::line(format_args!("node {} votes", cell(&done, "node")))?),
    }
}

async fn snapshot(args: Lead) -> anyhow::Result<()> {
    let client = Client::new(args.common.connection);
    let done = ask(&client, "snapshot", &json!({"node": args.node})).await?;
    let nodes = done.get("nodes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if output::for_people(args.common.json) {
        let row =
            |node: &Value| ["id", "durable_index", "purged_index"].map(|field| cell(node, field)).to_vec();
        let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
        output::line(output::table(&["NODE", "DURABLE", "LOG GONE TO"], &rows))?;
    } else {
        output::json(&done)?;
    }
    let silent: Vec<String> =
        nodes.iter().filter(|node| node["durable_index"].is_null()).map(|node| cell(node, "id")).collect();
    anyhow::ensure!(silent.is_empty(), "not done on node {}: no answer in time", silent.join(", "));
    Ok(())
}
