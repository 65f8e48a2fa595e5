//! A publish repeated with its `Idempotency-Key` is stored once, whichever nodes it goes to.

use crate::support::{checked, nodes, publish};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::http::Answer;

#[test]
fn a_repeated_publish_is_stored_once() {
    checked(
        nodes(3),
        &[
            ("one after another", repeated),
            ("all at the same time", at_once),
            ("batches", batches),
            ("keys tell apart events with the same bytes", run_together),
            ("a key means one request in any form", in_other_forms),
            ("keys belong to their map", per_map),
            ("keys end with their map", gone_with_the_map),
        ],
    );
}

fn repeated(c: &Cluster) -> Result<()> {
    let map = c.map("repeated")?;
    let body = json!({"type": "x", "payload": {"n": 1}});
    let first = c.api(0, &map).post_once(&map.events(), "k", &body)?.expect(201)?;
    for node in [0, 1, 2] {
        let again = c.api(node, &map).post_once(&map.events(), "k", &body)?.expect(201)?;
        ensure!(again.body == first.body, "{} is not {}", again.text(), first.text());
    }
    let other = json!({"type": "x", "payload": {"n": 2}});
    let refused = c.api(1, &map).post_once(&map.events(), "k", &other)?.expect(422)?;
    ensure!(!refused.code().is_empty(), "{}", refused.text());
    let next = publish(c, 2, &map, "x", json!({}))?;
    ensure!(next["seq"] == 2, "{next}");
    Ok(())
}

fn at_once(c: &Cluster) -> Result<()> {
    let map = c.map("at-once")?;
    for round in 0..10 {
        let key = format!("k{round}");
        let body = json!({"type": "x", "payload": {"round": round}});
        let answers: Vec<Result<Value>> = std::thread::scope(|scope| {
            let call = |i: usize| c.api(i % 3, &map).post_once(&map.events(), &key, &body)?.data(201);
            let threads: Vec<_> = (0..9).map(|i| scope.spawn(move || call(i))).collect();
            threads.into_iter().filter_map(|t| t.join().ok()).collect()
        });
        let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
        ensure!(answers.len() == 9 && answers.iter().all(|a| *a == answers[0]), "{answers:?}");
        ensure!(answers[0]["seq"] == round + 1, "{}", answers[0]);
    }
    Ok(())
}

fn batches(c: &Cluster) -> Result<()> {
    let map = c.map("batches")?;
    let batch = json!({"events": vec![json!({"type": "x", "payload": 1}); 20]});
    let first = c.api(0, &map).post_once(&map.events(), "b", &batch)?.expect(201)?;
    let again = c.api(1, &map).post_once(&map.events(), "b", &batch)?.expect(201)?;
    ensure!(first.body == again.body, "{} is not {}", again.text(), first.text());
    let lines = "{\"type\":\"y\",\"payload\":1}\n".repeat(5);
    let headers = [("content-type", "application/x-ndjson"), ("idempotency-key", "n")];
    let post = |node| c.api(node, &map).call("POST", &map.events(), &headers, Some(lines.as_bytes()));
    ensure!(post(1)?.expect(201)?.body == post(2)?.expect(201)?.body, "NDJSON was stored twice");
    ensure!(publish(c, 0, &map, "x", json!({}))?["seq"] == 26);
    Ok(())
}

fn lines(c: &Cluster, node: usize, map: &Map, key: &str, events: &[(&str, Value)]) -> Result<Answer> {
    let line = |(kind, payload): &(&str, Value)| format!("{}\n", json!({"type": kind, "payload": payload}));
    let body: String = events.iter().map(line).collect();
    let headers = [("content-type", "application/x-ndjson"), ("idempotency-key", key)];
    c.api(node, map).call("POST", &map.events(), &headers, Some(body.as_bytes()))
}

