//! What clients were answered and what state machines applied, checked as it happens.
//!
//! The facts go to [`checker::log`], which also checks the histories of the chaos suite. Here the numbers
//! mean:
//! 1. what was acknowledged is in every node's list at the end, at the position that was acknowledged;
//! 3. a position of the list has one content on all nodes, and the times of ids never go back;
//! 4. nothing is applied that was not proposed, or that is missing at the end;
//! 7. a read after a barrier sees everything that was acknowledged or read before;
//! 8. a command is stored once, and never if its proposer was answered that it is not stored.
//!
//! Invariant 1 also covers time. While only a minority of clocks is wrong, no stamp runs ahead of the true
//! time, the expiry clock never runs faster than time passes, and after healing the stamps follow the clocks
//! of the majority.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use checker::{Checker, Facts, Item, Kept, Log, NAMES};
use simulated::Proposed;
use simulated::sim::World;

/// A command as a state machine applied it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Its position in the list, from 1.
    pub(crate) number: u64,
    /// The index of its entry.
    pub(crate) index: u64,
    /// The time of its entry.
    pub(crate) time_ms: u64,
    /// The time of its id.
    pub(crate) id_ms: u64,
    /// The time on the expiry clock.
    pub(crate) expiry_ms: u64,
    /// The command.
    pub(crate) command: u64,
}

impl Item for Applied {
    type Key = u64;
    type Id = (u64, u64);

    fn facts(self) -> Facts<u64, (u64, u64)> {
        Facts { position: self.number, key: Some(self.command), id: (self.index, self.time_ms) }
    }

    fn follows(self, before: Self) -> bool {
        self.index >= before.index && self.id_ms >= before.id_ms && self.expiry_ms >= before.expiry_ms
    }
}

/// How far a stamp may be from the true time (ms): as far as a clock that counts as right, and a little more.
const TIME_SLACK_MS: u64 = 5_000;

/// The number of checks of each invariant; the first belongs to invariant 1.
pub(crate) type Checks = [u64; NAMES.len()];

/// Reports each violation to the world, which adds the time.
struct Bench {
    world: Arc<World>,
    checks: Checks,
}

impl Checker for Bench {
    fn check(&mut self, invariant: u8, holds: bool, fault: impl FnOnce() -> String) {
        if let Some(checks) = self.checks.get_mut(usize::from(invariant).wrapping_sub(1)) {
            *checks += 1;
        }
        if !holds {
            self.world.violation(format!("invariant {invariant}: {}", fault()));
        }
    }
}

/// The log of facts so far, and the counts for the verdict.
struct Seen {
    log: Log<Applied>,
    bench: Bench,
    proposed: u64,
    /// The highest number that was acknowledged or read.
    floor: u64,
    /// The time of the newest applied command.
    newest_ms: u64,
    reads: u64,
}

/// The history of one run.
pub(crate) struct History {
    world: Arc<World>,
    /// Whether the clocks of a majority are right.
    has_time: bool,
    seen: Mutex<Seen>,
}

