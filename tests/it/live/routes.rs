//! The routes by which back ends say what happens in sessions.

use super::frames::DATA;
use super::socket::Socket;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::{ADMIN, fresh_key};
use testkit::http::{Answer, Api};

/// Checks the answer to something that was said, and that the socket gets it.
fn told(answer: &Value, kind: &str, data: &Value, socket: &mut Socket) -> Result<()> {
    let frame = socket.event(kind)?;
    ensure!(frame["data"] == *data, "{frame}");
    let event = &answer["event"];
    let same = event["id"] == frame["id"] && event["timestamp"] == frame["timestamp"];
    ensure!(same && event["type"] == kind, "{answer} and {frame}");
    let members = data.as_object().context("an object")?;
    ensure!(members.iter().all(|(name, value)| answer[name] == *value), "{answer}");
    Ok(())
}

pub(super) fn said(c: &Cluster) -> Result<()> {
    let map = c.map("live-said")?;
    let mut follower = Socket::admitted(c, 2, &map)?;
    follower.subscribe(3)?;
    let mut other = Socket::admitted(c, 1, &map)?;
    other.subscribe(4)?;
    let mut foreign = Socket::admitted(c, 1, &c.map("live-said-elsewhere")?)?;
    foreign.subscribe(3)?;
    let api = c.api(0, &map);

    let answer = api.post("/api/sessions", &json!({"session": {"id": 3}}))?.expect(201)?.json()?;
    let data = json!({"session": {"id": 3, "is_active": true}});
    ensure!(answer["id"] == 3, "{answer}");
    told(&answer, "session.started", &data, &mut follower)?;
    told(&answer, "session.started", &data, &mut other)?;

    let data: Value = serde_json::from_str(DATA)?;
    let answer = api.send("/api/sessions/3/games", DATA.as_bytes())?.expect(201)?.json()?;
    told(&answer, "game.added", &data, &mut follower)?;

    let body = json!({"player_count": 5});
    let answer = api.patch("/api/sessions/3/games/7/player-count", &body)?.expect(200)?.json()?;
    let data = json!({"session": {"id": 3}, "session_game_id": 7, "player_count": 5});
    told(&answer, "player-count.updated", &data, &mut follower)?;

    let data = json!({"session": {"id": 3}, "vote": {"type": "up", "username": "ada"}});
    let answer = api.post("/api/votes/live", &data)?.expect(200)?.json()?;
    told(&answer, "vote.received", &data, &mut follower)?;

    let answer = api.post("/api/sessions/3/close", &json!({}))?.expect(200)?.json()?;
    let data = json!({"session": {"id": 3, "is_active": false}});
    told(&answer, "session.ended", &data, &mut follower)?;

    // The admin names the map.
    let path = format!("/api/sessions/3/close?map={}", map.slug);
    c.admin(1).post(&path, &json!({}))?.expect(200)?;
    follower.event("session.ended")?;
    other.quiet()?;
    foreign.quiet()
}

pub(super) fn repeats(c: &Cluster) -> Result<()> {
    let map = c.map("live-repeats")?;
    let mut client = Socket::admitted(c, 1, &map)?;
    let api = c.api(0, &map);
    let number = |answer: &Value| -> Result<u64> {
        let id = answer["id"].as_u64().filter(|id| *id < 1 << 53);
        id.with_context(|| format!("no id in {answer}"))
    };
    let first = number(&api.send("/api/sessions", b"")?.expect(201)?.json()?)?;
    ensure!(client.event("session.started")?["data"]["session"]["id"] == first);
    let key = fresh_key();
    let made = api.post_once("/api/sessions", &key, &json!({}))?.expect(201)?.json()?;
    let again = c.api(2, &map).post_once("/api/sessions", &key, &json!({}))?.expect(201)?;
    ensure!(again.header("idempotency-replayed") == Some("true"), "{again:?}");
    ensure!(again.json()? == made && number(&made)? != first, "{made}");
    ensure!(client.event("session.started")?["data"]["session"]["id"] == made["id"]);
    client.quiet()?;
    let reused = api.post_once("/api/sessions/3/close", &key, &json!({}))?.expect(422)?;
    ensure!(reused.code() == "idempotency_key_reused", "{}", reused.text());
    Ok(())
}

