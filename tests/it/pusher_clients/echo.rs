//! npm `laravel-echo`, as a page of Laravel uses it.

use super::{Backend, line, options};
use crate::pusher_api::app;
use anyhow::{Result, ensure};
use serde_json::json;
use testkit::Cluster;
use testkit::clients::Js;

pub(super) fn echo(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "echo")?;
    let page = |node: usize, user: &str| {
        let mut options = options(c, node, &app);
        options["user"] = json!({"id": user, "info": {"name": user}});
        Js::echo(options)
    };
    let mut ada = page(0, "ada")?;
    let mut backend = Backend::at(c, 1, &app)?;
    // What Laravel calls the event class is in the namespace that Echo adds.
    let class = "App\\Events\\OrderShipped";
    for (order, name) in
        [("listen", "orders"), ("private", "private-orders"), ("encrypted", "private-encrypted-orders")]
    {
        ada.order(json!({"do": order, "channel": "orders", "event": "OrderShipped"}))?;
        // Echo names a channel without its prefix, so each kind has its own number of lines.
        let before = ada.of("event").len();
        ada.wait_for("subscribed", before + 1)?;
        backend.trigger(&[name], class, &json!({"via": name}))?;
        let heard = ada.wait_for("event", before + 1)?;
        ensure!(heard["data"] == json!({"via": name}), "{heard}");
    }
    ada.order(json!({"do": "join", "channel": "room", "event": ".said"}))?;
    ensure!(ada.wait_for("here", 1)?["users"] == json!([{"name": "ada"}]));
    let mut bob = page(2, "bob")?;
    bob.order(json!({"do": "join", "channel": "room", "event": ".said"}))?;
    let here = bob.wait_for("here", 1)?;
    ensure!(here["users"].as_array().is_some_and(|users| users.len() == 2), "{here}");
    ensure!(ada.wait_for("joining", 1)?["user"] == json!({"name": "bob"}));
    bob.order(json!({"do": "whisper", "channel": "room", "event": "typing", "data": {"is": true}}))?;
    ensure!(ada.wait_for("whisper", 1)?["data"] == json!({"is": true}));
    backend.trigger(&["presence-room"], "said", &json!("hello"))?;
    for page in [&ada, &bob] {
        line(page, "event", |line| line["channel"] == "room" && line["data"] == "hello")?;
    }
    bob.order(json!({"do": "leave", "channel": "room"}))?;
    ensure!(ada.wait_for("leaving", 1)?["user"] == json!({"name": "bob"}));
    Ok(())
}
