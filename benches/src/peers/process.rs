//! A peer's process and its ports. Only processes that were started here are ended, by their ids.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use testkit::cluster::own_ports;
use tokio::{net::TcpStream, time::sleep};

/// How long a peer may take to start, and to found its cluster.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long a peer that was asked to end may take.
const END_PATIENCE: Duration = Duration::from_secs(3);
const GLANCE: Duration = Duration::from_millis(50);
/// How much of a log an error shows.
const LOG_TAIL: usize = 1_000;

/// A running peer. Dropping it ends it, and the processes that it started.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the command. What it prints goes to `log`.
    ///
    /// # Errors
    /// The program can't be started.
    pub(super) fn start(command: &mut Command, log: PathBuf) -> Result<Self> {
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        Ok(Self { child, log })
    }

    /// Its id, and those of the processes that it started.
    pub(super) fn pids(&self) -> Vec<u32> {
        let own = self.child.id();
        [own].into_iter().chain(children(own)).collect()
    }

    /// The error with the end of the process' log.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let log = fs::read(&self.log).unwrap_or_default();
        let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL)..]).into_owned();
        error.context(format!("its log ends with: {tail}"))
    }

    fn signal(&self, signal: Signal) {
        // This fails only if the process has ended already.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let own = self.child.id();
        let mut started = Other::children_of(own);
        self.signal(Signal::TERM);
        if !within(END_PATIENCE, || !matches!(self.child.try_wait(), Ok(None))) {
            // While it is stopped it starts no more processes.
            self.signal(Signal::STOP);
            started = Other::children_of(own);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        // A program that only starts another one leaves that one behind.
        started.iter().for_each(|other| other.signal(Signal::TERM));
        if !within(END_PATIENCE, || !started.iter().any(Other::is_alive)) {
            started.iter().for_each(|other| other.signal(Signal::KILL));
        }
    }
}

/// Whether it is done in time.
fn within(limit: Duration, mut is_done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if is_done() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(GLANCE);
    }
}

/// A process that a peer has started. Its id may be another's later, so the time of its start is known, too.
struct Other {
    pid: u32,
    began: String,
}

impl Other {
    fn children_of(parent: u32) -> Vec<Self> {
        let of = |pid| Some(Self { pid, began: stat(pid)?.began });
        children(parent).filter_map(of).collect()
    }

    fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|now| now.began == self.began && !now.is_zombie)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid.cast_signed()).filter(|_| self.is_alive()) {
            // This fails only if it has just ended.
            let _ = kill_process(pid, signal);
        }
    }
}

/// What the kernel says of a process.
struct Stat {
    is_zombie: bool,
    parent: u32,
    /// When it began, in ticks.
    began: String,
}

fn stat(pid: u32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may contain anything. The state follows it, then the parent.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let parent = fields.get(1)?.parse().ok()?;
    Some(Stat { is_zombie: fields.first() == Some(&"Z"), parent, began: (*fields.get(19)?).to_owned() })
}

/// The processes whose parent is that one.
fn children(parent: u32) -> impl Iterator<Item = u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(move |pid| stat(*pid).is_some_and(|stat| stat.parent == parent))
}

/// Ports that nobody else can take until they are released, at an address that no other run has.
pub(super) struct Held(Vec<TcpListener>);

impl Held {
    /// # Errors
    /// No port is free.
    pub(super) fn take(count: usize) -> Result<Self> {
        let ip = own_ports()?.0.ip();
        let listeners: Result<Vec<_>, _> = (0..count).map(|_| TcpListener::bind((ip, 0))).collect();
        Ok(Self(listeners?))
    }

    /// The addresses, in the order in which they were taken.
    ///
    /// # Errors
    /// Never, as they are bound.
    pub(super) fn addresses(&self) -> Result<Vec<SocketAddr>> {
        self.0.iter().map(|listener| Ok(listener.local_addr()?)).collect()
    }
}

/// Tries until it succeeds.
///
/// # Errors
/// It does not succeed in time; the error is the last one.
pub(super) async fn patiently<T, F: Future<Output = Result<T>>>(mut attempt: impl FnMut() -> F) -> Result<T> {
    let end = Instant::now() + START_PATIENCE;
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) if Instant::now() > end => return Err(error.context("it does not start in time")),
            Err(_) => sleep(GLANCE).await,
        }
    }
}

/// Waits until the process listens there.
///
/// # Errors
/// It does not in time; the error has the end of its log.
pub(super) async fn listens(process: &Process, addr: SocketAddr) -> Result<()> {
    let connected = patiently(|| async { Ok(TcpStream::connect(addr).await?) }).await;
    connected.map(drop).map_err(|error| process.explain(error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ended_with_those_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; sleep 600 & wait; sleep 600"]);
        // The shell ignores SIGTERM, as does what it starts.
        let process = Process::start(&mut command, dir.path().join("log")).unwrap();
        while process.pids().len() < 2 {
            thread::sleep(GLANCE);
        }
        let pids = process.pids();
        drop(process);
        for pid in pids {
            let is_over = || stat(pid).is_none_or(|stat| stat.is_zombie);
            assert!(within(START_PATIENCE, is_over), "process {pid} runs on");
        }
    }

    #[test]
    fn what_a_program_leaves_behind_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & wait"]);
        let process = Process::start(&mut command, dir.path().join("log")).unwrap();
        while process.pids().len() < 2 {
            thread::sleep(GLANCE);
        }
        let pids = process.pids();
        drop(process);
        for pid in pids {
            let is_over = || stat(pid).is_none_or(|stat| stat.is_zombie);
            assert!(within(START_PATIENCE, is_over), "process {pid} runs on");
        }
    }

    #[test]
    fn held_ports_are_taken() {
        let held = Held::take(3).unwrap();
        for addr in held.addresses().unwrap() {
            assert!(TcpListener::bind(addr).is_err());
        }
    }
}
