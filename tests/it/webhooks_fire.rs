//! Twenty endpoints of every kind, a steady publisher, and owners that die: the good ones get every event, in order
//! where they ask for it, under stable ids; the bad ones end as configured and delay nobody else.
//!
//! By hand: `WAYPOST_TEST_ROUNDS` (2) kills, `WAYPOST_TEST_SECONDS` (6) before and between them, and
//! `WAYPOST_TEST_P99=1` to hold the delay of the good ones to 1.5 times of what it is without the bad ones.

use crate::support::{scale, scenario};
use crate::webhooks_support::{Hook, delivering, map, quick};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::checks::check_acks;
use testkit::cluster::Map;
use testkit::publisher::{Ack, Publisher};
use testkit::receiver::behaviour::{self, RetryAfter};
use testkit::receiver::dead::{ClosedPort, FullBacklog};
use testkit::receiver::tally::{Tally, check_delivered, check_ids, check_order};
use testkit::receiver::{Behaviour, Receiver};
use testkit::{Cluster, wait};

use std::time::Duration;

/// So many publish at once.
const PUBLISHERS: usize = 4;
/// Between two publishes of one of them; all together make about 50 a second.
const PACE: Duration = Duration::from_millis(70);
/// The delay of the good ones that even a busy machine keeps, milliseconds.
const PATIENCE_MS: u64 = 15_000;
/// Events that a new owner may deliver again: a batch of reports (256) and a window (16), twice for a late one.
const AGAIN: usize = 600;

/// An endpoint and what is expected of it.
struct Endpoint {
    path: String,
    hook: Hook,
    strict: bool,
}

#[test]
fn twenty_endpoints_under_fire() {
    scenario(delivering(3), |cluster| {
        let map = map(cluster, "fire")?;
        let (receiver, closed, full) = (Receiver::start()?, ClosedPort::new()?, FullBacklog::new()?);
        let seconds = Duration::from_secs(scale("WAYPOST_TEST_SECONDS", 6));
        let good = good(cluster, &map, &receiver)?;

        let mut acks = publish(cluster, &map, "alone", seconds)?;
        let alone = caught_up(&receiver, &good, &acks)?;
        println!("good ones alone: {alone}");

        let started = acks.len();
        let late = recovering(cluster, &map, &receiver)?;
        let bad = bad(cluster, &map, &receiver, closed.addr.to_string(), full.addr.to_string())?;
        good.iter().for_each(|e| receiver.forget(&e.path));
        let more = publish(cluster, &map, "together", seconds)?;
        let together = caught_up(&receiver, &good, &more)?;
        acks.extend(more);
        println!("beside bad ones: {together}");
        judge_delay(&alone, &together)?;

        let rounds = scale("WAYPOST_TEST_ROUNDS", 2);
        // Before anybody publishes: an event is delivered within milliseconds, and would be forgotten with the rest.
        good.iter().for_each(|e| receiver.forget(&e.path));
        let publishers = start(cluster, &map, "fire");
        for round in 0..rounds {
            std::thread::sleep(seconds / 2);
            let victim = good[round as usize % good.len()].hook.owner(cluster)?;
            let acked: u64 = publishers.iter().map(Publisher::acked).sum();
            println!("round {round}: node {victim} dies after {acked} events");
            cluster.nodes[victim].kill9()?;
            publishers.iter().try_for_each(|p| p.wait_more(20))?;
            cluster.nodes[victim].start()?;
            cluster.wait_ready()?;
        }
        std::thread::sleep(seconds / 2);
        stall(cluster, &publishers, &good[1])?;
        let more = stop(publishers)?;
        let fired = caught_up(&receiver, &good, &more)?;
        println!("under fire: {fired}");
        ensure!(fired.duplicates <= AGAIN * rounds as usize * good.len(), "too many again");
        acks.extend(more);

        caught_up(&receiver, &late, &acks[started..])?;
        bad.iter().try_for_each(|(endpoint, end)| judge_bad(cluster, &receiver, endpoint, end))
    });
}

