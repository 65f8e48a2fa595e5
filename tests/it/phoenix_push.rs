//! Client events over Phoenix: a push on a joined subject becomes an event of the subject where the token and
//! the map's channel rules allow it, for every reader but the sender.

use crate::support::{checked, nodes};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::Map;
use testkit::http::text;
use testkit::longpoll::Poller;
use testkit::phoenix::{Frame, Socket};

#[test]
fn clients_publish_by_pushes() {
    checked(
        nodes(3),
        &[
            ("a durable push has a position, and reaches everybody else", durable),
            ("an ephemeral push has an id only", ephemeral),
            ("topics that name a subject", topics),
            ("several subjects, several sockets", several),
            ("pushes that are refused", refused),
            ("a token that may not publish", scopes),
            ("rules count from the moment they are set", rules_change),
            ("a push that a proxy repeats lands once", repeated),
            ("phoenix.js pushes and gets replies", |c| javascript(c, Js::phoenix)),
            ("phoenix.js over its long poll", |c| javascript(c, Js::longpoll)),
            ("a chat needs no back end", chat),
        ],
    );
}

/// Creates a map in which clients may publish to `chat-*` (stored) and `live-*` (ephemeral).
fn map(c: &Cluster, slug: &str) -> Result<Map> {
    let map = c.map(slug)?;
    let rules = json!([
        {"match": "chat-*", "client_events": true},
        {"match": "live-*", "durability": "ephemeral", "client_events": true},
    ]);
    set_rules(c, &map, &rules)?;
    Ok(map)
}

fn set_rules(c: &Cluster, map: &Map, rules: &Value) -> Result<()> {
    let path = format!("/api/maps/{}/channel-rules", map.id);
    c.api(0, map).call("PUT", &path, &[], Some(rules.to_string().as_bytes()))?.expect(200)?;
    c.wait_same_applied()?;
    Ok(())
}

fn join(c: &Cluster, node: usize, map: &Map, subjects: &str) -> Result<Socket> {
    let mut socket = Socket::connect(c.nodes[node].http, &map.token)?;
    socket.join_ok(&map.topic(), json!({"subjects": subjects}))?;
    Ok(socket)
}

/// Pushes an event on a topic and returns the reply, which must be the next frame.
fn push(socket: &mut Socket, topic: &str, event: &str, payload: Value) -> Result<Frame> {
    socket.push((Value::Null, json!("p")), topic, event, payload)?;
    let reply = socket.frame()?;
    ensure!(reply.event == "phx_reply" && reply.reply_ref == "p" && reply.topic == topic, "{reply:?}");
    Ok(reply)
}

/// Pushes an event that must be published, and returns the response.
fn published(socket: &mut Socket, topic: &str, event: &str, payload: Value) -> Result<Value> {
    let reply = push(socket, topic, event, payload)?;
    ensure!(reply.status() == "ok", "{reply:?}");
    Ok(reply.payload["response"].clone())
}

/// Publishes an event of the subject over HTTP, with the status of the answer.
fn publish(c: &Cluster, map: &Map, subject: &str, kind: &str, status: u16) -> Result<Value> {
    let body = json!({"type": kind, "subject": subject, "payload": {}});
    c.api(0, map).post(&map.events(), &body)?.data(status)
}

fn durable(c: &Cluster) -> Result<()> {
    let map = map(c, "push-durable")?;
    let topic = map.topic();
    let mut sender = join(c, 0, &map, "chat-1")?;
    let mut readers = [join(c, 0, &map, "chat-1")?, join(c, 1, &map, "chat-1")?, join(c, 2, &map, "*")?];
    let mut other = join(c, 1, &map, "chat-2")?;
    let response = published(&mut sender, &topic, "said", json!({"b": 1.0, "2": "x", "1": "é"}))?;
    ensure!(response["seq"] == 1 && text(&response, "id")?.len() == 26, "{response}");
    for reader in &mut readers {
        let event = reader.events(1)?.remove(0);
        ensure!(event["id"] == response["id"] && event["seq"] == 1 && event["type"] == "said", "{event}");
        ensure!(
            event["subject"] == "chat-1" && event["payload"] == json!({"1": "é", "2": "x", "b": 1}),
            "{event}"
        );
        ensure!(event.get("sender").is_none() && event.get("user_id").is_none(), "{event}");
    }
    // The sender gets the next event of somebody else, and not its own.
    publish(c, &map, "chat-1", "mark", 201)?;
    ensure!(sender.events(1)?[0]["type"] == "mark");
    publish(c, &map, "chat-2", "mark", 201)?;
    ensure!(other.events(1)?[0]["type"] == "mark");
    // It is history like any other event, also for a socket of the same token.
    let page = c.api(2, &map).get(&format!("{}?subjects=chat-1", map.events()))?.expect(200)?.json()?;
    ensure!(page["data"][0]["id"] == response["id"] && page["data"][0]["seq"] == 1, "{page}");
    let mut later = Socket::connect(c.nodes[1].http, &map.token)?;
    later.join_ok(&topic, json!({"subjects": "chat-1", "backfill": 10}))?;
    ensure!(later.events(2)?[0]["id"] == response["id"]);
    Ok(())
}

