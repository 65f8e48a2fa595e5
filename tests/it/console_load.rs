//! A modest load on a map while somebody looks at its pages: events are published, clients follow them at every node
//! (one of them reads slowly), workers read a consumer, one webhook delivers and one fails. When a node dies, its
//! clients go on at another one. What a client is refused or loses on the way is no failure; that a part of the load
//! never works again is, and so is an acknowledged event that is missing in the end.

use crate::webhooks_support::{Hook, quick};
use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use testkit::background::Background;
use testkit::checks::held;
use testkit::cluster::Map;
use testkit::consumer::{Reader, ids};
use testkit::event::Event;
use testkit::http::{Answer, Api};
use testkit::phoenix::{Frame, Socket};
use testkit::receiver::{Behaviour, Receiver, Reply, behaviour};
use testkit::stream::Stream;
use testkit::ws::{Message, small_stream};
use testkit::{Cluster, wait};

/// The pause between two publishes: with batches some 20 events a second, fewer on a busy machine.
const PACE: Duration = Duration::from_millis(50);
/// Of so many publishes one is a batch.
const ONE_IS_BATCH: usize = 20;
/// Events of a batch.
const BATCH: usize = 5;
/// Of so many events one is long.
const ONE_IS_LONG: usize = 10;
const TYPES: [&str; 5] = ["order_paid", "order_sent", "ship_moved", "note", "alarm"];
/// Subjects, of which the empty one is the map's own.
const SUBJECTS: [&str; 4] = ["", "orders-7", "orders-8", "fleet"];

/// The consumer that workers read.
const WORKERS: &str = "workers";
/// Events that workers take at once, and the pause until they take more.
const TAKEN: usize = 100;
const WORK: Duration = Duration::from_millis(250);

/// How long a client looks for an event before it asks whether the load is over.
const LOOK: Duration = Duration::from_millis(200);
/// The pause of a slow client after each event: it falls behind.
const SLOW: Duration = Duration::from_millis(150);
/// The receive buffer of a slow client, in bytes: it is small, so that little waits in the kernel.
const SLOW_BUFFER: usize = 8 << 10;
/// How long a client waits for an answer, and before it tries the next node.
const PATIENCE: Duration = Duration::from_secs(7);
const AGAIN: Duration = Duration::from_millis(200);
const HEARTBEAT: Duration = Duration::from_secs(20);

