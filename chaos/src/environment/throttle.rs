//! Takes most of a node's processor time: with the quota of a control group where the machine has one, else
//! by stopping the process again and again.

use super::leftovers::Names;
use super::tool::write;
use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;
use testkit::background::Background;

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
    Stopping(Option<Background<()>>),
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
            How::Stopping(_) => "by stopping",
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
            write(&group.join("cpu.max"), &format!("{quota} {period}"))
        } else {
            write(&group.join("cpu.cfs_period_us"), &period.to_string())
                .and_then(|()| write(&group.join("cpu.cfs_quota_us"), &quota.to_string()))
        };
        if made.and_then(|()| write(&group.join("cgroup.procs"), &pid.to_string())).is_ok() {
            return Ok(Throttle { how: How::Quota { root, group } });
        }
        std::fs::remove_dir(&group)?;
    }
    Err(anyhow!("no control group accepts a quota"))
}

fn stopping(pid: i32, percent: u64) -> Result<Throttle> {
    let process = Pid::from_raw(pid).context("no process")?;
    let run = PERIOD * u32::try_from(percent)? / 100;
    let thread = Background::start(move |stop| {
        while !stop.load(Ordering::Relaxed) {
            kill_process(process, Signal::STOP)?;
            std::thread::sleep(PERIOD.saturating_sub(run));
            kill_process(process, Signal::CONT)?;
            std::thread::sleep(run);
        }
        Ok(())
    });
    Ok(Throttle { how: How::Stopping(Some(thread)) })
}

impl Drop for Throttle {
    fn drop(&mut self) {
        match &mut self.how {
            How::Quota { root, group } => {
                let held = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
                for pid in held.lines() {
                    // This fails only if the process has ended already.
                    let _ = write(&Path::new(root).join("cgroup.procs"), pid);
                }
                let _ = std::fs::remove_dir(group);
            }
            How::Stopping(thread) => {
                // This fails only if the process has ended already.
                let _ = thread.take().map(Background::stop);
            }
        }
    }
}
