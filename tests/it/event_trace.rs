//! What became of an event: one timeline, the same from every node, that is whole or says what is gone.

use crate::support::{checked, printed, scenario, waypost};
use crate::webhooks_support::{Hook, any, delivering, map, quick};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::consumer::{Reader, ids};
use testkit::dice::Dice;
use testkit::http::text;
use testkit::phoenix::Socket;
use testkit::receiver::{Receiver, behaviour};
use waypost::core::ids::EventId;

/// The kinds of steps, by stage.
const STAGES: [&str; 9] = [
    "received",
    "proposed",
    "committed",
    "applied",
    "delivered",
    "attempt",
    "acknowledged",
    "dead_letter",
    "pending",
];

#[test]
fn an_event_is_followed_to_everybody_who_got_it() {
    checked(
        delivering(3),
        &[
            ("a timeline is whole from every node", whole),
            ("a dead letter, and what waits", given_up),
            ("an attempt without an answer", unanswered),
            ("who may not see an event learns nothing of it", foreign),
            ("nothing is known of ephemeral events", ephemeral),
            ("the command line", by_command),
        ],
    );
}

/// The timeline of an event, as a node tells it.
fn timeline(c: &Cluster, node: usize, map: &Map, id: &str) -> Result<Value> {
    c.api(node, map).get(&map.path(&format!("/events/{id}/trace")))?.data(200)
}

/// The timeline of an event, when all nodes but the `silent` ones have told what they know.
fn answered(c: &Cluster, node: usize, map: &Map, id: &str, silent: &[u64]) -> Result<Value> {
    c.wait_until("the answers of all nodes", |c| {
        let told = c.api(node, map).get(&map.path(&format!("/events/{id}/trace")))?;
        // Of an event that is not stored, nothing may be known without the others.
        if told.status == 404 {
            return Ok(None);
        }
        let told = told.data(200)?;
        let missing = told["unreachable"].as_array().context("no list")?;
        let missing: Vec<u64> = missing.iter().filter_map(|node| node["id"].as_u64()).collect();
        Ok((missing == silent).then_some(told))
    })
}

fn steps<'t>(timeline: &'t Value, kind: &'t str) -> impl Iterator<Item = &'t Value> {
    timeline["steps"].as_array().into_iter().flatten().filter(move |step| step["kind"] == kind)
}

fn nodes_of(timeline: &Value, kind: &str) -> BTreeSet<u64> {
    steps(timeline, kind).filter_map(|step| step["node"]["id"].as_u64()).collect()
}

fn gone(timeline: &Value) -> String {
    timeline["gone"].to_string()
}

/// Checks that steps stand by stage, and within a stage by time, with those without a time at the end.
fn check_order(timeline: &Value) -> Result<()> {
    let of = |step: &Value| {
        let stage = STAGES.iter().position(|stage| step["kind"] == *stage);
        let at = step["at"].as_str().unwrap_or("~").to_owned();
        stage.map(|stage| (stage, at)).with_context(|| format!("{step}"))
    };
    let steps = timeline["steps"].as_array().context("no steps")?;
    let order = steps.iter().map(of).collect::<Result<Vec<_>>>()?;
    ensure!(order.is_sorted(), "{timeline}");
    Ok(())
}

fn consumer(c: &Cluster, map: &Map) -> Result<()> {
    let body = json!({"name": "jobs", "visibility_ms": 3_600_000});
    c.api(0, map).post(&map.path("/consumers"), &body)?.data(201).map(drop)
}

/// Takes one event at a node and acknowledges it.
fn acknowledge(c: &Cluster, node: usize, map: &Map) -> Result<()> {
    let mut reader = Reader::new(&[c.nodes[node].url()], map, "jobs").patient();
    c.wait_until("an event for a reader", |_| {
        let taken = reader.pull(1, 5)?;
        if taken.is_empty() {
            return Ok(None);
        }
        ensure!(reader.ack(&ids(&taken))?.is_empty(), "the event is not the reader's");
        Ok(Some(()))
    })
}

