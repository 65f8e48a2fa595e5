//! The map with many subjects: its publishers, its readers, its rules, and what is deleted from it.
//!
//! More than half of all events go to one subject, of which a rule keeps few. The other subjects must stay
//! whole.

use super::{Load, Reader, Site, longpoll, phoenix, publish, sse};
use crate::history::{CHANNELS, Record};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::Duration;
use testkit::http::{Answer, text};
use testkit::wait;

/// The subjects, each as often as its share of the events. `""` is the map's own; one subject is a prefix of
/// others.
const SUBJECTS: [&str; 12] = [
    "", "orders", "orders-1", "orders-2", "chat", "noisy", "noisy", "noisy", "noisy", "noisy", "noisy",
    "noisy",
];
/// The subjects of which events may be deleted.
const DELETED: [&str; 2] = ["orders-2", "chat"];
/// The subject of which a rule keeps few events.
const NOISY: &str = "noisy";
/// How many of its events are kept.
pub const KEPT: u64 = 10;
/// How many publishers the map has.
const PUBLISHERS: usize = 3;
/// The subjects of this map's webhook: one of which readers keep few events, and a quiet one.
pub const HOOKED: [&str; 2] = [NOISY, "orders-1"];

/// Sets the rule, and starts the publishers and readers.
pub fn start(load: &mut Load, pace: Duration) -> Result<()> {
    keep(&load.site, KEPT)?;
    let reader = |name, subjects: &[&str], kinds: &[&str]| Reader::new(name, CHANNELS, subjects, kinds);
    load.read(reader("channels-own", &[], &[]), phoenix::run)?;
    load.read(reader("channels-one", &["orders-1"], &[]), sse::run)?;
    load.read(reader("channels-two", &["", "orders"], &[]), phoenix::run)?;
    load.read(reader("channels-pattern", &["orders-*"], &[]), longpoll::run)?;
    load.read(reader("channels-deleted", &["chat", "orders-2"], &["b"]), sse::run)?;
    load.read(reader("channels-noisy", &[NOISY], &[]), phoenix::run)?;
    load.read(reader("channels-noisy-b", &["n*"], &["b"]), longpoll::run)?;
    load.read(reader("channels-all", &["*"], &[]), sse::run)?;
    for n in 0..PUBLISHERS {
        let run = move |site: &Site, name: &str| publish::run(site, name, CHANNELS, &SUBJECTS, pace * 2);
        load.write(format!("channels{n}"), run)?;
    }
    Ok(())
}

/// From now on readers keep the newest `events` events of the noisy subject.
pub fn keep(site: &Site, events: u64) -> Result<()> {
    site.journal.note(Record::Keeps { topic: CHANNELS.to_owned(), subjects: NOISY.to_owned(), events });
    let rules = json!([{"match": NOISY, "history": {"events": events}}]).to_string();
    let path = format!("/api/maps/{}/channel-rules", site.channels.id);
    settled(site, "the rule to be set", |node| {
        let headers = [("content-type", "application/json")];
        site.api(node, &site.channels.token).call("PUT", &path, &headers, Some(rules.as_bytes()))
    })
}

/// Deletes one event, by any node: a random event of the subjects in `DELETED`.
pub fn delete_one(site: &Site, node: usize, chance: usize) -> Result<()> {
    let events = wait::until("events to choose from", || {
        let query = format!("since=2000-01-01T00:00:00Z&limit=1000&subjects={}", DELETED.join(","));
        let path = format!("{}?{query}", site.channels.events());
        let data = site.api(node, &site.channels.token).get(&path)?.data(200)?;
        Ok(Some(data.as_array().cloned().unwrap_or_default()))
    })?;
    let Some(chosen) = events.get(chance % events.len().max(1)) else { return Ok(()) };
    let topic = CHANNELS.to_owned();
    let id = text(chosen, "id")?;
    let path = format!("{}/{id}", site.channels.events());
    let note = |asked_ms, done| {
        site.journal.note(Record::Deleted { topic: topic.clone(), id: id.clone(), asked_ms, done });
    };
    removed(site, node, &path, note)
}

/// Deletes all events of one of the subjects in `DELETED`.
pub fn empty_one(site: &Site, node: usize, chance: usize) -> Result<()> {
    let subject = DELETED[chance % DELETED.len()];
    let path = format!("/api/maps/{}/subjects/{subject}", site.channels.id);
    let note = |asked_ms, done| {
        let topic = CHANNELS.to_owned();
        let subject = subject.to_owned();
        site.journal.note(Record::Emptied { topic, subject, asked_ms, done });
    };
    removed(site, node, &path, note)
}

/// Repeats the deletion until it is acknowledged, and records each attempt and the answer.
fn removed(site: &Site, first: usize, path: &str, note: impl Fn(u64, bool)) -> Result<()> {
    let mut turn = first;
    wait::until("a deletion", || {
        turn += 1;
        let asked_ms = site.journal.now_ms();
        note(asked_ms, false);
        let answer = site.api(turn % site.nodes.len(), &site.channels.token).delete(path)?;
        // An attempt whose answer was lost may have been carried out.
        ensure!(matches!(answer.status, 200 | 204 | 404), "{}: {}", answer.status, answer.text());
        note(asked_ms, true);
        Ok(Some(()))
    })
}

/// Asks one node after the other until one answers that the request is done.
fn settled(site: &Site, what: &str, ask: impl Fn(usize) -> Result<Answer>) -> Result<()> {
    let mut turn = 0;
    wait::until(what, || {
        turn += 1;
        ask(turn % site.nodes.len())?.expect(200).map(|_| Some(()))
    })
}
