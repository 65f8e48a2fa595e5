//! What an endpoint's owner is asked: to go on elsewhere, to deliver again.

use super::{Engine, Urgency};
use crate::core::endpoint::class::Class;
use crate::core::endpoint::progress::{EventRef, KEPT_REPLAYS, NumberedOrder, Order, Replay, Retry, Source, Track};
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
            Order::Redeliver(seqs) => {
                let asked = |retry: &&Retry| retry.source == Source::Asked;
                let mut waiting: BTreeSet<u64> = self
                    .retries
                    .values()
                    .filter(asked)
                    .flat_map(|retry| &retry.events)
                    .map(|event| event.seq)
                    .collect();
                for seq in seqs {
                    let Some(id) = find(seq).filter(|_| waiting.insert(seq)) else { continue };
                    self.keep_retry(Retry {
                        events: vec![EventRef { seq, id }],
                        attempts: 0,
                        due_ms: now_ms,
                        first_ms: now_ms,
                        lanes: Vec::new(),
                        source: Source::Asked,
                    });
                }
            }
            Order::Replay { from_seq, until_seq, failed_only } => {
                self.add_replay(order.number, from_seq, until_seq, failed_only, now_ms);
            }
            Order::Cancel(id) => self.cancel(id, now_ms),
        }
    }

    /// Goes on from `seq`: what failed before it is given up, what failed from there on is read again.
    fn seek(&mut self, seq: u64, now_ms: u64) {
        self.ready.clear();
        self.parked.clear();
        self.read_next = seq;
        self.progress.track = Track::new(seq);
        let live = |retry: &Retry| retry.source == Source::Live;
        let flying: Vec<u64> = self.flights.values().filter_map(|flying| flying.number).collect();
        let waiting: Vec<u64> =
            self.retries.iter().filter(|(_, retry)| live(retry)).map(|(number, _)| *number).collect();
        for number in waiting.into_iter().filter(|number| !flying.contains(number)) {
            let Some(retry) = self.drop_retry(number) else { continue };
            let skipped: Vec<EventRef> = retry.events.iter().copied().filter(|event| event.seq < seq).collect();
            self.bury(&skipped, &retry, Class::Skipped, None, "skipped on request", now_ms);
        }
        self.resume(now_ms);
    }

    /// Begins as if nothing had failed, with one request first where it was failing.
    fn resume(&mut self, now_ms: u64) {
        self.halted = false;
        self.progress.failures = 0;
        self.progress.failing_since_ms = None;
        self.progress.announced_percent = 0;
        self.progress.hold_until_ms = 0;
        self.gate_until_ms = 0;
        self.pull_forward(now_ms);
    }

    fn add_replay(&mut self, id: u64, from_seq: u64, until_seq: u64, failed_only: bool, now_ms: u64) {
        // More that have not ended than are kept are not taken by the cluster.
        let replays = &mut self.progress.replays;
        if replays.len() >= KEPT_REPLAYS
            && let Some(ended) = replays.iter().position(|replay| replay.ended_ms.is_some())
        {
            replays.remove(ended);
        }
        let idle = self.running_replay().is_none();
        self.progress.replays.push(Replay {
            id,
            failed_only,
            from_seq,
            until_seq,
            track: Track::new(from_seq),
            delivered: 0,
            failed: 0,
            started_ms: now_ms,
            ended_ms: None,
            cancelled: false,
        });
        if idle {
            self.start_replay();
        }
        self.end_replay_if_done(now_ms);
    }

    fn cancel(&mut self, id: u64, now_ms: u64) {
        let Some(replay) = self.progress.replays.iter_mut().find(|replay| replay.id == id) else { return };
        if replay.ended_ms.is_some() {
            return;
        }
        replay.ended_ms = Some(now_ms);
        replay.cancelled = true;
        let flying: Vec<u64> = self.flights.values().filter_map(|flying| flying.number).collect();
        let ours = |retry: &Retry| retry.source == Source::Replay(id);
        let waiting: Vec<u64> =
            self.retries.iter().filter(|(_, retry)| ours(retry)).map(|(number, _)| *number).collect();
        for number in waiting.into_iter().filter(|number| !flying.contains(number)) {
            self.drop_retry(number);
        }
        self.start_replay();
        self.end_replay_if_done(now_ms);
    }
}
