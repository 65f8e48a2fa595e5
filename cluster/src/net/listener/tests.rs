//! Callers that send nothing, and too many such callers, over real sockets.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::Security;

/// Admits every caller.
struct Open;

impl Service for Open {
    type Session = ();

    fn admit(&self, _hello: &Hello) -> Result<(), String> {
        Ok(())
    }

    fn has_group(&self, group: GroupId) -> bool {
        group == crate::FIRST_GROUP
    }

    fn answer(self: &Arc<Self>, _from: NodeId, _request: Request) -> BoxFuture<'static, Answer> {
        Box::pin(std::future::pending())
    }

    async fn in_session(self: &Arc<Self>, _session: &mut (), request: Request) -> Result<Answer, Request> {
        Err(request)
    }
}

async fn listening(max_connections: usize) -> (SocketAddr, Arc<Secure>, tokio::task::JoinHandle<()>) {
    let secure = Arc::new(Secure::new(&Security::None).unwrap());
    let limits = Limits::new(8, crate::Config::default().max_patient_requests);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), max_connections, limits).await.unwrap();
    (listener.addr().unwrap(), secure.clone(), tokio::spawn(listener.run(secure, Arc::new(Open))))
}

async fn call(addr: SocketAddr, secure: &Secure) -> io::Result<(Reader, Writer)> {
    let hello = Hello { cluster_id: [7; 16], from: 1, to: 2, from_addr: "a:1".to_owned(), lane: 4 };
    secure.call(TcpStream::connect(addr).await?, &hello).await
}

#[tokio::test]
async fn silent_callers_keep_no_other_caller_out() {
    let (addr, secure, running) = listening(4).await;
    // A caller that has to wait for them is admitted once the last of them was closed. A slow machine may
    // need several attempts to be faster than that.
    let let_in = async {
        loop {
            let mut silent = Vec::new();
            for _ in 0..400 {
                silent.push(TcpStream::connect(addr).await.unwrap());
            }
            let called = call(addr, &secure).await;
            let last = silent.last().unwrap();
            let waits = timeout(Duration::from_millis(100), last.peek(&mut [0])).await.is_err();
            if called.is_ok() && waits {
                break;
            }
        }
    };
    timeout(HANDSHAKE * 10, let_in).await.unwrap();
    running.abort();
}

#[tokio::test]
async fn a_caller_beyond_the_connection_limit_gets_the_reason() {
    let (addr, secure, running) = listening(2).await;
    let first = call(addr, &secure).await.unwrap();
    let _second = call(addr, &secure).await.unwrap();
    let refused = call(addr, &secure).await.err().unwrap().to_string();
    assert!(refused.contains("as many connections"), "{refused}");
    drop(first);
    let let_in = async {
        while call(addr, &secure).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(HANDSHAKE * 10, let_in).await.unwrap();
    running.abort();
}

/// A connection on which requests are sent and answered.
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

async fn called_on(addr: SocketAddr, secure: &Secure, lane: Lane) -> (Reader, Writer) {
    let (cluster_id, from_addr) = ([7; 16], "a:1".to_owned());
    let hello = Hello { cluster_id, from: 1, to: 2, from_addr, lane: lane.number() };
    let (mut read, write) = secure.call(TcpStream::connect(addr).await.unwrap(), &hello).await.unwrap();
    drop(timeout(Duration::ZERO, read.first_byte()).await);
    (read, write)
}

#[tokio::test]
async fn an_unknown_group_is_reported_and_the_connection_stays() {
    let (addr, secure, running) = listening(4).await;
    let mut ends = called_on(addr, &secure, Lane::Work).await;
    for group in [1, 4095] {
        let answered = exchange(&mut ends, group, &Request::ReadIndexV1).await.unwrap();
        assert_eq!(answered, (group, Answer::NoGroupV1 { group }));
    }
    running.abort();
}

#[tokio::test]
async fn a_frame_on_the_wrong_lane_or_for_a_wrong_group_closes_the_connection() {
    let (addr, secure, running) = listening(8).await;
    let app = || Request::AppV1 { body: vec![1].into() };
    for (lane, group, request) in [
        (Lane::Work, frame::NODE, app()),
        (Lane::Quick, 0, Request::ReadIndexV1),
        (Lane::Patient, 0, app()),
        (Lane::Work, frame::NODE, Request::ReadIndexV1),
    ] {
        let mut ends = called_on(addr, &secure, lane).await;
        let closed = timeout(HANDSHAKE * 10, exchange(&mut ends, group, &request)).await.unwrap();
        assert!(closed.is_err(), "{lane:?} {group} {request:?}");
    }
    running.abort();
}
