//! The signed HTTP API of the Pusher protocol about channels and users: the same from every node, and right
//! again after a node has died.

use crate::pusher_api::{app, refused};
use crate::pusher_support::{App, Socket};
use crate::support::{checked, nodes, scenario};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;

#[test]
fn channels_and_users_are_told_exactly() {
    checked(
        nodes(1).set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 0),
        &[
            ("occupied channels and their counts", channels),
            ("attributes that a channel does not have", attributes),
            ("the users of a presence channel", users),
            ("attributes in the answer to a publish", info),
            ("the last event of a cache channel", cache),
            ("the channel of the map's own subject", own_channel),
            ("what belongs to another map is not told", other_maps),
            ("events for one user", one_user),
        ],
    );
}

/// The answer to a signed GET.
fn told(c: &Cluster, node: usize, app: &App, path: &str, own: &[(&str, &str)]) -> Result<Value> {
    app.get(c, node, path, own)?.expect(200)?.json()
}

/// Waits until a node tells this. A client's end reaches the node a moment later.
fn wait_told(
    c: &Cluster,
    node: usize,
    app: &App,
    path: &str,
    own: &[(&str, &str)],
    expected: &Value,
) -> Result<()> {
    let what = format!("{path} {own:?} of node {node} to be {expected}");
    c.wait_until(&what, |c| {
        let told = told(c, node, app, path, own)?;
        ensure!(told == *expected, "{told}");
        Ok(Some(()))
    })
}

const BOTH: (&str, &str) = ("info", "user_count,subscription_count");
const PRESENCE: (&str, &str) = ("filter_by_prefix", "presence-");

fn channels(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "channels")?;
    ensure!(told(c, 0, &app, "channels", &[])? == json!({"channels": {}}));
    ensure!(told(c, 0, &app, "channels/news", &[])? == json!({"occupied": false}));
    let mut sockets = (0..2).map(|_| Socket::connect(c, 0, &app)).collect::<Result<Vec<_>>>()?;
    for socket in &mut sockets {
        socket.subscribe("news")?;
        socket.join("presence-room", "7", &json!({"name": "Ada"}))?;
    }
    wait_told(c, 0, &app, "channels", &[], &json!({"channels": {"news": {}, "presence-room": {}}}))?;
    let expected = json!({"channels": {"presence-room": {"user_count": 1, "subscription_count": 2}}});
    wait_told(c, 0, &app, "channels", &[PRESENCE, BOTH], &expected)?;
    let expected = json!({"channels": {
        "news": {"subscription_count": 2},
        "presence-room": {"subscription_count": 2},
    }});
    wait_told(c, 0, &app, "channels", &[("info", "subscription_count")], &expected)?;
    let expected = json!({"occupied": true, "subscription_count": 2});
    wait_told(c, 0, &app, "channels/news", &[("info", "subscription_count")], &expected)?;
    let expected = json!({"occupied": true, "subscription_count": 2, "user_count": 1});
    wait_told(c, 0, &app, "channels/presence-room", &[BOTH], &expected)?;
    sockets[0].unsubscribe("news")?;
    sockets.truncate(1);
    wait_told(c, 0, &app, "channels/news", &[], &json!({"occupied": false}))?;
    let expected = json!({"occupied": true, "subscription_count": 1, "user_count": 1});
    wait_told(c, 0, &app, "channels/presence-room", &[BOTH], &expected)
}

fn attributes(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "attributes")?;
    let users = ("info", "user_count");
    for (path, own) in [
        ("channels", vec![users]),
        ("channels", vec![users, ("filter_by_prefix", "private-")]),
        ("channels", vec![users, ("filter_by_prefix", "pres")]),
        ("channels", vec![("info", "cache")]),
        ("channels", vec![("info", "members")]),
        ("channels/news", vec![users]),
        ("channels/news", vec![("info", "cache")]),
    ] {
        let answer = app.get(c, 0, path, &own)?;
        refused(&format!("{path} {own:?}"), &answer, 400, "invalid_info")?;
    }
    refused("a name", &app.get(c, 0, "channels/a:b", &[])?, 400, "invalid_channel")?;
    refused("no members", &app.get(c, 0, "channels/news/users", &[])?, 400, "no_presence_channel")
}

fn users(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "users")?;
    let path = "channels/presence-room/users";
    ensure!(told(c, 0, &app, path, &[])? == json!({"users": []}));
    let mut sockets = Vec::new();
    for user in ["bob", "ada", "ada"] {
        let mut socket = Socket::connect(c, 0, &app)?;
        socket.join("presence-room", user, &json!({}))?;
        sockets.push(socket);
    }
    ensure!(told(c, 0, &app, path, &[])? == json!({"users": [{"id": "ada"}, {"id": "bob"}]}));
    sockets[0].unsubscribe("presence-room")?;
    wait_told(c, 0, &app, path, &[], &json!({"users": [{"id": "ada"}]}))
}

