//! Takes the machine's resources from a cluster: threads that compute, or that write and sync large files.
//! Dropping it ends them.

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

/// The size of a file that is written, synced and written again, in bytes.
const FILE_BYTES: usize = 256 << 20;
const PIECE: usize = 1 << 20;
/// How many bytes are written between two syncs: the disk's queue is never empty.
const SYNC_BYTES: usize = 32 << 20;

/// Threads that work until this is dropped.
pub(crate) struct Burden {
    stop: Arc<AtomicBool>,
    /// How many bytes were synced so far.
    pub(crate) written: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Burden {
    /// Starts as many computing threads at normal priority as there are cores.
    ///
    /// # Errors
    /// A thread can't be started.
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

    /// Starts two threads that write files of [`FILE_BYTES`] in `dir` and sync them, without a pause.
    ///
    /// # Errors
    /// A thread can't be started.
    pub(crate) fn write(dir: PathBuf) -> Result<Self> {
        Self::start(2, move |stop, written| {
            // If the disk can't be written any more, the burden ends; the count of written bytes shows it.
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
            // A thread that panicked put no load on the machine.
            let _ = thread.join();
        }
    }
}
