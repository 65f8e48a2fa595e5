//! PyPI `pysher`, which speaks version 6 of the protocol.

use super::script::Script;
use super::{Backend, client, event, options, subscribe};
use crate::pusher_api::app;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;

pub(super) fn pysher(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "pysher")?;
    let mut ada = client(c, 0, &app, "ada", &[])?;
    subscribe(&mut ada, "presence-room")?;
    let mut options = options(c, 1, &app);
    options["user"] = json!({"user_id": "pi", "user_info": {"name": "PI"}});
    options["events"] = json!(["said", "client-moved"]);
    let mut script = Script::start("pysher_client.py", &options)?;
    script.wait("the connection", |line| line["t"] == "connected")?;
    let mut backend = Backend::at(c, 2, &app)?;
    for channel in ["news", "private-news", "presence-room"] {
        script.order(&json!({"do": "subscribe", "channel": channel}))?;
        let is = |line: &Value, event: &str| line["channel"] == channel && line["event"] == event;
        script.wait("a subscription", |line| is(line, "pusher_internal:subscription_succeeded"))?;
        backend.trigger(&[channel], "said", &json!({"in": channel}))?;
        let heard = script.wait("an event", |line| is(line, "said"))?;
        let data: Value = serde_json::from_str(heard["data"].as_str().context("no text")?)?;
        ensure!(data == json!({"in": channel}), "{heard}");
    }
    ensure!(event(&ada, "presence-room", "pusher:member_added")?["data"]["id"] == "pi");
    let moved =
        json!({"do": "trigger", "channel": "presence-room", "event": "client-moved", "data": {"x": 2}});
    script.order(&moved)?;
    let heard = event(&ada, "presence-room", "client-moved")?;
    ensure!(heard["data"] == json!({"x": 2}) && heard["user_id"] == "pi", "{heard}");
    let moved =
        json!({"do": "trigger", "channel": "presence-room", "event": "client-moved", "data": {"x": 3}});
    ada.order(moved)?;
    let heard = script.wait("a client event", |line| line["event"] == "client-moved")?;
    ensure!(heard["data"] == "{\"x\":3}", "{heard}");
    Ok(())
}
