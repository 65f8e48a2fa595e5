//! Consumers that clients read: at any node, over HTTP and over a stream; events that are refused, forgotten
//! or given up; and many readers, some of which die, while the owner is killed.

use crate::support::{checked, nodes, printed, scale, scenario, waypost};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::cluster::{Map, unlimited};
use testkit::consumer::{Reader, Taken, ids};
use testkit::http::text;
use testkit::phoenix::Socket;
use testkit::stream::Stream;
use testkit::wait::until_for;

/// How long work may take on a busy machine.
const LONG: Duration = Duration::from_secs(240);

#[test]
fn consumers_are_read_at_every_node() {
    checked(
        nodes(3),
        &[
            ("consumers are made, changed and deleted", changes),
            ("scopes", scopes),
            ("events are taken at one node and acknowledged at another", acknowledged),
            ("a made-up id and an id of before are unknown", unknown_ids),
            ("an event that is refused comes again, and is given up at last", refused),
            ("an event that nobody acknowledges goes to another reader", forgotten),
            ("a reader may keep an event for longer", extended),
            ("in strict order one event is under way", strict),
            ("a consumer begins where it is told", starts),
            ("a stream has as many events as it may", streamed),
            ("a channel takes events in batches, and acknowledges by pushes", over_channels),
            ("a revoked token gets nothing more", revoked),
            ("the command line waits as long as the API", by_command),
        ],
    );
}

fn map(c: &Cluster, slug: &str) -> Result<Map> {
    c.map_with(slug, json!({"limits": unlimited(), "retention": {"events": 1_000_000}}))
}

/// A visibility that does not end while a test runs, however busy the machine is.
const NEVER_MS: u64 = 3_600_000;

/// Creates a consumer named `jobs`. Its events do not come again by themselves, unless `body` says when.
fn create(c: &Cluster, map: &Map, mut body: Value) -> Result<Value> {
    body["name"] = json!("jobs");
    if body.get("visibility_ms").is_none() {
        body["visibility_ms"] = json!(NEVER_MS);
    }
    c.api(0, map).post(&map.path("/consumers"), &body)?.data(201)
}

/// The consumer as any running node shows it.
fn show(c: &Cluster, map: &Map) -> Result<Value> {
    c.api(c.up()?, map).get(&map.path("/consumers/jobs"))?.data(200)
}

/// Publishes `count` events, each with its number and a key.
fn publish(c: &Cluster, map: &Map, count: usize, keys: usize) -> Result<()> {
    let event = |n: usize| json!({"type": "job", "payload": {"n": n, "key": format!("k{}", n % keys)}});
    for from in (0..count).step_by(100) {
        let events: Vec<Value> = (from..count.min(from + 100)).map(event).collect();
        c.publish(c.up()?, map, &json!({ "events": events }))?;
    }
    Ok(())
}

fn reader(c: &Cluster, node: usize, map: &Map) -> Reader {
    Reader::new(&[c.nodes[node].url()], map, "jobs").patient()
}

/// Takes exactly `count` events, in several reads if necessary.
fn take(reader: &mut Reader, count: usize) -> Result<Vec<Taken>> {
    let until = Instant::now() + LONG;
    let mut all = Vec::new();
    while all.len() < count && Instant::now() < until {
        all.extend(reader.pull(count - all.len(), 5)?);
    }
    ensure!(all.len() == count, "{} of {count} events came", all.len());
    Ok(all)
}

fn seqs(taken: &[Taken]) -> Vec<u64> {
    taken.iter().map(|taken| taken.seq).collect()
}

