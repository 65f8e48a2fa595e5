//! A real HTTP receiver of webhooks. It remembers every request and answers each path with the behaviour set
//! for it.
//!
//! - `request` is a request with its events and signatures; `reply` is an answer;
//! - `behaviour` has the ways to answer; [`discord`] and [`slack`] are chat services with their documented
//!   limits;
//! - [`dead`] has addresses at which nobody answers, [`late`] one that holds thousands of requests;
//! - [`tally`] checks what arrived against what was
//!   acknowledged.
//!
//! The receiver uses no code of the server: it computes signatures by itself.

pub mod behaviour;
pub mod dead;
pub mod discord;
pub mod late;
mod reply;
mod request;
pub mod slack;
pub mod tally;

pub use behaviour::Behaviour;
pub use reply::{Body, Reply};
pub use request::{Got, Request};
pub(crate) use request::{hex, hmac};

use crate::wait;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::io::BufReader;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

/// The stack of a connection's thread, which only reads, asks for the answer, and writes.
const STACK: usize = 256 << 10;

/// A listening receiver. Dropping it closes everything.
#[derive(Debug)]
pub struct Receiver {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What the threads of a receiver share: its paths and its open connections.
#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    paths: Mutex<HashMap<String, Path>>,
    open: Mutex<HashMap<u64, TcpStream>>,
    connections: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// A path of a receiver: its behaviour and the requests that came.
#[derive(Default)]
struct Path {
    behaviour: Option<Behaviour>,
    requests: Vec<Request>,
    /// How many requests were forgotten before these.
    first: usize,
    under_way: usize,
    peak: usize,
}

impl Receiver {
    /// Listens on a free port of loopback; every path answers 404 until it gets a behaviour.
    pub fn start() -> Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST.into())
    }

    /// The same at another IP address.
    pub fn start_at(ip: IpAddr) -> Result<Self> {
        let listener = TcpListener::bind((ip, 0))?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let state = shared.clone();
        let accepting = Some(std::thread::spawn(move || accept(&listener, &state)));
        Ok(Self { addr, shared, accepting })
    }

    /// From now on `path` has this behaviour. Returns its URL.
    pub fn on(&self, path: &str, behaviour: Behaviour) -> String {
        lock(&self.shared.paths).entry(path.to_owned()).or_default().behaviour = Some(behaviour);
        self.url(path)
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// All requests to `path` so far, in the order of their arrival.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        lock(&self.shared.paths).get(path).map(|p| p.requests.clone()).unwrap_or_default()
    }

    /// The requests that were answered 2xx.
    pub fn accepted(&self, path: &str) -> Vec<Request> {
        self.requests(path).into_iter().filter(Request::is_accepted).collect()
    }

    /// How many requests came to `path`.
    pub fn count(&self, path: &str) -> usize {
        lock(&self.shared.paths).get(path).map_or(0, |p| p.requests.len())
    }

    /// The most requests to `path` that were open at the same time.
    pub fn peak(&self, path: &str) -> usize {
        lock(&self.shared.paths).get(path).map_or(0, |p| p.peak)
    }

    /// How many connections were opened to it so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Forgets the requests to `path`.
    pub fn forget(&self, path: &str) {
        if let Some(path) = lock(&self.shared.paths).get_mut(path) {
            path.first += path.requests.len();
            path.peak = path.under_way;
            path.requests.clear();
        }
    }

    /// Waits until `n` different events have been accepted at `path`.
    pub fn wait_events(&self, path: &str, n: usize) -> Result<Vec<Request>> {
        let what = format!("{n} events at {path}");
        self.wait(path, &what, |requests| tally::distinct(requests) >= n)
    }

    /// Waits until the requests to `path` satisfy a condition.
    pub fn wait(
        &self,
        path: &str,
        what: &str,
        mut done: impl FnMut(&[Request]) -> bool,
    ) -> Result<Vec<Request>> {
        let found = wait::until(what, || {
            let requests = self.requests(path);
            Ok(done(&requests).then_some(requests))
        });
        found.with_context(|| self.dump(path))
    }

    /// The last requests to `path`, as text for a failed test.
    pub fn dump(&self, path: &str) -> String {
        let requests = self.requests(path);
        let mut text = format!("{} requests to {path}, the last:\n", requests.len());
        for request in requests.iter().rev().take(8).rev() {
            let body: String = String::from_utf8_lossy(&request.body).chars().take(300).collect();
            text +=
                &format!("  {} at {}: answered {}: {body}\n", request.id(), request.at_ms, request.status);
        }
        text
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // This connection wakes the thread that accepts.
        let _ = TcpStream::connect(self.addr);
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
        for stream in lock(&self.shared.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        let number = shared.connections.fetch_add(1, Ordering::Relaxed);
        let Ok(copy) = stream.try_clone() else { continue };
        lock(&shared.open).insert(number, copy);
        let state = shared.clone();
        let serving = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            // The thread ends with the connection; a failure is the sender's to report.
            let _ = serve(stream, &state);
            lock(&state.open).remove(&number);
        });
        if serving.is_err() {
            lock(&shared.open).remove(&number);
        }
    }
}

