//! `waypost cluster status`: shows the cluster once, or again each second.
//!
//! All nodes are asked at once. What is shown is the view of the node that knows most; beside it stand the
//! nodes that gave no answer, and what others see differently.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::super::{
    client::{Client, ClientError, Connection},
    output::{self, cell},
};
use super::{
    delivery::delivery,
    named::{called, called_by},
    problems::blocks,
};

/// How to show the status.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    connection: Connection,
    /// Show it again each second until interrupted; with -o json a line each time
    #[arg(long)]
    watch: bool,
    /// The old name of -o json
    #[arg(long, hide = true)]
    json: bool,
}

const COLUMNS: [(&str, &str); 17] = [
    ("NODE", "id"),
    ("NAME", "name"),
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
    ("UP FOR", "uptime_ms"),
    ("SNAPSHOT", "snapshot_age_ms"),
    ("DISK USED", "disk_used_bytes"),
    ("DISK FREE", "disk_free_bytes"),
];

/// Columns that are shown only with `-o wide`, by their fields.
const WIDE_COLUMNS: [&str; 6] =
    ["peer_addr", "last_log_index", "topics", "uptime_ms", "snapshot_age_ms", "disk_used_bytes"];

/// Columns that are shown only if a member has a figure for them. Not every cluster has ephemeral events, and
/// the table is wide.
const EPHEMERAL_COLUMNS: [(&str, &str); 2] =
    [("EPHEMERAL", "ephemeral_interest"), ("DROPPED", "ephemeral_dropped")];

/// Longest wait for the answer of a node. A node that is cut off answers sooner.
const ANSWER: Duration = Duration::from_millis(2500);
/// The pause between two requests.
const ROUND: Duration = Duration::from_secs(1);
/// Clears the terminal and moves the cursor to its upper left corner.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(super) async fn run(args: Status) -> anyhow::Result<()> {
    let client = Client::of_admin(args.connection);
    let people = output::for_people(args.json);
    loop {
        let views = Views(client.ask_all("/api/cluster/status", ANSWER).await);
        match views.best() {
            Some(best) if people => {
                let clear = if args.watch { CLEAR } else { "" };
                output::screen(clear, &views.shown(best))?;
            }
            Some(best) => output::json(&views.json(best))?,
            None => match views.failure() {
                Some((_, error)) if args.watch && error.passes() => output::note(&error),
                Some((others, error)) => {
                    for line in others {
                        output::note(line);
                    }
                    return Err(error.into());
                }
                None => return Ok(()),
            },
        }
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// What each node answered, with its address.
struct Views<'a>(Vec<(&'a str, Result<Value, ClientError>)>);

