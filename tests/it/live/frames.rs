//! The frames of live sessions, byte for byte.

use super::socket::Socket;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::http::text;
use testkit::ws::{Upgrade, Ws};

/// The data of the guide's example.
pub(super) const DATA: &str = r#"{"session":{"id":3,"is_active":true,"games_played":2},"game":{"id":42,"title":"Quiplash 3","pack_name":"Jackbox Party Pack 7","min_players":3,"max_players":8,"manually_added":false}}"#;

pub(super) fn messages(c: &Cluster) -> Result<()> {
    let map = c.map("live-frames")?;
    let mut socket = Socket::connect(c, 1)?;
    let good = json!({"type": "auth", "token": map.token}).to_string();
    let subscribed = r#"{"type":"subscribed","sessionId":3}"#;
    let table: [(&str, &str); 19] = [
        (r#"{ "type": "ping" }"#, r#"{"type":"pong"}"#),
        (r#"{ "type": "subscribe", "sessionId": 3 }"#, r#"{"type":"error","message":"Not authenticated"#),
        (r#"{"type":"unsubscribe","sessionId":3}"#, r#"{"type":"error","message":"Not authenticated"#),
        (r#"{"type":"auth"}"#, r#"{"type":"auth_error","message":"Token required"}"#),
        (r#"{"type":"auth","token":""}"#, r#"{"type":"auth_error","message":"Token required"}"#),
        (
            r#"{"type":"auth","token":"wp_wrong"}"#,
            r#"{"type":"auth_error","message":"Invalid or expired token"}"#,
        ),
        (&good, r#"{"type":"auth_success","message":"Authenticated successfully"}"#),
        (r#"{ "type": "subscribe", "sessionId": 3 }"#, subscribed),
        (r#"{"type":"subscribe","sessionId":3}"#, subscribed),
        (r#"{"type":"subscribe","sessionId":"3"}"#, r#"{"type":"subscribed","sessionId":"3"}"#),
        (r#"{"type":"unsubscribe","sessionId":3}"#, r#"{"type":"unsubscribed","sessionId":3}"#),
        (r#"{"type":"unsubscribe","sessionId":3}"#, r#"{"type":"unsubscribed","sessionId":3}"#),
        (r#"{"type":"subscribe","sessionId":"room-7"}"#, r#"{"type":"subscribed","sessionId":"room-7"}"#),
        (r#"{"type":"subscribe"}"#, r#"{"type":"error","message":"Session ID required"#),
        (r#"{"type":"subscribe","sessionId":3,"aftr":1}"#, r#"{"type":"error","message":"Invalid message: "#),
        (r#"{"type":"publish"}"#, r#"{"type":"error","message":"Unknown message type: publish"#),
        ("hello", r#"{"type":"error","message":"Invalid message format"#),
        (&good, r#"{"type":"auth_success","message":"Authenticated successfully"}"#),
        (r#"{"type":"ping"}"#, r#"{"type":"pong"}"#),
    ];
    for (sent, expected) in table {
        socket.ws.text(sent)?;
        let answer = socket.next_text()?;
        // An error of the server's own has more to say.
        let is_whole = expected.ends_with('}');
        ensure!(
            if is_whole { answer == expected } else { answer.starts_with(expected) },
            "{sent}\nexpected: {expected}\nours: {answer}"
        );
    }
    socket.ws.binary(b"x")?;
    ensure!(socket.closed()? == Some(1003));
    no_socket(c)
}

/// What a request gets that opens no WebSocket.
fn no_socket(c: &Cluster) -> Result<()> {
    let answer = c.admin(0).get("/api/sessions/live")?.expect(426)?;
    ensure!(answer.code() == "upgrade_required" && answer.text().contains("auth"), "{}", answer.text());
    match Ws::upgrade(c.nodes[0].http, "/api/sessions/live?token=x", &[])? {
        Upgrade::Refused(400, answer) => ensure!(answer.contains("invalid_query"), "{answer}"),
        other => anyhow::bail!("{other:?}"),
    }
    Ok(())
}

pub(super) fn events(c: &Cluster) -> Result<()> {
    let map = c.map("live-events")?;
    let mut follower = Socket::admitted(c, 1, &map)?;
    follower.subscribe(3)?;
    let data: Value = serde_json::from_str(DATA)?;
    let body = json!({"type": "game.added", "subject": "session:3", "payload": data});
    let event = c.publish(2, &map, &body)?;
    let (id, ts) = (text(&event, "id")?, text(&event, "ts")?);
    let got = follower.next_text()?;
    // The client of this test sorts members; what counts is that nothing else differs.
    let shown: Value = serde_json::from_str(&got)?;
    let expected = json!({"type": "game.added", "timestamp": ts, "data": data, "id": id, "sessionId": 3});
    ensure!(shown == expected, "{got}");
    ensure!(got.starts_with(&format!(r#"{{"type":"game.added","timestamp":"{ts}","data":{{"#)), "{got}");
    ensure!(got.ends_with(&format!(r#","id":"{id}","sessionId":3}}"#)), "{got}");
    // Types are open; another session's events do not come, nor do other types of the map's own subject.
    c.publish(0, &map, &json!({"type": "x", "subject": "session:4", "payload": 1}))?;
    c.publish(0, &map, &json!({"type": "add_system", "payload": 1}))?;
    c.publish(0, &map, &json!({"type": "round over!", "subject": "session:3", "payload": [1, "é"]}))?;
    ensure!(follower.event("round over!")?["data"] == json!([1, "é"]));
    // No event is taken for a frame of the server.
    c.publish(0, &map, &json!({"type": "pong", "subject": "session:3", "payload": 2}))?;
    let wrapped = follower.event("event")?;
    ensure!(wrapped["event"] == "pong" && wrapped["data"] == 2, "{wrapped}");
    // Of the map's own subject, the types of the setting are for all.
    c.publish(0, &map, &json!({"type": "session.started", "payload": {"session": {"id": 9}}}))?;
    let started = follower.event("session.started")?;
    ensure!(started.get("sessionId").is_none() && started["id"].is_string(), "{started}");
    let unsubscribed = follower.ask(&json!({"type": "unsubscribe", "sessionId": 3}))?;
    ensure!(unsubscribed["type"] == "unsubscribed", "{unsubscribed}");
    c.publish(1, &map, &json!({"type": "x", "subject": "session:3", "payload": 1}))?;
    follower.quiet()
}