fn changes(c: &Cluster) -> Result<()> {
    let map = map(c, "consumer-changes")?;
    let api = c.api(1, &map);
    let made = create(c, &map, json!({"maxRetries": 7, "filter": "payload.n > 3", "ordering": "strict"}))?;
    ensure!(made["max_retries"] == 7 && made["filter"]["expression"] == "payload.n > 3", "{made}");
    let again = api.post(&map.path("/consumers"), &json!({"name": "jobs"}))?;
    ensure!(again.status == 409 && again.code() == "name_taken", "{}", again.text());
    for bad in
        [json!({"name": "a b"}), json!({"name": "a", "visibility_ms": 1}), json!({"nam": "a"}), json!({})]
    {
        let answer = api.post(&map.path("/consumers"), &bad)?;
        ensure!(answer.status == 400, "{bad}: {}", answer.text());
    }
    let changed = api.patch(&map.path("/consumers/jobs"), &json!({"visibility_ms": 500}))?.data(200)?;
    ensure!(changed["visibility_ms"] == 500 && changed["max_retries"] == 7, "{changed}");
    ensure!(api.patch(&map.path("/consumers/jobs"), &json!({"name": "b"}))?.status == 400);
    let listed = api.get(&map.path("/consumers"))?.data(200)?;
    ensure!(listed.as_array().is_some_and(|listed| listed.len() == 1), "{listed}");
    // It is no webhook to anybody.
    let hooks = api.get(&map.path("/webhooks"))?.data(200)?;
    ensure!(hooks == json!([]), "{hooks}");
    let id = made["id"].as_str().context("no id")?;
    ensure!(api.get(&map.path(&format!("/webhooks/{id}")))?.status == 404);
    api.delete(&map.path("/consumers/jobs"))?.expect(204)?;
    let gone = c.api(2, &map).get(&map.path("/consumers/jobs"))?;
    ensure!(gone.status == 404 && gone.code() == "consumer_not_found", "{}", gone.text());
    ensure!(c.api(2, &map).post(&map.path("/consumers/jobs/pull"), &json!({}))?.status == 404);
    Ok(())
}

fn scopes(c: &Cluster) -> Result<()> {
    let map = map(c, "consumer-scopes")?;
    create(c, &map, json!({}))?;
    let (subscriber, publisher) = (c.token(&map, &["subscribe"])?.1, c.token(&map, &["publish"])?.1);
    let pull = |map: &Map| c.api(1, map).post(&map.path("/consumers/jobs/pull"), &json!({}));
    ensure!(pull(&subscriber)?.status == 200 && pull(&publisher)?.status == 403);
    ensure!(c.api(1, &subscriber).get(&map.path("/consumers/jobs"))?.status == 403);
    Ok(())
}

fn acknowledged(c: &Cluster) -> Result<()> {
    let map = map(c, "acknowledged")?;
    create(c, &map, json!({}))?;
    publish(c, &map, 250, 1)?;
    let mut seen = BTreeSet::new();
    for node in [0, 1, 2] {
        let taken = take(&mut reader(c, node, &map), if node == 2 { 50 } else { 100 })?;
        ensure!(taken.iter().all(|taken| taken.attempt == 1), "{taken:?}");
        seen.extend(seqs(&taken));
        let unknown = reader(c, (node + 1) % 3, &map).ack(&ids(&taken))?;
        ensure!(unknown.is_empty(), "{unknown:?}");
    }
    ensure!(seen.len() == 250, "{} different events", seen.len());
    ensure!(reader(c, 0, &map).pull(10, 0)?.is_empty(), "more events than there are");
    c.wait_until("no lag", |c| {
        let state = show(c, &map)?["state"].clone();
        Ok((state["lag"] == 0 && state["acknowledged"] == 250 && state["oldest_at"].is_null()).then_some(()))
    })
}

fn unknown_ids(c: &Cluster) -> Result<()> {
    let map = map(c, "unknown-ids")?;
    create(c, &map, json!({}))?;
    publish(c, &map, 1, 1)?;
    let mut reader = reader(c, 1, &map);
    let taken = ids(&take(&mut reader, 1)?);
    ensure!(reader.ack(&taken)?.is_empty() && reader.ack(&taken)? == taken, "acknowledged twice");
    let parts: Vec<&str> = taken[0].split('-').collect();
    let [node, incarnation, loan] = parts[..] else { bail!("{taken:?}") };
    let other = format!("{node}-1-{loan}");
    let stranger = format!("999-{incarnation}-{loan}");
    let later = format!("{node}-{incarnation}-ffffffff");
    let made_up = vec![stranger, other, later];
    let mut unknown = reader.ack(&made_up)?;
    unknown.sort();
    let mut expected = made_up;
    expected.sort();
    ensure!(unknown == expected, "{unknown:?}");
    ensure!(reader.ack(&["x".to_owned()]).is_err(), "no id at all");
    Ok(())
}

