//! Everything that outlives a process: namespaces, mounts, control groups, node processes, the run's directory.
//!
//! All of it is found by the run's prefix, `waypost-chaos-run-PID`, so a run that was killed is cleaned up by the next.
//! Never: touches anything whose run is alive.

use super::tool;
use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Begins the names of directories.
const RUN: &str = "waypost-chaos-run-";
/// Begins the names of namespaces and control groups.
const SHORT: &str = "wpc";
/// How long killed processes may take to go.
const GONE: Duration = Duration::from_secs(5);

/// A run's names.
#[derive(Debug, Clone)]
pub struct Names {
    pid: u32,
}

impl Names {
    /// Of this process.
    pub fn own() -> Self {
        Self { pid: std::process::id() }
    }

    /// The run's directory.
    pub fn dir(&self) -> PathBuf {
        std::env::temp_dir().join(format!("{RUN}{}", self.pid))
    }

    /// A name for something of the system.
    pub fn of(&self, what: &str) -> String {
        format!("{SHORT}{}-{what}", self.pid)
    }

    /// Removes all that bears these names. Goes on where something fails: the rest shall go all the same.
    pub fn clean(&self) {
        let dir = self.dir();
        kill_nodes(&dir);
        for mount in mounts_below(&dir) {
            if tool::run("umount", &[&mount]).is_err() {
                // Something still holds it: out of sight now, gone when that ends.
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

/// Cleans up after runs that are no more.
pub fn clean_dead_runs() -> Result<()> {
    for entry in std::fs::read_dir(std::env::temp_dir())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(pid) = name.strip_prefix(RUN).and_then(|pid| pid.parse().ok())
            && !is_alive(pid)
        {
            println!("removing what run {pid} left");
            Names { pid }.clean();
        }
    }
    Ok(())
}

/// Whether a process of that id runs this very program.
fn is_alive(pid: u32) -> bool {
    let program = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let own = program("self");
    !own.is_empty() && program(&pid.to_string()) == own
}

/// Ends the nodes whose data is below `dir`, and who traces them: they were started by that run.
fn kill_nodes(dir: &Path) {
    let mark = format!("WAYPOST_DATA_DIR={}/", dir.display());
    let until = Instant::now() + GONE;
    loop {
        let ours: Vec<i32> = processes().filter(|pid| has_environment(*pid, &mark)).collect();
        if ours.is_empty() || Instant::now() > until {
            return;
        }
        for pid in ours.into_iter().filter_map(Pid::from_raw) {
            // Fails only if it has ended already.
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

/// The deepest first.
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
