//! What clients were told and what machines applied, checked as it happens.
//!
//! Owns what is told to [`checker::log`], which checks the chaos suite's histories by the same code, and reads:
//! 1. what was acknowledged is in every node's list at the end, where it was acknowledged; 3. a place in the list has one
//!    content on all nodes, the times of ids never go back; 4. nothing is applied that was not proposed, or is not there at the end;
//! 7. a read after a barrier sees all that was acknowledged or read before; 8. a command lands once, and never
//!    if its proposer was told that it is not stored.
//!
//! Of time, under 1: with the clocks of a minority wrong, no stamp runs ahead of the true time, the expiry clock never
//! runs faster than time passes, and once healed stamps follow the clocks of the majority.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use checker::{Checker, Item, Kept, Log, NAMES, Told};
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
    /// The time of its id.
    pub(crate) id_ms: u64,
    /// What the expiry clock said.
    pub(crate) expiry_ms: u64,
    /// The command.
    pub(crate) command: u64,
}

impl Item for Applied {
    type Key = u64;
    type Id = (u64, u64);

    fn told(self) -> Told<u64, (u64, u64)> {
        Told { place: self.number, key: Some(self.command), id: (self.index, self.time_ms) }
    }

    fn follows(self, before: Self) -> bool {
        self.index >= before.index && self.id_ms >= before.id_ms && self.expiry_ms >= before.expiry_ms
    }
}

/// A stamp may be so far from the true time (ms): as far as a clock that counts as right, and some more.
const TIME_SLACK_MS: u64 = 5_000;

/// Checks of each invariant; the first is of number 1.
pub(crate) type Checks = [u64; NAMES.len()];

/// What is violated is told to the world, which knows the time.
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

struct Seen {
    log: Log<Applied>,
    bench: Bench,
    proposed: u64,
    /// Highest number acknowledged or read.
    floor: u64,
    /// Time of the newest command that was applied.
    newest_ms: u64,
    reads: u64,
}

/// The history of one run.
pub(crate) struct History {
    world: Arc<World>,
    /// The clocks of a majority are right.
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

    /// A new command, about to be proposed.
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

    /// The command is stored: by then this node, at least, has applied it.
    pub(crate) fn acknowledged(&self, command: u64, proposed: &Proposed) {
        let Seen { log, bench, floor, .. } = &mut *self.seen();
        let number = proposed.reply.as_slice().try_into().map_or(0, u64::from_be_bytes);
        let (index, time_ms) = (proposed.index, proposed.time_ms);
        let told = Told { place: number, key: Some(command), id: (index, time_ms) };
        let there = log.at(number).map(Applied::told);
        bench.check(1, there == Some(told), || format!("acknowledged {told:?}, applied {there:?}"));
        log.acked(told, bench);
        *floor = number.max(*floor);
    }

    /// A machine applied a command.
    pub(crate) fn applied(&self, host: usize, applied: Applied) {
        let Seen { log, bench, newest_ms, .. } = &mut *self.seen();
        if log.at(applied.number).is_none() {
            *newest_ms = applied.time_ms;
            if self.has_time {
                let latest = self.world.true_ms() + TIME_SLACK_MS;
                bench.check(1, applied.time_ms <= latest, || {
                    format!("a stamp ran away: {applied:?} after {latest}")
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

    /// The least that a read that begins now must see: a length, and a command that was acknowledged.
    pub(crate) fn floor(&self) -> (u64, Option<Applied>) {
        let seen = self.seen();
        let known = seen.log.acknowledged();
        let pick = known
            .len()
            .checked_sub(1)
            .map(|last| known[last - self.world.below(known.len().min(20) as u64) as usize]);
        (seen.floor, pick.and_then(|told| seen.log.at(told.place)))
    }

    /// A read after a barrier saw a list of that length, and this in the place of the command that was picked.
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

    /// After healing, with a command just applied: its stamp is the true time.
    pub(crate) fn check_time(&self) {
        let Seen { bench, newest_ms, .. } = &mut *self.seen();
        if self.has_time {
            let apart = newest_ms.abs_diff(self.world.true_ms());
            bench.check(1, apart <= TIME_SLACK_MS, || format!("stamps are {apart} ms off once all is well"));
        }
    }

    /// Whether a stamp is as good as the true time.
    pub(crate) fn is_right(&self, time_ms: u64) -> bool {
        !self.has_time || time_ms.abs_diff(self.world.true_ms()) <= TIME_SLACK_MS / 2
    }

    /// The whole list of a node after healing.
    pub(crate) fn check_list(&self, host: usize, list: &[Applied]) {
        let Seen { log, bench, .. } = &mut *self.seen();
        log.ends(format_args!("host {host}"), list, Kept::Whole, bench);
    }

    /// Commands proposed, acknowledged, and reads.
    pub(crate) fn counts(&self) -> [u64; 3] {
        let seen = self.seen();
        [seen.proposed, seen.log.acknowledged().len() as u64, seen.reads]
    }

    /// How often each invariant was put to the test here; others check elsewhere.
    pub(crate) fn checks(&self) -> Checks {
        self.seen().bench.checks
    }
}
