//! Readers of a consumer of the main map: four, at all nodes, which share its events. They die with what they
//! have, refuse events, and stall until others get them.

use super::Site;
use crate::history::Record;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use testkit::cluster::Cluster;
use testkit::consumer::{Reader, Taken, ids};
use testkit::dice::Dice;
use testkit::wait;

/// The name of the consumer.
pub const CONSUMER: &str = "jobs";

const READERS: usize = 4;
/// The most events of one read.
const MAX: usize = 20;
/// How long a reader has an event alone.
const VISIBILITY: Duration = Duration::from_millis(1500);
/// The pause after a request that failed.
const AGAIN: Duration = Duration::from_millis(50);
/// How long the readers have to catch up.
const LIMIT: Duration = Duration::from_secs(90);

/// The readers of a run.
#[derive(Debug)]
pub struct Workers {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Creates the consumer, before anything is published, and starts its readers.
    pub fn start(cluster: &Cluster, site: &Arc<Site>) -> Result<Self> {
        let body = json!({
            "name": CONSUMER, "ordering": "key", "ordering_key": "type", "visibility_ms": VISIBILITY.as_millis() as u64,
            "max_retries": 90, "initial_delay_ms": 50, "backoff_multiplier": 1,
        });
        cluster.api(0, &site.main).create(&site.main.path("/consumers"), &body)?;
        site.journal.note(Record::Consumer { consumer: CONSUMER.to_owned() });
        let over = Arc::new(AtomicBool::new(false));
        let mut workers = Self { over: over.clone(), threads: Vec::new() };
        for n in 0..READERS {
            let (site, over) = (site.clone(), over.clone());
            let thread = std::thread::Builder::new().name(format!("worker{n}"));
            workers.threads.push(thread.spawn(move || work(&site, n, &over))?);
        }
        Ok(workers)
    }

    /// Waits until nothing is left to do, ends the readers and records what became of all events.
    pub fn finish(mut self, site: &Site) -> Result<()> {
        let drained = wait::until_for(LIMIT, "nothing to be left for the readers", || {
            let state = show(site)?["state"].clone();
            ensure!(state["lag"] == 0, "{state}");
            Ok(Some(()))
        });
        self.over.store(true, Ordering::Relaxed);
        let threads = std::mem::take(&mut self.threads);
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a reader panicked")))?;
        site.journal.caught_up("the readers of the consumer", drained);
        let path = format!("/consumers/{CONSUMER}/dead-letters?limit=1000");
        let dead = site.api(0, &site.main.token).get(&site.main.path(&path))?.data(200)?;
        for dead_letter in dead.as_array().into_iter().flatten() {
            let seq = dead_letter["seq"].as_u64().context("no seq")?;
            site.journal.note(Record::WorkGivenUp { consumer: CONSUMER.to_owned(), seq });
        }
        let state = show(site)?["state"].clone();
        let count = |name: &str| state[name].as_u64().with_context(|| format!("no {name} in {state}"));
        site.journal.note(Record::WorkDone {
            consumer: CONSUMER.to_owned(),
            acknowledged: count("acknowledged")?,
            given_up: count("given_up")?,
        });
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// The consumer, as the first node that answers shows it.
pub fn show(site: &Site) -> Result<Value> {
    let path = site.main.path(&format!("/consumers/{CONSUMER}"));
    let answers = (0..site.nodes.len()).map(|node| site.api(node, &site.main.token).get(&path)?.data(200));
    let mut last = Err(anyhow!("there is no node"));
    for answer in answers {
        last = answer;
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Works until the run ends.
fn work(site: &Site, n: usize, over: &AtomicBool) {
    let mut dice = site.dice(&format!("worker{n}"));
    let urls: Vec<String> =
        (0..site.nodes.len()).map(|k| format!("http://{}", site.nodes[(n + k) % site.nodes.len()])).collect();
    let mut reader = Reader::new(&urls, &site.main, CONSUMER);
    while !over.load(Ordering::Relaxed) {
        let asked_ms = site.journal.now_ms();
        let Ok(taken) = reader.pull(MAX, 1) else {
            std::thread::sleep(AGAIN);
            continue;
        };
        for taken in &taken {
            site.journal.note(Record::HandedOver {
                consumer: CONSUMER.to_owned(),
                seq: taken.seq,
                lane: taken.kind.clone(),
                attempt: taken.attempt,
                asked_ms,
            });
        }
        if !taken.is_empty() {
            handle(site, &mut reader, &mut dice, taken);
        }
    }
}

/// Does with events what chance says: mostly it acknowledges them.
fn handle(site: &Site, reader: &mut Reader, dice: &mut Dice, taken: Vec<Taken>) {
    match dice.below(30) {
        // It dies with what it has; another reader comes in its place.
        0 => {}
        1 => drop(reader.nack(&ids(&taken), 20)),
        2 => {
            std::thread::sleep(VISIBILITY + AGAIN);
            acknowledge(site, reader, &taken);
        }
        _ => acknowledge(site, reader, &taken),
    }
}

fn acknowledge(site: &Site, reader: &mut Reader, taken: &[Taken]) {
    let unknown = reader.ack(&ids(taken));
    for taken in taken {
        let certain = match &unknown {
            Ok(unknown) if unknown.contains(&taken.ack_id) => continue,
            Ok(_) => true,
            Err(_) => false,
        };
        site.journal.note(Record::Worked { consumer: CONSUMER.to_owned(), seq: taken.seq, certain });
    }
}
