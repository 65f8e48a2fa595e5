//! Webhooks that fall behind while retention removes events: receivers that are down, keys and types that are
//! refused, and more events than retention holds back for webhooks.
//!
//! Each part has its own map, webhooks and receiver. With each acknowledgement it records which webhook must
//! get the event.

use super::Run;
use crate::history::Record;
use crate::load::hooks::note_requests;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use testkit::cluster::{Map, unlimited};
use testkit::http::text;
use testkit::receiver::{Behaviour, Receiver, Reply, behaviour};
use testkit::wait;

/// How many events the maps keep for readers.
const KEPT: u64 = 50;
/// Events published while receivers are down: many times what a webhook loads at once.
const PRESSED: usize = 1000;
/// Events that are refused for ever, and the other events between them.
const REFUSED: usize = 1200;
const QUEUED: usize = 450;
const GOOD: usize = 600;
/// The bytes that retention holds back in the part that exceeds them, and how many events that part
/// publishes.
const BACKLOG_BYTES: u64 = 40_000;
const DROWNING: usize = 1500;
/// Events in one request of a publisher, and the pause between two requests.
const BATCH: usize = 50;
const PACE: Duration = Duration::from_millis(40);
/// How long one request of a publisher is repeated.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a webhook may get no new event that it must get, after everything works again.
const CATCH_UP: Duration = Duration::from_secs(60);

/// All parts, one after the other.
pub fn all(run: &mut Run) -> Result<()> {
    outage(run)?;
    refusals(run)?;
    beyond(run)
}

/// Receivers are down, or slower than the publisher, and a node dies meanwhile. No event may be lost by that.
pub fn outage(run: &mut Run) -> Result<()> {
    let mut bench = Bench::set_up(run, "outage", json!({}))?;
    let wait = Duration::from_millis(5);
    let hooks = [
        bench.hook("slow", behaviour::slow(wait), json!({}))?,
        bench.hook("down", behaviour::status(503), json!({}))?,
        bench.hook("strict", behaviour::silent(), json!({"ordering": "strict", "timeout_ms": 500}))?,
    ];
    let victim = bench.run.any();
    bench.run.broken("webhook outage", &[victim], true, format!("{PRESSED} events, {KEPT} kept"));
    let events = (0..PRESSED).map(|n| Event::good(n, "a"));
    let (first, second): (Vec<Event>, Vec<Event>) = events.partition(|event| event.n < PRESSED / 2);
    bench.publish(&first, &hooks)?;
    bench.watch(&hooks, false);
    bench.run.kill(victim)?;
    bench.publish(&second, &hooks)?;
    bench.run.start(victim)?;
    bench.watch(&hooks, false);
    hooks.iter().for_each(|hook| drop(bench.receiver.on(&hook.path, behaviour::slow(wait))));
    bench.run.mended("webhook outage", &[victim]);
    bench.run.settle()?;
    bench.catch_up(&hooks);
    bench.end(&hooks)
}

/// A receiver refuses a key, and then a type, for ever. All other events must arrive.
pub fn refusals(run: &mut Run) -> Result<()> {
    let retry = json!({"max_attempts": 100, "delay_ms": 300, "factor": 1, "max_delay_ms": 300, "jitter": 0});
    let keyed = json!({"ordering": "key", "ordering_key": "payload.lane", "retry": retry});
    // This publishes more events of the one key than a webhook loads at once, before the first event of
    // another key.
    let first = (0..QUEUED).map(Event::refused);
    let events: Vec<Event> = first.chain((QUEUED..QUEUED + GOOD).map(|n| Event::good(n, &lane(n)))).collect();
    refused(run, "keyed", keyed, &events)?;
    // The retry is so late that none of these is tried again before the others must have arrived.
    let retry =
        json!({"max_attempts": 20, "delay_ms": 300_000, "factor": 1, "max_delay_ms": 300_000, "jitter": 0});
    let among = |n: usize| if n % 3 == 2 { Event::good(n, &lane(n)) } else { Event::refused(n) };
    let events: Vec<Event> = (0..REFUSED + GOOD).map(among).collect();
    refused(run, "typed", json!({"retry": retry}), &events)
}

fn lane(n: usize) -> String {
    format!("lane{}", n % 10)
}

fn refused(run: &mut Run, what: &str, settings: Value, events: &[Event]) -> Result<()> {
    let mut bench = Bench::set_up(run, "refusals", json!({}))?;
    let hooks = [bench.hook(what, refusing(), settings)?];
    bench.run.broken("refused events", &[], false, format!("{what}: {} events, {KEPT} kept", events.len()));
    bench.publish(events, &hooks)?;
    bench.run.mended("refused events", &[]);
    bench.catch_up(&hooks);
    bench.end(&hooks)
}

