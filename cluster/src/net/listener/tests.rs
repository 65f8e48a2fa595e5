//! Callers that send nothing, too many callers, and callers that ask what they may not, over real sockets.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use tokio::task::coop::consume_budget;

use super::*;
use crate::NodeId;
use crate::config::Security;
use crate::identity_key::IdentityKey;
use crate::net::connection::Connection;
use crate::net::stream::Reader;
use crate::wire::{Announce, Append, Hello, MemberV1, ProposalV1, StoredVote};

/// Takes every caller for the standing that a test sets. A request begins when there is room. An append is
/// answered when as many requests have begun as its term says, any other request at once.
struct Open {
    standing: watch::Sender<Standing>,
    asked: Mutex<Vec<Request>>,
    room: Semaphore,
    /// How many requests want to begin, or have begun.
    came: AtomicUsize,
    begun: watch::Sender<u64>,
}

impl Open {
    fn new(standing: Standing) -> Self {
        Self {
            standing: watch::Sender::new(standing),
            asked: Mutex::default(),
            room: Semaphore::new(Semaphore::MAX_PERMITS),
            came: AtomicUsize::new(0),
            begun: watch::Sender::new(0),
        }
    }
}

impl Service for Open {
    type Session = ();

    fn admit(&self, _caller: &Caller) -> Result<(), String> {
        Ok(())
    }

    fn standing(&self, _shown: &Shown) -> Standing {
        *self.standing.borrow()
    }

    async fn expelled(&self, _shown: &Shown) {
        let mut changes = self.standing.subscribe();
        let _ = changes.wait_for(|standing| standing.id().is_none()).await;
    }

    fn has_group(&self, group: GroupId) -> bool {
        group == crate::FIRST_GROUP
    }

    async fn begin(self: &Arc<Self>, _asker: Asker, request: Request) -> BoxFuture<'static, Answer> {
        self.came.fetch_add(1, Ordering::Relaxed);
        self.room.acquire().await.unwrap().forget();
        let until = if let Request::AppendV1(append) = &request { append.vote.term } else { 0 };
        self.asked.lock().unwrap().push(request);
        let mut begun = self.begun.subscribe();
        self.begun.send_modify(|begun| *begun += 1);
        Box::pin(async move {
            let _ = begun.wait_for(|begun| *begun >= until).await;
            Answer::ReadIndexV1 { index: Some(1) }
        })
    }

    async fn in_session(self: &Arc<Self>, _session: &mut (), request: Request) -> Result<Answer, Request> {
        Err(request)
    }
}

/// A listener, and a node that calls it.
struct Port {
    addr: SocketAddr,
    caller: Secure,
    service: Arc<Open>,
    running: tokio::task::JoinHandle<()>,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn node() -> Secure {
    Secure::new(&Security::default(), IdentityKey::random().unwrap()).unwrap()
}

async fn listening(max_connections: usize, standing: Standing) -> Port {
    let limits = Limits::new(8, crate::Config::default().max_patient_requests);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), max_connections, limits).await.unwrap();
    let addr = listener.addr().unwrap();
    let service = Arc::new(Open::new(standing));
    let running = tokio::spawn(listener.run(Arc::new(node()), service.clone()));
    Port { addr, caller: node(), service, running }
}

const FROM: NodeId = 1;

impl Port {
    async fn call(&self, to: NodeId, lane: Lane) -> io::Result<(Reader, Writer)> {
        let cluster_id = [7; 16];
        let from_addr = "a:1".to_owned();
        let hello = Hello { cluster_id, from: FROM, to, from_addr, lane: lane.number() };
        let (read, write, _) = self.caller.call(TcpStream::connect(self.addr).await?, &hello).await?;
        Ok((read, write))
    }

    /// Whether the connection is closed instead of the request being answered.
    async fn closes(&self, to: NodeId, lane: Lane, group: GroupId, request: &Request) -> bool {
        let mut ends = self.call(to, lane).await.unwrap();
        timeout(HANDSHAKE * 10, exchange(&mut ends, group, request)).await.unwrap().is_err()
    }
}

