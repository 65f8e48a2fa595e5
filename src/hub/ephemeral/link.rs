//! The events that wait to go from this node to another one: a bounded queue, of which one batch at a time is
//! under way.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Approximate bytes of one batch; a single event may be larger.
const BATCH_BYTES: usize = 256 * 1024;

/// A batch of so many bytes is worth its way: it is not delayed so that more events go with it.
const LARGE_BYTES: usize = 32 * 1024;

/// Bytes that an event counts in addition to its encoding.
const EVENT_OVERHEAD: usize = 64;

/// Limits on the events that wait for one node.
#[derive(Clone, Copy, Debug)]
pub(in crate::hub) struct LinkLimits {
    /// Most bytes that wait; a batch under way is not included.
    pub(in crate::hub) bytes: usize,
    /// Most events that wait.
    pub(in crate::hub) events: usize,
}

/// An event in a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Carried {
    /// The version of the receiver's interest that was known when the event was published.
    pub(super) version: u64,
    /// The event, encoded once for all links.
    pub(super) event: Bytes,
}

/// Events that are sent together. If the answer is lost, they are sent again under the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) number: u64,
    pub(super) events: Vec<Carried>,
}

impl Batch {
    /// Whether it has so much that the next one need not wait for more events.
    pub(super) fn is_large(&self) -> bool {
        self.events.iter().map(weight).sum::<usize>() >= LARGE_BYTES
    }
}

#[derive(Debug)]
struct UnderWay {
    batch: Batch,
    /// How many events were pushed before the first event of the batch.
    first: u64,
}

/// The events that wait for one other node. Bounded in events and bytes.
#[derive(Debug)]
pub(super) struct LinkQueue {
    limits: LinkLimits,
    waiting: VecDeque<Carried>,
    bytes: usize,
    under_way: Option<UnderWay>,
    /// How many events were ever pushed.
    pushed: u64,
}

impl LinkQueue {
    pub(super) fn new(limits: LinkLimits) -> Self {
        Self { limits, waiting: VecDeque::new(), bytes: 0, under_way: None, pushed: 0 }
    }

    /// Adds an event. If there is no room, the oldest waiting events are dropped. Returns how many were
    /// dropped.
    pub(super) fn push(&mut self, event: Carried) -> usize {
        self.bytes += weight(&event);
        self.waiting.push_back(event);
        self.pushed += 1;
        let mut dropped = 0;
        while self.waiting.len() > self.limits.events || self.bytes > self.limits.bytes {
            let Some(old) = self.waiting.pop_front() else { break };
            self.bytes -= weight(&old);
            dropped += 1;
        }
        dropped
    }

    /// Whether there is a batch to send.
    pub(super) fn has_batch(&self) -> bool {
        self.under_way.is_some() || !self.waiting.is_empty()
    }

    /// The batch to send: the one that is under way already, or the next one. `number` gives the number of a
    /// new batch.
    pub(super) fn batch(&mut self, number: impl FnOnce() -> u64) -> Option<Batch> {
        if self.under_way.is_none() && !self.waiting.is_empty() {
            let first = self.first_waiting();
            let mut events = Vec::new();
            let mut bytes = 0;
            while let Some(next) = self.waiting.front()
                && (events.is_empty() || bytes + weight(next) <= BATCH_BYTES)
                && let Some(next) = self.waiting.pop_front()
            {
                bytes += weight(&next);
                events.push(next);
            }
            self.bytes -= bytes;
            self.under_way = Some(UnderWay { batch: Batch { number: number(), events }, first });
        }
        self.under_way.as_ref().map(|under_way| under_way.batch.clone())
    }

    /// Records that the batch of that number has arrived. Returns how many events it had, if it was under
    /// way.
    pub(super) fn arrived(&mut self, number: u64) -> Option<usize> {
        let arrived = self.under_way.take_if(|under_way| under_way.batch.number == number)?;
        Some(arrived.batch.events.len())
    }

    /// Whether the batch of that number is under way.
    pub(super) fn is_under_way(&self, number: u64) -> bool {
        self.under_way.as_ref().is_some_and(|under_way| under_way.batch.number == number)
    }

