//! The audit log: each change and each refusal of the admin and manage APIs leaves a line, and no line has a
//! secret.

use crate::strict::{Fixture, call, is_signed, operations};
use crate::support::{nodes, publish, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::ADMIN;
use testkit::http::Api;

/// A secret of a webhook, and the value of one of its headers.
const SECRET: &str = "nobody-knows-this-secret";

/// The lines of a log. A line that is just being written is left out.
fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits for a line.
fn line(c: &Cluster, log: &Path, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
    c.wait_until(what, |_| Ok(lines(log).into_iter().rev().find(&is)))
}

#[test]
fn every_change_and_every_refusal_leaves_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    let options =
        nodes(1).set("WAYPOST_AUDIT_FILE", log.display()).set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8");
    scenario(options, |cluster| {
        let fixture = Fixture::new(cluster, "audited")?;
        let map = &fixture.map;
        every_operation(cluster, &log, &fixture)?;

        // Who: the admin, a token by its id, or nobody known.
        let made = line(cluster, &log, "the map's line", |line| {
            line["route"] == "/api/maps" && line["status"] == 201
        })?;
        ensure!(made["who"] == "admin" && made["map"] == map.id && made["result"] == "done", "{made}");
        ensure!(made["address"] == "127.0.0.1" && made["node"] == 1 && made["time"].is_string(), "{made}");
        let api = cluster.api(0, map);
        let body = json!({"name": "reader of orders", "scopes": ["subscribe"]});
        let token = api.post(&format!("/api/maps/{}/tokens", map.id), &body)?.data(201)?;
        let told = line(cluster, &log, "the token's line", |line| line["made"] == token["id"])?;
        ensure!(told["who"] == "token" && told["token"].is_string() && told["map"] == map.id, "{told}");
        ensure!(told["name"] == "reader of orders" && told["map_name"] == map.slug, "{told}");
        let reader = token["token"].as_str().context("no token")?;
        let path = format!("/api/maps/{}", map.slug);
        Api::new(&cluster.nodes[0].url(), Some(reader))
            .patch(&path, &json!({"name": "mine"}))?
            .expect(403)?;
        let refused = line(cluster, &log, "the refusal's line", |line| line["status"] == 403)?;
        ensure!(refused["token"] == token["id"] && refused["result"] == "forbidden", "{refused}");
        Api::new(&cluster.nodes[0].url(), Some("wp_wrong-token")).get("/api/maps")?.expect(401)?;
        let unknown = line(cluster, &log, "the stranger's line", |line| line["method"] == "GET")?;
        ensure!(unknown["who"] == "unknown" && unknown["status"] == 401, "{unknown}");
        let by_mistake = format!("/api/maps/{}/tokens/{reader}", map.slug);
        cluster.admin(0).delete(&by_mistake)?.expect(404)?;
        line(cluster, &log, "the mistake's line", |line| {
            line["path"] == format!("/api/maps/{}/tokens/********", map.slug)
        })?;

        changes(cluster, &log, &fixture, &token["id"])?;

        // The data is not recorded, and no secret is.
        publish(cluster, 0, map, "x", json!({"payload": "of-an-event"}))?;
        api.get(&map.events())?.expect(200)?;
        api.get(&path)?.expect(200)?;
        cluster.admin(0).post("/api/cluster/snapshot", &json!({"node": 1}))?.expect(200)?;
        let last = line(cluster, &log, "the last line", |line| line["of_node"] == "1")?;
        ensure!(last["path"] == "/api/cluster/snapshot", "{last}");
        let text = std::fs::read_to_string(&log)?;
        for never in [ADMIN, &*map.token, reader, SECRET, "of-an-event", "wp_wrong", "127.0.0.1:9"] {
            ensure!(!text.contains(never), "{never} is in the audit log");
        }
        ensure!(lines(&log).iter().all(|line| line["route"] != "/api/maps/{map}/events"), "{text}");
        ensure!(cluster.metric(0, "waypost_audit_lost_lines_total", "")? == 0);
        cluster.nodes[0].stop(testkit::wait::LIMIT)?;
        ensure!(std::fs::read_to_string(&log)?.ends_with('\n'), "the last line is not whole");
        Ok(())
    });
}

