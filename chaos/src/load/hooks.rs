//! The webhooks of a run and their receiver: an ordered one, a plain one, one whose receiver is dead, and one
//! of the map with many subjects that selects some of them.

use super::{Site, channels};
use crate::history::{CHANNELS, Event, MAIN, Record, digest, selects};
use anyhow::{Context, Result};
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;
use testkit::cluster::Cluster;
use testkit::http::text;
use testkit::receiver::{Receiver, Request, behaviour, now_ms};

/// The pause between two questions about the webhooks' progress.
const WATCH: Duration = Duration::from_millis(700);

/// A webhook of the run.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Its name, and its path at the receiver.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Whether its receiver accepts nothing.
    pub dead: bool,
    /// The topic whose events it gets.
    pub topic: &'static str,
    /// The subjects that it gets; the map's own when empty.
    pub subjects: Vec<String>,
}

impl Hook {
    /// How many of these events it must get.
    pub fn wanted(&self, events: &[Event]) -> usize {
        events.iter().filter(|event| selects(&self.subjects, &event.subject)).count()
    }

    fn path(&self) -> String {
        format!("/{}", self.name)
    }
}

/// All webhooks of a run.
#[derive(Debug)]
pub struct Hooks {
    receiver: Receiver,
    hooks: Vec<Hook>,
}

impl Hooks {
    /// Creates the webhooks; the receiver listens at `hub`.
    pub fn make(cluster: &Cluster, site: &Site, hub: IpAddr) -> Result<Self> {
        let mut made = Self { receiver: Receiver::start_at(hub)?, hooks: Vec::new() };
        let all = [
            ("ordered", "strict", false, MAIN, &[][..]),
            ("plain", "none", false, MAIN, &[]),
            ("dead", "none", true, MAIN, &[]),
            ("chosen", "strict", false, CHANNELS, &channels::HOOKED),
        ];
        for (name, ordering, dead, topic, subjects) in all {
            let url = made
                .receiver
                .on(&format!("/{name}"), if dead { behaviour::silent() } else { behaviour::healthy() });
            let attempts = if dead { 2 } else { 20 };
            let retry = json!({"max_attempts": attempts, "delay_ms": 200, "factor": 1.5, "max_delay_ms": 3000, "jitter": 0});
            let mut body =
                json!({"url": url, "name": name, "ordering": ordering, "retry": retry, "timeout_ms": 1500});
            if !subjects.is_empty() {
                body["filter"] = json!({"subjects": subjects});
            }
            let map = site.map(topic);
            let api = cluster.api(0, map);
            let path = format!("/api/maps/{}/webhooks", map.id);
            let data = match api.create(&path, &body)? {
                Some(made) => made,
                None => {
                    let all = api.get(&path)?.data(200)?;
                    let found = all.as_array().into_iter().flatten().find(|hook| hook["name"] == name);
                    found.cloned().with_context(|| format!("no webhook {name} in {all}"))?
                }
            };
            let subjects: Vec<String> = subjects.iter().map(|subject| (*subject).to_owned()).collect();
            site.journal.note(Record::Hook {
                hook: name.to_owned(),
                strict: ordering == "strict",
                dead,
                topic: topic.to_owned(),
                subjects: subjects.clone(),
            });
            made.hooks.push(Hook { name: name.to_owned(), id: text(&data, "id")?, dead, topic, subjects });
        }
        Ok(made)
    }

    /// All webhooks, with their names and ids.
    pub fn ids(&self) -> Vec<Hook> {
        self.hooks.clone()
    }

    /// With `true`, the receivers of the good webhooks take requests and never answer; with `false`, they
    /// answer again.
    pub fn blackhole(&self, on: bool) {
        for hook in self.hooks.iter().filter(|hook| !hook.dead) {
            self.receiver.on(&hook.path(), if on { behaviour::silent() } else { behaviour::healthy() });
        }
    }

    /// The good webhooks, each with the number of different events that its receiver has accepted.
    pub fn accepted(&self) -> Vec<(String, usize)> {
        let good = self.hooks.iter().filter(|hook| !hook.dead);
        let count = |hook: &Hook| testkit::receiver::tally::distinct(&self.receiver.requests(&hook.path()));
        good.map(|hook| (hook.name.clone(), count(hook))).collect()
    }

    /// Records all requests that came.
    pub fn note(&self, site: &Site) {
        for hook in &self.hooks {
            note_requests(site, &hook.name, &self.receiver.requests(&hook.path()));
        }
    }

    /// The address of the receiver.
    pub fn address(&self) -> IpAddr {
        self.receiver.addr.ip()
    }
}

/// Records the requests that came to a webhook.
pub fn note_requests(site: &Site, hook: &str, requests: &[Request]) {
    let begun = now_ms().saturating_sub(site.journal.now_ms());
    for request in requests {
        let id = request.id().to_owned();
        let digest = digest(&[&request.body]);
        for event in &request.events {
            let got = Record::Got {
                hook: hook.to_owned(),
                request: id.clone(),
                digest: digest.clone(),
                id: event.id.clone(),
                seq: event.seq.unwrap_or(0),
                key: event.key.clone(),
                accepted: request.is_accepted(),
            };
            site.journal.note_at(request.at_ms.saturating_sub(begun), got);
        }
    }
}

/// Asks all nodes for the webhooks' progress, again and again.
pub fn watch(site: &Site, hooks: &[Hook]) {
    while !site.is_quiet() {
        for node in 0..site.nodes.len() {
            for hook in hooks {
                // A node that does not answer is skipped.
                let _ = ask(site, node, hook);
            }
        }
        std::thread::sleep(WATCH);
    }
}

/// Asks a node for a webhook's progress: how many events are delivered, and how many wait.
pub fn ask(site: &Site, node: usize, hook: &Hook) -> Result<(u64, u64)> {
    let asked_ms = site.journal.now_ms();
    let map = site.map(hook.topic);
    let path = format!("/api/maps/{}/webhooks/{}", map.id, hook.id);
    let api = site.api(node, &map.token).timeout(Duration::from_secs(2));
    let shown = api.get(&path)?.data(200)?;
    let number = |name: &str| shown[name].as_u64().with_context(|| format!("no {name} in {shown}"));
    let delivered = number("delivered")?;
    let queued = number("queue_depth")?;
    site.journal.note(Record::Progress { node, hook: hook.name.clone(), asked_ms, delivered, queued });
    Ok((delivered, queued))
}
