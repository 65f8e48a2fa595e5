//! Takes the machine's resources from a cluster: threads that compute, or that write and sync large files.
//! Dropping it ends them.

use std::{
    fs::File,
    hint::black_box,
    io::{Seek, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::Result;
use testkit::background::Background;

/// The size of a file that is written, synced and written again, in bytes.
const FILE_BYTES: usize = 256 << 20;
const PIECE: usize = 1 << 20;
/// How many bytes are written between two syncs: the disk's queue is never empty.
const SYNC_BYTES: usize = 32 << 20;

/// Threads that work until this is dropped.
pub(crate) struct Burden {
    /// How many bytes were synced so far.
    pub(crate) written: Arc<AtomicU64>,
    threads: Vec<Background<()>>,
}

impl Burden {
    /// Starts as many computing threads at normal priority as there are cores.
    ///
    /// # Errors
    /// The number of cores is not known.
    pub(crate) fn compute() -> Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        Ok(Self::start(cores, |stop, _| {
            let mut number = 1_u64;
            while !stop.load(Relaxed) {
                for _ in 0..100_000 {
                    number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                }
            }
            Ok(())
        }))
    }

    /// Starts two threads that write files of [`FILE_BYTES`] in `dir` and sync them, without a pause.
    ///
    /// If the disk can't be written any more, the burden ends; the count of written bytes shows it.
    pub(crate) fn write(dir: PathBuf) -> Self {
        Self::start(2, move |stop, written| write_on(&dir, stop, written))
    }

    fn start(
        threads: usize,
        work: impl Fn(&AtomicBool, &AtomicU64) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let written = Arc::<AtomicU64>::default();
        let work = Arc::new(work);
        let thread = |_| {
            let written = written.clone();
            let work = work.clone();
            Background::start(move |stop| work(stop, &written))
        };
        Self { threads: (0..threads).map(thread).collect(), written }
    }
}

fn write_on(dir: &Path, stop: &AtomicBool, written: &AtomicU64) -> Result<()> {
    let mut file: File = tempfile::tempfile_in(dir)?;
    let piece = vec![7; PIECE];
    let mut length = 0;
    while !stop.load(Relaxed) {
        file.write_all(&piece)?;
        length += PIECE;
        if length % SYNC_BYTES == 0 {
            file.sync_all()?;
            written.fetch_add(SYNC_BYTES as u64, Relaxed);
        }
        if length == FILE_BYTES {
            file.set_len(0)?;
            file.rewind()?;
            length = 0;
        }
    }
    Ok(())
}

impl Drop for Burden {
    fn drop(&mut self) {
        for thread in self.threads.drain(..) {
            // A thread that failed puts no load on the machine.
            let _ = thread.stop();
        }
    }
}
