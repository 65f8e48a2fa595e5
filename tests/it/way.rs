//! A proxy between a client and a node that can be blocked, as networks can; it records what passes.

use anyhow::Result;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The most bytes recorded of each direction.
const REMEMBERED: usize = 1 << 20;

/// The proxy. Its threads end with its connections.
pub(crate) struct Way {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    barred: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    asked: Mutex<Vec<u8>>,
    answered: Mutex<Vec<u8>>,
}

impl Way {
    /// Starts a proxy to that address.
    pub(crate) fn to(node: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let way = Self { addr: listener.local_addr()?, shared: Arc::default() };
        let shared = way.shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // While it is blocked, the proxy closes new connections.
                if !shared.barred.load(Ordering::SeqCst)
                    && let Ok(server) = TcpStream::connect(node)
                {
                    carry(&shared, client, server);
                }
            }
        });
        Ok(way)
    }

    /// Returns the URL at which clients connect.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Closes all connections and refuses new ones until [`Way::open`].
    pub(crate) fn bar(&self) {
        self.shared.barred.store(true, Ordering::SeqCst);
        for stream in lock(&self.shared.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Accepts connections again.
    pub(crate) fn open(&self) {
        self.shared.barred.store(false, Ordering::SeqCst);
    }

    /// Returns what clients have sent.
    pub(crate) fn asked(&self) -> String {
        String::from_utf8_lossy(&lock(&self.shared.asked)).into_owned()
    }

    /// Returns what the node has sent.
    pub(crate) fn answered(&self) -> String {
        String::from_utf8_lossy(&lock(&self.shared.answered)).into_owned()
    }
}

fn carry(shared: &Arc<Shared>, client: TcpStream, server: TcpStream) {
    let copies = [client.try_clone(), client.try_clone(), server.try_clone(), server.try_clone()];
    let [Ok(up), Ok(kept), Ok(down), Ok(other)] = copies else { return };
    lock(&shared.open).extend([kept, other]);
    let asking = shared.clone();
    let answering = shared.clone();
    std::thread::spawn(move || pass(up, server, &asking.asked));
    std::thread::spawn(move || pass(down, client, &answering.answered));
}

fn pass(mut from: TcpStream, mut to: TcpStream, remembered: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
        let mut remembered = lock(remembered);
        if remembered.len() < REMEMBERED {
            remembered.extend_from_slice(&bytes[..length]);
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