fn refused(c: &Cluster) -> Result<()> {
    let map = map(c, "refused")?;
    create(c, &map, json!({"max_retries": 2, "initial_delay_ms": 10}))?;
    publish(c, &map, 1, 1)?;
    let mut reader = reader(c, 2, &map);
    for attempt in 1..=3 {
        let taken = take(&mut reader, 1)?;
        ensure!(taken[0].attempt == attempt, "{taken:?}");
        ensure!(reader.nack(&ids(&taken), 0)?.is_empty());
    }
    let api = c.api(0, &map);
    let dead = c.wait_until("a dead letter", |_| {
        let dead = api.get(&map.path("/consumers/jobs/dead-letters"))?.expect(200)?.json()?;
        Ok((dead["total"] == 1).then_some(dead["data"][0].clone()))
    })?;
    ensure!(dead["attempts"] == 3 && dead["class"] == "refused", "{dead}");
    ensure!(reader.pull(1, 0)?.is_empty(), "given up, and handed over");
    api.post(&map.path("/consumers/jobs/dead-letters/retry"), &json!({}))?.expect(202)?;
    let taken = take(&mut reader, 1)?;
    ensure!(reader.ack(&ids(&taken))?.is_empty());
    c.wait_until("no dead letter", |c| Ok((show(c, &map)?["state"]["dead_letters"] == 0).then_some(())))
}

fn forgotten(c: &Cluster) -> Result<()> {
    let map = map(c, "forgotten")?;
    let body =
        json!({"visibility_ms": 300, "max_retries": 50, "initial_delay_ms": 10, "backoff_multiplier": 1});
    create(c, &map, body)?;
    publish(c, &map, 5, 1)?;
    let first = take_each(&mut reader(c, 0, &map), 5, |_| true)?;
    let mut other = reader(c, 1, &map);
    take_each(&mut other, 5, |taken| {
        first.get(&taken.seq).is_some_and(|first| taken.attempt > first.attempt)
    })?;
    let first: Vec<Taken> = first.into_values().collect();
    ensure!(reader(c, 0, &map).ack(&ids(&first))?.len() == 5, "the first hand-over still counts");
    settle_all(c, &map, &mut other)
}

/// Takes events until `count` different ones have come that are wanted. Events whose visibility ends come again.
fn take_each(
    reader: &mut Reader,
    count: usize,
    is_wanted: impl Fn(&Taken) -> bool,
) -> Result<BTreeMap<u64, Taken>> {
    let until = Instant::now() + LONG;
    let mut all = BTreeMap::new();
    while all.len() < count {
        ensure!(Instant::now() < until, "{} of {count} events came", all.len());
        for taken in reader.pull(count, 1)?.into_iter().filter(|taken| is_wanted(taken)) {
            all.entry(taken.seq).or_insert(taken);
        }
    }
    Ok(all)
}

/// Acknowledges whatever there is, until nothing is left.
fn settle_all(c: &Cluster, map: &Map, reader: &mut Reader) -> Result<()> {
    let until = Instant::now() + LONG;
    while show(c, map)?["state"]["lag"] != 0 {
        ensure!(Instant::now() < until, "{}", show(c, map)?);
        let taken = reader.pull(100, 1)?;
        reader.ack(&ids(&taken))?;
    }
    Ok(())
}

fn extended(c: &Cluster) -> Result<()> {
    let map = map(c, "extended")?;
    create(c, &map, json!({"visibility_ms": 1000, "max_retries": 50, "initial_delay_ms": 10}))?;
    publish(c, &map, 1, 1)?;
    let mut first = reader(c, 0, &map);
    let taken = take(&mut first, 1)?;
    if !first.extend(&ids(&taken), 600_000)?.is_empty() {
        // The machine is so busy that the second was over.
        return settle_all(c, &map, &mut first);
    }
    ensure!(reader(c, 1, &map).pull(1, 3)?.is_empty(), "handed over while it was kept");
    ensure!(first.ack(&ids(&taken))?.is_empty(), "kept, and not known");
    Ok(())
}

fn strict(c: &Cluster) -> Result<()> {
    let map = map(c, "strict-consumer")?;
    create(c, &map, json!({"ordering": "strict"}))?;
    publish(c, &map, 10, 1)?;
    let mut got = Vec::new();
    for n in 0..10 {
        let mut reader = reader(c, n % 3, &map);
        let taken = take(&mut reader, 1)?;
        ensure!(reader.pull(10, 0)?.is_empty(), "two at a time");
        if n == 4 {
            ensure!(reader.nack(&ids(&taken), 10)?.is_empty());
            let again = take(&mut reader, 1)?;
            ensure!(again[0].seq == taken[0].seq && again[0].attempt == 2, "{again:?}");
            ensure!(reader.ack(&ids(&again))?.is_empty());
        } else {
            ensure!(reader.ack(&ids(&taken))?.is_empty());
        }
        got.extend(seqs(&taken));
    }
    ensure!(got.len() == 10 && got.is_sorted(), "{got:?}");
    Ok(())
}

