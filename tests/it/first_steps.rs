//! End to end: an event published over HTTP at one node reaches every kind of client at the other nodes, and
//! answers have the promised fields.

use crate::support::{Check, checked, nodes, publish, publish_many};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::{Map, fresh_key};
use testkit::http::Api;

#[test]
fn a_single_node_serves() {
    checked(
        nodes(1),
        &[
            ("status, health and metrics", status_and_metrics),
            ("publishing: one, a batch, NDJSON", three_ways_to_publish),
            ("maps: create, list, show, change, delete", map_lifecycle),
            ("phoenix.js gets a published event", |c| client_gets(c, 0, 0, Js::phoenix)),
        ],
    );
}

#[test]
fn three_nodes_serve_through_any_of_them() {
    const CHECKS: &[Check] = &[
        ("phoenix.js with filter through a follower", filter_through_a_follower),
        ("phoenix.js on every node", |c| everywhere(c, Js::phoenix)),
        ("long poll on every node", |c| everywhere(c, Js::longpoll)),
        ("V1: objects instead of arrays", |c| special_client(c, json!({"vsn": "1.0.0"}))),
        ("token as a subprotocol", |c| special_client(c, json!({"subprotocol": true}))),
        ("EventSource on every node", event_source),
        ("SSE frame by frame", sse_bytes),
        ("a slug works like an id", slug),
        ("every node lists all members", members),
    ];
    checked(nodes(3), CHECKS);
}

fn status_and_metrics(c: &Cluster) -> Result<()> {
    let open = Api::new(&c.nodes[0].url(), None);
    for path in ["/healthz", "/readyz"] {
        open.get(path)?.expect(200)?;
    }
    let metrics = c.admin(0).get("/metrics")?.expect(200)?.text();
    ensure!(metrics.contains("# TYPE waypost_"), "no Waypost metric in {metrics}");
    open.get("/api/cluster/status")?.expect(401)?;
    let status = c.status(0)?;
    ensure!(status["role"] == "leader" && status["healthy"] == true, "{status}");
    for member in ["cluster_id", "node_id", "term", "leader_id"] {
        ensure!(!status[member].is_null(), "no {member} in {status}");
    }
    Ok(())
}

