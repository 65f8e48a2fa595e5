//! The JavaScript clients of `tests/js`: starts them and reads the JSON lines that they print. The module
//! speaks no protocol itself; the clients do.

use crate::cluster::Map;
use crate::event::Event;
use crate::lines::Lines;
use crate::stream::Frame;
use crate::wait;
use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A running JavaScript client. It ends when this is dropped, or when its standard input closes.
#[derive(Debug)]
pub struct Js {
    name: String,
    process: Lines,
    errors: tempfile::NamedTempFile,
}

impl Js {
    /// npm `phoenix` over WebSocket: it joins the map's topic, resumes after the last id that it saw, and
    /// connects to the next URL when a connection ends.
    pub fn phoenix(urls: &[String], map: &Map, params: Value) -> Result<Self> {
        Self::start("phoenix_client.mjs", socket(urls, &map.token, &map.topic(), params))
    }

    /// `phoenix_client.mjs` with these options; that file describes them.
    pub fn phoenix_with(options: Value) -> Result<Self> {
        Self::start("phoenix_client.mjs", options)
    }

    /// npm `phoenix` over its long poll.
    pub fn longpoll(urls: &[String], map: &Map, params: Value) -> Result<Self> {
        Self::longpoll_with(socket(urls, &map.token, &map.topic(), params))
    }

    /// `longpoll_client.mjs` with these options; that file describes them.
    pub fn longpoll_with(options: Value) -> Result<Self> {
        Self::start("longpoll_client.mjs", options)
    }

    /// npm `phoenix` over its long poll, with polls that are lost on the way; see `lost_polls_client.mjs`.
    pub fn lost_polls(options: Value) -> Result<Self> {
        Self::start("lost_polls_client.mjs", options)
    }

    /// npm `phoenix`' `Presence` with these options; see `presence_client.mjs`.
    pub fn presence(options: Value) -> Result<Self> {
        Self::start("presence_client.mjs", options)
    }

    /// npm `eventsource`: `query` is added to the URL, and the client listens for the types `types`.
    pub fn sse(urls: &[String], map: &Map, query: Value, types: &[&str]) -> Result<Self> {
        let urls: Vec<String> = urls.iter().map(|u| format!("{u}{}/stream", map.events())).collect();
        let options = json!({"urls": urls, "token": map.token, "query": query, "types": types});
        Self::start("sse_client.mjs", options)
    }

    /// `sse_client.mjs` with these options; that file describes them.
    pub fn sse_with(options: Value) -> Result<Self> {
        Self::start("sse_client.mjs", options)
    }

    /// The stream of one URL, read by `fetch`: every chunk as it arrives.
    pub fn sse_raw(url: &str, headers: Value) -> Result<Self> {
        Self::start("sse_raw.mjs", json!({"url": url, "headers": headers}))
    }

    /// The stream of a map at a node with that URL, as [`Js::sse_raw`]; `last` is the `Last-Event-ID`.
    pub fn raw_stream(node: &str, map: &Map, query: &str, last: Option<&str>) -> Result<Self> {
        let mut headers = json!({"Authorization": format!("Bearer {}", map.token)});
        if let Some(last) = last {
            headers["Last-Event-ID"] = last.into();
        }
        Self::sse_raw(&format!("{node}{}/stream?{query}", map.events()), headers)
    }

    /// npm `pusher-js`; `pusher_client.mjs` describes the options.
    pub fn pusher(options: Value) -> Result<Self> {
        Self::start("pusher_client.mjs", options)
    }

    /// A back end with npm `pusher`; `pusher_backend.mjs` describes the options.
    pub fn pusher_backend(options: Value) -> Result<Self> {
        Self::start("pusher_backend.mjs", options)
    }

    /// Senders with their own signers; `ingest_senders.mjs` describes the options.
    pub fn ingest_senders(options: Value) -> Result<Self> {
        Self::start("ingest_senders.mjs", options)
    }

    /// The TypeScript package of `clients/typescript`; `adapter_client.mjs` describes the options.
    pub fn adapter(options: Value) -> Result<Self> {
        Self::start("adapter_client.mjs", options)
    }

    /// The same package in a page of Chromium; `adapter_page.mjs` describes the options.
    pub fn adapter_page(options: Value) -> Result<Self> {
        Self::start("adapter_page.mjs", options)
    }

    /// npm `laravel-echo`; `echo_client.mjs` describes the options.
    pub fn echo(options: Value) -> Result<Self> {
        Self::start("echo_client.mjs", options)
    }

    /// A chat with npm `pusher`, `pusher-js` and `laravel-echo` in pages of Chromium; `page_client.mjs`
    /// describes the options.
    pub fn page(options: Value) -> Result<Self> {
        Self::start("page_client.mjs", options)
    }