/// An owner hangs until others deliver in its place, and comes back believing that it still owns what it did.
fn stall(c: &mut Cluster, publishers: &[Publisher], endpoint: &Endpoint) -> Result<()> {
    let victim = endpoint.hook.owner(c)?;
    let before = endpoint.hook.show(c)?["owner"].clone();
    println!("node {victim} hangs");
    c.nodes[victim].sigstop()?;
    // Only a node that runs is asked: whoever asks the one that hangs waits for long.
    let asked = c.api((victim + 1) % c.nodes.len(), &endpoint.hook.map).timeout(Duration::from_secs(2));
    let moved = wait::until("another owner", || {
        let now = asked.get(&endpoint.hook.path(""))?.data(200)?["owner"].clone();
        Ok((!now.is_null() && now != before).then_some(()))
    });
    let gone_on = publishers.iter().try_for_each(|p| p.wait_more(5));
    c.nodes[victim].sigcont()?;
    moved.and(gone_on)?;
    c.wait_ready()?;
    publishers.iter().try_for_each(|p| p.wait_more(20))
}

/// What came in time for the good ones, and in which order; their numbers together.
fn caught_up(receiver: &Receiver, endpoints: &[Endpoint], acks: &[Ack]) -> Result<Tally> {
    let mut tallies = Vec::new();
    for Endpoint { path, strict, .. } in endpoints {
        let requests = receiver
            .wait(path, &format!("all events at {path}"), |requests| check_delivered(path, requests, acks).is_ok());
        let requests = requests.or_else(|_| Ok::<_, anyhow::Error>(receiver.requests(path)))?;
        let tally = check_delivered(path, &requests, acks)?;
        if *strict {
            check_order(path, &requests)?;
        }
        println!("  {path}: {tally}");
        tallies.push(tally);
    }
    Ok(Tally::join(tallies))
}

fn judge_delay(alone: &Tally, together: &Tally) -> Result<()> {
    let (before, after) = (alone.percentile(99), together.percentile(99));
    println!("p99 beside bad ones is {:.2} times that without", after as f64 / before.max(1) as f64);
    ensure!(after <= PATIENCE_MS, "p99 of {after} ms");
    let strictly = scale("WAYPOST_TEST_P99", 0) == 1;
    ensure!(!strictly || after as f64 <= before as f64 * 1.5, "p99 of {after} ms, {before} ms without the bad ones");
    Ok(())
}

fn publish(c: &Cluster, map: &Map, name: &str, time: Duration) -> Result<Vec<Ack>> {
    let publishers = start(c, map, name);
    std::thread::sleep(time);
    stop(publishers)
}

fn start(c: &Cluster, map: &Map, name: &str) -> Vec<Publisher> {
    let one = |i| Publisher::start(c.urls_from(i), map, &format!("{name}{i}-"), &["x", "map_kill"], PACE);
    (0..PUBLISHERS).map(one).collect()
}

fn stop(publishers: Vec<Publisher>) -> Result<Vec<Ack>> {
    let acks = publishers.into_iter().map(Publisher::stop).collect::<Result<Vec<_>>>()?;
    check_acks(&acks)?;
    Ok(acks.into_iter().flatten().collect())
}

fn create(c: &Cluster, map: &Map, receiver: &Receiver, path: &str, how: Behaviour, more: Value) -> Result<Endpoint> {
    let strict = more["ordering"] == "strict";
    let hook = Hook::create(c, map, &receiver.on(path, how), more)?;
    Ok(Endpoint { path: path.to_owned(), hook, strict })
}

/// Those that take everything, each in its way.
fn good(c: &Cluster, map: &Map, receiver: &Receiver) -> Result<Vec<Endpoint>> {
    let slow = behaviour::slow(Duration::from_millis(20));
    Ok(vec![
        create(c, map, receiver, "/plain", behaviour::healthy(), json!({}))?,
        create(c, map, receiver, "/strict", behaviour::healthy(), json!({"ordering": "strict"}))?,
        create(c, map, receiver, "/standard", behaviour::healthy(), json!({"profile": "standard"}))?,
        create(c, map, receiver, "/envelope", behaviour::healthy(), json!({"profile": "envelope"}))?,
        create(c, map, receiver, "/pusher", behaviour::healthy(), json!({"profile": "pusher"}))?,
        create(c, map, receiver, "/batch", behaviour::healthy(), json!({"batch": {"max": 20, "duration_ms": 50}}))?,
        create(c, map, receiver, "/slow", slow, json!({"ordering": "key", "ordering_key": "type"}))?,
    ])
}

