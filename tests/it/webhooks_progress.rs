//! Events that can't be delivered hold up no others, and operators' commands respect requests under way: with
//! real receivers.

use crate::support::{checked, scenario};
use crate::webhooks_support::{Hook, any, delivering, map};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::receiver::tally::distinct;
use testkit::receiver::{Behaviour, Receiver, Reply, Request, behaviour};
use testkit::wait;

#[test]
fn webhooks_continue_with_events_that_can_be_delivered() {
    checked(
        delivering(1),
        &[
            ("a failing key delays its own events only", failing_key),
            ("a failing type stops no other", failing_type),
            ("an event skipped while under way stays skipped", skipped_under_way),
            ("a replay is cancelled while another runs", cancelled_beside),
            ("a filter is changed while a replay runs", filtered_beside),
        ],
    );
}

/// Publishes `n` events of that type with that payload, each with a key of its own.
fn publish(c: &Cluster, map: &Map, kind: &str, prefix: &str, n: usize, payload: &Value) -> Result<()> {
    let events: Vec<Value> = (0..n)
        .map(|i| {
            let mut payload = payload.clone();
            payload["key"] = json!(format!("{prefix}{i}"));
            json!({"type": kind, "payload": payload})
        })
        .collect();
    for events in events.chunks(500) {
        c.publish(c.up()?, map, &json!({"events": events}))?;
    }
    Ok(())
}

/// A receiver that refuses events whose key has that prefix, with that status.
fn refusing(prefix: &'static str, status: u16) -> Behaviour {
    Box::new(move |request: &Request| {
        let bad = request.events.iter().any(|event| event.key.starts_with(prefix));
        Reply::new(if bad { status } else { 200 })
    })
}

fn good(receiver: &Receiver, path: &str) -> usize {
    let accepted = receiver.accepted(path);
    let keys: BTreeSet<&str> =
        accepted.iter().flat_map(|r| &r.events).map(|event| event.key.as_str()).collect();
    keys.into_iter().filter(|key| key.starts_with("good")).count()
}

/// Retry settings with which the attempts of an event take longer than the test.
fn patient() -> Value {
    json!({"max_attempts": 30, "delay_ms": 60_000, "factor": 2, "max_delay_ms": 3_600_000, "jitter": 0})
}

fn failing_key(c: &Cluster) -> Result<()> {
    let map = map(c, "failing-key")?;
    let receiver = Receiver::start()?;
    let url = receiver.on("/k", refusing("bad", 500));
    let order = json!({"ordering": "key", "ordering_key": "payload.group", "retry": patient()});
    let hook = Hook::create(c, &map, &url, order)?;
    publish(c, &map, "x", "bad", 400, &json!({"group": "bad"}))?;
    receiver.wait("/k", "a failure", |requests| !requests.is_empty())?;
    publish(c, &map, "x", "good", 20, &json!({"group": "good"}))?;
    wait::until("all events of the other key", || Ok((good(&receiver, "/k") == 20).then_some(())))?;
    let bad = receiver.requests("/k").iter().filter(|request| request.status == 500).count();
    ensure!(bad < 5, "{bad} requests for the key that fails");
    hook.wait(c, "the rest to be waiting", |hook| hook["queue_depth"].as_u64() >= Some(400))?;
    ensure!(hook.show(c)?["active"] == true, "the webhook is disabled");
    Ok(())
}

fn failing_type(c: &Cluster) -> Result<()> {
    for (slug, status) in [("failing-type-400", 400), ("failing-type-500", 500)] {
        let map = map(c, slug)?;
        let receiver = Receiver::start()?;
        let url = receiver.on("/t", refusing("bad", status));
        Hook::create(c, &map, &url, json!({"retry": patient()}))?;
        publish(c, &map, "bad_type", "bad", 1300, &json!({}))?;
        receiver.wait("/t", "failures", |requests| requests.len() >= if status == 400 { 1100 } else { 5 })?;
        publish(c, &map, "good_type", "good", 100, &json!({}))?;
        // Pauses for the failing receiver, and a busy machine, take their time; the failing events take an
        // hour.
        let all = || Ok((good(&receiver, "/t") == 100).then_some(()));
        wait::until_for(4 * wait::LIMIT, "all events of the other type", all)?;
    }
    Ok(())
}

