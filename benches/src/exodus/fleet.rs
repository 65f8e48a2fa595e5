//! The thousands of clients: one thread, one epoll, one read buffer, and the timers of clients that are
//! disconnected. It never publishes and never harms a node.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

use super::{
    client::{Client, Stage},
    tape::Tape,
};
use crate::ws;

/// How many clients may connect for the first time at once; clients that reconnect are not limited.
const IN_FLIGHT: usize = 64;
/// How many clients use one loopback address: an address has some 28,000 ports for one server.
const PER_SOURCE: usize = 1_250;
const READ_BUFFER: usize = 256 * 1024;
/// The clients' heartbeats are spread over this number of rounds, each as long as [`BEAT`].
const STRIPES: usize = 250;
const BEAT: Duration = Duration::from_millis(100);
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

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
    stop: AtomicBool,
}

/// The results of the thread.
#[derive(Default)]
pub(super) struct Outcome {
    /// How many events were the next one for their client.
    pub(super) right: u64,
    pub(super) wrong: BTreeMap<String, u64>,
    /// Why attempts ended, and how many for each reason.
    pub(super) falls: BTreeMap<String, u64>,
}

/// The running thread.
pub(super) struct Fleet {
    pub(super) seen: Arc<Seen>,
    thread: Option<JoinHandle<Result<Outcome>>>,
}

impl Fleet {
    /// Starts to connect and join; the clients are spread over the nodes and maps.
    pub(super) fn start(nodes: Vec<SocketAddr>, maps: &[(String, String)], clients: usize) -> Result<Self> {
        let seen = Arc::<Seen>::default();
        let mut work = Work::new(nodes, Tape::new(maps), clients, seen.clone())?;
        let thread = std::thread::Builder::new().name("fleet".into()).spawn(move || work.run())?;
        Ok(Self { seen, thread: Some(thread) })
    }

    /// Whether the thread has ended by itself.
    pub(super) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Closes every connection. Returns the results.
    pub(super) fn stop(mut self) -> Result<Outcome> {
        self.seen.stop.store(true, Relaxed);
        let thread = self.thread.take().context("stopped once")?;
        thread.join().map_err(|_| anyhow!("the clients' thread panicked"))?
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.seen.stop.store(true, Relaxed);
    }
}

/// The state of the thread; it ends with an [`Outcome`].
struct Work {
    nodes: Vec<SocketAddr>,
    tape: Tape,
    seen: Arc<Seen>,
    clients: Vec<Client>,
    /// The index of the first client that has not begun to connect yet.
    begun: usize,
    in_flight: usize,
    /// When each disconnected client tries again.
    away: BinaryHeap<Reverse<(Instant, usize)>>,
    falls: BTreeMap<String, u64>,
    epoll: OwnedFd,
    buffer: Vec<u8>,
    dice: u64,
    beat: (Instant, usize),
}

impl Work {
    fn new(nodes: Vec<SocketAddr>, tape: Tape, clients: usize, seen: Arc<Seen>) -> Result<Self> {
        let client = |place: usize| -> Result<Client> {
            let source = u8::try_from(2 + place / PER_SOURCE).context("too many clients")?;
            let map = place / nodes.len() % tape.maps.len();
            Ok(Client::new(map, place % nodes.len(), SocketAddr::from(([127, 0, 0, source], 0))))
        };
        Ok(Self {
            clients: (0..clients).map(client).collect::<Result<_>>()?,
            begun: 0,
            in_flight: 0,
            away: BinaryHeap::new(),
            falls: BTreeMap::new(),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            buffer: vec![0; READ_BUFFER],
            dice: 0x9E37_79B9_7F4A_7C15,
            beat: (Instant::now(), 0),
            nodes,
            tape,
            seen,
        })
    }