/// Those that stumble, and get everything in the end.
fn recovering(c: &Cluster, map: &Map, receiver: &Receiver) -> Result<Vec<Endpoint>> {
    let flaky = json!({"ordering": "strict", "retry": quick(50)});
    let busy = behaviour::busy(3, RetryAfter::Seconds(1));
    Ok(vec![
        create(c, map, receiver, "/flaky", behaviour::flaky(30, 7), flaky)?,
        create(c, map, receiver, "/busy-at-first", busy, json!({}))?,
        create(c, map, receiver, "/broken-at-first", behaviour::recovering(8, 500), json!({"retry": quick(50)}))?,
        create(c, map, receiver, "/huge", behaviour::huge(4 << 20), json!({"batch": {"max": 20, "duration_ms": 200}}))?,
    ])
}

/// Those that never will, and how they end.
fn bad(
    c: &Cluster,
    map: &Map,
    receiver: &Receiver,
    closed: String,
    full: String,
) -> Result<Vec<(Endpoint, &'static str)>> {
    let two = |timeout_ms: u64| json!({"retry": quick(2), "timeout_ms": timeout_ms});
    let seconds = behaviour::busy(usize::MAX, RetryAfter::Seconds(2));
    let date = behaviour::busy(usize::MAX, RetryAfter::Date(2));
    let elsewhere = behaviour::redirecting(&receiver.url("/plain"));
    let at = |addr: &str, path: &str| -> Result<Endpoint> {
        let hook = Hook::create(c, map, &format!("http://{addr}{path}"), two(500))?;
        Ok(Endpoint { path: path.to_owned(), hook, strict: false })
    };
    Ok(vec![
        (create(c, map, receiver, "/500", behaviour::status(500), two(5000))?, "status"),
        (create(c, map, receiver, "/drip", behaviour::dripping(), two(500))?, "timeout"),
        (create(c, map, receiver, "/silent", behaviour::silent(), two(500))?, "timeout"),
        (create(c, map, receiver, "/elsewhere", elsewhere, two(5000))?, "redirect"),
        (at(&closed, "/closed")?, "connect"),
        (at(&full, "/full")?, "timeout"),
        (create(c, map, receiver, "/seconds", seconds, two(5000))?, "throttled"),
        (create(c, map, receiver, "/date", date, two(5000))?, "throttled"),
        (create(c, map, receiver, "/gone", behaviour::status(410), two(5000))?, "gone"),
    ])
}

fn judge_bad(c: &Cluster, receiver: &Receiver, endpoint: &Endpoint, end: &str) -> Result<()> {
    let Endpoint { path, hook, .. } = endpoint;
    check_ids(path, &receiver.requests(path))?;
    ensure!(receiver.accepted(path).is_empty(), "{path} took something");
    let shown = hook.show(c)?;
    println!("  {path}: {} requests, {} dead letters", receiver.count(path), shown["dead_letters"]);
    match end {
        "gone" => ensure!(shown["state"] == "disabled" && shown["dead_letters"] == 0, "{path}: {shown}"),
        "throttled" => {
            // Nothing was given up: all of it waits.
            ensure!(shown["dead_letters"] == 0 && shown["queue_depth"].as_u64() > Some(0), "{path}: {shown}");
        }
        class => {
            ensure!(shown["state"] == "failing" && shown["last_error"].is_string(), "{path}: {shown}");
            // On a busy machine some may have ended in another way, or have been tried again by another owner.
            let letters = hook.get(c, "/dead-letters?limit=1000")?;
            let letters = letters.as_array().with_context(|| format!("{path}: nothing was given up: {shown}"))?;
            let as_configured = |letter: &&Value| letter["class"] == class && letter["attempts"] == 2;
            let most = letters.iter().filter(as_configured).count() * 2 > letters.len();
            ensure!(most, "{path}: {} letters, such as {:?}", letters.len(), letters.first());
        }
    }
    Ok(())
}
