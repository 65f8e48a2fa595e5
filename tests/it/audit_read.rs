//! Reading the audit log: any node shows the lines of all nodes to the admin, from their files or from
//! memory.

use crate::support::{binary, nodes, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::Command;
use testkit::Cluster;
use testkit::cluster::{ADMIN, Map};

/// A page of lines at a node.
fn page(c: &Cluster, node: usize, query: &str) -> Result<Value> {
    c.admin(node).get(&format!("/api/audit{query}"))?.expect(200)?.json()
}

/// The lines that a node shows, all of which must be there.
fn lines(c: &Cluster, node: usize, query: &str) -> Result<Vec<Value>> {
    let page = page(c, node, query)?;
    ensure!(page["unreachable"] == json!([]), "{page}");
    Ok(page["data"].as_array().context("no list")?.clone())
}

/// Waits for a line at a node.
fn line(c: &Cluster, node: usize, query: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
    c.wait_until("a line", |c| Ok(lines(c, node, query)?.into_iter().find(&is)))
}

/// Creates a token through a node. Returns its id.
fn make_token(c: &Cluster, node: usize, map: &Map) -> Result<Value> {
    let body = json!({"name": "reader", "scopes": ["subscribe"]});
    Ok(c.api(node, map).post(&map.path("/tokens"), &body)?.data(201)?["id"].take())
}

#[test]
fn any_node_shows_the_lines_of_all_nodes() {
    scenario(nodes(3).set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 0), |cluster| {
        let map = cluster.map("read-audit")?;
        let mut tokens = Vec::new();
        for node in 0..3 {
            tokens.push(make_token(cluster, node, &map)?);
        }
        for asked in 0..3 {
            for (node, token) in tokens.iter().enumerate() {
                let told = line(cluster, asked, "", |line| line["made"] == *token)?;
                let expected = json!({"id": cluster.id(node)?, "name": format!("node{node}")});
                ensure!(told["node"] == expected && told["result"] == "done", "{told}");
                ensure!(told["who"] == "token" && told["map"] == map.id, "{told}");
                ensure!(told["token_name"] == "first" && told["name"] == "reader", "{told}");
                ensure!(told["map_name"] == map.slug, "{told}");
            }
        }
        filters(cluster, &map)?;
        pages(cluster)?;
        refusals(cluster, &map)?;
        command_line(cluster, &map)?;
        // A node that is down is named: its lines are missing.
        let down = cluster.follower()?;
        let id = cluster.id(down)?;
        cluster.nodes[down].kill9()?;
        let asked = cluster.up()?;
        let page = cluster.wait_until("the node to be missing", |c| {
            let page = page(c, asked, "")?;
            let silent = page["unreachable"].as_array().context("no list")?;
            Ok(silent.iter().any(|node| node["id"] == id).then_some(page.clone()))
        })?;
        let shown = page["data"].as_array().context("no list")?;
        ensure!(!shown.is_empty() && shown.iter().all(|line| line["node"]["id"] != id), "{page}");
        Ok(())
    });
}

fn filters(c: &Cluster, map: &Map) -> Result<()> {
    let of_map = lines(c, 1, &format!("?map={}", map.slug))?;
    ensure!(of_map.len() >= 4 && of_map.iter().all(|line| line["map"] == map.id), "{of_map:?}");
    ensure!(lines(c, 1, &format!("?map={}", map.id))?.len() >= of_map.len());
    let made = lines(c, 1, &format!("?map={}&action=POST%20/api/maps/%7Bmap%7D/tokens", map.slug))?;
    ensure!(made.len() >= 3 && made.iter().all(|line| line["made"].is_string()), "{made:?}");
    let by = made[0]["token"].as_str().context("no token")?;
    let by_token = lines(c, 1, &format!("?who={by}"))?;
    ensure!(by_token.len() >= 3, "{by_token:?}");
    let by_name = lines(c, 1, &format!("?who=first&map={}", map.slug))?;
    ensure!(by_name.len() >= 3 && by_name.iter().all(|line| line["token"] == by), "{by_name:?}");
    ensure!(lines(c, 1, "?who=admin&action=tokens")?.is_empty());
    ensure!(lines(c, 1, "?until=2001-01-31T12:00:00Z")?.is_empty());
    ensure!(lines(c, 1, "?since=9001-01-31T12:00:00Z")?.is_empty());
    // The refusal of a stranger.
    let stranger = Map { token: "wp_nobody".into(), ..map.clone() };
    c.api(2, &stranger).get(&map.path("/tokens"))?.expect(401)?;
    let refused = line(c, 0, "?result=unauthorized&who=unknown", |line| line["method"] == "GET")?;
    ensure!(refused["status"] == 401, "{refused}");
    Ok(())
}

