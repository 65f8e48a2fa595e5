//! `waypost cluster status`: once, or again each second.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::super::{
    client::{Client, Connection},
    output::{self, cell},
};

/// How to show it.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    connection: Connection,
    /// Show it again each second, until interrupted; a JSON line each in a pipe
    #[arg(long)]
    watch: bool,
    /// Print JSON on a terminal too
    #[arg(long)]
    json: bool,
}

const COLUMNS: [(&str, &str); 15] = [
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
    ("WEBHOOKS", "webhooks"),
    ("SNAPSHOT", "snapshot_age_ms"),
    ("DISK USED", "disk_used_bytes"),
    ("DISK FREE", "disk_free_bytes"),
];

/// Between two looks.
const ROUND: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its corner.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(super) async fn run(args: Status) -> anyhow::Result<()> {
    let client = Client::new(args.connection);
    let people = output::for_people(args.json);
    loop {
        let status = client.call(Method::GET, "/api/cluster/status", None).await;
        match status {
            Ok(status) if people => {
                let clear = if args.watch { CLEAR } else { "" };
                output::line(format_args!("{clear}{}", shown(&client, &status)))?;
            }
            Ok(status) => output::json(&status)?,
            Err(error) if args.watch && error.passes() => {
                output::note(&error);
                client.next_node();
            }
            Err(error) => return Err(error.into()),
        }
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// The whole picture, for people.
fn shown(client: &Client, status: &Value) -> String {
    let healthy = status.get("healthy").and_then(Value::as_bool) == Some(true);
    let health = if healthy { output::paint(output::GOOD, "healthy") } else { output::paint(output::BAD, "unhealthy") };
    let head = format!(
        "cluster {} is {health}; leader {}, term {}; asked node {} at {}",
        cell(status, "cluster_id"),
        cell(status, "leader_id"),
        cell(status, "term"),
        cell(status, "node_id"),
        client.url(),
    );
    let members = status.get("members").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = members.map(|member| row(status, member)).collect();
    let table = output::table(&COLUMNS.map(|(heading, _)| heading), &rows);
    let problems = status.get("problems").and_then(Value::as_array).into_iter().flatten();
    let problems: String = problems.map(problem).collect();
    format!("{head}\n\n{table}{problems}")
}

fn problem(problem: &Value) -> String {
    let style = match problem.get("severity").and_then(Value::as_str) {
        Some("critical") => output::BAD,
        Some("warning") => output::STRONG,
        _ => output::FAINT,
    };
    let what = output::paint(style, cell(problem, "what"));
    format!("\n\n{}: {what}\n  → {}", cell(problem, "severity"), cell(problem, "do"))
}

fn row(status: &Value, member: &Value) -> Vec<String> {
    let mut cells: Vec<String> = COLUMNS.iter().map(|(_, field)| cell(member, field)).collect();
    if member.get("id") == status.get("leader_id") {
        cells[0].push('*');
    }
    for (cell, (_, field)) in cells.iter_mut().zip(COLUMNS) {
        let number = member.get(field).and_then(Value::as_u64);
        match (field, number) {
            ("disk_free_bytes" | "disk_used_bytes", Some(bytes)) => *cell = format!("{} MiB", bytes >> 20),
            ("snapshot_age_ms", Some(ms)) => *cell = format!("{} s", ms / 1000),
            _ => {}
        }
    }
    cells
}
