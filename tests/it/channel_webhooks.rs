//! Lifecycle events of channels, made by real sockets of both protocols, at the receivers of the guides that
//! the profiles `pusher` and `broadcasting` come from. Each receiver verifies every request, and gets every
//! fact as its guide prints it.

mod configuration;
mod examples;
mod facts;
mod filters;
mod in_order;
mod php;
mod world;

use crate::pusher_support::{App, Socket};
use crate::receivers::fleet::{delivering, functions};
use crate::support::{nodes, scenario};
use crate::webhooks_support::any;
use anyhow::{Result, ensure};
use facts::{
    added, cache_miss, connected, counted, disconnected, occupied, published, removed, sent, subscribed,
    unsubscribed, vacated,
};
use serde_json::{Value, json};
use testkit::phoenix::{Frame, Socket as Channels};
use world::World;

/// For how long a user whose connection broke stays a member (ms).
const GRACE_MS: u64 = 500;

const ALICE: &str = r#"{"user_id":"user-123","user_info":{"name":"Alice"}}"#;
const BOB: &str = r#"{"user_id":"user-456","user_info":{"name":"Bob","avatar":"url"}}"#;
const EVE: &str = r#"{"user_id":"user-789","user_info":{"name":"Eve"}}"#;
const TYPING: &str = r#"{"isTyping":true}"#;
const LOBBY: &str = "presence-lobby";
const CHAT: &str = "presence-chat-room";
const GAME: &str = "presence-game-room";
const PLAIN: &str = "chat-room-1";
const ORDERS: &str = "private-orders.123";
const CACHE: &str = "cache-price";

#[test]
fn receivers_of_the_guides_get_every_fact_as_it_is_printed() {
    let functions = functions().unwrap();
    let options = delivering(nodes(3), &functions).set("WAYPOST_PRESENCE_GRACE_MS", GRACE_MS);
    scenario(options, |cluster| {
        let mut world = World::start(cluster, functions)?;
        pusher_clients(&mut world)?;
        phoenix_client(&mut world)?;
        by_hand(&mut world)?;
        as_printed(&world)
    });
}

/// Joins a presence channel. The text is what the back end signs.
fn join(socket: &mut Socket, app: &App, channel: &str, channel_data: &str) -> Result<()> {
    let auth = app.channel_auth(&socket.id, channel, Some(channel_data));
    let data = json!({"channel": channel, "auth": auth, "channel_data": channel_data});
    socket.send(&json!({"event": "pusher:subscribe", "data": data}))?;
    let answer = socket.wait("pusher_internal:subscription_succeeded")?;
    ensure!(answer["channel"] == channel, "{answer}");
    Ok(())
}

fn pusher_clients(world: &mut World<'_>) -> Result<()> {
    let (c, app) = (world.cluster, world.app.clone());
    let mut bob = Socket::connect(c, 0, &app)?;
    let mut alice = Socket::connect(c, 1, &app)?;
    let (bobs, alices) = (bob.id.clone(), alice.id.clone());
    world.expect([connected(&bobs), connected(&alices)])?;

    join(&mut bob, &app, LOBBY, BOB)?;
    let comes = [occupied(LOBBY), added(LOBBY, BOB, &bobs)?, counted(LOBBY, 1)];
    world.expect(comes.into_iter().chain([subscribed(LOBBY, &bobs, BOB)?]))?;
    join(&mut alice, &app, CHAT, ALICE)?;
    let comes = [occupied(CHAT), added(CHAT, ALICE, &alices)?, counted(CHAT, 1)];
    world.expect(comes.into_iter().chain([subscribed(CHAT, &alices, ALICE)?]))?;
    for channel in [PLAIN, ORDERS] {
        bob.subscribe(channel)?;
        world.expect([occupied(channel), counted(channel, 1), subscribed(channel, &bobs, "{}")?])?;
    }
    bob.subscribe(CACHE)?;
    let comes = [occupied(CACHE), counted(CACHE, 1), subscribed(CACHE, &bobs, "{}")?];
    world.expect(comes.into_iter().chain([cache_miss(CACHE)]))?;

    join(&mut alice, &app, GAME, ALICE)?;
    let comes = [occupied(GAME), added(GAME, ALICE, &alices)?, counted(GAME, 1)];
    world.expect(comes.into_iter().chain([subscribed(GAME, &alices, ALICE)?]))?;
    join(&mut bob, &app, GAME, BOB)?;
    let comes = [added(GAME, BOB, &bobs)?, counted(GAME, 2), subscribed(GAME, &bobs, BOB)?];
    world.expect(comes)?;
    alice.subscribe(ORDERS)?;
    world.expect([counted(ORDERS, 2), subscribed(ORDERS, &alices, "{}")?])?;

    for (channel, user) in [(GAME, Some("user-123")), (ORDERS, None)] {
        let data: Value = serde_json::from_str(TYPING)?;
        alice.send(&json!({"event": "client-typing", "channel": channel, "data": data}))?;
        bob.event(channel)?;
        world.expect([sent(channel, "client-typing", TYPING, &alices, user)?])?;
    }
    let order = r#"{"id":1}"#;
    app.publish(c, 2, PLAIN, "OrderCreated", order)?;
    world.expect([published(PLAIN, "OrderCreated", order)?])?;

    alice.unsubscribe(ORDERS)?;
    world.expect([unsubscribed(ORDERS, &alices), counted(ORDERS, 1)])?;
    bob.unsubscribe(ORDERS)?;
    world.expect([unsubscribed(ORDERS, &bobs), counted(ORDERS, 0), vacated(ORDERS)])?;
    alice.unsubscribe(GAME)?;
    let goes = [unsubscribed(GAME, &alices), removed(GAME, "user-123", &alices), counted(GAME, 1)];
    world.expect(goes)?;
    alice.unsubscribe(CHAT)?;
    let goes = [unsubscribed(CHAT, &alices), removed(CHAT, "user-123", &alices)];
    world.expect(goes.into_iter().chain([counted(CHAT, 0), vacated(CHAT)]))?;
    drop((alice, bob));
    let gone = [LOBBY, GAME].map(|channel| removed(channel, "user-456", &bobs));
    let empty = [LOBBY, GAME, PLAIN, CACHE].into_iter().flat_map(|name| [counted(name, 0), vacated(name)]);
    let left = [LOBBY, PLAIN, CACHE, GAME].map(|channel| unsubscribed(channel, &bobs));
    let ends = [disconnected(&alices), disconnected(&bobs)];
    world.expect(ends.into_iter().chain(left).chain(gone).chain(empty))
}