/// More events than retention holds back: some are lost, and the server must report that.
pub fn beyond(run: &mut Run) -> Result<()> {
    let backlog = json!({"bytes": BACKLOG_BYTES, "age_seconds": 86_400});
    let mut bench = match Bench::set_up(run, "beyond", json!({"webhook_backlog": backlog})) {
        Ok(bench) => bench,
        Err(error) => bail!("a map with a bound for the backlog of webhooks: {error:#}"),
    };
    let about_webhooks = json!({"events": ["webhook.losing"], "filter": {"subjects": ["$webhook/*"]}});
    let alarm = bench.hook("alarm", behaviour::healthy(), about_webhooks)?;
    let hooks = [bench.hook("drowned", behaviour::status(503), json!({}))?];
    bench.run.broken("webhook outage beyond the bound", &[], false, format!("{DROWNING} events"));
    let events: Vec<Event> = (0..DROWNING).map(|n| Event::good(n, "a")).collect();
    bench.publish(&events, &[])?;
    bench.announced(&hooks[0], &alarm);
    bench.watch(&hooks, true);
    bench.receiver.on(&hooks[0].path, behaviour::healthy());
    bench.run.mended("webhook outage beyond the bound", &[]);
    bench.all_settled(&hooks[0]);
    bench.watch(&hooks, true);
    bench.note_offered(&hooks[0])?;
    bench.end(&hooks)
}

/// Answers 500 to each request with an event that is to be refused, and 200 to all others.
fn refusing() -> Behaviour {
    Box::new(|request| {
        Reply::new(if request.events.iter().any(|e| e.key.starts_with("refused")) { 500 } else { 200 })
    })
}

/// An event to publish.
struct Event {
    n: usize,
    key: String,
    kind: &'static str,
    lane: String,
}

impl Event {
    fn good(n: usize, lane: &str) -> Self {
        Self { n, key: format!("good{n}"), kind: "good", lane: lane.to_owned() }
    }

    fn refused(n: usize) -> Self {
        Self { n, key: format!("refused{n}"), kind: "refused", lane: "refused".to_owned() }
    }

    fn body(&self) -> Value {
        json!({"type": self.kind, "payload": {"key": self.key, "lane": self.lane, "n": self.n}})
    }
}

/// A webhook of a bench.
struct Hook {
    name: String,
    path: String,
    id: String,
}

/// A map with short retention, its webhooks and their receiver.
struct Bench<'f> {
    run: &'f mut Run,
    map: Map,
    receiver: Receiver,
    name: String,
    /// How many events the webhooks must get.
    owed: usize,
    /// How many events the map was given. It has others, about its webhooks, which these webhooks do not get.
    published: u64,
}

impl<'f> Bench<'f> {
    fn set_up(run: &'f mut Run, what: &str, more: Value) -> Result<Self> {
        run.settle()?;
        let mut retention = json!({"events": KEPT, "age_seconds": null, "bytes": null});
        for (name, value) in more.as_object().into_iter().flatten() {
            retention[name] = value.clone();
        }
        // A scenario may run this part more than once.
        let name = format!("{what}-{}", run.journal.now_ms());
        let map = run.cluster.map_with(&name, json!({"limits": unlimited(), "retention": retention}))?;
        let receiver = Receiver::start_at(run.load.hooks.address())?;
        Ok(Self { run, map, receiver, name, owed: 0, published: 0 })
    }

    fn hook(&self, what: &str, behaviour: Behaviour, more: Value) -> Result<Hook> {
        let name = format!("{}-{what}", self.name);
        let path = format!("/{name}");
        let retry =
            json!({"max_attempts": 50, "delay_ms": 200, "factor": 1.5, "max_delay_ms": 3000, "jitter": 0});
        let mut body = json!({"url": self.receiver.on(&path, behaviour), "name": name, "retry": retry});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let data = self.run.cluster.api(0, &self.map).post(&self.hooks_path(), &body)?.data(201)?;
        self.run.journal.note(Record::Hook {
            hook: name.clone(),
            strict: body["ordering"] == "strict",
            dead: false,
            topic: self.name.clone(),
            subjects: Vec::new(),
        });
        Ok(Hook { name, path, id: text(&data, "id")? })
    }

    fn hooks_path(&self) -> String {
        format!("/api/maps/{}/webhooks", self.map.id)
    }

    /// Publishes each event until it is acknowledged; these webhooks must get the good ones.
    fn publish(&mut self, events: &[Event], hooks: &[Hook]) -> Result<()> {
        for events in events.chunks(BATCH) {
            let body = json!({"events": events.iter().map(Event::body).collect::<Vec<_>>()});
            let data = self.acknowledged(&events[0].key, &body)?;
            let stored = data.as_array().context("the answer has no list of events")?;
            ensure!(stored.len() == events.len(), "{} of {} acknowledged", stored.len(), events.len());
            self.published += stored.len() as u64;
            for (event, stored) in events.iter().zip(stored).filter(|(event, _)| event.kind == "good") {
                self.owed += 1;
                for hook in hooks {
                    let id = text(stored, "id")?;
                    let key = event.key.clone();
                    self.run.journal.note(Record::Owed { hook: hook.name.clone(), id, key });
                }
            }
            self.run.rest(PACE)?;
        }
        Ok(())
    }

