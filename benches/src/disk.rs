//! Measures the disk: how long an append and its fdatasync take. The file is removed afterwards.

use std::{
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// About the number of bytes that one small Raft entry writes.
const APPEND_BYTES: usize = 512;

/// The median time of `rounds` appends with fdatasync in `dir`.
///
/// # Errors
/// The directory can't be written.
pub(crate) fn fdatasync_median(dir: &Path, rounds: usize) -> Result<Duration> {
    let mut file = tempfile::tempfile_in(dir).context("making a file to sync")?;
    let bytes = [7; APPEND_BYTES];
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times.get(rounds / 2).copied().context("at least one round")
}