    fn run(&mut self) -> Result<Outcome> {
        let mut ready = Vec::with_capacity(1024);
        while !self.seen.stop.load(Relaxed) {
            while self.in_flight < IN_FLIGHT && self.begun < self.clients.len() {
                (self.begun, self.in_flight) = (self.begun + 1, self.in_flight + 1);
                self.connect(self.begun - 1);
            }
            let now = Instant::now();
            while self.away.peek().is_some_and(|Reverse((at, _))| *at <= now) {
                if let Some(Reverse((_, place))) = self.away.pop() {
                    self.connect(place);
                }
            }
            ready.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut ready), Some(&TICK)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in ready.drain(..) {
                if let Ok(place) = usize::try_from(event.data.u64()) {
                    self.serve(place);
                }
            }
            self.heartbeats();
        }
        let (right, wrong) = (self.tape.right, std::mem::take(&mut self.tape.wrong));
        Ok(Outcome { right, wrong, falls: std::mem::take(&mut self.falls) })
    }

    fn connect(&mut self, place: usize) {
        let client = &mut self.clients[place];
        let data = epoll::EventData::new_u64(place as u64);
        let begun = client
            .connect(self.nodes[client.node])
            .and_then(|socket| Ok(epoll::add(&self.epoll, socket, data, epoll::EventFlags::OUT)?));
        if let Err(error) = begun {
            self.fall(place, &error);
        }
    }

    fn serve(&mut self, place: usize) {
        let client = &mut self.clients[place];
        let before = client.stage;
        let result = match before {
            Stage::Away => return,
            Stage::Connecting => {
                let data = epoll::EventData::new_u64(place as u64);
                client.connected(&self.tape.maps[client.map].upgrade).and_then(|()| {
                    let socket = client.socket.as_ref().context("no socket")?;
                    Ok(epoll::modify(&self.epoll, socket, data, epoll::EventFlags::IN)?)
                })
            }
            _ => client.read(&mut self.buffer, &mut self.tape),
        };
        if before != Stage::Live && client.stage == Stage::Live {
            self.live(place);
        }
        if let Err(error) = result {
            self.fall(place, &error);
        }
    }

    fn live(&mut self, place: usize) {
        let client = &mut self.clients[place];
        self.seen.live.fetch_add(1, Relaxed);
        self.seen.at[client.node].fetch_add(1, Relaxed);
        match client.lost.take() {
            Some((_, lost)) => {
                let mut returns = self.seen.returns.lock().unwrap_or_else(PoisonError::into_inner);
                returns.push(Return { at: Instant::now(), lost });
            }
            None => self.in_flight -= 1,
        }
    }

    /// The connection ended: the client comes back at another node.
    fn fall(&mut self, place: usize, why: &anyhow::Error) {
        let dice = self.dice();
        let client = &mut self.clients[place];
        let live = client.stage == Stage::Live;
        let what = format!("node {}, {:?}: {why:#}", client.node + 1, client.stage);
        if live {
            self.seen.live.fetch_sub(1, Relaxed);
            self.seen.at[client.node].fetch_sub(1, Relaxed);
        }
        let wait = client.fall(dice >> 8);
        client.node = (client.node + 1 + usize::from(dice & 1 == 1)) % self.nodes.len();
        *self.falls.entry(what).or_default() += 1;
        self.away.push(Reverse((Instant::now() + wait, place)));
    }

    /// A random number, by xorshift.
    fn dice(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }

    /// Sends the heartbeats of some clients, and counts those that do not have the last event yet.
    fn heartbeats(&mut self) {
        if self.beat.0.elapsed() < BEAT {
            return;
        }
        self.beat = (Instant::now(), (self.beat.1 + 1) % STRIPES);
        let frame = ws::heartbeat();
        for place in (self.beat.1..self.clients.len()).step_by(STRIPES) {
            if self.clients[place].stage == Stage::Live
                && let Err(error) = self.clients[place].send(&frame)
            {
                self.fall(place, &error);
            }
        }
        let heads = self.seen.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if !heads.is_empty() {
            let behind = self.clients.iter().filter(|client| client.seq() != heads[client.map]).count();
            self.seen.behind.store(behind as u64, Relaxed);
        }
    }
}
