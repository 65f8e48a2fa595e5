//! The command line for channels: listing them over the cluster, following one, its members, publishing, and
//! firing an event to the webhooks by hand.

use crate::support::{checked, waypost};
use crate::webhooks_support::{self, Hook, delivering};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::lines::Lines;
use testkit::phoenix::Socket;
use testkit::receiver::{Receiver, behaviour};
use testkit::wait;

#[test]
fn channels_are_used_from_the_command_line() {
    checked(
        delivering(3),
        &[
            ("channels in use are listed, with counts of all nodes", list),
            ("a list has pages", pages),
            ("a channel is followed, stored or ephemeral", follow),
            ("members", members),
            ("an event is fired to the webhooks", fire),
            ("what can't be fired", not_fired),
        ],
    );
}

/// Creates a map in which the channels `live-*` are ephemeral and `room-*` have members.
fn map(c: &Cluster, slug: &str) -> Result<Map> {
    let map = webhooks_support::map(c, slug)?;
    let rules = json!([
        {"match": "live-*", "durability": "ephemeral"},
        {"match": "room-*", "presence": true},
    ]);
    let path = format!("/api/maps/{}/channel-rules", map.id);
    c.api(0, &map).call("PUT", &path, &[], Some(rules.to_string().as_bytes()))?.expect(200)?;
    c.wait_same_applied()?;
    Ok(map)
}

/// A command for all nodes with the map's token.
fn command(c: &Cluster, map: &Map, arguments: &[&str]) -> Command {
    let mut command = waypost(arguments);
    command.env("WAYPOST_URL", c.urls_from(0).join(",")).env("WAYPOST_TOKEN", &map.token);
    command.stdin(Stdio::null());
    command
}

