//! Lines of requests that wait, in which maps and receivers take turns.

use super::Claim;
use crate::core::ids::MapId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The requests of one speed that wait. Maps take turns, and in a map its receivers.
#[derive(Debug)]
pub(super) struct Line<R>(Turns<MapId, Turns<R, BTreeSet<u64>>>);

impl<R> Default for Line<R> {
    fn default() -> Self {
        Self(Turns::default())
    }
}

impl<R: Clone + Ord> Line<R> {
    pub(super) fn add(&mut self, claim: &Claim<R>, number: u64) {
        self.0.queue(&claim.map).queue(&claim.receiver).insert(number);
    }

    pub(super) fn remove(&mut self, claim: &Claim<R>, number: u64) {
        self.0.change(&claim.map, |receivers| {
            receivers.change(&claim.receiver, |numbers| {
                numbers.remove(&number);
            });
        });
    }

    /// Takes the next request whose map and whose receiver have room.
    pub(super) fn take_next(
        &mut self,
        map_has_room: impl Fn(&MapId) -> bool,
        receiver_has_room: impl Fn(&R) -> bool,
    ) -> Option<u64> {
        self.0.take_next(|map, receivers| {
            if !map_has_room(map) {
                return None;
            }
            receivers.take_next(
                |receiver, numbers| {
                    if receiver_has_room(receiver) { numbers.pop_first() } else { None }
                },
            )
        })
    }
}

/// A queue of requests.
pub(super) trait Queue: Default {
    fn is_empty(&self) -> bool;
}

impl Queue for BTreeSet<u64> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// Queues that take turns. Those that were passed over keep their turn. None is empty.
#[derive(Debug)]
pub(super) struct Turns<K, Q> {
    order: VecDeque<K>,
    queues: BTreeMap<K, Q>,
}

impl<K, Q> Default for Turns<K, Q> {
    fn default() -> Self {
        Self { order: VecDeque::new(), queues: BTreeMap::new() }
    }
}

impl<K: Ord, Q> Queue for Turns<K, Q> {
    fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }
}

impl<K: Clone + Ord, Q: Queue> Turns<K, Q> {
    /// The queue of that key, which the caller adds to. A new one has its turn after all others.
    fn queue(&mut self, key: &K) -> &mut Q {
        if !self.queues.contains_key(key) {
            self.order.push_back(key.clone());
        }
        self.queues.entry(key.clone()).or_default()
    }

    /// Changes a queue, if there is one of that key.
    fn change(&mut self, key: &K, change: impl FnOnce(&mut Q)) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        change(queue);
        if queue.is_empty() {
            self.queues.remove(key);
            self.order.retain(|other| other != key);
        }
    }

    /// Offers the queues their turns until one takes it. That one goes to the end.
    fn take_next<T>(&mut self, mut take: impl FnMut(&K, &mut Q) -> Option<T>) -> Option<T> {
        let Self { order, queues } = self;
        let (index, taken) = order.iter().enumerate().find_map(|(index, key)| {
            let taken = take(key, queues.get_mut(key)?)?;
            Some((index, taken))
        })?;
        if let Some(key) = order.remove(index) {
            if queues.get(&key).is_some_and(Q::is_empty) {
                queues.remove(&key);
            } else {
                order.push_back(key);
            }
        }
        Some(taken)
    }
}