fn ephemeral(c: &Cluster) -> Result<()> {
    let map = map(c, "push-ephemeral")?;
    let topic = map.topic();
    let mut sender = join(c, 0, &map, "live-1")?;
    let mut readers = [join(c, 0, &map, "live-1")?, join(c, 2, &map, "live-*")?];
    let response = published(&mut sender, &topic, "moved", json!([1, 2]))?;
    ensure!(response.get("seq").is_none() && text(&response, "id")?.len() == 26, "{response}");
    for reader in &mut readers {
        let event = reader.events(1)?.remove(0);
        ensure!(event["id"] == response["id"] && event.get("seq").is_none(), "{event}");
        ensure!(event["payload"] == json!([1, 2]) && event["subject"] == "live-1", "{event}");
    }
    publish(c, &map, "live-1", "mark", 202)?;
    ensure!(sender.events(1)?[0]["type"] == "mark");
    Ok(())
}

fn topics(c: &Cluster) -> Result<()> {
    let map = map(c, "push-topics")?;
    let [one, two] = ["chat-1", "chat-2"].map(|subject| format!("{}:{subject}", map.topic()));
    let mut ada = Socket::connect(c.nodes[0].http, &map.token)?;
    let mut bob = Socket::connect(c.nodes[1].http, &map.token)?;
    for socket in [&mut ada, &mut bob] {
        socket.join_ok(&one, json!({}))?;
        socket.join_ok(&two, json!({"backfill": 5}))?;
    }
    for (topic, subject) in [(&two, "chat-2"), (&one, "chat-1")] {
        let response = published(&mut ada, topic, "said", json!({"to": subject}))?;
        let frame = bob.frame()?;
        ensure!(frame.topic == *topic && frame.event == "said", "{frame:?}");
        ensure!(frame.payload["subject"] == subject && frame.payload["id"] == response["id"], "{frame:?}");
    }
    // The slug names the same map, and a wrong subject is refused.
    let (_, reply) = bob.join("events:map:push-topics:chat-1", json!({}))?;
    ensure!(reply.status() == "ok", "{reply:?}");
    for (topic, params, reason) in [
        (format!("{one} x"), json!({}), "invalid subjects"),
        (one.clone(), json!({"subjects": "chat-1"}), "invalid subjects"),
        (format!("{}:", map.topic()), json!({}), "unmatched topic"),
    ] {
        socket_refuses(c, &map, &topic, params, reason)?;
    }
    Ok(())
}

fn socket_refuses(c: &Cluster, map: &Map, topic: &str, params: Value, reason: &str) -> Result<()> {
    let mut socket = Socket::connect(c.nodes[2].http, &map.token)?;
    let (_, reply) = socket.join(topic, params)?;
    ensure!(reply.status() == "error" && reply.reason() == reason, "{topic}: {reply:?}");
    Ok(())
}

