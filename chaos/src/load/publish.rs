//! A publisher that never gives up on an event: it sends it under one key, to one node after the other, until
//! it is acknowledged.

use super::Site;
use crate::history::Record;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use testkit::cluster::Map;
use testkit::http::{Answer, text};

/// The pause between two attempts.
const AGAIN: Duration = Duration::from_millis(50);
/// How often the last event is tried when publishers must end.
const LAST_ATTEMPTS: usize = 6;
/// The types of the events, in turn.
const KINDS: [&str; 2] = ["a", "b"];

/// Publishes to a topic, to random subjects of this list, until publishers must end. The last event is still
/// tried a few times.
pub fn run(site: &Site, name: &str, topic: &str, subjects: &[&str], pace: Duration) {
    let mut dice = site.dice(name);
    let mut n = 0;
    while !site.is_quiet() {
        if site.paused.load(Ordering::Relaxed) {
            std::thread::sleep(AGAIN);
            continue;
        }
        let key = format!("{name}-{n}");
        let pad = "é…x".repeat(dice.below(60));
        let subject = subjects[dice.below(subjects.len())];
        let mut body = json!({"type": KINDS[n % KINDS.len()], "payload": {"key": key, "n": n, "pad": pad}});
        if !subject.is_empty() {
            body["subject"] = json!(subject);
        }
        let mut node = dice.below(site.nodes.len());
        let mut left = LAST_ATTEMPTS;
        while left > 0 && publish(site, topic, &key, &body, node).is_none() {
            left -= usize::from(site.is_quiet());
            node = (node + 1) % site.nodes.len();
            std::thread::sleep(AGAIN);
        }
        n += 1;
        std::thread::sleep(pace);
    }
}

/// Sends one attempt to publish under a key and records it. Returns the answer if it is an acknowledgement.
pub fn publish(site: &Site, topic: &str, key: &str, body: &Value, node: usize) -> Option<Answer> {
    let map = site.map(topic);
    let topic = topic.to_owned();
    let key = key.to_owned();
    let subject = body["subject"].as_str().unwrap_or_default().to_owned();
    site.journal.note(Record::Asked { topic: topic.clone(), key: key.clone(), subject, node });
    match attempt(site, map, &key, body, node) {
        Ok((answer, id, seq)) => {
            site.journal.note(Record::Acked { topic, key, id, seq, node });
            Some(answer)
        }
        Err(error) => {
            site.journal.note(Record::Unknown { topic, key, node, why: format!("{error:#}") });
            None
        }
    }
}

fn attempt(site: &Site, map: &Map, key: &str, body: &Value, node: usize) -> Result<(Answer, String, u64)> {
    let answer = site.api(node, &map.token).post_once(&map.events(), key, body)?;
    let data = answer.clone().data(201)?;
    let seq = data["seq"].as_u64().with_context(|| format!("no seq in {data}"))?;
    Ok((answer, text(&data, "id")?, seq))
}
