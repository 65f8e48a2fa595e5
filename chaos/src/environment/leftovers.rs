//! Everything that outlives a process: namespaces, mounts, control groups, node processes and the run's
//! directory.
//!
//! Everything is found by the run's prefix, `waypost-chaos-run-PID`, so the next run cleans up after a run
//! that was killed. Nothing of a run that is alive is touched.

use super::tool;
use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The prefix of directories.
const RUN: &str = "waypost-chaos-run-";
/// The prefix of namespaces and control groups.
const SHORT: &str = "wpc";
/// The programs that make such things.
const PROGRAMS: [&str; 2] = ["chaos", "benches"];
/// How long killed processes may take to end.
const GONE: Duration = Duration::from_secs(5);

/// The names of a run.
#[derive(Debug, Clone)]
pub struct Names {
    pid: u32,
}

impl Names {
    /// The names of this process's run.
    pub fn own() -> Self {
        Self { pid: std::process::id() }
    }

    /// The run's directory.
    pub fn dir(&self) -> PathBuf {
        std::env::temp_dir().join(format!("{RUN}{}", self.pid))
    }

    /// A name for a namespace, a mount or a control group.
    pub fn of(&self, what: &str) -> String {
        format!("{SHORT}{}-{what}", self.pid)
    }

    /// Removes everything that has these names. A failure does not stop the removal of the rest.
    pub fn clean(&self) {
        let dir = self.dir();
        kill_nodes(&dir);
        for mount in mounts_below(&dir) {
            if tool::run("umount", &[&mount]).is_err() {
                // A process still uses it: it is detached now, and gone when that process ends.
                let _ = tool::run("umount", &["-l", &mount]);
            }
        }
        for name in namespaces().filter(|name| name.starts_with(&self.of(""))) {
            let _ = tool::run("ip", &["netns", "del", &name]);
        }
        for group in groups(&self.of("")) {
            let _ = std::fs::remove_dir(group);
        }
        let _ = std::fs::remove_dir_all(dir);
    }
}

/// Cleans up after runs that have ended.
pub fn clean_dead_runs() -> Result<()> {
    for entry in std::fs::read_dir(std::env::temp_dir())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(pid) = name.strip_prefix(RUN).and_then(|pid| pid.parse().ok())
            && !is_alive(pid)
        {
            println!("removing the leftovers of run {pid}");
            Names { pid }.clean();
        }
    }
    Ok(())
}

/// Whether the process with that id runs this same program, or another one that makes such things.
fn is_alive(pid: u32) -> bool {
    let program = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let found = program(&pid.to_string());
    !found.is_empty() && (found == program("self") || PROGRAMS.contains(&found.trim_end()))
}

/// Ends the nodes whose data is below `dir`, and their tracers: that run started them.
fn kill_nodes(dir: &Path) {
    let mark = format!("WAYPOST_DATA_DIR={}/", dir.display());
    let until = Instant::now() + GONE;
    loop {
        let ours: Vec<i32> = processes().filter(|pid| has_environment(*pid, &mark)).collect();
        if ours.is_empty() || Instant::now() > until {
            return;
        }
        for pid in ours.into_iter().filter_map(Pid::from_raw) {
            // This fails only if the process has ended already.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn processes() -> impl Iterator<Item = i32> {
    let own = std::process::id() as i32;
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).filter(move |pid| *pid != own)
}

fn has_environment(pid: i32, mark: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(mark.as_bytes()))
}

/// The mounts below a folder, the deepest first.
fn mounts_below(dir: &Path) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1));
    let mut below: Vec<String> =
        points.filter(|at| Path::new(at).starts_with(dir)).map(str::to_owned).collect();
    below.sort_by_key(|at| std::cmp::Reverse(at.len()));
    below
}

fn namespaces() -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

fn groups(prefix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in super::throttle::ROOTS {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        found.extend(
            entries.filter(|e| e.file_name().to_string_lossy().starts_with(prefix)).map(|e| e.path()),
        );
    }
    found
}
