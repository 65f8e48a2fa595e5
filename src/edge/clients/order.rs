//! The order in which connections give way.
//!
//! A connection's rank changes with every request, and its place here does not follow at once: a place is
//! never behind the connection's rank, and may be before it. Whoever looks for the first connection gives
//! those that it meets the places that they have by then. So a look costs no more than what has changed since
//! the look before, and a request costs nothing here, unless its connection would give way sooner than its
//! place says.

use super::state::{Rank, State};
use std::collections::BTreeSet;
use std::ops::DerefMut;

/// Places of connections, by their keys. A connection that does not give way may have none.
#[derive(Default)]
pub(super) struct Order(BTreeSet<(Rank, usize)>);

impl Order {
    /// Gives the connection the place of its present rank.
    pub(super) fn place(&mut self, key: usize, state: &mut State) {
        self.remove(key, state);
        state.place = state.rank();
        self.0.extend(state.place.map(|place| (place, key)));
    }

    /// Takes the connection's place away.
    pub(super) fn remove(&mut self, key: usize, state: &mut State) {
        if let Some(place) = state.place.take() {
            self.0.remove(&(place, key));
        }
    }

    /// Evicts the connection that gives way first. Whether there is any.
    pub(super) fn evict_first<S: DerefMut<Target = State>>(&mut self, state_of: impl Fn(usize) -> S) -> bool {
        while let Some((place, key)) = self.0.pop_first() {
            let mut state = state_of(key);
            state.place = None;
            if state.rank() == Some(place) {
                state.evict();
                return true;
            }
            self.place(key, &mut state);
        }
        false
    }

    /// How many connections have a place.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
