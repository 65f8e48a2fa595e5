//! The examples of `examples/`, as readers run them: unchanged, with real processes.

pub(crate) mod pages;

use self::pages::{Pages, chromium};
use crate::pusher_support::App;
use crate::relay::postgres::Postgres;
use crate::snippets::{copy_files, packages};
use crate::support::{nodes, printed, scenario, waypost};
use crate::webhooks_lambda::{KEY, Standin, given_up, invoking};
use crate::webhooks_support::{delivering, publish_keys};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::cluster::Map;
use testkit::lines::Lines;
use testkit::node::without_settings;
use testkit::receiver::Receiver;
use testkit::receiver::discord::Discord;
use testkit::{Cluster, wait};

/// The folder of an example.
fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// Publishes an event on a subject.
fn publish(c: &Cluster, map: &Map, kind: &str, subject: &str, payload: Value) -> Result<Value> {
    c.publish(c.up()?, map, &json!({"type": kind, "subject": subject, "payload": payload}))
}

/// Waits until a program has printed a line that begins with this text.
fn line(process: &Lines, beginning: &str) -> Result<String> {
    wait::until(&format!("the line `{beginning}`"), || {
        Ok(process.look(|lines| {
            let texts = lines.iter().filter_map(|line| line["line"].as_str());
            texts.map(str::to_owned).find(|text| text.starts_with(beginning))
        }))
    })
}

#[test]
fn the_bot_answers_each_message_once() {
    scenario(nodes(1), |c| {
        let map = c.map("bot")?;
        let folder = tempfile::tempdir()?;
        let position = folder.path().join("bot.position");
        said(c, &map, "!help")?;
        let first = bot(c, &map, folder.path())?;
        let begun = wait::until("a position", || Ok(std::fs::read_to_string(&position).ok()))?;
        said(c, &map, "!roll 3d1")?;
        said(c, &map, "roll nothing")?;
        let one = json!(["Ada rolled 3 (1 + 1 + 1)"]);
        answers(c, &map, &one)?;
        drop(first);
        // What is said while it is away is answered when it is back.
        said(c, &map, "!help")?;
        let two = json!(["Ada rolled 3 (1 + 1 + 1)", "I roll dice: !roll 2d6"]);
        let second = bot(c, &map, folder.path())?;
        answers(c, &map, &two)?;
        drop(second);
        // It answers again what it had not noted, and the answers are stored once.
        std::fs::write(&position, begun)?;
        let _third = bot(c, &map, folder.path())?;
        said(c, &map, "!roll 1d1")?;
        answers(c, &map, &json!(["Ada rolled 3 (1 + 1 + 1)", "I roll dice: !roll 2d6", "Ada rolled 1 (1)"]))?;
        // With a position that was lost it would miss messages.
        let elsewhere = tempfile::tempdir()?;
        std::fs::write(elsewhere.path().join("bot.position"), "")?;
        let refused = bot_in(c, &map, elsewhere.path()).output()?;
        ensure!(!refused.status.success() && printed(&refused).contains("is empty"), "{}", printed(&refused));
        Ok(())
    });
}

/// The command that runs the bot in a folder.
fn bot_in(c: &Cluster, map: &Map, folder: &Path) -> Command {
    let mut command = Command::new("python3");
    without_settings(&mut command).arg("-B").arg(example("bot/bot.py")).current_dir(folder);
    command.env("WAYPOST_URL", c.nodes[0].url()).env("WAYPOST_MAP", &map.slug);
    command.env("WAYPOST_TOKEN", &map.token);
    command
}

/// Starts the bot, and waits until it is connected.
fn bot(c: &Cluster, map: &Map, folder: &Path) -> Result<Lines> {
    let bot = Lines::start(&mut bot_in(c, map, folder))?;
    line(&bot, "connected to ")?;
    Ok(bot)
}

fn said(c: &Cluster, map: &Map, text: &str) -> Result<()> {
    publish(c, map, "said", "room-1", json!({"name": "Ada", "text": text})).map(drop)
}

/// Waits until the bot has answered exactly this.
fn answers(c: &Cluster, map: &Map, expected: &Value) -> Result<()> {
    c.wait_until(&format!("the answers {expected}"), |c| {
        let all = crate::relay::stored(c, map)?;
        let own = all.iter().filter(|event| event["payload"]["name"] == "bot");
        let texts = Value::Array(own.map(|event| event["payload"]["text"].clone()).collect());
        ensure!(texts == *expected, "the answers are {texts}");
        Ok(Some(()))
    })
}

