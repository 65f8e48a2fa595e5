//! Which batches a node has accepted from another node: each at most once, and none that comes too late.

/// The decision on a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the next batch. Those of its events are accepted that were published with this version of the
    /// interest, or with a later one.
    Take {
        /// The version.
        from_version: u64,
    },
    /// It was accepted before, or a later batch was.
    Repeated,
    /// It is from an incarnation other than the known one: an earlier one, or one that is not known yet.
    Unknown,
}

/// Records which batches of another node were accepted, so that none is accepted twice.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The sender's incarnation, once it is known.
    incarnation: Option<u64>,
    /// The number of the last accepted batch.
    last: u64,
    /// Events that were published before the sender knew this version are refused: a client may have received
    /// them on another node.
    from_version: u64,
}

impl Ledger {
    /// Records the sender's incarnation. Its batches are numbered from the start again.
    pub(super) fn meet(&mut self, incarnation: u64) {
        if self.incarnation != Some(incarnation) {
            (self.incarnation, self.last) = (Some(incarnation), 0);
        }
    }

    /// The sender's incarnation, if it is known.
    pub(super) fn incarnation(&self) -> Option<u64> {
        self.incarnation
    }

    /// Decides on a batch of that incarnation with that number.
    pub(super) fn take(&mut self, incarnation: u64, number: u64) -> Verdict {
        if self.incarnation != Some(incarnation) {
            return Verdict::Unknown;
        }
        if number <= self.last {
            return Verdict::Repeated;
        }
        self.last = number;
        Verdict::Take { from_version: self.from_version }
    }

    /// Records that the subscription that began with this version of the interest is live.
    pub(super) fn live(&mut self, version: u64) {
        self.from_version = self.from_version.max(version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However batches are repeated and reordered, each is accepted at most once, and the numbers rise.
        /// Batches of another incarnation are never accepted.
        #[test]
        fn each_batch_at_most_once_and_in_order(batches in prop::collection::vec((0u64..3, 1u64..9), 1..60)) {
            let mut ledger = Ledger::default();
            ledger.meet(1);
            let take = |(incarnation, number): &(u64, u64)| match ledger.take(*incarnation, *number) {
                Verdict::Take { .. } => Some((*incarnation, *number)),
                Verdict::Repeated | Verdict::Unknown => None,
            };
            let taken: Vec<_> = batches.iter().filter_map(take).collect();
            prop_assert!(taken.iter().all(|(incarnation, _)| *incarnation == 1), "{:?}", taken);
            prop_assert!(taken.is_sorted_by(|a, b| a.1 < b.1), "{:?}", taken);
        }
    }

    #[test]
    fn events_published_before_a_subscription_began_are_refused() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.take(1, 1), Verdict::Unknown);
        ledger.meet(1);
        assert_eq!(ledger.take(1, 1), Verdict::Take { from_version: 0 });
        ledger.live(7);
        ledger.live(5);
        assert_eq!(ledger.take(1, 2), Verdict::Take { from_version: 7 });
        ledger.meet(2);
        assert_eq!(ledger.take(2, 1), Verdict::Take { from_version: 7 }, "the interest is this node's");
    }
}
