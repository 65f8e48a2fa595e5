//! The flow of deliveries: filters, batches and how refused ones are split, rates and pauses, order.

use crate::support::checked;
use crate::webhooks_support::{Hook, delivering, holds, map, publish_as, publish_keys, quick};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::Cluster;
use testkit::receiver::behaviour::RetryAfter;
use testkit::receiver::tally::{check_delivered, check_order, distinct};
use testkit::receiver::{Behaviour, Receiver, Reply, Request, behaviour, now_ms};

#[test]
fn deliveries_follow_the_settings_of_their_webhook() {
    checked(
        delivering(3),
        &[
            ("only matching events are delivered", filters),
            ("a poison event is isolated", poison),
            ("413 splits", too_large),
            ("a rate is kept", rate),
            ("Retry-After is obeyed", retry_after),
            ("no storm of refusals", no_storm),
            ("deliveries recover from a short outage", outage),
            ("events of a key wait for each other", key_order),
            ("strict order waits, and reports a gap", strict_order),
        ],
    );
}

/// An alert on kills of high value, and type patterns.
fn filters(c: &Cluster) -> Result<()> {
    let map = map(c, "filters")?;
    let receiver = Receiver::start()?;
    let url = receiver.on("/rich", behaviour::healthy());
    Hook::create(c, &map, &url, json!({"events": ["map_*"], "filter": "payload.value > 1e9"}))?;
    let url = receiver.on("/connections", behaviour::healthy());
    Hook::create(c, &map, &url, json!({"events": ["connection_added", "connection_r*"]}))?;
    let values =
        [json!(5), json!(2e9), json!(1e9), json!("2e9"), json!(null), json!(1_000_000_001u64), json!({})];
    for (i, value) in values.iter().enumerate() {
        publish_as(c, &map, "map_kill", &format!("kill{i}"), json!({"value": value}))?;
        publish_as(c, &map, "connection_added", &format!("value{i}"), json!({"value": value}))?;
        publish_as(c, &map, "connection_updated", &format!("update{i}"), json!({"value": value}))?;
    }
    publish_as(c, &map, "map_kill", "none", json!({}))?;
    publish_as(c, &map, "connection_removed", "last", json!({}))?;
    publish_as(c, &map, "map_kill", "last", json!({"value": 1e12}))?;
    for (path, expected) in [
        ("/rich", vec!["kill1", "kill5", "last"]),
        ("/connections", vec!["last", "value0", "value1", "value2", "value3", "value4", "value5", "value6"]),
    ] {
        let requests = receiver.wait_events(path, expected.len())?;
        let mut keys: Vec<&str> = requests.iter().flat_map(|r| &r.events).map(|e| e.key.as_str()).collect();
        keys.sort_unstable();
        // Delivery is at least once: some events come again while the nodes of a new cluster take up their
        // shares.
        keys.dedup();
        ensure!(keys == expected, "{path} got {keys:?}");
    }
    Ok(())
}

fn poison(c: &Cluster) -> Result<()> {
    let map = map(c, "poison")?;
    let receiver = Receiver::start()?;
    let url = receiver.on("/p", behaviour::poisoned_by("poison"));
    let hook =
        Hook::create(c, &map, &url, json!({"batch": {"max": 20, "duration_ms": 500}, "retry": quick(2)}))?;
    let mut acks = publish_keys(c, &map, "good", 7)?;
    let poison = publish_as(c, &map, "x", "poison", json!({}))?;
    acks.extend(publish_keys(c, &map, "fine", 12)?);
    receiver.wait_events("/p", acks.len())?;
    let dead_letters = hook.wait_dead_letters(c, 1)?;
    ensure!(dead_letters[0]["id"] == poison.id && dead_letters[0]["status"] == 400, "{dead_letters:?}");
    let requests = receiver.requests("/p");
    check_delivered("around the poison", &requests, &acks)?;
    ensure!(requests.iter().any(|r| r.events.len() > 4), "nothing came in batches");
    ensure!(hook.show(c)?["state"] == "healthy", "one bad event made the webhook unhealthy");
    Ok(())
}

fn too_large(c: &Cluster) -> Result<()> {
    let map = map(c, "large")?;
    let receiver = Receiver::start()?;
    let url = receiver.on("/l", behaviour::at_most(3));
    let hook =
        Hook::create(c, &map, &url, json!({"batch": {"max": 16, "duration_ms": 300}, "retry": quick(1)}))?;
    let acks = publish_keys(c, &map, "l", 16)?;
    let requests = receiver.wait_events("/l", acks.len())?;
    check_delivered("split", &requests, &acks)?;
    ensure!(requests.iter().any(|r| r.status == 413), "there was nothing to split");
    hook.wait_settled(c)?;
    ensure!(hook.show(c)?["dead_letters"] == 0, "splitting used up attempts");
    Ok(())
}

