//! What the threads of this node count of each map. A thread has meters of its own, so that no two threads
//! change the same number. The report reads them all.

use crate::core::ids::TopicId;
use crate::core::usage::Delivered;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one map. One thread alone adds to it.
#[derive(Debug, Default)]
pub struct Meter {
    deliveries: AtomicU64,
    delivery_bytes: AtomicU64,
    attempts: AtomicU64,
    failed_attempts: AtomicU64,
}

impl Meter {
    /// Counts events that were handed over to one client, and their bytes.
    pub fn delivered(&self, events: u64, bytes: usize) {
        add(&self.deliveries, events);
        add(&self.delivery_bytes, bytes as u64);
    }

    /// Counts a request to a webhook that has ended.
    pub fn attempted(&self, has_failed: bool) {
        add(&self.attempts, 1);
        add(&self.failed_attempts, has_failed.into());
    }

    fn total(&self) -> Delivered {
        Delivered {
            deliveries: self.deliveries.load(Ordering::Relaxed),
            delivery_bytes: self.delivery_bytes.load(Ordering::Relaxed),
            attempts: self.attempts.load(Ordering::Relaxed),
            failed_attempts: self.failed_attempts.load(Ordering::Relaxed),
        }
    }
}

/// Adds to a count. Nobody else does, so it needs no operation that locks others out.
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// A meter, and what of it was taken.
struct Known {
    meter: Arc<Meter>,
    taken: Delivered,
}

impl Known {
    /// Adds what was counted since the last call. Returns whether the meter is still in use.
    fn take(&mut self, sum: &mut Delivered) -> bool {
        // If nobody else has it, nothing is added any more, and everything that was added is seen.
        let is_in_use = Arc::get_mut(&mut self.meter).is_none();
        let total = self.meter.total();
        sum.add(&total.since(&self.taken));
        self.taken = total;
        is_in_use
    }
}

/// The meters of one map.
#[derive(Default)]
struct OfMap {
    in_use: Vec<Known>,
    /// What was counted and nobody has taken yet.
    left: Delivered,
}

impl OfMap {
    /// Adds up what was counted, and forgets the meters that nobody uses any more.
    fn sum_up(&mut self) {
        let Self { in_use, left } = self;
        in_use.retain_mut(|known| known.take(left));
    }
}

/// All meters of this node that are in use, and what was counted with others.
#[derive(Default)]
pub(super) struct Meters(BTreeMap<TopicId, OfMap>);

impl Meters {
    /// A new meter for a map.
    pub(super) fn add(&mut self, stream: TopicId) -> Arc<Meter> {
        let meter = Arc::<Meter>::default();
        let of_map = self.0.entry(stream).or_default();
        // However often readers come and go between two reports, only the meters in use are kept.
        of_map.sum_up();
        of_map.in_use.push(Known { meter: meter.clone(), taken: Delivered::default() });
        meter
    }

    /// Takes what was counted since the last call, by stream.
    pub(super) fn take(&mut self) -> Vec<(TopicId, Delivered)> {
        let mut taken = Vec::new();
        self.0.retain(|stream, of_map| {
            of_map.sum_up();
            let left = std::mem::take(&mut of_map.left);
            if !left.is_nothing() {
                taken.push((*stream, left));
            }
            !of_map.in_use.is_empty()
        });
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_is_taken_once() {
        let mut meters = Meters::default();
        let (one, two) = (meters.add(TopicId(1)), meters.add(TopicId(1)));
        let other = meters.add(TopicId(2));
        one.delivered(2, 20);
        two.delivered(1, 5);
        other.attempted(false);
        other.attempted(true);
        let of_first = Delivered { deliveries: 3, delivery_bytes: 25, ..Delivered::default() };
        let of_second = Delivered { attempts: 2, failed_attempts: 1, ..Delivered::default() };
        assert_eq!(meters.take(), [(TopicId(1), of_first), (TopicId(2), of_second)]);
        assert!(meters.take().is_empty());
        one.attempted(false);
        let one_more = Delivered { attempts: 1, ..Delivered::default() };
        assert_eq!(meters.take(), [(TopicId(1), one_more)]);
    }

    #[test]
    fn a_meter_is_forgotten_after_its_last_count() {
        let mut meters = Meters::default();
        let meter = meters.add(TopicId(1));
        assert!(std::thread::spawn(move || meter.delivered(1, 1)).join().is_ok());
        assert_eq!(meters.take().len(), 1);
        assert!(meters.0.is_empty());
    }

    #[test]
    fn readers_that_come_and_go_leave_no_meters() {
        let mut meters = Meters::default();
        for _ in 0..100 {
            meters.add(TopicId(1)).delivered(1, 10);
        }
        assert_eq!(meters.0[&TopicId(1)].in_use.len(), 1);
        let all = Delivered { deliveries: 100, delivery_bytes: 1000, ..Delivered::default() };
        assert_eq!(meters.take(), [(TopicId(1), all)]);
    }
}