impl History {
    /// An empty history.
    pub(crate) fn new(world: Arc<World>, has_time: bool) -> Self {
        let bench = Bench { world: world.clone(), checks: Checks::default() };
        Self {
            world,
            has_time,
            seen: Mutex::new(Seen {
                log: Log::default(),
                bench,
                proposed: 0,
                floor: 0,
                newest_ms: 0,
                reads: 0,
            }),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new command is about to be proposed.
    pub(crate) fn propose(&self) -> u64 {
        let mut seen = self.seen();
        seen.proposed += 1;
        let command = seen.proposed - 1;
        seen.log.asked(command);
        command
    }

    /// The command is certainly not stored.
    pub(crate) fn refused(&self, command: u64) {
        let Seen { log, bench, .. } = &mut *self.seen();
        log.refused(command, bench);
    }

    /// The command is stored: at least this node has applied it.
    pub(crate) fn acknowledged(&self, command: u64, proposed: &Proposed) {
        let Seen { log, bench, floor, .. } = &mut *self.seen();
        let number = proposed.reply.as_slice().try_into().map_or(0, u64::from_be_bytes);
        let id = (proposed.index, proposed.time_ms);
        let facts = Facts { position: number, key: Some(command), id };
        let there = log.at(number).map(Applied::facts);
        bench.check(1, there == Some(facts), || format!("acknowledged {facts:?}, applied {there:?}"));
        log.acked(facts, bench);
        *floor = number.max(*floor);
    }

    /// A state machine applied a command.
    pub(crate) fn applied(&self, host: usize, applied: Applied) {
        let Seen { log, bench, newest_ms, .. } = &mut *self.seen();
        if log.at(applied.number).is_none() {
            *newest_ms = applied.time_ms;
            if self.has_time {
                let latest = self.world.true_ms() + TIME_SLACK_MS;
                bench.check(1, applied.time_ms <= latest, || {
                    format!("a stamp runs ahead of the true time: {applied:?} after {latest}")
                });
                bench.check(1, applied.expiry_ms <= latest, || {
                    format!("expiry ran faster than time: {applied:?} after {latest}")
                });
            }
        }
        log.seen(format_args!("host {host}"), applied, bench);
        let before = log.at(applied.number.wrapping_sub(1));
        let follows = before.is_none_or(|before| applied.follows(before));
        bench.check(3, follows, || format!("host {host} applied {applied:?} after {before:?}"));
    }

    /// What a read that begins now must see at least: a length, and one acknowledged command.
    pub(crate) fn floor(&self) -> (u64, Option<Applied>) {
        let seen = self.seen();
        let known = seen.log.acknowledged();
        let pick = known
            .len()
            .checked_sub(1)
            .map(|last| known[last - self.world.below(known.len().min(20) as u64) as usize]);
        (seen.floor, pick.and_then(|facts| seen.log.at(facts.position)))
    }

    /// A read after a barrier saw a list of that length, and this command at the position of the one from
    /// [`History::floor`].
    pub(crate) fn read(&self, host: usize, floor: (u64, Option<Applied>), length: u64, found: Option<u64>) {
        let Seen { bench, floor: known, reads, .. } = &mut *self.seen();
        *reads += 1;
        bench.check(7, length >= floor.0, || {
            format!("a read on host {host} saw {length} commands, {} were known", floor.0)
        });
        if let Some(picked) = floor.1.filter(|picked| length >= picked.number) {
            bench.check(1, found == Some(picked.command), || {
                format!("host {host} has {found:?} in place of {picked:?}")
            });
        }
        *known = length.max(*known);
    }

    /// Checks, after healing and with a command just applied, that its stamp is close to the true time.
    pub(crate) fn check_time(&self) {
        let Seen { bench, newest_ms, .. } = &mut *self.seen();
        if self.has_time {
            let apart = newest_ms.abs_diff(self.world.true_ms());
            bench.check(1, apart <= TIME_SLACK_MS, || format!("stamps are {apart} ms off after healing"));
        }
    }

    /// Whether a stamp is close enough to the true time.
    pub(crate) fn is_right(&self, time_ms: u64) -> bool {
        !self.has_time || time_ms.abs_diff(self.world.true_ms()) <= TIME_SLACK_MS / 2
    }

    /// Checks the whole list of a node after healing.
    pub(crate) fn check_list(&self, host: usize, list: &[Applied]) {
        let Seen { log, bench, .. } = &mut *self.seen();
        log.ends(format_args!("host {host}"), list, Kept::Whole, bench);
    }

    /// The numbers of commands proposed, of commands acknowledged, and of reads.
    pub(crate) fn counts(&self) -> [u64; 3] {
        let seen = self.seen();
        [seen.proposed, seen.log.acknowledged().len() as u64, seen.reads]
    }

    /// How often this module checked each invariant.
    pub(crate) fn checks(&self) -> Checks {
        self.seen().bench.checks
    }
}