/// Serves one connection, which is kept alive as long as both sides want.
fn serve(mut stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream.try_clone()?);
    while let Some(request) = Request::read(&mut input, now_ms)? {
        let path = request.path.clone();
        let (number, reply) = arrived(shared, request);
        let kept_alive = reply.send(&mut stream, || shared.stopped.load(Ordering::Relaxed));
        answered(shared, &path, number);
        if !kept_alive? {
            break;
        }
    }
    Ok(())
}

/// Stores a request and asks its path for the answer. Returns the request's number at the path, and the
/// answer.
fn arrived(shared: &Shared, mut request: Request) -> (usize, Reply) {
    let mut paths = lock(&shared.paths);
    let path = paths.entry(request.path.clone()).or_default();
    let reply = path.behaviour.as_mut().map_or_else(|| Reply::new(404), |behaviour| behaviour(&request));
    request.status =
        if matches!(reply.body, Body::Never | Body::Close | Body::Drip(_)) { 0 } else { reply.status };
    path.under_way += 1;
    path.peak = path.peak.max(path.under_way);
    path.requests.push(request);
    (path.first + path.requests.len() - 1, reply)
}

fn answered(shared: &Shared, path: &str, number: usize) {
    if let Some(path) = lock(&shared.paths).get_mut(path) {
        path.under_way -= 1;
        let kept = number.checked_sub(path.first);
        if let Some(request) = kept.and_then(|number| path.requests.get_mut(number)) {
            request.done_ms = Some(now_ms());
        }
    }
}

/// The present time in Unix milliseconds.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{BufRead, Read, Write};
    use std::time::Duration;

    const BODY: &str = r#"{"id":"A","seq":1,"type":"t","payload":{}}"#;

    fn post(stream: &mut TcpStream, path: &str) {
        let length = BODY.len();
        write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{BODY}").unwrap();
    }

    /// Reads an answer to its end. Returns its first line.
    fn answer(stream: &mut TcpStream) -> String {
        let mut input = BufReader::new(stream);
        let mut head = String::new();
        let mut body = Vec::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(input.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        input.take(length.unwrap()).read_to_end(&mut body).unwrap();
        head.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_connection_is_kept_and_each_path_has_its_behaviour() {
        let receiver = Receiver::start().unwrap();
        receiver.on("/good", behaviour::healthy());
        receiver.on("/once", behaviour::recovering(1, 503));
        let mut stream = TcpStream::connect(receiver.addr).unwrap();
        for (path, status) in
            [("/good", 200), ("/once", 503), ("/once?a=b", 200), ("/good", 200), ("/none", 404)]
        {
            post(&mut stream, path);
            assert_eq!(answer(&mut stream), format!("HTTP/1.1 {status} Status"));
        }
        assert_eq!((receiver.connections(), receiver.count("/good"), receiver.peak("/good")), (1, 2, 1));
        assert_eq!(receiver.requests("/once").iter().map(|r| r.status).collect::<Vec<_>>(), [503, 200]);
        receiver.wait_events("/good", 1).unwrap();
        receiver.forget("/good");
        assert_eq!(receiver.count("/good"), 0);
    }

    #[test]
    fn slow_and_silent_answers_are_never_accepted() {
        let receiver = Receiver::start().unwrap();
        receiver.on("/drip", behaviour::dripping());
        receiver.on("/silent", behaviour::silent());
        for (path, begins, limit) in [("/drip", true, 30_000), ("/silent", false, 300)] {
            let mut stream = TcpStream::connect(receiver.addr).unwrap();
            post(&mut stream, path);
            stream.set_read_timeout(Some(Duration::from_millis(limit))).unwrap();
            let begun = stream.read(&mut [0; 4]).is_ok_and(|n| n > 0);
            assert_eq!(begun, begins, "{path}");
            receiver.wait(path, "the request", |requests| requests.len() == 1).unwrap();
            assert!(receiver.accepted(path).is_empty());
        }
    }
}