/// What was changed is told, with values only where none is a secret; and names of what is gone stay in the log.
fn changes(c: &Cluster, log: &Path, fixture: &Fixture, token: &Value) -> Result<()> {
    let map = &fixture.map;
    let path = format!("/api/maps/{}", map.id);
    let changed = |route: &str, method: &str| {
        line(c, log, &format!("what {method} {route} changed"), |line| {
            line["route"] == route && line["method"] == method && line["result"] == "done"
        })
    };
    c.admin(0).patch(&path, &json!({"limits": {"webhooks": 77}}))?.expect(200)?;
    let told = changed("/api/maps/{map}", "PATCH")?;
    ensure!(told["changed"][0]["field"] == "limits.webhooks" && told["changed"][0]["to"] == 77, "{told}");
    ensure!(told["changed"].as_array().is_some_and(|all| all.len() == 1), "{told}");
    c.set_rules(map, &json!([{"match": "chat-*", "durability": "ephemeral"}]))?;
    let told = changed("/api/maps/{map}/channel-rules", "PUT")?;
    ensure!(told["changed"].to_string().contains("chat-*"), "{told}");
    let api = c.api(0, map);
    let hook = json!({"url": "http://127.0.0.1:9/hook", "name": "billing", "active": false});
    let hook = api.post(&format!("{path}/webhooks"), &hook)?.data(201)?;
    let hook_path = format!("{path}/webhooks/{}", hook["id"].as_str().context("no id")?);
    let secrets = json!({"timeout_ms": 7000, "secret": SECRET, "headers": {"X-Own": SECRET}});
    api.patch(&hook_path, &secrets)?.expect(200)?;
    let told = changed("/api/maps/{map}/webhooks/{id}", "PATCH")?;
    let fields: Vec<&Value> =
        told["changed"].as_array().into_iter().flatten().map(|one| &one["field"]).collect();
    for field in ["timeout_ms", "headers", "secret"] {
        ensure!(fields.iter().any(|known| **known == field), "{field} is not told: {told}");
    }
    ensure!(told["name"] == "billing" && told["changed"][0]["to"].is_null(), "{told}");
    // The name of what is gone.
    let token_path = format!("{path}/tokens/{}", token.as_str().context("no token")?);
    c.admin(0).delete(&token_path)?.expect(204)?;
    let told = changed("/api/maps/{map}/tokens/{token}", "DELETE")?;
    ensure!(told["name"] == "reader of orders", "{told}");
    Ok(())
}

/// Calls each operation of the API reference that changes something, with a stranger's token: it leaves a
/// line.
fn every_operation(c: &Cluster, log: &Path, fixture: &Fixture) -> Result<()> {
    let is_publish = |path: &str| {
        path == "/api/maps/{map}/events" || path.starts_with("/api/sessions") || path == "/api/votes/live"
    };
    let is_read = |path: &str| ["/pull", "/ack", "/nack", "/extend"].iter().any(|end| path.ends_with(end));
    let is_data =
        |path: &str| is_publish(path) || path.starts_with("/socket") || is_signed(path) || is_read(path);
    let changes: Vec<(String, String)> =
        operations().into_iter().filter(|(method, path)| method != "GET" && !is_data(path)).collect();
    ensure!(changes.len() > 25, "{changes:?}");
    for (method, path) in &changes {
        let target = fixture.fill(path);
        let before = lines(log).len();
        // Its body is none, so that with any right it would be refused.
        call(c, method, &target, "no-such-token", "", "[")?;
        c.wait_until(&format!("the line of {method} {path}"), |_| {
            let all = lines(log);
            let told =
                all.iter().skip(before).any(|line| line["method"] == **method && line["path"] == target);
            Ok(told.then_some(()))
        })?;
    }
    println!("{} operations left their lines", changes.len());
    Ok(())
}

#[test]
fn a_full_disk_loses_lines_and_says_so() {
    let options = nodes(1).set("WAYPOST_AUDIT_FILE", "/dev/full");
    scenario(options, |cluster| {
        // The change goes on.
        cluster.map("unrecorded")?;
        println!("{}", cluster.wait_problem(0, "audit_lost")?["what"]);
        ensure!(cluster.metric(0, "waypost_audit_lost_lines_total", "")? > 0);
        Ok(())
    });
}

#[test]
fn a_change_whose_caller_leaves_has_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    scenario(nodes(1).set("WAYPOST_AUDIT_FILE", log.display()), |cluster| {
        // The body never comes; the caller leaves.
        let head = format!(
            "POST /api/maps HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\nContent-Length: 100\r\n\r\n{{"
        );
        let (answer, _) =
            testkit::http::raw(cluster.nodes[0].http, head.as_bytes(), Duration::from_millis(500))?;
        println!("{answer}");
        let told = line(cluster, &log, "the line", |line| line["route"] == "/api/maps")?;
        ensure!(told["result"] != "done" && told["who"] == "admin", "{told}");
        Ok(())
    });
}
