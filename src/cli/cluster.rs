//! `waypost cluster status`, and `waypost cluster certs` beside it.

use awc::http::Method;
use serde_json::Value;

use super::{
    client::{Client, Connection},
    output::{self, cell},
};

/// What to do with the cluster; most of it needs the admin token.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the nodes, who leads, and how far each has come
    Status(Status),
    /// Make an authority and certificates, for the peer port and for clients
    Certs(super::cluster_certs::Args),
}

/// How to show it.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    connection: Connection,
    /// Print JSON on a terminal too
    #[arg(long)]
    json: bool,
}

const COLUMNS: [(&str, &str); 11] = [
    ("NODE", "id"),
    ("ROLE", "role"),
    ("STATE", "state"),
    ("HTTP", "http_addr"),
    ("PEER", "peer_addr"),
    ("VERSION", "version"),
    ("LOG", "last_log_index"),
    ("APPLIED", "applied_index"),
    ("LAG", "lag"),
    ("SOCKETS", "connections"),
    ("TOPICS", "topics"),
];

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Status(args) => status(args).await,
        Command::Certs(args) => super::cluster_certs::run(&args),
    }
}

async fn status(args: Status) -> anyhow::Result<()> {
    let client = Client::new(args.connection);
    let status = client.call(Method::GET, "/api/cluster/status", None).await?;
    if !output::for_people(args.json) {
        return Ok(output::json(&status)?);
    }
    let healthy = status.get("healthy").and_then(Value::as_bool) == Some(true);
    let health = if healthy { output::paint(output::GOOD, "healthy") } else { output::paint(output::BAD, "unhealthy") };
    output::line(format_args!(
        "cluster {} is {health}; leader {}, term {}; asked node {} at {}\n",
        cell(&status, "cluster_id"),
        cell(&status, "leader_id"),
        cell(&status, "term"),
        cell(&status, "node_id"),
        client.url(),
    ))?;
    let members = status.get("members").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = members.map(|member| row(&status, member)).collect();
    Ok(output::line(output::table(&COLUMNS.map(|(heading, _)| heading), &rows))?)
}

fn row(status: &Value, member: &Value) -> Vec<String> {
    let mut cells: Vec<String> = COLUMNS.iter().map(|(_, field)| cell(member, field)).collect();
    if member.get("id") == status.get("leader_id") {
        cells[0].push('*');
    }
    if member.get("reachable").and_then(Value::as_bool) == Some(false) {
        "unreachable".clone_into(&mut cells[2]);
    }
    cells
}
