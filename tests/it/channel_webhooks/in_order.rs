//! Facts over the whole cluster: channels are occupied and vacated in turns, members are added and removed in
//! turns while their channel is occupied, and what a dead node held ends once. A receiver that fails at first
//! loses nothing. Watchlists tell the same at every node.

use super::facts::read;
use super::world::app;
use crate::pusher_support::{App, Socket, inner};
use crate::support::{nodes, scenario};
use crate::webhooks_support::{Hook, quick};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use testkit::Cluster;
use testkit::dice::Dice;
use testkit::receiver::{Receiver, behaviour};

const CHANNELS: [&str; 2] = ["presence-hall", "presence-yard"];
const USERS: [&str; 3] = ["ada", "bob", "eve"];
/// How often a client joins or leaves.
const STEPS: usize = 150;
const SEED: u64 = 4;
/// A time of grace in which clients come back even where the machine is busy (ms).
const LONG_GRACE_MS: u64 = 20_000;

#[test]
fn facts_of_three_nodes_are_told_in_turns() {
    let options = nodes(3)
        .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
        .set("WAYPOST_PRESENCE_GRACE_MS", super::GRACE_MS);
    scenario(options, |c| {
        let (map, app) = app(c, "in-turns")?;
        let receiver = Receiver::start()?;
        let events = ["channel_occupied", "channel_vacated", "member_added", "member_removed"];
        let settings = json!({
            "profile": "pusher",
            "events": events,
            "batch": {"max": 50, "duration_ms": 20},
            "retry": quick(20),
        });
        Hook::create(c, &map, &receiver.on("/facts", behaviour::recovering(3, 503)), settings)?;
        c.wait_same_applied()?;

        come_and_go(c, &app)?;
        settled(c, &receiver, 2)?;

        let dead = c.follower()?;
        let mut socket = Socket::connect(c, dead, &app)?;
        socket.join(CHANNELS[0], "ghost", &json!({}))?;
        let is_added = |fact: &Told| fact.name == "member_added" && fact.user == "ghost";
        c.wait_until("the member of the node", |_| Ok(told(&receiver)?.into_iter().find(is_added)))?;
        c.nodes[dead].kill9()?;
        settled(c, &receiver, 3)?;
        let facts = told(&receiver)?;
        let of_ghost = facts.iter().filter(|fact| fact.user == "ghost").count();
        ensure!(of_ghost == 2, "{of_ghost} facts about the member of the dead node");
        c.wait_until("no channel to be occupied", |c| {
            let occupied = app.get(c, c.up()?, "channels", &[])?.expect(200)?.json()?;
            ensure!(occupied == json!({"channels": {}}), "{occupied}");
            Ok(Some(()))
        })
    });
}

/// A user whose connection breaks, and who joins again at another node, has been a member all the time.
#[test]
fn who_comes_back_in_time_is_neither_removed_nor_added() {
    let options = nodes(3)
        .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
        .set("WAYPOST_PRESENCE_GRACE_MS", LONG_GRACE_MS);
    scenario(options, |c| {
        let (map, app) = app(c, "comes-back")?;
        let receiver = Receiver::start()?;
        let settings = json!({"profile": "pusher", "events": ["channel_*", "member_*"]});
        let hook = Hook::create(c, &map, &receiver.on("/facts", behaviour::healthy()), settings)?;
        c.wait_same_applied()?;
        let [hall, yard] = CHANNELS;
        for node in 0..2 {
            let mut socket = Socket::connect(c, node, &app)?;
            socket.join(hall, "ada", &json!({}))?;
        }
        let mut socket = Socket::connect(c, 2, &app)?;
        socket.join(hall, "ada", &json!({}))?;
        socket.unsubscribe(hall)?;
        // The two broken connections may be noticed late. What is left of them is a time of grace.
        settled(c, &receiver, 4)?;
        socket.join(yard, "bob", &json!({}))?;
        let is_marker = |fact: &Told| fact.user == "bob";
        c.wait_until("a later fact", |_| Ok(told(&receiver)?.into_iter().find(is_marker)))?;
        hook.wait_settled(c)?;
        let facts = told(&receiver)?;
        let names: Vec<&str> =
            facts.iter().filter(|fact| fact.channel == hall).map(|fact| &*fact.name).collect();
        let once = ["channel_occupied", "member_added", "member_removed", "channel_vacated"];
        ensure!(names == once, "{facts:?}");
        Ok(())
    });
}

