//! npm `pusher-js`: every kind of channel, members, client events, sign-in and watchlists.

use super::{Backend, client, event, line, options, subscribe};
use crate::pusher_api::app;
use anyhow::{Result, ensure};
use serde_json::json;
use testkit::Cluster;
use testkit::clients::Js;

pub(super) fn kinds(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "kinds")?;
    let mut client = client(c, 0, &app, "ada", &[])?;
    let mut backend = Backend::at(c, 1, &app)?;
    let channels = [
        "news",
        "private-news",
        "presence-news",
        "private-encrypted-news",
        "cache-news",
        "private-cache-news",
        "presence-cache-news",
        "private-encrypted-cache-news",
    ];
    for channel in channels {
        subscribe(&mut client, channel)?;
        backend.trigger(&[channel], "said", &json!({"in": channel, "n": 1.5}))?;
        let heard = event(&client, channel, "said")?;
        ensure!(heard["data"] == json!({"in": channel, "n": 1.5}), "{heard}");
    }
    // The library encrypted what went to encrypted channels: others of the map see no text of it.
    let open: Vec<&str> = channels.into_iter().filter(|channel| !channel.contains("encrypted")).collect();
    backend.trigger(&open, "to all", &json!("text"))?;
    for channel in open {
        ensure!(event(&client, channel, "to all")?["data"] == "text");
    }
    client.order(json!({"do": "unsubscribe", "channel": "news"}))?;
    let gone = json!({"do": "get", "path": "/channels/news"});
    c.wait_until("the subscription to end", |_| {
        let (status, told) = backend.ask(gone.clone())?;
        ensure!(status == 200 && told == json!({"occupied": false}), "{told}");
        Ok(Some(()))
    })
}

pub(super) fn forged(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "forged")?;
    let mut options = options(c, 0, &app);
    options["forged"] = true.into();
    options["user"] = json!({"id": "eve", "info": {}});
    let mut client = Js::pusher(options)?;
    for channel in ["private-news", "presence-news", "private-encrypted-news"] {
        client.order(json!({"do": "subscribe", "channel": channel}))?;
        let refused = event(&client, channel, "pusher:subscription_error")?;
        ensure!(refused["data"]["type"] == "AuthError" && refused["data"]["status"] == 401, "{refused}");
    }
    // The connection goes on.
    subscribe(&mut client, "news")?;
    ensure!(client.of("error").is_empty(), "{}", client.dump());
    Ok(())
}

pub(super) fn members(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "members")?;
    let room = "presence-room";
    let mut ada = client(c, 0, &app, "ada", &[])?;
    let alone = subscribe(&mut ada, room)?;
    ensure!(alone["members"] == json!({"ada": {"name": "ADA"}}) && alone["count"] == 1, "{alone}");
    ensure!(alone["me"] == json!({"id": "ada", "info": {"name": "ADA"}}), "{alone}");
    let mut bob = client(c, 1, &app, "bob", &[])?;
    let both = subscribe(&mut bob, room)?;
    ensure!(both["count"] == 2 && both["members"]["ada"] == json!({"name": "ADA"}), "{both}");
    let added = event(&ada, room, "pusher:member_added")?;
    ensure!(added["data"] == json!({"id": "bob", "info": {"name": "BOB"}}), "{added}");
    // A client event goes to the others, with the sender's user.
    let moved = json!({"do": "trigger", "channel": room, "event": "client-moved", "data": {"x": 1}});
    bob.order(moved)?;
    let heard = event(&ada, room, "client-moved")?;
    ensure!(heard["data"] == json!({"x": 1}) && heard["user_id"] == "bob", "{heard}");
    let mut backend = Backend::at(c, 2, &app)?;
    let users = json!({"users": [{"id": "ada"}, {"id": "bob"}]});
    backend.done(&json!({"do": "get", "path": format!("/channels/{room}/users")}), &users)?;
    // A second connection of a user is no second member.
    let mut again = client(c, 2, &app, "bob", &[])?;
    ensure!(subscribe(&mut again, room)?["count"] == 2);
    bob.order(json!({"do": "unsubscribe", "channel": room}))?;
    again.order(json!({"do": "unsubscribe", "channel": room}))?;
    let removed = event(&ada, room, "pusher:member_removed")?;
    ensure!(removed["data"]["id"] == "bob", "{removed}");
    let news = |name: &str| {
        ada.of("event").iter().filter(|line| line["event"] == name && line["data"]["id"] == "bob").count()
    };
    ensure!(news("pusher:member_added") == 1 && news("pusher:member_removed") == 1, "{}", ada.dump());
    ensure!(!bob.of("event").iter().any(|line| line["event"] == "client-moved"), "{}", bob.dump());
    Ok(())
}

