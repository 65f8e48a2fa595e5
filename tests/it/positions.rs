//! Positions between events. A client that loses its connection before the first event, in the middle of a
//! backfill, or after days without a match resumes without a loss and without a false gap; a position that
//! can't be understood is reported.

use crate::proxy::Proxy;
use crate::support::{binary, checked, nodes, publish, publish_many};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::Cluster;
use testkit::checks::check_stream;
use testkit::clients::Js;
use testkit::cluster::Map;
use testkit::event::Event;
use testkit::http::text;
use testkit::phoenix::Socket;
use testkit::publisher::Publisher;
use testkit::stream::Frame;

#[test]
fn a_position_is_never_lost() {
    checked(
        nodes(2)
            .set("WAYPOST_SESSION_POSITION_SECONDS", 1)
            .set("WAYPOST_SESSION_STALL_SECONDS", 120)
            .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8"),
        &[
            ("a stream that breaks after its first frame", stream_breaks_at_once),
            ("a join that breaks after its reply", join_breaks_at_once),
            ("EventSource that breaks before its first event", event_source_breaks),
            ("EventSource with a narrow filter", |c| narrow(c, json!({"events": "wanted"}))),
            ("EventSource with a narrow expression", |c| narrow(c, json!({"filter": "payload.i > 100"}))),
            ("positions come at intervals", at_intervals),
            ("phoenix.js that asks for positions", phoenix_positions),
            ("waypost tail that breaks before its first event", tail_breaks),
            ("positions that are not of the topic", unknown_positions),
            ("a webhook does not start at an unknown event", webhook_starts),
            ("a topic joined again repeats nothing", joined_again),
            ("a topic joined again for more brings more", joined_for_more),
            ("a topic joined again has no gap in what was shown", joined_again_over_a_gap),
        ],
    );
}

fn ids(envelopes: &[Value]) -> Result<Vec<String>> {
    envelopes.iter().map(|envelope| text(envelope, "id")).collect()
}

fn seqs(frames: &[Frame]) -> Vec<u64> {
    frames.iter().filter_map(Frame::seq).collect()
}

fn stream(c: &Cluster, node: usize, map: &Map, query: &str, last: Option<&str>) -> Result<Js> {
    Js::raw_stream(&c.nodes[node].url(), map, query, last)
}

/// For a way to start: a function from the newest seq to the seq of the first event that must come.
type First = fn(u64) -> u64;

/// However a stream starts, its first frame carries the position before the first event.
fn stream_breaks_at_once(c: &Cluster) -> Result<()> {
    let map = c.map("breaks-at-once")?;
    let fresh = c.map("empty-at-first")?;
    let sent = ids(&publish_many(c, 0, &map, "x", 5)?)?;
    let starts: [(&Map, String, First); 6] = [
        (&fresh, String::new(), |_| 1),
        (&map, String::new(), |head| head + 1),
        (&map, "backfill=3".to_owned(), |head| head - 2),
        (&map, "since=2000-01-01T00:00:00Z".to_owned(), |_| 1),
        (&map, format!("last_event_id={}", sent[1]), |_| 3),
        (&map, format!("last_event_id={}", sent[4]), |_| 6),
    ];
    let mut head = 5;
    for (turn, (map, query, first)) in starts.iter().enumerate() {
        c.wait_same_applied()?;
        let broken = stream(c, turn % 2, map, query, None)?;
        let greeting = broken.wait("the first frame", |client| Ok(client.frames().first().cloned()))?;
        drop(broken);
        let position = greeting.id.clone().with_context(|| format!("no id in {greeting:?} for {query:?}"))?;
        let first = first(head);
        let next = publish(c, 0, map, "x", json!({"i": 0}))?["seq"].as_u64().context("no seq")?;
        head = head.max(next);
        let resumed = stream(c, (turn + 1) % 2, map, "", Some(&position))?;
        let got = resumed.wait("the newest event", |client| {
            let seqs = seqs(&client.frames());
            Ok((seqs.last() >= Some(&next)).then_some(seqs))
        })?;
        let expected: Vec<u64> = (first..=next).collect();
        ensure!(got == expected, "{query:?}: {got:?} instead of {expected:?}");
        let greeting = format!("{:?}", resumed.frames()[0]);
        ensure!(!greeting.contains("gap"), "{query:?}: {greeting}");
    }
    Ok(())
}