/// Sends a request and returns its answer.
async fn exchange(
    ends: &mut (Reader, Writer),
    group: GroupId,
    request: &Request,
) -> io::Result<(GroupId, Answer)> {
    let frame = frame::encode(Kind::Request, group, 5, &wire::encode(request).unwrap()).unwrap();
    ends.1.frame(&frame).await?;
    ends.1.flush().await?;
    let (head, body) = ends.0.frame(wire::MAX_ENCODED).await?;
    assert_eq!((head.kind, head.id), (Kind::Answer, 5));
    Ok((head.group, wire::decode(&body).unwrap()))
}

#[tokio::test]
async fn silent_callers_keep_no_other_caller_out() {
    let port = listening(4, Standing::Member(FROM)).await;
    // A caller that has to wait for them is admitted once the last of them was closed. A slow machine may
    // need several attempts to be faster than that.
    let let_in = async {
        loop {
            let mut silent = Vec::new();
            for _ in 0..400 {
                silent.push(TcpStream::connect(port.addr).await.unwrap());
            }
            let called = port.call(2, Lane::Quick).await;
            let last = silent.last().unwrap();
            let waits = timeout(Duration::from_millis(100), last.peek(&mut [0])).await.is_err();
            if called.is_ok() && waits {
                break;
            }
        }
    };
    timeout(HANDSHAKE * 10, let_in).await.unwrap();
}

