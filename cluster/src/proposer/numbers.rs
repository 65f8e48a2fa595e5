//! The numbers of a node's proposals, and the way that each was sent last.
//!
//! Proposals get their numbers in the order in which they enter the log. A proposal is sent only if all lower
//! numbers without an answer were sent the same way, so that it does not arrive before them. If one of them
//! comes back to be sent again, those after it wait for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::Leadership;

/// Where a proposal is sent to. What goes the same way arrives in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) to: Leadership,
    /// The number of the connection; 0 for this node's own log.
    pub(super) connection: u64,
}

impl Way {
    fn is(self, other: Self) -> bool {
        self.connection == other.connection && !self.to.differs(other.to)
    }
}

/// The numbers that have no answer yet.
#[derive(Debug, Default)]
pub(super) struct Numbers(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    last: u64,
    /// Each with the way that it went; `None` while it is at this node.
    ways: BTreeMap<u64, Option<Way>>,
}

impl Numbers {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next number, from 1.
    pub(super) fn take_next(self: &Arc<Self>) -> Number {
        let mut open = self.open();
        open.last += 1;
        let number = open.last;
        open.ways.insert(number, None);
        drop(open);
        Number { number, all: self.clone() }
    }
}

/// A number. Once this is dropped, nobody waits for an answer to it.
#[derive(Debug)]
pub(super) struct Number {
    number: u64,
    all: Arc<Numbers>,
}

impl Number {
    pub(super) fn get(&self) -> u64 {
        self.number
    }

    /// The lower numbers without an answer.
    pub(super) fn open_below(&self) -> Vec<u64> {
        self.all.open().ways.range(..self.number).map(|(number, _)| *number).collect()
    }

    /// Records that it goes this way. False, and nothing is recorded, if it would overtake a lower number.
    pub(super) fn goes(&self, way: Way) -> bool {
        let mut open = self.all.open();
        let is_next = open.ways.range(..self.number).all(|(_, before)| before.is_some_and(|b| b.is(way)));
        if is_next {
            open.ways.insert(self.number, Some(way));
        }
        is_next
    }

    /// Records that it is at this node again.
    pub(super) fn came_back(&self) {
        self.all.open().ways.insert(self.number, None);
    }

    /// Records that it has its answer, or that nobody waits for one.
    pub(super) fn is_answered(&self) {
        self.all.open().ways.remove(&self.number);
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.is_answered();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(leader: u64, connection: u64) -> Way {
        Way { to: Leadership::known(leader, None), connection }
    }

    #[test]
    fn a_number_waits_for_lower_ones_that_went_another_way() {
        let numbers = Arc::new(Numbers::default());
        let [first, second, third] = [numbers.take_next(), numbers.take_next(), numbers.take_next()];
        assert_eq!((first.get(), third.get(), third.open_below()), (1, 3, vec![1, 2]));
        assert!(!second.goes(way(1, 7)), "the first has not gone yet");
        assert!(first.goes(way(1, 7)) && second.goes(way(1, 7)));
        assert!(!third.goes(way(2, 9)), "two are under way to node 1");
        assert!(!third.goes(way(1, 8)), "two went over another connection");
        first.came_back();
        assert!(!third.goes(way(1, 7)), "the first goes before it");
        assert!(first.goes(way(2, 9)), "a lower number does not wait for higher ones");
        second.is_answered();
        assert!(third.goes(way(2, 9)));
        drop(first);
        assert!(third.open_below().is_empty());
    }

    #[test]
    fn another_term_of_the_same_leader_is_another_way() {
        let numbers = Arc::new(Numbers::default());
        let [first, second] = [numbers.take_next(), numbers.take_next()];
        let to = |term| Way { to: Leadership::known(1, Some(term)), connection: 7 };
        assert!(first.goes(to(3)));
        assert!(!second.goes(to(5)));
        assert!(second.goes(way(1, 7)), "the term is not known yet");
    }
}
