//! A process that answers where a member was, with the cluster's key and with an identity of its own or of
//! another member. Nobody sends it anything.

use super::*;
use crate::os::TcpListener;

/// How many connections the others make to it in vain, at least.
const TRIED: u64 = 20;

/// What a process that poses as a member saw.
#[derive(Default)]
struct Seen {
    /// Connections that were given up without a request.
    given_up: AtomicU64,
    requests: Mutex<Vec<Request>>,
}

/// Answers each caller, shows it what this process is, and waits for its request.
async fn answer_all(listener: TcpListener, secure: Secure, seen: Arc<Seen>) {
    let secure = Arc::new(secure);
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let secure = secure.clone();
        let seen = seen.clone();
        tokio::spawn(async move {
            let Ok(mut answering) = secure.answer(socket).await else { return };
            if secure.welcome(&mut answering).await.is_err() {
                return;
            }
            match answering.read.frame(wire::MAX_ENCODED).await {
                Ok((_, body)) => seen.requests.lock().unwrap().push(wire::decode(&body).unwrap()),
                Err(_) => {
                    seen.given_up.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_at_a_members_address_is_sent_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = voters(&dir, 3).await;
    // Nobody has the address of this one in its settings.
    let at = (1..3).find(|at| !nodes[*at].cluster.status().is_leader()).unwrap();
    let away = nodes.remove(at);
    let id = away.id();
    let addr = away.cluster.peer_addr().to_owned();
    away.cluster.shutdown().await;
    drop(away);

    for (who, identity) in
        [("a stranger", IdentityKey::random().unwrap()), ("another member", key_of(&nodes[1].dir))]
    {
        let seen = Arc::new(Seen::default());
        let listener = TcpListener::bind(&addr).await.unwrap();
        let secure = Secure::new(&with_key(KEY), identity).unwrap();
        let posing = tokio::spawn(answer_all(listener, secure, seen.clone()));
        until("the others try to reach the node", async || {
            // Besides the log, a request of the application, and a command that only the leader orders.
            let body = Bytes::from_static(b"x");
            let limit = Duration::from_secs(5);
            for node in &nodes {
                assert!(node.cluster.request(id, RequestLane::Quick, body.clone(), limit).await.is_err());
            }
            let _ = leader(&nodes).await.cluster.propose(Flow::NONE, b"x".to_vec()).await;
            seen.given_up.load(Ordering::Relaxed) >= TRIED
        })
        .await;
        posing.abort();
        let _ = posing.await;
        let requests = seen.requests.lock().unwrap();
        assert!(requests.is_empty(), "{who} got {requests:?}");
    }
}
