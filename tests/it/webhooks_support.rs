//! Helpers for tests of webhooks: creating and reading them, and publishing events that a test finds again.

use crate::support::nodes;
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use testkit::cluster::{Map, unlimited};
use testkit::http::{Api, text};
use testkit::publisher::Ack;
use testkit::receiver::Receiver;
use testkit::{Cluster, Options, wait};

/// The network of all receivers here.
const LOOPBACK: &str = "127.0.0.0/8";

/// Options for `n` nodes that may deliver to loopback.
pub(crate) fn delivering(n: usize) -> Options {
    nodes(n).set("WAYPOST_WEBHOOKS_ALLOW_NETS", LOOPBACK)
}

/// Creates a map without limits.
pub(crate) fn map(c: &Cluster, slug: &str) -> Result<Map> {
    c.map_with(slug, json!({"limits": unlimited(), "retention": {"events": 1_000_000}}))
}

/// Retry settings with `attempts` attempts in quick succession.
pub(crate) fn quick(attempts: u32) -> Value {
    json!({"max_attempts": attempts, "delay_ms": 50, "factor": 1, "max_delay_ms": 1000, "jitter": 0})
}

/// A webhook that a test has created.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) map: Map,
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Hook {
    /// Creates a webhook that delivers to `url`; `more` has further settings.
    pub(crate) fn create(c: &Cluster, map: &Map, url: &str, mut more: Value) -> Result<Self> {
        more["url"] = json!(url);
        Self::make(c, map, &more)
    }

    /// Creates a webhook.
    pub(crate) fn make(c: &Cluster, map: &Map, body: &Value) -> Result<Self> {
        let data = any(c, map)?.post(&format!("/api/maps/{}/webhooks", map.id), body)?.data(201)?;
        let secret = data["secret"].as_str().unwrap_or_default().to_owned();
        Ok(Self { map: map.clone(), id: text(&data, "id")?, secret })
    }

    /// Returns the path of a resource below the webhook.
    pub(crate) fn path(&self, of: &str) -> String {
        format!("/api/maps/{}/webhooks/{}{of}", self.map.id, self.id)
    }

    /// Reads the webhook from any running node.
    pub(crate) fn show(&self, c: &Cluster) -> Result<Value> {
        self.get(c, "")
    }

    /// Reads a resource below the webhook; returns its `data`.
    pub(crate) fn get(&self, c: &Cluster, of: &str) -> Result<Value> {
        any(c, &self.map)?.get(&self.path(of))?.data(200)
    }

    /// Posts to a resource below the webhook; returns the answer's `data`.
    pub(crate) fn post(&self, c: &Cluster, of: &str, body: &Value) -> Result<Value> {
        let answer = any(c, &self.map)?.post(&self.path(of), body)?;
        ensure!(matches!(answer.status, 200 | 202), "POST {of}: {}: {}", answer.status, answer.text());
        Ok(answer.json()?["data"].clone())
    }

    /// Deletes a resource below the webhook; returns the status.
    pub(crate) fn delete(&self, c: &Cluster, of: &str) -> Result<u16> {
        Ok(any(c, &self.map)?.delete(&self.path(of))?.status)
    }

    /// Waits until `done` holds for the webhook, and returns it.
    pub(crate) fn wait(&self, c: &Cluster, what: &str, done: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = json!(null);
        let waited = wait::until(what, || {
            last = self.show(c)?;
            Ok(done(&last).then(|| last.clone()))
        });
        waited.map_err(|e| anyhow!("{e:#}; it is {last}; attempts {:?}", self.attempts(c)))
    }

    /// Waits until the webhook has `n` dead letters, and returns them.
    pub(crate) fn wait_dead_letters(&self, c: &Cluster, n: usize) -> Result<Vec<Value>> {
        self.wait(c, &format!("{n} dead letters"), |hook| hook["dead_letters"] == n)?;
        let dead_letters = self.get(c, "/dead-letters?limit=1000")?;
        dead_letters.as_array().cloned().context("no list of dead letters")
    }

    /// Waits until no event is left to deliver.
    pub(crate) fn wait_settled(&self, c: &Cluster) -> Result<Value> {
        self.wait(c, "an empty queue", |hook| hook["queue_depth"] == 0 && hook["retrying"] == 0)
    }

    /// Returns a summary of the attempts that the webhook remembers.
    pub(crate) fn attempts(&self, c: &Cluster) -> Vec<String> {
        let attempts = self.get(c, "/attempts").unwrap_or_default();
        let short =
            |a: &Value| format!("{} #{} {} {}", a["message_id"], a["attempt"], a["class"], a["error"]);
        attempts.as_array().into_iter().flatten().map(short).collect()
    }

    /// Returns the node that owns the webhook.
    pub(crate) fn owner(&self, c: &Cluster) -> Result<usize> {
        c.wait_until("an owner", |c| {
            let owner = self.show(c)?["owner"].clone();
            let mut up = (0..c.nodes.len()).filter(|i| c.nodes[*i].is_up());
            Ok(up.find(|i| c.status(*i).is_ok_and(|status| !owner.is_null() && status["node_id"] == owner)))
        })
    }
}

