//! Scopes, maps that look absent, and revocations that reach every open connection, on every node.

use crate::support::{checked, nodes, publish, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::Map;
use testkit::http::text;
use testkit::phoenix::Socket;
use testkit::stream::Stream;
use testkit::wait;

/// The promise is one second; a node on a machine that is busy with other tests may need longer.
const REVOKED_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn access_holds_on_every_node() {
    checked(
        nodes(3),
        &[
            ("scopes", scopes),
            ("tokens are shown once", shown_once),
            ("an unknown map looks like a map without access", looks_absent),
            ("revoking a token closes its connections everywhere", |c| {
                closes(c, "revoked", |c, map, id| {
                    c.admin(0).delete(&format!("/api/maps/{}/tokens/{id}", map.id))?.expect(204)
                })
            }),
            ("deleting a map closes its connections everywhere", |c| {
                closes(c, "deleted", |c, map, _| {
                    c.admin(1).delete(&format!("/api/maps/{}", map.id))?.expect(204)
                })
            }),
            ("a new token works on every node at once", read_your_writes),
            ("a token revoked while its stream waits for a position is refused", revoked_while_waiting),
            ("a node that was suspended accepts no revoked token", revoked_while_suspended),
            // Last: it uses up how many wrong tokens may come from this address.
            ("guessing tokens locks out no other client at the same address", guessing),
        ],
    );
}

/// A restarted node must not accept a token that was revoked while it was down.
#[test]
fn a_restarted_node_accepts_no_token_that_was_revoked_meanwhile() {
    scenario(nodes(3), |c| {
        let map = c.map("while-down")?;
        for _ in 0..5 {
            let (id, its) = c.token(&map, &["subscribe"])?;
            c.wait_same_applied()?;
            let down = c.follower()?;
            let leader = c.leader()?;
            c.nodes[down].kill9()?;
            c.admin(leader).delete(&format!("/api/maps/{}/tokens/{id}", map.id))?.expect(204)?;
            c.nodes[down].start()?;
            let api = c.api(down, &its);
            // The node refuses connections until it listens.
            let answer = c.wait_until("an answer", |_| Ok(api.get(&map.events()).ok()))?;
            ensure!(matches!(answer.status, 401 | 503), "a revoked token got {}", answer.text());
            c.wait_node(down)?;
            ensure!(api.get(&map.events())?.status == 401, "the ready node accepts a revoked token");
        }
        Ok(())
    });
}

fn scopes(c: &Cluster) -> Result<()> {
    let map = c.map("scopes")?;
    for scope in ["subscribe", "publish", "presence", "manage"] {
        let (_, only) = c.token(&map, &[scope])?;
        let api = c.api(1, &only);
        let denied = |right: &str| if scope == right { 200..=299 } else { 403..=403 };
        let event = json!({"type": "x", "payload": 1});
        let published = api.post(&map.events(), &event)?;
        ensure!(denied("publish").contains(&published.status), "{scope}: {}", published.text());
        let read = api.get(&map.events())?;
        ensure!(denied("subscribe").contains(&read.status), "{scope}: {}", read.text());
        let path = format!("/api/maps/{}/tokens", map.id);
        let made = api.post(&path, &json!({"scopes": ["manage"]}))?;
        ensure!(denied("manage").contains(&made.status), "{scope}: {}", made.text());
        let mut socket = Socket::connect(c.nodes[2].http, &only.token)?;
        let (_, reply) = socket.join(&map.topic(), json!({}))?;
        let may = scope == "subscribe";
        ensure!(may == (reply.status() == "ok"), "{scope}: {reply:?}");
        ensure!(may || reply.reason() == "unauthorized", "{scope}: {reply:?}");
        let create = api.post("/api/maps", &json!({"slug": "mine"}))?;
        ensure!(create.status == 403, "a token with {scope} created a map: {}", create.text());
        let status = api.get("/api/cluster/status")?;
        ensure!(status.status == 403, "a token with {scope} read the cluster's status: {}", status.text());
    }
    Ok(())
}

fn shown_once(c: &Cluster) -> Result<()> {
    let map = c.map("shown-once")?;
    let (_, made) = c.token(&map, &["subscribe"])?;
    ensure!(made.token.starts_with("wp_") && map.token.starts_with("wp_"), "{made:?}");
    let listed = c.admin(1).get(&format!("/api/maps/{}/tokens", map.id))?.data(200)?;
    let listed = listed.to_string();
    ensure!(!listed.contains(&made.token) && !listed.contains(&map.token), "{listed}");
    for node in &c.nodes {
        let log = std::fs::read_to_string(&node.log)?;
        ensure!(!log.contains(&made.token), "the log of {} has a token", node.http);
    }
    Ok(())
}

fn looks_absent(c: &Cluster) -> Result<()> {
    let map = c.map("absent")?;
    let other = c.map("absent-other")?;
    let unknown = "00000000-0000-4000-8000-000000000000";
    let api = c.api(0, &map);
    for suffix in ["", "/events", "/tokens", "/events/stream"] {
        let foreign = api.get(&format!("/api/maps/{}{suffix}", other.id))?;
        let absent = api.get(&format!("/api/maps/{unknown}{suffix}"))?;
        let same = foreign.status == absent.status
            && foreign.text().replace(&other.id, "M") == absent.text().replace(unknown, "M");
        ensure!(same, "{suffix}: {} differs from {}", foreign.text(), absent.text());
        ensure!(matches!(foreign.status, 403 | 404), "{suffix}: {}", foreign.status);
    }
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    let mut replies = Vec::new();
    for id in [other.id.as_str(), unknown] {
        replies.push(socket.join(&format!("events:map:{id}"), json!({}))?.1.payload);
    }
    ensure!(replies[0] == replies[1], "{replies:?}");
    Ok(())
}

type End = fn(&Cluster, &Map, &str) -> Result<testkit::http::Answer>;

/// Checks that sockets and streams on every node, and a long poll, end soon after `end` is answered.
fn closes(c: &Cluster, slug: &str, end: End) -> Result<()> {
    let map = c.map(slug)?;
    let (id, its) = c.token(&map, &["subscribe"])?;
    let mut sockets = Vec::new();
    let mut streams = Vec::new();
    for node in &c.nodes {
        let mut socket = Socket::connect(node.http, &its.token)?;
        socket.join_ok(&map.topic(), json!({}))?;
        sockets.push(socket);
        let stream = format!("{}{}/stream?token={}", node.url(), map.events(), its.token);
        let stream = Js::sse_raw(&stream, json!({}))?;
        stream.wait_for("chunk", 1)?;
        streams.push(stream);
    }
    let poller = Js::longpoll(&[c.nodes[1].url()], &its, json!({}))?;
    poller.wait_joined()?;
    let bystander_map = c.map(&format!("{slug}-bystander"))?;
    let mut bystander = c.joined(0, &bystander_map, json!({}))?;

    end(c, &map, &id)?;
    let answered = Instant::now();
    for (i, socket) in sockets.iter_mut().enumerate() {
        let (code, _) = socket.wait_close().with_context(|| format!("socket at node {i}"))?;
        let after = answered.elapsed();
        println!("    {slug}: node {i} closed with {code:?} after {after:?}");
        ensure!(after < REVOKED_WITHIN, "node {i} closed {after:?} after the answer");
        ensure!(code.is_some_and(|c| c != 1000), "closed with {code:?}");
    }
    for stream in &streams {
        stream.wait("the stream's end", |s| {
            let over = !s.of("end").is_empty() || !s.of("error").is_empty();
            Ok(over.then_some(()))
        })?;
    }
    poller.wait("the long poll's end", |p| {
        let over =
            p.lines().iter().any(|l| matches!(l["t"].as_str(), Some("error" | "close" | "channel_close")));
        Ok(over.then_some(()))
    })?;
    drop(poller);
    let gone = c.api(2, &its).get(&map.events())?.status;
    ensure!(gone == 401, "the token still gets {gone}");
    bystander.alive()
}

fn read_your_writes(c: &Cluster) -> Result<()> {
    for turn in 0..10 {
        let map = c.map(&format!("fresh-{turn}"))?;
        for node in 0..3 {
            c.api(node, &map).get(&map.events())?.expect(200)?;
            let sent: Value = publish(c, node, &map, "x", json!({}))?;
            ensure!(sent["seq"] == node + 1, "{sent}");
        }
    }
    Ok(())
}

/// Behind a load balancer all clients have one address: refused tokens slow down only the client that
/// presents them.
fn guessing(c: &Cluster) -> Result<()> {
    let map = c.map("guessing")?;
    let guess = testkit::http::Api::new(&c.nodes[0].url(), Some("wp_guess")).patient();
    let statuses: Vec<u16> =
        (0..130).map(|_| guess.get(&map.events()).map(|a| a.status)).collect::<Result<_>>()?;
    ensure!(statuses.iter().all(|s| matches!(s, 401 | 429)), "{statuses:?}");
    ensure!(statuses.last() == Some(&429), "guessing is never slowed down: {statuses:?}");
    c.api(0, &map).get(&map.events())?.expect(200).map(|_| ())
}

/// A request arrives after the revoke was acknowledged, while the node is suspended; the node reads it before
/// it can have heard of the revoke. A leader that was suspended reads answers from before, too, and may take
/// them for new ones.
fn revoked_while_suspended(c: &Cluster) -> Result<()> {
    let map = c.map("while-still")?;
    for round in 0..10 {
        let (id, its) = c.token(&map, &["subscribe"])?;
        c.wait_same_applied()?;
        let suspended = if round % 3 == 2 { c.leader()? } else { c.follower()? };
        let admin = c.admin((suspended + 1) % c.nodes.len());
        let mut asked = c.nodes[suspended].suspended(|| {
            // Without the leader the outcome of an attempt may be unknown.
            wait::until("the token to be revoked", || {
                let answer = admin.delete(&format!("/api/maps/{}/tokens/{id}", map.id))?;
                Ok(matches!(answer.status, 204 | 404).then_some(()))
            })?;
            Stream::get(c.nodes[suspended].http, &map.events(), Some(&its.token), &[])
        })?;
        let answer = asked.status()?;
        ensure!(answer == 401 || answer == 503, "a revoked token got {answer} in round {round}");
    }
    Ok(())
}

/// A suspended node is asked for a stream from a position that it has not reached, with a token that it does
/// not know to be revoked. It must catch up with both before it answers.
fn revoked_while_waiting(c: &Cluster) -> Result<()> {
    let map = c.map("while-waiting")?;
    for _ in 0..3 {
        let (id, its) = c.token(&map, &["subscribe"])?;
        c.wait_same_applied()?;
        let behind = c.follower()?;
        let leader = c.leader()?;
        let mut asked = c.nodes[behind].suspended(|| {
            let ahead = text(&publish(c, leader, &map, "x", json!({}))?, "id")?;
            let path = format!("{}/stream?last_event_id={ahead}&token={}", map.events(), its.token);
            let stream = Stream::get(c.nodes[behind].http, &path, None, &[])?;
            c.admin(leader).delete(&format!("/api/maps/{}/tokens/{id}", map.id))?.expect(204)?;
            Ok(stream)
        })?;
        let answer = asked.status()?;
        // 503: the node found no leader in time.
        ensure!(answer == 401 || answer == 503, "a revoked token got {answer}");
    }
    Ok(())
}
