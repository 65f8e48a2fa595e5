//! One node: its process, its addresses, its disk, its log. Dropping it ends the process.

use crate::{clock, proc, wait};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// One `waypost serve` on loopback.
#[derive(Debug)]
pub struct Node {
    /// Where clients connect.
    pub http: SocketAddr,
    /// Where other nodes connect.
    pub peer: SocketAddr,
    /// Its data directory.
    pub data: PathBuf,
    /// The file with its output, over all its starts.
    pub log: PathBuf,
    /// Its environment (`WAYPOST_*`), read at each start.
    pub env: BTreeMap<String, String>,
    /// A command that starts the process, such as `ip netns exec NAME`; mostly empty.
    pub launcher: Vec<String>,
    binary: PathBuf,
    child: Option<Child>,
}

impl Node {
    /// A node that is not started yet; its files are below `dir`, whose name is its name too.
    pub fn new(binary: &Path, dir: &Path, http: SocketAddr, peer: SocketAddr) -> Self {
        let data = dir.join("data");
        // All nodes of a test are on one host, and each has a name of its own.
        let name =
            dir.file_name().map_or_else(|| "node".to_owned(), |name| name.to_string_lossy().into_owned());
        let env = BTreeMap::from([
            ("WAYPOST_NODE_NAME".to_owned(), name),
            ("WAYPOST_HTTP_ADDR".to_owned(), http.to_string()),
            ("WAYPOST_PEER_ADDR".to_owned(), peer.to_string()),
            ("WAYPOST_DATA_DIR".to_owned(), data.display().to_string()),
        ]);
        let log = dir.join("node.log");
        Self { http, peer, data, log, env, launcher: Vec::new(), binary: binary.to_owned(), child: None }
    }

    /// Another node that is not started yet, with the same executable and settings, and its own addresses and
    /// files.
    pub fn another(&self, dir: &Path, http: SocketAddr, peer: SocketAddr) -> Self {
        let mut another = Self::new(&self.binary, dir, http, peer);
        for (name, value) in &self.env {
            another.env.entry(name.clone()).or_insert_with(|| value.clone());
        }
        another
    }

    /// Starts the process; the caller waits until it is ready.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "{} is running", self.http);
        if let Some(dir) = self.log.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut words = self.launcher.iter().map(AsRef::<OsStr>::as_ref).chain([self.binary.as_os_str()]);
        let mut command = Command::new(words.next().context("the command that starts the node is empty")?);
        command.args(words).arg("serve").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        without_settings(&mut command);
        if self.env.contains_key(clock::FILE) {
            // The clock of this process may be changed too, and its setting would come before the node's.
            command.env_remove(clock::OWN).env_remove("FAKETIME_SHARED");
        }
        command.envs(&self.env);
        if let Some(dir) = self.log.parent() {
            command.current_dir(dir);
        }
        let child = command.spawn().with_context(|| format!("{}", self.binary.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Whether a process was started and nothing has noticed its end.
    pub fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// The exit status, if the process ended by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill9(&mut self) -> Result<()> {
        let mut child = self.child.take().context("not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Sends SIGTERM. Returns the exit status, or an error after `limit`.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        wait::until_for(limit, "the node's end after SIGTERM", || self.ended())
    }

    /// Sends any signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid()?, signal)?)
    }

    /// Sends SIGSTOP: the node hangs, with its connections open. The signal stops one thread, which stops the
    /// others when it runs, and on a busy machine they go on until then. So the call waits for all of them.
    pub fn sigstop(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let process = self.child.as_ref().context("not running")?.id();
        wait::until("all threads to stop", || Ok(proc::has_stopped(process)?.then_some(())))
    }

    /// Sends SIGCONT.
    pub fn sigcont(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Suspends the process while `body` runs.
    pub fn suspended<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        self.sigstop()?;
        let done = body();
        self.sigcont()?;
        done
    }

    /// The id of the process.
    pub fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_child(self.child.as_ref().context("not running")?))
    }

    /// Deletes the data directory of a stopped node.
    pub fn wipe(&self) -> Result<()> {
        ensure!(self.child.is_none(), "{} is running", self.http);
        Ok(std::fs::remove_dir_all(&self.data)?)
    }

    /// Flips one bit in the middle of the largest file below the data directory whose path there begins with
    /// `part`. Returns which file and byte.
    pub fn flip_bit(&self, part: &str) -> Result<String> {
        ensure!(self.child.is_none(), "{} is running", self.http);
        let mut files = Vec::new();
        files_below(&self.data, &mut files)?;
        let matching = files.iter().filter(|(path, _)| {
            path.strip_prefix(&self.data).is_ok_and(|p| p.to_string_lossy().starts_with(part))
        });
        let Some((path, _)) = matching.max_by_key(|(_, length)| *length) else {
            bail!("no file below `{part}` in {files:?}");
        };
        let mut bytes = std::fs::read(path)?;
        // A file of zeros may hold nothing that could be damaged.
        let used = bytes.iter().rposition(|b| *b != 0).context("the file has only zeros")? + 1;
        let at = (used / 2..used).find(|at| bytes.get(*at).is_some_and(|b| *b != 0)).unwrap_or(0);
        let byte = bytes.get_mut(at).context("the file is empty")?;
        *byte ^= 0b0000_0100;
        std::fs::write(path, bytes)?;
        Ok(format!("{} byte {at} of {used}", path.display()))
    }

    /// Its resident memory in bytes.
    pub fn rss(&self) -> Result<u64> {
        proc::resident_bytes(&[self.pid()?.as_raw_nonzero().get().cast_unsigned()])
    }

    /// Its user and system CPU time so far, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        proc::cpu_seconds(&[self.pid()?.as_raw_nonzero().get().cast_unsigned()])
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only if the process has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Removes the settings of this process from the environment of a command that runs the program.
pub fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WAYPOST_")) {
        command.env_remove(name);
    }
    command
}

/// As [`without_settings`], for a command whose answer is read by a program: it prints JSON.
pub fn printing_json(command: &mut Command) -> &mut Command {
    without_settings(command).env("WAYPOST_OUTPUT", "json")
}

fn files_below(dir: &Path, found: &mut Vec<(PathBuf, u64)>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        if kind.is_dir() {
            files_below(&entry.path(), found)?;
        } else {
            found.push((entry.path(), kind.len()));
        }
    }
    Ok(())
}
