//! The cluster's time: the leader's stamps of entries, and the clock by which replicated things expire.
//!
//! A clock is kept as its *offset*: its value minus this process's monotonic clock. An offset changes only
//! when that clock jumps or drifts.
//!
//! - The **time** of the cluster runs on the leader's monotonic clock. It is set from the voters' wall
//!   clocks: from the median one, never from the leader's alone. It may go back.
//! - The **expiry clock** (also in milliseconds) only runs on the monotonic clock, whatever the wall clocks
//!   show. It never goes back. Only if no process remembers it (all have restarted), the time that passed is
//!   taken from wall clocks, provided that a majority agreed on the time before and agrees now.

mod cluster_clock;
mod rounds;

use serde::{Deserialize, Serialize};

use crate::NodeId;

pub(crate) use cluster_clock::ClusterClock;
pub(crate) use rounds::ClockRounds;

/// A clock that differs from a majority's by more than this is wrong (ms).
const WRONG_MS: i64 = 2_000;
/// The leader's own clock sets the time while it differs from the median by at most this (ms).
const NEAR_MS: i64 = 250;
/// The most that the time is moved in one round, if it is off by no more than [`SMALL_MS`] (ms).
const SLEW_MS: i64 = 25;
/// A larger difference is set at once instead of moved (ms).
const SMALL_MS: i64 = 1_000;
/// How long a majority must show that the time is behind before it is set forward (ms).
const CONFIRM_MS: u64 = 10_000;
/// How long a lone voter's clock must show that the time is wrong before it is set (ms).
const CONFIRM_LONE_MS: u64 = 600_000;
/// Number of rounds without a majority's answer in which its last answer still counts.
const UNHEARD_ROUNDS: u32 = 10;
/// Uncounted time is reported if it is at least this long (ms).
const TOLD_MS: i64 = 60_000;

/// The stamp of an entry. The leader also reports it to the other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    /// The time (ms since 1970); may go back.
    pub(crate) time_ms: u64,
    /// The expiry clock (ms); never goes back.
    pub(crate) expiry_ms: u64,
    /// Whether a majority of at least two voters agreed with `time_ms`.
    pub(crate) checked: bool,
}

/// What the leader knows about the voters' clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "ms")]
pub enum ClockState {
    /// This node does not lead, or has not checked yet.
    #[default]
    Unknown,
    /// The leader's clock is right, as far as the others show.
    Good,
    /// The leader's own clock differs by this much (ms) from a majority's.
    Wrong(i64),
    /// No majority of the voters agrees on the time: it runs on, unchecked.
    Disagree,
    /// The leader is the only voter, and its clock has jumped by this much (ms) while it ran.
    Jumped(i64),
}

/// The wall clocks of the voters, as offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clocks {
    /// The leader's own.
    pub(crate) own: i64,
    /// Those of the other voters that answered.
    pub(crate) others: Vec<(NodeId, i64)>,
    /// Number of voters.
    pub(crate) voters: usize,
}

impl Clocks {
    fn needed(&self) -> usize {
        self.voters / 2 + 1
    }

    /// Whether a majority has answered.
    pub(crate) fn is_majority(&self) -> bool {
        self.others.len() + 1 >= self.needed()
    }

    fn is_lone(&self) -> bool {
        self.voters <= 1
    }

    /// The median; with an even number of clocks, the two in the middle.
    fn middle(&self) -> (i64, i64) {
        let mut all: Vec<i64> = self.others.iter().map(|(_, offset)| *offset).chain([self.own]).collect();
        all.sort_unstable();
        (all[(all.len() - 1) / 2], all[all.len() / 2])
    }

    /// Whether a majority of the voters is close to `offset`.
    fn agree_on(&self, offset: i64) -> bool {
        let near = |clock: i64| clock.abs_diff(offset) <= WRONG_MS.unsigned_abs();
        let others = self.others.iter().filter(|(_, clock)| near(*clock)).count();
        self.is_majority() && others + usize::from(near(self.own)) >= self.needed()
    }

    /// The voters whose clocks are right, if a majority agrees on the time.
    pub(crate) fn right(&self) -> Vec<NodeId> {
        let (middle, _) = self.middle();
        let near = |clock: i64| clock.abs_diff(middle) <= WRONG_MS.unsigned_abs();
        let others = self.others.iter().filter(|(_, clock)| self.agree_on(middle) && near(*clock));
        others.map(|(id, _)| *id).collect()
    }
}

/// Offsets of the cluster's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Course {
    time: i64,
    expiry: i64,
}

/// Keeps the cluster's time in one process. Pure: callers pass the monotonic clock and the voters' wall
/// clocks.
#[derive(Debug, Default)]
pub(crate) struct Timekeeper {
    /// `None`: this process has neither set the time nor received it from a leader.
    course: Option<Course>,
    checked: bool,
    /// Since when (monotonic) the voters' clocks show that the time must be set.
    off_since: Option<u64>,
    state: ClockState,
    held_ms: Option<i64>,
    /// Rounds since a majority answered.
    unheard: u32,
}

