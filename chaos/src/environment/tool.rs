//! Calls programs of the system, with a time limit.

use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::wait;

/// The longest time of one call.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs `program` and returns its output; on failure the error has the program's own message.
pub fn run(program: &str, args: &[&str]) -> Result<String> {
    run_with(program, args, "")
}

/// As [`run`], with `input` on standard input. The output is expected to be short.
pub fn run_with(program: &str, args: &[&str], input: &str) -> Result<String> {
    let what = || format!("{program} {}", args.join(" "));
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(what)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).with_context(what)?;
    }
    let ended = wait::until_for(LIMIT, &what(), || Ok(child.try_wait()?));
    if ended.is_err() {
        // Both fail only if the program has ended after all.
        let _ = child.kill();
        let _ = child.wait();
    }
    let mut out = String::new();
    let mut errors = String::new();
    child.stdout.take().context("no output")?.read_to_string(&mut out)?;
    child.stderr.take().context("no output")?.read_to_string(&mut errors)?;
    ensure!(ended?.success(), "{}: {}", what(), errors.trim());
    Ok(out)
}

/// Whether a program is installed.
pub fn is_there(program: &str) -> bool {
    path(program).is_some()
}

/// The path of an installed program.
pub fn path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|dir| dir.join(program)).find(|at| at.exists())
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Writes to a file of the kernel, such as one below `/sys`.
pub fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("{text} to {}", file.display()))
}
