//! The Pusher protocol as other people's clients speak it, unchanged: npm `pusher-js`, `laravel-echo` and
//! `pusher`, PyPI `pusher` and `pysher`. Each client is at another node than the one that it hears of.

mod backends;
mod browser;
mod echo;
mod pysher;
mod script;

use crate::pusher_api::app;
use crate::pusher_support::App;
use crate::support::{checked, nodes, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::clients::Js;

/// The key of encrypted channels: 32 bytes in base64.
const MASTER: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

#[test]
fn clients_of_other_people_work_unchanged() {
    checked(
        nodes(3),
        &[
            ("npm pusher-js: every kind of channel", browser::kinds),
            ("npm pusher-js: wrong signatures", browser::forged),
            ("npm pusher-js: members and client events", browser::members),
            ("npm pusher-js: cache channels", browser::cache),
            ("npm pusher-js: sign-in, watchlists and termination", browser::users),
            ("npm pusher-js: a signed-in user joins by its sign-in", browser::joined_by_user),
            ("npm pusher: batches, attributes and errors", backends::backend),
            ("npm laravel-echo", echo::echo),
            ("PyPI pusher", backends::python_backend),
            ("PyPI pysher", pysher::pysher),
        ],
    );
}

/// The options of a client at a node.
fn options(c: &Cluster, node: usize, app: &App) -> Value {
    json!({"url": c.nodes[node].url(), "app": app.json(), "master": MASTER})
}

/// npm `pusher-js` at a node, as a user who watches others.
fn client(c: &Cluster, node: usize, app: &App, user: &str, watchlist: &[&str]) -> Result<Js> {
    let mut options = options(c, node, app);
    options["user"] = json!({"id": user, "info": {"name": user.to_uppercase()}, "watchlist": watchlist});
    Js::pusher(options)
}

/// Subscribes, and waits until the subscription stands.
fn subscribe(client: &mut Js, channel: &str) -> Result<Value> {
    client.order(json!({"do": "subscribe", "channel": channel}))?;
    line(client, "subscribed", |line| line["channel"] == channel)
}

/// Waits for a line of a kind.
fn line(client: &Js, kind: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
    client.wait(&format!("a line `{kind}`"), |client| Ok(client.of(kind).into_iter().find(&is)))
}

/// Waits for an event of a channel.
fn event(client: &Js, channel: &str, name: &str) -> Result<Value> {
    line(client, "event", |line| line["channel"] == channel && line["event"] == name)
}

/// A back end with npm `pusher` at a node.
struct Backend {
    js: Js,
    /// The orders so far.
    orders: u64,
}

impl Backend {
    fn at(c: &Cluster, node: usize, app: &App) -> Result<Self> {
        let js = Js::pusher_backend(options(c, node, app))?;
        js.wait_for("ready", 1)?;
        Ok(Self { js, orders: 0 })
    }

    /// Gives an order. Returns the status and the body of the answer.
    fn ask(&mut self, mut order: Value) -> Result<(u64, Value)> {
        self.orders += 1;
        let n = self.orders;
        order["n"] = n.into();
        self.js.order(order)?;
        let answer = line(&self.js, "answer", |line| line["n"] == n)?;
        Ok((answer["status"].as_u64().context("no status")?, answer["body"].clone()))
    }

    /// Gives an order that succeeds with this body.
    fn done(&mut self, order: &Value, body: &Value) -> Result<()> {
        let answer = self.ask(order.clone())?;
        ensure!(answer == (200, body.clone()), "{order}: {answer:?}");
        Ok(())
    }

    fn trigger(&mut self, channels: &[&str], event: &str, data: &Value) -> Result<()> {
        let order = json!({"do": "trigger", "channels": channels, "event": event, "data": data});
        self.done(&order, &json!({}))
    }
}

/// The states that npm `pusher-js` tells of, and its subscriptions, when its node goes and comes back.
#[test]
fn clients_connect_again_when_their_node_restarts() {
    scenario(nodes(3), |c| {
        let (_, app) = app(c, "restarts")?;
        let mut ada = client(c, 0, &app, "ada", &[])?;
        let mut bob = client(c, 1, &app, "bob", &[])?;
        for channel in ["news", "private-news", "presence-room"] {
            subscribe(&mut ada, channel)?;
            subscribe(&mut bob, channel)?;
        }
        c.nodes[0].kill9()?;
        line(&ada, "state", |line| line["previous"] == "connected")?;
        c.nodes[0].start()?;
        c.wait_node(0)?;
        let states =
            |client: &Js| client.of("state").iter().filter(|line| line["current"] == "connected").count();
        ada.wait("the second connection", |client| Ok((states(client) == 2).then_some(())))?;
        // It subscribes again by itself.
        for channel in ["news", "private-news", "presence-room"] {
            ada.wait("the second subscription", |client| {
                let all = client.of("subscribed");
                Ok((all.iter().filter(|line| line["channel"] == channel).count() == 2).then_some(()))
            })?;
        }
        let mut backend = Backend::at(c, 2, &app)?;
        backend.trigger(&["news", "private-news", "presence-room"], "after", &json!(1))?;
        for channel in ["news", "private-news", "presence-room"] {
            event(&ada, channel, "after")?;
            event(&bob, channel, "after")?;
        }
        ensure!(states(&bob) == 1, "{}", bob.dump());
        let users = json!({"users": [{"id": "ada"}, {"id": "bob"}]});
        c.wait_until("both members", |_| {
            backend.done(&json!({"do": "get", "path": "/channels/presence-room/users"}), &users)?;
            Ok(Some(()))
        })
    });
}
