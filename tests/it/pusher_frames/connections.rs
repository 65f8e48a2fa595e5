//! Connections: which are let in, how others are refused, and how they end.

use super::{Client, agrees, refused};
use crate::pusher_support::{App, QUERY};
use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::http::Api;
use testkit::wait::LIMIT;
use testkit::ws::{Message, Upgrade, Ws};

/// What the documentation says of connections, and the codes that the server gives.
pub(super) fn connections(c: &Cluster) -> Result<()> {
    let map = c.map("connections")?;
    let app = App::of(c, &map)?;
    let key = &app.key;
    for (path, code) in [
        (format!("/app/{key}?client=js&version=8.6.0&flash=false"), 4008),
        (format!("/app/{key}"), 4008),
        (format!("/app/{key}?protocol="), 4008),
        (format!("/app/{key}?protocol=seven"), 4006),
        (format!("/app/{key}?protocol=99"), 4007),
        (format!("/app/{key}?protocol=1"), 4007),
        (format!("/app/another{QUERY}"), 4001),
        (format!("/app/{key}/more{QUERY}"), 4005),
        (format!("/app/{QUERY}"), 4005),
    ] {
        let (error, closed) = refused(c, &path, &[])?;
        ensure!((error, u64::from(closed)) == (code, code), "{path}: {error}, {closed}");
    }
    for protocol in [5, 6, 7] {
        let mut ws = Ws::connect(c.nodes[0].http, &format!("/app/{key}?protocol={protocol}"))?;
        ensure!(matches!(ws.read(LIMIT)?, Some(Message::Text(text)) if text.contains("established")));
    }
    let plain = Api::new(&c.nodes[0].url(), None).get(&format!("/app/{key}{QUERY}"))?;
    ensure!(plain.status == 426 && plain.code() == "upgrade_required", "{}", plain.text());
    Ok(())
}

pub(super) fn quota(c: &Cluster) -> Result<()> {
    let map = c.map("app-quota")?;
    let app = App::with(c, &map, &json!({"max_connections": 2}))?;
    let first = Client::connect(c, &app)?;
    let _second = Client::connect(c, &app)?;
    let path = format!("/app/{}{QUERY}", app.key);
    ensure!(refused(c, &path, &[])? == (4004, 4004));
    drop(first);
    c.wait_until("a place", |c| Ok(Client::connect(c, &app).ok()))?;
    // Without a limit, a map with an app has more sockets than a map without one.
    let map = c.map("no-quota")?;
    let app = App::of(c, &map)?;
    let all: Result<Vec<Client>> = (0..40).map(|_| Client::connect(c, &app)).collect();
    all.map(drop)
}

pub(super) fn origins(c: &Cluster) -> Result<()> {
    let map = c.map("app-origins")?;
    let app = App::with(c, &map, &json!({"origins": ["https://good.example"]}))?;
    let path = format!("/app/{}{QUERY}", app.key);
    ensure!(refused(c, &path, &[("Origin", "https://evil.example")])? == (4009, 4009));
    match Ws::upgrade(c.nodes[0].http, &path, &[("Origin", "https://good.example")])? {
        Upgrade::Open(mut ws, _) => {
            ensure!(matches!(ws.read(LIMIT)?, Some(Message::Text(text)) if text.contains("established")));
        }
        Upgrade::Refused(status, answer) => bail!("{status}: {answer}"),
    }
    Client::connect(c, &app).map(drop)
}

/// A change counts for the sockets that are open, and for the pages that connect from then on.
pub(super) fn changed(c: &Cluster) -> Result<()> {
    let map = c.map("app-changed")?;
    let app = App::with(c, &map, &json!({}))?;
    let [mut ada, mut bob] = [Client::connect(c, &app)?, Client::connect(c, &app)?];
    for client in [&mut ada, &mut bob] {
        let auth = app.channel_auth(&client.id, "private-room", None);
        let asked = json!({"event": "pusher:subscribe", "data": {"channel": "private-room", "auth": auth}});
        client.ws.text(&asked.to_string())?;
        let answer = client.next()?;
        ensure!(answer["event"] == "pusher_internal:subscription_succeeded", "{answer}");
    }
    let typed = json!({"event": "client-typed", "channel": "private-room", "data": "{}"}).to_string();
    for enabled in [false, true, false] {
        let path = format!("/api/maps/{}/pusher/{}", map.id, app.key);
        c.admin(0).patch(&path, &json!({"client_events": enabled}))?.expect(200)?;
        ada.ws.text(&typed)?;
        if enabled {
            let heard = bob.next()?;
            ensure!(heard["event"] == "client-typed", "{heard}");
        } else {
            let error = ada.next()?;
            let told = error["data"]["message"].as_str().unwrap_or_default();
            ensure!(error["event"] == "pusher:error" && told.contains("waypost pusher update"), "{error}");
            bob.quiet()?;
        }
    }
    let path = format!("/api/maps/{}/pusher/{}", map.id, app.key);
    c.admin(0).patch(&path, &json!({"origins": ["https://good.example"]}))?.expect(200)?;
    ensure!(refused(c, &app.socket_path(), &[("Origin", "https://evil.example")])? == (4009, 4009));
    ada.quiet()
}