/// The running load.
pub(crate) struct Load {
    /// The webhook that delivers.
    pub(crate) hook: Hook,
    map: Map,
    publisher: Background<Vec<Event>>,
    clients: Vec<Background<()>>,
    /// What each part has done.
    parts: Vec<(&'static str, Count)>,
    _receiver: Receiver,
}

/// How often a part of the load has done its work.
#[derive(Clone, Default)]
struct Count(Arc<AtomicU64>);

impl Count {
    fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Load {
    /// Starts it. The publisher, the workers, a socket and the slow client begin at the first node.
    pub(crate) fn start(c: &Cluster, map: &Map) -> Result<Self> {
        let receiver = Receiver::start()?;
        let delivered = Count::default();
        let hook = webhooks(c, map, &receiver, delivered.clone())?;
        let workers = json!({"name": WORKERS, "filter": {"subjects": ["*"]}});
        c.admin(0).post(&map.path("/consumers"), &workers)?.expect(201)?;

        let published = Count::default();
        let parts = vec![("the webhook", delivered), ("the publisher", published.clone())];
        let publisher = publisher(c, map, published);
        let mut load =
            Self { hook, map: map.clone(), publisher, clients: Vec::new(), parts, _receiver: receiver };
        let reader = Reader::new(&c.urls_from(0), map, WORKERS);
        load.client("the workers", move |count, stop| work(reader, count, stop));
        for (name, first, way) in [
            ("the socket", 0, Way::Socket),
            ("the stream", 1, Way::Stream),
            ("another socket", 2, Way::Socket),
            ("the slow stream", 0, Way::SlowStream),
        ] {
            let follower = Follower::new(c, map, first, way);
            load.client(name, move |count, stop| follower.follow(count, stop));
        }
        Ok(load)
    }

    /// Starts a client, which counts what it does.
    fn client(&mut self, name: &'static str, work: impl FnOnce(&Count, &AtomicBool) + Send + 'static) {
        let count = Count::default();
        self.parts.push((name, count.clone()));
        self.clients.push(Background::start(move |stop| {
            work(&count, stop);
            Ok(())
        }));
    }

    /// Waits until each part has done something more.
    pub(crate) fn goes_on(&self) -> Result<()> {
        let parts = self.parts.iter().map(|(name, count)| (*name, count, count.now()));
        let parts: Vec<(&str, &Count, u64)> = parts.collect();
        wait::until("each part of the load to go on", || {
            let idle = parts.iter().filter(|(_, count, before)| count.now() == *before);
            let idle: Vec<&str> = idle.map(|(name, ..)| *name).collect();
            ensure!(idle.is_empty(), "these did nothing: {idle:?}");
            Ok(Some(()))
        })
    }

    /// Ends it. Each node that is up has every event that was acknowledged.
    pub(crate) fn end(self, c: &Cluster) -> Result<()> {
        let acked = self.publisher.stop()?;
        self.clients.into_iter().try_for_each(Background::stop)?;
        for node in (0..c.nodes.len()).filter(|node| c.nodes[*node].is_up()) {
            let api = c.api(node, &self.map);
            c.wait_until(&format!("every acknowledged event at node {node}"), |_| {
                has_all(&held(&api, &self.map)?, &acked).map(Some)
            })?;
        }
        Ok(())
    }
}

/// Creates a webhook that delivers, which is returned, and one whose receiver fails.
fn webhooks(c: &Cluster, map: &Map, receiver: &Receiver, delivered: Count) -> Result<Hook> {
    let all = json!({"subjects": ["*"]});
    let accepting: Behaviour = Box::new(move |_| {
        delivered.up();
        Reply::new(200)
    });
    let ill = json!({"name": "ill", "filter": all, "retry": quick(2)});
    Hook::create(c, map, &receiver.on("/ill", behaviour::status(500)), ill)?;
    Hook::create(c, map, &receiver.on("/well", accepting), json!({"name": "well", "filter": all}))
}

fn publisher(c: &Cluster, map: &Map, count: Count) -> Background<Vec<Event>> {
    let urls = c.urls_from(0);
    let apis = urls.iter().map(|url| Api::new(url, Some(&map.token)).timeout(PATIENCE));
    let apis: Vec<Api> = apis.collect();
    let path = map.events();
    Background::start(move |stop| Ok(publish(&apis, &path, &count, stop)))
}

/// Publishes until it is stopped. Returns what was acknowledged.
fn publish(apis: &[Api], path: &str, count: &Count, stop: &AtomicBool) -> Vec<Event> {
    let mut acked = Vec::new();
    let mut node = 0;
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let (key, body) = body(n);
        match apis[node].post_once(path, &key, &body).and_then(acknowledged) {
            Ok(events) => {
                acked.extend(events);
                count.up();
                n += 1;
            }
            // The same goes to the next node. It has a key, so it is stored once.
            Err(_) => node = (node + 1) % apis.len(),
        }
        sleep(PACE);
    }
    acked
}

/// The n-th publish and its key.
fn body(n: usize) -> (String, Value) {
    let key = format!("load-{n}");
    if n % ONE_IS_BATCH < ONE_IS_BATCH - 1 {
        let body = event(&key, n);
        return (key, body);
    }
    let events: Vec<Value> = (0..BATCH).map(|i| event(&format!("{key}-{i}"), n + i)).collect();
    (key, json!({"events": events}))
}

fn event(key: &str, n: usize) -> Value {
    let words = if n.is_multiple_of(ONE_IS_LONG) { 400 } else { 4 };
    let payload = json!({"key": key, "n": n, "text": "some words ".repeat(words)});
    let mut event = json!({"type": TYPES[n % TYPES.len()], "payload": payload});
    let subject = SUBJECTS[n % SUBJECTS.len()];
    if !subject.is_empty() {
        event["subject"] = json!(subject);
    }
    event
}

fn acknowledged(answer: Answer) -> Result<Vec<Event>> {
    match answer.data(201)? {
        Value::Array(events) => events.iter().map(Event::from_envelope).collect(),
        event => Ok(vec![Event::from_envelope(&event)?]),
    }
}

/// Takes events and acknowledges them. What it could not acknowledge comes again.
fn work(mut reader: Reader, count: &Count, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let taken = reader.pull(TAKEN, 1).unwrap_or_default();
        if !taken.is_empty() && reader.ack(&ids(&taken)).is_ok() {
            count.up();
        }
        sleep(WORK);
    }
}

/// How a client follows.
#[derive(Clone, Copy)]
enum Way {
    /// Phoenix Channels over a WebSocket.
    Socket,
    /// Server-Sent Events.
    Stream,
    /// The same, read slowly.
    SlowStream,
}