/// Checks an error whose text the guide fixed.
fn fixed(answer: Answer, status: u16, text: &str) -> Result<()> {
    let body = answer.expect(status)?.json()?;
    ensure!(body["error"] == text && body["status"] == status && body["code"].is_string(), "{body}");
    Ok(())
}

pub(super) fn refusals(c: &Cluster) -> Result<()> {
    let map = c.map("live-refusals")?;
    let other = c.map("live-refusals-other")?;
    let url = c.nodes[0].url();
    let posts = ["/api/sessions", "/api/sessions/3/games", "/api/sessions/3/close", "/api/votes/live"];
    let (nobody, wrong) = (Api::new(&url, None), Api::new(&url, Some("wp_wrong")).patient());
    for path in posts {
        fixed(nobody.post(path, &json!({}))?, 401, "Access token required")?;
        fixed(wrong.post(path, &json!({}))?, 403, "Invalid or expired token")?;
    }
    let count = "/api/sessions/3/games/7/player-count";
    fixed(nobody.patch(count, &json!({"player_count": 1}))?, 401, "Access token required")?;
    fixed(wrong.patch(count, &json!({"player_count": 1}))?, 403, "Invalid or expired token")?;

    let (_, reader) = c.token(&map, &["subscribe"])?;
    let refused = c.api(0, &reader).post("/api/sessions", &json!({}))?.expect(403)?;
    ensure!(refused.code() == "forbidden", "{}", refused.text());
    let api = c.api(0, &map);
    let elsewhere = api.post(&format!("/api/sessions?map={}", other.slug), &json!({}))?.expect(404)?;
    ensure!(elsewhere.code() == "not_found", "{}", elsewhere.text());
    let unnamed = c.admin(0).post("/api/sessions", &json!({}))?.expect(400)?;
    ensure!(unnamed.code() == "map_needed", "{}", unnamed.text());

    let game = json!({"session": {"id": 4}, "game": {"id": 1, "title": "a"}});
    let conflict = api.post("/api/sessions/3/games", &game)?.expect(409)?;
    ensure!(conflict.code() == "other_session", "{}", conflict.text());
    for (path, body, field) in [
        ("/api/sessions", json!({"session": 3}), "session"),
        ("/api/sessions/3/games", json!({}), "game"),
        ("/api/sessions/3/games", json!({"game": {"id": 1}}), "game.title"),
        ("/api/sessions/3/close", json!({"at": 1}), "at"),
        ("/api/votes/live", json!({"vote": {"type": "up", "username": "a"}}), "session"),
        ("/api/votes/live", json!({"session": {"id": 3}, "vote": {"type": 1, "username": "a"}}), "vote.type"),
    ] {
        let body = api.post(path, &body)?.expect(400)?.json()?;
        let errors = body["errors"].as_array().with_context(|| format!("{path}: {body}"))?;
        ensure!(errors.iter().any(|error| error["field"] == field), "{path}: no {field} in {body}");
    }
    let bad = api.post("/api/sessions/a%20b/close", &json!({}))?.expect(400)?;
    ensure!(bad.code() == "invalid_session", "{}", bad.text());
    let stored = api.get(&format!("{}?subjects=*", map.events()))?.data(200)?;
    ensure!(stored == json!([]), "something was published: {stored}");
    Api::new(&url, Some(ADMIN)).get("/api/sessions")?.expect(405).map(drop)
}

/// A rule may say that sessions store nothing.
pub(super) fn ephemeral(c: &Cluster) -> Result<()> {
    let map = c.map("live-ephemeral")?;
    c.set_rules(&map, &json!([{"match": "session:*", "durability": "ephemeral"}]))?;
    let mut follower = Socket::admitted(c, 2, &map)?;
    follower.subscribe(3)?;
    let api = c.api(0, &map);
    let answer = api.send("/api/sessions/3/games", DATA.as_bytes())?.expect(201)?.json()?;
    ensure!(answer["event"]["id"].is_string(), "{answer}");
    let frame = follower.event("game.added")?;
    ensure!(frame.get("id").is_none() && frame["sessionId"] == 3, "{frame}");
    let keyed = api.post_once("/api/sessions/3/close", &fresh_key(), &json!({}))?.expect(400)?;
    ensure!(keyed.code() == "idempotency_of_ephemeral", "{}", keyed.text());
    Ok(())
}