fn three_ways_to_publish(c: &Cluster) -> Result<()> {
    let map = c.map("three-ways")?;
    let body = r#"{"type":"add_system","payload":{"\u00e9": 9.0, "b": 1, "10": 2, "9": 3}}"#;
    let one = c.api(0, &map).send(&map.events(), body.as_bytes())?.data(201)?;
    ensure!(one["seq"] == 1 && one["map_id"] == map.id && one["type"] == "add_system", "{one}");
    let id = one["id"].as_str().unwrap_or("");
    let ts = one["ts"].as_str().unwrap_or("");
    ensure!(id.len() == 26 && id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()));
    ensure!(ts.len() == 24 && ts.ends_with('Z'), "ts {ts}");
    let batch = publish_many(c, 0, &map, "x", 3)?;
    ensure!(batch.iter().map(|e| &e["seq"]).eq(&[json!(2), json!(3), json!(4)]), "{batch:?}");
    let lines = "{\"type\":\"y\",\"payload\":1}\n{\"type\":\"y\",\"payload\":[2]}\n";
    let headers = [("content-type", "application/x-ndjson")];
    let answer = c.api(0, &map).call("POST", &map.events(), &headers, Some(lines.as_bytes()))?;
    let data = answer.data(201)?;
    ensure!(data["count"] == 2 && data["first_seq"] == 5 && data["last_seq"] == 6, "{data}");
    // The payload's bytes are those of JSON.stringify(JSON.parse(body)).
    let text = c.admin(0).get(&format!("{}?limit=1&since=2000-01-01T00:00:00Z", map.events()))?;
    let text = text.expect(200)?.text();
    ensure!(text.contains(r#"{"9":3,"10":2,"é":9,"b":1}"#), "{text}");
    let page = c.admin(0).get(&format!("{}?after={id}", map.events()))?.expect(200)?.json()?;
    ensure!(page["data"].as_array().map(Vec::len) == Some(5), "{page}");
    ensure!(page["has_more"] == false && page["data"][4]["id"] == page["cursor"], "{page}");
    let some = c.admin(0).get(&format!("{}?after={id}&events=y", map.events()))?.json()?;
    ensure!(some["data"].as_array().map(Vec::len) == Some(2), "{some}");
    Ok(())
}

fn map_lifecycle(c: &Cluster) -> Result<()> {
    let map = c.map_with("life", json!({"name": "A map", "limits": {"webhooks": 3}}))?;
    let path = format!("/api/maps/{}", map.slug);
    let shown = c.admin(0).get(&path)?.data(200)?;
    ensure!(shown["id"] == map.id && shown["name"] == "A map", "{shown}");
    ensure!(shown["limits"]["webhooks"] == 3 && shown["limits"]["connections"] == 1000, "{shown}");
    ensure!(shown.get("token").is_none(), "the token is shown again: {shown}");
    let changed = c.admin(0).patch(&path, &json!({"name": "Another"}))?.data(200)?;
    ensure!(changed["name"] == "Another" && changed["limits"]["webhooks"] == 3, "{changed}");
    let listed = c.admin(0).get("/api/maps")?.data(200)?;
    ensure!(listed.as_array().is_some_and(|l| l.iter().any(|m| m["id"] == map.id)), "{listed}");
    let again = c.admin(0).post("/api/maps", &json!({"slug": "life"}))?;
    ensure!(matches!(again.status, 409 | 422), "a slug was given twice: {} {}", again.status, again.text());
    c.admin(0).delete(&path)?.expect(204)?;
    c.admin(0).get(&path)?.expect(404)?;
    Ok(())
}

type Start = fn(&[String], &Map, Value) -> Result<Js>;

/// A client at one node gets an event published at another node unchanged.
fn client_gets(c: &Cluster, at: usize, through: usize, start: Start) -> Result<()> {
    let map = c.map(&format!("gets-{at}-{through}-{}", fresh_key()))?;
    let client = start(&[c.nodes[at].url()], &map, json!({}))?;
    let reply = client.wait_joined()?;
    ensure!(reply["last_seq"] == 0 && reply["gap"] == false && reply["backfill"] == 0, "{reply}");
    let sent = publish(c, through, &map, "add_system", json!({"name": "Jita", "n": [1, null]}))?;
    let got = client.wait_for("event", 1)?;
    ensure!(got["event"] == "add_system" && got["payload"] == sent, "{got} is not {sent}");
    Ok(())
}

fn everywhere(c: &Cluster, start: Start) -> Result<()> {
    (0..3).try_for_each(|at| client_gets(c, at, (at + 1) % 3, start))
}

fn filter_through_a_follower(c: &Cluster) -> Result<()> {
    let map = c.map("filter")?;
    let follower = c.follower()?;
    let url = [c.nodes[follower].url()];
    let client = Js::phoenix(&url, &map, json!({"events": ["add_system", "map_kill"]}))?;
    client.wait_joined()?;
    let mut expected = Vec::new();
    for kind in ["add_system", "connection_added", "map_kill", "add_systems", "map_kill"] {
        let sent = publish(c, c.leader()?, &map, kind, json!({}))?;
        if matches!(kind, "add_system" | "map_kill") {
            expected.push(sent);
        }
    }
    client.wait_seq(5)?;
    let got: Vec<Value> = client.of("event").iter().map(|l| l["payload"].clone()).collect();
    ensure!(got == expected, "{got:?} is not {expected:?}");
    Ok(())
}

fn special_client(c: &Cluster, special: Value) -> Result<()> {
    let map = c.map(&format!("special-{}", fresh_key()))?;
    let mut options = json!({"urls": [c.nodes[1].url()], "token": map.token, "topic": map.topic()});
    for (name, value) in special.as_object().into_iter().flatten() {
        options[name] = value.clone();
    }
    let client = Js::phoenix_with(options)?;
    client.wait_joined()?;
    let sent = publish(c, 0, &map, "x", json!({"a": "b"}))?;
    let got = client.wait_for("event", 1)?;
    ensure!(got["payload"] == sent, "{got} is not {sent}");
    Ok(())
}

fn event_source(c: &Cluster) -> Result<()> {
    for at in 0..3 {
        let map = c.map(&format!("source-{at}"))?;
        let query = json!({"events": "x,y"});
        let client = Js::sse(&[c.nodes[at].url()], &map, query, &["x", "y", "z"])?;
        let connected = client.wait_for("connected", 1)?;
        ensure!(connected["id"] == connected["data"]["last_event_id"], "{connected}");
        ensure!(connected["data"]["map_id"] == map.id, "{connected}");
        ensure!(connected["data"]["server_time"].is_string(), "{connected}");
        let mut sent = publish(c, (at + 1) % 3, &map, "x", json!({"a": 1}))?;
        publish(c, at, &map, "z", json!({}))?;
        publish(c, at, &map, "y", json!({}))?;
        let second = client.wait_for("event", 2)?;
        ensure!(second["event"] == "y" && second["payload"]["seq"] == 3, "{second}");
        let got = &client.of("event")[0];
        sent["timestamp"] = sent["ts"].clone();
        ensure!(got["payload"] == sent && got["id"] == sent["id"], "{got} is not {sent}");
    }
    Ok(())
}

fn sse_bytes(c: &Cluster) -> Result<()> {
    let map = c.map("sse-bytes")?;
    let sent = publish(c, 0, &map, "x", json!({"text": "a\nb"}))?;
    let url = format!("{}{}/stream?token={}", c.nodes[2].url(), map.events(), map.token);
    let client = Js::sse_raw(&format!("{url}&last_event_id="), json!({}))?;
    let head = client.wait_for("head", 1)?;
    let kind = head["headers"]["content-type"].as_str().unwrap_or_default();
    // An empty last_event_id is either ignored or clearly refused; never an empty stream.
    ensure!(head["status"] == 400 || kind.starts_with("text/event-stream"), "{head}");
    let headers = json!({"Authorization": format!("Bearer {}", map.token), "Last-Event-ID": sent["id"]});
    let url = format!("{}{}/stream", c.nodes[2].url(), map.events());
    let client = Js::sse_raw(&url, headers)?;
    client.wait("the first frame", |c| Ok(c.of("chunk").first().map(|_| ())))?;
    let next = publish(c, 0, &map, "y", json!({"text": "a\nb"}))?;
    let text = client.wait("the event's frame", |c| {
        let text: String = c.of("chunk").iter().filter_map(|l| l["text"].as_str()).collect();
        let whole = text.split_once("event: y").is_some_and(|(_, rest)| rest.contains("\n\n"));
        Ok(whole.then_some(text))
    })?;
    let position = sent["id"].as_str().unwrap_or_default();
    ensure!(text.starts_with(&format!("event: connected\nid: {position}\ndata: {{")), "{text:?}");
    let id = next["id"].as_str().unwrap_or_default();
    ensure!(text.contains(&format!("\n\nevent: y\nid: {id}\ndata: {{")), "{text:?}");
    let frame = text.split("\n\n").find(|frame| frame.starts_with("event: y")).unwrap_or_default();
    ensure!(frame.contains(r#""text":"a\nb""#) && frame.ends_with('}'), "{text:?}");
    ensure!(!text.contains("event: x"), "an event that was seen came again: {text:?}");
    let wrong = Api::new(&c.nodes[0].url(), Some("wp_wrong")).get(&format!("{}/stream", map.events()))?;
    let error = wrong.clone().expect(401)?.json()?;
    ensure!(error["error"].is_string() && error["status"] == 401, "{error}");
    Ok(())
}

fn slug(c: &Cluster) -> Result<()> {
    let map = c.map("by-its-slug")?;
    let topic = format!("events:map:{}", map.slug);
    let mut socket = testkit::phoenix::Socket::connect(c.nodes[1].http, &map.token)?;
    socket.join_ok(&topic, json!({}))?;
    let by_slug = Map { id: map.slug.clone(), ..map.clone() };
    publish(c, 2, &by_slug, "x", json!({}))?;
    let frame = socket.frame()?;
    ensure!(frame.topic == topic && frame.payload["map_id"] == map.id, "{frame:?}");
    Ok(())
}

fn members(c: &Cluster) -> Result<()> {
    for node in 0..3 {
        let status = c.status(node)?;
        let members = status["members"].as_array().cloned().unwrap_or_default();
        for node in &c.nodes {
            let http = node.http.to_string();
            let it = members.iter().find(|m| m["http_addr"].as_str().is_some_and(|a| a.contains(&http)));
            ensure!(it.is_some_and(|m| m["version"].is_string()), "no member {http} in {status}");
        }
    }
    Ok(())
}
