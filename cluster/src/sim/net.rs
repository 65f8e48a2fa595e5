//! Streams between hosts, with the names that the real `os` takes from tokio.
//!
//! This module simulates order within a stream, delay, partitions (a blocked direction holds the data, as
//! TCP's retransmission does), resets and silence. It never loses a byte in the middle of a stream, as TCP
//! does not either.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};

use super::{Process, World, lock};

/// Most bytes in flight in one direction.
const WINDOW: usize = 256 * 1024;
/// How often data that a partition holds back is sent again.
const RETRANSMIT: Duration = Duration::from_millis(100);
/// How often a connection attempt without an answer is repeated.
const SYN: Duration = Duration::from_millis(1000);

/// The state of the network.
#[derive(Default)]
pub(crate) struct Net {
    blocked: HashSet<(usize, usize)>,
    listeners: HashMap<String, (usize, mpsc::UnboundedSender<(TcpStream, SocketAddr)>)>,
    pipes: Vec<Weak<Mutex<Pipe>>>,
}

/// One direction of a connection.
struct Pipe {
    from: usize,
    to: usize,
    segments: VecDeque<(Instant, Vec<u8>)>,
    /// Bytes of the first segment that were already read.
    taken: usize,
    queued: usize,
    last: Instant,
    /// The writer has closed.
    closed: bool,
    /// The reader is gone, or the connection was reset.
    cut: bool,
    /// One end has lost its power: the other end is not notified.
    void: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

type Shared = Arc<Mutex<Pipe>>;

impl Pipe {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl World {
    /// Blocks everything from one host to another, or unblocks it.
    pub fn block(&self, from: usize, to: usize, blocked: bool) {
        let blocked_ways = &mut lock(&self.net).blocked;
        blocked_ways.retain(|way| *way != (from, to));
        blocked_ways.extend(blocked.then_some((from, to)));
    }

    /// Unblocks everything.
    pub fn heal(&self) {
        lock(&self.net).blocked.clear();
    }

    /// Resets every connection between two hosts.
    pub fn reset(&self, a: usize, b: usize) {
        let pipes: Vec<Shared> = lock(&self.net).pipes.iter().filter_map(Weak::upgrade).collect();
        for pipe in pipes {
            let mut pipe = lock(&pipe);
            if [(a, b), (b, a)].contains(&(pipe.from, pipe.to)) {
                pipe.cut = true;
                pipe.wake();
            }
        }
    }

    fn is_blocked(&self, from: usize, to: usize) -> bool {
        lock(&self.net).blocked.contains(&(from, to))
    }

    fn pipe(&self, from: usize, to: usize) -> Shared {
        let pipe = Arc::new(Mutex::new(Pipe {
            from,
            to,
            segments: VecDeque::new(),
            taken: 0,
            queued: 0,
            last: Instant::now(),
            closed: false,
            cut: false,
            void: false,
            reader: None,
            writer: None,
        }));
        let mut net = lock(&self.net);
        if net.pipes.len() == net.pipes.capacity() {
            net.pipes.retain(|pipe| pipe.strong_count() > 0);
        }
        net.pipes.push(Arc::downgrade(&pipe));
        pipe
    }
}

fn world() -> io::Result<Arc<World>> {
    World::try_with(Arc::clone).ok_or_else(|| io::Error::other("no simulated world"))
}

/// A listening socket.
pub(crate) struct TcpListener {
    addr: SocketAddr,
    queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<(TcpStream, SocketAddr)>>,
}

impl TcpListener {
    pub(crate) async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let host = Process::current().map(|p| p.host()).ok_or_else(|| io::Error::other("no host"))?;
        let (sender, queue) = mpsc::unbounded_channel();
        lock(&world()?.net).listeners.insert(addr.to_string(), (host, sender));
        Ok(Self { addr, queue: tokio::sync::Mutex::new(queue) })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }

    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.queue.lock().await.recv().await.ok_or_else(|| io::Error::other("closed"))
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        // A process that was started on the same host meanwhile has a listener of its own.
        self.queue.get_mut().close();
        World::try_with(|world| lock(&world.net).listeners.retain(|_, (_, queue)| !queue.is_closed()));
    }
}

/// A connection.
pub(crate) struct TcpStream {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
}

impl TcpStream {
    fn new(read: Shared, write: Shared) -> Self {
        Self { read: OwnedReadHalf { pipe: read, timer: None }, write: OwnedWriteHalf { pipe: write } }
    }

