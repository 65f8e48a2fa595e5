//! A reader of a consumer: takes events at one of several nodes, and says what it did with them.

use crate::cluster::Map;
use crate::http::{Api, text};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::time::Duration;

/// How long an answer may take beyond the wait of a read.
const LIMIT: Duration = Duration::from_secs(15);
/// The same for a patient reader.
const PATIENCE: Duration = Duration::from_secs(90);

/// An event that was handed over.
#[derive(Debug, Clone)]
pub struct Taken {
    /// What it is acknowledged by.
    pub ack_id: String,
    /// Which attempt this is, from 1.
    pub attempt: u64,
    /// Its position in the stream.
    pub seq: u64,
    /// Its id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its payload.
    pub payload: Value,
}

impl Taken {
    /// Reads an entry of an answer, or the data of a frame.
    pub fn parse(value: &Value) -> Result<Self> {
        let event = &value["event"];
        Ok(Self {
            ack_id: text(value, "ack_id")?,
            attempt: value["attempt"].as_u64().context("no attempt")?,
            seq: event["seq"].as_u64().context("no seq")?,
            id: text(event, "id")?,
            kind: text(event, "type")?,
            payload: event["payload"].clone(),
        })
    }
}

/// The ack ids of events.
pub fn ids(taken: &[Taken]) -> Vec<String> {
    taken.iter().map(|taken| taken.ack_id.clone()).collect()
}

/// A reader. Where a node fails, it goes on at the next one.
#[derive(Debug, Clone)]
pub struct Reader {
    apis: Vec<Api>,
    at: usize,
    path: String,
}

impl Reader {
    /// A reader that asks the nodes at these URLs, the first one first.
    pub fn new(urls: &[String], map: &Map, consumer: &str) -> Self {
        let apis = urls.iter().map(|url| Api::new(url, Some(&map.token)).timeout(LIMIT));
        Self { apis: apis.collect(), at: 0, path: map.path(&format!("/consumers/{consumer}")) }
    }

    /// The same reader, for tests whose nodes stay up: it waits long for an answer, and repeats a request that was
    /// refused because there was no leader or no owner.
    pub fn patient(mut self) -> Self {
        self.apis = self.apis.into_iter().map(|api| api.patient().timeout(PATIENCE)).collect();
        self
    }

    /// Asks one node, and returns the `data` of its answer. The next request goes to the next node if it fails.
    fn ask(&mut self, rest: &str, body: &Value) -> Result<Value> {
        let api = self.apis.get(self.at).context("a reader without a node")?;
        let answer = api.post(&format!("{}{rest}", self.path), body).and_then(|answer| answer.data(200));
        if answer.is_err() {
            self.at = (self.at + 1) % self.apis.len();
        }
        answer
    }

    /// Takes at most `max` events, and waits for so many seconds for the first one.
    pub fn pull(&mut self, max: usize, wait: u64) -> Result<Vec<Taken>> {
        let data = self.ask(&format!("/pull?max={max}&wait={wait}"), &json!({}))?;
        data.as_array().context("no list")?.iter().map(Taken::parse).collect()
    }

    /// Acknowledges events. Returns the ids that were not known.
    pub fn ack(&mut self, ids: &[String]) -> Result<Vec<String>> {
        self.say("/ack", &json!({ "ack_ids": ids }))
    }

    /// Refuses events, which come again after so many milliseconds. Returns the ids that were not known.
    pub fn nack(&mut self, ids: &[String], delay_ms: u64) -> Result<Vec<String>> {
        self.say("/nack", &json!({"ack_ids": ids, "delay_ms": delay_ms}))
    }

    /// Keeps events for so many milliseconds from now on. Returns the ids that were not known.
    pub fn extend(&mut self, ids: &[String], visibility_ms: u64) -> Result<Vec<String>> {
        self.say("/extend", &json!({"ack_ids": ids, "visibility_ms": visibility_ms}))
    }

    fn say(&mut self, rest: &str, body: &Value) -> Result<Vec<String>> {
        let data = self.ask(rest, body)?;
        let unknown = data["unknown"].as_array().context("no list of unknown ids")?;
        Ok(unknown.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect())
    }
}