fn several(c: &Cluster) -> Result<()> {
    let map = map(c, "push-several")?;
    let topic = map.topic();
    for subjects in ["*", "chat-*"] {
        let mut socket = join(c, 1, &map, subjects)?;
        let reply = push(&mut socket, &topic, "said", json!({}))?;
        ensure!(reply.status() == "error" && reply.reason() == "several subjects", "{reply:?}");
    }
    let mut list = Socket::connect(c.nodes[0].http, &map.token)?;
    list.join_ok(&topic, json!({"subjects": ["chat-1", "chat-2"]}))?;
    let reply = push(&mut list, &topic, "said", json!({}))?;
    ensure!(reply.reason() == "several subjects", "{reply:?}");
    // A channel of one subject beside it, on the same socket: the socket gets nothing of its own on either.
    let one = format!("{topic}:chat-1");
    list.join_ok(&one, json!({}))?;
    published(&mut list, &one, "said", json!({}))?;
    publish(c, &map, "chat-2", "mark", 201)?;
    ensure!(list.events(1)?[0]["type"] == "mark");
    Ok(())
}

fn refused(c: &Cluster) -> Result<()> {
    let map = map(c, "push-refused")?;
    let topic = map.topic();
    let mut socket = join(c, 0, &map, "chat-1")?;
    for event in
        ["presence_state", "presence_diff", "position", "pusher:error", "waypost:gap", "a,b", "", "a*"]
    {
        let reply = push(&mut socket, &topic, event, json!({}))?;
        ensure!(reply.status() == "error" && reply.reason() == "invalid type", "{event}: {reply:?}");
    }
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    for (payload, reason) in [(deep, "too deep"), (json!(9_007_199_254_740_993_u64), "unsafe integer")] {
        let reply = push(&mut socket, &topic, "said", payload)?;
        ensure!(reply.reason() == reason, "{reply:?}");
        let response = &reply.payload["response"];
        ensure!(
            response["error"] == reason.replace(' ', "_") && response["message"].is_string(),
            "{response}"
        );
    }
    let mut bytes = vec![0, 0, 1, topic.len() as u8, 4];
    bytes.extend_from_slice(format!("p{topic}said").as_bytes());
    bytes.extend_from_slice(&[0xff, 1]);
    socket.ws.binary(&bytes)?;
    let reply = socket.frame()?;
    ensure!(reply.reply_ref == "p" && reply.reason() == "invalid json", "{reply:?}");
    // No rule lets clients publish here, whatever the subject.
    for subject in ["", "orders-1", "private-chat"] {
        let mut socket = join(c, 1, &map, subject)?;
        let reply = push(&mut socket, &topic, "said", json!({}))?;
        ensure!(reply.reason() == "no client events", "{subject:?}: {reply:?}");
    }
    let page = c.api(0, &map).get(&format!("{}?subjects=*", map.events()))?.expect(200)?.json()?;
    ensure!(page["data"] == json!([]), "something was published: {page}");
    socket.alive()
}

fn scopes(c: &Cluster) -> Result<()> {
    let map = map(c, "push-scopes")?;
    let made = json!({"name": "reader", "scopes": ["subscribe"]});
    let token = c.api(0, &map).post(&format!("/api/maps/{}/tokens", map.id), &made)?.data(201)?;
    let mut reader = Socket::connect(c.nodes[1].http, &text(&token, "token")?)?;
    reader.join_ok(&map.topic(), json!({"subjects": "chat-1"}))?;
    let reply = push(&mut reader, &map.topic(), "said", json!({}))?;
    ensure!(reply.status() == "error" && reply.reason() == "forbidden", "{reply:?}");
    let message = text(&reply.payload["response"], "message")?;
    ensure!(message.contains("publish"), "{message}");
    reader.alive()
}

fn rules_change(c: &Cluster) -> Result<()> {
    let map = c.map("push-rules")?;
    let topic = map.topic();
    let mut socket = join(c, 2, &map, "room")?;
    ensure!(push(&mut socket, &topic, "said", json!({}))?.reason() == "no client events");
    set_rules(c, &map, &json!([{"match": "room", "client_events": true}]))?;
    ensure!(published(&mut socket, &topic, "said", json!({}))?["seq"] == 1);
    set_rules(c, &map, &json!([{"match": "room", "client_events": false}]))?;
    ensure!(push(&mut socket, &topic, "said", json!({}))?.reason() == "no client events");
    Ok(())
}

