//! `waypost cluster …`: shows the cluster and operates it.

mod backup;
mod delivery;
pub(super) mod named;
mod problems;
mod status;

use http::Method;
use serde_json::{Value, json};

use super::{
    client::Client,
    common::Common,
    confirm::Confirm,
    output::{self, cell},
};
use named::{as_json, called, named, who};

pub(super) use backup::{Restore, restore};

/// Commands for the cluster. Most of them need the admin token.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the nodes, the leader, the progress of each node, the problems and what to do about them
    Status(status::Status),
    /// Give the node at a peer address its vote, or show how to start it; nodes join by themselves
    Add(Add),
    /// Remove a node for good, after its clients were sent elsewhere
    Remove(Remove),
    /// Give a learner a vote
    Promote(OnNode),
    /// Take away a node's vote; it goes on as a learner
    Demote(OnNode),
    /// Send a node's clients and webhooks elsewhere until it is undrained; it stays a member
    Drain(Drain),
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
    /// Id, name or address of the node, as `waypost cluster status` shows them
    node: String,
    #[command(flatten)]
    common: Common,
}

/// The node to drain.
#[derive(Debug, clap::Args)]
pub(super) struct Drain {
    /// Id, name or address of the node, as `waypost cluster status` shows them
    node: String,
    /// Even if no other node is left for its clients
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

/// The node to remove.
#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// Id, name or address of the node, as `waypost cluster status` shows them
    node: String,
    /// Do not wait for its clients to leave
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    common: Common,
}

/// A node, or none to leave the choice to the cluster.
#[derive(Debug, clap::Args)]
pub(super) struct Lead {
    /// Id, name or address of the node, as `waypost cluster status` shows them
    node: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Status(args) => status::run(args).await,
        Command::Add(args) => add(args).await,
        Command::Remove(args) => remove(args).await,
        Command::Promote(args) => on(args.common, "promote", json!({"node": as_json(&args.node)})).await,
        Command::Demote(args) => on(args.common, "demote", json!({"node": as_json(&args.node)})).await,
        Command::Drain(args) => {
            on(args.common, "drain", json!({"node": as_json(&args.node), "force": args.force})).await
        }
        Command::Undrain(args) => on(args.common, "undrain", json!({"node": as_json(&args.node)})).await,
        Command::TransferLeader(args) => {
            on(args.common, "transfer-leader", json!({"node": args.node.as_deref().map(as_json)})).await
        }
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

/// Asks before a node is removed. The question says which node it is, and the node with that id is removed: a name
/// may belong to another node by the time of the answer.
async fn remove(args: Remove) -> anyhow::Result<()> {
    let Remove { node, force, confirm, common } = args;
    let client = Client::of_admin(common.connection);
    let found = async || -> anyhow::Result<(Value, String)> {
        Ok(who(&client.call(Method::GET, "/api/cluster/status", None).await?, &node)?)
    };
    let given = || (as_json(&node), format!("node {node}"));
    let (id, meant) = if confirm.asks() {
        found().await?
    } else if confirm.is_given() {
        given()
    } else {
        // Nobody can be asked, so nothing is removed. Who reads why sees which node it would have been.
        found().await.unwrap_or_else(|_| given())
    };
    confirm.ask(&format!(
        "this removes {meant} from the cluster for good; it can only come back under a new id"
    ))?;
    let done = ask(&client, "remove", &json!({"node": id, "force": force})).await?;
    tell("remove", &done, common.json)
}

async fn on(common: Common, operation: &str, body: Value) -> anyhow::Result<()> {
    let client = Client::of_admin(common.connection);
    tell(operation, &ask(&client, operation, &body).await?, common.json)
}

/// Says what was done, and to which node.
fn tell(operation: &str, done: &Value, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(done)?);
    }
    let node = named(done, ["node", "name", "address"]);
    let text = match operation {
        "remove" => format!("{node} is out of the cluster; stop it"),
        "drain" => format!("{node} is drained; waypost cluster undrain {} undoes it", cell(done, "node")),
        "undrain" => format!("{node} serves clients again"),
        "promote" => format!("{node} votes"),
        "demote" => format!("{node} has no vote any more; it goes on as a learner"),
        "transfer-leader" | "step-down" => match done.get("leader_id").and_then(Value::as_u64) {
            Some(_) => format!("{} leads", named(done, ["leader_id", "leader_name", "leader_address"])),
            None => "the lead was given up; `waypost cluster status` shows who has it now".to_owned(),
        },
        other => format!("{other}: {node} done"),
    };
    Ok(output::line(text)?)
}

async fn add(args: Add) -> anyhow::Result<()> {
    let client = Client::of_admin(args.common.connection);
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
        None => Ok(output::line(format_args!("{} votes", named(&done, ["node", "name", "address"])))?),
    }
}

async fn snapshot(args: Lead) -> anyhow::Result<()> {
    let client = Client::of_admin(args.common.connection);
    let done = ask(&client, "snapshot", &json!({"node": args.node.as_deref().map(as_json)})).await?;
    let nodes = done.get("nodes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if output::for_people(args.common.json) {
        let row = |node: &Value| {
            ["id", "name", "durable_index", "purged_index"].map(|field| cell(node, field)).to_vec()
        };
        let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
        output::line(output::table(&["NODE", "NAME", "DURABLE", "LOG GONE TO"], &rows))?;
    } else {
        output::json(&done)?;
    }
    let silent: Vec<String> =
        nodes.iter().filter(|node| node["durable_index"].is_null()).map(called).collect();
    anyhow::ensure!(silent.is_empty(), "not done on node {}: no answer in time", silent.join(", "));
    Ok(())
}
