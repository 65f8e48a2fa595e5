//! Receivers' processes, and what they tell of the requests that they answered.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use testkit::http::Api;
use testkit::wait;

/// A request that a receiver answered.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) verified: bool,
    /// Its `webhook-id`.
    pub(super) id: String,
    pub(super) body: String,
}

/// A receiver's process; it ends when this is dropped.
pub(crate) struct Receiver {
    pub(super) name: String,
    child: Child,
    /// Where it listens, such as `http://127.0.0.1:4000`.
    pub(crate) base: String,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    /// A script of `tests/js/receivers`.
    pub(super) fn node(script: &str, env: &[(&str, &str)]) -> Result<Self> {
        let folder = tests("js/receivers");
        ensure!(tests("js/node_modules").is_dir(), "the test clients aren't installed: run `make clients`");
        let mut command = Command::new("node");
        command.arg("-r").arg(folder.join("watch.cjs")).arg(folder.join(script)).env("PORT", "0");
        Self::start(script, command, env)
    }

    /// A script of `tests/py`.
    pub(crate) fn python(script: &str, args: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target folder")?;
        let python = target.join("python/bin/python");
        ensure!(python.exists(), "the Python packages aren't installed: run `make clients`");
        let mut command = Command::new(python);
        command.arg("-B").arg(tests("py").join(script)).args(args);
        Self::start(script, command, env)
    }

    fn start(name: &str, mut command: Command, env: &[(&str, &str)]) -> Result<Self> {
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy).env_remove(proxy.to_lowercase());
        }
        command.envs(env.iter().copied());
        // Standard input stays open as long as this process lives: when it ends, so do they.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // What receivers print themselves is no JSON.
                if let Ok(line) = serde_json::from_str::<Value>(&line) {
                    sink.lock().unwrap().push(line);
                }
            }
        });
        let mut receiver = Self { name: name.to_owned(), child, base: String::new(), lines };
        let port = wait::until(&format!("{name} to listen"), || Ok(receiver.port()))?;
        receiver.base = format!("http://127.0.0.1:{port}");
        Ok(receiver)
    }

    /// The first line: the port, or an object with it.
    fn port(&self) -> Option<u64> {
        let lines = self.lines.lock().unwrap();
        lines.first().and_then(|line| line.as_u64().or(line["port"].as_u64()))
    }

    /// All that it printed as JSON, but its port.
    /// The requests whose target holds `tag`.
    pub(super) fn seen(&self, tag: &str) -> Vec<Seen> {
        let lines = self.lines.lock().unwrap();
        let text = |line: &Value, member: &str| line[member].as_str().unwrap_or_default().to_owned();
        let requests = lines.iter().filter(|line| line["t"] == "request");
        let tagged = requests.filter(|line| line["url"].as_str().is_some_and(|url| url.contains(tag)));
        let seen = tagged.map(|line| Seen {
            verified: line["verified"] == true,
            id: text(line, "id"),
            body: text(line, "body"),
        });
        seen.collect()
    }

    /// The ids of the requests that were verified of those whose target holds `tag`.
    pub(super) fn verified(&self, tag: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let verified = lines.iter().filter(|line| line["t"] == "request" && line["verified"] == true);
        let tagged = verified.filter(|line| line["url"].as_str().is_some_and(|url| url.contains(tag)));
        tagged.filter_map(|line| line["id"].as_str().map(str::to_owned)).collect()
    }

    /// Sends a request of one's own making; whether it was verified.
    pub(super) fn verifies(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<bool> {
        let answer = Api::new(&self.base, None).call("POST", path, headers, Some(body))?;
        // A comparison of signatures of different lengths throws: that is a refusal too.
        ensure!(matches!(answer.status, 200 | 401 | 500), "{}: {}", self.name, answer.text());
        Ok(answer.status == 200)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}