impl Views<'_> {
    /// The index of the view of the node that knows most: of several, the first.
    fn best(&self) -> Option<usize> {
        let knows = |view: &Value| {
            let holds = |field: &str| view.get(field).and_then(Value::as_bool) == Some(true);
            let number = |field: &str| view.get(field).and_then(Value::as_u64);
            (holds("has_quorum"), holds("healthy"), number("term"))
        };
        let views =
            self.0.iter().enumerate().filter_map(|(at, (_, view))| Some((at, knows(view.as_ref().ok()?))));
        views.rev().max_by_key(|(_, knows)| *knows).map(|(at, _)| at)
    }

    /// Why there is no view at all: an error that does not pass is more telling than one that does. Before it
    /// a line for each other node.
    fn failure(self) -> Option<(Vec<String>, ClientError)> {
        let mut errors: Vec<_> =
            self.0.into_iter().filter_map(|(url, view)| Some((url, view.err()?))).collect();
        let at = (0..errors.len()).min_by_key(|at| errors[*at].1.passes())?;
        let (_, error) = errors.remove(at);
        let line = |(url, error): &(&str, ClientError)| format!("no status from {url}: {}", one_line(error));
        Some((errors.iter().map(line).collect(), error))
    }

    fn view(&self, at: usize) -> (&str, &Value) {
        match self.0.get(at) {
            Some((url, Ok(view))) => (url, view),
            _ => ("", &Value::Null),
        }
    }

    /// The problems that a view has and the best one lacks.
    fn more<'v>(&self, view: &'v Value, best: usize) -> Vec<&'v Value> {
        let name = |problem: &Value| (cell(problem, "code"), cell(problem, "node"));
        let known: BTreeSet<_> = problems_of(self.view(best).1).map(name).collect();
        problems_of(view).filter(|problem| !known.contains(&name(problem))).collect()
    }

    /// What other nodes of the cluster say of themselves and the best view does not know.
    fn of_themselves(&self, best: usize) -> impl Iterator<Item = &Value> {
        let answered = self.0.iter().filter_map(|(_, view)| view.as_ref().ok());
        let of_cluster = answered.filter(move |view| self.is_of_cluster(view, best));
        of_cluster.flat_map(move |view| {
            self.more(view, best).into_iter().filter(move |problem| is_own(problem, view))
        })
    }

    fn is_of_cluster(&self, view: &Value, best: usize) -> bool {
        view.get("cluster_id") == self.view(best).1.get("cluster_id")
    }

    /// The best view as JSON, with what the other nodes answered.
    fn json(&self, best: usize) -> Value {
        let asked = self.0.iter().map(|(url, view)| match view {
            Ok(view) => json!({
                "url": url,
                "cluster_id": view.get("cluster_id"),
                "node_id": view.get("node_id"),
                "node_name": view.get("node_name"),
                "healthy": view.get("healthy"),
                "leader_id": view.get("leader_id"),
                "problems": self.more(view, best),
            }),
            Err(error) => json!({"url": url, "error": error.to_string()}),
        });
        let mut whole = self.view(best).1.clone();
        whole["asked"] = asked.collect();
        whole
    }

    /// The whole status as a text for people.
    fn shown(&self, best: usize) -> String {
        let (url, status) = self.view(best);
        let healthy = status.get("healthy").and_then(Value::as_bool) == Some(true);
        let health = if healthy {
            output::paint(output::GOOD, "healthy")
        } else {
            output::paint(output::BAD, "unhealthy")
        };
        let head = format!(
            "cluster {} is {health}; leader {}, term {}; asked node {} at {url}",
            cell(status, "cluster_id"),
            called_by(status, "leader_id", "leader_name"),
            cell(status, "term"),
            called_by(status, "node_id", "node_name"),
        );
        let table = table(status);
        let matrix = matrix(status).map_or_else(String::new, |matrix| format!("\n\n{matrix}"));
        let problems = blocks(problems_of(status).chain(self.of_themselves(best)));
        let delivery = delivery(status);
        let others: String = (self.0.iter().enumerate())
            .filter(|(at, (_, view))| *at != best && !has_another_token(view))
            .map(|(_, (url, view))| self.other(url, view, best))
            .collect();
        format!("{head}\n\n{table}{matrix}{problems}{delivery}{others}{}", self.with_another_token())
    }

    /// The nodes that refuse the token, which another node took.
    fn with_another_token(&self) -> String {
        let urls: Vec<&str> =
            self.0.iter().filter(|(_, view)| has_another_token(view)).map(|(url, _)| *url).collect();
        if urls.is_empty() {
            return String::new();
        }
        let text = format!("no status from {}: these nodes have another admin token", urls.join(", "));
        let hint = "give each node the same WAYPOST_ADMIN_TOKEN, one after another; until then each takes its own: \
                    docs/runbooks/compromised-node.md, step 5";
        format!("\n\n{}\n  → {hint}", output::paint(output::STRONG, text))
    }

    /// What another node answered, if that is worth a line.
    fn other(&self, url: &str, view: &Result<Value, ClientError>, best: usize) -> String {
        let view = match view {
            Ok(view) => view,
            Err(error) => {
                let text = output::paint(output::STRONG, one_line(error));
                return format!("\n\nno status from {url}: {text}");
            }
        };
        if !self.is_of_cluster(view, best) {
            let text = format!("{url} is a node of another cluster: {}", cell(view, "cluster_id"));
            return format!("\n\n{}", output::paint(output::STRONG, output::printable(&text)));
        }
        let more = blocks(self.more(view, best).into_iter().filter(|problem| !is_own(problem, view)));
        if more.is_empty() {
            more
        } else {
            format!("\n\nas node {} sees it:{more}", called_by(view, "node_id", "node_name"))
        }
    }
}

/// Whether a problem is one of the node whose view it is.
fn is_own(problem: &Value, view: &Value) -> bool {
    !problem["node"].is_null() && problem["node"] == view["node_id"]
}

/// Whether a node refused the token. Where another node takes it, their admin tokens differ.
fn has_another_token(view: &Result<Value, ClientError>) -> bool {
    matches!(view, Err(ClientError::Refused { status: 401, .. }))
}

