//! Back ends: npm `pusher` and PyPI `pusher`.

use super::script::Script;
use super::{Backend, client, event, options, subscribe};
use crate::pusher_api::app;
use crate::pusher_support::App;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;

pub(super) fn backend(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "backend")?;
    let mut client = client(c, 0, &app, "ada", &[])?;
    subscribe(&mut client, "news")?;
    subscribe(&mut client, "presence-room")?;
    let mut backend = Backend::at(c, 1, &app)?;
    let one = |channel: &str, data: Value| json!({"channel": channel, "name": "one of many", "data": data});
    let batch = json!([one("news", json!({"n": 1})), one("presence-room", json!("text"))]);
    backend.done(&json!({"do": "batch", "batch": batch}), &json!({}))?;
    ensure!(event(&client, "news", "one of many")?["data"] == json!({"n": 1}));
    ensure!(event(&client, "presence-room", "one of many")?["data"] == "text");
    let info = json!({"info": "user_count,subscription_count"});
    let order = json!({
        "do": "trigger",
        "channels": ["news", "presence-room"],
        "event": "counted",
        "data": {},
        "params": info,
    });
    let counts = json!({"channels": {
        "news": {"subscription_count": 1},
        "presence-room": {"subscription_count": 1, "user_count": 1},
    }});
    backend.done(&order, &counts)?;
    let order = json!({"do": "get", "path": "/channels", "params": {"filter_by_prefix": "presence-"}});
    backend.done(&order, &json!({"channels": {"presence-room": {}}}))?;
    // The socket that caused an event does not get it.
    let socket = client.of("state").iter().find_map(|line| line["socket_id"].as_str().map(str::to_owned));
    let own = json!({
        "do": "trigger",
        "channels": ["news"],
        "event": "own",
        "data": 1,
        "params": {"socket_id": socket},
    });
    backend.done(&own, &json!({}))?;
    backend.trigger(&["news"], "others", &json!(1))?;
    event(&client, "news", "others")?;
    ensure!(!client.of("event").iter().any(|line| line["event"] == "own"), "{}", client.dump());
    let (status, _) = backend.ask(json!({
        "do": "trigger", "channels": ["news"], "event": "large", "data": "x".repeat(20_000),
    }))?;
    ensure!(status == 413, "{status}");
    let wrong = App { secret: "another".to_owned(), ..app.clone() };
    let (status, body) = Backend::at(c, 1, &wrong)?.ask(json!({"do": "get", "path": "/channels"}))?;
    ensure!(status == 401 && body.to_string().contains("invalid_signature"), "{status} {body}");
    Ok(())
}

pub(super) fn python_backend(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "python")?;
    let mut client = client(c, 0, &app, "ada", &[])?;
    for channel in ["news", "presence-room", "private-encrypted-news"] {
        subscribe(&mut client, channel)?;
    }
    let mut backend = Script::start("pusher_backend.py", &options(c, 1, &app))?;
    let batch = json!([{"channel": "news", "name": "batched", "data": [1]}]);
    let both = ["news", "presence-room"];
    let orders = [
        (json!({"do": "trigger", "channels": both, "event": "said", "data": {"ü": 1}}), json!({})),
        (
            json!({"do": "trigger", "channels": "private-encrypted-news", "event": "hidden", "data": "text"}),
            json!({}),
        ),
        (json!({"do": "batch", "batch": batch}), json!({})),
        (
            json!({"do": "channels", "prefix": "presence-", "info": ["user_count"]}),
            json!({"channels": {"presence-room": {"user_count": 1}}}),
        ),
        (
            json!({"do": "channel", "channel": "news", "info": ["subscription_count"]}),
            json!({"occupied": true, "subscription_count": 1}),
        ),
        (json!({"do": "users", "channel": "presence-room"}), json!({"users": [{"id": "ada"}]})),
    ];
    for (n, (order, body)) in (1..).zip(&orders) {
        let answer = backend.ask(n, order.clone())?;
        ensure!(answer["body"] == *body, "{order}: {answer}");
    }
    for channel in ["news", "presence-room"] {
        ensure!(event(&client, channel, "said")?["data"] == json!({"ü": 1}));
    }
    ensure!(event(&client, "private-encrypted-news", "hidden")?["data"] == "text");
    ensure!(event(&client, "news", "batched")?["data"] == json!([1]));
    // The library knows the errors by their statuses.
    let order = json!({"do": "channel", "channel": "news", "info": ["user_count"]});
    ensure!(backend.ask(90, order)?["error"] == "PusherBadRequest");
    let wrong = App { secret: "another".to_owned(), ..app.clone() };
    let mut backend = Script::start("pusher_backend.py", &options(c, 1, &wrong))?;
    let answer = backend.ask(91, json!({"do": "channels"}))?;
    ensure!(answer["error"] == "PusherBadAuth", "{answer}");
    Ok(())
}