#[test]
fn the_dashboard_shows_orders() {
    let Some(chromium) = chromium() else { return };
    // Declared first, so that it is removed last.
    let folder = tempfile::tempdir().unwrap();
    scenario(nodes(1), |c| {
        let map = c.map("dashboard")?;
        let reader = c.token(&map, &["subscribe"])?.1;
        publish(c, &map, "order_placed", "orders-1", json!({"amount": 30}))?;
        let mut pages = Pages::start("dashboard", &chromium, folder.path())?;
        let address =
            |token: &str| format!("index.html#url={}&map={}&token={token}", c.nodes[0].url(), map.slug);
        let (good, bad) = (address(&reader.token), address("wp_wrong"));
        pages.open("good", &good)?;
        pages.shown("good", "#state", "live")?;
        pages.shown("good", "#order_placed", "1")?;
        publish(c, &map, "order_paid", "orders-1", json!({"amount": 30}))?;
        pages.shown("good", "#revenue", "30.00")?;
        c.nodes[0].kill9()?;
        pages.shown("good", "#state", "connecting")?;
        c.start(0)?;
        publish(c, &map, "order_paid", "orders-2", json!({"amount": 12.5}))?;
        pages.shown("good", "#revenue", "42.50")?;
        pages.shown("good", "#order_paid", "2")?;
        let shown = pages.texts("good", "#latest td:nth-child(2)")?;
        ensure!(shown == json!(["orders-2", "orders-1", "orders-1"]), "{shown}");
        pages.open("bad", &bad)?;
        pages.shown("bad", "#note", "Refused: is the token right?")?;
        pages.end()
    });
}

#[test]
fn the_chat_loses_nothing_when_a_node_dies() {
    let Some(chromium) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    scenario(nodes(3), |c| {
        let map = c.map("chat")?;
        c.set_rules(&map, &json!([{"match": "room-*", "client_events": true, "presence": true}]))?;
        let token = json!({"scopes": ["subscribe", "publish", "presence"], "subjects": ["room-*"]});
        let token = c.api(0, &map).post(&map.path("/tokens"), &token)?.data(201)?["token"].clone();
        let token = token.as_str().context("no token")?;
        let mut pages = Pages::start("chat", &chromium, folder.path())?;
        for (name, node) in [("Ada", 0), ("Bob", 1)] {
            let url = c.nodes[node].url();
            let address = format!("index.html#url={url}&map={}&token={token}&name={name}", map.slug);
            pages.open(name, &address)?;
            pages.shown(name, "#state", "connected")?;
        }
        for name in ["Ada", "Bob"] {
            pages.shown(name, "#members", "Ada, Bob")?;
        }
        pages.send("Ada", "hello")?;
        pages.shown("Bob", "#messages li", "Ada: hello")?;
        pages.send("Bob", "hi")?;
        pages.shown("Ada", "#messages li", "Bob: hi")?;
        c.nodes[0].kill9()?;
        pages.shown("Bob", "#members", "Bob")?;
        // A page repeats nothing by itself, so the others must have a leader again.
        publish(c, &map, "leads", "elsewhere", json!({}))?;
        pages.send("Bob", "Ada?")?;
        pages.shown("Bob", "#messages li", "Bob: Ada?")?;
        c.bring_back(0)?;
        pages.shown("Ada", "#messages li", "Bob: Ada?")?;
        pages.shown("Bob", "#members", "Ada, Bob")?;
        for name in ["Ada", "Bob"] {
            let texts = pages.texts(name, "#messages li")?;
            ensure!(texts == json!(["Ada: hello", "Bob: hi", "Bob: Ada?"]), "{name} sees {texts}");
        }
        pages.end()
    });
}

#[test]
fn the_chat_over_pusher_signs_its_members() {
    let Some(chromium) = chromium() else { return };
    let folder = tempfile::tempdir().unwrap();
    scenario(nodes(1), |c| {
        let map = c.map("chat-pusher")?;
        let app = App::of(c, &map)?;
        let copy = tempfile::tempdir()?;
        copy_files(&example("chat-pusher"), copy.path())?;
        packages(&copy.path().join("node_modules"))?;
        let mut command = Command::new("node");
        command.arg("server.mjs").current_dir(copy.path()).env("PORT", "0");
        command.env("PUSHER_APP_ID", &app.id).env("PUSHER_APP_KEY", &app.key);
        command.env("PUSHER_APP_SECRET", &app.secret).env("PUSHER_HOST", c.nodes[0].http.ip().to_string());
        let server = Lines::start(command.env("PUSHER_PORT", c.nodes[0].http.port().to_string()))?;
        let address = line(&server, "http://localhost:")?.replace("localhost", "127.0.0.1");
        let mut pages = Pages::start("chat-pusher", &chromium, folder.path())?;
        for name in ["Ada", "Bob"] {
            pages.open(name, &address.replace("Ada", name))?;
            pages.shown(name, "#state", "connected")?;
        }
        for name in ["Ada", "Bob"] {
            pages.shown(name, "#members", "Ada, Bob")?;
        }
        pages.typed("Ada", "h")?;
        pages.shown("Bob", "#typing", "Ada is typing")?;
        pages.send("Ada", "hello")?;
        for name in ["Ada", "Bob"] {
            pages.shown(name, "#messages li", "Ada: hello")?;
        }
        // What comes to Ada after her own text shows that this did not come a second time.
        pages.send("Bob", "hi")?;
        pages.shown("Ada", "#messages li", "Bob: hi")?;
        let texts = pages.texts("Ada", "#messages li")?;
        ensure!(texts == json!(["Ada: hello", "Bob: hi"]), "{texts}");
        pages.end()
    });
}

