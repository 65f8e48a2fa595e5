//! A filter that becomes narrower: it holds for new events, for what waits to be tried again, and for dead letters
//! that are tried once more. And webhooks that can't deliver, which are shown as failing.

use crate::support::checked;
use crate::webhooks_support::{Hook, any, delivering, keys, map, publish_as, publish_keys, quick};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::Cluster;
use testkit::receiver::{Receiver, behaviour};

/// Settings that choose events of the type `wanted` alone, each in another way.
const NARROWER: [&str; 3] = [
    r#"{"events": ["wanted"]}"#,
    r#"{"filter": "type == 'wanted'"}"#,
    r#"{"filter": "payload.is_wanted == true"}"#,
];
/// The delay before a second attempt that no test waits for.
const HOUR_MS: u64 = 3_600_000;

#[test]
fn a_narrower_filter_holds_for_everything_that_is_still_to_be_sent() {
    checked(
        delivering(3)
            .set("WAYPOST_WEBHOOKS_AWS_FUNCTIONS", "*")
            .set("WAYPOST_WEBHOOKS_DENY_NETS", "127.0.0.5/32"),
        &[
            ("dead letters that are retried", retry_all),
            ("a replay of what failed", replay_failed),
            ("what waits for a retry", waiting),
            ("what a strict order holds up", strict),
            ("a part of a batch", batch),
            ("a webhook that can't deliver is failing", cannot_deliver),
            ("a denied network", denied),
        ],
    );
}

/// Publishes events of both types in turns: their keys are `w0`, `u1`, `w2`, …
fn publish(c: &Cluster, map: &testkit::cluster::Map, count: usize) -> Result<()> {
    for n in 0..count {
        let is_wanted = n % 2 == 0;
        let (kind, key) = if is_wanted { ("wanted", format!("w{n}")) } else { ("unwanted", format!("u{n}")) };
        publish_as(c, map, kind, &key, json!({"is_wanted": is_wanted}))?;
    }
    Ok(())
}

fn wanted(count: usize) -> BTreeSet<String> {
    (0..count).step_by(2).map(|n| format!("w{n}")).collect()
}

fn change(c: &Cluster, hook: &Hook, patch: &str) -> Result<()> {
    any(c, &hook.map)?.patch(&hook.path(""), &serde_json::from_str::<Value>(patch)?)?.data(200).map(drop)
}

/// A webhook of a new map whose receiver fails, and which has six dead letters of both types.
fn with_dead_letters(c: &Cluster, receiver: &Receiver, name: &str) -> Result<Hook> {
    let map = map(c, name)?;
    let path = format!("/{name}");
    let hook =
        Hook::create(c, &map, &receiver.on(&path, behaviour::status(500)), json!({"retry": quick(1)}))?;
    publish(c, &map, 6)?;
    hook.wait_dead_letters(c, 6)?;
    receiver.on(&path, behaviour::healthy());
    receiver.forget(&path);
    Ok(hook)
}

/// Waits until the replay has ended, and checks what it brought.
fn brought_only_wanted(
    c: &Cluster,
    hook: &Hook,
    receiver: &Receiver,
    name: &str,
    replay: &Value,
) -> Result<()> {
    c.wait_until("the end of the replay", |c| {
        Ok((hook.get(c, &format!("/replays/{}", replay["id"]))?["state"] == "done").then_some(()))
    })?;
    let got = keys(receiver, &format!("/{name}"));
    ensure!(got == wanted(6), "{name}: {got:?}");
    let left = hook.wait_dead_letters(c, 3)?;
    ensure!(left.iter().all(|letter| letter["type"] == "unwanted"), "{name}: {left:?}");
    Ok(())
}

fn retry_all(c: &Cluster) -> Result<()> {
    let receiver = Receiver::start()?;
    for (n, patch) in NARROWER.iter().enumerate() {
        let name = format!("retry-all-{n}");
        let hook = with_dead_letters(c, &receiver, &name)?;
        change(c, &hook, patch)?;
        let replay = hook.post(c, "/dead-letters/retry", &json!({}))?;
        brought_only_wanted(c, &hook, &receiver, &name, &replay)?;
        // An event that is named comes all the same.
        let left = hook.get(c, "/dead-letters?limit=10")?;
        let id = left[0]["id"].as_str().unwrap_or_default().to_owned();
        hook.post(c, &format!("/dead-letters/{id}/retry"), &json!({}))?;
        receiver.wait_events(&format!("/{name}"), 4)?;
    }
    Ok(())
}

fn replay_failed(c: &Cluster) -> Result<()> {
    let receiver = Receiver::start()?;
    for (n, patch) in NARROWER.iter().enumerate() {
        let name = format!("replay-failed-{n}");
        let hook = with_dead_letters(c, &receiver, &name)?;
        change(c, &hook, patch)?;
        let asked = json!({"failed_only": true, "since": "2000-01-01T00:00:00Z"});
        let replay = hook.post(c, "/replay", &asked)?;
        brought_only_wanted(c, &hook, &receiver, &name, &replay)?;
    }
    Ok(())
}

