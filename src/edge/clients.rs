//! The client connections of a node: how many there may be, which of them may send, and which of them gives
//! way when they run short.
//!
//! A connection whose sender is not known (nobody has authenticated on it) keeps no one out. When all
//! connections are taken, the one of an unknown sender that has been idle for longest is closed, then the one
//! of a known sender that waits for a next request. If every connection is in use, a few more are accepted,
//! on which only the health of the node is answered.
//!
//! Owns the rules and the counts, and wakes the tasks of connections. Reads and writes no bytes.

mod state;

pub use state::{Over, Turn};

use crate::metric;
use slab::Slab;
use state::{Rank, State};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Connections beyond the limit. Only requests for the node's health are answered on them.
pub const SURPLUS: usize = 32;
/// Connections that give way at once, at most. Looking for them costs time that grows with the number of
/// connections.
const MOST_EVICTED: usize = 32;
/// The part of all connections that gives way at once.
const PART_EVICTED: usize = 64;
/// After a look that found no connection to close, the next look is this much later.
const FRUITLESS: Duration = Duration::from_millis(100);

/// How many connections there are, and how long they may wait.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Connections, apart from the surplus.
    pub most: usize,
    /// Longest time from the first byte of a request's head to its end. A new connection has the same time.
    pub head_time: Duration,
    /// Bytes that are read for the head of a request of an unknown sender. A little more may be read.
    pub head_bytes: usize,
    /// How long a connection of a known sender is kept for the next request.
    pub keep_known: Duration,
    /// How long a connection of an unknown sender is kept for the next request.
    pub keep_unknown: Duration,
}

/// The client connections of a node.
pub struct Clients {
    limits: ClientLimits,
    open: Mutex<Open>,
}

/// The open connections. Those that give way are counted no more, and stay here until they are closed.
#[derive(Default)]
struct Open {
    clients: Slab<Client>,
    ordinary: usize,
    surplus: usize,
    /// No ordinary connection is looked for before this time.
    fruitless_until: Option<Instant>,
}

/// One client connection. Clones are the same connection.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    clients: Arc<Clients>,
    state: Mutex<State>,
}

/// An open connection. It counts until this is dropped.
pub struct Admission {
    client: Client,
    key: usize,
}

impl Clients {
    /// No connection yet.
    pub fn new(limits: ClientLimits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    /// Admits a connection that was accepted. If all connections are taken, others give way.
    pub fn admit(self: &Arc<Self>) -> Admission {
        let now = Instant::now();
        let mut open = self.open();
        let surplus = open.ordinary >= self.limits.most && !open.make_room(self.limits.most, now);
        if surplus {
            if open.surplus >= SURPLUS {
                open.evict(true, SURPLUS / 4);
            }
            open.surplus += 1;
        } else {
            open.ordinary += 1;
        }
        let state = Mutex::new(State::new(surplus, now));
        let client = Client(Arc::new(Shared { clients: self.clone(), state }));
        let key = open.clients.insert(client.clone());
        Admission { client, key }
    }

    /// Makes a connection of the surplus an ordinary one, if there is room now.
    fn promote(&self, client: &Client) -> bool {
        let mut open = self.open();
        let mut state = client.state();
        if !state.surplus {
            return true;
        }
        if state.is_evicted() || open.ordinary >= self.limits.most {
            return false;
        }
        state.surplus = false;
        open.surplus -= 1;
        open.ordinary += 1;
        true
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes ordinary connections that give way. Whether there were any.
    fn make_room(&mut self, most: usize, now: Instant) -> bool {
        if self.fruitless_until.is_some_and(|until| now < until) {
            return false;
        }
        let made = self.evict(false, (most / PART_EVICTED).clamp(1, MOST_EVICTED));
        self.fruitless_until = (!made).then(|| now + FRUITLESS);
        made
    }

    /// Closes up to `most` connections that give way. Whether there were any.
    fn evict(&mut self, surplus: bool, most: usize) -> bool {
        let mut found: Vec<(Rank, usize)> = self
            .clients
            .iter()
            .filter_map(|(key, client)| {
                let state = client.state();
                if state.surplus == surplus { Some((state.rank()?, key)) } else { None }
            })
            .collect();
        if found.len() > most {
            found.select_nth_unstable(most - 1);
            found.truncate(most);
        }
        let mut evicted = 0;
        for (rank, key) in found {
            let mut state = self.clients[key].state();
            // It may have become busy since it was found.
            if state.rank() == Some(rank) {
                state.evict();
                evicted += 1;
            }
        }
        let count = if surplus { &mut self.surplus } else { &mut self.ordinary };
        *count -= evicted;
        metrics::counter!(metric::CONNECTIONS_EVICTED).increment(evicted as u64);
        evicted > 0
    }
}

impl Client {
    /// A request is being answered.
    pub fn begin(&self) {
        self.state().begin(Instant::now());
    }

    /// The request is answered. With `close`, nothing more is expected from the client.
    pub fn end(&self, close: bool) {
        self.state().end(close, Instant::now());
    }

    /// The sender is known: somebody has authenticated, or has named a session of this cluster.
    pub fn know(&self) {
        self.state().know();
    }

    /// Whether the sender is known.
    pub fn is_known(&self) -> bool {
        self.state().known
    }

    /// Whether requests other than those for the node's health may be answered.
    pub fn is_served(&self) -> bool {
        let is_surplus = self.state().surplus;
        !is_surplus || self.0.clients.promote(self)
    }

    /// Whether bytes may be read now. The task is woken when this changes. `seen`: whether all bytes that were
    /// read were looked at, and begin no request.
    pub fn turn(&self, cx: &mut Context<'_>, seen: bool) -> Turn {
        let mut state = self.state();
        state.wake_later(cx);
        state.turn(&self.0.clients.limits, seen, Instant::now)
    }

    /// Bytes were read. Returns how many there are of the head of a request so far.
    pub fn heard(&self, bytes: usize) -> usize {
        self.state().heard(bytes, Instant::now)
    }

    /// The task is woken at this time.
    pub fn armed(&self, until: Instant) {
        self.state().armed = Some(until);
    }

    /// Resolves when the connection has to give way.
    pub fn poll_evicted(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        state.wake_later(cx);
        if state.is_evicted() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether a request is being answered.
    pub fn is_serving(&self) -> bool {
        self.state().is_serving()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission {
    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut open = self.client.0.clients.open();
        open.clients.remove(self.key);
        let state = self.client.state();
        match (state.is_evicted(), state.surplus) {
            (true, _) => {}
            (false, true) => open.surplus -= 1,
            (false, false) => open.ordinary -= 1,
        }
    }
}

#[cfg(test)]
mod tests;
