//! A publisher that runs in a loop and never gives up on an event: each event has an idempotency key, and is
//! sent again, to the next node, until some node acknowledges it. It remembers every acknowledgement.

use crate::background::Background;
use crate::cluster::Map;
use crate::http::{Api, text};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long one event may remain without an acknowledgement.
const PATIENCE: Duration = Duration::from_secs(60);

/// An acknowledged event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Its idempotency key, which is also the `key` of its payload.
    pub key: String,
    /// Its id.
    pub id: String,
    /// Its position in the map's stream.
    pub seq: u64,
}

/// A running publisher.
#[derive(Debug)]
pub struct Publisher {
    acked: Arc<AtomicU64>,
    thread: Background<Vec<Ack>>,
}

impl Publisher {
    /// Publishes `{"key","n"}` events to `map` through `urls`, one after another with a pause of `pace`, with
    /// the types `types` in turn, until it is stopped.
    pub fn start(urls: Vec<String>, map: &Map, name: &str, types: &[&str], pace: Duration) -> Self {
        let acked = Arc::new(AtomicU64::new(0));
        let work = Loop {
            apis: urls
                .iter()
                .map(|u| Api::new(u, Some(&map.token)).timeout(Duration::from_secs(7)))
                .collect(),
            path: map.events(),
            name: name.to_owned(),
            types: types.iter().map(|t| (*t).to_owned()).collect(),
            pace,
            acked: acked.clone(),
        };
        Self { acked, thread: Background::start(move |stop| work.run(stop)) }
    }

    /// How many events have been acknowledged so far.
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// Waits until `more` further events have been acknowledged.
    pub fn wait_more(&self, more: u64) -> Result<()> {
        let target = self.acked() + more;
        crate::wait::until(&format!("{more} more acknowledgements"), || {
            if self.thread.is_over() {
                return Ok(Some(Err(anyhow!("the publisher has ended"))));
            }
            Ok((self.acked() >= target).then_some(Ok(())))
        })?
    }

    /// Ends the loop once its present event is acknowledged. Returns all acknowledgements, in order.
    pub fn stop(self) -> Result<Vec<Ack>> {
        self.thread.stop()
    }
}

/// The work of the publisher's thread.
struct Loop {
    apis: Vec<Api>,
    path: String,
    name: String,
    types: Vec<String>,
    pace: Duration,
    acked: Arc<AtomicU64>,
}

impl Loop {
    fn run(&self, stop: &AtomicBool) -> Result<Vec<Ack>> {
        let mut acks = Vec::new();
        let mut node = 0;
        let mut n = 0;
        while !stop.load(Ordering::Relaxed) {
            let key = format!("{}-{n}", self.name);
            let kind = &self.types[n % self.types.len()];
            let body = json!({"type": kind, "payload": {"key": key, "n": n}});
            acks.push(self.publish(&key, &body, &mut node)?);
            self.acked.fetch_add(1, Ordering::Relaxed);
            n += 1;
            std::thread::sleep(self.pace);
        }
        Ok(acks)
    }

    fn publish(&self, key: &str, body: &serde_json::Value, node: &mut usize) -> Result<Ack> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let refusal = match self.apis[*node].post_once(&self.path, key, body) {
                Ok(answer) if answer.status == 201 => {
                    let data = answer.data(201)?;
                    let seq = data["seq"].as_u64().context("no seq in an acknowledgement")?;
                    return Ok(Ack { key: key.to_owned(), id: text(&data, "id")?, seq });
                }
                Ok(answer) if answer.status == 503 => answer.text(),
                Ok(answer) => bail!("publishing {key}: {} {}", answer.status, answer.text()),
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() >= deadline {
                bail!("publishing {key}: refused for {PATIENCE:?}: {refusal}");
            }
            *node = (*node + 1) % self.apis.len();
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}
