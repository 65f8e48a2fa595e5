//! Joins have a rate: of one client, and of a map's channels where a join is written to the log. Beyond it a join is
//! refused, in the form of the protocol, and the client stays connected. What was let in is told to the end.

use crate::pusher_support::{App, Socket, set_rules};
use crate::support::{nodes, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::phoenix::{self, Frame};

/// The joins of a map's channels in a minute.
const A_MINUTE: usize = 40;

/// A frame that a client gets after it asked for a channel.
fn answer(socket: &mut Socket, channel: &str) -> Result<Value> {
    socket.send(&json!({"event": "pusher:subscribe", "data": {"channel": channel}}))?;
    loop {
        let frame = socket.next()?;
        if frame["channel"] == channel {
            return Ok(frame);
        }
    }
}

fn is_refused(frame: &Value) -> Result<bool> {
    if frame["event"] == "pusher_internal:subscription_succeeded" {
        return Ok(false);
    }
    let data = &frame["data"];
    ensure!(frame["event"] == "pusher:subscription_error", "{frame}");
    ensure!(data["type"] == "LimitReached" && data["status"] == 429, "{frame}");
    Ok(true)
}

/// The socket is still served.
fn is_served(socket: &mut Socket) -> Result<()> {
    socket.send(&json!({"event": "pusher:ping", "data": {}}))?;
    socket.wait("pusher:pong").map(drop)
}

#[test]
fn one_client_joins_no_faster_than_it_may() {
    let options = nodes(1)
        .set("WAYPOST_SESSION_JOINS_PER_SECOND", 1)
        .set("WAYPOST_LIMITS_CHANNELS_PER_SOCKET", 100)
        .set("WAYPOST_LIMITS_CHANNEL_JOINS_PER_MINUTE", 0);
    scenario(options, |c| {
        let map = c.map("client-joins")?;
        let app = App::of(c, &map)?;
        // A page subscribes to all its channels at once.
        let mut socket = Socket::connect(c, 0, &app)?;
        (0..100).try_for_each(|n| socket.subscribe(&format!("news-{n}")).map(drop))?;
        socket.unsubscribe("news-0")?;
        let refused =
            (0..1000).any(|_| match answer(&mut socket, "news-0").and_then(|frame| is_refused(&frame)) {
                Ok(true) => true,
                _ => socket.unsubscribe("news-0").is_err(),
            });
        ensure!(refused, "a client joins as fast as it likes");
        is_served(&mut socket)?;
        let mut socket = phoenix::Socket::connect(c.nodes[0].http, &map.token)?;
        let (joined, reply) = join_until_refused(&mut socket, &map)?;
        let response = &reply.payload["response"];
        ensure!(joined >= 90 && reply.reason() == "too many client joins", "{joined}: {reply:?}");
        ensure!(response["setting"] == "session.joins_per_second" && response["limit"] == 1, "{response}");
        Ok(())
    });
}

/// Joins topics of the map until a join is refused. Returns how many were joined, and the response.
fn join_until_refused(socket: &mut phoenix::Socket, map: &Map) -> Result<(usize, Frame)> {
    for n in 0..1000 {
        let topic = format!("{}:orders-{}", map.topic(), n % 90);
        let own = json!(n.to_string());
        socket.push((json!("1"), own.clone()), &topic, "phx_join", json!({}))?;
        let reply = loop {
            let frame = socket.frame()?;
            // A topic that is joined again is closed, too.
            if frame.event == "phx_reply" && frame.reply_ref == own {
                break frame;
            }
        };
        if reply.status() != "ok" {
            socket.alive()?;
            return Ok((n, reply));
        }
    }
    anyhow::bail!("a client joins as fast as it likes")
}

/// How many lifecycle events of the kind there are.
fn told(c: &Cluster, map: &Map, kind: &str) -> Result<usize> {
    let path = format!("{}?limit=1000&subjects=$channel/*&events={kind}", map.events());
    let page = c.admin(0).get(&path)?.expect(200)?.json()?;
    Ok(page["data"].as_array().context("no events")?.len())
}

#[test]
fn the_channels_of_a_map_are_joined_no_faster_than_they_may_and_every_join_is_told() {
    let options =
        nodes(1).set("WAYPOST_LIMITS_CHANNEL_JOINS_PER_MINUTE", A_MINUTE).set("WAYPOST_PRESENCE_GRACE_MS", 0);
    scenario(options, |c| {
        let map = c.map("channel-joins")?;
        set_rules(c, &map, &json!([{"match": "$channel/*"}]))?;
        c.wait_same_applied()?;
        let app = App::of(c, &map)?;
        let mut socket = Socket::connect(c, 0, &app)?;
        let mut joined = 0;
        let mut refused = 0;
        for n in 0..2 * A_MINUTE {
            match is_refused(&answer(&mut socket, &format!("made-up-{n}"))?)? {
                true => refused += 1,
                false => joined += 1,
            }
        }
        ensure!(refused > 0 && joined >= A_MINUTE / 2, "{joined} joined, {refused} refused");
        is_served(&mut socket)?;
        let mut other = phoenix::Socket::connect(c.nodes[0].http, &map.token)?;
        let (more, reply) = join_until_refused(&mut other, &map)?;
        let response = &reply.payload["response"];
        ensure!(reply.reason() == "too many channel joins", "{reply:?}");
        ensure!(response["setting"] == "limits.channel_joins_per_minute", "{response}");
        joined += more;
        let wait_told = |kind: &str| {
            c.wait_until(&format!("each join is told once as {kind}"), |c| {
                let told = told(c, &map, kind)?;
                ensure!(told <= joined, "{told} of {joined}");
                Ok((told == joined).then_some(()))
            })
        };
        wait_told("channel_occupied")?;
        wait_told("subscribe")?;
        // Leaving is never refused.
        (0..2 * A_MINUTE).try_for_each(|n| socket.unsubscribe(&format!("made-up-{n}")))?;
        drop(other);
        wait_told("channel_vacated")?;
        wait_told("unsubscribe")?;
        Ok(())
    });
}
