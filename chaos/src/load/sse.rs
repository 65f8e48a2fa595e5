//! A client of the event stream (SSE) that comes and goes.

use super::{Reader, Site};
use crate::history::{Event, Record};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long it stays, at least and at most.
const STAYS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(9));
/// The pause before it comes again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(2500));

/// Until all is over.
pub fn run(site: &Site, reader: &Reader) {
    let mut dice = site.dice(&reader.name);
    let mut last = None;
    while !site.is_over() {
        let node = dice.below(site.nodes.len());
        let stays = dice.between(STAYS.0, STAYS.1);
        // Whatever ended it, also its own time-out: it comes again.
        let _ = stay(site, reader, node, stays, &mut last);
        if !site.is_quiet() {
            std::thread::sleep(dice.between(PAUSE.0, PAUSE.1));
        }
    }
}

fn stay(site: &Site, reader: &Reader, node: usize, stays: Duration, last: &mut Option<String>) -> Result<()> {
    let map = site.map(reader.topic);
    let mut url = format!("http://{}{}/stream?", site.nodes[node], map.events());
    if !reader.kinds.is_empty() {
        url += &format!("events={}&", reader.kinds.join(","));
    }
    if !reader.subjects.is_empty() {
        url += &format!("subjects={}&", reader.subjects.join(","));
    }
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(stays)).build().into();
    let mut request = agent.get(&url).header("authorization", format!("Bearer {}", map.token));
    request = match &last {
        Some(id) => request.header("last-event-id", id),
        None => request.query("since", "2000-01-01T00:00:00Z"),
    };
    let mut response = request.call()?;
    site.journal.note(Record::Joined { client: reader.name.clone(), node, after: last.clone() });
    let mut lines = BufReader::new(response.body_mut().as_reader());
    let (mut kind, mut data, mut id) = (String::new(), String::new(), None);
    while !site.is_over() {
        let mut line = String::new();
        ensure!(lines.read_line(&mut line)? > 0, "ended");
        let line = line.trim_end_matches(['\r', '\n']);
        if let Some(value) = line.strip_prefix("event:") {
            kind = value.trim().to_owned();
        } else if let Some(value) = line.strip_prefix("id:") {
            id = Some(value.trim().to_owned());
        } else if let Some(value) = line.strip_prefix("data:") {
            data += value.trim_start();
        } else if line.is_empty() && !data.is_empty() {
            take(site, reader, &kind, &data).with_context(|| data.clone())?;
            // Every frame that has an id moves the position, as in an EventSource.
            *last = id.take().or(last.take());
            kind.clear();
            data.clear();
        }
    }
    Ok(())
}

fn take(site: &Site, reader: &Reader, kind: &str, data: &str) -> Result<()> {
    let client = reader.name.clone();
    if kind == "position" {
        return Ok(());
    }
    if kind == "connected" {
        let greeting: Value = serde_json::from_str(data)?;
        if greeting["gap"] == true {
            let oldest = greeting["oldest_id"].as_str().map(str::to_owned);
            site.journal.note(Record::Gap { client, oldest });
        }
        return Ok(());
    }
    let event = Event::read(data)?;
    let seq = event.seq;
    site.journal.note(Record::Seen { client, event });
    reader.seq.store(seq, Ordering::Relaxed);
    Ok(())
}
