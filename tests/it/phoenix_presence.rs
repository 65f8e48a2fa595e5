//! Phoenix Presence: npm `phoenix` and raw sockets see the same members at every node, whichever protocol the
//! members use; a user with several connections is one member, and one who comes back in time never left.

use crate::pusher_support::{self, App, inner};
use crate::support::{checked, nodes, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::Map;
use testkit::http::text;
use testkit::longpoll::Poller;
use testkit::phoenix::{Frame, Socket};

/// Longer than a test takes: nobody leaves because of a lost connection.
const LONG_MS: u64 = 60_000;
const SHORT_MS: u64 = 500;

#[test]
fn members_are_the_same_everywhere() {
    checked(
        nodes(3).set("WAYPOST_PRESENCE_GRACE_MS", LONG_MS),
        &[
            ("frames of a member and of a watcher", frames),
            ("several connections of a user are one member", one_member),
            ("joins that are refused", refused),
            ("a token says who its client is only with the scope presence", scopes),
            ("a duplicate join makes no news", duplicate),
            ("client events carry the user", users),
            ("Presence of phoenix.js at three nodes", javascript),
            ("who comes back in time never left", comes_back),
            ("over a long poll", long_poll),
            ("Pusher's members are Phoenix's", both_protocols),
        ],
    );
}

#[test]
fn members_leave_with_their_connection_and_with_their_node() {
    scenario(nodes(3).set("WAYPOST_PRESENCE_GRACE_MS", SHORT_MS), |c| {
        let map = map(c, "presence-leaves")?;
        let watcher = presence(c, 0, &map, &json!(true))?;
        let dropped = join(c, 1, &map, member("dropped"))?;
        let _on_dead_node = join(c, 2, &map, member("on-dead-node"))?;
        wait_members(&watcher, &["dropped", "on-dead-node"])?;
        drop(dropped);
        wait_members(&watcher, &["on-dead-node"])?;
        c.nodes[2].kill9()?;
        wait_members(&watcher, &[])?;
        let left: Vec<Value> = watcher.of("left").into_iter().map(|line| line["key"].clone()).collect();
        ensure!(left == ["dropped", "on-dead-node"], "{left:?}");
        Ok(())
    });
}

/// Creates a map whose subjects `room-*` have presence, `tiny` for two members.
fn map(c: &Cluster, slug: &str) -> Result<Map> {
    let map = c.map(slug)?;
    let rules = json!([
        {"match": "room-*", "presence": true, "client_events": true},
        {"match": "tiny", "presence": true, "members_max": 2},
    ]);
    let path = format!("/api/maps/{}/channel-rules", map.id);
    c.api(0, &map).call("PUT", &path, &[], Some(rules.to_string().as_bytes()))?.expect(200)?;
    c.wait_same_applied()?;
    Ok(map)
}

fn topic(map: &Map) -> String {
    format!("{}:room-1", map.topic())
}

/// The presence of a join by that user.
fn member(user: &str) -> Value {
    json!({"user_id": user, "meta": {"name": user.to_uppercase()}})
}

/// Joins the room over a raw socket. The reply and the state are read.
fn join(c: &Cluster, node: usize, map: &Map, presence: Value) -> Result<Socket> {
    Ok(join_state(c, node, map, presence)?.0)
}

fn join_state(c: &Cluster, node: usize, map: &Map, presence: Value) -> Result<(Socket, Frame)> {
    let mut socket = Socket::connect(c.nodes[node].http, &map.token)?;
    socket.join_ok(&topic(map), json!({"presence": presence}))?;
    let state = socket.frame()?;
    ensure!(state.event == "presence_state" && state.topic == topic(map), "{state:?}");
    Ok((socket, state))
}

/// Joins the room with npm `phoenix`' `Presence`.
fn presence(c: &Cluster, node: usize, map: &Map, presence: &Value) -> Result<Js> {
    let options = json!({
        "url": c.nodes[node].url(),
        "token": map.token,
        "topic": topic(map),
        "params": {"presence": presence},
    });
    let client = Js::presence(options)?;
    client.wait_joined()?;
    client.wait_for("members", 1)?;
    Ok(client)
}

/// The users that the client shows now.
fn shown(client: &Js) -> Vec<String> {
    let last = client.of("members").pop().unwrap_or_default();
    let mut users: Vec<String> =
        last["members"].as_object().into_iter().flatten().map(|(user, _)| user.clone()).collect();
    users.sort();
    users
}

fn wait_members(client: &Js, users: &[&str]) -> Result<()> {
    client.wait(&format!("the members {users:?}"), |client| Ok((shown(client) == users).then_some(())))
}

/// The meta of a user in a `presence_state`, or in the joins or leaves of a diff.
fn meta<'v>(members: &'v Value, user: &str) -> Result<&'v Value> {
    let metas = members[user]["metas"].as_array().with_context(|| format!("no {user} in {members}"))?;
    ensure!(metas.len() == 1, "{members}");
    Ok(&metas[0])
}

