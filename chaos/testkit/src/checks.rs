//! Checks what clients saw against what publishers were told. Knows no process and no socket.

use crate::cluster::{Cluster, Map};
use crate::event::Event;
use crate::http::text;
use crate::publisher::Ack;
use anyhow::{Context, Result, bail, ensure};
use checker::{Item, Told};
use serde_json::Value;
use std::collections::HashMap;

impl<'a> Item for &'a Event {
    type Key = &'a str;
    type Id = &'a str;

    fn told(self) -> Told<&'a str, &'a str> {
        told(&self.key, &self.id, self.seq)
    }

    fn follows(self, before: Self) -> bool {
        self.id > before.id
    }
}

/// What is told of an event to who only knows this of it.
pub fn told<'a>(key: &'a str, id: &'a str, place: u64) -> Told<&'a str, &'a str> {
    Told { place, key: Some(key).filter(|key| !key.is_empty()), id }
}

/// Every acknowledged event after `start` exactly once and in order: the sequence numbers are
/// `start + 1, start + 2, …` without a gap, ids ascend, no key comes twice, and each
/// acknowledgement is found under its id and seq. Events that were never acknowledged may be there
/// (their answer was lost).
pub fn check_stream(who: &str, start: u64, seen: &[Event], acks: &[Ack]) -> Result<()> {
    let mut faults = Vec::new();
    let mut next = start + 1;
    for event in seen {
        if event.seq != next {
            faults.push(format!("expected seq {next}, got {} ({})", event.seq, event.key));
        }
        next = event.seq + 1;
    }
    faults.extend(misordered(seen));
    let by_seq: HashMap<u64, &Event> = seen.iter().map(|e| (e.seq, e)).collect();
    for ack in acks.iter().filter(|a| a.seq > start) {
        match by_seq.get(&ack.seq) {
            Some(e) if e.id == ack.id && e.key == ack.key => {}
            other => faults.push(format!("acknowledged {ack:?}, found {other:?}")),
        }
    }
    verdict(who, &faults)
}

/// The same for a client with a filter: the acknowledged events of the types `kinds`, each exactly
/// once, in order, and none of another type.
pub fn check_filtered(who: &str, kinds: &[&str], all: &[Event], seen: &[Event]) -> Result<()> {
    let expected: Vec<&Event> = all.iter().filter(|e| kinds.contains(&e.kind.as_str())).collect();
    let mut faults = misordered(seen);
    if seen.iter().collect::<Vec<_>>() != expected {
        let first = seen.iter().zip(&expected).position(|(a, b)| a != *b);
        faults.push(format!(
            "{} events of {kinds:?} exist, {} were seen; the first that differs: {first:?}",
            expected.len(),
            seen.len()
        ));
    }
    verdict(who, &faults)
}

fn misordered(seen: &[Event]) -> Vec<String> {
    let mut faults = Vec::new();
    for pair in seen.windows(2) {
        if pair[0].id >= pair[1].id || pair[0].seq >= pair[1].seq {
            faults.push(format!("{:?} came before {:?}", pair[0], pair[1]));
        }
    }
    let mut keys = HashMap::new();
    for event in seen.iter().filter(|e| !e.key.is_empty()) {
        if let Some(first) = keys.insert(&event.key, event.seq) {
            faults.push(format!("key {} came as seq {first} and {}", event.key, event.seq));
        }
    }
    faults
}

fn verdict(who: &str, faults: &[String]) -> Result<()> {
    let shown: Vec<&String> = faults.iter().take(5).collect();
    ensure!(faults.is_empty(), "{who}: {} faults, the first: {shown:#?}", faults.len());
    Ok(())
}

/// One publisher's acknowledgements rise, and no two publishers were given the same place.
pub fn check_acks(publishers: &[Vec<Ack>]) -> Result<()> {
    let mut places = HashMap::new();
    for acks in publishers {
        for pair in acks.windows(2) {
            ensure!(pair[0].seq < pair[1].seq, "{:?} then {:?}", pair[0], pair[1]);
        }
        for ack in acks {
            if let Some(other) = places.insert(ack.seq, ack) {
                bail!("one place for two: {other:?} and {ack:?}");
            }
        }
    }
    Ok(())
}

/// The bytes of every page of a map's whole backfill, as that node serves it.
pub fn backfill(cluster: &Cluster, node: usize, map: &Map) -> Result<Vec<Vec<u8>>> {
    let mut pages = Vec::new();
    let mut query = "since=2000-01-01T00:00:00Z".to_owned();
    loop {
        let path = format!("{}?{query}&limit=500", map.events());
        let page = cluster.admin(node).get(&path)?.expect(200)?;
        let json = page.json()?;
        pages.push(page.body);
        if json["has_more"] != true {
            return Ok(pages);
        }
        query = format!("after={}", text(&json, "cursor")?);
    }
}

/// The backfill of every running node, byte for byte the same; its events.
pub fn same_backfill(cluster: &Cluster, map: &Map) -> Result<Vec<Event>> {
    cluster.wait_same_applied()?;
    let up: Vec<usize> = (0..cluster.nodes.len()).filter(|i| cluster.nodes[*i].is_up()).collect();
    let first = *up.first().context("no node is up")?;
    let pages = backfill(cluster, first, map)?;
    for node in up {
        let other = backfill(cluster, node, map)?;
        if let Some(at) = (0..pages.len().max(other.len())).find(|i| pages.get(*i) != other.get(*i)) {
            let show =
                |p: Option<&Vec<u8>>| p.map(|b| String::from_utf8_lossy(b).chars().take(600).collect::<String>());
            bail!(
                "page {at} of the backfill differs: node {first} {:?}, node {node} {:?}",
                show(pages.get(at)),
                show(other.get(at))
            );
        }
    }
    events(&pages)
}

fn events(pages: &[Vec<u8>]) -> Result<Vec<Event>> {
    let mut seen = Vec::new();
    for page in pages {
        let json: Value = serde_json::from_slice(page)?;
        let data = json["data"].as_array().context("a page without data")?;
        for envelope in data {
            seen.push(Event::from_envelope(envelope)?);
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn seen(seq: u64) -> Event {
        let (id, kind, key) = (format!("{seq:026}"), "t".into(), format!("k{seq}"));
        Event { id, seq, kind, subject: String::new(), key, hash: String::new() }
    }

    fn ack(seq: u64) -> Ack {
        Ack { key: format!("k{seq}"), id: format!("{seq:026}"), seq }
    }

    #[test]
    fn the_oracle_sees_loss_repetition_disorder_and_change() {
        let acks: Vec<Ack> = (1..=4).map(ack).collect();
        let whole: Vec<Event> = (1..=4).map(seen).collect();
        check_stream("whole", 0, &whole, &acks).unwrap();
        check_stream("late", 2, &whole[2..], &acks).unwrap();
        let mut changed = whole.clone();
        changed[1].key = "other".into();
        let wrong = [
            ("lost", vec![seen(1), seen(2), seen(4)]),
            ("lost at the end", vec![seen(1), seen(2), seen(3)]),
            ("twice", vec![seen(1), seen(2), seen(2), seen(3), seen(4)]),
            ("swapped", vec![seen(1), seen(3), seen(2), seen(4)]),
            ("changed", changed),
        ];
        for (what, history) in wrong {
            assert!(check(what, 0, &history, &acks).is_err(), "{what}");
        }
    }
}
