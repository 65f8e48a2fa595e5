//! A newcomer that only asks whether it would be admitted.

use super::super::authority::{Authority, FAR};
use super::*;
use crate::{Probe, ProbeError};

/// The longest that an answer may take.
const LIMIT: Duration = Duration::from_secs(60);
/// The key of another cluster.
const OTHER_KEY: &str = "the key of another one";

async fn ask(security: &Security, addr: &str) -> Result<(), ProbeError> {
    Probe::new(security).unwrap().ask(addr, LIMIT).await
}

fn refused(answer: &Result<(), ProbeError>, text: &str) {
    assert!(matches!(answer, Err(ProbeError::NotAdmitted(why)) if why.contains(text)), "{text}: {answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_is_told_whether_the_key_is_the_clusters_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = voters(&dir, 1).await;
    let addr = nodes[0].cluster.peer_addr();
    assert_eq!(ask(&with_key(KEY), addr).await, Ok(()));
    let both = Security { keys: vec![OTHER_KEY.to_owned(), KEY.to_owned()], tls: None };
    assert_eq!(ask(&both, addr).await, Ok(()), "while the key is replaced, either admits");
    refused(&ask(&with_key(OTHER_KEY), addr).await, "has another key");
    refused(&ask(&Security::default(), addr).await, "has no key");
    // Nobody has joined, and nobody has got an id: the next newcomer gets the first one.
    nothing_happened(&nodes);
    let newcomer = Intruder::new(IdentityKey::random().unwrap(), KEY, (0, "127.0.0.1:1"), &nodes[0]);
    let newcomer =
        Intruder { hello: Hello { to: 0, cluster_id: [0; 16], ..newcomer.hello.clone() }, ..newcomer };
    let request = Request::NewIdV1 { member: (&crate::types::Member::default()).into() };
    let answer = newcomer.ask(Lane::Work, &request).await.unwrap();
    assert!(matches!(answer, Answer::JoinV1(wire::JoinReply::Id { id: 2, .. })), "{answer:?}");

    // A node that admits everybody does not have the key, so it is not of the cluster.
    let open = Node::start(&dir.path().join("open"), "127.0.0.1:0", &[], Security::default()).await;
    refused(&ask(&with_key(KEY), open.cluster.peer_addr()).await, "has no key");
    // Where nobody listens, nothing is known.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = closed.local_addr().unwrap().to_string();
    drop(closed);
    assert!(matches!(ask(&with_key(KEY), &addr).await, Err(ProbeError::NoAnswer(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_asked_about_like_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, other) = (Authority::new(), Authority::new());
    let own = authority.node("node-1", FAR);
    let security = Security { keys: vec![KEY.to_owned()], tls: Some(own.clone()) };
    let node = Node::start(&dir.path().join("1"), "127.0.0.1:0", &[], security).await;
    let addr = node.cluster.peer_addr();
    // Where both are set, either admits.
    assert_eq!(ask(&with_key(KEY), addr).await, Ok(()));
    assert_eq!(ask(&with_certificate(own), addr).await, Ok(()));
    refused(&ask(&with_key(OTHER_KEY), addr).await, "has another key");
    assert!(ask(&with_certificate(other.node("node-2", FAR)), addr).await.is_err());
    nothing_happened(std::slice::from_ref(&node));
}
