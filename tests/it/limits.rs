//! A map's limits hold over the whole cluster, are reported clearly, and are given back.

use crate::support::{checked, nodes, publish};
use anyhow::{Result, ensure};
use serde_json::json;
use testkit::Cluster;
use testkit::http::Answer;
use testkit::phoenix::Socket;

#[test]
fn limits_hold_over_the_cluster() {
    checked(
        nodes(3),
        &[
            ("ten sockets per map", sockets),
            ("a socket that disconnects during its join gives its slot back", hung_up),
            ("a limit lifted and set again", lifted_and_set),
            ("two limits changed at once", changed_at_once),
            ("a hundred requests per minute and token", requests),
            ("publishes per second", publishes),
            ("the depth of JSON", depth),
            ("no limits for the admin token", admin_is_free),
        ],
    );
}

fn sockets(c: &Cluster) -> Result<()> {
    let map = c.map_with("ten-sockets", json!({"limits": {"connections": 10}}))?;
    let mut open = Vec::new();
    for i in 0..10 {
        open.push(c.joined(i % 3, &map, json!({}))?);
    }
    for node in &c.nodes {
        let mut socket = Socket::connect(node.http, &map.token)?;
        let (_, reply) = socket.join(&map.topic(), json!({}))?;
        ensure!(reply.status() == "error" && !reply.reason().is_empty(), "the 11th: {reply:?}");
        ensure!(
            reply.payload["response"]["raise"] == "waypost map update MAP --connections N",
            "how to raise it is not told: {reply:?}"
        );
        ensure!(reply.reason() != "unauthorized", "{reply:?}");
        socket.alive()?;
    }
    // A second join on a socket that already counts does not count again.
    open[0].join_ok(&map.topic(), json!({}))?;
    open.truncate(9);
    c.wait_until("the freed slot", |c| {
        let mut socket = Socket::connect(c.nodes[2].http, &map.token)?;
        let (_, reply) = socket.join(&map.topic(), json!({}))?;
        Ok((reply.status() == "ok").then_some(()))
    })?;
    open.iter_mut().skip(1).try_for_each(Socket::alive)
}

/// Waits until the map accepts a socket at each of these nodes at once; then closes them.
pub(crate) fn accepts(c: &Cluster, map: &testkit::cluster::Map, nodes: &[usize]) -> Result<()> {
    c.wait_until("slots for all sockets", |c| {
        let mut open = Vec::new();
        for node in nodes {
            let mut socket = Socket::connect(c.nodes[*node].http, &map.token)?;
            if socket.join(&map.topic(), json!({}))?.1.status() != "ok" {
                return Ok(None);
            }
            open.push(socket);
        }
        Ok(Some(()))
    })
}

/// A client that disconnects while its slot is being taken gives it back.
fn hung_up(c: &Cluster) -> Result<()> {
    let map = c.map_with("hung-up", json!({"limits": {"connections": 10}}))?;
    for i in 0..60 {
        let mut socket = Socket::connect(c.nodes[i % 3].http, &map.token)?;
        socket.ws.text(&json!(["1", "1", map.topic(), "phx_join", {}]).to_string())?;
    }
    accepts(c, &map, &[0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
}

/// Sockets that left while there was no limit do not count when the limit is set again.
fn lifted_and_set(c: &Cluster) -> Result<()> {
    let map = c.map_with("lifted", json!({"limits": {"connections": 3}}))?;
    let path = format!("/api/maps/{}", map.slug);
    let set = |limit: serde_json::Value| {
        c.admin(0).patch(&path, &json!({"limits": {"connections": limit}}))?.expect(200).map(|_| ())
    };
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(c.joined(1, &map, json!({}))?);
    }
    set(json!(null))?;
    drop(open);
    set(json!(3))?;
    accepts(c, &map, &[0, 1, 2])
}

/// Changes of different limits, through different nodes, do not undo each other.
fn changed_at_once(c: &Cluster) -> Result<()> {
    let map = c.map_with("at-once-limits", json!({}))?;
    let path = format!("/api/maps/{}", map.slug);
    for round in 1..=10 {
        let patch =
            |node: usize, limits| c.admin(node).patch(&path, &json!({ "limits": limits }))?.expect(200);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| patch(1, json!({"webhooks": round})).map(|_| ()));
            let own = patch(2, json!({"connections": round})).map(|_| ());
            own.and(other.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
        })?;
        let limits = c.admin(0).get(&path)?.data(200)?["limits"].clone();
        ensure!(limits["webhooks"] == round && limits["connections"] == round, "round {round}: {limits}");
    }
    Ok(())
}