    pub(crate) async fn connect(addr: impl AsRef<str>) -> io::Result<Self> {
        let world = world()?;
        let from = Process::current().map(|p| p.host()).ok_or_else(|| io::Error::other("no host"))?;
        let name = addr.as_ref();
        let to = host_of(name)?;
        loop {
            sleep(world.latency()).await;
            if world.is_dark(to) || world.is_blocked(from, to) || world.is_blocked(to, from) {
                sleep(SYN).await;
                continue;
            }
            let listener = lock(&world.net).listeners.get(name).map(|(_, queue)| queue.clone());
            let there = world.pipe(from, to);
            let back = world.pipe(to, from);
            let theirs = Self::new(there.clone(), back.clone());
            let caller = SocketAddr::from(([127, 0, 0, u8::try_from(from).unwrap_or(u8::MAX)], 0));
            let taken = listener.is_some_and(|queue| queue.send((theirs, caller)).is_ok());
            sleep(world.latency()).await;
            if !taken {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            return Ok(Self::new(back, there));
        }
    }

    pub(crate) fn set_nodelay(&self, _on: bool) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(context, out)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(context)
    }
}

/// The host of `127.0.0.x:port`.
fn host_of(addr: &str) -> io::Result<usize> {
    let ip = addr.split(':').next().and_then(|ip| ip.rsplit('.').next());
    ip.and_then(|last| last.parse().ok()).ok_or_else(|| io::Error::other(format!("no address: {addr}")))
}

/// The reading half.
struct OwnedReadHalf {
    pipe: Shared,
    timer: Option<Pin<Box<Sleep>>>,
}

impl OwnedReadHalf {
    /// Copies what has arrived. Otherwise returns when to check again, if that is known.
    fn take(pipe: &mut Pipe, world: &World, out: &mut ReadBuf<'_>) -> Result<bool, Option<Instant>> {
        let now = Instant::now();
        let blocked = world.is_blocked(pipe.from, pipe.to);
        let before = out.filled().len();
        while let Some((at, bytes)) = pipe.segments.front_mut()
            && out.remaining() > 0
        {
            if *at <= now && blocked {
                *at = now + RETRANSMIT;
            }
            if *at > now {
                break;
            }
            let part = &bytes[pipe.taken..];
            let part = &part[..part.len().min(out.remaining())];
            out.put_slice(part);
            pipe.taken += part.len();
            pipe.queued -= part.len();
            if pipe.taken == bytes.len() {
                pipe.segments.pop_front();
                pipe.taken = 0;
            }
        }
        if out.filled().len() > before {
            return Ok(true);
        }
        match pipe.segments.front() {
            Some((at, _)) => Err(Some(*at)),
            None if pipe.closed && !pipe.void && !blocked => Ok(false),
            None if pipe.closed && !pipe.void => Err(Some(now + RETRANSMIT)),
            None => Err(None),
        }
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(world) = World::try_with(Arc::clone) else { return Poll::Pending };
        loop {
            let again = {
                let shared = self.pipe.clone();
                let mut pipe = lock(&shared);
                if pipe.cut {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                match Self::take(&mut pipe, &world, out) {
                    Ok(_) => {
                        if let Some(writer) = pipe.writer.take() {
                            writer.wake();
                        }
                        return Poll::Ready(Ok(()));
                    }
                    Err(again) => {
                        pipe.reader = Some(context.waker().clone());
                        again
                    }
                }
            };
            let Some(again) = again else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(again)));
            if timer.deadline() != again {
                timer.as_mut().reset(again);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for OwnedReadHalf {
    fn drop(&mut self) {
        let mut pipe = lock(&self.pipe);
        match World::try_with(|world| world.is_dark(pipe.to)).unwrap_or(true) {
            true => pipe.void = true,
            false => {
                pipe.cut = true;
                pipe.wake();
            }
        }
    }
}

/// The writing half.
struct OwnedWriteHalf {
    pipe: Shared,
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(world) = World::try_with(Arc::clone) else { return Poll::Pending };
        let mut pipe = lock(&self.pipe);
        let back = pipe.void && !world.is_dark(pipe.to) && !world.is_blocked(pipe.from, pipe.to);
        if pipe.cut || back {
            // After a power cut the host knows nothing of this connection.
            pipe.cut = true;
            pipe.wake();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if pipe.queued >= WINDOW {
            pipe.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        if !pipe.void {
            let at = pipe.last.max(Instant::now() + world.latency());
            pipe.last = at;
            pipe.queued += bytes.len();
            pipe.segments.push_back((at, bytes.to_vec()));
            if let Some(reader) = pipe.reader.take() {
                reader.wake();
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.pipe);
        pipe.closed = true;
        pipe.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        let mut pipe = lock(&self.pipe);
        match World::try_with(|world| world.is_dark(pipe.from)).unwrap_or(true) {
            true => pipe.void = true,
            false => pipe.closed = true,
        }
        pipe.wake();
    }
}
