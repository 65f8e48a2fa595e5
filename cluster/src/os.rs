//! What the operating system provides: sockets, files, threads, a runtime, randomness.
//!
//! This module is the complete list of what the simulator replaces here: `sim/os.rs` has the same names.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use redb::{Builder, Database};
use tokio::io::BufReader;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) use openraft::TokioRuntime as RaftRuntime;
pub(crate) use std::fs;
pub(crate) use std::sync::mpsc::{Sender as Jobs, channel as jobs};
pub(crate) use tokio::net::{TcpListener, TcpStream};

/// An encrypted connection to a peer. TLS reads a few KiB at a time, which would each be a call of the system.
pub(crate) type PeerStream = tokio_rustls::TlsStream<BufReader<TcpStream>>;

/// A directory that a new file system may contain.
pub(crate) const LOST: &str = "lost+found";
/// Most pairs in one chunk of a snapshot.
pub(crate) const CHUNK_PAIRS: usize = 8 * 1024;
/// Number of chunks of a snapshot that are read ahead of sending.
pub(crate) const CHUNKS_AHEAD: usize = 2;
/// How nice the thread is that writes behind. With full processors it still gets a third of a usual thread's time:
/// it must not fall behind for good, since then applying waits for it.
const WRITING_BEHIND_NICE: i32 = 5;

/// The runtime of a node. It may be dropped anywhere; dropping it ends the node's tasks.
pub(crate) struct Home(Option<Runtime>);

impl Home {
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            // One thread is enough: blocking work has threads of its own, and a second worker thread would
            // only be woken alternately with the first.
            .worker_threads(1)
            .thread_name("cluster")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        self.0.as_ref().map(|runtime| runtime.spawn(work))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The drop may happen inside a runtime, where waiting is forbidden.
            runtime.shutdown_background();
        }
    }
}

/// Marks a future as part of the node that makes it. Every task of a node must be made through this.
pub(crate) fn here<F: Future>(future: F) -> F {
    future
}

/// Runs work that may block.
pub(crate) fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}

/// Sends from a thread that may block; false if nobody receives any more.
pub(crate) fn send_blocking<T>(sender: &mpsc::Sender<T>, item: T) -> bool {
    sender.blocking_send(item).is_ok()
}

/// Runs jobs on a thread of their own, one after another, until `work` returns false.
pub(crate) fn work_off<J: Send + 'static>(
    name: &str,
    queue: Receiver<J>,
    mut work: impl FnMut(J) -> bool + Send + 'static,
) -> io::Result<()> {
    let run = move || while queue.recv().is_ok_and(&mut work) {};
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// Whether work can go on beside the caller's, on a thread.
pub(crate) const HAS_THREADS: bool = true;

/// A file for a database.
pub(crate) type StoreFile = redb::backends::FileBackend;

/// Opens or creates a file for a database.
pub(crate) fn store_file(path: &Path) -> Result<StoreFile, redb::DatabaseError> {
    let file = fs::File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    StoreFile::new(file)
}

/// Takes steps on a thread of their own, until `step` returns false. Nobody waits for a single step, so the
/// thread gives way to threads for which somebody waits when the processors are full.
pub(crate) fn step_through(name: &str, mut step: impl FnMut() -> bool + Send + 'static) -> io::Result<()> {
    let run = move || {
        // It can only be forbidden by a sandbox. Then the thread has the usual priority.
        let _ = rustix::process::setpriority_process(None, WRITING_BEHIND_NICE);
        while step() {}
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// Opens or creates a database file.
pub(crate) fn database(builder: &mut Builder, path: &Path) -> Result<Database, redb::DatabaseError> {
    builder.create(path)
}

/// Makes a directory that only its owner can access, and its parents with the usual mode. An existing
/// directory is not changed.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes an empty file that only its owner can access. An existing file is replaced.
pub(crate) fn private_file(path: &Path) -> io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Opens a file that is overwritten from its beginning, and keeps what is after that. An absent one is made,
/// and only its owner can access it.
pub(crate) fn file_to_overwrite(path: &Path) -> io::Result<fs::File> {
    fs::File::options().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Takes the rights of others from every file and folder below `root`, which may have been made by hand, or
/// by a release that made files that others can read. What cannot be changed is logged.
pub(crate) fn make_private(root: &Path) {
    let mut open = Vec::new();
    private_below(root, &mut open);
    if let Some(first) = open.first() {
        tracing::warn!(
            path = %first.display(), files = open.len(),
            "other users can read files of the data directory: make them the node's own, with mode 0600"
        );
    }
}

/// Adds the paths whose rights cannot be changed. Links are left alone.
fn private_below(folder: &Path, open: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(meta) = entry.metadata() else { continue };
        if !meta.is_file() && !meta.is_dir() || entry.file_name() == LOST {
            continue;
        }
        let mode = meta.permissions().mode();
        let private = fs::Permissions::from_mode(mode & 0o700);
        if mode & 0o077 != 0 && fs::set_permissions(&path, private).is_err() {
            open.push(path.clone());
        }
        if meta.is_dir() {
            private_below(&path, open);
        }
    }
}

/// Locks a lock file for this process. The lock is released when the file is dropped, however the process
/// ends.
pub(crate) fn lock(path: &Path) -> Result<fs::File, fs::TryLockError> {
    let file = fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(fs::TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// The addresses of a name (`host:port`), by the system's rules: its hosts file, its name servers.
pub(crate) async fn resolve(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host(name).await?.collect())
}

/// Fills `bytes` with randomness.
pub(crate) fn random(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(io::Error::other)
}
