//! Owner commands: moving the cursor and redelivering, with regard to the requests that are under way.

use super::{Engine, Mode, Urgency};
use crate::core::consumer::progress::{EventRef, NumberedCommand, OwnerCommand, Retry, Source};
use crate::core::ids::EventId;
use std::collections::BTreeSet;

impl<C: Clone> Engine<C> {
    /// Carries out an owner command, once. `find` returns the ids of events by seq; an event that no longer
    /// exists is left out.
    pub fn carry_out(
        &mut self,
        numbered: NumberedCommand,
        now_ms: u64,
        find: impl Fn(u64) -> Option<EventId>,
    ) {
        if numbered.number <= self.commands_done {
            return;
        }
        self.commands_done = numbered.number;
        self.reports.note(Urgency::Now);
        match numbered.command {
            OwnerCommand::Resume => self.resume(now_ms),
            OwnerCommand::Seek(seq) => self.seek(seq, now_ms),
            OwnerCommand::Redeliver(seqs) => self.redeliver(&seqs, now_ms, find),
            OwnerCommand::Replay { from_seq, until_seq, failed_only } => {
                self.add_replay(numbered.number, from_seq, until_seq, failed_only, now_ms);
            }
            OwnerCommand::Cancel(id) => self.cancel(id, now_ms),
        }
    }

    fn redeliver(&mut self, seqs: &[u64], now_ms: u64, find: impl Fn(u64) -> Option<EventId>) {
        let asked = self.retries.of(Source::Asked);
        let asked = asked.into_iter().filter_map(|number| self.retries.get(number));
        let mut known: BTreeSet<u64> = asked.flat_map(|retry| &retry.events).map(|event| event.seq).collect();
        for seq in seqs {
            let Some(id) = find(*seq).filter(|_| known.insert(*seq)) else { continue };
            let events = vec![EventRef { seq: *seq, id }];
            let lanes = Vec::new();
            let source = Source::Asked;
            let number = self.retries.next_number();
            self.keep(number, Retry { events, attempts: 0, due_ms: now_ms, first_ms: now_ms, lanes, source });
        }
    }

    /// Continues from `seq`. Waiting events before it are given up, and waiting events from there on are read
    /// again. The same happens to requests under way, if they fail.
    fn seek(&mut self, seq: u64, now_ms: u64) {
        self.live.seek(seq);
        self.retries.outdate_live();
        self.flights.skip_below(seq);
        for number in self.retries.of(Source::Live) {
            if self.flights.contains(number) {
                continue;
            }
            let Some(retry) = self.drop_waiting(number) else { continue };
            let skipped: Vec<EventRef> =
                retry.events.iter().copied().filter(|event| event.seq < seq).collect();
            self.skip(&skipped, &retry, now_ms);
        }
        self.resume(now_ms);
    }

    /// Starts over as if nothing had failed; a failing consumer starts with one request.
    fn resume(&mut self, now_ms: u64) {
        self.mode = Mode::Delivering;
        self.reports.withdraw();
        self.health.resume();
        self.retries.pull_forward(now_ms);
    }
}
