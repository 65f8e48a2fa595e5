//! Makes system calls of a running node fail or take long, with `strace -e inject`.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use testkit::wait;

/// The system calls that bring data to a disk.
const SYNCS: &str = "fsync,fdatasync,sync_file_range";
/// How long attaching and detaching may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A running tracer.
#[derive(Debug)]
pub struct Trace {
    child: Child,
}

impl Trace {
    /// Makes each sync of the process take `by` longer.
    pub fn slow_sync(pid: i32, by: Duration) -> Result<Self> {
        Self::attach(pid, &format!("{SYNCS}:delay_enter={}", by.as_micros()))
    }

    /// From the `nth` on, makes each sync of a thread of the process fail with EIO.
    pub fn failing_sync(pid: i32, nth: u32) -> Result<Self> {
        Self::attach(pid, &format!("{SYNCS}:error=EIO:when={nth}+"))
    }

    fn attach(pid: i32, inject: &str) -> Result<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={SYNCS}"), "-e"]);
        command.arg(format!("inject={inject}")).args(["-p", &pid.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut trace = Self { child: command.spawn().context("strace")? };
        wait::until_for(LIMIT, "strace to attach", || {
            if let Some(status) = trace.child.try_wait()? {
                return Ok(Some(Err(anyhow::anyhow!("strace ended: {status}"))));
            }
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            Ok(status.contains(&format!("TracerPid:\t{}", trace.child.id())).then_some(Ok(())))
        })??;
        Ok(trace)
    }

    /// Detaches from the process.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let left = wait::until_for(LIMIT, "strace to detach", || Ok(self.child.try_wait()?));
        if left.is_err() {
            self.child.kill()?;
            self.child.wait()?;
            bail!("strace did not detach by itself");
        }
        Ok(())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // The tracer has ended already or is killed: both detach it.
        let _ = self.end();
    }
}