fn slow_retries() -> Value {
    json!({"max_attempts": 5, "delay_ms": HOUR_MS, "factor": 1, "max_delay_ms": HOUR_MS, "jitter": 0})
}

fn waiting(c: &Cluster) -> Result<()> {
    let receiver = Receiver::start()?;
    for (n, patch) in NARROWER.iter().enumerate() {
        let name = format!("waiting-{n}");
        let (map, path) = (map(c, &name)?, format!("/{name}"));
        let url = receiver.on(&path, behaviour::status(500));
        let hook = Hook::create(c, &map, &url, json!({"retry": slow_retries()}))?;
        publish(c, &map, 4)?;
        hook.wait(c, "four retries", |hook| hook["retrying"] == 4)?;
        receiver.on(&path, behaviour::healthy());
        change(c, &hook, patch)?;
        // The unwanted ones go at once, although their next attempt is an hour away.
        hook.wait(c, "two retries", |hook| hook["retrying"] == 2)?;
        hook.post(c, "/enable", &json!({}))?;
        hook.wait_settled(c)?;
        let got = keys(&receiver, &path);
        ensure!(got == wanted(4), "{name}: {got:?}");
        ensure!(hook.show(c)?["dead_letters"] == 0, "{name}: unwanted events were given up");
    }
    Ok(())
}

fn strict(c: &Cluster) -> Result<()> {
    let receiver = Receiver::start()?;
    let map = map(c, "strict-filter")?;
    let url = receiver.on("/s", behaviour::poisoned_by("poison"));
    let hook = Hook::create(c, &map, &url, json!({"ordering": "strict", "retry": slow_retries()}))?;
    publish_as(c, &map, "unwanted", "poison", json!({}))?;
    publish_as(c, &map, "wanted", "behind", json!({}))?;
    hook.wait(c, "a retry", |hook| hook["retrying"] == 1)?;
    change(c, &hook, NARROWER[0])?;
    receiver.wait_events("/s", 1)?;
    ensure!(keys(&receiver, "/s") == BTreeSet::from(["behind".to_owned()]), "{}", receiver.dump("/s"));
    Ok(())
}

fn batch(c: &Cluster) -> Result<()> {
    let receiver = Receiver::start()?;
    let map = map(c, "batch-filter")?;
    let url = receiver.on("/b", behaviour::status(500));
    let more = json!({"batch": {"max": 8, "duration_ms": 1500}, "retry": slow_retries()});
    let hook = Hook::create(c, &map, &url, more)?;
    publish(c, &map, 8)?;
    hook.wait(c, "eight retries", |hook| hook["retrying"] == 8)?;
    receiver.on("/b", behaviour::healthy());
    change(c, &hook, NARROWER[1])?;
    hook.wait(c, "four retries", |hook| hook["retrying"] == 4)?;
    hook.post(c, "/enable", &json!({}))?;
    hook.wait_settled(c)?;
    ensure!(keys(&receiver, "/b") == wanted(8), "{}", receiver.dump("/b"));
    Ok(())
}

/// Whatever keeps a webhook from delivering, it is not healthy, and its error says why.
fn cannot_deliver(c: &Cluster) -> Result<()> {
    let receiver = Receiver::start()?;
    let map = map(c, "cannot")?;
    let url = |path: &str, status| receiver.on(path, behaviour::status(status));
    let broken = r#"{"x": "${int(payload.key)}"}"#;
    for (body, publishes, part) in [
        // The nodes have no credentials. That is known before the first event.
        (json!({"lambda": {"function_name": "f", "region": "eu-west-1"}}), false, "credentials"),
        (json!({"url": url("/400", 400)}), true, "400"),
        (json!({"url": url("/422", 422)}), true, "422"),
        (json!({"url": url("/500", 500)}), true, "500"),
        (json!({"url": url("/t", 200), "profile": "template", "template": broken}), true, "template"),
    ] {
        let mut body = body;
        body["retry"] = quick(2);
        let hook = Hook::make(c, &map, &body)?;
        if publishes {
            ensure!(hook.show(c)?["state"] == "healthy", "it has not tried anything");
            publish_keys(c, &map, "c", 1)?;
        }
        let is_told = |hook: &Value| {
            hook["state"] == "failing"
                && hook["last_error"].as_str().is_some_and(|error| error.contains(part))
        };
        hook.wait(c, &format!("a failing webhook: {part}"), is_told)?;
    }
    Ok(())
}

fn denied(c: &Cluster) -> Result<()> {
    let map = map(c, "denied")?;
    let api = any(c, &map)?;
    let path = format!("/api/maps/{}/webhooks", map.id);
    for url in ["http://127.0.0.5:9/", "http://[::ffff:127.0.0.5]:9/"] {
        let refused = api.post(&path, &json!({"url": url}))?.expect(400)?.json()?;
        let error = &refused["errors"][0];
        ensure!(error["field"] == "url" && error["code"] == "not_allowed", "{refused}");
        ensure!(error["message"].as_str().is_some_and(|text| text.contains("deny_nets")), "{refused}");
    }
    api.post(&path, &json!({"url": "http://127.0.0.6:9/"}))?.expect(201)?;
    Ok(())
}
