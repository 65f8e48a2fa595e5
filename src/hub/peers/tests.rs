#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::core::codec;
use crate::hub::quota::rates;
use crate::hub::{AskClosed, AskConnections, CountConnections, EndConnection};
use crate::hub::{applied, configured, ephemeral, health, operations, timeline, vault};
use futures_util::future::ready;
use serde::Deserialize;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use waypost_cluster::{Config, Handler, RequestLane};
use wire::Outcome;

/// The kind of request that the test sends in a flood.
#[derive(Debug, Serialize, Deserialize)]
struct Slow;

impl PeerRequest for Slow {
    type Answer = u32;
    const KIND: Kind = 9001;
    const LANE: Lane = Lane::patient(4, 3);
}

/// A kind of request that must not be delayed by the flood.
#[derive(Debug, Serialize, Deserialize)]
struct Fast(u32);

impl PeerRequest for Fast {
    type Answer = u32;
    const KIND: Kind = 9002;
    const LANE: Lane = Lane::patient(1, 0);
}

async fn answer_to<R: PeerRequest>(peers: &PeerServer, request: &R) -> Result<R::Answer, PeerError> {
    let body = wire::request(R::KIND, request).unwrap();
    wire::read_answer(&peers.handle(2, body.into()).await)
}

#[tokio::test]
async fn a_flood_of_one_kind_is_refused_at_once_and_delays_no_other() {
    let peers = Arc::new(PeerServer::default());
    let go = Arc::new(Notify::new());
    let at_work = Arc::new(AtomicUsize::new(0));
    let wait = go.clone();
    let counts = at_work.clone();
    peers.serve(move |_, Slow| {
        let wait = wait.clone();
        let counts = counts.clone();
        async move {
            counts.fetch_add(1, Ordering::Relaxed);
            wait.notified().await;
            7
        }
    });
    peers.serve(|_, Fast(number)| ready(number + 1));
    let mut flood: Vec<_> = (0..7)
        .map(|_| {
            let peers = peers.clone();
            tokio::spawn(async move { answer_to(&peers, &Slow).await })
        })
        .collect();
    while at_work.load(Ordering::Relaxed) < 4 {
        tokio::task::yield_now().await;
    }
    // The waiting requests have been admitted, too.
    while peers.find(Slow::KIND).unwrap().gate.enter().is_some() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(answer_to(&peers, &Slow).await, Err(PeerError::Busy)));
    assert_eq!(answer_to(&peers, &Fast(1)).await.unwrap(), 2);
    assert_eq!(at_work.load(Ordering::Relaxed), 4, "the others wait for their turn");
    while let Some(slow) = flood.pop() {
        while !slow.is_finished() {
            go.notify_waiters();
            tokio::task::yield_now().await;
        }
        assert_eq!(slow.await.unwrap().unwrap(), 7);
    }
    go.notify_one();
    assert_eq!(answer_to(&peers, &Slow).await.unwrap(), 7, "there is room again");
}

#[tokio::test]
async fn a_request_that_is_given_up_frees_its_slot() {
    let peers = PeerServer::default();
    peers.serve(|_, Slow| std::future::pending::<u32>());
    for _ in 0..100 {
        let mut asked: Vec<_> = (0..7).map(|_| Box::pin(answer_to(&peers, &Slow))).collect();
        for ask in &mut asked {
            assert!(futures_util::poll!(ask).is_pending());
        }
    }
}

#[tokio::test]
async fn unknown_and_unreadable_requests_are_answered_as_such() {
    let peers = PeerServer::default();
    assert!(matches!(answer_to(&peers, &Slow).await, Err(PeerError::Unknown)));
    peers.serve(|_, Fast(number)| ready(number + 1));
    peers.serve(|_, Fast(number)| ready(number + 100));
    assert_eq!(answer_to(&peers, &Fast(1)).await.unwrap(), 2, "the first handler stays");
    let answered = async |bytes: Vec<u8>| wire::read_answer::<u32>(&peers.handle(2, bytes.into()).await);
    let mut short = wire::request(Fast::KIND, &Fast(300)).unwrap();
    short.pop();
    assert!(matches!(answered(short).await, Err(PeerError::Malformed)));
    assert!(matches!(answered(vec![1]).await, Err(PeerError::Malformed)));
    assert!(matches!(answered(Vec::new()).await, Err(PeerError::Malformed)));
    assert!(matches!(wire::read_answer::<u32>(&[]), Err(PeerError::Failed)), "an answer of another release");
}