/// Pages of one line are together one list, the newest line first.
fn pages(c: &Cluster) -> Result<()> {
    let until = lines(c, 0, "?limit=1")?.pop().context("no line")?;
    let until = until["time"].as_str().context("no time")?.to_owned();
    let whole = lines(c, 0, &format!("?until={until}"))?;
    ensure!(whole.len() >= 3, "{whole:?}");
    let times: Vec<&str> = whole.iter().filter_map(|line| line["time"].as_str()).collect();
    ensure!(times.len() == whole.len() && times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let page = page(c, paged.len() % 3, &format!("?until={until}&limit=1{after}"))?;
        paged.extend(page["data"].as_array().context("no list")?.clone());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    ensure!(paged == whole, "{paged:?} instead of {whole:?}");
    Ok(())
}

fn refusals(c: &Cluster, map: &Map) -> Result<()> {
    c.api(0, map).get("/api/audit")?.expect(403)?;
    for (query, status, code) in [
        ("?since=yesterday", 400, "invalid_since"),
        ("?until=2026-01-31", 400, "invalid_until"),
        ("?after=x", 400, "invalid_after"),
        ("?limit=501", 400, "invalid_limit"),
        ("?who=", 400, "invalid_query"),
        ("?user=x", 400, "invalid_query"),
        ("?map=no-such-map", 404, "not_found"),
    ] {
        let refused = c.admin(0).get(&format!("/api/audit{query}"))?.expect(status)?;
        ensure!(refused.code() == code, "{query}: {}", refused.text());
    }
    let all = page(c, 0, "")?.to_string();
    for secret in [ADMIN, &*map.token, "wp_nobody"] {
        ensure!(!all.contains(secret), "{secret} is shown");
    }
    Ok(())
}

fn command_line(c: &Cluster, map: &Map) -> Result<()> {
    let run = |form: &str| -> Result<String> {
        let mut command = Command::new(binary());
        command.args(["-o", form, "audit", "--map", &map.slug, "--action", "tokens", "--since", "1000w"]);
        let output = command.args(["--url", &c.nodes[0].url(), "--token", ADMIN]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let table = run("table")?;
    ensure!(table.contains("RESULT") && table.contains("done") && !table.contains("ROUTE"), "{table}");
    ensure!(run("wide")?.contains("ROUTE"), "no further columns");
    let json = run("json")?;
    let lines: Vec<Value> = json.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(lines.len() >= 3 && lines.iter().all(|line| line["map"] == map.id), "{json}");
    Ok(())
}

#[test]
fn a_file_is_read_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    scenario(nodes(1).set("WAYPOST_AUDIT_FILE", log.display()), |cluster| {
        let map = cluster.map("read-file")?;
        let token = make_token(cluster, 0, &map)?;
        line(cluster, 0, "", |line| line["made"] == token)?;
        cluster.restart(0)?;
        cluster.wait_ready()?;
        line(cluster, 0, "?map=read-file", |line| line["made"] == token)?;
        // A line that is no whole one, and one that is not the log's, are passed over.
        let mut text = std::fs::read_to_string(&log)?;
        text.push_str("{\"time\":\"2026-01-31T12:00:00.000Z\",\"who\":\n[1]\n");
        std::fs::write(&log, text)?;
        let all = lines(cluster, 0, "")?;
        ensure!(all.iter().all(|line| line["time"].is_string() && line["node"]["id"] == 1), "{all:?}");
        Ok(())
    });
}

#[test]
fn rotated_files_are_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    let beside = |end: &str| folder.path().join(format!("audit.jsonl{end}"));
    scenario(nodes(1).set("WAYPOST_AUDIT_FILE", log.display()), |cluster| {
        let map = cluster.map("rotated")?;
        let ask = "?map=rotated&action=tokens";
        let mut made = Vec::new();
        for rotated in [".2", ".1", "-20260131"] {
            let token = make_token(cluster, 0, &map)?;
            line(cluster, 0, ask, |line| line["made"] == token)?;
            std::fs::rename(&log, beside(rotated))?;
            // It is found although nothing has been written since.
            line(cluster, 0, ask, |line| line["made"] == token)?;
            made.push(token);
        }
        let newest = make_token(cluster, 0, &map)?;
        line(cluster, 0, ask, |line| line["made"] == newest)?;
        made.push(newest);
        // Files with other names are none of the log's.
        std::fs::copy(beside(".1"), beside(".1.gz"))?;
        std::fs::copy(beside(".1"), beside(".old"))?;
        let whole = lines(cluster, 0, ask)?;
        let found: Vec<&Value> = whole.iter().take(made.len()).map(|line| &line["made"]).collect();
        ensure!(found == made.iter().rev().collect::<Vec<_>>(), "{whole:?}");
        let mut paged = Vec::new();
        let mut after = String::new();
        loop {
            let page = page(cluster, 0, &format!("{ask}&limit=1{after}"))?;
            paged.extend(page["data"].as_array().context("no list")?.clone());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        ensure!(paged == whole, "{paged:?} instead of {whole:?}");
        let until = whole[2]["time"].as_str().context("no time")?;
        let older = lines(cluster, 0, &format!("{ask}&until={until}"))?;
        ensure!(older == whole[3..], "{older:?}");
        Ok(())
    });
}

#[test]
fn a_node_whose_log_is_no_file_has_the_newest_lines() {
    scenario(nodes(1).set("WAYPOST_AUDIT_FILE", "-"), |cluster| {
        let map = cluster.map("no-file")?;
        let token = make_token(cluster, 0, &map)?;
        line(cluster, 0, "?map=no-file", |line| line["made"] == token)?;
        Ok(())
    });
}
