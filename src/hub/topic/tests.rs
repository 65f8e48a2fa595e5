//! A topic between the log and its subscribers.

use super::*;
use crate::core::access::Map;
use crate::core::command::Publish;
use crate::core::event::NewEvent;
use crate::core::expression::{Condition, Expression};
use crate::core::filter::Filter;
use crate::core::frame::WireForm;
use crate::core::ids::EventId;
use crate::core::ring::{Cursor, Read, Ring};
use crate::core::subject::{Selector, Subject};
use crate::hub::nudges::Bell;
use crate::hub::wakes::Wakes;
use crate::hub::{Hub, Via, stage};
use actix::Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Writes an event's seq and payload as a line.
struct Lines(FormKey);

impl WireForm for Lines {
    fn key(&self) -> &FormKey {
        &self.0
    }
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        out.extend_from_slice(
            format!("{} {}\n", event.seq, String::from_utf8_lossy(&event.payload)).as_bytes(),
        );
    }
    fn encode_position(&self, _: EventId, _: u64, _: &mut Vec<u8>) {}
}

/// A subscriber that reads what comes through a ring, as a session does.
#[derive(Clone, Default)]
struct Reader(Arc<Mutex<Received>>);

#[derive(Default)]
struct Received {
    ring: Option<(Ring, Cursor)>,
    lines: Vec<String>,
    /// Chunks that did not continue the chain.
    breaks: usize,
}

impl Reader {
    fn with<T>(&self, look: impl FnOnce(&mut Received) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self) -> usize {
        self.with(|received| received.lines.len())
    }
}

impl Actor for Reader {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(4096);
    }
}

impl Handler<Deliver> for Reader {
    type Result = ();

    fn handle(&mut self, news: Deliver, _: &mut Self::Context) {
        self.with(|received| match news {
            Deliver::Start { next_seq, .. } => {
                received.ring = Some((Ring::new(next_seq, 1 << 20, 100_000), Cursor::at(next_seq)));
            }
            Deliver::Chunk { chunk, .. } => {
                let (ring, cursor) = received.ring.as_mut().unwrap();
                received.breaks += usize::from(!ring.push(chunk));
                if let Read::Frames(bytes) = ring.read(cursor, &Filter::All, usize::MAX) {
                    received.lines.extend(std::str::from_utf8(&bytes).unwrap().lines().map(str::to_owned));
                }
            }
            _ => {}
        });
    }
}

/// A topic that gets what is applied, and the number of pages that it read from the store.
fn start(hub: &Hub, key: &TopicKey) -> (Addr<Topic>, Arc<AtomicU64>) {
    let (_, bridge) = hub.cluster_and_bridge();
    let reads = Arc::new(AtomicU64::new(0));
    let meters =
        Meters { woken: metrics::Counter::noop(), reads: metrics::Counter::from_arc(Arc::clone(&reads)) };
    let pending = Pending::default();
    let archive = hub.archive().clone();
    let evaluators = hub.evaluators().clone();
    let topic = Topic::new(key.clone(), archive, evaluators, meters, pending.clone()).start();
    let wakes = Wakes::default();
    actix_rt::spawn(wakes.clone().pass_on());
    bridge.watch_topic(key.clone(), Bell::new(topic.clone().recipient(), pending, wakes));
    (topic, reads)
}

async fn attach(topic: &Addr<Topic>, condition: Option<Condition>) -> Reader {
    let reader = Reader::default();
    let view = View::new(Arc::new(Lines("lines".into())), condition.map(Arc::new));
    let dispatcher = reader.clone().start().recipient();
    topic.send(Attach { view, dispatcher }).await.unwrap();
    reader
}

/// A map's stream, and the topic of one of its subjects.
async fn map_of(hub: &Hub, subject: &str) -> (Arc<Map>, TopicKey) {
    let id = stage::create(hub, 1, "a").await;
    let map = hub.access().known().map(id).cloned().unwrap();
    let key = TopicKey::new(map.topic, Selector::from_names([Ok(subject)]).unwrap());
    (map, key)
}

/// Publishes events of two subjects in turns. Returns the lines of those of the first one.
async fn publish(hub: &Hub, map: &Map, payloads: impl Iterator<Item = String>) -> Vec<String> {
    let events: Vec<NewEvent> = payloads
        .flat_map(|payload| {
            ["a", "b"].map(|name| NewEvent::new(Subject::parse(name).unwrap(), "k", payload.clone()))
        })
        .collect();
    let texts: Vec<String> =
        events.iter().map(|event| String::from_utf8_lossy(&event.payload).into_owned()).collect();
    let publish = Publish { map: map.id, by: None, events, key: None };
    let published = hub.publisher().publish(map, publish, Via::Rest).await.unwrap();
    (published.first_seq..).zip(texts).step_by(2).map(|(seq, text)| format!("{seq} {text}")).collect()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

#[actix_web::test]
async fn a_topic_reads_the_store_only_if_it_lags() {
    let folder = tempfile::tempdir().unwrap();
    let hub = stage::hub(folder.path()).await;
    let (map, key) = map_of(&hub, "a").await;
    publish(&hub, &map, (0..5).map(|n| n.to_string())).await;
    let (topic, reads) = start(&hub, &key);
    let reader = attach(&topic, None).await;
    let mut lines = Vec::new();
    for n in 0..20 {
        lines.extend(publish(&hub, &map, (0..n % 4 + 1).map(|n| n.to_string())).await);
    }
    until("events are handed over", || reader.count() == lines.len()).await;
    assert_eq!(reads.load(Ordering::Relaxed), 0);
    // More than may be handed over at once.
    lines.extend(publish(&hub, &map, (0..3000).map(|n| n.to_string())).await);
    until("events are read", || reader.count() == lines.len()).await;
    let pages = reads.load(Ordering::Relaxed);
    assert!(pages > 0);
    lines.extend(publish(&hub, &map, (0..300).map(|n| n.to_string())).await);
    until("events are handed over again", || reader.count() == lines.len()).await;
    assert_eq!(reads.load(Ordering::Relaxed), pages);
    reader.with(|received| assert_eq!((&received.lines, received.breaks), (&lines, 0)));
    hub.shutdown().await;
}

#[actix_web::test]
async fn a_view_with_a_condition_gets_what_meets_it() {
    let folder = tempfile::tempdir().unwrap();
    let hub = stage::hub(folder.path()).await;
    let (map, key) = map_of(&hub, "a").await;
    let (topic, _) = start(&hub, &key);
    let expression = Expression::condition("payload.n >= 10").unwrap();
    let all = attach(&topic, None).await;
    let some = attach(&topic, Some(Condition::new(expression, map.id))).await;
    let mut lines = Vec::new();
    for n in 0..30 {
        lines.extend(publish(&hub, &map, (n..n + 3).map(|n| format!("{{\"n\":{n}}}"))).await);
    }
    let n_of = |line: &str| line.split(':').nth(1).unwrap().trim_end_matches('}').parse::<u64>().unwrap();
    let wanted: Vec<String> = lines.iter().filter(|line| n_of(line) >= 10).cloned().collect();
    until("all", || all.count() == lines.len()).await;
    until("some", || some.count() == wanted.len()).await;
    all.with(|received| assert_eq!((&received.lines, received.breaks), (&lines, 0)));
    some.with(|received| assert_eq!((&received.lines, received.breaks), (&wanted, 0)));
    hub.shutdown().await;
}