/// Returns the API of a running node, with the map's token.
pub(crate) fn any(c: &Cluster, map: &Map) -> Result<Api> {
    Ok(c.api(c.up()?, map))
}

/// Publishes one event of that type with that payload; `key` identifies it.
pub(crate) fn publish_as(c: &Cluster, map: &Map, kind: &str, key: &str, mut payload: Value) -> Result<Ack> {
    payload["key"] = json!(key);
    let body = json!({"type": kind, "payload": payload});
    let data = c.publish(c.up()?, map, &body)?;
    ack(&data, key)
}

/// Publishes events with the keys `{prefix}0`, `{prefix}1`, … in batches.
pub(crate) fn publish_keys(c: &Cluster, map: &Map, prefix: &str, n: usize) -> Result<Vec<Ack>> {
    let keys: Vec<String> = (0..n).map(|i| format!("{prefix}{i}")).collect();
    let mut acks = Vec::new();
    for keys in keys.chunks(500) {
        let events: Vec<Value> =
            keys.iter().map(|key| json!({"type": "x", "payload": {"key": key}})).collect();
        let body = json!({"events": events});
        let data = c.publish(c.up()?, map, &body)?;
        let data = data.as_array().context("no list of events")?;
        ensure!(data.len() == keys.len(), "{} events of {}", data.len(), keys.len());
        for (event, key) in data.iter().zip(keys) {
            acks.push(ack(event, key)?);
        }
    }
    Ok(acks)
}

fn ack(envelope: &Value, key: &str) -> Result<Ack> {
    let seq = envelope["seq"].as_u64().context("no seq")?;
    Ok(Ack { key: key.to_owned(), id: text(envelope, "id")?, seq })
}

/// The keys of the events that a path has accepted.
pub(crate) fn keys(receiver: &Receiver, path: &str) -> BTreeSet<String> {
    receiver.accepted(path).into_iter().flat_map(|request| request.events).map(|event| event.key).collect()
}

/// Waits until the map was told that about the webhook; returns all such events.
pub(crate) fn wait_news(c: &Cluster, hook: &Hook, kind: &str) -> Result<Vec<Value>> {
    c.wait_until(&format!("`{kind}` about the webhook"), |c| {
        let subject = format!("%24webhook/{}", hook.id);
        let path = format!("{}?since=2000-01-01T00:00:00Z&limit=1000&subjects={subject}", hook.map.events());
        let events = any(c, &hook.map)?.get(&path)?.expect(200)?.json()?;
        let events = events["data"].as_array().context("no events")?;
        let about = |e: &&Value| e["type"] == kind && e["payload"].to_string().contains(&hook.id);
        let news: Vec<Value> = events.iter().filter(about).cloned().collect();
        Ok((!news.is_empty()).then_some(news))
    })
}

/// Checks again and again for `time` that `holds` stays true.
pub(crate) fn holds(time: Duration, what: &str, holds: impl Fn() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if !holds()? {
            bail!("{what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
