//! Measures a cluster of three processes on this machine: proposals a second, latencies, and the gap after kill -9.
//!
//! `cargo run --release -p waypost-cluster --example measure -- [throughput|failover|killall] [proposers]`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use waypost_cluster::{
    ApplyContext, Cluster, Config, Flow, Load, NoHandler, StateMachine, StoreError, Txn, View,
};

struct Counter(u64);

impl StateMachine for Counter {
    fn load(&mut self, view: &View, _: Load) -> Result<(), StoreError> {
        self.0 = view.get(b"n")?.map_or(0, |v| u64::from_le_bytes(v.try_into().unwrap()));
        Ok(())
    }
    fn apply(
        &mut self,
        _: &mut ApplyContext,
        command: &Bytes,
        txn: &mut Txn<'_>,
    ) -> Result<Vec<u8>, StoreError> {
        self.0 += 1;
        txn.put(&[b"item/".as_slice(), &self.0.to_be_bytes()].concat(), command)?;
        txn.put(b"n", &self.0.to_le_bytes())?;
        Ok(self.0.to_le_bytes().to_vec())
    }
    fn committed(&mut self, _: u64) {}
}

/// A node as a child process: reads "run <proposers> <seconds>" or "loop", answers in lines.
fn node(dir: &str, addr: &str, join: &str) {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let join = join.split(',').filter(|a| !a.is_empty()).map(str::to_owned).collect();
        let config =
            Config { data_dir: dir.into(), peer_addr: addr.parse().unwrap(), join, ..Config::default() };
        let cluster = Cluster::start(config, Counter(0), Arc::new(NoHandler)).await.unwrap();
        println!("up");
        for line in BufReader::new(std::io::stdin()).lines() {
            let line = line.unwrap();
            let words: Vec<_> = line.split(' ').collect();
            match words[0] {
                "leads" => println!("{}", cluster.status().is_leader()),
                "voters" => println!("{}", cluster.status().members.iter().filter(|m| m.voter).count()),
                "run" => run(&cluster, words[1].parse().unwrap(), words[2].parse().unwrap()).await,
                "load" => load(&cluster).await,
                "count" => {
                    cluster.barrier().await.unwrap();
                    let n = cluster.reader().view().unwrap().get(b"n").unwrap();
                    println!("{}", n.map_or(0, |v| u64::from_le_bytes(v.try_into().unwrap())));
                }
                "until" => {
                    let begun = Instant::now();
                    while let Err(error) = cluster.propose(Flow::NONE, b"on".to_vec()).await {
                        eprintln!("{error}");
                    }
                    println!("{}", begun.elapsed().as_micros());
                }
                other => panic!("{other}"),
            }
            std::io::stdout().flush().unwrap();
        }
    });
}

/// Proposes until it is killed; a line for each acknowledgement says how many commands there are.
async fn load(cluster: &Cluster) {
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let cluster = cluster.clone();
            tokio::spawn(async move {
                loop {
                    if let Ok(done) = cluster.propose(Flow::NONE, vec![7; 256]).await {
                        println!("{}", u64::from_le_bytes(done.reply.try_into().unwrap()));
                    }
                }
            })
        })
        .collect();
    futures_util::future::join_all(tasks).await;
}