    fn acknowledged(&mut self, key: &str, body: &Value) -> Result<Value> {
        let until = Instant::now() + PATIENCE;
        let path = self.map.events();
        let key = format!("{}-{key}", self.name);
        let mut node = self.run.any();
        loop {
            let site = &self.run.load.site;
            let answer =
                site.api(node, &self.map.token).post_once(&path, &key, body).and_then(|got| got.data(201));
            match answer {
                Ok(data) => return Ok(data),
                Err(error) if Instant::now() > until => return Err(error.context("publishing")),
                Err(_) => node = (node + 1) % site.nodes.len(),
            }
            self.run.rest(PACE)?;
        }
    }

    /// Records what each node reports of the webhooks. `beyond`: more was published than retention holds
    /// back.
    fn watch(&self, hooks: &[Hook], beyond: bool) {
        for hook in hooks {
            for node in 0..self.run.load.site.nodes.len() {
                // A node that does not answer is skipped.
                let Ok(shown) = self.ask(hook, node) else { continue };
                let number = |name: &str| shown[name].as_u64().unwrap_or(0);
                self.run.journal.note(Record::Webhook {
                    hook: hook.name.clone(),
                    node,
                    state: shown["state"].as_str().unwrap_or_default().to_owned(),
                    missed: number("missed"),
                    given_up: number("given_up"),
                    beyond,
                });
            }
        }
    }

    fn ask(&self, hook: &Hook, node: usize) -> Result<Value> {
        let api = self.run.load.site.api(node, &self.map.token).timeout(Duration::from_secs(2));
        api.get(&format!("{}/{}", self.hooks_path(), hook.id))?.data(200)
    }

    /// Waits until each webhook has all events that it must get. A webhook that gets nothing new and lacks
    /// some is recorded.
    fn catch_up(&self, hooks: &[Hook]) {
        for hook in hooks {
            let mut had = 0;
            let done = loop {
                let more = wait::until_for(CATCH_UP, "an event that the webhook must get", || {
                    let got = self.got(hook);
                    ensure!(got > had || got >= self.owed, "{got} of {} accepted", self.owed);
                    Ok(Some(got))
                });
                match more {
                    Ok(got) if got < self.owed => had = got,
                    done => break done.map(drop),
                }
            };
            self.note(hook, done);
        }
        self.watch(hooks, false);
    }

    /// How many of the different events that the webhook must get it has accepted.
    fn got(&self, hook: &Hook) -> usize {
        let accepted = self.receiver.accepted(&hook.path);
        let keys = accepted.iter().flat_map(|request| &request.events).map(|event| event.key.as_str());
        keys.filter(|key| key.starts_with("good")).collect::<HashSet<_>>().len()
    }

    fn note(&self, hook: &Hook, done: Result<()>) {
        self.run.journal.caught_up(&format!("webhook {}", hook.name), done);
    }

    /// Waits until the map's event about the lost events arrives at another webhook of the map, and records
    /// that event.
    fn announced(&self, of: &Hook, alarm: &Hook) {
        let announced = wait::until("the announcement", || {
            let requests = self.receiver.accepted(&alarm.path);
            let events = requests.iter().map(|request| serde_json::from_slice::<Value>(&request.body));
            let ours = |event: &Value| event["payload"]["webhook"]["id"] == of.id.as_str();
            Ok(events.flatten().find(ours).and_then(|event| event["payload"]["lost"].as_u64()))
        });
        match announced {
            Ok(lost) => self.run.journal.note(Record::Announced { hook: of.name.clone(), lost }),
            Err(error) => self.note(of, Err(error)),
        }
    }

    /// Waits until no event waits for the webhook any more.
    fn all_settled(&self, hook: &Hook) {
        let done = wait::until_for(CATCH_UP, "an empty queue", || {
            let queued = self.ask(hook, 0)?["queue_depth"].as_u64().context("no queue_depth")?;
            ensure!(queued == 0, "{queued} wait");
            Ok(Some(()))
        });
        self.note(hook, done);
    }

    /// Records how many events were published for the webhook, and how many the stream has: one more shows it.
    fn note_offered(&mut self, hook: &Hook) -> Result<()> {
        let events = self.published;
        let last = Event::good(DROWNING, "a");
        let stored = self.acknowledged(&last.key, &json!({"events": [last.body()]}))?;
        let stream = stored[0]["seq"].as_u64().context("the answer has no seq")?;
        self.run.journal.note(Record::Offered { hook: hook.name.clone(), events, stream });
        Ok(())
    }

    /// Records all requests that came, and removes the map.
    fn end(self, hooks: &[Hook]) -> Result<()> {
        for hook in hooks {
            note_requests(&self.run.load.site, &hook.name, &self.receiver.requests(&hook.path));
        }
        let path = format!("/api/maps/{}", self.map.id);
        wait::until("the map to be gone", || {
            let node = self.run.any();
            let status = self.run.load.site.admin(node).delete(&path)?.status;
            // An attempt whose answer was lost may have been carried out.
            Ok(matches!(status, 204 | 404).then_some(()))
        })
    }
}