/// Reads frames until one is as wanted.
fn frame(socket: &mut Channels, is_wanted: impl Fn(&Frame) -> bool) -> Result<Frame> {
    loop {
        let frame = socket.frame()?;
        if is_wanted(&frame) {
            return Ok(frame);
        }
    }
}

fn phoenix_client(world: &mut World<'_>) -> Result<()> {
    let c = world.cluster;
    let mut eve = Channels::connect(c.nodes[2].http, &world.map.token)?;
    let eves = world.newcomer()?;
    world.expect([connected(&eves)])?;
    let member: Value = serde_json::from_str(EVE)?;
    let topic = format!("{}:{GAME}", world.map.topic());
    let presence = json!({"user_id": member["user_id"], "meta": member["user_info"]});
    eve.join_ok(&topic, json!({"presence": presence}))?;
    let comes = [occupied(GAME), added(GAME, EVE, &eves)?, counted(GAME, 1), subscribed(GAME, &eves, "{}")?];
    world.expect(comes)?;

    eve.push((Value::Null, json!("p")), &topic, "client-typing", serde_json::from_str(TYPING)?)?;
    let reply = frame(&mut eve, |frame| frame.reply_ref == "p")?;
    ensure!(reply.status() == "ok", "{reply:?}");
    world.expect([sent(GAME, "client-typing", TYPING, &eves, Some("user-789"))?])?;

    eve.push((Value::Null, json!("bye")), &topic, "phx_leave", json!({}))?;
    frame(&mut eve, |frame| frame.event == "phx_close")?;
    let goes = [unsubscribed(GAME, &eves), removed(GAME, "user-789", &eves), counted(GAME, 0), vacated(GAME)];
    world.expect(goes)?;
    drop(eve);
    world.expect([disconnected(&eves)])
}

/// A back end fires a webhook by hand, as the guide of ts-broadcasting shows it.
fn by_hand(world: &mut World<'_>) -> Result<()> {
    let data = json!({"channel": "orders", "event": "OrderCreated", "data": {"id": 1}});
    let path = format!("/api/maps/{}/webhooks/fire", world.map.id);
    let fired = json!({"event": "broadcast", "data": data});
    // Who fires publishes: to manage the webhooks is not enough.
    let (_, manager) = world.cluster.token(&world.map, &["manage"])?;
    let refused = any(world.cluster, &manager)?.post(&path, &fired)?;
    ensure!(refused.status == 403 && refused.code() == "forbidden", "{}", refused.text());
    any(world.cluster, &world.map)?.post(&path, &fired)?.data(201)?;
    world.expect([published("orders", "OrderCreated", r#"{"id":1}"#)?])
}

/// Compares what the receivers got with what the guides print.
fn as_printed(world: &World<'_>) -> Result<()> {
    let parsed = |bodies: Vec<String>| {
        let bodies = bodies.iter().map(|body| serde_json::from_str(body));
        bodies.collect::<Result<Vec<Value>, _>>()
    };
    let bodies = parsed(world.pusher_bodies()?)?;
    let events: Vec<Value> =
        bodies.iter().flat_map(|body| body["events"].as_array().cloned().unwrap_or_default()).collect();
    for printed in examples::EVENTS {
        examples::has_event(&events, printed)?;
    }
    examples::has_body(&parsed(world.broadcasting_bodies()?)?, examples::SUBSCRIBE)
}
