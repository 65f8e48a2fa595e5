//! Event streams at a map's limit: a page that is loaded again gets its slot back, and an EventSource that is
//! refused is told in a form after which it comes back.

use crate::support::{checked, nodes};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::stream::{Frame, Stream};

const LIMIT: Duration = Duration::from_secs(60);
/// Connections of the map.
const SLOTS: usize = 3;
const RELOADS: usize = 30;

#[test]
fn a_reload_at_the_limit_is_not_refused() {
    checked(nodes(1), &[("a page is loaded again and again", reloaded), ("one page too many", refused)]);
}

#[test]
fn an_event_source_is_refused_so_that_it_comes_back() {
    checked(nodes(3), &[("a node that drains", drained), ("no majority", no_majority)]);
}

/// Opens the map's stream as an EventSource does.
fn open(c: &Cluster, node: usize, map: &Map, token: &str) -> Result<Stream> {
    let accept = [("Accept", "text/event-stream"), ("Cache-Control", "no-cache")];
    Stream::get(c.nodes[node].http, &format!("{}/stream", map.events()), Some(token), &accept)
}

fn first(stream: &mut Stream) -> Result<Frame> {
    ensure!(stream.status()? == 200, "{}", stream.body());
    stream.frame(LIMIT)?.context("no frame came")
}

/// Checks that the stream is one frame that refuses the client, and returns the error.
fn is_refused(mut stream: Stream) -> Result<Value> {
    stream.until("\n\n")?;
    ensure!(stream.body().starts_with("retry: "), "{}", stream.body());
    let frame = first(&mut stream)?;
    ensure!(frame.event == "refused" && frame.id.is_none(), "{frame:?}");
    // The end of the stream: an EventSource connects again after it.
    ensure!(stream.frame(LIMIT).is_err(), "it does not end: {}", stream.body());
    Ok(serde_json::from_str(&frame.data)?)
}

fn reloaded(c: &Cluster) -> Result<()> {
    let map = c.map_with("reload", json!({"limits": {"connections": SLOTS}}))?;
    let mut held = Vec::new();
    for _ in 0..SLOTS {
        let mut stream = open(c, 0, &map, &map.token)?;
        ensure!(first(&mut stream)?.event == "connected");
        held.push(stream);
    }
    for round in 0..RELOADS {
        drop(held.remove(0));
        let mut stream = open(c, 0, &map, &map.token)?;
        let frame = first(&mut stream)?;
        ensure!(frame.event == "connected", "reload {round}: {frame:?}");
        held.push(stream);
    }
    Ok(())
}

fn refused(c: &Cluster) -> Result<()> {
    let map = c.map_with("too-many", json!({"limits": {"connections": SLOTS}}))?;
    let mut held = (0..SLOTS).map(|_| open(c, 0, &map, &map.token)).collect::<Result<Vec<_>>>()?;
    for stream in &mut held {
        ensure!(first(stream)?.event == "connected");
    }
    let error = is_refused(open(c, 0, &map, &map.token)?)?;
    ensure!(error["error"] == "too_many_connections" && error["limit"] == SLOTS, "{error}");
    // Other clients get the status.
    for accept in [&[][..], &[("Accept", "*/*")]] {
        let path = format!("{}/stream", map.events());
        let mut stream = Stream::get(c.nodes[0].http, &path, Some(&map.token), accept)?;
        ensure!(stream.status()? == 429, "{}", stream.body());
    }
    // What does not pass by itself has its status for all.
    let mut unknown = open(c, 0, &map, "wp_unknown")?;
    ensure!(unknown.status()? == 401, "{}", unknown.body());
    Ok(())
}

fn drained(c: &Cluster) -> Result<()> {
    let map = c.map("drained-stream")?;
    let (node, other) = (c.leader()?, c.follower()?);
    let id = c.status(node)?["node_id"].clone();
    c.admin(other).post("/api/cluster/drain", &json!({"node": id}))?.expect(200)?;
    c.wait_until("the node to refuse streams", |c| {
        let error = is_refused(open(c, node, &map, &map.token)?)?;
        ensure!(error["error"] == "unavailable" && error["status"] == 503, "{error}");
        Ok(Some(()))
    })?;
    let mut stream =
        Stream::get(c.nodes[node].http, &format!("{}/stream", map.events()), Some(&map.token), &[])?;
    ensure!(stream.status()? == 503, "{}", stream.body());
    c.admin(other).post("/api/cluster/undrain", &json!({"node": id}))?.expect(200)?;
    c.wait_until("the node to serve streams again", |c| {
        let frame = first(&mut open(c, node, &map, &map.token)?)?;
        Ok((frame.event == "connected").then_some(()))
    })
}

/// Without a majority a node can't know whether an unknown token is wrong.
fn no_majority(c: &Cluster) -> Result<()> {
    let map = c.map("no-majority")?;
    c.wait_same_applied()?;
    let node = c.leader()?;
    let others: Vec<usize> = (0..3).filter(|other| *other != node).collect();
    others.iter().try_for_each(|other| c.nodes[*other].sigstop())?;
    let answered = is_refused(open(c, node, &map, "wp_unknown")?);
    others.iter().try_for_each(|other| c.nodes[*other].sigcont())?;
    let error = answered?;
    ensure!(error["status"] == 503, "{error}");
    Ok(())
}