fn repeated(c: &Cluster) -> Result<()> {
    let map = map(c, "push-repeated")?;
    let topic = format!("{}:chat-1", map.topic());
    let mut poller = Poller::join(c, &map, 0)?;
    let join = json!(["2", "2", topic, "phx_join", {}]).to_string();
    ensure!(poller.push(&join)? == 200);
    let is_reply = |frame: &Frame, to: &str| frame.event == "phx_reply" && frame.reply_ref == to;
    poller.until("the join's reply", |p| p.frames.iter().any(|frame| is_reply(frame, "2")))?;
    let said = |own: &str| json!(["2", own, topic, "said", {"text": "hello"}]).to_string();
    // The same request through three nodes, as a proxy that asks again does, and then another message.
    for _ in 0..3 {
        ensure!(poller.push(&said("3"))? == 200);
    }
    ensure!(poller.push(&said("4"))? == 200);
    poller.until("the replies", |p| p.frames.iter().any(|frame| is_reply(frame, "4")))?;
    let replies = poller.frames.iter().filter(|frame| is_reply(frame, "3")).count();
    ensure!(replies == 1 && poller.frames.iter().all(|frame| frame.event != "said"), "{:?}", poller.frames);
    let page = c.api(0, &map).get(&format!("{}?subjects=chat-1", map.events()))?.expect(200)?.json()?;
    ensure!(page["data"].as_array().map(Vec::len) == Some(2), "{page}");
    Ok(())
}

fn javascript(c: &Cluster, start: fn(&[String], &Map, Value) -> Result<Js>) -> Result<()> {
    let slug = format!("push-js-{}", testkit::cluster::fresh_key());
    let map = map(c, &slug)?;
    let params = json!({"subjects": "chat-1"});
    let mut ada = start(&c.urls_from(0), &map, params.clone())?;
    let bob = start(&c.urls_from(1), &map, params)?;
    ada.wait_joined()?;
    bob.wait_joined()?;
    ada.order(json!({"do": "push", "event": "said", "payload": {"text": "hello"}}))?;
    let reply = ada.wait_for("reply", 1)?;
    ensure!(reply["status"] == "ok" && reply["response"]["seq"] == 1, "{reply}");
    bob.wait_seq(1)?;
    let event = bob.wait_for("event", 1)?;
    ensure!(event["event"] == "said" && event["payload"]["id"] == reply["response"]["id"], "{event}");
    ada.order(json!({"do": "push", "event": "presence_diff", "payload": {}}))?;
    let refused = ada.wait_for("reply", 2)?;
    ensure!(refused["status"] == "error" && refused["response"]["reason"] == "invalid type", "{refused}");
    publish(c, &map, "chat-1", "mark", 201)?;
    ada.wait_seq(2)?;
    ensure!(ada.events()?.len() == 1, "the sender got its own event: {:?}", ada.of("event"));
    Ok(())
}

/// Three people write at once, at three nodes. Each sees what the others wrote in the order of the stream, and
/// with its own replies everybody has the same conversation.
fn chat(c: &Cluster) -> Result<()> {
    const EACH: u64 = 20;
    let map = map(c, "push-chat")?;
    let topic = map.topic();
    let mut people: Vec<Socket> = (0..3).map(|node| join(c, node, &map, "chat-1")).collect::<Result<_>>()?;
    let mut seen: Vec<Vec<(u64, String)>> = vec![Vec::new(); 3];
    for round in 0..EACH {
        for person in &mut people {
            let own = format!("p{round}");
            person.push((Value::Null, json!(own)), &topic, "said", json!({"round": round}))?;
        }
    }
    for (person, seen) in people.iter_mut().zip(&mut seen) {
        while seen.len() < 3 * EACH as usize {
            let frame = person.frame()?;
            let shown = match &*frame.event {
                "phx_reply" => frame.payload["response"].clone(),
                _ => frame.payload.clone(),
            };
            ensure!(frame.event == "said" || frame.status() == "ok", "{frame:?}");
            seen.push((shown["seq"].as_u64().context("a seq")?, text(&shown, "id")?));
        }
        seen.sort();
        person.alive()?;
    }
    let seqs: Vec<u64> = seen[0].iter().map(|(seq, _)| *seq).collect();
    ensure!(seqs == (1..=3 * EACH).collect::<Vec<_>>(), "{seqs:?}");
    ensure!(seen.iter().all(|each| *each == seen[0]), "they saw different conversations");
    Ok(())
}
