//! 10 (everything catches up, memory is bounded) and 11 (damage is found, never served).

use super::{Index, Verdict};
use crate::history::{MAIN, Record};

/// Faults that may end a process: a node that can't keep its promises stops.
const ENDING: [&str; 3] = ["disk error", "disk full", "power cut"];
/// How much slower a healthy tenant may be beside a hostile one.
const SLOWER: u64 = 3;
/// Times up to this one (µs) are never too slow: below it the processors decide, not the server.
const UNNOTICED_US: u64 = 30_000;
/// The longest time (ms) from a leader's silence to the next acknowledgement: several elections, on a busy
/// machine.
const SILENCE_MS: u64 = 10_000;
/// Faults that damage data on its way.
const CORRUPTING: [&str; 1] = ["corruption"];

/// 10: after healing everybody caught up in time, no process ended by itself, memory stayed within its limit,
/// a hostile tenant slowed no other, and a silent leader kept nobody from an answer.
pub(super) fn catches_up(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(10);
    let mut healed_ms = None;
    let mut last_ms = 0;
    let mut peak = 0;
    let mut silences = Silences::default();
    let mut ending: Vec<usize> = Vec::new();
    for entry in &index.history.0 {
        match &entry.record {
            Record::Healed => healed_ms = Some(entry.at_ms),
            Record::CaughtUp { .. } => {
                verdict.check(true, String::new);
                last_ms = entry.at_ms;
            }
            Record::Behind { whom, why } => verdict.check(false, || format!("{whom}: {why}")),
            Record::Fault { fault, nodes, .. } if ENDING.contains(&fault.as_str()) => ending.extend(nodes),
            Record::Ended { node, status } => {
                verdict.check(ending.contains(node), || format!("node {node} ended by itself: {status}"));
            }
            Record::Memory { node, peak: most, limit } => {
                peak = peak.max(*most);
                verdict
                    .check(most <= limit, || format!("node {node} used {most} bytes; its limit is {limit}"));
            }
            Record::Silence { answered, unknown, next_ms } => {
                silences.note(&mut verdict, *answered, *unknown, *next_ms);
            }
            Record::Pace { of, alone_us, beside_us } => {
                let most_us = (SLOWER * alone_us).max(UNNOTICED_US);
                verdict.check(*beside_us <= most_us, || {
                    format!("{of}: {beside_us} µs beside a hostile tenant, {alone_us} µs alone")
                });
            }
            _ => {}
        }
    }
    let after = healed_ms.map_or(0, |healed| last_ms.saturating_sub(healed));
    let silences = silences.figure();
    verdict.figure =
        format!("all within {:.1} s; {} MiB at most{silences}", after as f64 / 1000.0, peak >> 20);
    verdict
}

/// What publishers met while leaders were silent.
#[derive(Default)]
struct Silences {
    count: u64,
    unknown: u64,
    longest_ms: u64,
}

impl Silences {
    fn note(&mut self, verdict: &mut Verdict, answered: u64, unknown: u64, next_ms: Option<u64>) {
        self.count += 1;
        self.unknown += unknown;
        self.longest_ms = self.longest_ms.max(next_ms.unwrap_or_default());
        verdict.check(unknown == 0, || {
            format!("{unknown} of {answered} publishes had an unknown outcome although a new leader stood")
        });
        verdict.check(next_ms.is_some_and(|ms| ms <= SILENCE_MS), || match next_ms {
            Some(ms) => format!("{ms} ms from a leader's silence to the next acknowledgement"),
            None => "no acknowledgement while a leader was silent".to_owned(),
        });
    }

    /// The figures, if there was a silence.
    fn figure(&self) -> String {
        match self.count {
            0 => String::new(),
            count => format!(
                "; {count} silences, {} outcomes unknown, acknowledged after {:.1} s at most",
                self.unknown,
                self.longest_ms as f64 / 1000.0
            ),
        }
    }
}

/// 11: no client received, and no node holds, bytes that differ from those of the others.
pub(super) fn damage_is_found(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(11);
    let is = |record: &Record| match record {
        Record::Damaged { .. } => true,
        Record::Fault { fault, .. } => CORRUPTING.contains(&fault.as_str()),
        _ => false,
    };
    let count = |is: &dyn Fn(&Record) -> bool| index.history.records().filter(|record| is(record)).count();
    let damaged = count(&is);
    let noticed = count(&|r| matches!(r, Record::Noticed { .. }));
    verdict.figure = format!("{damaged} times damaged, {noticed} times reported");
    if damaged == 0 {
        return verdict;
    }
    let mut waits: Option<(usize, &str)> = None;
    let silent = |(node, file): (usize, &str)| format!("node {node} did not report that {file} was damaged");
    for record in index.history.records() {
        match record {
            Record::Noticed { node } if waits.is_some_and(|(of, _)| of == *node) => {
                verdict.check(true, String::new);
                waits = None;
            }
            // Damage is made one at a time: this damage had to be found before the next was made.
            Record::Damaged { node, file, certain } => {
                if let Some(before) = waits.take() {
                    verdict.check(false, || silent(before));
                }
                waits = certain.then_some((*node, file));
            }
            _ => {}
        }
    }
    if let Some(last) = waits {
        verdict.check(false, || silent(last));
    }
    // Most nodes are sound: the event that most of them hold is the right one.
    let nodes = index.stored.get(MAIN);
    for (node, events) in nodes.into_iter().flatten() {
        for (at, event) in events.iter().enumerate() {
            let agree = nodes.into_iter().flatten().filter(|(_, other)| other.get(at) == Some(event)).count();
            let sound = agree * 2 > nodes.map_or(0, |nodes| nodes.len());
            verdict.check(sound, || format!("node {node} holds {event:?}; most other nodes do not"));
        }
    }
    let reference = index.by_seq(MAIN);
    for (client, of) in &index.clients(MAIN) {
        for event in of.events() {
            let same = reference.get(&event.seq) == Some(&event);
            verdict
                .check(same, || format!("{client} received {event:?}, which differs from the stored event"));
        }
    }
    verdict
}