fn starts(c: &Cluster) -> Result<()> {
    let map = map(c, "consumer-starts")?;
    publish(c, &map, 10, 1)?;
    c.wait_same_applied()?;
    let api = c.api(0, &map);
    let events = api.get(&map.events())?.data(200)?;
    let fourth = events[3]["id"].as_str().context("no id")?;
    for (name, start, count) in [
        ("new", json!({"start": "new"}), 0),
        ("all", json!({"start": "all"}), 10),
        ("after", json!({"after": fourth}), 6),
    ] {
        let mut body = start;
        body["name"] = json!(name);
        body["visibility_ms"] = json!(NEVER_MS);
        api.post(&map.path("/consumers"), &body)?.expect(201)?;
        let mut reader = Reader::new(&[c.nodes[1].url()], &map, name).patient();
        let taken = take(&mut reader, count)?;
        ensure!(reader.pull(10, 0)?.is_empty(), "{name}");
        ensure!(reader.ack(&ids(&taken))?.is_empty());
    }
    Ok(())
}

fn streamed(c: &Cluster) -> Result<()> {
    let map = map(c, "streamed")?;
    create(c, &map, json!({}))?;
    publish(c, &map, 10, 1)?;
    let path = map.path(&format!("/consumers/jobs/stream?max=3&token={}", map.token));
    let mut stream = Stream::get(c.nodes[1].http, &path, None, &[])?;
    ensure!(stream.status()? == 200);
    let mut reader = reader(c, 2, &map);
    let mut got = Vec::new();
    while got.len() < 10 {
        let frame = stream.frame(LONG)?.context("the stream has ended")?;
        if frame.event == "message" {
            let taken = Taken::parse(&serde_json::from_str(&frame.data)?)?;
            ensure!(frame.id.as_deref() == Some(taken.ack_id.as_str()), "{frame:?}");
            got.push(taken);
            if got.len() % 3 == 0 || got.len() == 10 {
                let last = got.len() - if got.len() == 10 { 1 } else { 3 };
                ensure!(reader.ack(&ids(&got[last..]))?.is_empty());
            }
        }
    }
    ensure!(seqs(&got).is_sorted(), "{got:?}");
    Ok(())
}

fn over_channels(c: &Cluster) -> Result<()> {
    const TOPIC: &str = "consumer:jobs";
    let map = map(c, "over-channels")?;
    create(c, &map, json!({}))?;
    publish(c, &map, 8, 1)?;
    // A consumer may have events that a limited token does not permit.
    let limited = json!({"scopes": ["subscribe"], "subjects": ["chat-*"]});
    let limited = c.api(0, &map).post(&map.path("/tokens"), &limited)?.data(201)?;
    let limited = Map { token: text(&limited, "token")?, ..map.clone() };
    let (_, refused) = Socket::connect(c.nodes[1].http, &limited.token)?.join(TOPIC, json!({}))?;
    ensure!(refused.status() == "error", "{refused:?}");
    ensure!(reader(c, 1, &limited).pull(1, 0).is_err());
    let mut socket = Socket::connect(c.nodes[1].http, &map.token)?;
    let (_, refused) = socket.join("consumer:none", json!({}))?;
    ensure!(refused.status() == "error" && refused.reason() == "consumer not found", "{refused:?}");
    let joined = socket.join_ok(TOPIC, json!({"max": 3}))?;
    ensure!(joined["max"] == 3, "{joined}");
    let (mut got, mut settled) = (BTreeSet::new(), 0);
    while settled < 8 {
        let frame = socket.frame()?;
        if frame.event == "phx_reply" {
            ensure!(frame.status() == "ok", "{frame:?}");
            settled += frame.payload["response"]["settled"].as_u64().unwrap_or(0);
        }
        let messages = frame.payload["messages"].as_array().cloned().unwrap_or_default();
        ensure!(messages.len() <= 3, "{frame:?}");
        let taken = messages.iter().map(Taken::parse).collect::<Result<Vec<_>>>()?;
        if !taken.is_empty() {
            got.extend(seqs(&taken));
            let refs = (Value::Null, json!(format!("a{}", got.len())));
            socket.push(refs, TOPIC, "ack", json!({"ack_ids": ids(&taken)}))?;
        }
    }
    ensure!(got.len() == 8, "{got:?}");
    socket.push((Value::Null, json!("x")), TOPIC, "said", json!({}))?;
    let refused = socket.frame()?;
    ensure!(refused.status() == "error" && refused.reason() == "unknown event", "{refused:?}");
    socket.alive()
}

