//! Real nodes, and processes that are no members of their cluster and ask for what only members get.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

mod certified;
mod posing;
mod probed;

use super::*;
use crate::config::{Config, Security, TlsFiles};
use crate::error::{Refused, StoreError};
use crate::identity::Layout;
use crate::identity_key::IdentityKey;
use crate::machine::{ApplyContext, Handler, Load, StateMachine};
use crate::os::TcpStream;
use crate::store::{Txn, View};
use crate::wire::frame::{self, Kind};
use crate::wire::{self, Answer, Append, ProposalV1, Request, StoredLogId, StoredVote, SystemV1};
use crate::{Cluster, FIRST_GROUP, Flow, Operation};

const KEY: &str = "the key of the cluster";
/// The term in which intruders ask for votes.
const ASKED_TERM: u64 = 1_000_000;
const SECRET: &[u8] = b"what only members get";

struct Nothing;

impl StateMachine for Nothing {
    fn load(&mut self, _: &View, _: Load) -> Result<(), StoreError> {
        Ok(())
    }
    fn apply(&mut self, _: &mut ApplyContext, _: &Bytes, _: &mut Txn<'_>) -> Result<Vec<u8>, StoreError> {
        Ok(Vec::new())
    }
    fn committed(&mut self, _: u64) {}
}

/// Answers every request with the secret, and counts the requests.
#[derive(Default)]
struct Keeper(AtomicU64);

impl Handler for Keeper {
    fn handle(&self, _from: NodeId, _body: Bytes) -> BoxFuture<'static, Bytes> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Bytes::from_static(SECRET)))
    }
}

struct Node {
    dir: PathBuf,
    cluster: Cluster,
    keeper: Arc<Keeper>,
}

impl Node {
    async fn start(dir: &Path, addr: &str, join: &[&Node], security: Security) -> Self {
        let config = Config {
            data_dir: dir.to_owned(),
            peer_addr: addr.parse().unwrap(),
            join: join.iter().map(|node| node.cluster.peer_addr().to_owned()).collect(),
            security,
            disk_reserve: 1 << 20,
            abort_on_fatal: false,
            ..Config::default()
        };
        let keeper = Arc::new(Keeper::default());
        let started = Cluster::start(config, Nothing, keeper.clone());
        let cluster = timeout(Duration::from_secs(60), started).await.unwrap().unwrap();
        Self { dir: dir.to_owned(), cluster, keeper }
    }

    fn id(&self) -> NodeId {
        self.cluster.node_id()
    }

    /// Its id and address, as others know them.
    fn name(&self) -> (NodeId, &str) {
        (self.id(), self.cluster.peer_addr())
    }

    fn me(&self) -> &Me {
        self.cluster.node().engine.peers().me()
    }

    fn voters(&self) -> Vec<NodeId> {
        self.cluster.status().members.iter().filter(|member| member.voter).map(|member| member.id).collect()
    }
}