/// The ends of a client's subscriptions are told in the order in which they began, and before the end of the
/// connection, also if the connection breaks.
#[test]
fn a_broken_connection_tells_the_ends_of_its_subscriptions_first() {
    scenario(nodes(1).set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8"), |c| {
        let (map, app) = app(c, "broken")?;
        let receiver = Receiver::start()?;
        let settings = json!({"profile": "broadcasting", "events": ["unsubscribe", "disconnection"]});
        Hook::create(c, &map, &receiver.on("/facts", behaviour::healthy()), settings)?;
        c.wait_same_applied()?;
        let channels = ["e", "a", "private-d", "c", "b"];
        let mut socket = Socket::connect(c, 0, &app)?;
        for channel in channels {
            socket.subscribe(channel)?;
        }
        drop(socket);
        let mut expected: Vec<String> = channels.iter().map(|name| format!("unsubscribe {name}")).collect();
        expected.push("disconnection ".to_owned());
        c.wait_until("the end of the connection", |_| {
            let mut facts = BTreeMap::new();
            for request in receiver.accepted("/facts") {
                facts.extend(read(&String::from_utf8_lossy(&request.body))?);
            }
            let text = |fact: &Value| {
                let part = |part: &Value| part.as_str().unwrap_or_default().to_owned();
                format!("{} {}", part(&fact["event"]), part(&fact["data"]["channel"]))
            };
            // The ids have the order in which the facts were stored.
            let told: Vec<String> = facts.values().map(text).collect();
            ensure!(told == expected, "{told:?}");
            Ok(Some(()))
        })
    });
}

/// Clients at all nodes join and leave channels, and end.
fn come_and_go(c: &Cluster, app: &App) -> Result<()> {
    let mut dice = Dice::new(SEED, 0);
    let mut sockets = Vec::new();
    for n in 0..6 {
        sockets.push((Socket::connect(c, n % 3, app)?, USERS[n / 2], BTreeSet::new()));
    }
    for _ in 0..STEPS {
        let (socket, user, joined) = &mut sockets[dice.below(6)];
        let channel = CHANNELS[dice.below(CHANNELS.len())];
        if joined.remove(channel) {
            socket.unsubscribe(channel)?;
        } else {
            socket.join(channel, user, &json!({}))?;
            joined.insert(channel);
        }
    }
    Ok(())
}

/// A fact, as far as turns go. Facts are stored in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    id: String,
    name: String,
    channel: String,
    user: String,
}

/// All facts so far, each once, in order.
fn told(receiver: &Receiver) -> Result<BTreeSet<Told>> {
    let mut facts = BTreeSet::new();
    for request in receiver.accepted("/facts") {
        for event in request.json()["events"].as_array().into_iter().flatten() {
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let fact = Told {
                id: text("event_id"),
                name: text("name"),
                channel: text("channel"),
                user: text("user_id"),
            };
            ensure!(!fact.id.is_empty() && !fact.channel.is_empty(), "{event}");
            facts.insert(fact);
        }
    }
    Ok(facts)
}

/// Waits until `least` facts or more are told, all in turn, and all channels are vacated.
fn settled(c: &Cluster, receiver: &Receiver, least: usize) -> Result<()> {
    c.wait_until("the channels to be vacated", |_| {
        let facts = told(receiver)?;
        let last = |channel: &str| facts.iter().rfind(|fact| fact.channel == channel);
        let is_vacated = |channel: &&str| last(channel).is_none_or(|fact| fact.name == "channel_vacated");
        ensure!(facts.len() >= least && CHANNELS.iter().all(is_vacated), "{facts:?}");
        in_turns(&facts)?;
        Ok(Some(()))
    })
}

fn in_turns(facts: &BTreeSet<Told>) -> Result<()> {
    let mut members: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for fact in facts {
        let (channel, user) = (&*fact.channel, &*fact.user);
        let is_in_turn = match &*fact.name {
            "channel_occupied" => members.insert(channel, BTreeSet::new()).is_none(),
            "channel_vacated" => members.remove(channel).is_some_and(|left| left.is_empty()),
            "member_added" => members.get_mut(channel).is_some_and(|there| there.insert(user)),
            "member_removed" => members.get_mut(channel).is_some_and(|there| there.remove(user)),
            _ => false,
        };
        ensure!(is_in_turn, "{fact:?} is not in turn: {facts:?}");
    }
    Ok(())
}

#[test]
fn a_watchlist_tells_of_users_at_every_node() {
    scenario(nodes(3).set("WAYPOST_PRESENCE_GRACE_MS", super::GRACE_MS), |c| {
        let (_, app) = app(c, "watched")?;
        let mut watchers = (0..3).map(|node| Socket::connect(c, node, &app)).collect::<Result<Vec<_>>>()?;
        for (n, watcher) in watchers.iter_mut().enumerate() {
            let data = json!({"id": format!("watcher-{n}"), "watchlist": ["ada"]}).to_string();
            let auth = app.user_auth(&watcher.id, &data);
            watcher.send(&json!({"event": "pusher:signin", "data": {"auth": auth, "user_data": data}}))?;
            watcher.wait("pusher:signin_success")?;
        }
        for node in 0..3 {
            let mut ada = Socket::connect(c, node, &app)?;
            ada.sign_in("ada")?;
            for watcher in &mut watchers {
                watched(watcher, "online")?;
            }
            drop(ada);
            for watcher in &mut watchers {
                watched(watcher, "offline")?;
            }
        }
        Ok(())
    });
}

/// The next news of the watchlist must be that Ada is there, or is not.
fn watched(watcher: &mut Socket, name: &str) -> Result<()> {
    let frame = watcher.wait("pusher_internal:watchlist_events")?;
    let news = inner(&frame)?;
    let expected = json!({"events": [{"name": name, "user_ids": ["ada"]}]});
    ensure!(news == expected, "{news} instead of {expected}");
    Ok(())
}