/// Runs a command that must succeed, and returns the JSON lines that it prints.
fn run(c: &Cluster, map: &Map, arguments: &[&str]) -> Result<Vec<Value>> {
    let output = command(c, map, arguments).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Runs a command that must fail, and returns what it says.
fn fails(c: &Cluster, map: &Map, arguments: &[&str]) -> Result<String> {
    let output = command(c, map, arguments).output()?;
    ensure!(!output.status.success() && output.stdout.is_empty(), "{arguments:?} succeeded");
    Ok(String::from_utf8(output.stderr)?)
}

fn join(c: &Cluster, node: usize, map: &Map, channel: &str, params: Value) -> Result<Socket> {
    let mut socket = Socket::connect(c.nodes[node].http, &map.token)?;
    socket.join_ok(&format!("{}:{channel}", map.topic()), params)?;
    Ok(socket)
}

fn names(channels: &[Value]) -> Vec<&str> {
    channels.iter().filter_map(|channel| channel["subject"].as_str()).collect()
}

fn list(c: &Cluster) -> Result<()> {
    let map = map(c, "channels-list")?;
    ensure!(run(c, &map, &["channel", "list", &map.slug])?.is_empty());
    let ada = json!({"presence": {"user_id": "ada"}});
    let _sockets = [
        join(c, 0, &map, "live-1", json!({}))?,
        join(c, 1, &map, "live-1", json!({}))?,
        join(c, 2, &map, "room-1", ada.clone())?,
        join(c, 0, &map, "room-1", ada)?,
        join(c, 1, &map, "stored", json!({}))?,
    ];
    for channel in ["stored", "only-stored"] {
        let published = run(c, &map, &["channel", "publish", &map.slug, channel, "x", "{\"a\":1}"])?;
        ensure!(published[0]["subject"] == channel && published[0]["seq"].is_u64(), "{published:?}");
    }
    c.wait_same_applied()?;
    let all = run(c, &map, &["channel", "list", &map.id])?;
    ensure!(names(&all) == ["live-1", "only-stored", "room-1", "stored"], "{all:?}");
    let counts = |channel: &Value| {
        [&channel["subscriptions"], &channel["users"], &channel["count"]].map(Value::as_u64)
    };
    let expected = [[2u64, 0, 0], [0, 0, 1], [2, 1, 0], [1, 0, 1]].map(|counts| counts.map(Some));
    ensure!(all.iter().map(counts).eq(expected), "{all:?}");
    ensure!(all[0]["last_seq"].is_null() && all[1]["last_seq"].is_u64(), "{all:?}");
    let some = run(c, &map, &["channel", "list", &map.slug, "--prefix", "live-"])?;
    ensure!(names(&some) == ["live-1"], "{some:?}");
    Ok(())
}

fn pages(c: &Cluster) -> Result<()> {
    let map = map(c, "channels-pages")?;
    let _occupied = [join(c, 1, &map, "b", json!({}))?, join(c, 2, &map, "d", json!({}))?];
    for channel in ["a", "c", "e"] {
        run(c, &map, &["channel", "publish", &map.slug, channel, "x", "1"])?;
    }
    c.wait_same_applied()?;
    let path = format!("/api/maps/{}/subjects?limit=2", map.id);
    let mut found = Vec::new();
    let mut next = path.clone();
    loop {
        let page = c.api(0, &map).get(&next)?.expect(200)?.json()?;
        let data = page["data"].as_array().context("no list")?.clone();
        ensure!(data.len() <= 2 && page.get("silent_nodes").is_none(), "{page}");
        found.extend(data);
        match page["cursor"].as_str().filter(|_| page["has_more"] == true) {
            Some(cursor) => next = format!("{path}&after={cursor}"),
            None => break,
        }
    }
    ensure!(names(&found) == ["a", "b", "c", "d", "e"], "{found:?}");
    let wrong = c.api(0, &map).get(&format!("/api/maps/{}/subjects?prefix=%24sys", map.id))?;
    ensure!(wrong.expect(400)?.code() == "invalid_prefix");
    Ok(())
}

fn follow(c: &Cluster) -> Result<()> {
    let map = map(c, "channels-follow")?;
    for (channel, stored) in [("live-a,b", false), ("orders", true)] {
        let mut tail = command(c, &map, &["channel", "tail", &map.slug, channel, "-n", "2"]);
        let tail = Lines::start(&mut tail)?;
        wait::until("the tail to follow", || {
            let all = run(c, &map, &["channel", "list", &map.slug, "--prefix", channel])?;
            Ok(all.iter().any(|channel| channel["subscriptions"] == 1).then_some(()))
        })?;
        for n in ["1", "2"] {
            let published = run(c, &map, &["channel", "publish", &map.slug, channel, "n", n])?;
            ensure!(published[0]["seq"].is_u64() == stored, "{published:?}");
        }
        let lines = wait::until("two events", || {
            let lines = tail.look(<[Value]>::to_vec);
            Ok((lines.len() >= 2).then_some(lines))
        })?;
        let payloads: Vec<&Value> = lines.iter().map(|line| &line["payload"]).collect();
        ensure!(payloads == [&json!(1), &json!(2)], "{lines:?}");
        ensure!(lines.iter().all(|line| line["subject"] == channel), "{lines:?}");
    }
    Ok(())
}

fn members(c: &Cluster) -> Result<()> {
    let map = map(c, "channels-members")?;
    let members = ["channel", "members", &map.slug, "room-1"];
    ensure!(run(c, &map, &members)?.is_empty());
    let bob = json!({"presence": {"user_id": 7, "meta": {"name": "Bob"}}});
    let _sockets = [
        join(c, 1, &map, "room-1", bob)?,
        join(c, 2, &map, "room-1", json!({"presence": {"user_id": "ada"}}))?,
    ];
    c.wait_same_applied()?;
    let shown = run(c, &map, &members)?;
    let users: Vec<&str> = shown.iter().filter_map(|member| member["user_id"].as_str()).collect();
    ensure!(users == ["7", "ada"], "{shown:?}");
    ensure!(shown.iter().any(|member| member.to_string().contains("Bob")), "{shown:?}");
    // A presence channel may be empty; a channel without presence has no members at all.
    ensure!(run(c, &map, &["channel", "members", &map.slug, "presence-empty"])?.is_empty());
    let told = fails(c, &map, &["channel", "members", &map.slug, "news"])?;
    ensure!(told.contains("the channel news has no presence"), "{told}");
    for (subject, has) in [("presence-empty", true), ("room-2", true), ("news", false)] {
        let path = format!("/api/maps/{}/subjects/{subject}/presence", map.id);
        let answer = c.api(0, &map).get(&path)?.expect(200)?.json()?;
        ensure!(answer == json!({"data": [], "presence": has}), "{subject}: {answer}");
    }
    Ok(())
}

fn fire(c: &Cluster) -> Result<()> {
    let map = map(c, "channels-fire")?;
    let receiver = Receiver::start()?;
    let url = receiver.on("/all", behaviour::healthy());
    Hook::create(c, &map, &url, json!({"profile": "broadcasting"}))?;
    let url = receiver.on("/others", behaviour::healthy());
    let others = Hook::create(c, &map, &url, json!({"profile": "broadcasting", "events": ["subscribe"]}))?;
    let mut socket = join(c, 1, &map, "orders", json!({"backfill": 10}))?;
    let data = r#"{"channel":"orders","event":"OrderCreated","data":{"id":1}}"#;
    let fired = run(c, &map, &["webhook", "fire", &map.slug, "broadcast", data])?;
    ensure!(fired[0]["seq"].is_u64() && fired[0]["subject"] == "$channel/orders", "{fired:?}");
    let request = wait::until("the fired event", || {
        let requests = receiver.accepted("/all");
        let bodies =
            requests.iter().filter_map(|request| serde_json::from_slice::<Value>(&request.body).ok());
        Ok(bodies.into_iter().find(|body| body["event"] == "broadcast"))
    })?;
    let told = &request["data"];
    ensure!(told["channel"] == "orders" && told["event"] == "OrderCreated", "{request}");
    ensure!(told["data"] == json!({"id": 1}), "{request}");
    others.wait_settled(c)?;
    let unwanted = receiver.accepted("/others");
    ensure!(unwanted.iter().all(|request| !String::from_utf8_lossy(&request.body).contains("broadcast")));
    // The channel's readers don't get it.
    socket.alive()?;
    let history = c.api(0, &map).get(&format!("{}?subjects=orders", map.events()))?.expect(200)?.json()?;
    ensure!(history["data"] == json!([]), "{history}");
    Ok(())
}

fn not_fired(c: &Cluster) -> Result<()> {
    let map = map(c, "channels-not-fired")?;
    let fire = |event: &str, data: &str| fails(c, &map, &["webhook", "fire", &map.slug, event, data]);
    for (event, data, words) in [
        ("a,b", "{}", "event: must be an event type"),
        ("broadcast", "[1]", "data: must be an object"),
        ("broadcast", r#"{"channel":7}"#, "data: must be an object"),
        ("broadcast", r#"{"channel":"$sys"}"#, "data.channel: "),
        ("broadcast", "{", "the data is not JSON"),
    ] {
        let told = fire(event, data)?;
        ensure!(told.contains(words), "{event} {data}: {told}");
    }
    let reader = json!({"name": "reader", "scopes": ["subscribe", "publish"]});
    let token = c.api(0, &map).post(&format!("/api/maps/{}/tokens", map.id), &reader)?.data(201)?;
    let token = token["token"].as_str().context("a token")?.to_owned();
    let told = fails(c, &Map { token, ..map.clone() }, &["webhook", "fire", &map.slug, "broadcast", "{}"])?;
    ensure!(told.contains("[403 forbidden]"), "{told}");
    Ok(())
}
