//! What the kernel says about processes: processor time and resident memory, from /proc. Also the limit of open files of
//! this one. Never starts or ends a process.

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::read_to_string;

/// The kernel's USER_HZ: fixed at 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of the processes so far, summed, in seconds. An error where one is gone.
pub fn cpu_seconds(pids: &[u32]) -> Result<f64> {
    pids.iter().map(|pid| one_cpu_seconds(*pid)).sum()
}

fn one_cpu_seconds(pid: u32) -> Result<f64> {
    let stat =
        read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    // The name may hold anything, blanks and brackets too: fields count from its last bracket.
    let fields = stat.rsplit_once(") ").context("a strange stat line")?.1;
    let ticks: f64 = fields.split(' ').skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// Resident memory of the processes, summed, in bytes. An error where one is gone.
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

/// Lets this process, and those that it starts, open as many files as the hard limit allows; how many that is.
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
    }
}