fn whole(c: &Cluster) -> Result<()> {
    let map = map(c, "trace-whole")?;
    let receiver = Receiver::start()?;
    let url = receiver.on("/once", behaviour::recovering(1, 503));
    let hook = Hook::create(c, &map, &url, json!({"retry": quick(9)}))?;
    consumer(c, &map)?;
    let mut sockets: Vec<Socket> = (0..6).map(|n| c.joined(n % 3, &map, json!({}))).collect::<Result<_>>()?;
    let (token, publisher) = c.token(&map, &["publish"])?;
    let sent = c.publish(1, &publisher, &json!({"type": "paid", "payload": {"key": "a"}}))?;
    let id = text(&sent, "id")?;
    for socket in &mut sockets {
        socket.events(1)?;
    }
    receiver.wait_events("/once", 1)?;
    acknowledge(c, 2, &map)?;
    let node_ids: BTreeSet<u64> = (0..3).map(|node| c.id(node)).collect::<Result<_>>()?;
    for node in 0..3 {
        let told = c.wait_until("the last steps", |c| {
            let told = timeline(c, node, &map, &id)?;
            let is_delivered = steps(&told, "attempt").any(|step| step["outcome"] == "delivered");
            let is_over = nodes_of(&told, "applied") == node_ids && steps(&told, "pending").next().is_none();
            // A busy node may not answer in time, or one of its threads.
            let is_whole = told["gone"] == json!([]) && told["unreachable"] == json!([]);
            let is_acknowledged = steps(&told, "acknowledged").next().is_some();
            Ok((is_delivered && is_over && is_whole && is_acknowledged).then_some(told))
        })?;
        check_order(&told)?;
        ensure!(told["event"]["id"] == id.as_str() && told["event"]["type"] == "paid", "{told}");
        ensure!(steps(&told, "received").count() == 1, "{told}");
        let received = steps(&told, "received").next().context("nobody published it")?;
        ensure!(received["by"] == token.as_str() && received["protocol"] == "rest", "{told}");
        ensure!(received["node"]["id"] == c.id(1)?, "{told}");
        let proposal = steps(&told, "proposed").next().context("no proposal")?["proposal"].to_string();
        ensure!(proposal.starts_with(&format!("\"{}-", c.id(1)?)), "{told}");
        let index = id.parse::<EventId>()?.log_position().index;
        ensure!(steps(&told, "committed").all(|step| step["log_index"] == index), "{told}");
        ensure!(nodes_of(&told, "delivered") == node_ids, "{told}");
        let all_waited = steps(&told, "delivered").all(|step| step["sockets"] == 2 && step["waiting"] == 0);
        ensure!(all_waited, "{told}");
        let failed = steps(&told, "attempt").find(|step| step["outcome"] == "failed");
        let is_first = |step: &Value| {
            step["status"] == 503 && step["class"] == "status" && step["webhook"]["id"] == hook.id
        };
        ensure!(failed.is_some_and(is_first), "{told}");
        ensure!(steps(&told, "acknowledged").all(|step| step["consumer"]["name"] == "jobs"), "{told}");
    }
    Ok(())
}

fn given_up(c: &Cluster) -> Result<()> {
    let map = map(c, "trace-given-up")?;
    let receiver = Receiver::start()?;
    let url = receiver.on("/bad", behaviour::recovering(2, 500));
    let hook = Hook::create(c, &map, &url, json!({"retry": quick(2)}))?;
    consumer(c, &map)?;
    let other = Hook::create(c, &map, &receiver.on("/y", behaviour::healthy()), json!({"events": ["y"]}))?;
    let sent = c.publish(0, &map, &json!({"type": "x", "payload": {"key": "a"}}))?;
    let id = text(&sent, "id")?;
    hook.wait_dead_letters(c, 1)?;
    let told = c.wait_until("the dead letter at another node", |c| {
        let told = timeline(c, 2, &map, &id)?;
        let is_dead = steps(&told, "dead_letter").next().is_some();
        Ok(is_dead.then_some(told))
    })?;
    check_order(&told)?;
    let dead = steps(&told, "dead_letter").next().context("no dead letter")?;
    ensure!(dead["webhook"]["id"] == hook.id && dead["at"].is_string(), "{told}");
    let outcomes: Vec<&Value> = steps(&told, "attempt").map(|step| &step["outcome"]).collect();
    ensure!(outcomes.iter().any(|outcome| **outcome == "gave_up"), "{told}");
    // Nobody reads the consumer.
    let pending: Vec<&Value> = steps(&told, "pending").collect();
    ensure!(pending.len() == 1 && pending[0]["consumer"]["name"] == "jobs", "{told}");
    ensure!(pending[0]["reason"] == "unread", "{told}");
    // One webhook does not choose it, and says why.
    let not_chosen = told["not_chosen"].as_array().context("no list")?;
    ensure!(not_chosen.len() == 1 && not_chosen[0]["webhook"]["id"] == other.id, "{told}");
    ensure!(text(&not_chosen[0], "why")?.contains("type x"), "{told}");
    replayed(c, &map, &hook, &id)
}