/// The same for a join's reply: `last_event_id` is the position to resume from, `last_seq` the newest event
/// of the topic.
fn join_breaks_at_once(c: &Cluster) -> Result<()> {
    let map = c.map("join-breaks")?;
    let sent = ids(&publish_many(c, 0, &map, "x", 5)?)?;
    c.wait_same_applied()?;
    let starts: [(Value, &[u64]); 5] = [
        (json!({}), &[]),
        (json!({"backfill": 3}), &[3, 4, 5]),
        (json!({"since": "2000-01-01T00:00:00Z"}), &[1, 2, 3, 4, 5]),
        (json!({"last_event_id": sent[1]}), &[3, 4, 5]),
        (json!({"last_event_id": sent[4]}), &[]),
    ];
    for (params, missed) in starts {
        let reply = Socket::connect(c.nodes[0].http, &map.token)?.join_ok(&map.topic(), params.clone())?;
        ensure!(reply["last_seq"] == 5, "{params}: {reply}");
        let mut resumed = Socket::connect(c.nodes[1].http, &map.token)?;
        let again = resumed.join_ok(&map.topic(), json!({"last_event_id": reply["last_event_id"]}))?;
        ensure!(again["backfill"] == missed.len() && again["gap"] == false, "{params}: {again}");
        let events = resumed.events(missed.len())?;
        let got: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
        ensure!(got == missed, "{params}: {got:?}");
        resumed.alive()?;
    }
    Ok(())
}

/// Starts an npm eventsource client that reconnects by itself to the same URL.
fn staying(proxy: &Proxy, map: &Map, query: &Value, types: &[&str]) -> Result<Js> {
    let url = format!("{}{}/stream", proxy.url(), map.events());
    Js::sse_with(json!({"urls": [url], "token": map.token, "query": query, "types": types, "stay": true}))
}

fn event_source_breaks(c: &Cluster) -> Result<()> {
    let map = c.map("source-breaks")?;
    publish_many(c, 0, &map, "x", 3)?;
    let proxy = Proxy::to(c.nodes[0].http)?;
    let client = staying(&proxy, &map, &json!({}), &["x"])?;
    client.wait_for("connected", 1)?;
    proxy.block();
    publish_many(c, 0, &map, "x", 4)?;
    proxy.unblock();
    client.wait_for("connected", 2)?;
    publish(c, 0, &map, "x", json!({}))?;
    client.wait_seq(8)?;
    check_stream("EventSource", 3, &client.events()?, &[])
}

/// Nothing matches for long, and meanwhile retention removes the last event that the client saw: the client
/// misses nothing and is told no gap.
fn narrow(c: &Cluster, query: Value) -> Result<()> {
    let slug = if query["filter"].is_null() { "narrow" } else { "narrow-expression" };
    let map = c.map_with(slug, json!({"retention": {"events": 30}}))?;
    let proxy = Proxy::to(c.nodes[0].http)?;
    let client = staying(&proxy, &map, &query, &["wanted"])?;
    client.wait_for("connected", 1)?;
    for batch in 1..=5 {
        // Batch by batch, so that the client does not fall behind retention.
        publish_many(c, 0, &map, "other", 10)?;
        client.wait("the batch's position", |client| {
            Ok(client.of("position").iter().any(|line| line["data"]["seq"] == 10 * batch).then_some(()))
        })?;
    }
    proxy.block();
    publish_many(c, 0, &map, "other", 5)?;
    publish(c, 0, &map, "wanted", json!({"i": 101}))?;
    publish_many(c, 0, &map, "other", 2)?;
    proxy.unblock();
    client.wait_for("event", 1)?;
    let connected = client.of("connected");
    ensure!(connected.iter().all(|line| line["data"]["gap"].is_null()), "a false gap: {connected:?}");
    let seen: Vec<u64> = client.events()?.iter().map(|event| event.seq).collect();
    ensure!(seen == [56], "{seen:?}");
    Ok(())
}