fn revoked(c: &Cluster) -> Result<()> {
    let map = map(c, "revoked-reader")?;
    create(c, &map, json!({}))?;
    let (token, subscriber) = c.token(&map, &["subscribe"])?;
    let mut waits = reader(c, 1, &subscriber);
    thread::scope(|scope| {
        let waiting = scope.spawn(move || waits.pull(10, 10));
        thread::sleep(Duration::from_millis(300));
        c.api(0, &map).delete(&map.path(&format!("/tokens/{token}")))?.expect(204)?;
        publish(c, &map, 1, 1)?;
        let waited = waiting.join().expect("a reader panicked");
        ensure!(waited.is_err(), "{waited:?}");
        Ok(())
    })?;
    let mut other = reader(c, 0, &map);
    let taken = take(&mut other, 1)?;
    ensure!(taken[0].attempt == 1, "{taken:?}");
    ensure!(other.ack(&ids(&taken))?.is_empty());
    Ok(())
}

fn by_command(c: &Cluster) -> Result<()> {
    let map = map(c, "by-command")?;
    create(c, &map, json!({}))?;
    publish(c, &map, 1, 1)?;
    let pull = |wait: &str| {
        let mut command = waypost(&["consumer", "pull", &map.slug, "jobs", "--ack", "--wait", wait]);
        command.env("WAYPOST_URL", c.nodes[1].url()).env("WAYPOST_TOKEN", &map.token).output()
    };
    let refused = pull("31")?;
    ensure!(!refused.status.success() && printed(&refused).contains("30"), "{}", printed(&refused));
    let pulled = pull("30")?;
    let line: Value = serde_json::from_slice(&pulled.stdout).with_context(|| printed(&pulled))?;
    ensure!(pulled.status.success() && line["event"]["type"] == "job", "{}", printed(&pulled));
    Ok(())
}

/// How many events there are; `WAYPOST_TEST_EVENTS` sets another number.
fn events() -> usize {
    scale("WAYPOST_TEST_EVENTS", 2000) as usize
}
const KEYS: usize = 40;

/// What a reader did with an event, in the order in which it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Got,
    Acknowledged,
    /// It may have been acknowledged: there was no answer.
    Perhaps,
}

/// How a reader goes about its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It dies with what it has after so many reads.
    Dies(usize),
    /// It refuses every seventh event at its first attempt.
    Refuses,
    /// It lets the visibility of some events end.
    Stalls,
}

/// One deed: the event and its key, and a time. An event was handed over after that time, and acknowledged
/// before it.
#[derive(Debug, Clone)]
struct Done {
    seq: u64,
    key: String,
    deed: Deed,
    at: Instant,
}

/// The deeds of all readers.
type Deeds = Mutex<Vec<Done>>;

fn lock(deeds: &Deeds) -> MutexGuard<'_, Vec<Done>> {
    deeds.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(deeds: &Deeds, taken: &Taken, deed: Deed, at: Instant) {
    let key = taken.payload["key"].as_str().unwrap_or_default().to_owned();
    lock(deeds).push(Done { seq: taken.seq, key, deed, at });
}

/// Works until it is told to stop, or dies.
fn work(mut reader: Reader, way: Way, deeds: &Deeds, stop: &AtomicBool) {
    let mut reads = 0;
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let Ok(taken) = reader.pull(20, 1) else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        taken.iter().for_each(|taken| note(deeds, taken, Deed::Got, asked));
        reads += usize::from(!taken.is_empty());
        if way == Way::Dies(reads) {
            return;
        }
        if way == Way::Stalls && reads % 10 == 3 {
            thread::sleep(Duration::from_millis(1500));
        }
        let refuses =
            |taken: &Taken| way == Way::Refuses && taken.seq.is_multiple_of(7) && taken.attempt == 1;
        let (bad, good): (Vec<Taken>, Vec<Taken>) = taken.into_iter().partition(refuses);
        if !bad.is_empty() {
            let _ = reader.nack(&ids(&bad), 20);
        }
        if good.is_empty() {
            continue;
        }
        match reader.ack(&ids(&good)) {
            Ok(unknown) => {
                let known = good.iter().filter(|taken| !unknown.contains(&taken.ack_id));
                known.for_each(|taken| note(deeds, taken, Deed::Acknowledged, Instant::now()));
            }
            Err(_) => good.iter().for_each(|taken| note(deeds, taken, Deed::Perhaps, Instant::now())),
        }
    }
}

