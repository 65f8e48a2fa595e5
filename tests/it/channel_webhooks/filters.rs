//! Filters by the type and the prefix of channels, and requests with several events.

use super::examples::is_batch;
use super::join;
use super::world::app;
use crate::pusher_support::{App, Socket};
use crate::support::{checked, nodes};
use crate::webhooks_support::Hook;
use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::receiver::{Receiver, behaviour};
use testkit::{Cluster, wait};

/// How often the events of a batch are made. They come in one request if they are made within its time.
const TRIES: usize = 10;

#[test]
fn webhooks_get_what_their_filters_let_through_and_in_batches() {
    let options = nodes(1)
        .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
        .set("WAYPOST_PRESENCE_GRACE_MS", super::GRACE_MS);
    checked(
        options,
        &[
            ("channel type and channel prefix, alone and together", filtered),
            ("events that come together are one request", batched),
        ],
    );
}

/// The names and channels of the events at a path, in no order.
fn told(receiver: &Receiver, path: &str) -> BTreeSet<(String, String)> {
    let events = receiver.accepted(path).into_iter().flat_map(|request| {
        let body = request.json();
        body["events"].as_array().cloned().unwrap_or_default()
    });
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    events.map(|event| (text(&event, "name"), text(&event, "channel"))).collect()
}

fn pairs(names: &[&str], channels: &[&str]) -> BTreeSet<(String, String)> {
    let of_channel =
        |channel: &str| names.iter().map(|name| ((*name).to_owned(), channel.to_owned())).collect::<Vec<_>>();
    channels.iter().flat_map(|channel| of_channel(channel)).collect()
}

const OCCUPANCY: [&str; 2] = ["channel_occupied", "channel_vacated"];
const MEMBERS: [&str; 2] = ["member_added", "member_removed"];

fn filtered(c: &Cluster) -> Result<()> {
    let plain = ["chat-1", "private-chat-1", "cache-chat"];
    let members = ["presence-admin-1", "presence-administrators", "presence-chat-1"];
    let all: Vec<&str> = plain.into_iter().chain(members).collect();
    let cases = [
        ("/all", json!({}), OCCUPANCY, all),
        ("/members", json!({}), MEMBERS, members.to_vec()),
        ("/presence", json!({"channel_type": "presence"}), OCCUPANCY, members.to_vec()),
        ("/private", json!({"channel_type": "private"}), OCCUPANCY, vec!["private-chat-1"]),
        ("/public", json!({"channel_type": "public"}), OCCUPANCY, vec!["chat-1", "cache-chat"]),
        ("/chat", json!({"channel_prefix": "chat-"}), OCCUPANCY, vec!["chat-1"]),
        (
            "/together",
            json!({"channel_type": "presence", "channel_prefix": "presence-admin-"}),
            MEMBERS,
            vec!["presence-admin-1"],
        ),
        ("/nothing", json!({"channel_type": "private", "channel_prefix": "chat-"}), OCCUPANCY, vec![]),
    ];
    let (map, app) = app(c, "filtered")?;
    let receiver = Receiver::start()?;
    let mut hooks = Vec::new();
    for (path, filter, events, _) in &cases {
        let url = receiver.on(path, behaviour::healthy());
        let settings = json!({"profile": "pusher", "event_types": events, "filter": filter});
        hooks.push(Hook::create(c, &map, &url, settings)?);
    }
    let mut socket = Socket::connect(c, 0, &app)?;
    for channel in plain {
        socket.subscribe(channel)?;
    }
    for channel in members {
        socket.join(channel, "7", &json!({}))?;
    }
    let occupied = pairs(&OCCUPANCY[..1], &cases[0].3);
    c.wait_until("all channels to be occupied", |_| Ok((told(&receiver, "/all") == occupied).then_some(())))?;
    for channel in plain.into_iter().chain(members) {
        socket.unsubscribe(channel)?;
    }
    let got_all = |path: &str, of: &BTreeSet<_>| Ok((told(&receiver, path) == *of).then_some(()));
    for (path, _, events, channels) in &cases[..2] {
        let expected = pairs(events, channels);
        c.wait_until(&format!("all facts at {path}"), |_| got_all(path, &expected))?;
    }
    // All facts are stored. The other webhooks have passed them once nothing is left to deliver.
    for ((path, filter, events, channels), hook) in cases.iter().zip(&hooks) {
        hook.wait_settled(c)?;
        let expected = pairs(events, channels);
        c.wait_until(&format!("the facts at {path}"), |_| {
            let told = told(&receiver, path);
            ensure!(told == expected, "{filter} lets through {told:?}");
            Ok(Some(()))
        })?;
    }
    Ok(())
}

/// How many facts of that kind about that channel have come to a path.
fn times(receiver: &Receiver, path: &str, name: &str, channel: &str) -> usize {
    let bodies = receiver.accepted(path).into_iter().map(|request| request.json());
    let events = bodies.flat_map(|body| body["events"].as_array().cloned().unwrap_or_default());
    let is_one = |event: &Value| event["name"] == name && event["channel"] == channel;
    let ids: BTreeSet<String> = events.filter(is_one).map(|event| event["event_id"].to_string()).collect();
    ids.len()
}

/// Makes the three events of the batch that the guide prints, one after the other at once.
fn batch_of_the_guide(app: &App, player: &mut Socket, joiner: &mut Socket) -> Result<()> {
    player.unsubscribe("private-room-1")?;
    player
        .send(&json!({"event": "client-move", "channel": "presence-game", "data": {"x": 100, "y": 200}}))?;
    join(joiner, app, "presence-chat", r#"{"user_id":"user1"}"#)?;
    joiner.unsubscribe("presence-chat")
}

fn batched(c: &Cluster) -> Result<()> {
    let (map, app) = app(c, "batched")?;
    let receiver = Receiver::start()?;
    let settings = json!({
        "profile": "pusher", "key": app.key, "secret": app.secret,
        "events": ["member_added", "channel_vacated", "client_event"],
        "filter": "type != 'channel_vacated' || payload.channel != 'presence-chat'",
        "batch": {"max": 100, "duration_ms": 1000},
    });
    Hook::create(c, &map, &receiver.on("/batch", behaviour::healthy()), settings)?;
    let others = json!({"profile": "pusher", "events": ["channel_occupied", "member_removed"]});
    Hook::create(c, &map, &receiver.on("/others", behaviour::healthy()), others)?;
    let mut player = Socket::connect(c, 0, &app)?;
    let mut joiner = Socket::connect(c, 0, &app)?;
    join(&mut player, &app, "presence-game", r#"{"user_id":"user2"}"#)?;
    receiver.wait_events("/batch", 1)?;
    for n in 1..=TRIES {
        player.subscribe("private-room-1")?;
        let came = |name: &str, channel: &str| {
            let is_told = || Ok((times(&receiver, "/others", name, channel) >= n).then_some(()));
            wait::until(&format!("{name} of {channel}"), is_told)
        };
        came("channel_occupied", "private-room-1")?;
        batch_of_the_guide(&app, &mut player, &mut joiner)?;
        came("member_removed", "presence-chat")?;
        for request in receiver.wait_events("/batch", 1 + 3 * n)? {
            let signature = app.sign(std::str::from_utf8(&request.body)?);
            ensure!(request.header("x-pusher-signature") == Some(&*signature), "{request:?}");
            if is_batch(&request.json())? {
                return Ok(());
            }
        }
    }
    bail!("no batch is the printed one: {}", receiver.dump("/batch"))
}