/// Each position is newer than the one before; positions come no more often than configured, and only when
/// something moved.
fn at_intervals(c: &Cluster) -> Result<()> {
    let map = c.map("at-intervals")?;
    let urls = c.urls_from(0);
    let all = Js::sse(&urls, &map, json!({}), &["other"])?;
    let some = Js::sse(&urls, &map, json!({"events": "wanted"}), &["wanted"])?;
    some.wait_for("connected", 1)?;
    all.wait_for("connected", 1)?;
    let start = std::time::Instant::now();
    for _ in 0..40 {
        publish(c, 0, &map, "other", json!({}))?;
        std::thread::sleep(Duration::from_millis(50));
    }
    some.wait("the last position", |client| {
        Ok(client.of("position").last().is_some_and(|line| line["data"]["seq"] == 40).then_some(()))
    })?;
    let seqs = |client: &Js| -> Vec<u64> {
        client.of("position").iter().filter_map(|line| line["data"]["seq"].as_u64()).collect()
    };
    let positions = seqs(&some);
    ensure!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
    let elapsed = start.elapsed();
    ensure!(positions.len() as u64 <= elapsed.as_secs() + 2, "{} positions in {elapsed:?}", positions.len());
    std::thread::sleep(Duration::from_millis(2500));
    ensure!(seqs(&some) == positions, "a position came twice: {:?}", seqs(&some));
    all.wait_seq(40)?;
    ensure!(seqs(&all).is_empty(), "a client that sees every event got positions: {:?}", seqs(&all));
    Ok(())
}

fn phoenix_positions(c: &Cluster) -> Result<()> {
    let map = c.map("phoenix-positions")?;
    let urls = c.urls_from(0);
    let kinds = |positions: bool| json!({"events": ["wanted"], "positions": positions});
    let asking = [Js::phoenix(&urls, &map, kinds(true))?, Js::longpoll(&urls, &map, kinds(true))?];
    let others = Js::phoenix(&urls, &map, kinds(false))?;
    asking.iter().chain([&others]).try_for_each(|client| client.wait_joined().map(drop))?;
    let sent = publish_many(c, 0, &map, "other", 7)?;
    for client in &asking {
        client.wait("the last position", |client| {
            let last = client.of("position").last().map(|line| line["payload"].clone());
            Ok(last.filter(|payload| payload["seq"] == 7))
        })?;
        let last = client.of("position").last().map(|line| line["payload"]["id"].clone());
        ensure!(last.as_ref() == Some(&sent[6]["id"]), "{last:?}");
    }
    ensure!(others.of("position").is_empty(), "unrequested positions: {:?}", others.of("position"));
    let wrong =
        Socket::connect(c.nodes[0].http, &map.token)?.join(&map.topic(), json!({"positions": "yes"}))?.1;
    ensure!(wrong.reason() == "invalid positions", "{wrong:?}");
    Ok(())
}

/// The tool resumes by a position, never by a time.
fn tail_breaks(c: &Cluster) -> Result<()> {
    let map = c.map("tail-breaks")?;
    publish_many(c, 0, &map, "x", 2)?;
    let proxy = Proxy::to(c.nodes[0].http)?;
    let mut tail = Command::new(binary());
    tail.args(["tail", &map.slug, "--json", "-n", "4", "--url", &proxy.url()])
        .env("WAYPOST_TOKEN", &map.token);
    let child = tail.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    c.wait_until("the first frame", |_| Ok(proxy.responses().contains("event: connected").then_some(())))?;
    // The proxy has the frame a moment before the tool.
    std::thread::sleep(Duration::from_millis(500));
    proxy.block();
    publish_many(c, 0, &map, "x", 4)?;
    proxy.unblock();
    let output = child.wait_with_output()?;
    let events: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let seqs: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    ensure!(output.status.success() && seqs == [3, 4, 5, 6], "{output:?}");
    let asked = proxy.requests();
    ensure!(asked.contains("last_event_id=") && !asked.contains("since="), "{asked}");
    Ok(())
}