fn offset(clock_ms: u64, mono: u64) -> i64 {
    i64::try_from(clock_ms).unwrap_or(i64::MAX).saturating_sub(i64::try_from(mono).unwrap_or(i64::MAX))
}

fn at(offset: i64, mono: u64) -> u64 {
    mono.saturating_add_signed(offset)
}

impl Timekeeper {
    /// The time now; `None` if this process does not know it.
    pub(crate) fn now(&self, mono: u64) -> Option<Stamp> {
        let course = self.course?;
        let time_ms = at(course.time, mono);
        let expiry_ms = at(course.expiry, mono);
        Some(Stamp { time_ms, expiry_ms, checked: self.checked })
    }

    /// What this node, as leader, knows about the voters' clocks.
    pub(crate) fn state(&self) -> ClockState {
        self.state
    }

    /// The time that has passed by the wall clocks alone and that the expiry clock does not count (ms).
    /// Negative if the clocks show a time before the last stamp.
    pub(crate) fn held_ms(&self) -> Option<i64> {
        self.held_ms
    }

    /// The leader has reported the time.
    pub(crate) fn reported(&mut self, stamp: Stamp, mono: u64) {
        // A reported expiry clock is never ahead of the time that has passed, so the later of two is right.
        let expiry = offset(stamp.expiry_ms, mono);
        let expiry = self.course.map_or(expiry, |course| course.expiry.max(expiry));
        self.course = Some(Course { time: offset(stamp.time_ms, mono), expiry });
        self.checked = stamp.checked;
        (self.state, self.held_ms, self.off_since) = (ClockState::Unknown, None, None);
    }

    /// Another node leads.
    pub(crate) fn follow(&mut self) {
        (self.state, self.held_ms, self.off_since) = (ClockState::Unknown, None, None);
    }

    /// Begins to lead without knowing the time, and sets it from the voters' clocks. `last`: the newest
    /// applied stamp.
    pub(crate) fn settle(&mut self, clocks: &Clocks, last: Stamp, mono: u64) {
        // If two clocks differ, no node knows which is right. The earlier one does less harm.
        let (mut time, _) = clocks.middle();
        let mut agreed = clocks.agree_on(time) && !clocks.is_lone();
        if crate::failpoint!("restart-trusts-clock") {
            (time, agreed) = (clocks.own, true);
        } else if clocks.own.abs_diff(time) <= NEAR_MS.unsigned_abs() {
            time = clocks.own;
        }
        let passed = offset(at(time, mono), last.time_ms);
        let is_new = last == Stamp::default();
        // Fewer than a majority may all be wrong. The time continues from the last stamp until more clocks
        // are heard.
        if !clocks.is_majority() && !is_new && !crate::failpoint!("restart-trusts-clock") {
            time = offset(last.time_ms, mono);
        }
        let counted = if (agreed && last.checked) || crate::failpoint!("restart-trusts-clock") {
            passed.max(0)
        } else {
            0
        };
        let expiry = if is_new { time } else { offset(last.expiry_ms, mono).saturating_add(counted) };
        self.course = Some(Course { time, expiry });
        self.checked = agreed;
        self.held_ms = Some(passed).filter(|_| !agreed && !is_new && passed.abs() >= TOLD_MS);
        self.look(clocks, mono);
    }

    /// A stamp of a former leader may be applied only after the time was set. The expiry clock must not be
    /// before it.
    pub(crate) fn applied(&mut self, last: Stamp, mono: u64) {
        if let Some(course) = &mut self.course {
            course.expiry = course.expiry.max(offset(last.expiry_ms, mono));
        }
    }

    /// Compares the time with the voters' clocks, and moves it toward them.
    pub(crate) fn look(&mut self, clocks: &Clocks, mono: u64) {
        let Some(course) = self.course else { return };
        self.unheard = if clocks.is_majority() { 0 } else { self.unheard.saturating_add(1) };
        if (1..UNHEARD_ROUNDS).contains(&self.unheard) {
            return;
        }
        let lone = clocks.is_lone();
        let (low, high) = clocks.middle();
        let middle = course.time.clamp(low, high);
        if !clocks.agree_on(middle) {
            (self.state, self.checked, self.off_since) = (ClockState::Disagree, false, None);
            return;
        }
        let near = clocks.own.abs_diff(middle) <= NEAR_MS.unsigned_abs();
        let off = self.steer(course, if near { clocks.own } else { middle }, lone, mono);
        self.checked = !lone && off.abs() <= WRONG_MS;
        let apart = clocks.own.saturating_sub(middle);
        self.state = match (lone, apart.abs() > WRONG_MS, off.abs() > WRONG_MS) {
            (false, true, _) => ClockState::Wrong(apart),
            (true, _, true) => ClockState::Jumped(off),
            _ => ClockState::Good,
        };
        if !lone {
            self.held_ms = None;
        }
    }

