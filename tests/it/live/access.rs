//! Who is let in, and for how long.

use super::socket::Socket;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::ADMIN;

fn refused(answer: &Value, told: &str) -> Result<()> {
    let message = answer["message"].as_str().unwrap_or_default();
    ensure!(answer["type"] == "auth_error" && message.contains(told), "no {told:?} in {answer}");
    Ok(())
}

pub(super) fn tokens(c: &Cluster) -> Result<()> {
    let (map, other) = (c.map("live-tokens")?, c.map("live-tokens-other")?);
    let (_, publisher) = c.token(&map, &["publish"])?;
    let mut socket = Socket::connect(c, 1)?;
    // The admin token opens every map, so it is refused unless a map is named.
    refused(&socket.ask(&json!({"type": "auth", "token": ADMIN}))?, "name one in map")?;
    refused(&socket.ask(&json!({"type": "auth", "token": publisher.token}))?, "the scope subscribe")?;
    let elsewhere = json!({"type": "auth", "token": map.token, "map": other.slug});
    refused(&socket.ask(&elsewhere)?, "the map was not found")?;
    let missing = json!({"type": "auth", "token": ADMIN, "map": "no-such-map"});
    refused(&socket.ask(&missing)?, "the map was not found")?;
    for (token, name) in [(ADMIN, &map.slug), (ADMIN, &map.id), (&*map.token, &map.slug)] {
        let mut socket = Socket::connect(c, 2)?;
        let answer = socket.ask(&json!({"type": "auth", "token": token, "map": name}))?;
        ensure!(answer["type"] == "auth_success", "{answer}");
        socket.subscribe(3)?;
        c.publish(0, &map, &json!({"type": "x", "subject": "session:3", "payload": 1}))?;
        socket.event("x")?;
    }
    // A client that was refused may try again on the same socket.
    socket.auth(&map.token)?;
    refused(&socket.ask(&json!({"type": "auth", "token": other.token}))?, "the map was not found")?;
    refused(&socket.ask(&json!({"type": "auth", "token": "wp_wrong"}))?, "Invalid or expired token")?;
    socket.subscribe(3)?;
    c.publish(0, &map, &json!({"type": "y", "subject": "session:3", "payload": 1}))?;
    socket.event("y").map(drop)
}

pub(super) fn revoked(c: &Cluster) -> Result<()> {
    let map = c.map("live-revoked")?;
    let ((first_id, first), (second_id, second)) =
        (c.token(&map, &["subscribe"])?, c.token(&map, &["subscribe"])?);
    let mut old = Socket::admitted(c, 1, &first)?;
    let mut renewed = Socket::admitted(c, 2, &first)?;
    renewed.subscribe(3)?;
    renewed.auth(&second.token)?;
    c.admin(0).delete(&map.path(&format!("/tokens/{first_id}")))?.expect(204)?;
    ensure!(old.closed()? == Some(1008));
    c.publish(0, &map, &json!({"type": "x", "subject": "session:3", "payload": 1}))?;
    renewed.event("x")?;
    c.admin(0).delete(&map.path(&format!("/tokens/{second_id}")))?.expect(204)?;
    ensure!(renewed.closed()? == Some(1008));
    let mut gone = Socket::connect(c, 0)?;
    refused(&gone.ask(&json!({"type": "auth", "token": first.token}))?, "Invalid or expired token")
}

pub(super) fn limits(c: &Cluster) -> Result<()> {
    let map = c.map_with("live-limits", json!({"limits": {"connections": 1}}))?;
    let mut first = Socket::admitted(c, 0, &map)?;
    let mut second = Socket::connect(c, 1)?;
    let full = second.ask(&json!({"type": "auth", "token": map.token}))?;
    refused(&full, "`connections`")?;
    ensure!(full["retry_ms"].is_u64(), "{full}");
    for n in 0..100 {
        first.subscribe(n)?;
    }
    let full = first.ask(&json!({"type": "subscribe", "sessionId": 100}))?;
    let message = full["message"].as_str().context("a message")?;
    ensure!(full["type"] == "error" && full["sessionId"] == 100, "{full}");
    ensure!(message.contains("limits.channels_per_socket"), "{full}");
    // The other is let in once there is room.
    drop(first);
    c.wait_until("room for the other", |_| {
        let answer = second.ask(&json!({"type": "auth", "token": map.token}))?;
        Ok((answer["type"] == "auth_success").then_some(()))
    })
}
