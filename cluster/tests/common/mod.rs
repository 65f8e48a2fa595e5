//! A small state machine, and nodes that tests can stop, break and start again.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use waypost_cluster::{
    ApplyContext, Cluster, Config, Flow, Handler, Load, ProposeError, Proposed, StartError, StateMachine,
    StoreError, Txn, View,
};

/// A list to which each command is appended. Key: the number of the command. Value: its index, time and
/// position in the entry, then the command.
#[derive(Default)]
pub struct List {
    pub length: u64,
    pub loads: Arc<Mutex<Vec<(Load, u64)>>>,
    /// While a test has it, nothing is applied.
    pub held: Arc<tokio::sync::Mutex<()>>,
}

const LENGTH: &[u8] = b"length";

impl StateMachine for List {
    fn load(&mut self, view: &View, why: Load) -> Result<(), StoreError> {
        self.length = view.get(LENGTH)?.map_or(0, |v| u64::from_be_bytes(v.try_into().unwrap()));
        self.loads.lock().unwrap().push((why, self.length));
        Ok(())
    }

    fn apply(
        &mut self,
        ctx: &mut ApplyContext,
        command: &Bytes,
        txn: &mut Txn<'_>,
    ) -> Result<Vec<u8>, StoreError> {
        drop(self.held.blocking_lock());
        self.length += 1;
        let mut value = ctx.index().to_be_bytes().to_vec();
        value.extend(ctx.time_ms().to_be_bytes());
        value.extend(ctx.take_slots(1).to_be_bytes());
        value.extend(command);
        txn.put(&item(self.length), &value)?;
        txn.put(LENGTH, &self.length.to_be_bytes())?;
        Ok(self.length.to_be_bytes().to_vec())
    }

    fn committed(&mut self, _: u64) {}
}

fn item(number: u64) -> Vec<u8> {
    [b"item/".as_slice(), &number.to_be_bytes()].concat()
}

/// Returns everything in the list, as stored.
pub fn list(cluster: &Cluster) -> Vec<Vec<u8>> {
    let view = cluster.reader().view().unwrap();
    let mut all = Vec::new();
    view.scan(b"item/"..b"item0", &mut |_, value| {
        all.push(value.to_vec());
        true
    })
    .unwrap();
    all
}

/// Returns the commands in the list.
pub fn commands(cluster: &Cluster) -> Vec<String> {
    list(cluster).into_iter().map(|v| String::from_utf8(v[20..].to_vec()).unwrap()).collect()
}

/// Answers a request with the sender's id and the request's body; never answers [`NEVER`].
pub struct Echo;

pub const NEVER: &str = "never";

impl Handler for Echo {
    fn handle(&self, from: u64, body: Bytes) -> BoxFuture<'static, Bytes> {
        if body == NEVER {
            return Box::pin(std::future::pending());
        }
        Box::pin(async move { [from.to_string().as_bytes(), b":", &body].concat().into() })
    }
}

/// Returns a free port at an address of 127/8 that no other node uses, be it of another test that runs
/// meanwhile: nobody takes the port while its node is down, because outgoing connections leave from 127.0.0.1.
pub fn free_addr() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    // The nodes of the test kit have 127.64.0.0 and above.
    let own = Ipv4Addr::new(127, (high & 0x1f) | 0x20, low, (n % 250) as u8 + 2);
    TcpListener::bind((own, 0)).unwrap().local_addr().unwrap()
}

/// A slot for one node, which may be up or down.
pub struct Slot {
    pub config: Config,
    pub up: Option<Cluster>,
    pub loads: Arc<Mutex<Vec<(Load, u64)>>>,
    /// While a test has it, the node applies nothing.
    pub held: Arc<tokio::sync::Mutex<()>>,
    pub fatal: Arc<Mutex<Vec<String>>>,
}