fn diff(socket: &mut Socket) -> Result<Value> {
    let frame = socket.frame()?;
    ensure!(frame.event == "presence_diff" && frame.join_ref.is_null(), "{frame:?}");
    Ok(frame.payload)
}

/// The next frame must be the diff in which that user joins, and nobody leaves.
fn joins(socket: &mut Socket, user: &str) -> Result<Value> {
    let diff = diff(socket)?;
    ensure!(
        diff["leaves"] == json!({}) && diff["joins"].as_object().map(|all| all.len()) == Some(1),
        "{diff}"
    );
    Ok(meta(&diff["joins"], user)?.clone())
}

fn leaves(socket: &mut Socket, user: &str) -> Result<Value> {
    let diff = diff(socket)?;
    ensure!(
        diff["joins"] == json!({}) && diff["leaves"].as_object().map(|all| all.len()) == Some(1),
        "{diff}"
    );
    Ok(meta(&diff["leaves"], user)?.clone())
}

fn leave(socket: &mut Socket, map: &Map) -> Result<()> {
    socket.push((Value::Null, json!("bye")), &topic(map), "phx_leave", json!({}))?;
    loop {
        if socket.frame()?.event == "phx_close" {
            return Ok(());
        }
    }
}

fn frames(c: &Cluster) -> Result<()> {
    let map = map(c, "presence-frames")?;
    let (mut ada, state) = join_state(c, 0, &map, member("ada"))?;
    ensure!(state.join_ref == "1" && state.reply_ref.is_null(), "{state:?}");
    let own = meta(&state.payload, "ada")?;
    ensure!(own["name"] == "ADA" && text(own, "phx_ref")?.len() == 16, "{own}");
    let (mut bob, state) = join_state(c, 1, &map, json!({"user_id": 7}))?;
    ensure!(meta(&state.payload, "ada")? == own, "another node shows another meta: {}", state.payload);
    let seven = meta(&state.payload, "7")?.clone();
    ensure!(joins(&mut ada, "7")? == seven);
    // A watcher sees the members, and nobody sees the watcher.
    let (mut watcher, state) = join_state(c, 2, &map, json!(true))?;
    ensure!(state.payload.as_object().map(|all| all.len()) == Some(2), "{}", state.payload);
    leave(&mut bob, &map)?;
    for socket in [&mut ada, &mut watcher] {
        ensure!(leaves(socket, "7")? == seven, "the meta of who left is that of who joined");
    }
    // Without presence in the join there are events only.
    let mut plain = Socket::connect(c.nodes[0].http, &map.token)?;
    plain.join_ok(&topic(&map), json!({}))?;
    let _eve = join(c, 2, &map, member("eve"))?;
    joins(&mut ada, "eve")?;
    joins(&mut watcher, "eve")?;
    plain.push((Value::Null, json!("hb")), "phoenix", "heartbeat", json!({}))?;
    ensure!(plain.frame()?.reply_ref == "hb", "news of presence that was not asked for");
    c.wait_same_applied()?;
    let subjects = c.api(1, &map).get(&format!("/api/maps/{}/subjects?prefix=room-", map.id))?.data(200)?;
    ensure!(subjects[0]["users"] == 2 && subjects[0]["subscriptions"] == 4, "{subjects}");
    Ok(())
}

fn one_member(c: &Cluster) -> Result<()> {
    let map = map(c, "presence-once")?;
    let mut watcher = join(c, 0, &map, json!(true))?;
    let mut first = join(c, 1, &map, member("ada"))?;
    joins(&mut watcher, "ada")?;
    let (mut second, state) = join_state(c, 2, &map, json!({"user_id": "ada", "meta": {"name": "other"}}))?;
    ensure!(meta(&state.payload, "ada")?["name"] == "ADA", "{}", state.payload);
    leave(&mut first, &map)?;
    // Nobody has joined or left meanwhile: the next news is that of another user.
    let _bob = join(c, 1, &map, member("bob"))?;
    joins(&mut watcher, "bob")?;
    joins(&mut second, "bob")?;
    leave(&mut second, &map)?;
    leaves(&mut watcher, "ada")?;
    Ok(())
}

