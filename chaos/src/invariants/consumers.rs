//! 6, for consumers that clients read: every event is acknowledged or given up, none comes after its
//! acknowledgement, and events of one lane come in order.

use super::Verdict;
use crate::history::{History, MAIN, Record};
use std::collections::{BTreeMap, BTreeSet};

/// What the records say of the consumer's events.
#[derive(Debug, Default)]
struct Work<'a> {
    exists: bool,
    /// When each event was acknowledged.
    acknowledged: BTreeMap<u64, u64>,
    /// Events that may have been acknowledged, and those that were given up.
    settled: BTreeSet<u64>,
    /// Events in the order in which they were handed over first, by lane.
    first: BTreeMap<&'a str, Vec<u64>>,
    seen: BTreeSet<u64>,
    /// How many events were acknowledged and given up, as the cluster counts.
    counted: Option<u64>,
    /// The events that the consumer had to hand over.
    stored: BTreeSet<u64>,
    handed: u64,
}

/// Adds the checks of the consumer, if the run has one.
pub(super) fn worked(history: &History, verdict: &mut Verdict) {
    let mut work = Work::default();
    for entry in &history.0 {
        work.take(entry.at_ms, &entry.record, verdict);
    }
    if work.exists {
        work.finish(verdict);
    }
}

impl<'a> Work<'a> {
    fn take(&mut self, at_ms: u64, record: &'a Record, verdict: &mut Verdict) {
        match record {
            Record::Consumer { .. } => self.exists = true,
            Record::HandedOver { seq, lane, asked_ms, .. } => {
                self.handed += 1;
                let before = self.acknowledged.get(seq).copied();
                verdict.check(before.is_none_or(|before| *asked_ms <= before), || {
                    format!("event {seq} was handed over after its acknowledgement at {before:?} ms")
                });
                if self.seen.insert(*seq) {
                    self.first.entry(lane).or_default().push(*seq);
                }
            }
            Record::Worked { seq, certain: true, .. } => {
                self.acknowledged.entry(*seq).or_insert(at_ms);
                self.settled.insert(*seq);
            }
            Record::Worked { seq, certain: false, .. } | Record::WorkGivenUp { seq, .. } => {
                self.settled.insert(*seq);
            }
            Record::WorkDone { acknowledged, given_up, .. } => self.counted = Some(acknowledged + given_up),
            Record::Stored { topic, event, .. } if topic == MAIN && event.subject.is_empty() => {
                self.stored.insert(event.seq);
            }
            _ => {}
        }
    }

    fn finish(&self, verdict: &mut Verdict) {
        for seq in &self.stored {
            let is_settled = self.settled.contains(seq);
            verdict.check(is_settled, || format!("event {seq} was neither acknowledged nor given up"));
        }
        for (lane, seqs) in &self.first {
            for pair in seqs.windows(2) {
                verdict.check(pair[0] < pair[1], || {
                    format!("in the lane {lane} event {} came before {}", pair[0], pair[1])
                });
            }
        }
        let stored = self.stored.len() as u64;
        verdict.check(self.counted == Some(stored), || {
            format!("{stored} events, and {:?} were counted as acknowledged or given up", self.counted)
        });
        let of_consumer = format!("{} events of a consumer, {} hand-overs", stored, self.handed);
        verdict.figure = if verdict.figure.is_empty() {
            of_consumer
        } else {
            format!("{}; {of_consumer}", verdict.figure)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Entry;
    use testkit::event::Event;

    fn handed(seq: u64, asked_ms: u64) -> Record {
        let (consumer, lane) = ("jobs".to_owned(), "a".to_owned());
        Record::HandedOver { consumer, seq, lane, attempt: 1, asked_ms }
    }

    fn worked_at(seq: u64, certain: bool) -> Record {
        Record::Worked { consumer: "jobs".into(), seq, certain }
    }

    fn stored(seq: u64) -> Record {
        let (id, kind, hash) = (format!("{seq:026}"), "a".to_owned(), "h".to_owned());
        let event = Event { id, seq, kind, subject: String::new(), key: format!("k{seq}"), hash };
        Record::Stored { node: 0, topic: MAIN.to_owned(), event }
    }

    fn sound() -> Vec<(u64, Record)> {
        let consumer = || "jobs".to_owned();
        vec![
            (1, Record::Consumer { consumer: consumer() }),
            (2, handed(1, 2)),
            (3, worked_at(1, true)),
            (4, handed(2, 3)),
            (5, worked_at(2, false)),
            (6, handed(2, 6)),
            (7, handed(3, 6)),
            (8, Record::WorkGivenUp { consumer: consumer(), seq: 3 }),
            (9, Record::WorkDone { consumer: consumer(), acknowledged: 2, given_up: 1 }),
            (10, stored(1)),
            (11, stored(2)),
            (12, stored(3)),
        ]
    }

    fn violations(records: Vec<(u64, Record)>) -> u64 {
        let mut verdict = Verdict::new(6);
        let entries = records.into_iter().map(|(at_ms, record)| Entry { at_ms, record });
        worked(&History(entries.collect()), &mut verdict);
        if verdict.result().is_err() { 1 } else { 0 }
    }

    #[test]
    fn a_sound_history_has_no_violation_and_each_fault_is_found() {
        assert_eq!(violations(sound()), 0);
        let mut late = sound();
        late.push((13, handed(1, 13)));
        assert_eq!(violations(late), 1, "handed over after its acknowledgement");
        let mut lost = sound();
        lost.push((13, stored(4)));
        assert_eq!(violations(lost), 1, "an event is lost");
        let mut order = sound();
        order.swap(3, 6);
        assert_eq!(violations(order), 1, "the order of a lane");
        let mut count = sound();
        count[8].1 = Record::WorkDone { consumer: "jobs".into(), acknowledged: 1, given_up: 1 };
        assert_eq!(violations(count), 1, "the count");
    }
}
