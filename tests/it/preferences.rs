//! A publisher that prefers it is answered with ids alone (`Prefer: return=minimal`).

use crate::support::{checked, nodes};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::http::Answer;

const MINIMAL: (&str, &str) = ("prefer", "return=minimal");
const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn publishers_choose_how_much_they_are_told() {
    checked(
        nodes(1),
        &[
            ("the ids of stored events", stored),
            ("the ids of ephemeral events", ephemeral),
            ("the same ids again", repeated),
            ("what cannot be minimal", others),
        ],
    );
}

fn publish(c: &Cluster, map: &Map, headers: &[(&str, &str)], body: &Value) -> Result<Answer> {
    c.api(0, map).call("POST", &map.events(), headers, Some(body.to_string().as_bytes()))
}

fn batch(subject: &str, count: usize) -> Value {
    let event = json!({"type": "x", "subject": subject, "payload": {"text": "long enough"}});
    json!({"events": vec![event; count]})
}

/// The ids in an answer that has nothing else.
fn ids(answer: Answer, status: u16) -> Result<Vec<Value>> {
    ensure!(answer.header("preference-applied") == Some("return=minimal"), "{}", answer.text());
    let data = answer.data(status)?;
    let events = data.as_array().cloned().unwrap_or_else(|| vec![data.clone()]);
    let ids: Vec<Value> = events.iter().map(|event| event["id"].clone()).collect();
    let alone: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
    ensure!(events == alone && ids.iter().all(Value::is_string), "{data}");
    Ok(ids)
}

fn stored(c: &Cluster) -> Result<()> {
    let map = c.map("stored-ids")?;
    let mut told = ids(publish(c, &map, &[JSON, MINIMAL], &batch("orders-1", 3))?, 201)?;
    told.extend(ids(publish(c, &map, &[JSON, MINIMAL], &json!({"type": "x", "payload": 1}))?, 201)?);
    let kept = c.api(0, &map).get(&format!("{}?subjects=*", map.events()))?.data(200)?;
    let kept: Vec<Value> = kept.as_array().into_iter().flatten().map(|event| event["id"].clone()).collect();
    ensure!(kept == told && kept.len() == 4, "{kept:?}, but told {told:?}");
    Ok(())
}

fn ephemeral(c: &Cluster) -> Result<()> {
    let map = c.map("ephemeral-ids")?;
    c.set_rules(&map, &json!([{"match": "live-*", "durability": "ephemeral"}]))?;
    let told = ids(publish(c, &map, &[JSON, MINIMAL], &batch("live-1", 3))?, 202)?;
    ensure!(told.len() == 3 && told.is_sorted_by_key(Value::to_string), "{told:?}");
    Ok(())
}

fn repeated(c: &Cluster) -> Result<()> {
    let map = c.map("repeated-ids")?;
    let post = |headers: &[(&str, &str)]| publish(c, &map, headers, &batch("orders-1", 2));
    let key = ("idempotency-key", "k");
    let first = ids(post(&[JSON, MINIMAL, key])?, 201)?;
    let again = post(&[JSON, MINIMAL, key])?;
    ensure!(again.header("idempotency-replayed") == Some("true"), "{}", again.text());
    ensure!(ids(again, 201)? == first);
    let whole = post(&[JSON, key])?.data(201)?;
    ensure!(whole[0]["id"] == first[0] && whole[1]["seq"] == 2, "{whole}");
    Ok(())
}

/// Lines are answered with a summary, and a caller with other preferences gets the whole events.
fn others(c: &Cluster) -> Result<()> {
    let map = c.map("whole-events")?;
    let whole =
        publish(c, &map, &[JSON, ("prefer", "return=representation, wait=5")], &batch("orders-1", 1))?;
    ensure!(whole.header("preference-applied").is_none(), "{}", whole.text());
    ensure!(whole.data(201)?[0]["payload"]["text"] == "long enough");
    let headers = [("content-type", "application/x-ndjson"), MINIMAL];
    let lines = publish(c, &map, &headers, &json!({"type": "x", "payload": 1}))?.expect(201)?;
    ensure!(lines.header("preference-applied").is_none(), "{}", lines.text());
    ensure!(lines.data(201)?["count"] == 1);
    Ok(())
}
