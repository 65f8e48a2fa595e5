//! Takes most of a node's processor time: with the quota of a control group where the machine has one, else
//! by stopping the process again and again.

use super::leftovers::Names;
use super::tool::tell;
use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where control groups are mounted: version 2, then version 1.
pub const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu"];
/// The period of a quota.
const PERIOD: Duration = Duration::from_millis(100);

/// A throttled node.
#[derive(Debug)]
pub struct Throttle {
    how: How,
}

/// The method of a throttle: a quota, or a thread that stops the process again and again.
#[derive(Debug)]
enum How {
    Quota { root: &'static str, group: PathBuf },
    Stopping { over: Arc<AtomicBool>, thread: Option<JoinHandle<()>> },
}

impl Throttle {
    /// Leaves the process `percent` percent of one processor.
    pub fn begin(names: &Names, pid: i32, percent: u64) -> Result<Self> {
        match quota(names, pid, percent) {
            Ok(throttle) => Ok(throttle),
            Err(_) => stopping(pid, percent),
        }
    }

    /// The method in words, for the report.
    pub fn how(&self) -> &'static str {
        match &self.how {
            How::Quota { .. } => "by quota",
            How::Stopping { .. } => "by stopping",
        }
    }
}

fn quota(names: &Names, pid: i32, percent: u64) -> Result<Throttle> {
    let period = PERIOD.as_micros() as u64;
    let quota = period * percent / 100;
    for root in ROOTS {
        let group = Path::new(root).join(names.of(&format!("cpu{pid}")));
        if std::fs::create_dir(&group).is_err() {
            continue;
        }
        let made = if group.join("cpu.max").exists() {
            tell(&group.join("cpu.max"), &format!("{quota} {period}"))
        } else {
            tell(&group.join("cpu.cfs_period_us"), &period.to_string())
                .and_then(|()| tell(&group.join("cpu.cfs_quota_us"), &quota.to_string()))
        };
        if made.and_then(|()| tell(&group.join("cgroup.procs"), &pid.to_string())).is_ok() {
            return Ok(Throttle { how: How::Quota { root, group } });
        }
        std::fs::remove_dir(&group)?;
    }
    Err(anyhow!("no control group accepts a quota"))
}

fn stopping(pid: i32, percent: u64) -> Result<Throttle> {
    let process = Pid::from_raw(pid).context("no process")?;
    let over = Arc::new(AtomicBool::new(false));
    let ends = over.clone();
    let run = PERIOD * u32::try_from(percent)? / 100;
    let thread = std::thread::spawn(move || {
        while !ends.load(Ordering::Relaxed) && kill_process(process, Signal::STOP).is_ok() {
            std::thread::sleep(PERIOD.saturating_sub(run));
            if kill_process(process, Signal::CONT).is_err() {
                return;
            }
            std::thread::sleep(run);
        }
    });
    Ok(Throttle { how: How::Stopping { over, thread: Some(thread) } })
}

impl Drop for Throttle {
    fn drop(&mut self) {
        match &mut self.how {
            How::Quota { root, group } => {
                let held = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
                for pid in held.lines() {
                    // This fails only if the process has ended already.
                    let _ = tell(&Path::new(root).join("cgroup.procs"), pid);
                }
                let _ = std::fs::remove_dir(group);
            }
            How::Stopping { over, thread } => {
                over.store(true, Ordering::Relaxed);
                let _ = thread.take().map(JoinHandle::join);
            }
        }
    }
}