fn info(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "info")?;
    let mut socket = Socket::connect(c, 0, &app)?;
    socket.subscribe("news")?;
    socket.join("presence-room", "7", &json!({}))?;
    wait_told(c, 0, &app, "channels", &[], &json!({"channels": {"news": {}, "presence-room": {}}}))?;
    let event = json!({
        "name": "n", "data": "d", "channels": ["news", "presence-room", "empty"],
        "info": "user_count,subscription_count",
    });
    let answer = app.post(c, 0, "events", &event)?.expect(200)?.json()?;
    let expected = json!({"channels": {
        "news": {"subscription_count": 1},
        "presence-room": {"subscription_count": 1, "user_count": 1},
        "empty": {"subscription_count": 0},
    }});
    ensure!(answer == expected, "{answer}");
    let batch = json!({"batch": [
        {"name": "n", "data": "d", "channel": "presence-room", "info": "user_count"},
        {"name": "n", "data": "d", "channel": "news"},
    ]});
    let answer = app.post(c, 0, "batch_events", &batch)?.expect(200)?.json()?;
    ensure!(answer == json!({"batch": [{"user_count": 1}, {}]}), "{answer}");
    Ok(())
}

fn cache(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "cache")?;
    let own = [("info", "cache")];
    ensure!(told(c, 0, &app, "channels/cache-x", &own)? == json!({"occupied": false, "cache": null}));
    for data in ["first", " {\"n\": 1} "] {
        app.publish(c, 0, "cache-x", "n", data)?;
    }
    let expected = json!({"occupied": false, "cache": {"data": " {\"n\": 1} "}});
    wait_told(c, 0, &app, "channels/cache-x", &own, &expected)
}

fn own_channel(c: &Cluster) -> Result<()> {
    let (map, app) = app(c, "own-channel")?;
    let name = format!("private-map-{}", map.id);
    let mut socket = Socket::connect(c, 0, &app)?;
    socket.subscribe(&name)?;
    let count = ("info", "subscription_count");
    let mut expected = json!({"channels": {}});
    expected["channels"][&name] = json!({"subscription_count": 1});
    wait_told(c, 0, &app, "channels", &[count], &expected)?;
    for prefix in ["private-", &name] {
        wait_told(c, 0, &app, "channels", &[count, ("filter_by_prefix", prefix)], &expected)?;
    }
    wait_told(c, 0, &app, "channels", &[("filter_by_prefix", "private-x")], &json!({"channels": {}}))?;
    let expected = json!({"occupied": true, "subscription_count": 1});
    wait_told(c, 0, &app, &format!("channels/{name}"), &[count], &expected)
}

fn other_maps(c: &Cluster) -> Result<()> {
    let (_, mine) = app(c, "my-channels")?;
    let (_, theirs) = app(c, "their-channels")?;
    let mut socket = Socket::connect(c, 0, &theirs)?;
    socket.join("presence-room", "7", &json!({}))?;
    wait_told(c, 0, &theirs, "channels", &[], &json!({"channels": {"presence-room": {}}}))?;
    ensure!(told(c, 0, &mine, "channels", &[])? == json!({"channels": {}}));
    ensure!(told(c, 0, &mine, "channels/presence-room", &[])? == json!({"occupied": false}));
    ensure!(told(c, 0, &mine, "channels/presence-room/users", &[])? == json!({"users": []}));
    // A user of another map has the same id, and stays.
    socket.sign_in("7")?;
    mine.post(c, 0, "users/7/terminate_connections", &json!({}))?.expect(200)?;
    theirs.publish(c, 0, "presence-room", "n", "d")?;
    socket.event("presence-room").map(drop)
}

fn one_user(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "one-user")?;
    let mut ada = Socket::connect(c, 0, &app)?;
    let mut bob = Socket::connect(c, 0, &app)?;
    for (socket, user) in [(&mut ada, "ada"), (&mut bob, "bob")] {
        socket.sign_in(user)?;
        // Clients subscribe to their user's channel by themselves.
        socket.subscribe(&format!("#server-to-user-{user}"))?;
    }
    for (user, data) in [("ada", "1"), ("bob", "2")] {
        app.publish(c, 0, &format!("#server-to-user-{user}"), "told", data)?;
    }
    ensure!(ada.event("#server-to-user-ada")?["data"] == "1");
    ensure!(bob.event("#server-to-user-bob")?["data"] == "2");
    ensure!(told(c, 0, &app, "channels", &[])? == json!({"channels": {}}), "channels of users are listed");
    let answer = app.post(c, 0, "users/ada/terminate_connections", &json!({}))?.expect(200)?.json()?;
    ensure!(answer == json!({}), "{answer}");
    ensure!(ada.closed()? == Some(4009));
    // Whoever is not there is no error.
    app.post(c, 0, "users/nobody/terminate_connections", &json!({}))?.expect(200)?;
    app.publish(c, 0, "#server-to-user-bob", "told", "3")?;
    ensure!(bob.event("#server-to-user-bob")?["data"] == "3");
    Ok(())
}

