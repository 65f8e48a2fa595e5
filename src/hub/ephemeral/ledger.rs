//! What a node has taken of another one's batches: each at most once, and none that comes too late.

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
    /// It is of another incarnation than the one that is known: one that is over, or not known yet.
    Unknown,
}

/// Which batches of another node were taken, so that none is taken twice.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The sender's incarnation, once it is known.
    incarnation: Option<u64>,
    /// The number of the last batch taken.
    last: u64,
    /// Events that were published before the sender knew this version are refused: a client may have had them elsewhere.
    from_version: u64,
}

impl Ledger {
    /// The sender has that incarnation now; its numbers begin anew.
    pub(super) fn meet(&mut self, incarnation: u64) {
        if self.incarnation != Some(incarnation) {
            (self.incarnation, self.last) = (Some(incarnation), 0);
        }
    }

    /// The incarnation that is known.
    pub(super) fn incarnation(&self) -> Option<u64> {
        self.incarnation
    }

    /// A batch of that incarnation came under that number.
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
        /// However batches are repeated and reordered, each is taken once at most, and the numbers go up; those of another
        /// incarnation never are.
        #[test]
        fn each_at_most_once_and_in_order(batches in prop::collection::vec((0u64..3, 1u64..9), 1..60)) {
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
    fn what_was_published_before_a_subscription_began_is_refused() {
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