fn scopes(c: &Cluster) -> Result<()> {
    let map = map(c, "presence-scopes")?;
    let (_, page) = c.token(&map, &["subscribe", "publish"])?;
    let mut socket = Socket::connect(c.nodes[1].http, &page.token)?;
    let (_, reply) = socket.join(&topic(&map), json!({"presence": member("ada")}))?;
    ensure!(reply.status() == "error" && reply.reason() == "forbidden", "{reply:?}");
    // It sees who is there, and is nobody itself.
    let (_, state) = join_state(c, 2, &page, json!(true))?;
    ensure!(state.payload == json!({}), "{}", state.payload);
    let (_, named) = c.token(&map, &["subscribe", "presence"])?;
    let (_, state) = join_state(c, 0, &named, member("ada"))?;
    meta(&state.payload, "ada").map(drop)
}

fn refused(c: &Cluster) -> Result<()> {
    let map = map(c, "presence-refused")?;
    let base = map.topic();
    let own = |name: &str| format!("{base}:{name}");
    for (topic, params) in [
        (own("plain"), json!({"presence": member("ada")})),
        (own("plain"), json!({"presence": true})),
        (base.clone(), json!({"presence": member("ada"), "subjects": "room-*"})),
        (base.clone(), json!({"presence": member("ada")})),
        (own("room-1"), json!({"presence": {"user_id": ""}})),
        (own("room-1"), json!({"presence": {"user_id": "a", "meta": {"x": "y".repeat(1100)}}})),
        (own("room-1"), json!({"presence": "ada"})),
    ] {
        let mut socket = Socket::connect(c.nodes[1].http, &map.token)?;
        let (_, reply) = socket.join(&topic, params.clone())?;
        ensure!(reply.status() == "error" && reply.reason() == "invalid presence", "{params}: {reply:?}");
        socket.alive()?;
    }
    let tiny = own("tiny");
    let mut members = Vec::new();
    for (node, user) in ["ada", "bob"].into_iter().enumerate() {
        let mut socket = Socket::connect(c.nodes[node].http, &map.token)?;
        socket.join_ok(&tiny, json!({"presence": member(user)}))?;
        members.push(socket);
    }
    let mut third = Socket::connect(c.nodes[2].http, &map.token)?;
    let (_, reply) = third.join(&tiny, json!({"presence": member("eve")}))?;
    let limit = &reply.payload["response"]["limit"];
    ensure!(reply.reason() == "too many members" && *limit == 2, "{reply:?}");
    // Another connection of a member adds none, and a watcher is none.
    third.join_ok(&tiny, json!({"presence": member("ada")}))?;
    ensure!(third.frame()?.event == "presence_state");
    Ok(())
}

fn duplicate(c: &Cluster) -> Result<()> {
    let map = map(c, "presence-duplicate")?;
    let mut watcher = join(c, 0, &map, json!(true))?;
    let mut ada = join(c, 1, &map, member("ada"))?;
    joins(&mut watcher, "ada")?;
    ada.join_ok(&topic(&map), json!({"presence": member("ada")}))?;
    ensure!(ada.frame()?.event == "phx_close", "the former channel is closed");
    let state = ada.frame()?;
    ensure!(state.event == "presence_state" && state.join_ref == "2", "{state:?}");
    let _bob = join(c, 2, &map, member("bob"))?;
    joins(&mut watcher, "bob")?;
    joins(&mut ada, "bob")?;
    ada.alive()
}

fn users(c: &Cluster) -> Result<()> {
    let map = map(c, "presence-users")?;
    let mut ada = join(c, 0, &map, member("ada"))?;
    let mut watcher = join(c, 1, &map, json!(true))?;
    for (socket, user) in [(&mut ada, json!("ada")), (&mut watcher, Value::Null)] {
        let mut reader = join(c, 2, &map, json!(true))?;
        socket.push((Value::Null, json!("p")), &topic(&map), "said", json!({"text": "hi"}))?;
        let frame = reader.frame()?;
        ensure!(frame.event == "said" && frame.payload["user_id"] == user, "{frame:?}");
    }
    Ok(())
}

fn javascript(c: &Cluster) -> Result<()> {
    let map = map(c, "presence-js")?;
    let users = ["ada", "bob", "eve"];
    let mut clients: Vec<Js> = users
        .iter()
        .enumerate()
        .map(|(node, user)| presence(c, node, &map, &member(user)))
        .collect::<Result<_>>()?;
    for client in &clients {
        wait_members(client, &users)?;
        let last = client.of("members").pop().context("members")?;
        ensure!(last["members"]["bob"][0]["name"] == "BOB", "{last}");
    }
    clients[1].order(json!({"do": "leave"}))?;
    clients[1].wait_for("left_channel", 1)?;
    for client in [&clients[0], &clients[2]] {
        wait_members(client, &["ada", "eve"])?;
        let left = client.of("left");
        ensure!(left.len() == 1 && left[0]["key"] == "bob" && left[0]["stays"] == false, "{left:?}");
        ensure!(left[0]["metas"][0]["name"] == "BOB", "{left:?}");
    }
    Ok(())
}