/// A back end that calls `/app/…` instead of `/apps/…` learns that nothing is there, whatever it asks and signs.
pub(super) fn elsewhere(c: &Cluster) -> Result<()> {
    let map = c.map("app-elsewhere")?;
    let app = App::of(c, &map)?;
    let nobody = Api::new(&c.nodes[0].url(), None);
    let body = r#"{"name":"n","channel":"c","data":"d"}"#;
    let posted = app.post_path("events", body).replacen("/apps/", "/app/", 1);
    let read =
        app.target("GET", &app.path("channels"), &app.params(&[], None)).replacen("/apps/", "/app/", 1);
    for answer in [nobody.send(&posted, body.as_bytes())?, nobody.get(&read)?] {
        ensure!(answer.status == 404 && answer.text().contains("/apps/APP_ID/"), "{}", answer.text());
    }
    Ok(())
}

pub(super) fn deleted(c: &Cluster) -> Result<()> {
    let map = c.map("app-deleted")?;
    let app = App::of(c, &map)?;
    let mut client = Client::connect(c, &app)?;
    let path = format!("/api/maps/{}/pusher/{}", map.id, app.key);
    let answer = c.admin(0).call("DELETE", &path, &[], None)?;
    ensure!((200..300).contains(&answer.status), "{}", answer.text());
    ensure!(client.closed()? == Some(4001));
    ensure!(refused(c, &format!("/app/{}{QUERY}", app.key), &[])? == (4001, 4001));
    Ok(())
}

pub(super) fn channels(c: &Cluster) -> Result<()> {
    let map = c.map("app-channels")?;
    let app = App::of(c, &map)?;
    let mut client = Client::connect(c, &app)?;
    for n in 0..=100 {
        let channel = format!("many-{n}");
        let frame = json!({"event": "pusher:subscribe", "data": {"channel": channel}});
        client.ws.text(&frame.to_string())?;
        let answer = client.next()?;
        if n < 100 {
            ensure!(answer["event"] == "pusher_internal:subscription_succeeded", "{answer}");
        } else {
            let data = json!({"type": "LimitReached", "error": "*", "status": 403});
            let documented = json!({"event": "pusher:subscription_error", "channel": channel, "data": data});
            ensure!(agrees(&documented, &answer), "{answer}");
        }
    }
    client.quiet()
}

/// A client that is silent for the announced time gets a ping. If it answers, it stays and is asked again; else it is
/// closed.
pub(super) fn silence(c: &Cluster) -> Result<()> {
    let map = c.map("app-silence")?;
    let app = App::of(c, &map)?;
    let mut client = Client::connect(c, &app)?;
    let asked = client.next()?;
    ensure!(asked["event"] == "pusher:ping", "{asked}");
    client.ws.text(r#"{"event":"pusher:pong","data":{}}"#)?;
    let asked = client.next()?;
    ensure!(asked["event"] == "pusher:ping", "{asked}");
    let began = Instant::now();
    ensure!(client.closed()? == Some(4201));
    ensure!(began.elapsed() > Duration::from_secs(20), "{:?}", began.elapsed());
    Ok(())
}

pub(super) fn counts(c: &Cluster) -> Result<()> {
    let map = c.map("app-counts")?;
    let app = App::of(c, &map)?;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(c, &app)?;
        client.ws.text(r#"{"event":"pusher:subscribe","data":{"channel":"cache-counted"}}"#)?;
        clients.push(client);
    }
    for client in &mut clients {
        counted(client, 2)?;
    }
    clients.pop();
    counted(&mut clients[0], 1)
}

/// Waits until the client is told that number.
fn counted(client: &mut Client, count: u64) -> Result<()> {
    loop {
        let frame = client.next()?;
        if frame["event"] == "pusher_internal:subscription_count" {
            let data: Value = serde_json::from_str(frame["data"].as_str().unwrap_or_default())?;
            if data == json!({"subscription_count": count}) {
                return Ok(());
            }
        }
    }
}
