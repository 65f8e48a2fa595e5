//! How much of the queue each line holds.
//!
//! A line may hold as much as is free. So one line alone gets half of the queue, two get a third each, and
//! some of it is always free for a line that holds nothing yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::turns::Line;

/// Bytes that a group takes beside its commands.
const GROUP_BYTES: usize = 256;

/// Why a group is not taken into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// Its line holds as much as is free.
    Line,
    /// All lines together hold everything.
    Queue,
}

/// The queue's bounds, and what is held of it. A group counts from its submission to its answer.
#[derive(Debug)]
pub(super) struct Shares {
    most: Held,
    held: Mutex<AllHeld>,
    answered: mpsc::UnboundedSender<(Line, usize)>,
}

/// An amount of groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) bytes: usize,
    pub(super) groups: usize,
}

#[derive(Debug, Default)]
struct AllHeld {
    total: Held,
    lines: BTreeMap<Line, Held>,
}

/// What one group holds, until this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    line: Line,
    /// Bytes of the group's commands.
    bytes: usize,
    /// The line knows that the group is not under way any more.
    is_reported: bool,
    shares: Arc<Shares>,
}

impl Shares {
    /// The shares of a queue with these bounds, and the news of groups that were answered: the line, and the
    /// bytes of the commands.
    pub(super) fn new(most: Held) -> (Arc<Self>, mpsc::UnboundedReceiver<(Line, usize)>) {
        let (answered, news) = mpsc::unbounded_channel();
        (Arc::new(Self { most, held: Mutex::default(), answered }), news)
    }

    fn held(&self) -> MutexGuard<'_, AllHeld> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A share for a group of the line whose commands have that many bytes.
    pub(super) fn take(self: &Arc<Self>, line: Line, bytes: usize) -> Result<Share, Full> {
        let cost = bytes + GROUP_BYTES;
        let mut held = self.held();
        let free = Held {
            bytes: self.most.bytes.saturating_sub(held.total.bytes),
            groups: self.most.groups.saturating_sub(held.total.groups),
        };
        let own = held.lines.get(&line).copied().unwrap_or_default();
        if own.bytes + cost > free.bytes || own.groups + 1 > free.groups {
            return Err(if own.groups > 0 { Full::Line } else { Full::Queue });
        }
        held.total.add(cost);
        held.lines.entry(line).or_default().add(cost);
        drop(held);
        Ok(Share { line, bytes, is_reported: false, shares: self.clone() })
    }
}

impl Share {
    pub(super) fn line(&self) -> Line {
        self.line
    }

    /// Bytes of the group's commands.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reports to the line that the group is not under way any more.
    pub(super) fn report_to_line(&mut self) {
        if !std::mem::replace(&mut self.is_reported, true) {
            // Nobody listens once the node has stopped.
            let _ = self.shares.answered.send((self.line, self.bytes));
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let cost = self.bytes + GROUP_BYTES;
        let mut held = self.shares.held();
        held.total.subtract(cost);
        if let Some(own) = held.lines.get_mut(&self.line) {
            own.subtract(cost);
            if own.groups == 0 {
                held.lines.remove(&self.line);
            }
        }
        drop(held);
        self.report_to_line();
    }
}

impl Held {
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.groups += 1;
    }

    fn subtract(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.groups = self.groups.saturating_sub(1);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::Flow;

    const MOST: Held = Held { bytes: 64 * 1024, groups: 100 };

    fn flow(n: u128) -> Line {
        Line::Flow(Flow(n))
    }

    fn fill(shares: &Arc<Shares>, line: Line, bytes: usize) -> Vec<Share> {
        std::iter::from_fn(|| shares.take(line, bytes).ok()).collect()
    }

    #[test]
    fn one_line_gets_half_and_there_is_always_something_for_a_newcomer() {
        let (shares, mut news) = Shares::new(MOST);
        let first = fill(&shares, flow(1), 1024 - GROUP_BYTES);
        assert_eq!((first.len(), shares.take(flow(1), 1024).err()), (32, Some(Full::Line)));
        let second = fill(&shares, flow(2), 1024 - GROUP_BYTES);
        assert_eq!(second.len(), 16);
        assert!(shares.take(flow(3), 1024).is_ok());
        drop(first);
        assert!(shares.take(flow(2), 1024).is_ok(), "what is given back is free for the others");
        drop(second);
        let held = shares.held();
        assert!(held.lines.is_empty() && held.total == Held::default());
        assert_eq!(news.try_recv(), Ok((flow(3), 1024)));
    }

    #[test]
    fn many_small_groups_are_bounded_by_their_number() {
        let (shares, _news) = Shares::new(MOST);
        let _first = fill(&shares, flow(1), 1);
        assert_eq!(shares.held().total.groups, 50);
        assert_eq!(shares.take(flow(1), 1).err(), Some(Full::Line));
    }

    #[test]
    fn what_is_larger_than_the_free_part_is_refused() {
        let (shares, _news) = Shares::new(MOST);
        assert_eq!(shares.take(flow(1), MOST.bytes).err(), Some(Full::Queue));
    }

    proptest! {
        /// Whatever lines do, all together stay within the bounds, and a line never holds more than was free.
        #[test]
        fn the_bounds_hold(steps in prop::collection::vec((0..6_u128, 1..9000_usize, any::<bool>()), 0..400)) {
            let (shares, _news) = Shares::new(MOST);
            let mut taken: Vec<Share> = Vec::new();
            for (n, bytes, gives) in steps {
                if gives && !taken.is_empty() {
                    drop(taken.swap_remove(bytes % taken.len()));
                } else {
                    taken.extend(shares.take(flow(n), bytes).ok());
                }
                let held = shares.held();
                let sum: usize = taken.iter().map(|share| share.bytes + GROUP_BYTES).sum();
                prop_assert_eq!((held.total.bytes, held.total.groups), (sum, taken.len()));
                prop_assert!(sum <= MOST.bytes && taken.len() <= MOST.groups);
                // Half of the queue, and half of the largest group.
                let most = (MOST.bytes + 9000 + GROUP_BYTES) / 2;
                prop_assert!(held.lines.values().all(|own| own.bytes <= most));
            }
        }
    }
}