/// A client that follows all events of the map.
struct Follower {
    /// Where it connects, the first node first.
    nodes: Vec<SocketAddr>,
    map: Map,
    way: Way,
}

impl Follower {
    fn new(c: &Cluster, map: &Map, first: usize, way: Way) -> Self {
        let n = c.nodes.len();
        let nodes = (0..n).map(|i| c.nodes[(first + i) % n].http).collect();
        Self { nodes, map: map.clone(), way }
    }

    /// Follows until it is stopped. When a connection ends, it goes on at the next node, after the last event.
    fn follow(&self, count: &Count, stop: &AtomicBool) {
        let mut place = Place { after: String::new(), count, stop };
        for node in self.nodes.iter().cycle() {
            // However it ended, it is to be followed further.
            let _ = match self.way {
                Way::Socket => self.by_socket(*node, &mut place),
                Way::Stream | Way::SlowStream => self.by_stream(*node, &mut place),
            };
            if place.is_over() {
                return;
            }
            sleep(AGAIN);
        }
    }

    fn by_socket(&self, node: SocketAddr, place: &mut Place<'_>) -> Result<()> {
        let mut socket = Socket::connect(node, &self.map.token)?;
        let mut params = json!({"events": "*", "subjects": "*"});
        if !place.after.is_empty() {
            params["last_event_id"] = json!(place.after);
        }
        socket.join_ok(&self.map.topic(), params)?;
        let mut beat = Instant::now();
        while !place.is_over() {
            match socket.ws.read(LOOK)? {
                Some(Message::Text(text)) => {
                    let frame = Frame::parse(&text)?;
                    let is_over = matches!(frame.event.as_str(), "phx_close" | "phx_error");
                    ensure!(!is_over, "the node ended the channel");
                    if let Some(id) = frame.payload["id"].as_str() {
                        place.took(id);
                    }
                }
                Some(Message::Close(..) | Message::End) => bail!("the node ended the socket"),
                Some(Message::Binary(_) | Message::Ping(_) | Message::Pong(_)) | None => {}
            }
            if beat.elapsed() > HEARTBEAT {
                beat = Instant::now();
                socket.push((Value::Null, json!("beat")), "phoenix", "heartbeat", json!({}))?;
            }
        }
        Ok(())
    }

    fn by_stream(&self, node: SocketAddr, place: &mut Place<'_>) -> Result<()> {
        let path = format!("{}/stream?subjects=*", self.map.events());
        let token = Some(self.map.token.as_str());
        let after = [("last-event-id", place.after.as_str())];
        let headers: &[(&str, &str)] = if place.after.is_empty() { &[] } else { &after };
        let is_slow = matches!(self.way, Way::SlowStream);
        let stream = if is_slow {
            Stream::get_on(small_stream(node, SLOW_BUFFER)?, &path, token, headers)?
        } else {
            Stream::get(node, &path, token, headers)?
        };
        let mut stream = stream.patience(PATIENCE)?;
        let status = stream.status()?;
        ensure!(status == 200, "{status}");
        while !place.is_over() {
            let Some(frame) = stream.frame(LOOK)? else { continue };
            let Some(id) = frame.id.as_deref().filter(|_| frame.seq().is_some()) else { continue };
            place.took(id);
            if is_slow {
                sleep(SLOW);
            }
        }
        Ok(())
    }
}

/// How far a client is.
struct Place<'a> {
    /// The id of the last event that it took; empty before the first.
    after: String,
    count: &'a Count,
    stop: &'a AtomicBool,
}

impl Place<'_> {
    fn took(&mut self, id: &str) {
        id.clone_into(&mut self.after);
        self.count.up();
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Checks that each acknowledged event is held as it was acknowledged.
fn has_all(held: &[Event], acked: &[Event]) -> Result<()> {
    let by_id: HashMap<&str, &Event> = held.iter().map(|event| (event.id.as_str(), event)).collect();
    let is_held = |event: &Event| by_id.get(event.id.as_str()).is_some_and(|held| is_same(held, event));
    let missing: Vec<&Event> = acked.iter().filter(|event| !is_held(event)).collect();
    ensure!(
        missing.is_empty(),
        "{} of {} acknowledged events are missing, such as {:?}",
        missing.len(),
        acked.len(),
        missing.first()
    );
    Ok(())
}

/// Whether two say the same. The bytes of an answer's payload were not kept, so their digests are not compared.
fn is_same(one: &Event, other: &Event) -> bool {
    let Event { id, seq, kind, subject, key, hash: _ } = one;
    *id == other.id
        && *seq == other.seq
        && *kind == other.kind
        && *subject == other.subject
        && *key == other.key
}
