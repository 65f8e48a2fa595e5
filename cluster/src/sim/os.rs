//! The operating system of a simulated host, with the names of the real `os`.

use std::future::{Future, Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::{AsyncRuntime, OptionalSend};
use openraft::{TokioInstant, TokioRuntime};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use redb::{Builder, Database};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) use super::sim::fs;
pub(crate) use super::sim::net::{TcpListener, TcpStream};
pub(crate) use super::sim::task::here;
use super::sim::{Process, World};
pub(crate) use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender as Jobs, unbounded_channel as jobs};

/// A connection to a peer. The simulated network has no TLS.
pub(crate) type PeerStream = TcpStream;

/// Small, so that snapshots have several chunks.
pub(crate) const CHUNK_PAIRS: usize = 16;
/// All of them, because nothing blocks here.
pub(crate) const CHUNKS_AHEAD: usize = 4096;

/// Where the tasks of a process are made.
pub(crate) struct Home(Option<Process>);

impl Home {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Process::current()))
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        self.0.as_ref().map(|process| tokio::spawn(process.run(work)))
    }
}

/// Runs work at once: in a simulation nothing blocks.
pub(crate) fn spawn_blocking<T>(work: impl FnOnce() -> T) -> Ready<io::Result<T>> {
    ready(Ok(work()))
}

pub(crate) fn send_blocking<T>(sender: &mpsc::Sender<T>, item: T) -> bool {
    sender.try_send(item).is_ok()
}

/// Runs jobs one after another; some take simulated time on the disk.
pub(crate) fn work_off<J: Send + 'static>(
    _name: &str,
    mut queue: UnboundedReceiver<J>,
    mut work: impl FnMut(J) -> bool + Send + 'static,
) -> io::Result<()> {
    tokio::spawn(here(async move {
        while let Some(job) = queue.recv().await {
            // Most jobs apply entries. They wait for no disk, unless an earlier job has filled a cache.
            let time = |world: &Arc<World>| {
                if world.below(4) == 0 { world.flush_time() } else { Duration::ZERO }
            };
            let time = World::try_with(time).unwrap_or_default();
            if !time.is_zero() {
                tokio::time::sleep(time).await;
            }
            if !work(job) {
                break;
            }
        }
    }));
    Ok(())
}

/// Everything is done at once.
pub(crate) const HAS_THREADS: bool = false;

pub(crate) type StoreFile = fs::Backend;

pub(crate) fn store_file(path: &Path) -> Result<StoreFile, redb::DatabaseError> {
    Ok(fs::Backend::open(path)?)
}

pub(crate) fn step_through(_name: &str, _step: impl FnMut() -> bool + Send + 'static) -> io::Result<()> {
    Ok(())
}

pub(crate) fn database(builder: &mut Builder, path: &Path) -> Result<Database, redb::DatabaseError> {
    builder.create_with_backend(fs::Backend::open(path)?)
}

pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

pub(crate) fn private_file(path: &Path) -> io::Result<fs::File> {
    fs::File::create(path)
}

pub(crate) fn file_to_overwrite(path: &Path) -> io::Result<fs::File> {
    if fs::exists(path)? { fs::File::open(path) } else { fs::File::create(path) }
}

pub(crate) fn make_private(_root: &Path) {}

pub(crate) fn lock(path: &Path) -> Result<fs::File, fs::TryLockError> {
    fs::File::create(path).map_err(fs::TryLockError::Error)
}

/// Simulated hosts have addresses only.
pub(crate) fn resolve(name: &str) -> Ready<io::Result<Vec<SocketAddr>>> {
    ready(Err(io::Error::other(format!("no address: {name}"))))
}

pub(crate) fn random(bytes: &mut [u8]) -> io::Result<()> {
    for chunk in bytes.chunks_mut(8) {
        let number = World::try_with(|world| world.random()).unwrap_or(0);
        chunk.copy_from_slice(&number.to_le_bytes()[..chunk.len()]);
    }
    Ok(())
}

/// openraft's runtime: tokio's, with tasks that belong to a process and the world's randomness.
#[derive(Debug)]
pub(crate) struct RaftRuntime(TokioRuntime);

impl AsyncRuntime for RaftRuntime {
    type JoinError = tokio::task::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = tokio::time::Sleep;
    type Instant = TokioInstant;
    type TimeoutError = tokio::time::error::Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = tokio::time::Timeout<T>;
    type ThreadLocalRng = SmallRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        tokio::spawn(here(future))
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: TokioInstant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: TokioInstant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        join_error.is_panic()
    }

    fn thread_rng() -> SmallRng {
        SmallRng::seed_from_u64(World::try_with(|world| world.random()).unwrap_or(0))
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        self.0.block_on(future)
    }
}
