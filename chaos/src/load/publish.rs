//! A publisher that never gives up on an event: under one key, at one node after the other, until it is acknowledged.

use super::Site;
use crate::history::Record;
use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use testkit::http::text;

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(50);
/// How often the last event is tried when it shall be quiet.
const LAST_ATTEMPTS: usize = 6;
/// The types, in turns.
const KINDS: [&str; 2] = ["a", "b"];

/// Publishes to a topic until it shall be quiet, to these subjects by chance; the last event is still tried for a while.
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
        let place = Place { topic, subject, key: &key };
        let mut node = dice.below(site.nodes.len());
        let mut left = LAST_ATTEMPTS;
        while left > 0 && !publish(site, place, &body, node) {
            left -= usize::from(site.is_quiet());
            node = (node + 1) % site.nodes.len();
            std::thread::sleep(AGAIN);
        }
        n += 1;
        std::thread::sleep(pace);
    }
}

/// Where an event belongs, and the key under which it is asked for.
#[derive(Clone, Copy)]
struct Place<'a> {
    topic: &'a str,
    subject: &'a str,
    key: &'a str,
}

/// One attempt; whether it is settled.
fn publish(site: &Site, place: Place<'_>, body: &Value, node: usize) -> bool {
    let map = site.map(place.topic);
    let (topic, subject, key) = (place.topic.to_owned(), place.subject.to_owned(), place.key.to_owned());
    site.journal.note(Record::Asked { topic: topic.clone(), key: key.clone(), subject, node });
    match attempt(site, &map.events(), &map.token, &key, body, node) {
        Ok((id, seq)) => {
            site.journal.note(Record::Acked { topic, key, id, seq, node });
            true
        }
        Err(error) => {
            site.journal.note(Record::Unknown { topic, key, node, why: format!("{error:#}") });
            false
        }
    }
}

fn attempt(site: &Site, path: &str, token: &str, key: &str, body: &Value, node: usize) -> Result<(String, u64)> {
    let data = site.api(node, token).post_once(path, key, body)?.data(201)?;
    let seq = data["seq"].as_u64().ok_or_else(|| anyhow!("no seq in {data}"))?;
    Ok((text(&data, "id")?, seq))
}