/// An error in one line.
fn one_line(error: &ClientError) -> String {
    output::printable(&error.to_string().replace('\n', "; "))
}

fn problems_of(status: &Value) -> impl Iterator<Item = &Value> {
    status.get("problems").and_then(Value::as_array).into_iter().flatten()
}

fn members_of(status: &Value) -> Vec<&Value> {
    status.get("members").and_then(Value::as_array).into_iter().flatten().collect()
}

/// Who reaches whom, if a node that runs is not reached by another one: a row for each node that reports.
fn matrix(status: &Value) -> Option<String> {
    let members = members_of(status);
    let runs =
        |id: &Value| members.iter().any(|member| member["id"] == *id && !member["reported_by"].is_null());
    let sights = |member: &Value| member["reaches"].as_array().cloned().unwrap_or_default();
    let mut all = members.iter().flat_map(|member| sights(member));
    let is_reported = problems_of(status).any(|problem| problem["code"] == "half_reachable");
    if !is_reported || !all.any(|sight| sight["reached"] == false && runs(&sight["node"])) {
        return None;
    }
    let ids: Vec<String> = members.iter().map(|member| cell(member, "id")).collect();
    let headings: Vec<String> = ids.iter().map(|id| format!("TO {id}")).collect();
    let headings: Vec<&str> = std::iter::once("REACHES").chain(headings.iter().map(String::as_str)).collect();
    let row = |from: &&Value| {
        let sights = sights(from);
        let reach = |to: &String| match sights.iter().find(|sight| cell(sight, "node") == *to) {
            _ if cell(from, "id") == *to => "·".to_owned(),
            None => "?".to_owned(),
            Some(sight) if sight["reached"] == true => "yes".to_owned(),
            Some(sight) => format!("no ({})", cell(sight, "error")),
        };
        std::iter::once(format!("node {}", called(from))).chain(ids.iter().map(reach)).collect()
    };
    Some(output::table(&headings, &members.iter().map(row).collect::<Vec<_>>()))
}

/// The table of members, with a line for each.
fn table(status: &Value) -> String {
    let members = members_of(status);
    let is_reported =
        |field: &str| members.iter().any(|member| member.get(field).and_then(Value::as_u64) > Some(0));
    let ephemeral = EPHEMERAL_COLUMNS.into_iter().filter(|(_, field)| is_reported(field));
    let is_shown = |(_, field): &(&str, &str)| output::is_wide() || !WIDE_COLUMNS.contains(field);
    let columns: Vec<(&str, &str)> = COLUMNS.into_iter().filter(is_shown).chain(ephemeral).collect();
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    let rows: Vec<Vec<String>> = members.into_iter().map(|member| row(status, &columns, member)).collect();
    output::table(&headings, &rows)
}

