//! A replay survives its owner: it continues where it was, and few events come again.
//!
//! By hand: `WAYPOST_TEST_REPLAY` sets the number of events (3,000).

use crate::support::{scale, scenario};
use crate::webhooks_support::{Hook, delivering, map, publish_keys};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::receiver::tally::{check_delivered, distinct};
use testkit::receiver::{Receiver, behaviour};
use testkit::wait;

/// The events that may come again because the node comes back, besides those that were not reported when the
/// owner died: a batch of reports (256) and a window (16), twice for a late report.
const AGAIN: usize = 600;

#[test]
fn a_replay_survives_its_owner() {
    let events = scale("WAYPOST_TEST_REPLAY", 3000) as usize;
    scenario(delivering(3), |cluster| {
        let map = map(cluster, "replay")?;
        let receiver = Receiver::start()?;
        let acks = publish_keys(cluster, &map, "r", events)?;
        let url = receiver.on("/r", behaviour::slow(Duration::from_millis(10)));
        let hook = Hook::create(cluster, &map, &url, json!({}))?;
        let replay = hook.post(cluster, "/replay", &json!({"since": "2000-01-01T00:00:00Z"}))?;
        let id = replay["id"].clone();
        ensure!(replay["from_seq"] == 1 && replay["failed_only"] == false, "{replay}");

        let limit = Duration::from_secs(60 + events as u64 / 100);
        let until = |what: &str, n: usize| {
            wait::until_for(limit, what, || Ok((distinct(&receiver.requests("/r")) >= n).then_some(())))
        };
        until("a third of the events", events / 3)?;
        let before = show(cluster, &hook, &id)?;
        let victim = hook.owner(cluster)?;
        cluster.nodes[victim].kill9()?;
        let killed = Instant::now();
        let at_death = distinct(&receiver.requests("/r"));
        until("more events", (at_death + 50).min(events))?;
        println!("{at_death} of {events} when the owner died, resumed after {:?}", killed.elapsed());
        let after = show(cluster, &hook, &id)?;
        ensure!(number(&after)? >= number(&before)?, "the progress went back: {before} to {after}");
        cluster.bring_back(victim)?;

        until("all events", events)?;
        let done = cluster.wait_until("the end of the replay", |c| {
            let replay = show(c, &hook, &id)?;
            Ok((replay["state"] == "done").then_some(replay))
        })?;
        ensure!(done["progress"].as_f64() == Some(1.0) && done["failed"] == 0, "{done}");
        ensure!(done["delivered"].as_u64() >= Some(events as u64), "{done}");
        let tally = check_delivered("replay", &receiver.requests("/r"), &acks)?;
        println!("{tally}");
        let reported = before["delivered"].as_u64().context("no count of deliveries")? as usize;
        let most = at_death.saturating_sub(reported) + AGAIN;
        ensure!(
            tally.duplicates <= most,
            "{} came again, {reported} of {at_death} were reported",
            tally.duplicates
        );
        others(cluster, &hook, &receiver, &acks)
    });
}

/// Other kinds of replay: of named events, after an id, and one that is cancelled.
fn others(c: &Cluster, hook: &Hook, receiver: &Receiver, acks: &[testkit::publisher::Ack]) -> Result<()> {
    receiver.forget("/r");
    let named = [acks[5].clone(), acks[9].clone()];
    hook.post(c, "/replay", &json!({"event_ids": [named[0].id, named[1].id]}))?;
    let requests = receiver.wait_events("/r", 2)?;
    check_delivered("by name", &requests, &named)?;

    receiver.forget("/r");
    let from = acks.len() - 4;
    hook.post(c, "/replay", &json!({"after": acks[from].id}))?;
    let after = &acks[from + 1..];
    receiver.wait("/r", "the events after an id", |requests| {
        check_delivered("after an id", requests, after).is_ok()
    })?;
    std::thread::sleep(Duration::from_millis(300));
    // The named events may come again.
    let asked = |id: &str| named.iter().chain(after).any(|ack| ack.id == id);
    let requests = receiver.requests("/r");
    ensure!(requests.iter().flat_map(|r| &r.events).all(|e| asked(&e.id)), "{}", receiver.dump("/r"));

    receiver.on("/r", behaviour::slow(Duration::from_millis(500)));
    let replay = hook.post(c, "/replay", &json!({"since": "2000-01-01T00:00:00Z"}))?;
    let id = replay["id"].clone();
    receiver.wait("/r", "the beginning of the replay", |requests| requests.len() > 5)?;
    let path = format!("/replays/{}", text(&id));
    ensure!(matches!(hook.delete(c, &path)?, 200 | 202 | 204), "the replay can't be cancelled");
    c.wait_until("the replay to be cancelled", |c| {
        Ok((show(c, hook, &id)?["state"] == "cancelled").then_some(()))
    })?;
    // The owner hears of it a moment later, and requests under way still arrive.
    wait::until("the end of its requests", || {
        let count = receiver.count("/r");
        std::thread::sleep(Duration::from_millis(1500));
        Ok((receiver.count("/r") == count).then_some(()))
    })?;
    ensure!(distinct(&receiver.requests("/r")) < acks.len(), "the replay went on to its end");
    let listed = hook.get(c, "/replays")?;
    ensure!(listed.as_array().is_some_and(|all| all.iter().any(|r| r["id"] == id)), "{listed}");
    Ok(())
}

fn show(c: &Cluster, hook: &Hook, id: &Value) -> Result<Value> {
    hook.get(c, &format!("/replays/{}", text(id)))
}

/// Formats an id, which may be a text or a number, for a path.
fn text(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

fn number(replay: &Value) -> Result<f64> {
    replay["progress"].as_f64().with_context(|| format!("no progress in {replay}"))
}