fn rate(c: &Cluster) -> Result<()> {
    let map = map(c, "rate")?;
    let receiver = Receiver::start()?;
    let began_ms = now_ms();
    let limit = json!({"rate_limit": {"requests": 5, "period_ms": 1000}});
    Hook::create(c, &map, &receiver.on("/r", behaviour::healthy()), limit)?;
    let acks = publish_keys(c, &map, "r", 30)?;
    let requests = receiver.wait_events("/r", acks.len())?;
    // A full bucket of 5, then one every 200 ms. A busy machine makes requests late, never early.
    for (i, request) in requests.iter().enumerate() {
        let earliest_ms = began_ms + (i as u64 + 1).saturating_sub(5) * 200;
        ensure!(
            request.at_ms + 100 >= earliest_ms,
            "request {i} came {} ms too early",
            earliest_ms - request.at_ms
        );
    }
    Ok(())
}

fn retry_after(c: &Cluster) -> Result<()> {
    let map = map(c, "retry-after")?;
    let receiver = Receiver::start()?;
    let cases = [("/seconds", RetryAfter::Seconds(3), 2900), ("/date", RetryAfter::Date(4), 2900)];
    let mut hooks = Vec::new();
    for (path, wish, _) in cases {
        // One attempt is enough: waiting uses up none.
        let url = receiver.on(path, behaviour::busy(2, wish));
        hooks.push(Hook::create(c, &map, &url, json!({"retry": quick(1), "ordering": "strict"}))?);
    }
    let acks = publish_keys(c, &map, "w", 5)?;
    for (hook, (path, _, pause_ms)) in hooks.iter().zip(cases) {
        let requests = receiver.wait_events(path, acks.len())?;
        let statuses: Vec<u16> = requests.iter().map(|r| r.status).collect();
        // An accepted event may come again.
        let taken =
            statuses.strip_prefix(&[429, 429]).is_some_and(|rest| rest.iter().all(|status| *status == 200));
        ensure!(taken, "{path}: {statuses:?}");
        for pair in requests.windows(2).take(2) {
            let paused = pair[1].at_ms - pair[0].at_ms;
            ensure!(paused >= pause_ms, "{path}: again after {paused} ms");
        }
        check_delivered(path, &requests, &acks)?;
        ensure!(hook.show(c)?["dead_letters"] == 0, "{path}: waiting used up attempts");
    }
    // The pause holds for the whole webhook: only requests under way may still arrive.
    let url = receiver.on("/all", behaviour::busy(1, RetryAfter::Seconds(3)));
    let hook = Hook::create(c, &map, &url, json!({}))?;
    publish_keys(c, &map, "first", 1)?;
    c.wait_until("the refusal to be noted", |c| {
        let attempts = hook.get(c, "/attempts")?;
        Ok(attempts.as_array().is_some_and(|a| a.iter().any(|a| a["status"] == 429)).then_some(()))
    })?;
    publish_keys(c, &map, "others", 5)?;
    let requests = receiver.wait_events("/all", 6)?;
    let paused = requests[1].at_ms - requests[0].at_ms;
    ensure!(paused >= 2900, "another event came {paused} ms after the refusal");
    Ok(())
}

/// A receiver that keeps answering "later" gets one request at a time, not a whole window.
fn no_storm(c: &Cluster) -> Result<()> {
    let map = map(c, "storm")?;
    let receiver = Receiver::start()?;
    let url = receiver.on("/b", behaviour::busy(usize::MAX, RetryAfter::Seconds(1)));
    Hook::create(c, &map, &url, json!({}))?;
    publish_keys(c, &map, "b", 60)?;
    let requests = receiver.wait("/b", "some pauses", |requests| {
        let first = requests.first();
        let last = requests.last();
        first.zip(last).is_some_and(|(first, last)| last.at_ms - first.at_ms > 4500)
    })?;
    // The first window of 16 at once, once more if another node takes over, then few requests in each pause
    // of a second. A window in each pause would be five times as many.
    let seconds = (requests[requests.len() - 1].at_ms - requests[0].at_ms) as usize / 1000;
    let most = 2 * 16 + 4 * (seconds + 1);
    ensure!(requests.len() <= most, "{} requests in {seconds} s, not at most {most}", requests.len());
    Ok(())
}

