//! A hostile tenant: everything that callers with no rights, or with the rights of one map, can do to hurt the
//! tenants of other maps.
//!
//! - [`http`]: bodies that never end, large batches;
//! - [`sockets`]: floods, sockets that join nothing, joins and leaves, long polls that other nodes relay;
//! - [`receivers`]: webhooks to a host that never answers;
//! - [`apart`]: the process in which all of them run.
//!
//! Each attack is a thread that goes on until it is stopped, and counts how many times it got through (connections,
//! polls, messages, batches, joins, webhooks). A refusal is the server's right: an attack counts none of them, waits
//! a moment and goes on.

mod apart;
mod http;
mod receivers;
mod sockets;

pub use self::apart::{Hostile, attack};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use testkit::cluster::Map;
use testkit::http::Api;

/// How long an attack waits after a refusal.
const PAUSE: Duration = Duration::from_millis(20);

/// What an attacker knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    /// The addresses of the nodes for clients.
    pub nodes: Vec<SocketAddr>,
    /// The attacker's own map.
    pub map: Map,
    /// An address at which the receiver of webhooks may listen.
    pub receiver: IpAddr,
}

impl Target {
    fn api(&self, node: usize) -> Api {
        let address = self.nodes[node % self.nodes.len()];
        Api::new(&format!("http://{address}"), Some(&self.map.token)).timeout(Duration::from_secs(20))
    }
}

/// The course of one attack: the attack tells how far it is, and is told when to end.
#[derive(Debug, Clone, Default)]
struct Course {
    /// All attacks share it.
    is_over: Arc<AtomicBool>,
    is_strong: Arc<AtomicBool>,
    times: Arc<AtomicU64>,
}

impl Course {
    /// The course of another attack that ends at the same time.
    fn of_another(&self) -> Self {
        Self { is_over: self.is_over.clone(), ..Self::default() }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether the attack holds all that it wants to hold, and got through.
    fn is_strong(&self) -> bool {
        self.is_strong.load(Ordering::Relaxed)
    }

    fn strong_if(&self, is: bool) {
        self.is_strong.fetch_or(is, Ordering::Relaxed);
    }

    /// How many times it got through so far.
    fn times(&self) -> u64 {
        self.times.load(Ordering::Relaxed)
    }

    fn got_through(&self, times: usize) {
        self.times.fetch_add(times as u64, Ordering::Relaxed);
    }

    fn pause(&self) {
        std::thread::sleep(PAUSE);
    }
}

/// An attack.
struct Attack {
    name: &'static str,
    /// Goes on until its course is over. An error if it could not begin.
    run: fn(&Target, &Course) -> Result<()>,
    least: Least,
}

/// How many times an attack gets through at least. Otherwise the machine had no time for it.
#[derive(Clone, Copy)]
enum Least {
    /// It holds so many connections or webhooks.
    Holds(u64),
    /// It does so much in the time of a measurement, in full strength.
    Does(u64),
}

const ATTACKS: [Attack; 7] = [
    Attack { name: "bodies that never end", run: http::half_bodies, least: Least::Holds(300) },
    Attack { name: "relayed long polls", run: sockets::relayed_polls, least: Least::Does(200) },
    Attack { name: "sockets that join nothing", run: sockets::idle, least: Least::Holds(300) },
    Attack { name: "one flooding socket", run: sockets::flood, least: Least::Does(500) },
    Attack { name: "large batches", run: http::batches, least: Least::Does(20) },
    Attack { name: "joins and leaves", run: sockets::churn, least: Least::Does(500) },
    Attack { name: "a receiver that never answers", run: receivers::silent, least: Least::Holds(200) },
];