pub(super) fn cache(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "cache-channels")?;
    let mut early = client(c, 0, &app, "ada", &[])?;
    let mut backend = Backend::at(c, 1, &app)?;
    for channel in ["cache-price", "private-cache-price", "presence-cache-price"] {
        subscribe(&mut early, channel)?;
        event(&early, channel, "pusher:cache_miss")?;
        for price in [7, 8] {
            backend.trigger(&[channel], "price", &json!(price))?;
        }
    }
    // Who comes later gets the last event first, at whatever node.
    for node in 0..3 {
        let mut late = client(c, node, &app, "bob", &[])?;
        for channel in ["cache-price", "private-cache-price", "presence-cache-price"] {
            subscribe(&mut late, channel)?;
            let last = event(&late, channel, "price")?;
            ensure!(last["data"] == 8, "node {node}: {last}");
        }
        ensure!(!late.of("event").iter().any(|line| line["event"] == "pusher:cache_miss"), "{}", late.dump());
    }
    Ok(())
}

pub(super) fn users(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "signed-in")?;
    let mut backend = Backend::at(c, 2, &app)?;
    let mut ada = client(c, 0, &app, "ada", &["bob", "eve"])?;
    ada.order(json!({"do": "signin"}))?;
    ada.wait_for("signed_in", 1)?;
    let mut bob = client(c, 1, &app, "bob", &["ada"])?;
    bob.order(json!({"do": "signin"}))?;
    bob.wait_for("signed_in", 1)?;
    let watched = |client: &Js, name: &str, user: &str| {
        line(client, "watched", |line| line["name"] == name && line["user_ids"] == json!([user])).map(drop)
    };
    watched(&ada, "online", "bob")?;
    watched(&bob, "online", "ada")?;
    // The library subscribes to its user's channel once it is signed in.
    c.wait_until("an event for ada", |_| {
        backend
            .done(&json!({"do": "to_user", "user": "ada", "event": "told", "data": {"n": 1}}), &json!({}))?;
        Ok(ada.of("user_event").first().cloned())
    })?;
    ensure!(ada.of("user_event")[0]["data"] == json!({"n": 1}), "{}", ada.dump());
    ensure!(bob.of("user_event").is_empty(), "{}", bob.dump());
    // The library does not connect again after this.
    backend.done(&json!({"do": "terminate", "user": "bob"}), &json!({}))?;
    line(&bob, "error", |line| line["code"] == 4009)?;
    line(&bob, "state", |line| line["current"] == "disconnected")?;
    watched(&ada, "offline", "bob")
}

pub(super) fn joined_by_user(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "by-user")?;
    let mut options = options(c, 0, &app);
    options["user"] = json!({"id": "ada", "info": {"name": "ADA"}});
    options["by_user"] = true.into();
    let mut ada = Js::pusher(options)?;
    ada.order(json!({"do": "signin"}))?;
    ada.wait_for("signed_in", 1)?;
    let joined = subscribe(&mut ada, "presence-room")?;
    ensure!(joined["members"] == json!({"ada": {"name": "ADA"}}), "{joined}");
    Ok(())
}
