//! Clients and receivers that behave badly: reconnect storms, readers that do not read, receivers that do not
//! answer.

use super::Run;
use crate::history::Record;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use testkit::fleet::{Stalled, StalledStreams};
use testkit::phoenix::Socket;

/// How many sockets a storm has.
const STORM: usize = 5000;
/// How many threads open them.
const THREADS: usize = 8;
/// How long all of them may take to be back.
const BACK: Duration = Duration::from_secs(60);
/// How many readers of each kind never read.
const STALLED: usize = 40;

/// Thousands of sockets lose their node at once and join at the others.
pub fn storm(run: &mut Run) -> Result<()> {
    run.settle()?;
    let nodes = run.load.site.nodes.clone();
    let victim = run.any();
    let token = run.load.site.main.token.clone();
    let topic = run.load.site.main.topic();
    let sockets = joined(&nodes, &token, &topic)?;
    run.broken("reconnect storm", &[victim], true, format!("{} sockets", sockets.len()));
    run.kill(victim)?;
    drop(sockets);
    let left: Vec<SocketAddr> =
        nodes.iter().enumerate().filter(|(n, _)| *n != victim).map(|(_, addr)| *addr).collect();
    let start = Instant::now();
    let again = joined(&left, &token, &topic);
    run.journal.note(match again {
        Ok(_) if start.elapsed() < BACK => Record::CaughtUp { whom: "the storm".to_owned() },
        Ok(_) => Record::Behind { whom: "the storm".to_owned(), why: format!("{:?}", start.elapsed()) },
        Err(error) => Record::Behind { whom: "the storm".to_owned(), why: format!("{error:#}") },
    });
    println!("  {STORM} sockets were back after {:.1} s", start.elapsed().as_secs_f64());
    run.start(victim)?;
    run.mended("reconnect storm", &[victim]);
    run.settle()
}

/// Joins that many sockets with several threads. They subscribe to a type that nobody publishes.
fn joined(nodes: &[SocketAddr], token: &str, topic: &str) -> Result<Vec<Socket>> {
    let open = |thread: usize| -> Result<Vec<Socket>> {
        let numbers = (thread..STORM).step_by(THREADS);
        numbers.map(|number| join(nodes, number, token, topic)).collect()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || open(thread))).collect();
        let mut sockets = Vec::new();
        for thread in threads {
            sockets.extend(thread.join().map_err(|_| anyhow!("a thread of the storm panicked"))??);
        }
        Ok(sockets)
    })
}

/// Joins at some node, beginning with node `first`. In a storm a node may refuse the first attempt.
fn join(nodes: &[SocketAddr], first: usize, token: &str, topic: &str) -> Result<Socket> {
    let until = Instant::now() + BACK;
    let mut attempt = first;
    loop {
        let address = nodes[attempt % nodes.len()];
        let joined = Socket::connect(address, token).and_then(|mut socket| {
            let (_, reply) = socket.join(topic, json!({"events": ["storm"]}))?;
            ensure!(reply.status() == "ok", "join: {reply:?}");
            Ok(socket)
        });
        match joined {
            Ok(socket) => return Ok(socket),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
        attempt += 1;
    }
}

/// Readers join and never read. The server must close them, and no other client may notice.
pub fn stalled_readers(run: &mut Run) -> Result<()> {
    let node = run.any();
    let site = run.load.site.clone();
    let address = site.nodes[node];
    let token = &site.main.token;
    run.broken("stalled readers", &[node], false, format!("{STALLED} sockets, {STALLED} streams"));
    let sockets = Stalled::join(STALLED, address, token, &site.main.topic()).context("stalled sockets")?;
    let path = format!("{}/stream?since=2000-01-01T00:00:00Z", site.main.events());
    let streams = StalledStreams::open(STALLED, address, token, &path).context("stalled streams")?;
    let rested = run.rest_between(18_000, 25_000);
    let patience = Duration::from_millis(300);
    println!("  {} sockets and {} streams were closed", sockets.closed(patience), streams.closed(patience));
    run.mended("stalled readers", &[node]);
    rested
}

/// The receivers of the good webhooks take requests and never answer.
pub fn blackhole(run: &mut Run) -> Result<()> {
    run.broken("webhook blackhole", &[], false, "");
    run.load.hooks.blackhole(true);
    let rested = run.rest_between(2000, 7000);
    run.load.hooks.blackhole(false);
    run.mended("webhook blackhole", &[]);
    rested
}
