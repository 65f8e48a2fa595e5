//! Processor time and resident memory of processes, from /proc; and this process's limit of open files. This
//! module never starts or ends a process.

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::{read_dir, read_to_string};

/// The kernel's USER_HZ: 100 on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// The user and system time of the processes so far, summed, in seconds. An error if one has ended.
pub fn cpu_seconds(pids: &[u32]) -> Result<f64> {
    pids.iter().map(|pid| one_cpu_seconds(*pid)).sum()
}

fn one_cpu_seconds(pid: u32) -> Result<f64> {
    let stat =
        read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    // The name may contain anything, blanks and brackets too, so the fields are counted from its last
    // bracket.
    let fields = stat.rsplit_once(") ").context("the stat line has no name in brackets")?.1;
    let ticks: f64 = fields.split(' ').skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// The resident memory of the processes, summed, in bytes. An error if one has ended.
pub fn resident_bytes(pids: &[u32]) -> Result<u64> {
    pids.iter().map(|pid| one_resident(*pid)).sum()
}

fn one_resident(pid: u32) -> Result<u64> {
    let status =
        read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid} is gone"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024)
}

/// Whether no thread of the process runs or could run. One that waits for a disk stops before it goes on.
pub(crate) fn has_stopped(pid: u32) -> Result<bool> {
    let threads = read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} is gone"))?;
    for thread in threads {
        // A thread may have ended meanwhile.
        let Ok(stat) = read_to_string(thread?.path().join("stat")) else { continue };
        let state = stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
        if matches!(state, Some('R' | 'S')) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Raises the limit of open files of this process, and of those that it starts, to the hard limit. Returns
/// that limit.
pub fn raise_open_files() -> Result<u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.unwrap_or(u64::MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_time_and_memory() {
        let me = [std::process::id()];
        assert!(cpu_seconds(&me).unwrap() >= 0.0);
        assert!(resident_bytes(&me).unwrap() > 100_000);
        assert!(cpu_seconds(&[u32::MAX]).is_err());
        assert!(!has_stopped(me[0]).unwrap());
    }
}