fn comes_back(c: &Cluster) -> Result<()> {
    let map = map(c, "presence-back")?;
    let watcher = presence(c, 0, &map, &json!(true))?;
    let mut ada = presence(c, 1, &map, &member("ada"))?;
    let bob = join(c, 1, &map, member("bob"))?;
    wait_members(&watcher, &["ada", "bob"])?;
    // One breaks off and reconnects by itself, the other one at another node.
    ada.order(json!({"do": "drop"}))?;
    ada.wait_for("open", 2)?;
    drop(bob);
    let _bob = join(c, 2, &map, member("bob"))?;
    ada.wait("the state after the break", |ada| Ok((ada.of("members").len() >= 3).then_some(())))?;
    wait_members(&ada, &["ada", "bob"])?;
    let _eve = join(c, 2, &map, member("eve"))?;
    wait_members(&watcher, &["ada", "bob", "eve"])?;
    let joined: Vec<Value> = watcher.of("joined").into_iter().map(|line| line["key"].clone()).collect();
    ensure!(joined == ["ada", "bob", "eve"] && watcher.of("left").is_empty(), "{}", watcher.dump());
    ensure!(ada.of("left").is_empty(), "{}", ada.dump());
    Ok(())
}

fn long_poll(c: &Cluster) -> Result<()> {
    let map = map(c, "presence-poll")?;
    let mut poller = Poller::join(c, &map, 0)?;
    let join_room = json!(["2", "2", topic(&map), "phx_join", {"presence": member("ada")}]).to_string();
    ensure!(poller.push(&join_room)? == 200);
    let count = |p: &Poller, event: &str| p.frames.iter().filter(|frame| frame.event == event).count();
    poller.until("the state", |p| count(p, "presence_state") == 1)?;
    let mut bob = join(c, 1, &map, member("bob"))?;
    poller.until("a join", |p| count(p, "presence_diff") == 1)?;
    leave(&mut bob, &map)?;
    poller.until("a leave", |p| count(p, "presence_diff") == 2)?;
    let diffs: Vec<&Frame> = poller.frames.iter().filter(|frame| frame.event == "presence_diff").collect();
    meta(&diffs[0].payload["joins"], "bob")?;
    meta(&diffs[1].payload["leaves"], "bob")?;
    ensure!(diffs.iter().all(|diff| diff.topic == topic(&map)), "{diffs:?}");
    Ok(())
}

fn both_protocols(c: &Cluster) -> Result<()> {
    let map = map(c, "presence-both")?;
    let app = App::of(c, &map)?;
    c.wait_same_applied()?;
    let channel = "presence-room";
    let topic = format!("{}:{channel}", map.topic());
    let join = |node: usize, user: &str| {
        let mut socket = Socket::connect(c.nodes[node].http, &map.token)?;
        socket.join_ok(&topic, json!({"presence": member(user)}))?;
        let state = socket.frame()?;
        anyhow::Ok((socket, state.payload))
    };
    let (mut ada, _) = join(0, "ada")?;
    let mut client = pusher_support::Socket::connect(c, 1, &app)?;
    let data = client.join(channel, "bob", &json!({"name": "BOB"}))?;
    let hash = &data["presence"]["hash"];
    ensure!(data["presence"]["count"] == 2 && hash["ada"]["name"] == "ADA", "{data}");
    ensure!(joins(&mut ada, "bob")?["name"] == "BOB");
    let (mut eve, state) = join(2, "eve")?;
    ensure!(meta(&state, "bob")?["name"] == "BOB" && meta(&state, "ada")?["name"] == "ADA", "{state}");
    let added = inner(&client.wait("pusher_internal:member_added")?)?;
    ensure!(added["user_id"] == "eve" && added["user_info"]["name"] == "EVE", "{added}");
    joins(&mut ada, "eve")?;
    eve.push((Value::Null, json!("bye")), &topic, "phx_leave", json!({}))?;
    let removed = inner(&client.wait("pusher_internal:member_removed")?)?;
    ensure!(removed["user_id"] == "eve", "{removed}");
    leaves(&mut ada, "eve")?;
    client.unsubscribe(channel)?;
    ensure!(leaves(&mut ada, "bob")?["name"] == "BOB");
    Ok(())
}