async fn until(what: &str, done: impl AsyncFn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done().await {
        assert!(Instant::now() < end, "not in time: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// What admits whoever has the key.
fn with_key(key: &str) -> Security {
    Security { keys: vec![key.to_owned()], tls: None }
}

/// What admits whoever has a certificate of the cluster's authority.
fn with_certificate(files: TlsFiles) -> Security {
    Security { keys: Vec::new(), tls: Some(files) }
}

/// Nodes that vote, with the key.
async fn voters(dir: &TempDir, count: usize) -> Vec<Node> {
    voters_with(dir, count, |_| with_key(KEY)).await
}

/// Nodes that vote. `security` is that of the node with a number, from 1.
async fn voters_with(dir: &TempDir, count: usize, security: impl Fn(usize) -> Security) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for n in 1..=count {
        let first: Vec<&Node> = nodes.iter().take(1).collect();
        let path = dir.path().join(n.to_string());
        nodes.push(Node::start(&path, "127.0.0.1:0", &first, security(n)).await);
    }
    // Before the change is complete, a majority of the voters before it is needed as well.
    let votes = |node: &Node| node.voters().len() == count && !node.cluster.status().changing;
    until("all vote", async || nodes.iter().all(votes)).await;
    nodes
}

async fn leader(nodes: &[Node]) -> &Node {
    let leads = |node: &&Node| node.cluster.status().is_leader() && node.cluster.status().has_quorum;
    until("one leads", async || nodes.iter().any(|node| leads(&node))).await;
    nodes.iter().find(leads).unwrap()
}

/// Has the leader carry out an operation, whoever leads.
async fn operate(nodes: &[Node], operation: Operation) {
    until("the operation is carried out", async || {
        let done = leader(nodes).await.cluster.admin().operate(operation).await;
        // Without an answer in time it may have been carried out.
        matches!(done, Ok(()) | Err(Refused::UnknownNode(_)))
    })
    .await;
}

/// Removes a follower, and waits until the others know.
async fn remove_one(nodes: &mut Vec<Node>) -> Node {
    let at = nodes.iter().position(|node| !node.cluster.status().is_leader()).unwrap();
    let gone = nodes.remove(at);
    operate(nodes, Operation::Remove(gone.id())).await;
    let left = nodes.len();
    until("all know that it is removed", async || nodes.iter().all(|node| node.voters().len() == left)).await;
    gone
}

/// No vote counted, nobody joined, and no request of the application was answered.
fn nothing_happened(nodes: &[Node]) {
    for node in nodes {
        let status = node.cluster.status();
        assert!(status.term < ASKED_TERM, "a vote of no member counted");
        assert_eq!(status.members.len(), nodes.len());
        assert_eq!(node.keeper.0.load(Ordering::Relaxed), 0);
    }
}

/// A process that has an identity, and a key or a certificate, and speaks the protocol.
struct Intruder {
    secure: Secure,
    hello: Hello,
    addr: String,
}

impl Intruder {
    /// Says to node `to` that it is a node of the same cluster, with that id and address.
    fn new(identity: IdentityKey, key: &str, as_node: (NodeId, &str), to: &Node) -> Self {
        Self::with(&with_key(key), identity, as_node, to)
    }

    fn with(security: &Security, identity: IdentityKey, (from, addr): (NodeId, &str), to: &Node) -> Self {
        let me = Me { cluster_id: to.me().cluster_id, node_id: from, addr: addr.to_owned() };
        Self {
            secure: Secure::new(security, identity).unwrap(),
            hello: me.hello(to.id(), Lane::Work),
            addr: to.cluster.peer_addr().to_owned(),
        }
    }

    async fn ask(&self, lane: Lane, request: &Request) -> std::io::Result<Answer> {
        let hello = Hello { lane: lane.number(), ..self.hello.clone() };
        let socket = TcpStream::connect(&self.addr).await?;
        let (mut read, mut write, _) = self.secure.call(socket, &hello).await?;
        let group = if request.is_of_a_group() { FIRST_GROUP } else { frame::NODE };
        write.frame(&frame::encode(Kind::Request, group, 1, &wire::encode(request)?)?).await?;
        write.flush().await?;
        let (_, body) = read.frame(wire::MAX_ENCODED).await?;
        Ok(wire::decode(&body)?)
    }

    /// Asks for everything that a member may ask for, and gets nothing.
    async fn gets_nothing(&self, who: &str) {
        let vote = StoredVote { term: ASKED_TERM, node: self.hello.from, committed: true };
        let append = Append { vote, prev: None, commit: None, entries: Vec::new() };
        let begin = Request::SnapshotBeginV1 { vote, state: SystemV1::default() };
        let asked = StoredVote { committed: false, ..vote };
        for (lane, request) in [
            (Lane::Quick, Request::AppV1 { body: b"the webhook key".to_vec().into() }),
            (Lane::Patient, Request::AppV1 { body: b"the webhook key".to_vec().into() }),
            (Lane::Relay, Request::AppV1 { body: b"the webhook key".to_vec().into() }),
            (Lane::Large, Request::AppV1 { body: b"the webhook key".to_vec().into() }),
            (Lane::Work, Request::ForwardV1 { commands: vec![b"a command".to_vec().into()] }),
            (
                Lane::Work,
                Request::ForwardV2 {
                    flow: None,
                    proposal: ProposalV1::default(),
                    commands: vec![b"a command".to_vec().into()],
                },
            ),
            (Lane::Work, Request::ReadIndexV1),
            (Lane::Pulse, Request::VoteV1 { vote: asked, last: None, transfer: true, pre: false }),
            (Lane::Pulse, Request::VoteV1 { vote: asked, last: None, transfer: true, pre: true }),
            (Lane::Append, Request::AppendV1(append)),
            (Lane::Pulse, Request::TransferV1 { from: vote, to: self.hello.to, last: None }),
            (Lane::Bulk, begin),
            (Lane::Bulk, Request::CountedV1),
            (Lane::Bulk, Request::RecordsV1 { from: 0, upto: StoredLogId::default() }),
            (Lane::Bulk, Request::EndV1),
            (Lane::Bulk, Request::StateV1 { after: None }),
            (Lane::Work, Request::WhoV1),
            (Lane::Work, Request::IntroduceV1),
            (Lane::Pulse, Request::ClockV1 { reported: None }),
        ] {
            let limit = Duration::from_secs(60);
            let asked = timeout(limit, self.ask(lane, &request)).await.unwrap();
            assert!(asked.is_err(), "{who} asked {request:?} and got {asked:?}");
        }
    }
}

/// An identity key as it is in the data directory of a node.
fn key_of(dir: &Path) -> IdentityKey {
    Layout::new(dir).read_identity_key().unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_member_gets_nothing_with_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = voters(&dir, 4).await;
    let gone = remove_one(&mut nodes).await;
    let gone_key = || key_of(&gone.dir);
    gone.cluster.shutdown().await;

    let to = &nodes[0];
    let victim = nodes[1].name();
    let nobody = (77, "127.0.0.1:1");
    let random = || IdentityKey::random().unwrap();
    for (who, intruder) in [
        ("a removed node", Intruder::new(gone_key(), KEY, gone.name(), to)),
        ("a removed node under a member's id", Intruder::new(gone_key(), KEY, victim, to)),
        ("a never-member with the key", Intruder::new(random(), KEY, nobody, to)),
        ("a never-member under a member's id", Intruder::new(random(), KEY, victim, to)),
        ("a never-member under the node's own id", Intruder::new(random(), KEY, to.name(), to)),
        ("a never-member without the key", Intruder::new(random(), "the key of another one", nobody, to)),
    ] {
        intruder.gets_nothing(who).await;
        // Nor when it does not say whom it calls, as one that asks to join.
        let hello = Hello { to: 0, ..intruder.hello.clone() };
        Intruder { hello, ..intruder }.gets_nothing(who).await;
    }
    // A member under another member's id is not that member.
    Intruder::new(key_of(&nodes[2].dir), KEY, victim, to).gets_nothing("a member under another id").await;

    nothing_happened(&nodes);
    // What they were refused is what a member gets.
    let honest = Intruder::new(key_of(&nodes[2].dir), KEY, nodes[2].name(), to);
    let request = Request::AppV1 { body: b"the webhook key".to_vec().into() };
    let answer = honest.ask(Lane::Quick, &request).await.unwrap();
    assert_eq!(answer, Answer::AppV1 { body: SECRET.to_vec().into() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_cannot_ask_on_the_connections_that_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = voters(&dir, 4).await;
    let at = nodes.iter().position(|node| !node.cluster.status().is_leader()).unwrap();
    let gone = nodes.remove(at);
    let to = nodes[0].id();
    let ask = async || {
        let body = Bytes::from_static(b"x");
        gone.cluster.request(to, RequestLane::Quick, body, Duration::from_secs(5)).await
    };
    assert_eq!(ask().await.unwrap(), SECRET);
    operate(&nodes, Operation::Remove(gone.id())).await;
    until("the node knows", async || nodes[0].voters().len() == 3).await;
    let asked = nodes[0].keeper.0.load(Ordering::Relaxed);
    for _ in 0..20 {
        assert!(ask().await.is_err());
    }
    assert_eq!(nodes[0].keeper.0.load(Ordering::Relaxed), asked);
}

/// While node 3 is away, all nodes that it knows are replaced. The present members must reach it, although
/// it knows none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_believes_the_members_that_replaced_all_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = voters(&dir, 3).await;
    operate(&nodes, Operation::Lead(Some(nodes[0].id()))).await;
    let away = nodes.remove(2);
    let id = away.id();
    let addr = away.cluster.peer_addr().to_owned();
    let path = away.dir.clone();
    away.cluster.shutdown().await;
    // The directory is free when the last handle is gone.
    drop(away);
    for name in ["new-1", "new-2"] {
        let living: Vec<&Node> = nodes.iter().collect();
        let node = Node::start(&dir.path().join(name), "127.0.0.1:0", &living, with_key(KEY)).await;
        let new = node.id();
        nodes.push(node);
        until("it votes", async || nodes.iter().all(|node| node.voters().contains(&new))).await;
        // The newest node admits the next one, so the second is introduced by the first.
        operate(&nodes, Operation::Lead(Some(new))).await;
        operate(&nodes, Operation::Remove(nodes[0].id())).await;
        nodes.remove(0).cluster.shutdown().await;
    }
    let present = [id, nodes[0].id(), nodes[1].id()];
    // It has another key by now, which members do not need.
    let back = Node::start(&path, &addr, &[], with_key("another key of the cluster")).await;
    until("it has caught up", async || {
        let status = leader(&nodes).await.cluster.status();
        back.voters() == present && back.cluster.applied() >= status.committed
    })
    .await;
    // It takes part again: without it, one of the two others is no majority.
    let other = nodes.iter().position(|node| !node.cluster.status().is_leader()).unwrap();
    nodes.remove(other).cluster.shutdown().await;
    nodes.push(back);
    until("a majority stores a command", async || {
        leader(&nodes).await.cluster.propose(Flow::NONE, b"x".to_vec()).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_admits_a_newcomer_and_another_key_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = voters(&dir, 1).await;
    let request = Request::NewIdV1 { member: (&crate::types::Member::default()).into() };
    let newcomer = |key| {
        let intruder = Intruder::new(IdentityKey::random().unwrap(), key, (0, "127.0.0.1:1"), &nodes[0]);
        Intruder { hello: Hello { to: 0, cluster_id: [0; 16], ..intruder.hello.clone() }, ..intruder }
    };
    let answer = newcomer(KEY).ask(Lane::Work, &request).await.unwrap();
    assert!(matches!(answer, Answer::JoinV1(wire::JoinReply::Id { id: 2, .. })), "{answer:?}");
    let other = newcomer("the key of another one").ask(Lane::Work, &request).await.unwrap_err().to_string();
    assert!(other.contains("refused") && other.contains("has another key"), "{other}");
    let status = nodes[0].cluster.status();
    assert_eq!(status.members.len(), 1, "an id is no membership");
}
