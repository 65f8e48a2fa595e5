//! What was stored: 1 (acknowledged is kept), 3 (one log), 4 (nothing but what is committed), 8 (a repeat lands once).

use super::{Index, Verdict};
use crate::history::{Event, MAIN, Record, SHORT};
use std::collections::{HashMap, HashSet};

/// 1: what was acknowledged is held by every node, under the id and place that were told.
pub(super) fn kept(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(1, "acknowledged is kept");
    for topic in [MAIN, SHORT] {
        let acks = index.acks.get(topic).map_or(&[][..], Vec::as_slice);
        let nodes = index.stored.get(topic);
        if !acks.is_empty() && nodes.is_none_or(|nodes| nodes.is_empty()) {
            verdict.check(false, || format!("{topic}: {} acknowledged, and no node told what it holds", acks.len()));
        }
        for (node, events) in nodes.into_iter().flatten() {
            let by_seq: HashMap<u64, &Event> = events.iter().map(|event| (event.seq, *event)).collect();
            // Retention takes from the front, and only of that topic.
            let oldest = if topic == SHORT { events.first().map_or(u64::MAX, |event| event.seq) } else { 0 };
            for ack in acks.iter().filter(|ack| ack.seq >= oldest) {
                let found = by_seq.get(&ack.seq);
                let same = found.is_some_and(|event| event.id == ack.id && event.key == ack.key);
                verdict.check(same, || format!("node {node} of {topic}: {ack:?} was acknowledged, it holds {found:?}"));
            }
        }
    }
    let count = |topic| index.acks.get(topic).map_or(0, Vec::len);
    verdict.figure = format!("{} acknowledged", count(MAIN) + count(SHORT));
    verdict
}

/// 3: places are gapless from 1, ids ascend, and every node and client has the same event at a place.
pub(super) fn one_log(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(3, "one gapless log, the same bytes");
    for (topic, nodes) in &index.stored {
        let reference = index.by_seq(topic);
        for (node, events) in nodes {
            let first = if *topic == MAIN { 1 } else { events.first().map_or(1, |event| event.seq) };
            for (event, expected) in events.iter().zip(first..) {
                let same = event.seq == expected && reference.get(&expected) == Some(event);
                let other = reference.get(&expected);
                verdict
                    .check(same, || format!("node {node} of {topic} at {expected}: {event:?}, another has {other:?}"));
            }
            for pair in events.windows(2).filter(|pair| pair[0].id >= pair[1].id) {
                verdict.check(false, || format!("node {node} of {topic}: {:?} before {:?}", pair[0], pair[1]));
            }
            let longest = nodes.values().map(Vec::len).max().unwrap_or(0);
            verdict.check(events.len() == longest, || {
                format!("node {node} holds {} events of {topic}, another {longest}", events.len())
            });
        }
        for (client, told) in &index.clients(topic) {
            for event in told.told.iter().filter_map(super::streams::event) {
                if let Some(stored) = reference.get(&event.seq) {
                    verdict.check(*stored == event, || format!("{client} saw {event:?}, stored is {stored:?}"));
                }
            }
        }
    }
    let nodes = index.stored.get(MAIN).map_or(0, |nodes| nodes.len());
    verdict.figure = format!("{} events on {nodes} nodes", index.reference(MAIN).len());
    verdict
}

/// 4: what anybody was given is in the log in the end, at that place, and was published before.
pub(super) fn committed_only(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(4, "delivered only when committed");
    let known: HashMap<&str, HashMap<u64, &Event>> =
        [MAIN, SHORT].into_iter().map(|topic| (topic, index.by_seq(topic))).collect();
    let topics: HashMap<&str, &str> = index
        .history
        .records()
        .filter_map(|record| match record {
            Record::Client { client, topic, .. } => Some((client.as_str(), topic.as_str())),
            _ => None,
        })
        .collect();
    let mut asked = HashSet::new();
    for record in index.history.records() {
        let (who, topic, id, seq, key) = match record {
            Record::Asked { key, .. } => {
                asked.insert(key.as_str());
                continue;
            }
            Record::Seen { client, event } => {
                let topic = topics.get(client.as_str()).copied().unwrap_or(MAIN);
                (client, topic, &event.id, event.seq, &event.key)
            }
            Record::Got { hook, id, seq, key, .. } => (hook, MAIN, id, *seq, key),
            _ => continue,
        };
        let stored = known.get(topic).and_then(|events| events.get(&seq));
        // What retention took can't be looked up any more.
        let gone = topic == SHORT && stored.is_none();
        let same = gone || stored.is_some_and(|event| event.id == *id && event.key == *key);
        verdict.check(same, || format!("{who} was given {id} at {seq} ({key}), the log has {stored:?}"));
        if !key.is_empty() && !asked.contains(key.as_str()) {
            verdict.check(false, || format!("{who} was given {key}, which nobody had published yet"));
        }
    }
    verdict.figure = "deliveries looked up in the log".to_owned();
    verdict
}

/// 8: a publish that was repeated under its key landed once, and each answer named the same event.
pub(super) fn lands_once(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(8, "a repeated publish lands once");
    let mut asked: HashMap<&str, u64> = HashMap::new();
    for record in index.history.records() {
        if let Record::Asked { key, .. } = record {
            *asked.entry(key).or_default() += 1;
        }
    }
    let repeated: HashSet<&str> = asked.iter().filter(|(_, times)| **times > 1).map(|(key, _)| *key).collect();
    for topic in [MAIN, SHORT] {
        let mut places: HashMap<&str, u64> = HashMap::new();
        for event in index.reference(topic).iter().filter(|event| !event.key.is_empty()) {
            let before = places.insert(&event.key, event.seq);
            if repeated.contains(event.key.as_str()) || before.is_some() {
                verdict.check(before.is_none(), || format!("{} landed at {before:?} and {}", event.key, event.seq));
            }
        }
        let mut answers: HashMap<&str, (&str, u64)> = HashMap::new();
        for ack in index.acks.get(topic).into_iter().flatten() {
            let first = *answers.entry(ack.key).or_insert((ack.id, ack.seq));
            if first != (ack.id, ack.seq) {
                verdict.check(false, || format!("{ack:?} was answered before as {first:?}"));
            }
        }
    }
    verdict.figure = format!("{} publishes were repeated", repeated.len());
    verdict
}