/// Two requests whose types and payloads, written one after another, have the same bytes but are different
/// events.
fn run_together(c: &Cluster) -> Result<()> {
    let map = c.map("together")?;
    let pairs = [
        (vec![("x1", json!(2))], vec![("x", json!(12))]),
        (vec![("a", json!(1)), ("2b", json!(3))], vec![("a", json!(12)), ("b", json!(3))]),
        (vec![("a", json!(1))], vec![("a", json!(1)), ("a", json!(1))]),
    ];
    let mut stored = 0;
    for (n, (one, other)) in pairs.iter().enumerate() {
        let key = format!("k{n}");
        stored += one.len();
        lines(c, 0, &map, &key, one)?.expect(201)?;
        let refused = lines(c, 1, &map, &key, other)?;
        ensure!(refused.status == 422 && refused.code() == "idempotency_key_reused", "{}", refused.text());
        ensure!(lines(c, 2, &map, &key, one)?.expect(201)?.json()?["data"]["count"] == one.len());
    }
    ensure!(publish(c, 0, &map, "x", json!({}))?["seq"] == stored + 1);
    Ok(())
}

/// An NDJSON stream and a JSON body with the same key are the same request if they carry the same events;
/// otherwise the second is refused.
fn in_other_forms(c: &Cluster) -> Result<()> {
    let map = c.map("forms")?;
    let one = ("x", json!({"n": 1.0}));
    let two = ("y", json!(2));
    let event = |(kind, payload): &(&str, Value)| json!({"type": kind, "payload": payload});
    let post = |node, key, body: &Value| c.api(node, &map).post_once(&map.events(), key, body);
    let batch = json!({"events": [event(&one), event(&two)]});
    // A stream, then JSON, and the other way round; white space makes no difference.
    let streamed = lines(c, 0, &map, "s", &[one.clone(), two.clone()])?.expect(201)?.json()?;
    let again = post(1, "s", &batch)?.expect(201)?;
    ensure!(again.header("idempotency-replayed") == Some("true"), "{}", again.text());
    ensure!(again.json()?["data"][0]["id"] == streamed["data"]["first_id"], "{} {streamed}", again.text());
    let first = post(2, "j", &event(&one))?.data(201)?;
    let again = lines(c, 0, &map, "j", std::slice::from_ref(&one))?.expect(201)?.json()?;
    ensure!(again["data"]["first_id"] == first["id"] && again["data"]["count"] == 1, "{again} {first}");
    let spaced = b"  {\"payload\" : {\"n\": 1e0},\n\"type\":\"x\"}".as_slice();
    let headers = [("content-type", "application/json"), ("idempotency-key", "j")];
    let again = c.api(1, &map).call("POST", &map.events(), &headers, Some(spaced))?.data(201)?;
    ensure!(again["id"] == first["id"], "{again} {first}");
    for refused in [lines(c, 1, &map, "j", std::slice::from_ref(&two))?, post(2, "s", &event(&one))?] {
        ensure!(refused.status == 422 && refused.code() == "idempotency_key_reused", "{}", refused.text());
    }
    ensure!(publish(c, 0, &map, "x", json!({}))?["seq"] == 4);
    Ok(())
}

/// A map that is deleted and created again under the same id has none of its former keys.
fn gone_with_the_map(c: &Cluster) -> Result<()> {
    let body = json!({"type": "x", "payload": 1});
    let map = c.map("again")?;
    c.admin(0).post_once(&map.events(), "k", &body)?.expect(201)?;
    c.admin(0).delete(&format!("/api/maps/{}", map.id))?.expect(204)?;
    c.admin(1).post("/api/maps", &json!({"id": map.id, "slug": "again"}))?.expect(201)?;
    c.wait_same_applied()?;
    let first = c.admin(2).post_once(&map.events(), "k", &body)?.data(201)?;
    let stored = c.admin(2).get(&map.events())?.data(200)?;
    ensure!(stored == json!([first]), "{stored} is not {first}");
    Ok(())
}

fn per_map(c: &Cluster) -> Result<()> {
    let body = json!({"type": "x", "payload": 1});
    let one = c.map("key-one")?;
    let two = c.map("key-two")?;
    let first = c.api(0, &one).post_once(&one.events(), "k", &body)?.data(201)?;
    let second = c.api(0, &two).post_once(&two.events(), "k", &body)?.data(201)?;
    ensure!(first["map_id"] == one.id && second["map_id"] == two.id, "{first} {second}");
    Ok(())
}