fn retry_after(answer: &Answer) -> Result<u64> {
    ensure!(answer.status == 429, "{} {}", answer.status, answer.text());
    ensure!(!answer.code().is_empty(), "{}", answer.text());
    let after = answer.header("retry-after").and_then(|v| v.parse().ok());
    after.filter(|s| (1..=60).contains(s)).ok_or_else(|| anyhow::anyhow!("{:?}", answer.headers))
}

fn requests(c: &Cluster) -> Result<()> {
    let map = c.map_with("requests", json!({"limits": {"requests_per_minute": 100}}))?;
    let mut refused = None;
    // The minute may end in between; then as many requests are allowed again.
    for i in 0..220 {
        let answer = c.api(i % 3, &map).get(&map.events())?;
        if answer.status != 200 {
            refused = Some((i, answer));
            break;
        }
        if i >= 100 && i % 20 == 0 {
            println!("    request {i} was allowed");
        }
    }
    let (count, answer) = refused.ok_or_else(|| anyhow::anyhow!("220 requests were allowed"))?;
    retry_after(&answer)?;
    ensure!(count >= 100, "request {} was refused: {}", count + 1, answer.text());
    // Some requests are allowed meanwhile.
    for node in 0..3 {
        let refusal = c.wait_until("a refusal", |c| {
            let answer = c.api(node, &map).get(&map.events())?;
            Ok((answer.status != 200).then_some(answer))
        })?;
        retry_after(&refusal)?;
    }
    // Publishing has a limit of its own, none by default.
    (0..20).try_for_each(|i| publish(c, i % 3, &map, "x", json!({})).map(|_| ()))
}

fn publishes(c: &Cluster) -> Result<()> {
    let limits = json!({"publishes_per_second": 5, "requests_per_minute": null});
    let map = c.map_with("publishes", json!({"limits": limits}))?;
    let body = json!({"type": "x", "payload": 1});
    // The publishes run in parallel: one after another, a slow machine might never exceed the limit.
    let answers = std::thread::scope(|scope| {
        let one =
            |i: usize| c.api(i % 3, &map).post_once(&map.events(), &testkit::cluster::fresh_key(), &body);
        let five = move |n: usize| (n..n + 5).map(one).collect::<Result<Vec<_>>>();
        let threads: Vec<_> = (0..12).map(|n| scope.spawn(move || five(n))).collect();
        let joined = threads.into_iter().map(|t| t.join().unwrap_or_else(|_| anyhow::bail!("panicked")));
        joined.collect::<Result<Vec<_>>>()
    })?;
    let (stored, refused): (Vec<_>, Vec<_>) = answers.into_iter().flatten().partition(|a| a.status == 201);
    for answer in &refused {
        retry_after(answer)?;
        ensure!(answer.json()?["limit"] == 5, "{}", answer.text());
    }
    ensure!(!refused.is_empty() && stored.len() >= 5, "{} stored, {} refused", stored.len(), refused.len());
    Ok(())
}

fn depth(c: &Cluster) -> Result<()> {
    let map = c.map_with("depth", json!({}))?;
    let payload = (0..64).fold(json!([]), |inner, _| json!([inner]));
    let body = json!({"type": "x", "payload": payload});
    let refused = c.api(0, &map).post_once(&map.events(), &testkit::cluster::fresh_key(), &body)?;
    ensure!(refused.status == 400 && refused.code() == "too_deep", "{}", refused.text());
    let told = refused.json()?;
    let raise = "waypost serve --limits-json-depth N";
    ensure!(told["limit"] == 64 && told["raise"] == raise, "{}", refused.text());
    Ok(())
}

fn admin_is_free(c: &Cluster) -> Result<()> {
    let map = c.map_with("admin-is-free", json!({"limits": {"requests_per_minute": 100}}))?;
    (0..150).try_for_each(|i| c.admin(i % 3).get(&map.events())?.expect(200).map(|_| ()))
}