async fn run(cluster: &Cluster, proposers: usize, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..proposers)
        .map(|_| {
            let cluster = cluster.clone();
            tokio::spawn(async move {
                let mut took = Vec::new();
                while Instant::now() < end {
                    let begun = Instant::now();
                    cluster.propose(Flow::NONE, vec![7; 256]).await.unwrap();
                    took.push(begun.elapsed().as_micros() as u64);
                }
                took
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort_unstable();
    println!("{} {} {}", all.len() as u64 / seconds, all[all.len() / 2], all[all.len() * 99 / 100]);
}

struct Remote {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Remote {
    fn start(dir: &Path, addr: &str, join: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["node", dir.to_str().unwrap(), addr, join])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut remote = Self { child, lines };
        assert_eq!(remote.read(), "up");
        remote
    }
    fn tell(&mut self, what: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{what}").unwrap();
    }
    fn read(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }
    fn ask(&mut self, what: &str) -> String {
        self.tell(what);
        self.read()
    }
}

fn leader(nodes: &mut [Remote]) -> usize {
    loop {
        if let Some(at) = nodes.iter_mut().position(|n| n.ask("leads") == "true") {
            return at;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "node") {
        return node(&args[1], &args[2], &args[3]);
    }
    let dir = tempfile::tempdir().unwrap();
    let addrs: Vec<_> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()).collect();
    let path = |i: usize| dir.path().join(i.to_string());
    let mut nodes: Vec<Remote> = Vec::new();
    for i in 0..3 {
        nodes.push(Remote::start(&path(i), &addrs[i], &addrs[..i].join(",")));
    }
    while nodes[0].ask("voters") != "3" {
        std::thread::sleep(Duration::from_millis(50));
    }
    match args.first().map(String::as_str) {
        Some("failover") => {
            let mut gaps = Vec::new();
            for _ in 0..10 {
                let at = leader(&mut nodes);
                let other = (at + 1) % 3;
                nodes[other].ask("run 8 1");
                nodes[at].child.kill().unwrap();
                nodes[other].tell("until");
                nodes[at].child.wait().unwrap();
                gaps.push(nodes[other].read().parse::<u64>().unwrap() / 1000);
                nodes[at] = Remote::start(&path(at), &addrs[at], "");
                std::thread::sleep(Duration::from_millis(1500));
            }
            println!("ms from kill -9 of the leader to the next acknowledgement: {gaps:?}");
            gaps.sort_unstable();
            println!("median {} ms", gaps[5]);
        }
        Some("killall") => {
            for round in 1..=5 {
                leader(&mut nodes);
                nodes.iter_mut().for_each(|n| n.tell("load"));
                let readers: Vec<_> = nodes
                    .drain(..)
                    .map(|mut node| {
                        let mut child = node.child;
                        let reader = std::thread::spawn(move || {
                            let mut acknowledged = 0;
                            for line in node.lines.by_ref() {
                                acknowledged = acknowledged.max(line.unwrap().parse::<u64>().unwrap_or(0));
                            }
                            acknowledged
                        });
                        std::thread::sleep(Duration::from_millis(500));
                        (child.id(), reader, move || {
                            child.kill().unwrap();
                            child.wait().unwrap()
                        })
                    })
                    .collect();
                let (mut kills, mut acknowledged) = (Vec::new(), Vec::new());
                for (_, reader, kill) in readers {
                    acknowledged.push(reader);
                    kills.push(kill);
                }
                kills.into_iter().for_each(|mut kill| {
                    kill();
                });
                let most = acknowledged.into_iter().map(|r| r.join().unwrap()).max().unwrap();
                for (i, addr) in addrs.iter().enumerate() {
                    nodes.push(Remote::start(&path(i), addr, ""));
                }
                leader(&mut nodes);
                let counts: Vec<u64> = nodes.iter_mut().map(|n| n.ask("count").parse().unwrap()).collect();
                println!("round {round}: acknowledged {most}, found {counts:?}");
                assert!(counts.iter().all(|c| *c >= most), "acknowledged commands are missing");
            }
        }
        _ => {
            let proposers: Vec<usize> =
                args.get(1).map_or(vec![1, 64, 512, 4096], |n| vec![n.parse().unwrap()]);
            for n in proposers {
                let at = leader(&mut nodes);
                for (role, i) in [("leader", at), ("follower", (at + 1) % 3)] {
                    println!(
                        "{n:5} proposers on a {role}: per second, p50 us, p99 us: {}",
                        nodes[i].ask(&format!("run {n} 4"))
                    );
                }
            }
        }
    }
    for node in &mut nodes {
        node.child.kill().unwrap();
        node.child.wait().unwrap();
    }
}
