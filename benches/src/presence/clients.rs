//! The sockets: each is one user, who joins one channel after the other.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use testkit::pusher::App;

use super::Size;
use crate::{
    fleet::{Clients, text},
    wire::{Said, pusher_frame, said_by_pusher},
    ws,
};

/// The most joins that wait for their answer; at that number the pace slackens.
const MOST_WAITING: u64 = 5_000;

/// What the thread reports while it runs.
pub(super) struct Seen {
    /// Sockets that may join.
    pub(super) greeted: AtomicU64,
    /// Joins that were sent.
    pub(super) asked: AtomicU64,
    /// Joins that were answered.
    pub(super) answered: AtomicU64,
    /// Frames about other members.
    pub(super) news: AtomicU64,
    /// Microseconds from a join to its answer.
    pub(super) latency: Mutex<Histogram<u64>>,
    /// No more joins are sent.
    pub(super) is_over: AtomicBool,
}

impl Seen {
    pub(super) fn new(latency: Histogram<u64>) -> Self {
        Self {
            greeted: AtomicU64::default(),
            asked: AtomicU64::default(),
            answered: AtomicU64::default(),
            news: AtomicU64::default(),
            latency: Mutex::new(latency),
            is_over: AtomicBool::default(),
        }
    }
}

/// The results of the thread.
pub(super) struct Outcome {
    /// Why connections were lost, and how many for each reason.
    pub(super) losses: BTreeMap<String, u64>,
}

/// The channel of a group of sockets in one round.
pub(super) fn channel(group: usize, round: usize) -> String {
    format!("presence-{group}-{round}")
}

/// One socket.
struct User {
    /// The socket's id, once it is known.
    socket: Option<String>,
    /// What the back end signs of the user.
    data: String,
    /// The same as a JSON string.
    quoted: String,
    /// When the joins were sent that are not answered yet; answers come in order.
    waiting: VecDeque<Instant>,
}

/// Sockets that join.
pub(super) struct Joining {
    nodes: Vec<SocketAddr>,
    app: Arc<App>,
    size: Size,
    seen: Arc<Seen>,
    upgrade: Vec<u8>,
    users: Vec<User>,
    /// When the first join was due.
    began: Option<Instant>,
    losses: BTreeMap<String, u64>,
    /// What the client answers to the present read.
    answer: Vec<u8>,
}

impl Joining {
    pub(super) fn new(nodes: Vec<SocketAddr>, app: Arc<App>, size: Size, seen: Arc<Seen>) -> Self {
        let user = |number: usize| {
            let data = format!(r#"{{"user_id":"user-{number}","user_info":{{"name":"User {number}"}}}}"#);
            let quoted = format!(r#""{}""#, data.replace('"', r#"\""#));
            User { socket: None, data, quoted, waiting: VecDeque::new() }
        };
        Self {
            nodes,
            upgrade: ws::upgrade_at("bench", &app.socket_path()),
            app,
            size,
            seen,
            users: (0..size.sockets).map(user).collect(),
            began: None,
            losses: BTreeMap::new(),
            answer: Vec::new(),
        }
    }

    /// The frames by which a user joins the channel of a round, and leaves the oldest one.
    fn join_of(&self, client: usize, socket: &str, round: usize) -> Vec<u8> {
        let group = client / self.size.members;
        let channel_name = channel(group, round);
        let User { data, quoted, .. } = &self.users[client];
        let auth = self.app.channel_auth(socket, &channel_name, Some(data));
        let mut frames = pusher_frame(&format!(
            r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel_name}","auth":"{auth}","channel_data":{quoted}}}}}"#
        ));
        if let Some(oldest) = round.checked_sub(self.size.stay) {
            let left = channel(group, oldest);
            let text = format!(r#"{{"event":"pusher:unsubscribe","data":{{"channel":"{left}"}}}}"#);
            frames.extend(pusher_frame(&text));
        }
        frames
    }

    fn greet(&mut self, client: usize, payload: &[u8]) -> Result<()> {
        let greeting = text(payload);
        let id = greeting.split_once(r#"\"socket_id\":\""#).and_then(|(_, rest)| rest.split_once('\\'));
        let (id, _) = id.with_context(|| format!("instead of a greeting: {greeting}"))?;
        if self.users[client].socket.replace(id.to_owned()).is_none() {
            self.seen.greeted.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

impl Clients for Joining {
    type Outcome = Outcome;

    fn count(&self) -> usize {
        self.users.len()
    }

    fn server(&self, client: usize) -> SocketAddr {
        self.nodes[client % self.nodes.len()]
    }

    fn upgrade(&self, _client: usize) -> &[u8] {
        &self.upgrade
    }

    /// A signature needs the socket's id, which comes with the greeting.
    fn join(&self, _client: usize) -> Vec<u8> {
        Vec::new()
    }

    fn text(&mut self, client: usize, payload: &[u8]) -> Result<()> {
        match said_by_pusher(payload) {
            Said::Joined => {
                let asked = self.users[client].waiting.pop_front().context("an answer without a join")?;
                let micros = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.seen.latency.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
                self.seen.answered.fetch_add(1, Relaxed);
            }
            Said::Refused => bail!("refused: {}", text(payload)),
            Said::Ping => self.answer.extend(pusher_frame(r#"{"event":"pusher:pong","data":{}}"#)),
            Said::Other if self.users[client].socket.is_none() => self.greet(client, payload)?,
            Said::Other | Said::Event => {
                self.seen.news.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }

    fn read_ends(&mut self, _client: usize) -> Vec<u8> {
        std::mem::take(&mut self.answer)
    }

    /// All sockets join in turn, once all are connected.
    fn due(&mut self) -> Option<(usize, Vec<u8>)> {
        let seen = &self.seen;
        let asked = seen.asked.load(Relaxed);
        if seen.is_over.load(Relaxed)
            || seen.greeted.load(Relaxed) < self.users.len() as u64
            || asked - seen.answered.load(Relaxed) >= MOST_WAITING
        {
            return None;
        }
        let elapsed = self.began.get_or_insert_with(Instant::now).elapsed();
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        if asked as f64 >= elapsed.as_secs_f64() * self.size.rate {
            return None;
        }
        let asked = usize::try_from(asked).ok()?;
        let (client, round) = (asked % self.users.len(), asked / self.users.len());
        let socket = self.users[client].socket.clone()?;
        let frames = self.join_of(client, &socket, round);
        self.users[client].waiting.push_back(Instant::now());
        self.seen.asked.fetch_add(1, Relaxed);
        Some((client, frames))
    }

    fn heartbeat(&self) -> Vec<u8> {
        Vec::new()
    }

    fn is_live(&self, client: usize) -> bool {
        self.users[client].socket.is_some()
    }

    /// A lost socket ends the measurement: its joins are never answered.
    fn lost(&mut self, _client: usize, why: &anyhow::Error) -> Option<Duration> {
        *self.losses.entry(format!("{why:#}")).or_default() += 1;
        self.seen.is_over.store(true, Relaxed);
        None
    }

    fn outcome(self) -> Outcome {
        Outcome { losses: self.losses }
    }
}