    /// Pages of the examples in Chromium; `example_pages.mjs` describes the options.
    pub fn example_pages(options: Value) -> Result<Self> {
        Self::start("example_pages.mjs", options)
    }

    /// A person who uses the console in Chromium; `console/pages.mjs` describes the options.
    pub fn console(options: Value) -> Result<Self> {
        Self::start("console/pages.mjs", options)
    }

    /// A client of live sessions with npm `ws`; `live_client.mjs` describes the options.
    pub fn live(options: Value) -> Result<Self> {
        Self::start("live_client.mjs", options)
    }

    /// A page on the live socket, in Chromium; `live_page.mjs` describes the options.
    pub fn live_page(options: Value) -> Result<Self> {
        Self::start("live_page.mjs", options)
    }

    /// The whole frames of such a stream so far.
    pub fn frames(&self) -> Vec<Frame> {
        let text: String = self.of("chunk").iter().filter_map(|line| line["text"].as_str()).collect();
        let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
        whole.split("\n\n").filter(|frame| !frame.is_empty()).map(Frame::parse).collect()
    }

    /// Whether the clients' packages are installed.
    pub fn are_installed() -> bool {
        scripts().join("node_modules").is_dir()
    }

    fn start(script: &str, options: Value) -> Result<Self> {
        let dir = scripts();
        ensure!(
            Self::are_installed(),
            "the test clients aren't installed: run `npm ci` in {}",
            dir.display()
        );
        let errors = tempfile::NamedTempFile::new()?;
        let mut node = Command::new("node");
        node.arg(dir.join(script)).arg(options.to_string()).stderr(Stdio::from(File::create(errors.path())?));
        Ok(Self { name: script.to_owned(), process: Lines::start(&mut node)?, errors })
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Value> {
        self.process.look(<[Value]>::to_vec)
    }

    /// The lines from that index on (from 0).
    pub fn lines_from(&self, first: usize) -> Vec<Value> {
        self.process.look(|lines| lines.get(first..).unwrap_or_default().to_vec())
    }

    /// The lines of kind `t` so far.
    pub fn of(&self, t: &str) -> Vec<Value> {
        self.process.look(|lines| lines.iter().filter(|line| line["t"] == t).cloned().collect())
    }

    /// The events so far.
    pub fn events(&self) -> Result<Vec<Event>> {
        self.of("event").iter().map(|l| Event::from_envelope(&l["payload"])).collect()
    }

    /// Waits until `probe` finds a value in the client's output.
    pub fn wait<T>(&self, what: &str, mut probe: impl FnMut(&Self) -> Result<Option<T>>) -> Result<T> {
        wait::until(what, || probe(self)).map_err(|e| anyhow!("{e:#}\n{}", self.dump()))
    }

    /// Waits for the n-th line (from 1) of kind `t`.
    pub fn wait_for(&self, t: &str, n: usize) -> Result<Value> {
        let what = format!("line {n} of kind `{t}` from {}", self.name);
        self.wait(&what, |c| Ok(c.of(t).into_iter().nth(n.saturating_sub(1))))
    }

    /// Waits for the answer to the first join, which must be ok. Returns the response. While there is no
    /// leader, or without an answer in time, phoenix.js joins again by itself.
    pub fn wait_joined(&self) -> Result<Value> {
        let passing = |l: &Value| l["status"] == "timeout" || l["response"]["reason"] == "unavailable";
        let line = self.wait("a join", |c| Ok(c.of("join").into_iter().find(|l| !passing(l))))?;
        ensure!(line["status"] == "ok", "join refused: {line}");
        Ok(line["response"].clone())
    }

    /// Waits until an event with that seq has arrived.
    pub fn wait_seq(&self, seq: u64) -> Result<()> {
        let what = format!("seq {seq} at {}", self.name);
        self.wait(&what, |c| {
            let last = c.lines().iter().rev().find_map(|l| l["payload"]["seq"].as_u64());
            Ok((last >= Some(seq)).then_some(()))
        })
    }

    /// Sends the client a command: a line of JSON on its standard input.
    pub fn order(&mut self, order: Value) -> Result<()> {
        self.process.write(&order)
    }

    /// The last lines that it printed, for a failed test.
    pub fn dump(&self) -> String {
        let lines = self.lines();
        let tail = lines[lines.len().saturating_sub(15)..].iter().map(Value::to_string);
        let tail: Vec<String> = tail.map(|l| l.chars().take(400).collect()).collect();
        let errors = std::fs::read_to_string(self.errors.path()).unwrap_or_default();
        format!("--- {} printed {} lines, last:\n{}\n{errors}", self.name, lines.len(), tail.join("\n"))
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/js")
}

fn socket(urls: &[String], token: &str, topic: &str, params: Value) -> Value {
    json!({"urls": urls, "token": token, "topic": topic, "params": params})
}