/// An id of another map, of no event, of another group, or ahead of all events: the client is told a gap, and
/// all events come.
fn unknown_positions(c: &Cluster) -> Result<()> {
    let map = c.map("known")?;
    let other = c.map("other")?;
    let first = publish_many(c, 0, &map, "x", 2)?;
    let foreign = ids(&publish_many(c, 1, &other, "x", 1)?)?;
    publish_many(c, 0, &map, "x", 2)?;
    let ahead = ids(&publish_many(c, 1, &other, "x", 1)?)?;
    c.wait_same_applied()?;
    // The next digit: a position in the same entry without an event.
    let none = format!("{}9", &text(&first[0], "id")?[..25]);
    // The twelfth digit is part of the group's number.
    let mut grouped = text(&first[0], "id")?;
    grouped.replace_range(11..12, "1");
    let cases = [
        ("foreign", &*foreign[0]),
        ("ahead", &*ahead[0]),
        ("of no event", &*none),
        ("of another group", &*grouped),
    ];
    for (what, id) in cases {
        for node in 0..2 {
            let mut socket = Socket::connect(c.nodes[node].http, &map.token)?;
            let reply = socket.join_ok(&map.topic(), json!({"last_event_id": id}))?;
            ensure!(reply["gap"] == true && reply["oldest_id"] == first[0]["id"], "{what}: {reply}");
            ensure!(reply["backfill"] == 4, "{what}: {reply}");
            let events = socket.events(4)?;
            ensure!(events[0]["seq"] == 1 && events[3]["seq"] == 4, "{what}: {events:?}");
            let client = stream(c, node, &map, "", Some(id))?;
            let got = client.wait("four events", |client| {
                let frames = client.frames();
                Ok((seqs(&frames).len() >= 4).then_some(frames))
            })?;
            ensure!(got[0].data.contains(r#""gap":true"#) && seqs(&got) == [1, 2, 3, 4], "{what}: {got:?}");
            let page = c.api(node, &map).get(&format!("{}?after={id}", map.events()))?.expect(200)?.json()?;
            let count = page["data"].as_array().map(Vec::len);
            ensure!(page["gap"] == true && count == Some(4), "{what}: {page}");
        }
    }
    Ok(())
}

fn webhook_starts(c: &Cluster) -> Result<()> {
    let map = c.map("hook-starts")?;
    let other = c.map("hook-starts-other")?;
    let sent = ids(&publish_many(c, 0, &map, "x", 2)?)?;
    let foreign = ids(&publish_many(c, 0, &other, "x", 1)?)?;
    publish_many(c, 0, &map, "x", 2)?;
    let hooks = format!("/api/maps/{}/webhooks", map.id);
    // No receiver listens there, and no delivery is expected.
    let made = c.admin(0).post(&hooks, &json!({"url": "http://127.0.0.1:9/"}))?.data(201)?;
    let hook = format!("{hooks}/{}", text(&made, "id")?);
    for (path, body) in [
        ("replay", json!({"after": foreign[0]})),
        ("replay", json!({"since": foreign[0]})),
        ("enable", json!({"since": foreign[0]})),
    ] {
        let refused = c.admin(0).post(&format!("{hook}/{path}"), &body)?.expect(400)?.text();
        ensure!(refused.contains(&foreign[0]), "{path} {body}: {refused}");
    }
    c.admin(1).post(&format!("{hook}/replay"), &json!({"after": sent[0]}))?.expect(202).map(drop)
}

/// A client joins its topic again and again on the same socket, from the last event that it has read: events
/// in flight meanwhile do not come twice.
fn joined_again(c: &Cluster) -> Result<()> {
    let map = c.map("joined-again")?;
    let publisher = Publisher::start(c.urls_from(0), &map, "again", &["x"], Duration::from_millis(2));
    publisher.wait_more(5)?;
    let mut socket = c.joined(1, &map, json!({"since": "2000-01-01T00:00:00Z"}))?;
    let mut seen: Vec<Event> = Vec::new();
    for turn in 0..40 {
        let mut last = Value::Null;
        for envelope in socket.events(3)? {
            last = envelope["id"].clone();
            seen.push(Event::from_envelope(&envelope)?);
        }
        // More events are under way by now.
        std::thread::sleep(Duration::from_millis(20));
        let own = format!("again{turn}");
        socket.push((json!(own), json!(own)), &map.topic(), "phx_join", json!({"last_event_id": last}))?;
        loop {
            let frame = socket.frame()?;
            match &*frame.event {
                "phx_reply" => {
                    ensure!(frame.reply_ref == own && frame.status() == "ok", "{frame:?}");
                    let position = &frame.payload["response"]["last_event_id"];
                    let last = seen.last();
                    ensure!(position.as_str() == last.map(|event| &*event.id), "{frame:?} after {last:?}");
                    break;
                }
                "phx_close" => {}
                _ => seen.push(Event::from_envelope(&frame.payload)?),
            }
        }
        let closed = socket.frame()?;
        ensure!(closed.event == "phx_close" && closed.join_ref != own, "{closed:?}");
    }
    let acks = publisher.stop()?;
    let upto = acks.iter().map(|ack| ack.seq).max().unwrap_or(0);
    while seen.last().is_none_or(|event| event.seq < upto) {
        seen.push(Event::from_envelope(&socket.frame()?.payload)?);
    }
    check_stream("a client that joins again", 0, &seen, &acks)
}

/// A join with another filter is another subscription: all that it asks for comes.
fn joined_for_more(c: &Cluster) -> Result<()> {
    let map = c.map("joined-for-more")?;
    let mut sent = Vec::new();
    for kind in ["a", "b", "a", "b"] {
        sent.push(publish(c, 0, &map, kind, json!({}))?);
    }
    let mut socket = c.joined(0, &map, json!({"events": ["a"], "since": "2000-01-01T00:00:00Z"}))?;
    socket.events(2)?;
    let reply = socket.join_ok(&map.topic(), json!({"last_event_id": sent[0]["id"]}))?;
    ensure!(reply["backfill"] == 3 && reply["last_event_id"] == sent[0]["id"], "{reply}");
    let closed = socket.frame()?;
    ensure!(closed.event == "phx_close", "{closed:?}");
    let got: Vec<u64> = socket.events(3)?.iter().filter_map(|event| event["seq"].as_u64()).collect();
    ensure!(got == [2, 3, 4], "{got:?}");
    socket.alive()
}

/// Retention has removed what the socket has seen: for this socket that is no gap, for a new one it is.
fn joined_again_over_a_gap(c: &Cluster) -> Result<()> {
    let map = c.map_with("joined-over-a-gap", json!({"retention": {"events": 5}}))?;
    let before = publish(c, 0, &map, "x", json!({}))?;
    c.wait_same_applied()?;
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    let began = socket.join_ok(&map.topic(), json!({}))?["last_event_id"].clone();
    let mut sent = Vec::new();
    for _ in 0..12 {
        // One by one, so that none is removed before it was seen.
        sent.push(publish(c, 0, &map, "x", json!({}))?["id"].clone());
        socket.events(1)?;
    }
    for position in [&began, &sent[0], &began] {
        let reply = socket.join_ok(&map.topic(), json!({"last_event_id": position}))?;
        ensure!(reply["gap"] == false && reply["oldest_id"] == Value::Null, "{position}: {reply}");
        let closed = socket.frame()?;
        ensure!(closed.event == "phx_close", "{closed:?}");
        let mut other = Socket::connect(c.nodes[0].http, &map.token)?;
        let reply = other.join_ok(&map.topic(), json!({"last_event_id": position}))?;
        ensure!(reply["gap"] == true, "{position}: {reply}");
    }
    // For events that the socket has not seen either, it is told the gap too.
    let reply = socket.join_ok(&map.topic(), json!({"last_event_id": before["id"]}))?;
    ensure!(began == before["id"] || reply["gap"] == true, "{reply}");
    Ok(())
}
