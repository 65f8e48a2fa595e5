//! What a node has taken of another one's batches: each at most once, and none that comes too late.

use std::collections::VecDeque;

/// Incarnations of a node remembered once another has followed.
const PAST: usize = 4;

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the next: its events are taken, those alone that were published with this version of the interest known, or
    /// a later one.
    Take {
        /// The version.
        from_version: u64,
    },
    /// It was taken before, or one behind it was.
    Repeated,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The sender's incarnation, once it is known.
    incarnation: Option<u64>,
    /// Those before: whatever still comes of them is late.
    past: VecDeque<u64>,
    /// The number of the last batch taken.
    last: u64,
    /// Events that were published before the sender knew this version are refused: a client may have had them elsewhere.
    from_version: u64,
}

impl Ledger {
    /// The sender has that incarnation now. `false` where it is over already.
    pub(super) fn meet(&mut self, incarnation: u64) -> bool {
        if self.incarnation == Some(incarnation) {
            return true;
        }
        if self.past.contains(&incarnation) {
            return false;
        }
        if let Some(over) = self.incarnation.replace(incarnation) {
            self.past.push_back(over);
            if self.past.len() > PAST {
                self.past.pop_front();
            }
        }
        self.last = 0;
        true
    }

    /// A batch of that incarnation came under that number.
    pub(super) fn take(&mut self, incarnation: u64, number: u64) -> Verdict {
        if !self.meet(incarnation) || number <= self.last {
            return Verdict::Repeated;
        }
        self.last = number;
        Verdict::Take { from_version: self.from_version }
    }

    /// A subscription is live that began with this version of the interest.
    pub(super) fn live(&mut self, version: u64) {
        self.from_version = self.from_version.max(version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However batches are repeated and reordered, each is taken once at most, and the numbers go up.
        #[test]
        fn each_at_most_once_and_in_order(batches in prop::collection::vec((0u64..3, 1u64..9), 1..60)) {
            let (mut ledger, mut taken) = (Ledger::default(), Vec::new());
            for (incarnation, number) in batches {
                if ledger.take(incarnation, number) != Verdict::Repeated {
                    taken.push((incarnation, number));
                }
            }
            let mut incarnations: Vec<u64> = taken.iter().map(|(incarnation, _)| *incarnation).collect();
            incarnations.dedup();
            let mut once = incarnations.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), incarnations.len(), "an incarnation came back: {:?}", taken);
            let of_one = taken.chunk_by(|a, b| a.0 == b.0);
            for numbers in of_one {
                prop_assert!(numbers.is_sorted_by(|a, b| a.1 < b.1), "{:?}", taken);
            }
        }
    }

    #[test]
    fn what_was_published_before_a_subscription_began_is_refused() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.take(1, 1), Verdict::Take { from_version: 0 });
        ledger.live(7);
        ledger.live(5);
        assert_eq!(ledger.take(1, 2), Verdict::Take { from_version: 7 });
        assert_eq!(ledger.take(2, 1), Verdict::Take { from_version: 7 }, "the interest is this node's");
    }
}
