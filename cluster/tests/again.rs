//! Proposals whose answer is lost are sent again, and land once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Nodes, Slot, commands, insist};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use waypost_cluster::Flow;

/// Passes connections on to a node, until they are muted: then what the node says is lost, and nothing
/// breaks.
struct Proxy {
    addr: SocketAddr,
    /// How many connections there were.
    passed: Arc<AtomicU64>,
    /// How many of them, from the first on, are muted.
    muted: Arc<AtomicU64>,
}

impl Proxy {
    fn start(to: SocketAddr) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let addr = socket.local_addr().unwrap();
        let socket = tokio::net::TcpListener::from_std(socket).unwrap();
        let passed = Arc::new(AtomicU64::new(0));
        let muted = Arc::new(AtomicU64::new(0));
        let proxy = Self { addr, passed: passed.clone(), muted: muted.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = socket.accept().await {
                let number = passed.fetch_add(1, Ordering::SeqCst) + 1;
                let muted = muted.clone();
                tokio::spawn(async move { pass(client, to, number, &muted).await });
            }
        });
        proxy
    }

    /// Mutes the connections that there are.
    fn mute(&self) {
        self.muted.store(self.passed.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

async fn pass(client: TcpStream, to: SocketAddr, number: u64, muted: &AtomicU64) {
    let Ok(node) = TcpStream::connect(to).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_node, mut to_node) = node.into_split();
    let forth = async { tokio::io::copy(&mut from_client, &mut to_node).await.is_ok() };
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let n = match from_node.read(&mut buffer).await {
                Ok(0) | Err(_) => return false,
                Ok(n) => n,
            };
            let is_muted = muted.load(Ordering::SeqCst) >= number;
            if !is_muted && to_client.write_all(&buffer[..n]).await.is_err() {
                return false;
            }
        }
    };
    tokio::select! {
        _ = forth => {}
        _ = back => {}
    }
}

/// The leader applies proposals, and its answers are lost on connections that seem to stand. Voters answer by
/// what they have applied. The learner has applied nothing: it asks for a sign of life, connects anew and gets
/// the answer, long before the proposal's time is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_whose_answer_is_lost_lands_once_and_is_answered() {
    let proxies = Mutex::new(Vec::new());
    let mut nodes = Nodes::voters_with(3, |config| {
        let proxy = Proxy::start(config.peer_addr);
        config.advertise_peer = proxy.addr.to_string();
        config.propose_timeout = Duration::from_secs(120);
        proxies.lock().unwrap().push(proxy);
    })
    .await;
    let proxies = proxies.into_inner().unwrap();
    let join: Vec<String> = nodes.slots.iter().map(Slot::addr).collect();
    let mut learner = Slot::new(&nodes.path(3), &join);
    learner.config.role_learner = true;
    learner.config.propose_timeout = Duration::from_secs(120);
    learner.start().await;
    let learner_applies = learner.held.clone();
    nodes.slots.push(learner);
    for (i, node) in nodes.up().enumerate() {
        insist(node, &format!("first.{i}")).await;
    }
    let held = learner_applies.lock().await;
    let mut proposed = Vec::new();
    for round in 0..4 {
        proxies[nodes.leader().await].mute();
        let mut tasks = Vec::new();
        for (i, node) in nodes.up().enumerate() {
            for flow in 0..4 {
                let node = node.clone();
                let command = format!("{round}.{i}.{flow}");
                proposed.push(command.clone());
                let ours = async move { node.propose(Flow(flow), command.into_bytes()).await };
                tasks.push(tokio::spawn(ours));
            }
        }
        for task in tasks {
            task.await.unwrap().expect("it is answered");
        }
    }
    drop(held);
    nodes.agree().await;
    let mut stored: BTreeMap<String, u32> = BTreeMap::new();
    for command in commands(nodes.slots[0].node()) {
        *stored.entry(command).or_default() += 1;
    }
    for command in proposed {
        assert_eq!(stored.get(&command), Some(&1), "{command}");
    }
}
