//! The subscribers of the load: thousands of clients of one map that count what they receive. A client that
//! loses its connection does not come back.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use testkit::background::Background;

use crate::{
    event,
    fleet::{self, Clients, text},
    nats,
    wire::{Said, Wire, said_by_nats},
};

/// Latency is read on one client of this number: reading it on all would make the clients expensive.
const SAMPLE: usize = 16;

/// What to join, and how often.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    pub(crate) wire: Wire,
    pub(crate) connections: usize,
}

/// The counters of the running thread.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) joined: AtomicU64,
    /// Broadcast frames over all connections.
    pub(crate) delivered: AtomicU64,
    /// The bytes of these frames, without WebSocket heads.
    pub(crate) bytes: AtomicU64,
    /// Reads that returned frames: `delivered / reads` is how much the server coalesced.
    pub(crate) reads: AtomicU64,
    /// Connections lost or refused.
    pub(crate) lost: AtomicU64,
}

/// The results of the thread.
pub(crate) struct Outcome {
    /// Microseconds from publish to read, on sampled clients.
    pub(crate) latency: Histogram<u64>,
    /// Why connections were lost, and how many for each reason.
    pub(crate) losses: BTreeMap<String, u64>,
}

/// The running thread. Dropping it ends it.
pub(crate) struct Subscribers {
    pub(crate) counters: Arc<Counters>,
    thread: Background<Outcome>,
}

impl Subscribers {
    /// Starts to connect and join.
    ///
    /// # Errors
    /// Never with these bounds of latencies.
    pub(crate) fn start(target: Target) -> Result<Self> {
        let counters = Arc::<Counters>::default();
        let of_nats = if matches!(target.wire, Wire::Nats) { target.connections } else { 0 };
        let clients = Counting {
            upgrade: target.wire.upgrade(&target.addr.to_string()),
            wire: target.wire,
            server: target.addr,
            live: vec![false; target.connections],
            streams: (0..of_nats).map(|_| nats::Reader::default()).collect(),
            counters: counters.clone(),
            outcome: Outcome { latency: event::latencies()?, losses: BTreeMap::new() },
            read: Read::default(),
        };
        Ok(Self { counters, thread: Background::start(move |stop| fleet::run(clients, stop)) })
    }

    /// Closes every connection. Returns the results.
    ///
    /// # Errors
    /// The thread met an error that ended it.
    pub(crate) fn stop(self) -> Result<Outcome> {
        self.thread.stop()
    }
}

/// The broadcast frames of one read, and its time (µs) if a frame needed it.
#[derive(Default)]
struct Read {
    frames: u64,
    bytes: u64,
    now: Option<u64>,
    /// What the client answers.
    answer: Vec<u8>,
}

/// Clients that count.
struct Counting {
    upgrade: Vec<u8>,
    wire: Wire,
    server: SocketAddr,
    live: Vec<bool>,
    /// What each client of NATS has read; clients of others have none.
    streams: Vec<nats::Reader>,
    counters: Arc<Counters>,
    outcome: Outcome,
    /// The present read.
    read: Read,
}

impl Counting {
    fn joined(&mut self, client: usize) {
        if !std::mem::replace(&mut self.live[client], true) {
            self.counters.joined.fetch_add(1, Relaxed);
        }
    }

    fn hear(&mut self, client: usize, said: Said, payload: &[u8]) -> Result<()> {
        match said {
            Said::Event => {
                self.read.frames += 1;
                self.read.bytes += payload.len() as u64;
                if client.is_multiple_of(SAMPLE)
                    && let Some(stamp) = self.wire.stamp(payload)
                {
                    let now = *self.read.now.get_or_insert_with(event::now_micros);
                    self.outcome.latency.saturating_record(now.saturating_sub(stamp));
                }
            }
            Said::Joined => self.joined(client),
            Said::Refused => bail!("refused: {}", text(payload)),
            Said::Ping => self.read.answer.extend(self.wire.pong()),
            Said::Other => {}
        }
        Ok(())
    }
}

impl Clients for Counting {
    type Outcome = Outcome;

    fn count(&self) -> usize {
        self.live.len()
    }

    fn server(&self, _client: usize) -> SocketAddr {
        self.server
    }

    fn upgrade(&self, _client: usize) -> &[u8] {
        &self.upgrade
    }

    fn join(&self, client: usize) -> Vec<u8> {
        self.wire.join(client)
    }

    fn opened(&mut self, client: usize) {
        if self.wire.joins_by_upgrade() {
            self.joined(client);
        }
    }

    fn text(&mut self, client: usize, payload: &[u8]) -> Result<()> {
        let Some(stream) = self.streams.get_mut(client) else {
            return self.hear(client, self.wire.said(payload), payload);
        };
        let mut stream = std::mem::take(stream);
        let mut done = Ok(());
        stream.feed(payload, |op| {
            if done.is_ok() {
                let (said, payload) = said_by_nats(&op);
                done = self.hear(client, said, payload);
            }
        })?;
        self.streams[client] = stream;
        done
    }

    /// Only events are compressed. They are not inflated: the client must be cheap, and time is not read.
    fn compressed(&mut self, _client: usize, payload: &[u8]) -> Result<()> {
        self.read.frames += 1;
        self.read.bytes += payload.len() as u64;
        Ok(())
    }

    fn read_ends(&mut self, _client: usize) -> Vec<u8> {
        let Read { frames, bytes, answer, .. } = std::mem::take(&mut self.read);
        if frames > 0 {
            self.counters.bytes.fetch_add(bytes, Relaxed);
            self.counters.reads.fetch_add(1, Relaxed);
            self.counters.delivered.fetch_add(frames, Relaxed);
        }
        answer
    }

    fn heartbeat(&self) -> Vec<u8> {
        self.wire.heartbeat()
    }

    fn is_live(&self, client: usize) -> bool {
        self.live[client]
    }

    fn lost(&mut self, client: usize, why: &anyhow::Error) -> Option<Duration> {
        self.live[client] = false;
        self.counters.lost.fetch_add(1, Relaxed);
        *self.outcome.losses.entry(format!("{why:#}")).or_default() += 1;
        None
    }

    fn outcome(self) -> Outcome {
        self.outcome
    }
}