#[tokio::test]
async fn a_caller_beyond_the_connection_limit_gets_the_reason() {
    let port = listening(2, Standing::Member(FROM)).await;
    let first = port.call(2, Lane::Quick).await.unwrap();
    let _second = port.call(2, Lane::Quick).await.unwrap();
    let refused = port.call(2, Lane::Quick).await.err().unwrap().to_string();
    assert!(refused.contains("as many connections"), "{refused}");
    drop(first);
    let let_in = async {
        while port.call(2, Lane::Quick).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(HANDSHAKE * 10, let_in).await.unwrap();
}

#[tokio::test]
async fn guests_take_no_place_of_a_member() {
    let port = listening(1, Standing::Guest).await;
    let mut guests = Vec::new();
    for _ in 0..GUESTS {
        guests.push(port.call(0, Lane::Work).await.unwrap());
    }
    let refused = port.call(0, Lane::Work).await.err().unwrap().to_string();
    assert!(refused.contains("as many connections"), "{refused}");
    port.service.standing.send_replace(Standing::Member(FROM));
    port.call(2, Lane::Work).await.unwrap();
}

#[tokio::test]
async fn an_unknown_group_is_reported_and_the_connection_stays() {
    let port = listening(4, Standing::Member(FROM)).await;
    let mut ends = port.call(2, Lane::Work).await.unwrap();
    for group in [1, 4095] {
        let answered = exchange(&mut ends, group, &Request::ReadIndexV1).await.unwrap();
        assert_eq!(answered, (group, Answer::NoGroupV1 { group }));
    }
}

#[tokio::test]
async fn a_frame_on_the_wrong_lane_or_for_a_wrong_group_closes_the_connection() {
    let port = listening(8, Standing::Member(FROM)).await;
    let app = || Request::AppV1 { body: vec![1].into() };
    for (lane, group, request) in [
        (Lane::Work, frame::NODE, app()),
        (Lane::Quick, 0, Request::ReadIndexV1),
        (Lane::Patient, 0, app()),
        (Lane::Work, frame::NODE, Request::ReadIndexV1),
    ] {
        assert!(port.closes(2, lane, group, &request).await, "{lane:?} {group} {request:?}");
    }
}

/// How many of [`all`] a leader needs to bring another node up to date.
const REPLICATING: usize = 9;

/// One request of each kind but those of newcomers, with its lane and group.
fn all() -> Vec<(Lane, GroupId, Request)> {
    let vote = StoredVote::default();
    let append = Append { vote, prev: None, commit: None, entries: Vec::new() };
    let begin = Request::SnapshotBeginV1 { vote, state: crate::wire::SystemV1::default() };
    vec![
        (Lane::Pulse, 0, Request::VoteV1 { vote, last: None, transfer: false, pre: false }),
        (Lane::Append, 0, Request::AppendV1(append)),
        (Lane::Pulse, 0, Request::TransferV1 { from: vote, to: 2, last: None }),
        (Lane::Bulk, 0, begin),
        (Lane::Bulk, 0, Request::SnapshotChunkV1 { index: 0, crc: 0, pairs: Vec::new() }),
        (Lane::Bulk, 0, Request::SnapshotEndV1 { chunks: 0, pairs: 0 }),
        (Lane::Pulse, 0, Request::ClockV1 { reported: None }),
        (Lane::Work, 0, Request::ReadIndexV1),
        (Lane::Work, frame::NODE, Request::WhoV1),
        (Lane::Work, 0, Request::ForwardV1 { commands: Vec::new() }),
        (
            Lane::Work,
            0,
            Request::ForwardV2 { flow: None, proposal: ProposalV1::default(), commands: Vec::new() },
        ),
        (Lane::Bulk, 0, Request::CountedV1),
        (Lane::Work, frame::NODE, Request::IntroduceV1),
        (Lane::Bulk, 0, Request::RecordsV1 { from: 0, upto: crate::wire::StoredLogId::default() }),
        (Lane::Bulk, 0, Request::EndV1),
        (Lane::Bulk, 0, Request::StateV1 { after: None }),
        (Lane::Quick, frame::NODE, Request::AppV1 { body: vec![1].into() }),
        (Lane::Patient, frame::NODE, Request::AppV1 { body: vec![1].into() }),
        (Lane::Relay, frame::NODE, Request::AppV1 { body: vec![1].into() }),
        (Lane::Large, frame::NODE, Request::AppV1 { body: vec![1].into() }),
    ]
}

fn joining() -> [Request; 3] {
    let announce = Announce { id: FROM, member: MemberV1::default(), join: true };
    let greet = Request::GreetV1(crate::wire::NewcomerV1::default());
    [Request::NewIdV1 { member: MemberV1::default() }, Request::AnnounceV1(announce), greet]
}

/// How many kinds of requests there are, with [`kind`].
const KINDS: usize = 20;

/// The number of a request's kind. It has no arm for the rest, so a new kind has to be entered here.
fn kind(request: &Request) -> usize {
    match request {
        Request::VoteV1 { .. } => 0,
        Request::AppendV1(_) => 1,
        Request::TransferV1 { .. } => 2,
        Request::ForwardV1 { .. } => 3,
        Request::ReadIndexV1 => 4,
        Request::AppV1 { .. } => 5,
        Request::NewIdV1 { .. } => 6,
        Request::AnnounceV1(_) => 7,
        Request::SnapshotBeginV1 { .. } => 8,
        Request::SnapshotChunkV1 { .. } => 9,
        Request::SnapshotEndV1 { .. } => 10,
        Request::CountedV1 => 11,
        Request::ClockV1 { .. } => 12,
        Request::WhoV1 => 13,
        Request::GreetV1(_) => 14,
        Request::ForwardV2 { .. } => 15,
        Request::IntroduceV1 => 16,
        Request::RecordsV1 { .. } => 17,
        Request::EndV1 => 18,
        Request::StateV1 { .. } => 19,
    }
}

#[test]
fn every_kind_of_request_is_tried() {
    let mut tried: Vec<usize> = all().iter().map(|(.., request)| kind(request)).collect();
    tried.extend(joining().iter().map(kind));
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(tried, (0..KINDS).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_is_no_member_may_ask_to_join_and_nothing_else() {
    for (standing, to) in [(Standing::Guest, 0), (Standing::Guest, 2), (Standing::Stranger, 0)] {
        let port = listening(64, standing).await;
        for (lane, group, request) in all() {
            assert!(port.closes(to, lane, group, &request).await, "{standing:?} {to} {request:?}");
        }
        for request in joining() {
            let closes = port.closes(to, Lane::Work, frame::NODE, &request).await;
            assert_eq!(closes, standing == Standing::Stranger, "{standing:?} {request:?}");
        }
        assert!(port.service.asked.lock().unwrap().iter().all(|request| joining().contains(request)));
    }
}

#[tokio::test]
async fn an_introduced_node_may_only_replicate() {
    let port = listening(64, Standing::Introduced(FROM)).await;
    for (at, (lane, group, request)) in all().into_iter().enumerate() {
        let closes = port.closes(2, lane, group, &request).await;
        assert_eq!(closes, at >= REPLICATING, "{request:?}");
    }
    for request in joining() {
        assert!(port.closes(0, Lane::Work, frame::NODE, &request).await, "{request:?}");
    }
}

#[tokio::test]
async fn the_connections_of_a_removed_member_are_closed_at_once() {
    let port = listening(8, Standing::Member(FROM)).await;
    let mut asks = port.call(2, Lane::Work).await.unwrap();
    let mut waits = port.call(2, Lane::Append).await.unwrap();
    exchange(&mut asks, 0, &Request::ReadIndexV1).await.unwrap();
    exchange(&mut waits, 0, &Request::ReadIndexV1).await.unwrap();
    port.service.standing.send_replace(Standing::Guest);
    // This connection is closed although its caller asks nothing more.
    let closed = timeout(HANDSHAKE * 10, waits.0.frame(wire::MAX_ENCODED)).await.unwrap();
    assert!(closed.is_err());
    let refused = timeout(HANDSHAKE * 10, exchange(&mut asks, 0, &Request::ReadIndexV1)).await.unwrap();
    assert!(refused.is_err());
    assert_eq!(port.service.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_future_is_polled_although_its_task_must_give_way() {
    let (sender, mut queue) = mpsc::channel(8);
    // More often than a task may without giving way, so that it must do so in some of these rounds.
    for round in 0..300 {
        consume_budget().await;
        // Three units a round do not divide the budget, so it also ends in the middle of a round.
        consume_budget().await;
        let sender = sender.clone();
        let mut sending: BoxFuture<'static, bool> = Box::pin(async move { sender.send(round).await.is_ok() });
        assert_eq!(poll_once(&mut sending).await, Poll::Ready(true), "{round}");
        assert_eq!(queue.try_recv(), Ok(round));
    }
}

#[tokio::test]
async fn requests_begin_one_after_the_other_and_are_answered_when_they_finish() {
    let port = listening(8, Standing::Member(FROM)).await;
    let service = &port.service;
    service.room.forget_permits(Semaphore::MAX_PERMITS);
    let (mut read, mut write) = port.call(2, Lane::Append).await.unwrap();
    // The first one is answered when all have begun.
    for (id, term) in [(1, 3), (2, 0), (3, 0)] {
        let vote = StoredVote { term, node: id, committed: true };
        let append = Request::AppendV1(Append { vote, prev: None, commit: None, entries: Vec::new() });
        let frame = frame::encode(Kind::Request, 0, id, &wire::encode(&append).unwrap()).unwrap();
        write.frame(&frame).await.unwrap();
    }
    write.flush().await.unwrap();
    let mut answered = async || {
        let frame = timeout(HANDSHAKE * 10, read.frame(wire::MAX_ENCODED)).await.unwrap();
        frame.unwrap().0.id
    };
    let came = || service.came.load(Ordering::Relaxed);
    let first = async {
        while came() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(HANDSHAKE * 10, first).await.unwrap();
    // Time enough for the second one to overtake it, if that were possible.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(came(), 1, "the first one has no room yet");
    service.room.add_permits(2);
    assert_eq!(answered().await, 2, "the first one holds up no other");
    service.room.add_permits(1);
    let mut rest = [answered().await, answered().await];
    rest.sort_unstable();
    assert_eq!(rest, [1, 3]);
    let node = |request: &Request| if let Request::AppendV1(append) = request { append.vote.node } else { 0 };
    let asked: Vec<NodeId> = service.asked.lock().unwrap().iter().map(node).collect();
    assert_eq!(asked, [1, 2, 3]);
}

#[tokio::test]
async fn a_connection_that_gives_no_sign_of_life_is_closed() {
    let port = listening(8, Standing::Member(FROM)).await;
    let (read, write) = port.call(2, Lane::Work).await.unwrap();
    let connection = Connection::new(read, write, 8);
    let pause = Duration::from_millis(1);
    let mut begun = port.service.begun.subscribe();
    let lives = tokio::select! {
        () = connection.silent(pause, HANDSHAKE * 10) => false,
        begun = begun.wait_for(|begun| *begun >= 5) => begun.is_ok(),
    };
    assert!(lives && connection.is_alive());
    // From now on no request begins.
    port.service.room.forget_permits(Semaphore::MAX_PERMITS);
    timeout(HANDSHAKE * 10, connection.silent(pause, Duration::from_millis(50))).await.unwrap();
    assert!(!connection.is_alive());
}