/// A whole window fails at once, then the receiver is healthy.
fn outage(c: &Cluster) -> Result<()> {
    let map = map(c, "outage")?;
    let receiver = Receiver::start()?;
    let url = receiver.on("/o", behaviour::recovering(16, 503));
    Hook::create(c, &map, &url, json!({"retry": quick(5)}))?;
    let acks = publish_keys(c, &map, "o", 40)?;
    receiver.wait("/o", "all after an outage", |requests| distinct(requests) == acks.len()).map(|_| ())
}

/// A receiver that refuses the requests for which `sick` holds, while the switch is on.
fn switched(on: &Arc<AtomicBool>, sick: impl Fn(&Request) -> bool + Send + 'static) -> Behaviour {
    let on = on.clone();
    Box::new(move |request| Reply::new(if on.load(Ordering::Relaxed) && sick(request) { 500 } else { 200 }))
}

fn key_order(c: &Cluster) -> Result<()> {
    let map = map(c, "keys")?;
    let receiver = Receiver::start()?;
    let sick = Arc::new(AtomicBool::new(true));
    let url =
        receiver.on("/k", switched(&sick, |request| request.events.iter().any(|e| e.key.starts_with('a'))));
    let order = json!({"ordering": "key", "ordering_key": "payload.lane", "retry": quick(100)});
    Hook::create(c, &map, &url, order)?;
    let mut acks = Vec::new();
    for i in 0..10 {
        for lane in ["a", "b", "c"] {
            acks.push(publish_as(c, &map, "x", &format!("{lane}{i}"), json!({"lane": lane}))?);
        }
    }
    let requests = receiver.wait_events("/k", 20)?;
    let waiting: Vec<_> =
        requests.iter().filter(|r| r.status == 500).map(|r| r.events[0].key.as_str()).collect();
    ensure!(!waiting.is_empty() && waiting.iter().all(|k| *k == "a0"), "out of turn: {waiting:?}");
    sick.store(false, Ordering::Relaxed);
    let requests = receiver.wait_events("/k", acks.len())?;
    check_delivered("keys", &requests, &acks)?;
    let mut lanes: BTreeMap<char, Vec<Request>> = BTreeMap::new();
    for request in requests {
        let lane = request.events[0].key.chars().next().context("no key")?;
        lanes.entry(lane).or_default().push(request);
    }
    ensure!(lanes.len() == 3, "{:?}", lanes.keys());
    lanes.iter().try_for_each(|(lane, requests)| check_order(&format!("lane {lane}"), requests))
}

fn strict_order(c: &Cluster) -> Result<()> {
    let map = map(c, "strict")?;
    let receiver = Receiver::start()?;
    let sick = Arc::new(AtomicBool::new(true));
    let url = receiver.on("/s", switched(&sick, |_| true));
    Hook::create(c, &map, &url, json!({"ordering": "strict", "retry": quick(100)}))?;
    let acks = publish_keys(c, &map, "s", 20)?;
    receiver.wait("/s", "three attempts", |requests| requests.len() >= 3)?;
    let requests = receiver.requests("/s");
    ensure!(requests.iter().all(|r| r.events[0].key == "s0"), "one overtook: {}", receiver.dump("/s"));
    sick.store(false, Ordering::Relaxed);
    let requests = receiver.wait_events("/s", acks.len())?;
    check_order("strict", &requests)?;
    ensure!(receiver.peak("/s") == 1, "{} requests at once", receiver.peak("/s"));

    let url = receiver.on("/gap", behaviour::poisoned_by("g2"));
    let hook = Hook::create(c, &map, &url, json!({"ordering": "strict", "retry": quick(2)}))?;
    let acks = publish_keys(c, &map, "g", 5)?;
    let requests = receiver.wait_events("/gap", 4)?;
    check_order("with a gap", &requests)?;
    hook.wait_dead_letters(c, 1)?;
    let mut known = BTreeSet::new();
    let first = |r: &&Request| r.is_accepted() && known.insert(r.id().to_owned());
    let gaps: Vec<Option<&str>> = requests.iter().filter(first).map(|r| r.header("webhook-gap")).collect();
    ensure!(gaps == [None, None, Some(acks[2].id.as_str()), None], "gaps: {gaps:?}");
    holds(Duration::from_millis(300), "more events came than expected", || {
        Ok(distinct(&receiver.requests("/gap")) == 4)
    })
}