#[test]
fn handlers_on_the_actix_system_answer_and_are_cancelled() {
    actix_rt::System::new().block_on(async {
        let peers = PeerServer::default();
        let dropped = Arc::new(AtomicUsize::new(0));
        let counts = dropped.clone();
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        peers.serve_here(|_, Fast(number)| ready(number + 1));
        peers.serve_here(move |_, Slow| {
            let counted = Counted(counts.clone());
            async move {
                let _counted = counted;
                std::future::pending().await
            }
        });
        assert_eq!(answer_to(&peers, &Fast(1)).await.unwrap(), 2);
        let given_up = tokio::time::timeout(Duration::from_millis(50), answer_to(&peers, &Slow)).await;
        assert!(given_up.is_err());
        while dropped.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_silent_node_uses_up_no_slots_of_the_others() {
    let gates = Gates::default();
    let held: Vec<_> = std::iter::from_fn(|| gates.enter(1, 2, Lane::quick(2, 1))).collect();
    assert_eq!(held.len(), 3);
    assert!(gates.enter(1, 3, Lane::quick(2, 1)).is_some(), "another node");
    assert!(gates.enter(2, 2, Lane::quick(2, 1)).is_some(), "another kind");
    drop(held);
    assert!(gates.enter(1, 2, Lane::quick(2, 1)).is_some());
}

/// The kinds that share a connection never use up what it can carry, so none of them waits for another.
#[test]
fn all_kinds_of_a_connection_fit_on_it_together() {
    let lanes = [
        rates::Charge::LANE,
        rates::ChargePublish::LANE,
        applied::Applied::LANE,
        health::AskInfo::LANE,
        health::AskAbout::LANE,
        vault::AskKey::LANE,
        configured::AreConfigured::LANE,
        operations::Operate::LANE,
        operations::Snapshot::LANE,
        ephemeral::SendEvents::LANE,
        ephemeral::TellInterest::LANE,
        AskConnections::LANE,
        EndConnection::LANE,
        AskClosed::LANE,
        CountConnections::LANE,
        // Reading the audit log.
        Lane::patient(2, 14),
        timeline::Follow::LANE,
        Lane::relay(3840, 0),
        Lane::relay(256, 0),
        // Those of consumers.
        Lane::large(1024, 0),
        Lane::large(512, 0),
    ];
    let most =
        |on: RequestLane| lanes.iter().filter(|lane| lane.connection == on).map(Lane::most).sum::<usize>();
    let config = Config::default();
    assert!(most(RequestLane::Quick) <= config.max_requests_in_flight);
    assert!(most(RequestLane::Patient) <= config.max_patient_requests);
    assert!(most(RequestLane::Relay) <= config.max_patient_requests);
    assert!(most(RequestLane::Large) <= config.max_patient_requests);
}

#[test]
fn requests_and_answers_keep_their_bytes() {
    assert_eq!(wire::request(Fast::KIND, &Fast(300)).unwrap(), [0x2a, 0x23, 1, 0xfb, 0x2c, 1]);
    assert_eq!(wire::kind(&[0x2a, 0x23, 1, 5]), Some(Fast::KIND));
    assert_eq!(wire::answer(codec::encode(&5_u32).unwrap())[..], [0, 1, 5]);
    let refusals = [Outcome::Unknown, Outcome::Busy, Outcome::Malformed, Outcome::Failed];
    assert_eq!(refusals.map(|outcome| wire::refusal(outcome)[0]), [1, 2, 3, 4]);
    let kinds = [
        rates::Charge::KIND,
        applied::Applied::KIND,
        health::AskInfo::KIND,
        vault::AskKey::KIND,
        configured::AreConfigured::KIND,
        operations::Operate::KIND,
        operations::Snapshot::KIND,
        rates::ChargePublish::KIND,
        ephemeral::SendEvents::KIND,
        ephemeral::TellInterest::KIND,
        health::AskAbout::KIND,
        AskConnections::KIND,
        EndConnection::KIND,
        timeline::Follow::KIND,
        AskClosed::KIND,
        CountConnections::KIND,
    ];
    assert_eq!(kinds, [1, 2, 3, 4, 5, 6, 7, 19, 20, 21, 22, 40, 41, 42, 43, 44]);
}