#[test]
fn every_node_tells_the_same() {
    scenario(nodes(3), |c| {
        let (_, app) = app(c, "everywhere")?;
        let mut sockets = Vec::new();
        for node in 0..3 {
            for user in ["shared".to_owned(), format!("of-{node}")] {
                let mut socket = Socket::connect(c, node, &app)?;
                socket.subscribe("news")?;
                socket.join("presence-room", &user, &json!({}))?;
                sockets.push((node, socket));
            }
        }
        let all = |subscriptions: usize, users: &[&str]| {
            let counts = json!({"subscription_count": subscriptions, "user_count": users.len()});
            let ids: Vec<Value> = users.iter().map(|user| json!({"id": user})).collect();
            (json!({"channels": {"presence-room": counts}}), json!({"users": ids}))
        };
        let (counts, users) = all(6, &["of-0", "of-1", "of-2", "shared"]);
        for node in 0..3 {
            wait_told(c, node, &app, "channels", &[PRESENCE, BOTH], &counts)?;
            wait_told(c, node, &app, "channels/presence-room/users", &[], &users)?;
        }
        // What a node that dies held is taken back.
        let dead = c.follower()?;
        c.nodes[dead].kill9()?;
        sockets.retain(|(node, _)| *node != dead);
        let gone = format!("of-{dead}");
        let left: Vec<&str> =
            ["of-0", "of-1", "of-2", "shared"].into_iter().filter(|user| *user != gone).collect();
        let (counts, users) = all(4, &left);
        for node in (0..3).filter(|node| *node != dead) {
            wait_told(c, node, &app, "channels", &[PRESENCE, BOTH], &counts)?;
            wait_told(c, node, &app, "channels/presence-room/users", &[], &users)?;
        }
        println!("the counts and members of node {dead} were taken back");
        Ok(())
    });
}

#[test]
fn a_user_is_cut_off_at_every_node() {
    scenario(nodes(3), |c| {
        let (_, app) = app(c, "cut-off")?;
        let mut sockets = (0..3).map(|node| Socket::connect(c, node, &app)).collect::<Result<Vec<_>>>()?;
        sockets.iter_mut().try_for_each(|socket| socket.sign_in("ada"))?;
        let mut other = Socket::connect(c, 1, &app)?;
        other.sign_in("bob")?;
        app.post(c, 2, "users/ada/terminate_connections", &json!({}))?.expect(200)?;
        for socket in &mut sockets {
            ensure!(socket.closed()? == Some(4009));
        }
        other.subscribe("news").map(drop)
    });
}

/// A node that does not answer ends the user's connections when it is back, also if nobody asks it again.
#[test]
fn a_user_is_cut_off_at_a_node_that_was_out_of_reach() {
    scenario(nodes(3), |c| {
        let (_, app) = app(c, "out-of-reach")?;
        let away = c.follower()?;
        let asked = (away + 1) % 3;
        let mut there = Socket::connect(c, away, &app)?;
        let mut here = Socket::connect(c, asked, &app)?;
        there.sign_in("ada")?;
        here.sign_in("ada")?;
        c.nodes[away].suspended(|| {
            app.post(c, asked, "users/ada/terminate_connections", &json!({}))?.expect(200)?;
            ensure!(here.closed()? == Some(4009));
            Ok(())
        })?;
        // 4200 if the node was away for so long that it can't know what it has missed.
        let code = there.closed()?;
        ensure!(matches!(code, Some(4009 | 4200)), "{code:?}");
        Ok(())
    });
}

#[test]
fn a_sign_in_under_way_does_not_survive_the_end_of_the_user_s_connections() {
    scenario(nodes(3), |c| {
        let (_, app) = app(c, "under-way")?;
        let mut bob = Socket::connect(c, 0, &app)?;
        bob.sign_in("bob")?;
        let mut ada = Socket::connect(c, 0, &app)?;
        let without_majority = || {
            ada.ask_sign_in("ada")?;
            let asking = ["ada", "bob"].map(|user| {
                let (app, url) = (app.clone(), c.nodes[0].url());
                let path = format!("users/{user}/terminate_connections");
                std::thread::spawn(move || app.send_at(&url, &path, "{}"))
            });
            // Once the node has ended what it has of Bob, it has done so for Ada, whose sign-in still waits
            // for the cluster.
            ensure!(bob.closed()? == Some(4009));
            Ok(asking)
        };
        let asking = c.nodes[1].suspended(|| c.nodes[2].suspended(without_majority))?;
        ensure!(asking.into_iter().all(|thread| thread.join().is_ok()));
        // 4100 if the sign-in has waited for too long.
        let code = ada.closed()?;
        ensure!(matches!(code, Some(4009 | 4100)), "{code:?}");
        Ok(())
    });
}
