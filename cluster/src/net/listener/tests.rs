//! Callers that say nothing, and too many that do, over real sockets.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::Security;

/// Lets everybody in.
struct Open;

impl Service for Open {
    type Session = ();

    fn admit(&self, _hello: &Hello) -> Result<(), String> {
        Ok(())
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
    let limits = Limits::new(&crate::Config { max_requests_in_flight: 8, ..crate::Config::default() });
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), max_connections, limits).await.unwrap();
    (listener.addr().unwrap(), secure.clone(), tokio::spawn(listener.run(secure, Arc::new(Open))))
}

async fn call(addr: SocketAddr, secure: &Secure) -> io::Result<(Reader, Writer)> {
    let hello = Hello { cluster_id: [7; 16], from: 1, to: 2, from_addr: "a:1".to_owned(), lane: 4 };
    secure.call(TcpStream::connect(addr).await?, &hello).await
}

#[tokio::test]
async fn callers_that_say_nothing_keep_nobody_out() {
    let (addr, secure, running) = listening(4).await;
    // Whoever has to wait for them is let in when the last of them was given up too; a slow machine may need several
    // goes to be faster than that.
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
async fn who_finds_no_place_is_told() {
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