fn row(status: &Value, columns: &[(&str, &str)], member: &Value) -> Vec<String> {
    let mut cells: Vec<String> = columns.iter().map(|(_, field)| cell(member, field)).collect();
    let passed_on = member.get("reported_by").is_some_and(|by| !by.is_null() && *by != member["id"]);
    if member.get("id") == status.get("leader_id") {
        cells[0].push('*');
    }
    for (cell, (_, field)) in cells.iter_mut().zip(columns) {
        let number = member.get(*field).and_then(Value::as_u64);
        match (*field, number) {
            ("disk_free_bytes" | "disk_used_bytes", Some(bytes)) => *cell = format!("{} MiB", bytes >> 20),
            ("snapshot_age_ms", Some(ms)) => *cell = format!("{} s", ms / 1000),
            ("uptime_ms", Some(ms)) => {
                let crash = if member["after_crash"] == true { ", after a crash" } else { "" };
                *cell = format!("{} s{crash}", ms / 1000);
            }
            ("state", _) if passed_on => {
                cell.push_str(&format!(" (by {})", output::cell(member, "reported_by")))
            }
            _ => {}
        }
    }
    cells
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The last columns of each line.
    fn ends(table: &str) -> Vec<Vec<&str>> {
        let ends = table.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()));
        ends.map(|cells| cells.skip(COLUMNS.len() - WIDE_COLUMNS.len()).collect()).collect()
    }

    #[test]
    fn ephemeral_columns_are_shown_if_a_member_has_figures() {
        let member = |id: u64, interest: Option<u64>, dropped: Option<u64>| {
            json!({"id": id, "name": "n", "role": "follower", "disk_free_bytes": 7 << 20,
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

    fn view(id: u64, has_quorum: bool, problems: &[&str]) -> Value {
        let problems: Vec<Value> =
            problems.iter().map(|code| json!({"code": code, "what": code, "node": null})).collect();
        json!({"node_id": id, "has_quorum": has_quorum, "healthy": has_quorum, "term": 3, "problems": problems, "members": []})
    }

    fn refused(status: u16, hint: &str) -> ClientError {
        ClientError::Refused {
            status,
            code: "x".into(),
            message: "no".into(),
            hint: Some(hint.into()),
            index: None,
            stored: None,
            retry_after: None,
        }
    }

    #[test]
    fn without_a_view_each_node_has_a_line_and_the_most_telling_error_is_the_last() {
        let views = Views(vec![
            ("a", Err(refused(503, "wait"))),
            ("b", Err(refused(401, "send a token"))),
            ("c", Err(refused(503, "wait"))),
        ]);
        let (others, error) = views.failure().unwrap();
        assert!(!error.passes(), "{error}");
        let line = |url: &str| format!("no status from {url}: no [503 x]; hint: wait");
        assert_eq!(others, [line("a"), line("c")]);
    }

    #[test]
    fn the_view_that_knows_most_is_shown_with_what_others_see_differently() {
        let hung =
            ClientError::Unreachable { url: "c".into(), reason: "no answer in time".into(), unsent: false };
        let views = Views(vec![
            ("a", Ok(view(1, false, &["cut_off", "single_voter"]))),
            ("b", Ok(view(2, true, &["single_voter"]))),
            ("c", Err(hung)),
            ("d", Err(refused(401, "send a token"))),
            ("e", Ok(json!({"cluster_id": "other", "problems": [{"code": "single_node"}]}))),
        ]);
        assert_eq!(views.best(), Some(1));
        let shown = views.shown(1);
        assert!(shown.contains("asked node 2 at b"), "{shown}");
        assert!(shown.contains("as node 1 sees it:") && shown.contains("cut_off"), "{shown}");
        assert_eq!(shown.matches("single_voter: ").count(), 1, "{shown}");
        assert!(shown.contains("no status from c: cannot reach c: no answer in time"), "{shown}");
        assert!(shown.contains("no status from d: these nodes have another admin token"), "{shown}");
        assert!(shown.contains("e is a node of another cluster: other"), "{shown}");
        assert!(!shown.contains("single_node"), "{shown}");
        let json = views.json(1);
        assert_eq!((&json["node_id"], json["asked"].as_array().map(Vec::len)), (&json!(2), Some(5)));
        assert_eq!(json["asked"][0]["problems"][0]["code"], "cut_off");
        assert!(json["asked"][2]["error"].is_string(), "{json}");
    }

    #[test]
    fn who_reaches_whom_is_shown_only_if_a_running_node_is_not_reached() {
        let member = |id: u64, by: Option<u64>, not: &[u64]| {
            let sight =
                |node: u64| json!({"node": node, "reached": !not.contains(&node), "error": "no_connection"});
            let reaches: Vec<Value> = (1..=3).filter(|node| *node != id).map(sight).collect();
            json!({"id": id, "state": "up", "reported_by": by, "reaches": by.map(|_| reaches)})
        };
        let problems = json!([{"code": "half_reachable"}]);
        let status = |members: [Value; 3]| json!({"leader_id": 1, "members": members, "problems": problems});
        let whole = status([member(1, Some(1), &[]), member(2, Some(2), &[]), member(3, Some(3), &[])]);
        assert_eq!(matrix(&whole), None);
        let dead = status([member(1, Some(1), &[3]), member(2, Some(2), &[3]), member(3, None, &[])]);
        assert_eq!(matrix(&dead), None, "nobody reaches it because it does not run");
        let half = status([member(1, Some(1), &[3]), member(2, Some(2), &[]), member(3, Some(2), &[])]);
        let shown = matrix(&half).unwrap_or_default();
        let lines: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        assert_eq!(lines[0], ["REACHES", "TO 1", "TO 2", "TO 3"]);
        assert_eq!(lines[1], ["node 1", "·", "yes", "no (no_connection)"]);
        assert_eq!(lines[3], ["node 3", "yes", "yes", "·"]);
        assert!(table(&half).contains("up (by 2)"), "{}", table(&half));
    }
}