fn skipped_under_way(c: &Cluster) -> Result<()> {
    let map = map(c, "skipped")?;
    let receiver = Receiver::start()?;
    let slow_failure = |request: &Request| {
        let skipped = request.events.iter().any(|event| event.key.starts_with("skipped"));
        if skipped { Reply::new(500).after(Duration::from_secs(3)) } else { Reply::new(200) }
    };
    let url = receiver.on("/s", Box::new(slow_failure));
    let hook = Hook::create(c, &map, &url, json!({"ordering": "strict", "retry": patient()}))?;
    publish(c, &map, "x", "skipped", 1, &json!({}))?;
    wait::until("a request under way", || Ok((receiver.peak("/s") > 0).then_some(())))?;
    hook.post(c, "/enable", &json!({"from": "skip"}))?;
    publish(c, &map, "x", "good", 3, &json!({}))?;
    wait::until("the later events", || Ok((good(&receiver, "/s") == 3).then_some(())))?;
    let shown =
        hook.wait(c, "no event to be waiting", |hook| hook["retrying"] == 0 && hook["queue_depth"] == 0)?;
    ensure!(shown["dead_letters"] == 1, "{shown}");
    let dead_letter = hook.wait_dead_letters(c, 1)?;
    ensure!(dead_letter[0]["class"] == "skipped", "{dead_letter:?}");
    Ok(())
}

fn replayed(c: &Cluster, slug: &str, beside: impl FnOnce(&Hook) -> Result<()>) -> Result<()> {
    let map = map(c, slug)?;
    let receiver = Receiver::start()?;
    publish(c, &map, "x", "good", 100, &json!({}))?;
    let url = receiver.on("/r", behaviour::slow(Duration::from_millis(300)));
    let hook = Hook::create(c, &map, &url, json!({}))?;
    let replay = hook.post(c, "/replay", &json!({"since": "2000-01-01T00:00:00Z"}))?;
    receiver.wait("/r", "the middle of the replay", |requests| requests.len() >= 20)?;
    beside(&hook)?;
    let path = format!("/replays/{}", replay["id"].as_str().map_or(replay["id"].to_string(), str::to_owned));
    c.wait_until("the end of the replay", |c| Ok((hook.get(c, &path)?["state"] == "done").then_some(())))?;
    let requests = receiver.requests("/r");
    ensure!(distinct(&requests) == 100, "{} of 100", distinct(&requests));
    ensure!(requests.len() == 100, "{} requests for 100 events", requests.len());
    Ok(())
}

fn cancelled_beside(c: &Cluster) -> Result<()> {
    replayed(c, "cancelled", |hook| {
        let other = hook.post(c, "/replay", &json!({"since": "2000-01-01T00:00:00Z"}))?;
        // By now the owner has taken it up, so it must be asked to stop.
        let id = other["id"].as_str().map_or(other["id"].to_string(), str::to_owned);
        std::thread::sleep(Duration::from_millis(400));
        let status = hook.delete(c, &format!("/replays/{id}"))?;
        ensure!(matches!(status, 200 | 202 | 204), "{status}");
        Ok(())
    })
}

fn filtered_beside(c: &Cluster) -> Result<()> {
    replayed(c, "filtered", |hook| {
        let changed = any(c, &hook.map)?.patch(&hook.path(""), &json!({"events": ["x", "y"]}))?.data(200)?;
        ensure!(changed["events"] == json!(["x", "y"]), "{changed}");
        Ok(())
    })
}

/// A node that returns takes over its webhooks only after the requests under way on other nodes have ended.
#[test]
fn a_returning_node_repeats_no_delivery() {
    scenario(delivering(3), |c| {
        let map = map(c, "return")?;
        let receiver = Receiver::start()?;
        let hooks = (0..12)
            .map(|i| {
                let url = receiver.on(&format!("/{i}"), behaviour::slow(Duration::from_millis(700)));
                Hook::create(c, &map, &url, json!({}))
            })
            .collect::<Result<Vec<_>>>()?;
        publish(c, &map, "x", "first", 10, &json!({}))?;
        // The cluster knows of all deliveries, so stopping the node repeats none: repetitions are due to its
        // return.
        hooks
            .iter()
            .try_for_each(|hook| hook.wait(c, "ten deliveries", |hook| hook["delivered"] == 10).map(drop))?;
        let node = hooks[0].owner(c)?;
        let exit = c.nodes[node].stop(wait::LIMIT)?;
        ensure!(exit.code() == Some(0), "{exit}");
        publish(c, &map, "x", "then", 150, &json!({}))?;
        c.bring_back(node)?;
        let back = c.status(node)?["node_id"].clone();
        c.wait_until("the node to have its webhook again", |c| {
            Ok((hooks[0].show(c)?["owner"] == back).then_some(()))
        })?;
        let mut again = Vec::new();
        for i in 0..12 {
            let path = format!("/{i}");
            receiver.wait_events(&path, 160)?;
            let requests = receiver.requests(&path);
            again.push(requests.len() - distinct(&requests));
        }
        println!("repeated events by webhook: {again:?}");
        ensure!(again.iter().sum::<usize>() < 5, "repeated events by webhook: {again:?}");
        Ok(())
    });
}
