//! What an endpoint's owner is asked: to go on elsewhere, to deliver again. An order minds what is under way.

use super::{Engine, Mode, Urgency};
use crate::core::consumer::progress::{EventRef, NumberedOrder, Order, Retry, Source, Track};
use crate::core::ids::EventId;
use std::collections::BTreeSet;

impl Engine {
    /// Carries out an order, once. `find` gives the ids of events asked for by seq; who is gone is left out.
    pub fn order(&mut self, order: NumberedOrder, now_ms: u64, find: impl Fn(u64) -> Option<EventId>) {
        if order.number <= self.progress.orders_done {
            return;
        }
        self.progress.orders_done = order.number;
        self.note(Urgency::Now);
        match order.order {
            Order::Resume => self.resume(now_ms),
            Order::Seek(seq) => self.seek(seq, now_ms),
            Order::Redeliver(seqs) => self.redeliver(&seqs, now_ms, find),
            Order::Replay { from_seq, until_seq, failed_only } => {
                self.add_replay(order.number, from_seq, until_seq, failed_only, now_ms);
            }
            Order::Cancel(id) => self.cancel(id, now_ms),
        }
    }

    fn redeliver(&mut self, seqs: &[u64], now_ms: u64, find: impl Fn(u64) -> Option<EventId>) {
        let asked = self.waiting.of(Source::Asked);
        let asked = asked.into_iter().filter_map(|number| self.waiting.get(number));
        let mut known: BTreeSet<u64> = asked.flat_map(|retry| &retry.events).map(|event| event.seq).collect();
        for seq in seqs {
            let Some(id) = find(*seq).filter(|_| known.insert(*seq)) else { continue };
            let (events, lanes, source) = (vec![EventRef { seq: *seq, id }], Vec::new(), Source::Asked);
            let number = self.number();
            self.keep(number, Retry { events, attempts: 0, due_ms: now_ms, first_ms: now_ms, lanes, source });
        }
    }

    /// Goes on from `seq`: what waits before it is given up, what waits from there on is read again. So it is with what is
    /// under way, should it fail.
    fn seek(&mut self, seq: u64, now_ms: u64) {
        self.read_from(seq);
        self.progress.track = Track::new(seq);
        self.batches.clear();
        self.progress.live_from = self.progress.last_number + 1;
        for flying in self.flights.values_mut() {
            flying.skip_below = seq;
        }
        for number in self.waiting.of(Source::Live) {
            if self.flights.contains_key(&number) {
                continue;
            }
            let Some(retry) = self.drop_waiting(number) else { continue };
            let skipped: Vec<EventRef> = retry.events.iter().copied().filter(|event| event.seq < seq).collect();
            self.skip(&skipped, &retry, now_ms);
        }
        self.resume(now_ms);
    }

    /// Begins as if nothing had failed, with one request first where it was failing.
    fn resume(&mut self, now_ms: u64) {
        self.mode = Mode::Delivering;
        self.unreported.withdraw();
        self.progress.failures = 0;
        self.progress.failing_since_ms = None;
        self.progress.announced_percent = 0;
        self.progress.hold_until_ms = 0;
        self.health.forgive();
        self.waiting.pull_forward(now_ms);
    }
}