/// Has the dead letter delivered: its timeline still says that it was given up before.
fn replayed(c: &Cluster, map: &Map, hook: &Hook, id: &str) -> Result<()> {
    hook.post(c, "/dead-letters/retry", &json!({}))?;
    let told = c.wait_until("the attempt that delivers it", |c| {
        let told = answered(c, 1, map, id, &[])?;
        let is_delivered = steps(&told, "attempt").any(|step| step["outcome"] == "delivered");
        Ok(is_delivered.then_some(told))
    })?;
    check_order(&told)?;
    let attempt = |step: &Value| json!([step["attempt"], step["outcome"], step["replay"]]);
    let attempts: Vec<Value> = steps(&told, "attempt").map(attempt).collect();
    let expected = json!([[1, "failed", false], [2, "gave_up", false], [1, "delivered", true]]);
    ensure!(Value::from(attempts) == expected, "{told}");
    ensure!(!gone(&told).contains("attempt"), "{told}");
    Ok(())
}

/// Nobody listens at the port of the receiver: each attempt says so.
fn unanswered(c: &Cluster) -> Result<()> {
    let map = map(c, "trace-unanswered")?;
    Hook::create(c, &map, "http://127.0.0.1:9/", json!({"retry": quick(2)}))?;
    let sent = c.publish(0, &map, &json!({"type": "x", "payload": {"key": "a"}}))?;
    let id = text(&sent, "id")?;
    let says_why = |step: &&Value| {
        let has_error = step["error"].as_str().is_some_and(|error| !error.is_empty());
        step["class"] == "connect" && step["status"].is_null() && has_error
    };
    c.wait_until("the reasons of both attempts", |c| {
        let told = timeline(c, 2, &map, &id)?;
        let attempts: Vec<&Value> = steps(&told, "attempt").collect();
        Ok((attempts.len() == 2 && attempts.iter().all(says_why)).then_some(()))
    })
}

fn foreign(c: &Cluster) -> Result<()> {
    let (own, other) = (map(c, "trace-own")?, map(c, "trace-other")?);
    let sent = c.publish(0, &own, &json!({"type": "x", "payload": {"key": "a"}}))?;
    let path = format!("/events/{}/trace", text(&sent, "id")?);
    c.wait_same_applied()?;
    for node in 0..3 {
        ensure!(c.api(node, &own).get(&own.path(&path))?.status == 200);
        // The holder of another map's token asks in its own map, in this one, and in one that is not.
        let in_other = c.api(node, &other).get(&other.path(&path))?;
        let made_up = c.api(node, &other).get(&other.path("/events/01JY97R74N0000000000070000/trace"))?;
        ensure!(in_other.status == 404 && in_other.code() == "event_not_found", "{}", in_other.text());
        ensure!(in_other.body == made_up.body, "{} and {}", in_other.text(), made_up.text());
        let in_own = c.api(node, &other).get(&own.path(&path))?;
        let nowhere = c.api(node, &other).get(&format!("/api/maps/no-such-map{path}"))?;
        ensure!((in_own.status, in_own.body.as_slice()) == (nowhere.status, nowhere.body.as_slice()));
    }
    let (_, reader) = c.token(&own, &["subscribe", "publish"])?;
    ensure!(c.api(1, &reader).get(&own.path(&path))?.status == 403);
    ensure!(c.admin(1).get(&own.path(&path))?.status == 200);
    // Of a deleted event, its own map still learns how it came; another one learns nothing.
    c.api(0, &own).delete(&own.path(path.trim_end_matches("/trace")))?.expect(204)?;
    c.wait_same_applied()?;
    let told = answered(c, 1, &own, text(&sent, "id")?.as_str(), &[])?;
    ensure!(told["event"].is_null() && gone(&told).contains("no longer stored"), "{told}");
    ensure!(steps(&told, "received").next().is_some(), "{told}");
    ensure!(c.api(1, &other).get(&other.path(&path))?.status == 404);
    Ok(())
}

