//! A receiver that takes every request and answers late or never. One thread holds thousands of them.

use anyhow::Result;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The pause between two looks at the connections.
const LOOK: Duration = Duration::from_millis(20);
/// What it answers, after which it closes the connection.
const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

/// The receiver. Dropping it closes all connections.
#[derive(Debug)]
pub struct Late {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    open: AtomicUsize,
    answered: AtomicUsize,
}

/// A connection with one request.
struct Held {
    stream: TcpStream,
    since: Instant,
}

impl Late {
    /// Listens on a free port. Each request is answered after that time, or never.
    pub fn start(after: Option<Duration>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let (addr, shared) = (listener.local_addr()?, Arc::new(Shared::default()));
        let state = shared.clone();
        let thread = Some(std::thread::spawn(move || hold(&listener, after, &state)));
        Ok(Self { addr, shared, thread })
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The number of requests that wait for an answer.
    pub fn waiting(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// The number of requests that were answered.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn hold(listener: &TcpListener, after: Option<Duration>, shared: &Shared) {
    let mut held: VecDeque<Held> = VecDeque::new();
    while !shared.stopped.load(Ordering::Relaxed) {
        while let Ok((stream, _)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                held.push_back(Held { stream, since: Instant::now() });
            }
        }
        held.retain_mut(|held| is_open(&mut held.stream));
        while let Some(due) =
            held.front().filter(|held| after.is_some_and(|after| held.since.elapsed() >= after))
        {
            // A failed write ends a request that its sender has given up.
            if (&due.stream).write_all(ANSWER).is_ok() {
                shared.answered.fetch_add(1, Ordering::Relaxed);
            }
            held.pop_front();
        }
        shared.open.store(held.len(), Ordering::Relaxed);
        std::thread::sleep(LOOK);
    }
}

/// Reads what has come, and tells whether the other side still waits.
fn is_open(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wait;

    #[test]
    fn requests_are_held_until_their_time_or_their_end() {
        for after in [None, Some(Duration::from_millis(300))] {
            let late = Late::start(after).unwrap();
            let mut streams: Vec<TcpStream> =
                (0..50).map(|_| TcpStream::connect(late.addr).unwrap()).collect();
            streams.iter_mut().for_each(|stream| stream.write_all(b"POST / HTTP/1.1\r\n\r\n").unwrap());
            if after.is_some() {
                let mut answer = String::new();
                streams[49].read_to_string(&mut answer).unwrap();
                assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
                wait::until("all answers", || Ok((late.answered() == 50).then_some(()))).unwrap();
            } else {
                wait::until("all requests", || Ok((late.waiting() == 50).then_some(()))).unwrap();
                streams.truncate(20);
                wait::until("the end of some", || Ok((late.waiting() == 20).then_some(()))).unwrap();
                assert_eq!(late.answered(), 0);
            }
        }
    }
}