    /// Drops everything. Returns how many events were dropped.
    pub(super) fn clear(&mut self) -> usize {
        let under_way = self.under_way.take().map_or(0, |under_way| under_way.batch.events.len());
        let waiting = self.waiting.len();
        self.waiting = VecDeque::new();
        self.bytes = 0;
        waiting + under_way
    }

    /// A mark after everything that was pushed so far.
    pub(super) fn mark(&self) -> u64 {
        self.pushed
    }

    /// Whether everything that was pushed before the mark has left the queue.
    pub(super) fn is_past(&self, mark: u64) -> bool {
        self.under_way.as_ref().map_or(self.first_waiting(), |under_way| under_way.first) >= mark
    }

    /// How many events were pushed before the first waiting one.
    fn first_waiting(&self) -> u64 {
        self.pushed - self.waiting.len() as u64
    }

    /// Bytes that wait or are under way.
    pub(super) fn bytes(&self) -> usize {
        let under_way = self.under_way.iter().flat_map(|under_way| &under_way.batch.events);
        self.bytes + under_way.map(weight).sum::<usize>()
    }
}

fn weight(event: &Carried) -> usize {
    event.event.len() + EVENT_OVERHEAD
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(n: u64, bytes: usize) -> Carried {
        Carried { version: n, event: vec![0; bytes].into() }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Send,
        Arrived,
        Clear,
    }

    proptest! {
        /// Events arrive in order, each once. The waiting events are bounded. A mark is passed when
        /// everything before it has left the queue.
        #[test]
        fn in_order_once_and_bounded(
            steps in prop::collection::vec(
                prop_oneof![
                    6 => (0usize..120_000).prop_map(Step::Push), 3 => Just(Step::Send), 2 => Just(Step::Arrived),
                    1 => Just(Step::Clear)
                ],
                1..80,
            ),
            events in 1usize..9, bytes in 1usize..600_000,
        ) {
            let mut queue = LinkQueue::new(LinkLimits { bytes, events });
            let mut sent = 0u64;
            let mut numbers = 0u64;
            let mut dropped = 0;
            let (mut arrived, mut marks): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Push(size) => {
                        dropped += queue.push(event(sent, size));
                        sent += 1;
                        marks.push(queue.mark());
                    }
                    Step::Send => {
                        let has_batch = queue.has_batch();
                        let first = queue.batch(|| { numbers += 1; numbers });
                        prop_assert_eq!(first.is_some(), has_batch);
                        prop_assert_eq!(&first, &queue.batch(|| 0), "it is the same until it has arrived");
                        let bytes: Option<usize> = first.map(|batch| batch.events.iter().map(weight).sum());
                        prop_assert!(bytes.is_none_or(|bytes| bytes <= BATCH_BYTES));
                    }
                    Step::Arrived => {
                        let under_way = queue.under_way.as_ref().map(|under_way| under_way.batch.clone());
                        prop_assert_eq!(queue.arrived(0), None, "another one's number");
                        if let Some(batch) = under_way {
                            prop_assert_eq!(queue.arrived(batch.number), Some(batch.events.len()));
                            arrived.extend(batch.events.iter().map(|event| event.version));
                        }
                    }
                    Step::Clear => dropped += queue.clear(),
                }
                prop_assert!(queue.waiting.len() <= events && queue.bytes <= bytes);
                prop_assert_eq!(queue.bytes, queue.waiting.iter().map(weight).sum::<usize>());
                let under_way = queue.under_way.iter().flat_map(|under_way| &under_way.batch.events);
                let here: Vec<u64> = under_way.chain(&queue.waiting).map(|event| event.version).collect();
                for mark in &marks {
                    prop_assert_eq!(queue.is_past(*mark), here.iter().all(|event| event >= mark), "{}", mark);
                }
                prop_assert_eq!(arrived.len() + here.len() + dropped, sent as usize);
            }
            prop_assert!(arrived.is_sorted_by(|a, b| a < b), "{:?}", arrived);
        }
    }
}