#[test]
fn four_readers_lose_nothing_while_readers_and_the_owner_die() {
    scenario(nodes(3), |c| {
        let map = map(c, "work")?;
        create(
            c,
            &map,
            json!({
                "ordering": "key", "ordering_key": "payload.key", "visibility_ms": 1000, "max_retries": 20,
                "initial_delay_ms": 20,
            }),
        )?;
        publish(c, &map, events(), KEYS)?;
        let urls: Vec<String> = c.nodes.iter().map(|node| node.url()).collect();
        let (deeds, stop) = (Deeds::default(), AtomicBool::new(false));
        let (deeds, stop) = (&deeds, &stop);
        thread::scope(|scope| {
            let ways = [Way::Dies(4), Way::Dies(7), Way::Refuses, Way::Stalls];
            for (n, way) in ways.into_iter().enumerate() {
                let urls: Vec<String> = (0..3).map(|k| urls[(n + k) % 3].clone()).collect();
                let reader = Reader::new(&urls, &map, "jobs");
                scope.spawn(move || work(reader, way, deeds, stop));
            }
            let done = kill_owner_and_wait(c, &map, deeds);
            stop.store(true, Ordering::Relaxed);
            done
        })?;
        check(c, &map, deeds)
    });
}

/// Kills the owner once some work is done, brings it back, and waits until all work is done.
fn kill_owner_and_wait(c: &mut Cluster, map: &Map, deeds: &Deeds) -> Result<()> {
    let acknowledged = || lock(deeds).iter().filter(|done| done.deed == Deed::Acknowledged).count();
    // More events have more time.
    let long = LONG * (1 + events() as u32 / 2000);
    for part in [events() / 5, events() / 2] {
        until_for(long, "some work to be done", || Ok((acknowledged() >= part).then_some(())))?;
        let owner = c.wait_until("an owner", |c| {
            let owner = show(c, map)?["state"]["owner"].clone();
            Ok((0..3).find(|node| c.status(*node).is_ok_and(|status| status["node_id"] == owner)))
        })?;
        c.nodes[owner].kill9()?;
        c.start(owner)?;
        c.wait_ready()?;
    }
    until_for(long, "no lag", || Ok((show(c, map)?["state"]["lag"] == 0).then_some(())))
}

/// Every event was acknowledged or given up, none came after its acknowledgement, and each key kept its order.
fn check(c: &Cluster, map: &Map, deeds: &Deeds) -> Result<()> {
    let deeds = lock(deeds).clone();
    let dead = c.api(0, map).get(&map.path("/consumers/jobs/dead-letters?limit=1000"))?.data(200)?;
    let dead: BTreeSet<u64> =
        dead.as_array().into_iter().flatten().filter_map(|d| d["seq"].as_u64()).collect();
    let of = |deed: Deed| deeds.iter().filter(move |done| done.deed == deed);
    let acknowledged: BTreeMap<u64, Instant> =
        of(Deed::Acknowledged).map(|done| (done.seq, done.at)).collect();
    let perhaps = of(Deed::Perhaps).map(|done| done.seq);
    let settled: BTreeSet<u64> =
        acknowledged.keys().copied().chain(perhaps).chain(dead.iter().copied()).collect();
    let mut first: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for got in of(Deed::Got) {
        let is_late = acknowledged.get(&got.seq).is_some_and(|at| got.at > *at);
        ensure!(!is_late, "{} came after its acknowledgement", got.seq);
        let of_key = first.entry(&got.key).or_default();
        if !of_key.contains(&got.seq) {
            of_key.push(got.seq);
        }
    }
    ensure!(settled.len() == events(), "{} of {} events were settled", settled.len(), events());
    for (key, seqs) in &first {
        ensure!(seqs.is_sorted(), "{key} lost its order: {seqs:?}");
    }
    let state = show(c, map)?["state"].clone();
    let counted = state["acknowledged"].as_u64().unwrap_or(0) + state["given_up"].as_u64().unwrap_or(0);
    ensure!(counted == events() as u64, "{state}");
    println!("{} acknowledged, {} dead letters, {} keys", acknowledged.len(), dead.len(), first.len());
    Ok(())
}
