//! Phoenix Channels frame by frame, as the protocol's contracts describe it: what phoenix.js hides from its
//! users.

use crate::support::{checked, nodes, publish};
use anyhow::{Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::phoenix::{Frame, Socket, path};
use testkit::ws::{Message, Upgrade, Ws, opcode};

#[test]
fn frames_are_those_of_phoenix() {
    checked(
        nodes(1),
        &[
            ("heartbeat", heartbeat),
            ("leave", leave),
            ("leaving a topic that was not joined", leave_unjoined),
            ("a duplicate join", duplicate_join),
            ("stale and null join_ref", join_refs),
            ("unmatched topics and pushes before the join", unmatched),
            ("an unknown push", unknown_push),
            ("binary push", binary_push),
            ("too many channels", |c| too_many(c, 100)),
            ("V1 frames", v1),
            ("the broadcast's exact text", broadcast_text),
            ("fragments and pings", fragments),
            ("refused upgrades", refused_upgrades),
            ("the subprotocol is answered", subprotocol),
        ],
    );
}

#[test]
fn the_number_of_channels_is_a_setting() {
    checked(
        nodes(1).set("WAYPOST_LIMITS_CHANNELS_PER_SOCKET", 1),
        &[("one channel", |c| {
            let map = c.map("one-channel")?;
            let mut socket = open(c, &map)?;
            let (_, reply) = socket.join(&format!("events:map:{}", map.slug), json!({}))?;
            ensure!(reply.reason() == "too many channels joined", "{reply:?}");
            socket.alive()
        })],
    );
}

fn open(c: &Cluster, map: &Map) -> Result<Socket> {
    c.joined(0, map, json!({}))
}

fn text(socket: &mut Socket) -> Result<String> {
    match socket.message()? {
        Message::Text(text) => Ok(text),
        other => anyhow::bail!("expected text, got {other:?}"),
    }
}

fn heartbeat(c: &Cluster) -> Result<()> {
    let mut socket = Socket::connect(c.nodes[0].http, &c.map("heartbeat")?.token)?;
    socket.ws.text(r#"[null,"4","phoenix","heartbeat",{}]"#)?;
    let got = text(&mut socket)?;
    let same = r#"[null,"4","phoenix","phx_reply",{"status":"ok","response":{}}]"#;
    let other = r#"[null,"4","phoenix","phx_reply",{"response":{},"status":"ok"}]"#;
    ensure!(got == same || got == other, "{got}");
    Ok(())
}

fn leave(c: &Cluster) -> Result<()> {
    let map = c.map("leave")?;
    let mut socket = open(c, &map)?;
    socket.push((json!("1"), json!("5")), &map.topic(), "phx_leave", json!({}))?;
    let reply = socket.frame()?;
    ensure!(reply.reply_ref == "5" && reply.status() == "ok", "{reply:?}");
    let close = socket.frame()?;
    ensure!(close.event == "phx_close" && close.payload == json!({}), "{close:?}");
    ensure!(close.join_ref == "1" && close.reply_ref == "1", "{close:?}");
    publish(c, 0, &map, "x", json!({}))?;
    socket.push((Value::Null, json!("6")), "phoenix", "heartbeat", json!({}))?;
    let next = socket.frame()?;
    ensure!(next.reply_ref == "6", "an event after the leave: {next:?}");
    socket.join_ok(&map.topic(), json!({}))?;
    Ok(())
}

fn leave_unjoined(c: &Cluster) -> Result<()> {
    let map = c.map("unjoined")?;
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    socket.push((json!("1"), json!("2")), &map.topic(), "phx_leave", json!({}))?;
    let reply = socket.frame()?;
    ensure!(reply.reply_ref == "2" && reply.status() == "ok", "{reply:?}");
    socket.alive()
}

fn duplicate_join(c: &Cluster) -> Result<()> {
    let map = c.map("duplicate")?;
    let mut socket = open(c, &map)?;
    let (new, reply) = socket.join(&map.topic(), json!({"events": ["x"]}))?;
    ensure!(reply.status() == "ok" && reply.join_ref == new.as_str(), "{reply:?}");
    let close = socket.frame()?;
    ensure!(close.event == "phx_close" && close.join_ref == "1", "{close:?}");
    publish(c, 0, &map, "y", json!({}))?;
    publish(c, 0, &map, "x", json!({}))?;
    let event = socket.frame()?;
    ensure!(event.event == "x" && event.payload["seq"] == 2, "{event:?}");
    socket.alive()
}

fn join_refs(c: &Cluster) -> Result<()> {
    let map = c.map("join-refs")?;
    let mut socket = open(c, &map)?;
    // A leave of an older join must not end the present one.
    socket.push((json!("0"), json!("7")), &map.topic(), "phx_leave", json!({}))?;
    socket.alive()?;
    publish(c, 0, &map, "x", json!({}))?;
    ensure!(socket.frame()?.event == "x", "the stale leave ended the channel");
    // A null join_ref means the present join.
    socket.push((Value::Null, json!("8")), &map.topic(), "phx_leave", json!({}))?;
    let reply = socket.frame()?;
    ensure!(reply.reply_ref == "8" && reply.status() == "ok", "{reply:?}");
    ensure!(socket.frame()?.event == "phx_close");
    Ok(())
}

fn unmatched(c: &Cluster) -> Result<()> {
    let map = c.map("unmatched")?;
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    let topic = map.topic();
    let table = [
        ("nothing", "phx_join"),
        ("phoenix", "phx_join"),
        ("events:maps:x", "phx_join"),
        (topic.as_str(), "hello"),
        ("nothing", "hello"),
    ];
    for (topic, event) in table {
        socket.push((Value::Null, json!("9")), topic, event, json!({}))?;
        let reply = socket.frame()?;
        let ok = reply.status() == "error" && reply.reason() == "unmatched topic";
        ensure!(ok && reply.reply_ref == "9" && reply.topic == topic, "{topic} {event}: {reply:?}");
    }
    socket.alive()
}

fn unknown_push(c: &Cluster) -> Result<()> {
    let map = c.map("unknown-push")?;
    let mut socket = open(c, &map)?;
    socket.push((json!("1"), json!("2")), &map.topic(), "dance", json!({"a": 1}))?;
    let reply = socket.frame()?;
    ensure!(reply.reply_ref == "2" && reply.status() == "error", "{reply:?}");
    ensure!(!reply.reason().is_empty(), "{reply:?}");
    socket.alive()
}

/// A push with a binary payload: 0, the lengths of join_ref, ref, topic and event, then these and the data.
fn binary_push(c: &Cluster) -> Result<()> {
    let map = c.map("binary")?;
    let mut socket = open(c, &map)?;
    let topic = map.topic();
    let mut frame = vec![0, 1, 1, topic.len() as u8, 5];
    frame.extend_from_slice(format!("12{topic}dance").as_bytes());
    frame.extend_from_slice(&[0xff, 0, 1]);
    socket.ws.binary(&frame)?;
    match socket.message()? {
        Message::Text(text) => {
            let reply = Frame::parse(&text)?;
            ensure!(reply.reply_ref == "2" && reply.status() == "error", "{reply:?}");
        }
        Message::Binary(bytes) => ensure!(bytes.first() == Some(&1), "{bytes:?}"),
        other => anyhow::bail!("{other:?}"),
    }
    socket.alive()
}

fn too_many(c: &Cluster, limit: usize) -> Result<()> {
    let map = c.map("many")?;
    let mut socket = Socket::connect(c.nodes[0].http, testkit::cluster::ADMIN)?;
    for i in 0..limit {
        let map = c.map(&format!("many-{i}"))?;
        socket.join_ok(&map.topic(), json!({}))?;
    }
    let (_, reply) = socket.join(&map.topic(), json!({}))?;
    ensure!(reply.status() == "error" && reply.reason() == "too many channels joined", "{reply:?}");
    socket.alive()
}

fn v1(c: &Cluster) -> Result<()> {
    let map = c.map("v1")?;
    let mut ws = Ws::connect(c.nodes[0].http, &format!("/socket/events/websocket?token={}", map.token))?;
    let send = json!({"topic": map.topic(), "event": "phx_join", "payload": {}, "ref": "1"});
    ws.text(&send.to_string())?;
    let reply = object(&mut ws)?;
    ensure!(reply["event"] == "phx_reply" && reply["ref"] == "1", "{reply}");
    ensure!(reply["payload"]["status"] == "ok" && reply["topic"] == map.topic(), "{reply}");
    let sent = publish(c, 0, &map, "x", json!([1]))?;
    let event = object(&mut ws)?;
    ensure!(event["event"] == "x" && event["payload"] == sent, "{event}");
    ensure!(event["topic"] == map.topic() && event["ref"].is_null(), "{event}");
    ws.text(r#"{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"2"}"#)?;
    let beat = object(&mut ws)?;
    ensure!(beat["ref"] == "2" && beat["payload"]["status"] == "ok", "{beat}");
    Ok(())
}

fn object(ws: &mut Ws) -> Result<Value> {
    match ws.read(Duration::from_secs(30))? {
        Some(Message::Text(text)) => Ok(serde_json::from_str(&text)?),
        other => anyhow::bail!("{other:?}"),
    }
}

fn broadcast_text(c: &Cluster) -> Result<()> {
    let map = c.map("exact")?;
    let mut socket = open(c, &map)?;
    let body = r#"{"type":"x","payload":{"a":1e3,"b":"é"}}"#;
    let answer = c.api(0, &map).send(&map.events(), body.as_bytes())?.expect(201)?.text();
    let envelope = answer.trim().trim_start_matches(r#"{"data":"#);
    let envelope = envelope.strip_suffix('}').unwrap_or_default();
    ensure!(envelope.contains(r#""payload":{"a":1000,"b":"é"}"#), "{answer}");
    let got = text(&mut socket)?;
    let expected = format!(r#"[null,null,"{}","x",{envelope}]"#, map.topic());
    ensure!(got == expected, "{got} is not {expected}");
    Ok(())
}

/// A message in three frames with a ping between them is one message, and the ping is answered.
fn fragments(c: &Cluster) -> Result<()> {
    let map = c.map("fragments")?;
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    let join = json!(["1", "1", map.topic(), "phx_join", {}]).to_string();
    let (one, rest) = join.as_bytes().split_at(7);
    let (two, three) = rest.split_at(20);
    socket.ws.frame(false, opcode::TEXT, one)?;
    socket.ws.frame(true, opcode::PING, b"here?")?;
    socket.ws.frame(false, opcode::CONTINUATION, two)?;
    socket.ws.frame(true, opcode::CONTINUATION, three)?;
    let mut pong = false;
    loop {
        match socket.ws.read(Duration::from_secs(30))? {
            Some(Message::Pong(data)) => pong = data == b"here?",
            Some(Message::Ping(_)) => {}
            Some(Message::Text(text)) => {
                ensure!(Frame::parse(&text)?.status() == "ok", "{text}");
                break;
            }
            other => anyhow::bail!("{other:?}"),
        }
    }
    ensure!(pong, "the ping was not answered");
    socket.alive()
}

fn refused_upgrades(c: &Cluster) -> Result<()> {
    let map = c.map("refused")?;
    let addr = c.nodes[0].http;
    let refused = [
        path("wp_unknown"),
        "/socket/events/websocket?vsn=2.0.0".to_owned(),
        "/socket/events/websocket?vsn=2.0.0&token=".to_owned(),
    ];
    for path in refused {
        match Ws::upgrade(addr, &path, &[])? {
            Upgrade::Refused(403, _) => {}
            other => anyhow::bail!("{path}: {other:?}"),
        }
    }
    let strange = format!("/socket/events/websocket?vsn=9.9.9&token={}", map.token);
    ensure!(matches!(Ws::upgrade(addr, &strange, &[])?, Upgrade::Refused(400..=499, _)));
    let plain = c.api(0, &map).get(&path(&map.token))?;
    ensure!((400..=499).contains(&plain.status), "GET without upgrade: {}", plain.status);
    Ok(())
}

fn subprotocol(c: &Cluster) -> Result<()> {
    let map = c.map("subprotocol")?;
    let headers = [(
        "Sec-WebSocket-Protocol",
        format!("phoenix, base64url.bearer.phx.{}", BASE64_STANDARD_NO_PAD.encode(&map.token)),
    )];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    match Ws::upgrade(c.nodes[0].http, "/socket/events/websocket?vsn=2.0.0", &headers)? {
        Upgrade::Open(_, head) => {
            let head = head.to_lowercase();
            ensure!(head.contains("sec-websocket-protocol: phoenix\r\n"), "{head}");
            Ok(())
        }
        other => anyhow::bail!("{other:?}"),
    }
}
