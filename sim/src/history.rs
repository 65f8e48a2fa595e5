//! What clients were told and what machines applied, judged as it happens.
//!
//! Owns the invariants, by the numbers of docs/ARCHITECTURE.md:
//! 1. what was acknowledged is in every node's list at the end, where it was acknowledged; 3. a place in the list has one
//!    content on all nodes, times never go back; 4. nothing is applied that was not proposed, or is not there at the end;
//! 7. a read after a barrier sees all that was acknowledged or read before; 8. a command lands once, and never
//!    if its proposer was told that it is not stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use simulated::Proposed;
use simulated::sim::World;

/// A command as a machine applied it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Its place in the list, from 1.
    pub(crate) number: u64,
    /// Index of its entry.
    pub(crate) index: u64,
    /// Time of its entry.
    pub(crate) time_ms: u64,
    /// The command.
    pub(crate) command: u64,
}

/// What its proposer knows of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    UnderWay,
    Stored,
    NotStored,
    Unknown,
}

#[derive(Default)]
struct Seen {
    fates: Vec<Fate>,
    /// By number − 1.
    list: Vec<Option<Applied>>,
    /// Numbers by command.
    numbers: HashMap<u64, u64>,
    /// Highest number acknowledged or read.
    floor: u64,
    acknowledged: Vec<u64>,
    reads: u64,
}

/// The history of one run.
pub(crate) struct History {
    world: Arc<World>,
    seen: Mutex<Seen>,
}

impl History {
    /// An empty history.
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world, seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn violation(&self, number: u8, what: String) {
        self.world.violation(format!("invariant {number}: {what}"));
    }

    /// A new command, about to be proposed.
    pub(crate) fn propose(&self) -> u64 {
        let mut seen = self.seen();
        seen.fates.push(Fate::UnderWay);
        seen.fates.len() as u64 - 1
    }

    /// The command is certainly not stored.
    pub(crate) fn refused(&self, command: u64) {
        let mut seen = self.seen();
        seen.fates[command as usize] = Fate::NotStored;
        if let Some(number) = seen.numbers.get(&command) {
            self.violation(8, format!("command {command} was refused, but stands at {number}"));
        }
    }

    /// Nobody knows.
    pub(crate) fn unknown(&self, command: u64) {
        self.seen().fates[command as usize] = Fate::Unknown;
    }

    /// The command is stored.
    pub(crate) fn acknowledged(&self, command: u64, proposed: &Proposed) {
        let mut seen = self.seen();
        seen.fates[command as usize] = Fate::Stored;
        let number = proposed.reply.as_slice().try_into().map_or(0, u64::from_be_bytes);
        let told = Applied { number, index: proposed.index, time_ms: proposed.time_ms, command };
        let there = seen.list.get((number as usize).wrapping_sub(1)).copied().flatten();
        if there != Some(told) {
            self.violation(1, format!("acknowledged {told:?}, applied {there:?}"));
        }
        seen.acknowledged.push(number);
        seen.floor = seen.floor.max(number);
    }

    /// A machine applied a command.
    pub(crate) fn applied(&self, host: usize, applied: Applied) {
        let mut seen = self.seen();
        let at = applied.number as usize - 1;
        if seen.list.len() <= at {
            seen.list.resize(at + 1, None);
        }
        match seen.list[at] {
            Some(first) if first != applied => {
                self.violation(3, format!("host {host} applied {applied:?}, another {first:?}"));
            }
            Some(_) => {}
            None => self.first(&mut seen, host, applied),
        }
    }

    /// The first application of a command anywhere.
    fn first(&self, seen: &mut Seen, host: usize, applied: Applied) {
        let at = applied.number as usize - 1;
        seen.list[at] = Some(applied);
        match seen.fates.get(applied.command as usize) {
            None => self.violation(4, format!("host {host} applied {applied:?}, which nobody proposed")),
            Some(Fate::NotStored) => self.violation(8, format!("host {host} applied {applied:?}, which was refused")),
            Some(_) => {}
        }
        if let Some(before) = seen.numbers.insert(applied.command, applied.number) {
            self.violation(8, format!("command {} stands at {before} and {}", applied.command, applied.number));
        }
        let before = at.checked_sub(1).and_then(|at| seen.list[at]);
        if before.is_some_and(|b| b.time_ms > applied.time_ms || b.index > applied.index) {
            self.violation(3, format!("host {host} applied {applied:?} after {before:?}"));
        }
    }

    /// The least that a read that begins now must see: a length, and a command that was acknowledged.
    pub(crate) fn floor(&self) -> (u64, Option<Applied>) {
        let seen = self.seen();
        let pick = seen.acknowledged.len().checked_sub(1).map(|last| {
            let back = self.world.below(seen.acknowledged.len().min(20) as u64) as usize;
            seen.acknowledged[last - back]
        });
        (seen.floor, pick.and_then(|n| seen.list.get(n as usize - 1).copied().flatten()))
    }

    /// A read after a barrier saw a list of that length, and this in the place of the command that was picked.
    pub(crate) fn read(&self, host: usize, floor: (u64, Option<Applied>), length: u64, found: Option<u64>) {
        let mut seen = self.seen();
        seen.reads += 1;
        if length < floor.0 {
            self.violation(7, format!("a read on host {host} saw {length} commands, {} were known", floor.0));
        }
        if let Some(picked) = floor.1
            && length >= picked.number
            && found != Some(picked.command)
        {
            self.violation(1, format!("host {host} has {found:?} in place of {picked:?}"));
        }
        seen.floor = seen.floor.max(length);
    }

    /// The whole list of a node after healing.
    pub(crate) fn judge_list(&self, host: usize, list: &[Applied]) {
        let seen = self.seen();
        for (at, applied) in list.iter().enumerate() {
            if applied.number != at as u64 + 1 || seen.list.get(at).copied().flatten() != Some(*applied) {
                return self.violation(3, format!("host {host} holds {applied:?} at {}", at + 1));
            }
        }
        if list.len() < seen.list.len() {
            let lost = seen.list[list.len()];
            self.violation(4, format!("host {host} ends with {} commands; {lost:?} was applied", list.len()));
        }
        if let Some(lost) = seen.acknowledged.iter().find(|n| **n > list.len() as u64) {
            self.violation(1, format!("host {host} has lost acknowledged command at {lost}"));
        }
    }

    /// Commands proposed, acknowledged, and reads.
    pub(crate) fn counts(&self) -> [u64; 3] {
        let seen = self.seen();
        [seen.fates.len() as u64, seen.acknowledged.len() as u64, seen.reads]
    }
}