    /// Moves the time nearer to `target`; returns the remaining difference (ms).
    fn steer(&mut self, course: Course, target: i64, lone: bool, mono: u64) -> i64 {
        let off = target.saturating_sub(course.time);
        let by = if off.abs() <= SMALL_MS {
            self.off_since = None;
            off.clamp(-SLEW_MS, SLEW_MS)
        } else {
            let since = *self.off_since.get_or_insert(mono);
            let confirm = if lone { CONFIRM_LONE_MS } else { CONFIRM_MS };
            // That the time is ahead is believed at once from a majority; that it is behind, only after a
            // while.
            let set = (off < 0 && !lone) || mono.saturating_sub(since) >= confirm;
            if set { off } else { 0 }
        };
        self.course = Some(Course { time: course.time.saturating_add(by), ..course });
        off - by
    }
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 86_400_000;
    /// The offset of a right clock: the time at which the monotonic clock began.
    const RIGHT: i64 = 1_700_000_000_000;

    fn three(own: i64, others: &[i64]) -> Clocks {
        Clocks { own, others: (2..).zip(others.iter().copied()).collect(), voters: 3 }
    }

    fn lone(own: i64) -> Clocks {
        Clocks { own, others: Vec::new(), voters: 1 }
    }

    fn keeper(clocks: &Clocks) -> Timekeeper {
        let mut keeper = Timekeeper::default();
        keeper.settle(clocks, Stamp::default(), 0);
        keeper
    }

    /// A stamp from one hour before the monotonic clock began.
    fn hour_ago(checked: bool) -> Stamp {
        Stamp { time_ms: at(RIGHT, 0) - 3_600_000, expiry_ms: 5_000, checked }
    }

    #[test]
    fn a_leader_whose_clock_jumps_keeps_the_time_and_is_detected() {
        let mut keeper = keeper(&three(RIGHT, &[RIGHT, RIGHT]));
        for second in 1..100 {
            let own = if (10..50).contains(&second) { RIGHT + 30 * DAY } else { RIGHT };
            keeper.look(&three(own, &[RIGHT, RIGHT + 3]), second * 1000);
            let now = keeper.now(second * 1000).unwrap();
            assert!(now.time_ms.abs_diff(at(RIGHT, second * 1000)) <= 10, "{second}: {now:?}");
            assert_eq!(now.expiry_ms, at(RIGHT, second * 1000));
            let state = if own == RIGHT { ClockState::Good } else { ClockState::Wrong(own - RIGHT - 3 + 3) };
            assert_eq!(std::mem::discriminant(&keeper.state()), std::mem::discriminant(&state), "{second}");
        }
        assert_eq!(three(RIGHT + DAY, &[RIGHT, RIGHT - DAY]).right(), Vec::<NodeId>::new());
        assert_eq!(three(RIGHT + DAY, &[RIGHT, RIGHT]).right(), [2, 3]);
    }

    #[test]
    fn after_a_restart_the_median_clock_decides() {
        for (own, others) in [(30 * DAY, [0, 0]), (0, [30 * DAY, 0]), (0, [0, -30 * DAY])] {
            let mut keeper = Timekeeper::default();
            keeper.settle(&three(RIGHT + own, &others.map(|off| RIGHT + off)), hour_ago(true), 0);
            let now = keeper.now(0).unwrap();
            assert_eq!(now, Stamp { time_ms: at(RIGHT, 0), expiry_ms: 5_000 + 3_600_000, checked: true });
            assert_eq!(keeper.held_ms(), None);
        }
    }

    #[test]
    fn time_that_no_majority_confirms_is_not_counted() {
        let held = |clocks: &Clocks, last| {
            let mut keeper = Timekeeper::default();
            keeper.settle(clocks, last, 0);
            (keeper.now(0).unwrap().expiry_ms, keeper.held_ms().is_some())
        };
        assert_eq!(held(&lone(RIGHT + 8 * DAY), hour_ago(true)), (5_000, true), "a lone voter");
        assert_eq!(
            held(&three(RIGHT, &[RIGHT, RIGHT]), hour_ago(false)),
            (5_000, false),
            "the last stamp was not checked"
        );
        assert_eq!(
            held(&three(RIGHT, &[RIGHT + DAY]), hour_ago(true)),
            (5_000, true),
            "two clocks that differ"
        );
        assert_eq!(
            held(&three(RIGHT, &[RIGHT + DAY, RIGHT - DAY]), hour_ago(true)),
            (5_000, true),
            "three clocks that differ"
        );
    }

