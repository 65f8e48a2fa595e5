//! A hostile tenant: everything that callers with no rights, or with the rights of one map, can do to hurt the
//! tenants of other maps.
//!
//! - [`http`]: bodies that never end, large batches;
//! - [`sockets`]: floods, sockets that join nothing, joins and leaves, long polls that other nodes relay;
//! - [`receivers`]: webhooks to a host that never answers.
//!
//! Each attack is a thread that goes on until it is stopped. A refusal is the server's right: an attack counts
//! none of them, waits a moment and goes on.

mod http;
mod receivers;
mod sockets;

use anyhow::{Context, Result, anyhow};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use testkit::cluster::Map;
use testkit::http::Api;

/// How long an attack waits after a refusal.
const PAUSE: Duration = Duration::from_millis(20);
/// The attackers get less of the processors than the nodes: in a real network they have machines of their own.
const NICE: i32 = 10;

/// What an attacker knows.
#[derive(Debug, Clone)]
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

/// Tells an attack when to end.
#[derive(Debug, Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn pause(&self) {
        std::thread::sleep(PAUSE);
    }
}

/// An attack: it goes on until it is stopped. Returns how many times it got through (connections, polls, messages,
/// batches, joins), or the error that kept it from beginning.
type Attack = fn(&Target, &Stop) -> Result<u64>;

/// All attacks, with their names.
const ATTACKS: [(&str, Attack); 7] = [
    ("bodies that never end", http::half_bodies),
    ("relayed long polls", sockets::relayed_polls),
    ("sockets that join nothing", sockets::idle),
    ("one flooding socket", sockets::flood),
    ("large batches", http::batches),
    ("joins and leaves", sockets::churn),
    ("a receiver that never answers", receivers::silent),
];

/// Attacks under way.
#[derive(Debug)]
pub struct Hostile {
    stop: Stop,
    threads: Vec<(&'static str, JoinHandle<Result<u64>>)>,
}

impl Hostile {
    /// Starts all attacks.
    pub fn begin(target: &Target) -> Result<Self> {
        let stop = Stop::default();
        let mut threads = Vec::new();
        for (name, attack) in ATTACKS {
            let (target, stop) = (target.clone(), stop.clone());
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                // Where this is not allowed the attack is only stronger.
                let _ = rustix::process::setpriority_process(None, NICE);
                attack(&target, &stop)
            })?;
            threads.push((name, thread));
        }
        Ok(Self { stop, threads })
    }

    /// Ends all attacks. Returns how many times each got through, or the first error that kept one from beginning.
    pub fn end(mut self) -> Result<Vec<(&'static str, u64)>> {
        self.stop.0.store(true, Ordering::Relaxed);
        let ended = self.threads.drain(..).map(|(name, thread)| {
            let ended = thread.join().map_err(|_| anyhow!("the attack `{name}` panicked"))?;
            Ok((name, ended.context(name)?))
        });
        ended.collect()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stop.0.store(true, Ordering::Relaxed);
    }
}
