//! Bad frames on a socket get a close code or an error reply, never silence, and no other client of the node
//! notices.

use crate::support::{checked, nodes, publish};
use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::fresh_key;
use testkit::http::Api;
use testkit::phoenix::{Frame, Socket};
use testkit::ws::{Message, opcode};

#[test]
fn bad_frames_are_answered_clearly_and_harm_nothing() {
    checked(
        nodes(1),
        &[
            ("texts that aren't Phoenix", not_phoenix),
            ("binaries that aren't Phoenix", not_phoenix_binary),
            ("frames that aren't WebSocket", not_websocket),
            ("a frame that never ends uses no memory", endless_frame),
            ("refused joins stay cheap", cheap_refusals),
            ("bad long polls", bad_longpoll),
        ],
    );
}

/// The server's answer to bad input.
#[derive(Debug)]
enum Answer {
    Close(Option<u16>),
    Error(Frame),
    End,
}

fn answer(socket: &mut Socket) -> Result<Answer> {
    loop {
        match socket.ws.read(Duration::from_secs(30))? {
            Some(Message::Close(code, _)) => return Ok(Answer::Close(code)),
            Some(Message::End) => return Ok(Answer::End),
            Some(Message::Text(text)) => {
                let frame = Frame::parse(&text)?;
                if frame.status() == "error" || frame.event == "phx_error" {
                    return Ok(Answer::Error(frame));
                }
            }
            Some(_) => {}
            None => bail!("no answer"),
        }
    }
}

/// Sends bad input on a new socket next to a healthy one, which must not be affected.
fn put(c: &Cluster, what: &str, send: impl FnOnce(&mut Socket) -> Result<()>) -> Result<Answer> {
    let map = c.map(&format!("put-{}", fresh_key()))?;
    let mut healthy = c.joined(0, &map, json!({}))?;
    let mut socket = c.joined(0, &map, json!({}))?;
    // A server that has already closed may refuse the rest of the bytes.
    let _ = send(&mut socket);
    let answer = answer(&mut socket).map_err(|e| e.context(what.to_owned()))?;
    publish(c, 0, &map, "x", json!({}))?;
    healthy.events(1)?;
    Ok(answer)
}