fn ephemeral(c: &Cluster) -> Result<()> {
    let map = map(c, "trace-ephemeral")?;
    c.set_rules(&map, &json!([{"match": "live-*", "durability": "ephemeral"}]))?;
    let event = json!({"type": "x", "subject": "live-1", "payload": {}});
    let sent = c.api(0, &map).post(&map.events(), &event)?.data(202)?;
    let told = timeline(c, 1, &map, &text(&sent, "id")?)?;
    ensure!(told["event"].is_null() && told["steps"] == json!([]), "{told}");
    ensure!(gone(&told).contains("ephemeral"), "{told}");
    // Nobody made this id: its time is far in the future.
    let invented = EventId::ephemeral((1 << 48) - 1, 7, 5);
    let found = c.api(1, &map).get(&map.path(&format!("/events/{invented}/trace")))?;
    ensure!(found.status == 404 && found.code() == "event_not_found", "{}", found.text());
    Ok(())
}

fn by_command(c: &Cluster) -> Result<()> {
    let map = map(c, "trace-command")?;
    let sent = c.publish(0, &map, &json!({"type": "paid", "payload": {"key": "a"}}))?;
    let id = text(&sent, "id")?;
    c.wait_same_applied()?;
    let run = |arguments: &[&str], name: &str, token: &str| -> Result<String> {
        let mut command = waypost(arguments);
        command.env("WAYPOST_URL", c.nodes[2].url()).env(name, token);
        Ok(printed(&command.output()?))
    };
    // A busy node may not answer in time.
    c.wait_until("a table with every stage", |_| {
        let table = run(&["trace", &id, "--map", &map.slug, "-o", "table"], "WAYPOST_TOKEN", &map.token)?;
        let said = ["AFTER", "received", "proposed", "committed", "applied", "paid"];
        Ok(said.iter().all(|said| table.contains(said)).then_some(()))
    })?;
    // Without a map, the admin looks through all of them.
    let found = run(&["trace", &id], "WAYPOST_ADMIN_TOKEN", testkit::cluster::ADMIN)?;
    let found: Value = serde_json::from_str(&found).with_context(|| found.clone())?;
    ensure!(found["event"]["id"] == id.as_str(), "{found}");
    let wrong = run(&["trace", "x", "--map", &map.slug], "WAYPOST_TOKEN", &map.token)?;
    ensure!(wrong.contains("26 characters"), "{wrong}");
    Ok(())
}

#[test]
fn what_a_restart_forgets_is_said() {
    scenario(delivering(3), |c| {
        let map = map(c, "trace-restart")?;
        let receiver = Receiver::start()?;
        let hook = Hook::create(c, &map, &receiver.on("/a", behaviour::healthy()), json!({}))?;
        let sent = c.publish(1, &map, &json!({"type": "x", "payload": {"key": "a"}}))?;
        let id = text(&sent, "id")?;
        receiver.wait_events("/a", 1)?;
        hook.wait_settled(c)?;
        c.wait_same_applied()?;
        let dead = c.id(1)?;
        c.nodes[1].kill9()?;
        let told = answered(c, 0, &map, &id, &[dead])?;
        ensure!(nodes_of(&told, "applied").len() == 2, "{told}");
        ensure!(gone(&told).contains("who published the event"), "{told}");
        c.bring_back(1)?;
        let told = answered(c, 0, &map, &id, &[])?;
        check_order(&told)?;
        let said = format!("node {dead} (");
        ensure!(gone(&told).contains(&said) && gone(&told).contains("was started after the event"), "{told}");
        ensure!(nodes_of(&told, "applied").len() == 2, "{told}");
        c.restart_all()?;
        let told = answered(c, 2, &map, &id, &[])?;
        check_order(&told)?;
        ensure!(steps(&told, "applied").next().is_none() && told["event"]["id"] == id.as_str(), "{told}");
        ensure!(gone(&told).matches("was started after the event").count() == 3, "{told}");
        // What is stored anyway is still shown.
        let stored: Vec<&Value> = steps(&told, "attempt").collect();
        let is_done = |step: &&Value| step["status"] == 200 && step["webhook"]["id"] == hook.id;
        ensure!(stored.iter().any(is_done), "{told}");
        Ok(())
    });
}

