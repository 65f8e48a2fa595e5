//! The order in which waiting groups enter the log: lines take turns, and a turn is counted in bytes (deficit
//! round robin).
//!
//! A line saves its turns until it can pay for its first group. So a line of large groups gets as many bytes
//! as a line of small ones, and a small group waits for one turn of each other line at most. Within a line the
//! order stays. An entry takes one turn of each line. A line that has much under way in the log waits for the
//! answers, so that others need not wait behind it there.

use std::collections::{BTreeMap, VecDeque};

use crate::NodeId;
use crate::flow::Flow;

/// Bytes that one turn adds to what a line may send. A larger group costs several turns and has an entry of
/// its own.
pub(super) const TURN_BYTES: usize = 256 * 1024;
/// What a command costs at least (bytes): also the smallest one takes work, and one of the slots of an entry.
const LEAST_COST: usize = 512;

/// Where a group waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Line {
    /// Commands of one flow, from whichever node.
    Flow(Flow),
    /// What another node gathered from several flows, which had their turns there.
    Mixed(NodeId),
}

/// What waits for its turn.
pub(super) trait Waits {
    fn line(&self) -> Line;
    fn bytes(&self) -> usize;
    fn commands(&self) -> usize;
}

/// The limits of one entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// Bytes of an entry; also the bytes that a line may have under way.
    pub(super) bytes: usize,
    pub(super) commands: usize,
}

/// The lines with their groups.
pub(super) struct Turns<T> {
    lines: BTreeMap<Line, Queued<T>>,
    /// The lines with groups, in the order of their turns.
    order: VecDeque<Line>,
}

struct Queued<T> {
    groups: VecDeque<T>,
    /// Bytes that the line may send.
    credit: usize,
    /// The line had the bytes of this turn, and the entry was full before it could use them.
    in_turn: bool,
    /// Bytes of its groups that were taken and not answered.
    under_way: usize,
}

/// How a line's turn ended.
enum Turn {
    /// All its groups are taken.
    Empty,
    /// Its next group costs more than it has saved.
    Saves,
    /// It has too much under way.
    Stands,
    /// The entry has no room for its next group.
    EntryIsFull,
}

/// An entry that is being gathered.
struct Entry<T> {
    groups: Vec<T>,
    bytes: usize,
    commands: usize,
    /// It has a large group, and takes no other.
    is_large: bool,
}

impl<T: Waits> Turns<T> {
    pub(super) fn new() -> Self {
        Self { lines: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Adds a group at the end of its line.
    pub(super) fn push(&mut self, group: T) {
        let line = group.line();
        let queued = self.lines.entry(line).or_default();
        if queued.groups.is_empty() {
            self.order.push_back(line);
        }
        queued.groups.push_back(group);
    }

    /// Notes that bytes of the line are not under way any more.
    pub(super) fn answered(&mut self, line: Line, bytes: usize) {
        if let Some(queued) = self.lines.get_mut(&line) {
            queued.under_way = queued.under_way.saturating_sub(bytes);
            if queued.groups.is_empty() && queued.under_way == 0 {
                self.lines.remove(&line);
            }
        }
    }

    /// Takes the groups of the next entry. The result is empty if nothing waits, or if every line that waits
    /// has too much under way.
    pub(super) fn take(&mut self, most: Most) -> Vec<T> {
        let mut entry = Entry { groups: Vec::new(), bytes: 0, commands: 0, is_large: false };
        loop {
            let mut one_saves = false;
            for _ in 0..self.order.len() {
                let Some(line) = self.order.pop_front() else { break };
                let Some(queued) = self.lines.get_mut(&line) else { continue };
                match queued.turn(line, &mut entry, most) {
                    Turn::Empty => {}
                    Turn::Stands => self.order.push_back(line),
                    Turn::Saves => {
                        one_saves = true;
                        self.order.push_back(line);
                    }
                    Turn::EntryIsFull => {
                        self.order.push_front(line);
                        return entry.groups;
                    }
                }
            }
            if !entry.groups.is_empty() || !one_saves {
                return entry.groups;
            }
        }
    }
}

impl<T> Default for Queued<T> {
    fn default() -> Self {
        Self { groups: VecDeque::new(), credit: 0, in_turn: false, under_way: 0 }
    }
}

impl<T: Waits> Queued<T> {
    fn turn(&mut self, line: Line, entry: &mut Entry<T>, most: Most) -> Turn {
        if self.groups.front().is_some_and(|first| self.has_too_much_under_way(first, most)) {
            return Turn::Stands;
        }
        if !self.in_turn {
            self.credit += TURN_BYTES;
        }
        self.in_turn = false;
        while let Some(first) = self.groups.front() {
            let bytes = first.bytes();
            let cost = cost(line, first);
            if self.has_too_much_under_way(first, most) {
                return Turn::Stands;
            }
            if cost > self.credit {
                return Turn::Saves;
            }
            if !entry.counts(first, most) {
                self.in_turn = true;
                return Turn::EntryIsFull;
            }
            self.credit -= cost;
            self.under_way += bytes;
            entry.groups.extend(self.groups.pop_front());
        }
        // What an idle line does not use is lost: nobody saves turns for later.
        self.credit = 0;
        Turn::Empty
    }

    /// Whether the line must wait for answers before this group. One group may always be under way.
    fn has_too_much_under_way(&self, group: &T, most: Most) -> bool {
        self.under_way > 0 && self.under_way + group.bytes() > most.bytes
    }
}

impl<T: Waits> Entry<T> {
    /// Counts the group if the entry has room for it. The first group always has room.
    fn counts(&mut self, group: &T, most: Most) -> bool {
        let bytes = self.bytes + group.bytes();
        let commands = self.commands + group.commands();
        let is_large = group.bytes() > TURN_BYTES;
        let fits = !is_large && !self.is_large && bytes <= most.bytes && commands <= most.commands;
        let has_room = fits || self.groups.is_empty();
        if has_room {
            (self.bytes, self.commands, self.is_large) = (bytes, commands, is_large);
        }
        has_room
    }
}

/// What a group costs. The flows in a mixed batch had one turn each at their node, so it costs one turn at
/// most.
fn cost<T: Waits>(line: Line, group: &T) -> usize {
    let cost = group.bytes().max(group.commands() * LEAST_COST);
    match line {
        Line::Flow(_) => cost,
        Line::Mixed(_) => cost.min(TURN_BYTES),
    }
}

#[cfg(test)]
mod tests;
