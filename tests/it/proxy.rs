//! A proxy between a client and a node. It can be blocked, like a network, and records what passes.

use anyhow::Result;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The most bytes recorded of each direction.
const RECORDED_BYTES: usize = 1 << 20;

/// The proxy. Its threads end with its connections.
pub(crate) struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_blocked: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    requests: Mutex<Vec<u8>>,
    responses: Mutex<Vec<u8>>,
}

impl Proxy {
    /// Starts a proxy to that address.
    pub(crate) fn to(node: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let proxy = Self { addr: listener.local_addr()?, shared: Arc::default() };
        let shared = proxy.shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // While it is blocked, the proxy closes new connections.
                if !shared.is_blocked.load(Ordering::SeqCst)
                    && let Ok(server) = TcpStream::connect(node)
                {
                    carry(&shared, client, server);
                }
            }
        });
        Ok(proxy)
    }

    /// Returns the URL at which clients connect.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Closes all connections and refuses new ones until [`Proxy::unblock`].
    pub(crate) fn block(&self) {
        self.shared.is_blocked.store(true, Ordering::SeqCst);
        for stream in lock(&self.shared.connections).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Accepts connections again.
    pub(crate) fn unblock(&self) {
        self.shared.is_blocked.store(false, Ordering::SeqCst);
    }

    /// Returns what clients have sent.
    pub(crate) fn requests(&self) -> String {
        String::from_utf8_lossy(&lock(&self.shared.requests)).into_owned()
    }

    /// Returns what the node has sent.
    pub(crate) fn responses(&self) -> String {
        String::from_utf8_lossy(&lock(&self.shared.responses)).into_owned()
    }
}

fn carry(shared: &Arc<Shared>, client: TcpStream, server: TcpStream) {
    let copies = [client.try_clone(), client.try_clone(), server.try_clone(), server.try_clone()];
    let [Ok(up), Ok(kept), Ok(down), Ok(other)] = copies else { return };
    lock(&shared.connections).extend([kept, other]);
    let upstream = shared.clone();
    let downstream = shared.clone();
    std::thread::spawn(move || pass(up, server, &upstream.requests));
    std::thread::spawn(move || pass(down, client, &downstream.responses));
}

fn pass(mut from: TcpStream, mut to: TcpStream, recorded: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
        let mut recorded = lock(recorded);
        if recorded.len() < RECORDED_BYTES {
            recorded.extend_from_slice(&bytes[..length]);
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