#[test]
fn orders_reach_discord_as_the_template_makes_them() {
    scenario(delivering(1), |c| {
        let map = c.map("discord")?;
        let receiver = Receiver::start()?;
        let discord = Discord::default();
        let url = receiver.on("/api/webhooks/1/token", discord.behaviour());
        let settings = tempfile::NamedTempFile::new()?;
        let filter = json!({"filter": {"subjects": ["orders-*"], "expression": "payload.amount >= 10"}});
        std::fs::write(settings.path(), filter.to_string())?;
        let mut command = waypost(&["webhook", "create", &map.slug, "--name", "discord"]);
        command.args(["--profile", "template", "--events", "order_placed,order_paid", "--rate", "5/2s"]);
        command.args(["--retry-ambiguous", "false", "--to", &format!("{url}?wait=true"), "--template"]);
        command.arg(example("discord/message.json")).arg("--settings").arg(settings.path());
        command.env("WAYPOST_URL", c.nodes[0].url()).env("WAYPOST_TOKEN", &map.token);
        let made = command.output()?;
        ensure!(made.status.success(), "{}", printed(&made));
        publish(c, &map, "order_placed", "orders-1", json!({"amount": 5, "customer": "Bob"}))?;
        publish(c, &map, "order_paid", "other", json!({"amount": 50, "customer": "Bob"}))?;
        publish(c, &map, "order_paid", "orders-2", json!({"amount": 30, "customer": "@everyone"}))?;
        publish(c, &map, "order_placed", "orders-3", json!({"amount": 12.5}))?;
        let messages = wait::until("two messages", || {
            Ok(Some(discord.messages()).filter(|messages| messages.len() >= 2))
        })?;
        ensure!(discord.faults().is_empty(), "{:?}", discord.faults());
        ensure!(messages.len() == 2, "{messages:?}");
        let of = |title: &str| {
            let mut embeds = messages.iter().map(|message| &message["embeds"][0]);
            embeds.find(|embed| embed["title"] == title).with_context(|| format!("no {title}: {messages:?}"))
        };
        let (paid, placed) = (of(":moneybag: Order paid")?, of("New order")?);
        ensure!(paid["color"] == 3_066_993 && paid["fields"][1]["value"] == "30.00 €", "{paid}");
        ensure!(paid["description"] != "@everyone", "{paid}");
        ensure!(placed["description"] == "Somebody" && placed["fields"][1]["value"] == "12.50 €", "{placed}");
        Ok(())
    });
}

#[test]
fn the_function_takes_events_with_its_secret_alone() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const FUNCTION: &str = "orders";
    let standin = Standin::with_secret(KEY, SECRET).unwrap();
    scenario(standin.invoked_by(1), |c| {
        let awaited = json!({"invocation_type": "RequestResponse"});
        let (good, bad) = (c.map("function")?, c.map("another-secret")?);
        let made = |map: &Map, secret: &str| {
            invoking(c, map, FUNCTION, awaited.clone(), json!({"profile": "standard", "secret": secret}))
        };
        let (takes, refuses) = (made(&good, SECRET)?, made(&bad, OTHER)?);
        let acks = publish_keys(c, &good, "g", 5)?;
        publish_keys(c, &bad, "b", 1)?;
        takes.wait(c, "all to be delivered", |hook| hook["delivered"] == acks.len())?;
        given_up(c, &refuses, "status", 401)?;
        let verified = standin.calls(FUNCTION).iter().filter(|call| call["verified"] == true).count();
        ensure!(verified >= acks.len(), "{verified} calls were verified");
        Ok(())
    });
}

#[test]
fn orders_of_a_database_become_events() {
    let Some(database) = Postgres::start().unwrap() else { return };
    scenario(nodes(1), |c| {
        let map = c.map("orders")?;
        database.execute(&printed(&waypost(&["relay", "schema"]).output()?))?;
        database.execute(&std::fs::read_to_string(example("outbox/orders.sql"))?)?;
        database.execute("INSERT INTO orders (customer, amount) VALUES ('Ada', 30)")?;
        database.execute("BEGIN; INSERT INTO orders (customer, amount) VALUES ('Eve', 1); ROLLBACK;")?;
        database.execute("UPDATE orders SET customer = 'Ada L.' WHERE id = 1")?;
        database.execute("UPDATE orders SET state = 'paid' WHERE id = 1")?;
        let dsn = database.dsn();
        crate::relay::run(c, &map, &["relay", "postgres", &map.slug, "--dsn", &dsn, "--once"])?;
        let events = crate::relay::stored(c, &map)?;
        let kinds: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
        ensure!(kinds == ["order_placed", "order_paid"], "{events:?}");
        let paid = &events[1];
        ensure!(paid["subject"] == "orders-1" && paid["payload"]["id"] == 1, "{paid}");
        // PostgreSQL writes the amount as 30.00.
        let amount = paid["payload"]["amount"].as_f64();
        ensure!(amount == Some(30.0) && paid["payload"]["customer"] == "Ada L.", "{paid}");
        Ok(())
    });
}
