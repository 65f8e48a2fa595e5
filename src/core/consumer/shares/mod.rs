//! Shares: which request may begin while others are under way, who waits, and in which order.
//!
//! Whoever hangs keeps a permit until the request's time limit, and nobody can take it back. So no share is a
//! part of all permits: each is a part of those that are **free**. A map, a receiver and all slow consumers
//! together may take one more only while they hold less than their part of what is free. So whoever takes
//! much leaves most of the rest to the others, and a map or receiver that holds nothing gets a permit at once
//! while any is free.
//!
//! Consumers whose last request went well and fast go first, then those of which nothing is known, then slow
//! ones. Among equals the maps take turns, in a map its receivers, at a receiver the order of arrival decides.
//!
//! This file is pure: it knows no clock and wakes nobody. The caller says what is slow.

mod held;
mod speed;
mod turns;

#[cfg(test)]
mod tests;

pub use speed::{Observed, Speed};

use crate::core::ids::{ConsumerId, MapId};
use held::Held;
use std::collections::{BTreeMap, BTreeSet};
use turns::Line;

/// Who asks for a permit: a consumer of a map, for a request to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<R> {
    /// The map.
    pub map: MapId,
    /// The consumer.
    pub consumer: ConsumerId,
    /// The receiver that the request goes to. Consumers of several maps may have the same one.
    pub receiver: R,
}

/// The permits of a node, those that hold one, and those that wait for one.
///
/// Requests are known by numbers, which ascend and are never reused. At no time does a request wait that may
/// begin.
#[derive(Debug)]
pub struct Shares<R> {
    held: Held<R>,
    /// All requests, waiting or under way.
    requests: BTreeMap<u64, Request<R>>,
    /// The requests that wait, by their consumer.
    waiting: BTreeMap<ConsumerId, BTreeSet<u64>>,
    /// The requests that wait, by the speed of their consumer.
    lines: [Line<R>; Speed::ORDER.len()],
    last: u64,
}

#[derive(Clone, Debug)]
struct Request<R> {
    claim: Claim<R>,
    /// While the request waits: its consumer's speed. While it is under way: the speed with which it counts.
    speed: Speed,
    waits: bool,
}

impl<R: Clone + Ord> Shares<R> {
    /// Shares `total` permits; at least one.
    pub fn new(total: usize) -> Self {
        Self {
            held: Held::new(total.max(1)),
            requests: BTreeMap::new(),
            waiting: BTreeMap::new(),
            lines: std::array::from_fn(|_| Line::default()),
            last: 0,
        }
    }

    /// Returns how many permits are held.
    pub fn held(&self) -> usize {
        self.held.count()
    }

    /// Asks for a permit. Returns the request's number, and whether it has the permit already. Otherwise it
    /// waits until another call returns its number.
    pub fn ask(&mut self, claim: Claim<R>, speed: Speed) -> (u64, bool) {
        self.last += 1;
        let number = self.last;
        // Requests that wait gain nothing by another one. So this one alone may be able to begin.
        let begins = self.held.may_begin(&claim, speed);
        self.requests.insert(number, Request { claim: claim.clone(), speed, waits: !begins });
        if begins {
            self.held.take(&claim, speed);
        } else {
            self.waiting.entry(claim.consumer).or_default().insert(number);
            self.line(speed).add(&claim, number);
        }
        (number, begins)
    }

    /// Ends a request, or withdraws one that waits. Returns the requests that begin now.
    #[must_use]
    pub fn end(&mut self, number: u64) -> Vec<u64> {
        let Some(Request { claim, speed, waits }) = self.requests.remove(&number) else { return Vec::new() };
        if waits {
            self.stop_waiting(&claim, number);
            self.line(speed).remove(&claim, number);
            return Vec::new();
        }
        self.held.give_back(&claim, speed);
        self.begin()
    }

    /// Counts a request that is under way as a slow one. That makes room for no other.
    pub fn turned_slow(&mut self, number: u64) {
        let request = self.requests.get_mut(&number).filter(|request| !request.waits);
        let Some(request) = request else { return };
        let before = std::mem::replace(&mut request.speed, Speed::Slow);
        self.held.give_back(&request.claim, before);
        self.held.take(&request.claim, Speed::Slow);
    }

    /// Records a consumer's speed. It counts for the requests that wait and for later ones. Returns the
    /// requests that begin now.
    #[must_use]
    pub fn set_speed(&mut self, consumer: ConsumerId, speed: Speed) -> Vec<u64> {
        let numbers: Vec<u64> = self.waiting.get(&consumer).into_iter().flatten().copied().collect();
        for number in numbers {
            let Some(request) = self.requests.get_mut(&number) else { continue };
            let before = std::mem::replace(&mut request.speed, speed);
            let claim = request.claim.clone();
            self.line(before).remove(&claim, number);
            self.line(speed).add(&claim, number);
        }
        self.begin()
    }

    /// Gives permits to requests that wait, as long as one of them may begin.
    fn begin(&mut self) -> Vec<u64> {
        let mut begun = Vec::new();
        while let Some((speed, number)) = self.next() {
            let Some(request) = self.requests.get_mut(&number) else { continue };
            request.waits = false;
            let claim = request.claim.clone();
            self.held.take(&claim, speed);
            self.stop_waiting(&claim, number);
            begun.push(number);
        }
        begun
    }

    /// Takes the request that begins next out of its line.
    fn next(&mut self) -> Option<(Speed, u64)> {
        let Self { held, lines, .. } = self;
        Speed::ORDER.into_iter().zip(lines).find_map(|(speed, line)| {
            if !held.has_room(speed) {
                return None;
            }
            let map = |map: &MapId| held.map_has_room(map, speed);
            let receiver = |receiver: &R| held.receiver_has_room(receiver, speed);
            Some((speed, line.take_next(map, receiver)?))
        })
    }

    fn stop_waiting(&mut self, claim: &Claim<R>, number: u64) {
        if let Some(numbers) = self.waiting.get_mut(&claim.consumer) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.waiting.remove(&claim.consumer);
            }
        }
    }

    fn line(&mut self, speed: Speed) -> &mut Line<R> {
        &mut self.lines[speed as usize]
    }
}
