//! `waypost cluster status`: shows the cluster once, or again each second.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::super::{
    client::{Client, Connection},
    output::{self, cell},
};

/// How to show the status.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    connection: Connection,
    /// Show it again each second until interrupted; a pipe gets a line of JSON each time
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

/// Columns that are shown only if a member has a figure for them. Not every cluster has ephemeral events, and
/// the table is wide.
const EPHEMERAL_COLUMNS: [(&str, &str); 2] =
    [("EPHEMERAL", "ephemeral_interest"), ("DROPPED", "ephemeral_dropped")];

/// The pause between two requests.
const ROUND: Duration = Duration::from_secs(1);
/// Clears the terminal and moves the cursor to its upper left corner.
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

/// The whole status as a text for people.
fn shown(client: &Client, status: &Value) -> String {
    let healthy = status.get("healthy").and_then(Value::as_bool) == Some(true);
    let health = if healthy {
        output::paint(output::GOOD, "healthy")
    } else {
        output::paint(output::BAD, "unhealthy")
    };
    let head = format!(
        "cluster {} is {health}; leader {}, term {}; asked node {} at {}",
        cell(status, "cluster_id"),
        cell(status, "leader_id"),
        cell(status, "term"),
        cell(status, "node_id"),
        client.url(),
    );
    let table = table(status);
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

/// The table of members, with a line for each.
fn table(status: &Value) -> String {
    let members: Vec<&Value> =
        status.get("members").and_then(Value::as_array).into_iter().flatten().collect();
    let told = |field: &str| members.iter().any(|member| member.get(field).and_then(Value::as_u64) > Some(0));
    let ephemeral = EPHEMERAL_COLUMNS.into_iter().filter(|(_, field)| told(field));
    let columns: Vec<(&str, &str)> = COLUMNS.into_iter().chain(ephemeral).collect();
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    let rows: Vec<Vec<String>> = members.into_iter().map(|member| row(status, &columns, member)).collect();
    output::table(&headings, &rows)
}

fn row(status: &Value, columns: &[(&str, &str)], member: &Value) -> Vec<String> {
    let mut cells: Vec<String> = columns.iter().map(|(_, field)| cell(member, field)).collect();
    if member.get("id") == status.get("leader_id") {
        cells[0].push('*');
    }
    for (cell, (_, field)) in cells.iter_mut().zip(columns) {
        let number = member.get(*field).and_then(Value::as_u64);
        match (*field, number) {
            ("disk_free_bytes" | "disk_used_bytes", Some(bytes)) => *cell = format!("{} MiB", bytes >> 20),
            ("snapshot_age_ms", Some(ms)) => *cell = format!("{} s", ms / 1000),
            _ => {}
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The last columns of each line.
    fn ends(table: &str) -> Vec<Vec<&str>> {
        let ends = table.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()));
        ends.map(|cells| cells.skip(COLUMNS.len()).collect()).collect()
    }

    #[test]
    fn ephemeral_columns_are_shown_if_a_member_has_figures() {
        let member = |id: u64, interest: Option<u64>, dropped: Option<u64>| {
            json!({"id": id, "role": "follower", "disk_free_bytes": 7 << 20,
            "ephemeral_interest": interest, "ephemeral_dropped": dropped})
        };
        let status = |first, second| json!({"leader_id": 1, "members": [first, second]});
        let quiet = table(&status(member(1, Some(0), Some(0)), member(2, None, None)));
        assert!(ends(&quiet).iter().all(Vec::is_empty), "{quiet}");
        assert!(quiet.contains("1* ") && quiet.contains("7 MiB"), "{quiet}");
        let interested = table(&status(member(1, Some(0), Some(0)), member(2, Some(12), Some(0))));
        assert_eq!(ends(&interested), [["EPHEMERAL"], ["0"], ["12"]], "{interested}");
        let both = table(&status(member(1, Some(3), Some(7000)), member(2, None, None)));
        assert_eq!(ends(&both), [["EPHEMERAL", "DROPPED"], ["3", "7000"], ["-", "-"]], "{both}");
    }
}