    #[test]
    fn a_time_that_is_ahead_is_corrected_and_expiry_goes_on() {
        let ahead = Stamp { time_ms: at(RIGHT + 30 * DAY, 0), expiry_ms: 5_000, checked: true };
        let mut keeper = Timekeeper::default();
        keeper.settle(&three(RIGHT, &[RIGHT, RIGHT]), ahead, 0);
        assert_eq!(
            keeper.now(10).unwrap(),
            Stamp { time_ms: at(RIGHT, 10), expiry_ms: 5_010, checked: true }
        );
        let mut keeper = self::keeper(&three(RIGHT, &[RIGHT, RIGHT]));
        keeper.reported(Stamp { time_ms: at(RIGHT + DAY, 5), expiry_ms: at(RIGHT, 5), checked: false }, 5);
        keeper.look(&three(RIGHT, &[RIGHT, RIGHT]), 10);
        assert_eq!(keeper.now(10).unwrap().time_ms, at(RIGHT, 10));
    }

    #[test]
    fn a_majority_that_is_not_heard_for_a_moment_still_counts() {
        let mut keeper = keeper(&three(RIGHT, &[RIGHT, RIGHT]));
        keeper.look(&three(RIGHT, &[RIGHT, RIGHT]), 0);
        for round in 1..UNHEARD_ROUNDS {
            keeper.look(&three(RIGHT, &[]), u64::from(round));
            assert_eq!((keeper.state(), keeper.checked), (ClockState::Good, true));
        }
        keeper.look(&three(RIGHT, &[]), 100);
        assert_eq!((keeper.state(), keeper.checked), (ClockState::Disagree, false));
        keeper.look(&three(RIGHT, &[RIGHT]), 101);
        assert_eq!((keeper.state(), keeper.checked), (ClockState::Good, true));
    }

    #[test]
    fn a_majority_that_moves_together_is_followed_after_a_while() {
        let mut keeper = keeper(&three(RIGHT, &[RIGHT, RIGHT]));
        let moved = three(RIGHT + DAY, &[RIGHT + DAY, RIGHT + DAY]);
        keeper.look(&moved, 1_000);
        assert_eq!(
            keeper.now(1_000).unwrap(),
            Stamp { time_ms: at(RIGHT, 1_000), expiry_ms: at(RIGHT, 1_000), checked: false }
        );
        keeper.look(&moved, 1_000 + CONFIRM_MS);
        let now = keeper.now(1_000 + CONFIRM_MS).unwrap();
        assert_eq!(now.time_ms, at(RIGHT + DAY, 1_000 + CONFIRM_MS));
        assert_eq!(now.expiry_ms, at(RIGHT, 1_000 + CONFIRM_MS), "the expiry clock does not jump");
    }

    #[test]
    fn a_lone_clock_that_jumps_is_reported() {
        let mut keeper = keeper(&lone(RIGHT));
        keeper.look(&lone(RIGHT + DAY), 1_000);
        assert_eq!(keeper.state(), ClockState::Jumped(DAY));
        assert_eq!(keeper.now(1_000).unwrap().time_ms, at(RIGHT, 1_000));
        keeper.look(&lone(RIGHT), 2_000);
        assert_eq!(keeper.state(), ClockState::Good);
    }

    proptest! {
        /// Whatever the clocks show, expiry runs by the monotonic clock, and a minority changes nothing.
        #[test]
        fn expiry_is_the_monotonic_clock(jumps in prop::collection::vec((any::<i32>(), 0usize..3, 0u64..20_000), 1..50)) {
            let mut clocks = [RIGHT; 3];
            let mut keeper = keeper(&three(RIGHT, &[RIGHT, RIGHT]));
            let mut mono = 0;
            for (by, which, pause) in jumps {
                clocks[which] = RIGHT + i64::from(by) * 1_000;
                mono += pause;
                keeper.look(&three(clocks[0], &clocks[1..]), mono);
                prop_assert_eq!(keeper.now(mono).unwrap().expiry_ms, at(RIGHT, mono));
            }
        }

        #[test]
        fn a_minority_does_not_change_a_stamp(jumps in prop::collection::vec((any::<i32>(), 0u64..20_000, any::<bool>()), 1..50), which in 0usize..3) {
            let mut keeper = keeper(&three(RIGHT, &[RIGHT, RIGHT]));
            let mut mono = 0;
            for (by, pause, heard) in jumps {
                let mut clocks = [RIGHT; 3];
                clocks[which] = RIGHT + i64::from(by) * 1_000;
                mono += pause;
                let others = if heard { &clocks[1..] } else { &clocks[1..2] };
                keeper.look(&three(clocks[0], others), mono);
                prop_assert!(keeper.now(mono).unwrap().time_ms.abs_diff(at(RIGHT, mono)) <= WRONG_MS.unsigned_abs());
            }
        }
    }
}
