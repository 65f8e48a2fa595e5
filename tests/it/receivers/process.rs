//! The processes of receivers, and the requests that they report.

use anyhow::{Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::http::Api;
use testkit::lines::Lines;
use testkit::wait;

/// A request that a receiver answered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) verified: bool,
    /// Its `webhook-id`.
    pub(crate) id: String,
    pub(crate) body: String,
}

/// A receiver's process, killed on drop.
pub(crate) struct Receiver {
    pub(crate) name: String,
    process: Lines,
    /// Its base URL, such as `http://127.0.0.1:4000`.
    pub(crate) base: String,
}

impl Receiver {
    /// Starts a script of `tests/js/receivers`.
    pub(crate) fn node(script: &str, env: &[(&str, &str)]) -> Result<Self> {
        let folder = tests("js/receivers");
        ensure!(tests("js/node_modules").is_dir(), "the test clients aren't installed: run `make clients`");
        let mut command = Command::new("node");
        command.arg("-r").arg(folder.join("watch.cjs")).arg(folder.join(script)).env("PORT", "0");
        Self::start(script, command, env)
    }

    /// Starts a script of `tests/py`.
    pub(crate) fn python(script: &str, args: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        let mut command = crate::support::python(script)?;
        command.args(args);
        Self::start(script, command, env)
    }

    fn start(name: &str, mut command: Command, env: &[(&str, &str)]) -> Result<Self> {
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy).env_remove(proxy.to_lowercase());
        }
        command.envs(env.iter().copied());
        let process = Lines::start(command.stderr(Stdio::null()))?;
        let port = wait::until(&format!("{name} to listen"), || Ok(process.look(port)))?;
        Ok(Self { name: name.to_owned(), process, base: format!("http://127.0.0.1:{port}") })
    }

    /// Returns the requests whose target contains `tag`.
    pub(crate) fn seen(&self, tag: &str) -> Vec<Seen> {
        let text = |line: &Value, member: &str| line[member].as_str().unwrap_or_default().to_owned();
        let tagged = |line: &&Value| {
            line["t"] == "request" && line["url"].as_str().is_some_and(|url| url.contains(tag))
        };
        let seen = |line: &Value| Seen {
            verified: line["verified"] == true,
            id: text(line, "id"),
            body: text(line, "body"),
        };
        self.process.look(|lines| lines.iter().filter(tagged).map(seen).collect())
    }

    /// Returns the ids of the verified requests whose target contains `tag`.
    pub(super) fn verified(&self, tag: &str) -> Vec<String> {
        self.seen(tag).into_iter().filter(|request| request.verified).map(|request| request.id).collect()
    }

    /// Sends a hand-made request; returns whether it was verified.
    pub(super) fn verifies(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<bool> {
        let answer = Api::new(&self.base, None).call("POST", path, headers, Some(body))?;
        // Comparing signatures of different lengths throws an error in some receivers; that is a refusal too.
        ensure!(matches!(answer.status, 200 | 401 | 500), "{}: {}", self.name, answer.text());
        Ok(answer.status == 200)
    }
}

/// Returns the port from the first line, which is the port or an object with it.
fn port(lines: &[Value]) -> Option<u64> {
    lines.iter().find_map(|line| line.as_u64().or(line["port"].as_u64()))
}

fn tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}
