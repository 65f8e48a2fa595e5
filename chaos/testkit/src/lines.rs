//! A process that prints lines of JSON, such as a third-party client or receiver.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// The process and what it has printed. It ends when this is dropped, or when its standard input closes.
#[derive(Debug)]
pub struct Lines {
    child: Child,
    input: ChildStdin,
    printed: Arc<Mutex<Vec<Value>>>,
}

impl Lines {
    /// Starts the process.
    pub fn start(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_owned();
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.with_context(|| format!("{} is needed for this test", program.display()))?;
        let input = child.stdin.take().context("no stdin")?;
        let output = child.stdout.take().context("no stdout")?;
        let printed = Arc::new(Mutex::new(Vec::new()));
        let sink = printed.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(json!({"t": "noise", "line": line}));
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(value);
            }
        });
        Ok(Self { child, input, printed })
    }

    /// Calls `at` with everything that it has printed; a line that is not JSON has the kind `noise`.
    pub fn look<T>(&self, at: impl FnOnce(&[Value]) -> T) -> T {
        at(&self.printed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends it a line of JSON.
    pub fn write(&mut self, line: &Value) -> Result<()> {
        writeln!(self.input, "{line}").context("the process has ended")
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