fn not_phoenix(c: &Cluster) -> Result<()> {
    let deep = "[".repeat(10_000);
    let long = format!(r#"[null,"1","{}","phx_join",{{}}]"#, "t".repeat(30_000));
    let texts = [
        "",
        "hello",
        "{}",
        "null",
        "[]",
        "[1,2]",
        r#"[null,"1","phoenix","heartbeat"]"#,
        r#"[null,"1","phoenix","heartbeat",{},{}]"#,
        r#"[null,"1",5,"phx_join",{}]"#,
        r#"[null,"1","x",5,{}]"#,
        r#"[null,"1","\ud800","phx_join",{}]"#,
        r#"{"topic":"x","event":"y","payload":{},"ref":"1"}"#,
        &deep,
        &long,
    ];
    for text in texts {
        let what: String = text.chars().take(60).collect();
        match put(c, &what, |s| s.ws.text(text))? {
            Answer::Close(Some(1000)) => {
                bail!("{what}: closed with 1000, which tells the client never to reconnect")
            }
            Answer::Close(Some(_)) => {}
            Answer::Error(frame) => ensure!(!frame.reason().is_empty(), "{frame:?}"),
            other => bail!("{what}: {other:?}"),
        }
    }
    Ok(())
}

fn not_phoenix_binary(c: &Cluster) -> Result<()> {
    let binaries: [&[u8]; 6] =
        [&[], &[0], &[9, 1, 1, 1, 1], &[0, 255, 255, 255, 255, 1], &[1, 0, 0, 0, 0], &[0; 5]];
    for bytes in binaries {
        match put(c, &format!("{bytes:?}"), |s| s.ws.binary(bytes))? {
            Answer::Close(Some(1000)) => {
                bail!("{bytes:?}: closed with 1000, which tells the client never to reconnect")
            }
            Answer::Close(Some(_)) => {}
            Answer::Error(frame) => ensure!(!frame.reason().is_empty(), "{frame:?}"),
            other => bail!("{bytes:?}: {other:?}"),
        }
    }
    Ok(())
}

fn not_websocket(c: &Cluster) -> Result<()> {
    type Send = fn(&mut Socket) -> Result<()>;
    let table: &[(&str, u16, Send)] = &[
        ("invalid UTF-8", 1007, |s| s.ws.frame(true, opcode::TEXT, b"[null,\"\xff\xfe\"]")),
        ("invalid UTF-8 in fragments", 1007, |s| {
            s.ws.frame(false, opcode::TEXT, b"[null,\"\xff")?;
            s.ws.frame(true, opcode::CONTINUATION, b"\xfe\"]")
        }),
        ("an oversized message", 1009, |s| s.ws.text(&"x".repeat(300 << 10))),
        ("a message without end", 1009, |s| {
            s.ws.frame(false, opcode::TEXT, &[b' '; 8 << 10])?;
            (0..1000).try_for_each(|_| s.ws.frame(false, opcode::CONTINUATION, &[b' '; 8 << 10]))
        }),
        ("a length of 2^62", 1009, |s| s.ws.raw(&[0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5])),
        ("an unmasked frame", 1002, |s| s.ws.raw(&[0x81, 2, b'h', b'i'])),
        ("a reserved opcode", 1002, |s| s.ws.frame(true, 3, b"x")),
        ("reserved bits", 1002, |s| s.ws.raw(&[0xf1, 0x81, 1, 2, 3, 4, 5])),
        ("a continuation of nothing", 1002, |s| s.ws.frame(true, opcode::CONTINUATION, b"x")),
        ("a text within a text", 1002, |s| {
            s.ws.frame(false, opcode::TEXT, b"[")?;
            s.ws.frame(true, opcode::TEXT, b"[]")
        }),
        ("a ping of 200 bytes", 1002, |s| s.ws.frame(true, opcode::PING, &[0; 200])),
    ];
    let mut wrong = Vec::new();
    for (what, code, send) in table {
        match put(c, what, send) {
            Ok(Answer::Close(Some(got))) if got == *code => {}
            Ok(other) => wrong.push(format!("{what}: expected close {code}, got {other:?}")),
            Err(error) => wrong.push(format!("expected close {code}: {error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

/// Sends a frame head that announces 1 GiB, then as much of it as the server accepts.
fn endless_frame(c: &Cluster) -> Result<()> {
    let map = c.map("endless")?;
    let before = c.nodes[0].rss()?;
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    socket.ws.raw(&[0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4])?;
    // The server may close at any time; then the write fails.
    let sent = (0..96).take_while(|_| socket.ws.raw(&[b'x'; 1 << 20]).is_ok()).count();
    let after = c.nodes[0].rss()?;
    ensure!(
        after < before + (32 << 20),
        "memory grew from {before} to {after} bytes after {sent} MiB of one frame"
    );
    Ok(())
}

fn cheap_refusals(c: &Cluster) -> Result<()> {
    let map = c.map("cheap")?;
    let other = c.map("cheap-other")?;
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    let unknown = "events:map:00000000-0000-4000-8000-000000000000".to_owned();
    for topic in [other.topic(), unknown].iter().cycle().take(500) {
        let (_, reply) = socket.join(topic, json!({}))?;
        // After some of them the socket has used up its joins.
        let is_refused = ["unauthorized", "too many client joins"].contains(&reply.reason());
        ensure!(reply.status() == "error" && is_refused, "{reply:?}");
    }
    socket.alive()
}

fn bad_longpoll(c: &Cluster) -> Result<()> {
    let map = c.map("bad-longpoll")?;
    let path = format!("/socket/events/longpoll?vsn=2.0.0&token={}", map.token);
    let api = Api::new(&c.nodes[0].url(), None);
    let open = api.get(&path)?.expect(200)?.json()?;
    ensure!(open["status"] == 410 && open["messages"] == json!([]), "{open}");
    let session = open["token"].as_str().unwrap_or_default();
    ensure!(!session.is_empty(), "{open}");
    let status = |answer: Value| answer["status"].clone();
    let denied = api.get("/socket/events/longpoll?vsn=2.0.0&token=wp_wrong")?.expect(200)?.json()?;
    ensure!(status(denied.clone()) == 403, "{denied}");
    let headers = [("content-type", "application/x-ndjson")];
    let post = |query: &str, body: &[u8]| api.call("POST", query, &headers, Some(body));
    let forged = post(&format!("{path}&token=forged"), b"[]")?.expect(200)?.json()?;
    ensure!(status(forged.clone()) == 410, "{forged}");
    // Every post to a live session is answered with a status in the JSON.
    for body in [&b"hello"[..], b"", b"{}", b"\xff\xfe", &[b'['; 10_000]] {
        let answer = post(&format!("{path}&token={session}"), body)?.expect(200)?.json()?;
        ensure!(answer["status"].is_u64(), "{answer}");
    }
    let client = Js::longpoll(&[c.nodes[0].url()], &map, json!({}))?;
    client.wait_joined().map(|_| ())
}
