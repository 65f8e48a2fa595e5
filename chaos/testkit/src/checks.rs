//! Checks of what clients saw against what publishers were answered, by the same rules as the chaos suite and
//! the simulator ([`checker`]); and of what nodes hold at the end.

use crate::clients::Js;
use crate::cluster::{Cluster, Map};
use crate::event::Event;
use crate::http::Api;
use crate::publisher::Ack;
use anyhow::{Context, Error, Result, bail, ensure};
use checker::{Checker, Facts, Item, Kept, Log, Verdict, Verdicts};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashSet;

impl<'a> Item for &'a Event {
    type Key = &'a str;
    type Id = &'a str;

    fn facts(self) -> Facts<&'a str, &'a str> {
        facts(&self.key, &self.id, self.seq)
    }

    fn follows(self, before: Self) -> bool {
        self.id > before.id
    }
}

/// The facts about an event of which only these are known.
pub fn facts<'a>(key: &'a str, id: &'a str, position: u64) -> Facts<&'a str, &'a str> {
    Facts { position, key: Some(key).filter(|key| !key.is_empty()), id }
}

/// Checks that a client saw every acknowledged event after `start` exactly once and in order: the sequence
/// numbers are `start + 1, start + 2, …` without a gap, ids ascend, no key comes twice, and each
/// acknowledgement is found under its id and seq. Events without an acknowledgement may be there too: their
/// answer was lost.
pub fn check_stream(who: &str, start: u64, seen: &[Event], acks: &[Ack]) -> Result<()> {
    let mut log = Log::default();
    let mut verdicts = Verdicts::default();
    let events: Vec<&Event> = seen.iter().collect();
    events.iter().for_each(|event| log.asked(event.key.as_str()));
    for ack in acks.iter().filter(|ack| ack.seq > start) {
        log.acked(facts(&ack.key, &ack.id, ack.seq), &mut verdicts);
    }
    let before = |seq| seq <= start;
    log.ends(who, &events, Kept::But(&before), &mut verdicts);
    let from = events.first().map(|event| event.seq);
    verdicts.check(2, from.is_none_or(|from| from == start + 1), || {
        format!("began with {from:?}, after {start}")
    });
    verdicts
        .into_vec()
        .iter()
        .try_for_each(Verdict::result)
        .map_err(Error::msg)
        .with_context(|| who.to_owned())
}

/// Checks that all nodes hold every acknowledged event, and that each of these clients, which want all
/// events, has seen exactly what the nodes hold. Returns all events.
pub fn check_clients(cluster: &Cluster, map: &Map, acks: &[Ack], clients: &[Js]) -> Result<Vec<Event>> {
    let all = same_backfill(cluster, map)?;
    check_stream("backfill", 0, &all, acks)?;
    for (number, client) in clients.iter().enumerate() {
        client.wait_seq(all.last().map_or(0, |event| event.seq))?;
        let seen = client.events()?;
        check_stream(&format!("client {number}"), 0, &seen, acks)?;
        ensure!(seen == all, "the events of client {number} differ from the backfill");
    }
    Ok(all)
}

/// Checks that a client with a filter saw the events of the types `kinds`, each exactly once, in order, and
/// no event of another type.
pub fn check_filtered(who: &str, kinds: &[&str], all: &[Event], seen: &[Event]) -> Result<()> {
    let expected: Vec<&Event> = all.iter().filter(|event| kinds.contains(&event.kind.as_str())).collect();
    let first = seen.iter().zip(&expected).position(|(one, other)| one != *other);
    ensure!(
        first.is_none() && seen.len() == expected.len(),
        "{who}: {} events of {kinds:?} exist, {} were seen; the first that differs: {first:?}",
        expected.len(),
        seen.len()
    );
    Ok(())
}

/// Checks that each publisher's acknowledgements ascend, and that no two events have the same position.
pub fn check_acks(publishers: &[Vec<Ack>]) -> Result<()> {
    let mut positions = HashSet::new();
    for acks in publishers {
        for pair in acks.windows(2) {
            ensure!(pair[0].seq < pair[1].seq, "{:?} then {:?}", pair[0], pair[1]);
        }
        for ack in acks {
            ensure!(positions.insert(ack.seq), "two events have one position, one of them {ack:?}");
        }
    }
    Ok(())
}

/// A page of a map's history.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    has_more: bool,
    cursor: Option<String>,
}

/// The bytes of every page of a map's whole history, as a node serves it; `more` is added to each query.
fn pages(api: &Api, map: &Map, more: &str) -> Result<Vec<Vec<u8>>> {
    let mut pages = Vec::new();
    let mut from = "since=2000-01-01T00:00:00Z".to_owned();
    loop {
        let body = api.get(&format!("{}?{from}&limit=1000{more}", map.events()))?.expect(200)?.body;
        let page: Page<'_> = serde_json::from_slice(&body)?;
        let cursor =
            page.has_more.then(|| page.cursor.context("a page with has_more and no cursor")).transpose()?;
        pages.push(body);
        match cursor {
            Some(cursor) => from = format!("after={cursor}"),
            None => return Ok(pages),
        }
    }
}

fn events(pages: &[Vec<u8>]) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for page in pages {
        let page: Page<'_> = serde_json::from_slice(page)?;
        for envelope in page.data {
            events.push(Event::read(envelope.get())?);
        }
    }
    Ok(events)
}

/// Every event that a node holds of a map, of any subject.
pub fn held(api: &Api, map: &Map) -> Result<Vec<Event>> {
    events(&pages(api, map, "&subjects=*")?)
}

/// Checks that the map's own history is the same at every running node, byte for byte. Returns its events.
pub fn same_backfill(cluster: &Cluster, map: &Map) -> Result<Vec<Event>> {
    cluster.wait_same_applied()?;
    let up: Vec<usize> = (0..cluster.nodes.len()).filter(|i| cluster.nodes[*i].is_up()).collect();
    let histories =
        up.iter().map(|node| pages(&cluster.admin(*node), map, "")).collect::<Result<Vec<_>>>()?;
    let first = histories.first().context("no node is up")?;
    for (node, other) in up.iter().zip(&histories) {
        let show = |page: Option<&Vec<u8>>| {
            page.map(|bytes| String::from_utf8_lossy(bytes).chars().take(600).collect::<String>())
        };
        if let Some(at) = (0..first.len().max(other.len())).find(|at| first.get(*at) != other.get(*at)) {
            let one = show(first.get(at));
            let another = show(other.get(at));
            bail!("page {at} of the history differs: node {} {one:?}, node {node} {another:?}", up[0]);
        }
    }
    events(first)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn seen(seq: u64) -> Event {
        let id = format!("{seq:026}");
        let kind = "t".into();
        let key = format!("k{seq}");
        Event { id, seq, kind, subject: String::new(), key, hash: String::new() }
    }

    fn ack(seq: u64) -> Ack {
        Ack { key: format!("k{seq}"), id: format!("{seq:026}"), seq }
    }

    #[test]
    fn lost_repeated_reordered_and_changed_events_are_found() {
        let acks: Vec<Ack> = (1..=4).map(ack).collect();
        let whole: Vec<Event> = (1..=4).map(seen).collect();
        check_stream("whole", 0, &whole, &acks).unwrap();
        check_stream("late", 2, &whole[2..], &acks).unwrap();
        assert!(check_stream("too early", 2, &whole[1..], &acks).is_err());
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
            assert!(check_stream(what, 0, &history, &acks).is_err(), "{what}");
        }
    }
}
