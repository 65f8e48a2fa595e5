//! Finds the addresses of a name, and tries all of them until one works.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

use crate::os::{self, TcpStream};

/// Longest wait for the addresses of a name.
const RESOLVE: Duration = Duration::from_secs(3);
/// The next address is tried after this time even if the one before it has not failed yet (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);
/// Most addresses of one name that are tried.
const MOST: usize = 16;

/// The addresses of a name (`host:port`), without repetitions, IPv6 and IPv4 in turn.
pub(crate) async fn addresses(name: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(addr) = name.parse() {
        return Ok(vec![addr]);
    }
    resolved(os::resolve(name)).await
}

/// What a resolver finds, in time and in the order in which it is tried.
async fn resolved(
    resolver: impl Future<Output = io::Result<Vec<SocketAddr>>>,
) -> io::Result<Vec<SocketAddr>> {
    match timeout(RESOLVE, resolver).await {
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the name was not resolved in time")),
        Ok(found) => Ok(in_turn(found?)),
    }
}

/// Orders addresses so that the two families take turns: if one family does not work here, every second
/// attempt uses the other one.
fn in_turn(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|at| at.is_ipv6() == first_is_v6);
    let mut first = first.into_iter();
    let mut second = second.into_iter();
    let mut ordered = Vec::new();
    while ordered.len() < MOST {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            break;
        }
        for at in pair.into_iter().flatten() {
            if !ordered.contains(&at) {
                ordered.push(at);
            }
        }
    }
    ordered.truncate(MOST);
    ordered
}

/// Attempts the addresses until one succeeds. The next attempt begins when one has failed, or [`STAGGER`]
/// after the one before it; attempts under way continue.
///
/// # Errors
/// What each attempt returned, if none succeeded.
pub(super) async fn first_of<T, E, F: Future<Output = Result<T, E>>>(
    addrs: Vec<SocketAddr>,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<T, Vec<E>> {
    let mut waiting = addrs.into_iter();
    let mut under_way = FuturesUnordered::new();
    let mut failed = Vec::new();
    loop {
        match waiting.next() {
            Some(addr) => under_way.push(attempt(addr)),
            None if under_way.is_empty() => return Err(failed),
            None => {}
        }
        tokio::select! {
            biased;
            Some(ended) = under_way.next() => match ended {
                Ok(done) => return Ok(done),
                Err(error) => failed.push(error),
            },
            () = sleep(STAGGER), if !waiting.as_slice().is_empty() => {}
        }
    }
}

/// Whether every address of `name` refuses a connection: no process listens there. False if any of them gives
/// no answer within `limit`.
pub(crate) async fn is_refused(name: &str, limit: Duration) -> bool {
    let knock = async {
        let Ok(addrs) = addresses(name).await else { return false };
        let knocks = join_all(addrs.iter().map(|at| TcpStream::connect(at.to_string()))).await;
        let refused = |knock: &io::Result<TcpStream>| {
            knock.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        };
        !knocks.is_empty() && knocks.iter().all(refused)
    };
    timeout(limit, knock).await.unwrap_or(false)
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn addrs(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|at| at.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_no_address_is_tried_twice() {
        let found = addrs(&["[::1]:1", "[::2]:1", "[::1]:1", "10.0.0.1:1", "10.0.0.2:1"]);
        assert_eq!(in_turn(found), addrs(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1"]));
        assert_eq!(in_turn(Vec::new()), []);
        let many = (0..100).map(|n| SocketAddr::from(([10, 0, 0, n], 1))).collect();
        assert_eq!(in_turn(many).len(), MOST);
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_holds_up_no_other() {
        let tried = Mutex::new(Vec::new());
        let attempt = |at: SocketAddr| {
            tried.lock().unwrap().push(at.port());
            async move {
                match at.port() {
                    1 => std::future::pending().await,
                    2 => Err("refused"),
                    port => Ok(port),
                }
            }
        };
        let list = addrs(&["10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3", "10.0.0.1:4"]);
        assert_eq!(first_of(list, attempt).await, Ok(3));
        assert_eq!(*tried.lock().unwrap(), [1, 2, 3]);
        assert_eq!(first_of(addrs(&["10.0.0.1:2", "10.0.0.2:2"]), attempt).await, Err(vec!["refused"; 2]));
        assert_eq!(first_of(Vec::new(), attempt).await, Err(Vec::new()), "a name without addresses");
    }

    /// A name whose addresses are in any order: one on which nothing listens, one that never answers, and the
    /// node's.
    #[tokio::test]
    async fn a_name_with_several_addresses_leads_to_the_one_that_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = closed.local_addr().unwrap();
        drop(closed);
        let silent: SocketAddr = "[2001:db8::1]:4001".parse().unwrap();
        for found in [[live, dead, silent], [dead, silent, live], [silent, dead, live], [silent, live, dead]]
        {
            let addrs = resolved(std::future::ready(Ok(found.to_vec()))).await.unwrap();
            let connect = |at: SocketAddr| async move {
                if at == silent {
                    std::future::pending::<()>().await;
                }
                tokio::net::TcpStream::connect(at).await.map(|_| at)
            };
            let reached = timeout(Duration::from_secs(60), first_of(addrs, connect)).await.unwrap();
            assert_eq!(reached.unwrap(), live, "{found:?}");
        }
        let nowhere = resolved(std::future::ready(Err(io::ErrorKind::NotFound.into()))).await;
        assert_eq!(nowhere.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_port_is_refused_only_if_nothing_listens() {
        let limit = Duration::from_secs(60);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        assert!(!is_refused(&addr, limit).await);
        drop(listener);
        assert!(is_refused(&addr, limit).await);
        assert!(!is_refused("no-such-name.invalid:1", limit).await, "an unknown name says nothing");
    }
}
