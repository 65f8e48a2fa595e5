//! Owns what takes the machine from a cluster: threads that compute, a writer that syncs large files. Ends when dropped.

use std::{
    fs::File,
    hint::black_box,
    io::{Seek, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use anyhow::Result;

/// Bytes of a file that is written, synced and written again.
const FILE_BYTES: usize = 256 << 20;
const PIECE: usize = 1 << 20;
/// Synced after so many bytes: the disk's queue is never empty.
const SYNC_BYTES: usize = 32 << 20;

/// Threads that do this until it is dropped.
pub(crate) struct Burden {
    stop: Arc<AtomicBool>,
    /// Bytes synced so far.
    pub(crate) written: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Burden {
    /// As many threads at normal priority as there are cores, which compute without a pause.
    ///
    /// # Errors
    /// No threads.
    pub(crate) fn compute() -> Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        Self::start(cores, |stop, _| {
            let mut number = 1_u64;
            while !stop.load(Relaxed) {
                for _ in 0..100_000 {
                    number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                }
            }
        })
    }

    /// Two threads that write files of [`FILE_BYTES`] in `dir` and sync them, without a pause.
    ///
    /// # Errors
    /// No threads.
    pub(crate) fn write(dir: PathBuf) -> Result<Self> {
        Self::start(2, move |stop, written| {
            // A disk that can't be written any more is burden no more, and the figure of what was written tells.
            let _ = write_on(&dir, stop, written);
        })
    }

    fn start(threads: usize, work: impl Fn(&AtomicBool, &AtomicU64) + Send + Sync + 'static) -> Result<Self> {
        let (stop, written, work) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default(), Arc::new(work));
        let mut burden =
            Self { stop: stop.clone(), written: written.clone(), threads: Vec::with_capacity(threads) };
        for _ in 0..threads {
            let (stop, written, work) = (stop.clone(), written.clone(), work.clone());
            let run = move || work(&stop, &written);
            burden.threads.push(std::thread::Builder::new().name("burden".into()).spawn(run)?);
        }
        Ok(burden)
    }
}

fn write_on(dir: &std::path::Path, stop: &AtomicBool, written: &AtomicU64) -> Result<()> {
    let mut file: File = tempfile::tempfile_in(dir)?;
    let piece = vec![7; PIECE];
    let mut place = 0;
    while !stop.load(Relaxed) {
        file.write_all(&piece)?;
        place += PIECE;
        if place % SYNC_BYTES == 0 {
            file.sync_all()?;
            written.fetch_add(SYNC_BYTES as u64, Relaxed);
        }
        if place == FILE_BYTES {
            file.set_len(0)?;
            file.rewind()?;
            place = 0;
        }
    }
    Ok(())
}

impl Drop for Burden {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked was no burden.
            let _ = thread.join();
        }
    }
}
