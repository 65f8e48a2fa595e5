//! The webhook requests of the guide as printed, with another host, token and receiver.

use super::frames::DATA;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::Command;
use testkit::Cluster;
use testkit::http::text;
use testkit::receiver::{Receiver, Request, behaviour};

/// The command that creates a webhook.
const CREATE: &str = r#"curl -X POST "http://localhost:5000/api/webhooks" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{ "name": "Discord Bot", "url": "https://my-server.com/webhooks/jackbox", "secret": "mysecret123", "events": ["game.added"] }'"#;

pub(super) fn as_printed(c: &Cluster) -> Result<()> {
    let map = c.map("live-webhooks")?;
    let api = c.api(0, &map);
    let receiver = Receiver::start()?;
    let url = receiver.on("/webhooks/jackbox", behaviour::healthy());
    let command = CREATE
        .replace("http://localhost:5000", &c.nodes[1].url())
        .replace("https://my-server.com/webhooks/jackbox", &url);
    let made: Value = match Command::new("sh").args(["-c", &command]).env("TOKEN", &map.token).output() {
        Ok(output) if !output.stdout.is_empty() => serde_json::from_slice(&output.stdout)?,
        other => {
            println!("SKIPPED: the printed command, because it did not run: {other:?}");
            let (_, body) = command.split_once("-d '").context("no body")?;
            api.send("/api/webhooks", body.trim_end_matches('\'').as_bytes())?.expect(201)?.json()?
        }
    };
    ensure!(made["name"] == "Discord Bot" && made["events"] == json!(["game.added"]), "{made}");
    ensure!(made["enabled"] == true && made.get("secret").is_none(), "{made}");
    // A second webhook has one session alone.
    let one = receiver.on("/one", behaviour::healthy());
    let only = json!({
        "name": "one", "url": one, "secret": "mysecret123", "events": ["*"], "filter": {"subjects": ["session:4"]},
    });
    api.post("/api/webhooks", &only)?.expect(201)?;

    api.post("/api/sessions", &json!({"session": {"id": 3}}))?.expect(201)?;
    let said = api.send("/api/sessions/3/games", DATA.as_bytes())?.expect(201)?.json()?;
    let requests = receiver.wait("/webhooks/jackbox", "the game", |requests| !requests.is_empty())?;
    let request = &requests[0];
    let body = request.json();
    let data: Value = serde_json::from_str(DATA)?;
    ensure!(body["event"] == "game.added" && body["data"] == data, "{body}");
    ensure!(body["timestamp"] == said["event"]["timestamp"], "{body}");
    let sent = String::from_utf8_lossy(&request.body);
    ensure!(sent.starts_with(r#"{"event":"game.added","timestamp":""#) && sent.contains(DATA), "{sent}");
    let header = |name: &str| {
        request.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    };
    ensure!(header("content-type") == "application/json" && header("x-webhook-event") == "game.added");
    let signature = header("x-webhook-signature");
    ensure!(signature.strip_prefix("sha256=").is_some_and(|hex| hex.len() == 64), "{signature}");

    let path = format!("/api/webhooks/{}", text(&made, "id")?);
    c.wait_until("the log of the delivery", |_| {
        let logs = api.get(&format!("{path}/logs"))?.expect(200)?.json()?;
        let is_told = logs[0]["event_type"] == "game.added" && logs[0]["status"] == "success";
        Ok((is_told && logs[0]["payload"] == data).then_some(()))
    })?;
    api.post(&format!("/api/webhooks/test/{}", text(&made, "id")?), &json!({}))?.expect(202)?;
    // The example is the same game at another time.
    let is_test = |request: &Request| request.json()["timestamp"] != said["event"]["timestamp"];
    receiver.wait("/webhooks/jackbox", "the test", |requests| requests.iter().any(is_test))?;
    api.send("/api/sessions/4/close", b"{}")?.expect(200)?;
    let closed = receiver.wait("/one", "the end of session 4", |requests| !requests.is_empty())?;
    ensure!(closed.iter().all(|request| request.json()["event"] == "session.ended"), "{closed:?}");
    // A receiver may get the same twice, but nothing that it did not ask for.
    let others = receiver.requests("/webhooks/jackbox");
    ensure!(others.iter().all(|request| request.json()["event"] == "game.added"), "{others:?}");
    api.patch(&path, &json!({"enabled": false}))?.expect(200)?;
    api.delete(&path)?.expect(204).map(drop)
}
