//! The client connections of a node: how many there may be, which of them may send, and which of them gives
//! way when they run short.
//!
//! A connection whose sender is not known (nobody has authenticated on it) keeps no one out. When all
//! connections are taken, the one of an unknown sender that has been idle for longest is closed, then the one
//! of a known sender that waits for a next request, then one of a known sender whose body is waited for. If
//! every connection is in use, a few more are accepted, on which only the health of the node is answered.
//!
//! Owns the rules and the counts, and wakes the tasks of connections. Reads and writes no bytes.

mod interim;
mod order;
mod state;

pub use interim::Interim;
pub use state::{Over, Turn};

use crate::metric;
use order::Order;
use slab::Slab;
use state::State;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Connections beyond the limit. Only requests for the node's health are answered on them.
pub const SURPLUS: usize = 32;

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

/// The open connections.
#[derive(Default)]
struct Open {
    /// All of them. Those that give way stay here until they are closed.
    clients: Slab<Client>,
    ordinary: Kind,
    surplus: Kind,
}

/// The connections of one kind. Those that give way belong to it no more.
#[derive(Default)]
struct Kind {
    count: usize,
    order: Order,
}

/// One client connection. Clones are the same connection.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    clients: Arc<Clients>,
    /// Its key among the open connections.
    key: usize,
    state: Mutex<State>,
}

/// An open connection. It counts until this is dropped.
pub struct Admission {
    client: Client,
}

impl Clients {
    /// No connection yet.
    pub fn new(limits: ClientLimits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    /// Admits a connection that was accepted. If all connections are taken, another gives way.
    pub fn admit(self: &Arc<Self>) -> Admission {
        let mut open = self.open();
        let surplus = open.ordinary.count >= self.limits.most && !open.evict(false);
        if surplus && open.surplus.count >= SURPLUS {
            open.evict(true);
        }
        open.kind(surplus).count += 1;
        let entry = open.clients.vacant_entry();
        let state = Mutex::new(State::new(surplus, Instant::now()));
        let client = Client(Arc::new(Shared { clients: self.clone(), key: entry.key(), state }));
        entry.insert(client.clone());
        open.place(&client);
        Admission { client }
    }

    /// Makes a connection of the surplus an ordinary one, if there is room now.
    fn promote(&self, client: &Client) -> bool {
        let mut open = self.open();
        let mut state = client.state();
        if !state.surplus {
            return true;
        }
        if state.is_evicted() || open.ordinary.count >= self.limits.most {
            return false;
        }
        open.surplus.order.remove(client.0.key, &mut state);
        open.surplus.count -= 1;
        state.surplus = false;
        open.ordinary.count += 1;
        open.ordinary.order.place(client.0.key, &mut state);
        true
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn kind(&mut self, surplus: bool) -> &mut Kind {
        if surplus { &mut self.surplus } else { &mut self.ordinary }
    }

    /// Closes the connection of a kind that gives way first. Whether there was any.
    fn evict(&mut self, surplus: bool) -> bool {
        let kind = if surplus { &mut self.surplus } else { &mut self.ordinary };
        if !kind.order.evict_first(|key| self.clients[key].state()) {
            return false;
        }
        kind.count -= 1;
        metrics::counter!(metric::CONNECTIONS_EVICTED).increment(1);
        true
    }

    /// Gives a connection the place in the order that it has now.
    fn place(&mut self, client: &Client) {
        let mut state = client.state();
        let surplus = state.surplus;
        self.kind(surplus).order.place(client.0.key, &mut state);
    }
}

impl Client {
    /// A request is being answered.
    pub fn begin(&self) {
        self.change(|state| state.begin(Instant::now()));
    }

    /// The request is answered. With `close`, nothing more is expected from the client.
    pub fn end(&self, close: bool) {
        self.change(|state| state.end(close, Instant::now()));
    }

    /// The sender is known: somebody has authenticated, or has named a session of this cluster.
    pub fn know(&self) {
        self.change(State::know);
    }

    /// The sender says who it is in a message of the socket that the request opens. The server reads it, and
    /// the connection gives way to others like that of any unknown sender.
    pub fn hear_out(&self) {
        self.change(State::hear_out);
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

    /// The client of the request that begins waits for an interim answer, which the HTTP library writes next.
    pub fn expect(&self) {
        self.state().interim = Interim::Coming { wanted: false };
    }

    /// A handler waits for more of the request's body. A client that waits to be told is told to send it.
    pub fn await_body(&self) {
        self.change(State::await_body);
    }

    /// More of the body came, or all of it, or the wait is over.
    pub fn body_came(&self) {
        self.change(State::body_came);
    }

    /// Where the interim answer is.
    pub fn interim(&self) -> Interim {
        self.state().interim
    }

    /// The interim answer is the next thing that the HTTP library writes. Whether it passes.
    pub fn pass_interim(&self) -> bool {
        self.state().interim.pass()
    }

    /// The interim answer is sent, or the answer has come before it.
    pub fn end_interim(&self) {
        self.state().interim = Interim::None;
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

    /// Changes the state. The order of all connections is touched only if the connection gives way sooner than
    /// its place there says: a request and its answer mostly change nothing of it.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let is_misplaced = {
            let mut state = self.state();
            change(&mut state);
            state.is_misplaced()
        };
        if is_misplaced {
            self.0.clients.open().place(self);
        }
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
        let key = self.client.0.key;
        open.clients.remove(key);
        let mut state = self.client.state();
        if !state.is_evicted() {
            let kind = open.kind(state.surplus);
            kind.count -= 1;
            kind.order.remove(key, &mut state);
            state.evict();
        }
    }
}

#[cfg(test)]
mod tests;
