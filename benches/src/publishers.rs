//! Publishers that never give up on an event. Each sends one event after the other, under an
//! `Idempotency-Key`, and repeats it, mostly at the next node, until some node acknowledges it. They remember
//! when each event was acknowledged. They never harm a node and never check.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::http;

/// The pause between two attempts at one event.
const AGAIN: Duration = Duration::from_millis(10);
/// How often a publisher that moved to another node tries its first node again.
const HOME_EVERY: Duration = Duration::from_secs(1);
/// A publish fails when no node accepts its event within this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long all publishers may take to end.
const END: Duration = Duration::from_secs(40);

/// What the publishers send, and where.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<SocketAddr>,
    /// The id or slug of the map.
    pub(crate) map: String,
    pub(crate) token: String,
    /// How many publishers there are, spread over the nodes.
    pub(crate) publishers: usize,
    /// The pause from an acknowledgement to the publisher's next event.
    pub(crate) pause: Duration,
    /// The bytes of padding in a payload.
    pub(crate) pad: usize,
    /// Whether a publisher repeats an event at its first node.
    pub(crate) stays: bool,
}

/// An acknowledged event.
#[derive(Clone, Copy)]
pub(crate) struct Ack {
    pub(crate) publisher: usize,
    /// Its position among the events of its publisher, from 0.
    pub(crate) number: usize,
    pub(crate) seq: u64,
    /// When its first attempt began.
    pub(crate) began: Instant,
    pub(crate) at: Instant,
}

impl Ack {
    /// The event's idempotency key, which is in its payload too.
    pub(crate) fn key(&self) -> String {
        key(self.publisher, self.number)
    }
}

fn key(publisher: usize, number: usize) -> String {
    format!("{publisher}-{number}")
}

/// The results so far.
#[derive(Default)]
pub(crate) struct Log {
    /// The acknowledgements, in the order of their arrival.
    pub(crate) acks: Vec<Ack>,
    /// How many attempts were answered with 503.
    pub(crate) refused: u64,
    /// The publishers whose attempts were answered that it is unknown whether the event is stored, and when.
    pub(crate) unknown: Vec<(usize, Instant)>,
    /// How many attempts had a connection that broke or could not be made.
    pub(crate) lost: u64,
}

/// The running publishers.
pub(crate) struct Publishers {
    log: Arc<Mutex<Log>>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Result<()>>,
}

impl Publishers {
    pub(crate) fn start(plan: &Plan) -> Self {
        let log = Arc::<Mutex<Log>>::default();
        let stop = Arc::<AtomicBool>::default();
        let mut tasks = JoinSet::new();
        for publisher in 0..plan.publishers {
            let home = publisher % plan.nodes.len();
            let one = Publisher {
                plan: plan.clone(),
                publisher,
                home,
                node: home,
                away_since: Instant::now(),
                client: None,
                log: log.clone(),
            };
            tasks.spawn(one.run(stop.clone()));
        }
        Self { log, stop, tasks }
    }

    /// Calls `look` with the log. No publisher continues meanwhile.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Log) -> T) -> T {
        at(&self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until `enough` holds; a publisher that failed is an error.
    ///
    /// # Errors
    /// It does not hold in time, or a publish failed for good.
    pub(crate) async fn wait(&mut self, within: Duration, enough: impl Fn(&Log) -> bool) -> Result<()> {
        let deadline = Instant::now() + within;
        while !self.look(&enough) {
            if let Some(ended) = self.tasks.try_join_next() {
                ended.map_err(|e| anyhow!(e))??;
            }
            if Instant::now() > deadline {
                bail!("not acknowledged within {within:?}");
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Ends the publishers, each after its present event. Returns the whole log.
    ///
    /// # Errors
    /// A publish failed for good.
    pub(crate) async fn stop(mut self) -> Result<Log> {
        self.stop.store(true, Relaxed);
        let ended = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.map_err(|e| anyhow!(e))??;
            }
            anyhow::Ok(())
        };
        timeout(END, ended).await.context("the publishers do not end")??;
        Ok(std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// One publisher: its first node (`home`), its present node, and the shared log.
struct Publisher {
    plan: Plan,
    publisher: usize,
    home: usize,
    node: usize,
    away_since: Instant,
    client: Option<http::Client>,
    log: Arc<Mutex<Log>>,
}

/// The part of a publish's answer that is read.
#[derive(Deserialize)]
struct Answer {
    data: Stored,
}

#[derive(Deserialize)]
struct Stored {
    seq: u64,
}

/// The part of a refusal that is read.
#[derive(Deserialize)]
struct Refusal {
    code: String,
}

/// Whether a refusal leaves open whether the event is stored.
fn is_unknown(body: &[u8]) -> bool {
    serde_json::from_slice::<Refusal>(body).is_ok_and(|refusal| refusal.code == "unknown_outcome")
}

impl Publisher {
    async fn run(mut self, stop: Arc<AtomicBool>) -> Result<()> {
        let path = format!("/api/maps/{}/events", self.plan.map);
        let pad = "x".repeat(self.plan.pad);
        let mut number = 0;
        while !stop.load(Relaxed) {
            let publisher = self.publisher;
            let key = key(self.publisher, number);
            let body = format!(r#"{{"type":"bench","payload":{{"key":"{key}","p":"{pad}"}}}}"#);
            let request = http::repeatable(&path, &self.plan.token, &key, &body);
            let began = Instant::now();
            let seq = self.publish(&request, began).await.with_context(|| format!("publishing {key}"))?;
            let ack = Ack { publisher, number, seq, began, at: Instant::now() };
            self.note(|log| log.acks.push(ack));
            number += 1;
            self.go_home().await;
            sleep(self.plan.pause).await;
        }
        Ok(())
    }

    fn note(&self, what: impl FnOnce(&mut Log)) {
        what(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Publishes the event until a node acknowledges it. Returns its seq.
    async fn publish(&mut self, request: &[u8], began: Instant) -> Result<u64> {
        loop {
            match self.attempt(request).await {
                Ok((201, body)) => return Ok(serde_json::from_slice::<Answer>(&body)?.data.seq),
                Ok((503, body)) => {
                    let unknown = is_unknown(&body).then(|| (self.publisher, Instant::now()));
                    self.note(|log| {
                        log.refused += 1;
                        log.unknown.extend(unknown);
                    });
                }
                Ok((status, body)) => bail!("{status}: {}", String::from_utf8_lossy(&body)),
                Err(error) if began.elapsed() > PATIENCE => {
                    return Err(error.context("no node accepts the event"));
                }
                Err(_) => self.note(|log| log.lost += 1),
            }
            if began.elapsed() > PATIENCE {
                bail!("every node refuses the event");
            }
            self.client = None;
            if !self.plan.stays {
                self.node = (self.node + 1) % self.plan.nodes.len();
                self.away_since = Instant::now();
            }
            sleep(AGAIN).await;
        }
    }

    async fn attempt(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        let client = match &mut self.client {
            Some(client) => client,
            empty => empty.insert(http::Client::connect(self.plan.nodes[self.node]).await?),
        };
        let status = client.exchange(request).await?;
        Ok((status, client.body().to_vec()))
    }

    /// Goes back to the publisher's first node, if that runs again.
    async fn go_home(&mut self) {
        if self.node == self.home || self.away_since.elapsed() < HOME_EVERY {
            return;
        }
        self.away_since = Instant::now();
        if let Ok(client) = http::Client::connect(self.plan.nodes[self.home]).await {
            self.client = Some(client);
            self.node = self.home;
        }
    }
}