/// Checks that a timeline is whole, or says what is missing.
fn check_whole(told: &Value, id: &str, nodes: &[u64]) -> Result<()> {
    check_order(told)?;
    let gone = gone(told);
    let silent = told["unreachable"].as_array().context("no list")?;
    let silent: BTreeSet<u64> = silent.iter().filter_map(|node| node["id"].as_u64()).collect();
    ensure!(told["event"]["id"].as_str() == Some(id), "{told}");
    let is_said = |kind: &str, sentence: &str| steps(told, kind).next().is_some() || gone.contains(sentence);
    for (kind, sentence) in [
        ("received", "who published the event"),
        ("proposed", "which proposal brought the event"),
        ("committed", "of the log was committed"),
    ] {
        ensure!(is_said(kind, sentence), "no {kind}: {told}");
    }
    let index = id.parse::<EventId>()?.log_position().index;
    ensure!(steps(told, "committed").all(|step| step["log_index"] == index), "{told}");
    let publisher = nodes_of(told, "received");
    ensure!(publisher.is_empty() || publisher == nodes_of(told, "proposed"), "{told}");
    for kind in ["applied", "delivered"] {
        let known = nodes_of(told, kind);
        for node in nodes {
            let is_said = silent.contains(node) || gone.contains(&format!("node {node} ("));
            ensure!(known.contains(node) || is_said, "{kind} at {node}: {told}");
        }
    }
    Ok(())
}

#[test]
fn each_of_a_thousand_timelines_is_whole_or_says_what_is_gone() {
    const ROUNDS: usize = 10;
    const EVENTS: usize = 100;
    scenario(delivering(3), |c| {
        let map = map(c, "trace-thousand")?;
        let mut dice = Dice::new(18, 4);
        let mut sockets = [c.joined(0, &map, json!({}))?, c.joined(2, &map, json!({}))?];
        let (first, third) = (c.id(0)?, c.id(2)?);
        let nodes = [first, c.id(1)?, third];
        let mut sent = Vec::new();
        for round in 0..ROUNDS {
            let mut left = EVENTS;
            while left > 0 {
                let count = (1 + dice.below(8)).min(left);
                left -= count;
                let event = |n: usize| json!({"type": "x", "payload": {"key": format!("{left}-{n}")}});
                let events: Vec<Value> = (0..count).map(event).collect();
                let up: Vec<usize> = (0..3).filter(|node| c.nodes[*node].is_up()).collect();
                let stored = c.publish(up[dice.below(up.len())], &map, &json!({ "events": events }))?;
                for event in stored.as_array().context("no list of events")? {
                    sent.push(text(event, "id")?);
                }
            }
            for socket in &mut sockets {
                socket.events(EVENTS)?;
            }
            match round {
                3 => c.nodes[1].kill9()?,
                6 => c.bring_back(1)?,
                _ => {}
            }
        }
        c.wait_same_applied()?;
        ensure!(sent.iter().collect::<BTreeSet<_>>().len() == ROUNDS * EVENTS, "{} events", sent.len());
        for id in &sent {
            let told = timeline(c, dice.below(3), &map, id)?;
            check_whole(&told, id, &nodes)?;
            for step in steps(&told, "delivered").filter(|step| step["node"]["id"] != nodes[1]) {
                ensure!(step["sockets"] == 1 && step["waiting"] == 0, "{told}");
            }
        }
        any(c, &map).map(drop)
    });
}
