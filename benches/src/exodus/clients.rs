//! The thousands of clients: they are spread over nodes and maps, and come back at another node when their
//! connection ends.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use testkit::{background::Background, dice::Dice};

use super::{
    client::{Client, Stage},
    tape::Tape,
};
use crate::fleet::{self, Clients};

/// A client that reconnected and has received everything that it had missed.
#[derive(Clone, Copy)]
pub(super) struct Return {
    pub(super) at: Instant,
    /// The index of the node that it had lost.
    pub(super) lost: usize,
}

/// What the thread reports while it runs.
#[derive(Default)]
pub(super) struct Seen {
    /// How many clients have joined and have the event that was the newest then.
    pub(super) live: AtomicU64,
    pub(super) returns: Mutex<Vec<Return>>,
    /// The last seq of each map; set when no more events are published.
    pub(super) heads: Mutex<Vec<u64>>,
    /// How many clients do not have the last event, once that is known.
    pub(super) behind: AtomicU64,
    /// How many sockets each node has.
    pub(super) at: [AtomicU64; 3],
}

impl Seen {
    /// Records that a client is live.
    fn live(&self, client: &mut Client) {
        self.live.fetch_add(1, Relaxed);
        self.at[client.node].fetch_add(1, Relaxed);
        if let Some(lost) = client.lost.take() {
            let mut returns = self.returns.lock().unwrap_or_else(PoisonError::into_inner);
            returns.push(Return { at: Instant::now(), lost });
        }
    }
}

/// The results of the thread.
pub(super) struct Outcome {
    /// How many events were the next one for their client.
    pub(super) right: u64,
    pub(super) wrong: BTreeMap<String, u64>,
    /// Why connections ended, and how many for each reason.
    pub(super) falls: BTreeMap<String, u64>,
}

/// The running clients. Dropping them ends them.
pub(super) struct Fleet {
    pub(super) seen: Arc<Seen>,
    pub(super) thread: Background<Outcome>,
}

impl Fleet {
    /// Starts to connect and join; the clients are spread over the nodes and maps.
    pub(super) fn start(nodes: Vec<SocketAddr>, maps: &[(String, String)], clients: usize) -> Self {
        let seen = Arc::<Seen>::default();
        let client = |number: usize| Client::new(number / nodes.len() % maps.len(), number % nodes.len());
        let resuming = Resuming {
            clients: (0..clients).map(client).collect(),
            nodes,
            tape: Tape::new(maps),
            seen: seen.clone(),
            falls: BTreeMap::new(),
            dice: Dice::new(1, 0),
        };
        Self { seen, thread: Background::start(move |stop| fleet::run(resuming, stop)) }
    }
}

/// Clients that resume.
struct Resuming {
    nodes: Vec<SocketAddr>,
    tape: Tape,
    seen: Arc<Seen>,
    clients: Vec<Client>,
    falls: BTreeMap<String, u64>,
    dice: Dice,
}

impl Clients for Resuming {
    type Outcome = Outcome;

    fn count(&self) -> usize {
        self.clients.len()
    }

    fn server(&self, client: usize) -> SocketAddr {
        self.nodes[self.clients[client].node]
    }

    fn upgrade(&self, client: usize) -> &[u8] {
        &self.tape.maps[self.clients[client].map].upgrade
    }

    fn join(&self, client: usize) -> Vec<u8> {
        self.clients[client].join(&self.tape)
    }

    fn text(&mut self, client: usize, payload: &[u8]) -> Result<()> {
        let client = &mut self.clients[client];
        let before = client.stage;
        let done = client.text(payload, &mut self.tape);
        if before != Stage::Live && client.stage == Stage::Live {
            self.seen.live(client);
        }
        done
    }

    fn is_live(&self, client: usize) -> bool {
        self.clients[client].stage == Stage::Live
    }

    /// The client comes back at another node.
    fn lost(&mut self, client: usize, why: &anyhow::Error) -> Option<Duration> {
        let client = &mut self.clients[client];
        let what = format!("node {}, {:?}: {why:#}", client.node + 1, client.stage);
        *self.falls.entry(what).or_default() += 1;
        if client.stage == Stage::Live {
            self.seen.live.fetch_sub(1, Relaxed);
            self.seen.at[client.node].fetch_sub(1, Relaxed);
        }
        let wait = client.fall(self.dice.next());
        client.node = (client.node + 1 + self.dice.below(2)) % self.nodes.len();
        Some(wait)
    }

    /// Counts the clients that do not have the last event yet.
    fn beat(&mut self) {
        let heads = self.seen.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if !heads.is_empty() {
            let behind = self.clients.iter().filter(|client| client.seq() != heads[client.map]).count();
            self.seen.behind.store(behind as u64, Relaxed);
        }
    }

    fn outcome(self) -> Outcome {
        Outcome { right: self.tape.right, wrong: self.tape.wrong, falls: self.falls }
    }
}