impl Slot {
    pub fn new(dir: &Path, join: &[String]) -> Self {
        let fatal = Arc::new(Mutex::new(Vec::new()));
        let seen = fatal.clone();
        let config = Config {
            data_dir: dir.to_owned(),
            peer_addr: free_addr(),
            meta: BTreeMap::from([("http_addr".to_owned(), "127.0.0.1:1".to_owned())]),
            join: join.to_vec(),
            store_cache_bytes: 4 << 20,
            log_chunk_bytes: 1 << 20,
            abort_on_fatal: false,
            on_fatal: Some(Arc::new(move |why| seen.lock().unwrap().push(why.to_owned()))),
            ..Config::default()
        };
        Self { config, up: None, loads: Arc::default(), held: Arc::default(), fatal }
    }

    pub fn addr(&self) -> String {
        self.config.peer_addr.to_string()
    }

    pub async fn try_start(&mut self) -> Result<(), StartError> {
        let machine = List { loads: self.loads.clone(), held: self.held.clone(), ..List::default() };
        let started = Cluster::start(self.config.clone(), machine, Arc::new(Echo));
        self.up =
            Some(tokio::time::timeout(Duration::from_secs(60), started).await.expect("starts in time")?);
        Ok(())
    }

    pub async fn start(&mut self) {
        self.try_start().await.unwrap();
    }

    /// Stops the node with a clean shutdown.
    pub async fn stop(&mut self) {
        if let Some(cluster) = self.up.take() {
            cluster.shutdown().await;
        }
    }

    pub fn node(&self) -> &Cluster {
        self.up.as_ref().unwrap()
    }
}

/// Copies a directory with everything in it.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Several nodes in one temporary directory.
pub struct Nodes {
    pub dir: tempfile::TempDir,
    pub slots: Vec<Slot>,
}

impl Nodes {
    /// Starts `n` nodes and waits until all are voters.
    pub async fn voters(n: usize) -> Self {
        Self::voters_with(n, |_| {}).await
    }

    pub async fn voters_with(n: usize, adjust: impl Fn(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut nodes = Self { dir, slots: Vec::new() };
        for i in 0..n {
            let join: Vec<String> = nodes.slots.iter().map(Slot::addr).collect();
            let mut slot = Slot::new(&nodes.path(i), &join);
            adjust(&mut slot.config);
            slot.start().await;
            nodes.slots.push(slot);
        }
        nodes
            .until("all nodes vote", |nodes| {
                nodes.up().all(|c| {
                    c.status().members.iter().filter(|m| m.voter).count() == n && c.status().leader.is_some()
                })
            })
            .await;
        nodes
    }

    pub fn path(&self, i: usize) -> PathBuf {
        self.dir.path().join(format!("node-{i}"))
    }

    pub fn up(&self) -> impl Iterator<Item = &Cluster> {
        self.slots.iter().filter_map(|p| p.up.as_ref())
    }

    /// Returns the slot of the node that leads with a majority.
    pub async fn leader(&self) -> usize {
        let leads = |p: &Slot| p.up.as_ref().is_some_and(|c| c.status().is_leader() && c.status().has_quorum);
        self.until("a node leads", |nodes| nodes.slots.iter().any(leads)).await;
        self.slots.iter().position(leads).unwrap_or(0)
    }

    pub async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !done(self) {
            if Instant::now() > end {
                let statuses: Vec<_> = self.up().map(Cluster::status).collect();
                panic!("not in time: {what}: {statuses:#?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until all nodes that are up have applied the same entries, checks that their lists are equal,
    /// and returns the list.
    pub async fn agree(&self) -> Vec<Vec<u8>> {
        let last = self.up().map(|c| c.status().last_log).max().unwrap();
        self.until("all applied", |nodes| nodes.up().all(|c| c.applied() >= last)).await;
        let mut lists: Vec<_> = self.up().map(list).collect();
        let first = lists.pop().unwrap();
        for other in lists {
            assert!(first == other, "the nodes differ: {} and {} items", first.len(), other.len());
        }
        first
    }
}

/// Proposes until the command is certainly stored; a repeated command may be stored twice.
pub async fn insist(cluster: &Cluster, command: &str) -> Proposed {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match cluster.propose(Flow::NONE, command.as_bytes().to_vec()).await {
            Ok(proposed) => return proposed,
            Err(ProposeError::Stopping) => panic!("stopping"),
            Err(error) => assert!(Instant::now() < end, "{command}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
