//! The leader asks its members what their clocks say, and tells them the time.
//!
//! Owns the rounds, and handing the lead over where this node's own clock is wrong; what the time is then is `time`'s.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until, timeout};

use crate::NodeId;
use crate::clock;
use crate::net::Lane;
use crate::node::Node;
use crate::status::ClockStatus;
use crate::time::{ClockState, Clocks, Stamp, Timekeeper};
use crate::wire::{Answer, Request, StampV1};

/// How often the leader asks.
const ROUND: Duration = Duration::from_millis(500);
/// Longest wait for one member.
const ASK: Duration = Duration::from_millis(500);
/// Longest wait for the others once a majority has answered.
const SOON: Duration = Duration::from_millis(100);
/// A leader that does not know the time waits so long at most for a majority's clocks.
const UNKNOWN: Duration = Duration::from_secs(1);
/// A clock that does not answer says what it last said for so long: its offset only moves when it jumps.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Pause between two attempts to hand the lead over.
const HAND_OVER: Duration = Duration::from_secs(5);

/// What voters' clocks last said, and when.
type Readings = BTreeMap<NodeId, (i64, Instant)>;

impl Node {
    fn timekeeper(&self) -> MutexGuard<'_, Timekeeper> {
        self.timekeeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This process's monotonic clock (ms).
    fn mono(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn own_offset(&self) -> i64 {
        let (clock, mono) = (clock::now_ms(), self.mono());
        i64::try_from(clock).unwrap_or(i64::MAX).saturating_sub(i64::try_from(mono).unwrap_or(i64::MAX))
    }

    /// What an entry is stamped with now; `None` where this node does not know the time yet.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        if crate::failpoint!("own-clock") {
            let wall = clock::now_ms();
            return Some(Stamp { time_ms: wall, expiry_ms: wall, checked: true });
        }
        let mono = self.mono();
        self.timekeeper().now(mono)
    }

    /// The time as far as this node knows it: its own clock's where no leader has told it yet.
    pub(crate) fn time(&self) -> Stamp {
        let applied = self.store.last_stamp();
        let now = self.stamp().unwrap_or(Stamp { time_ms: clock::now_ms(), ..applied });
        Stamp { expiry_ms: now.expiry_ms.max(applied.expiry_ms), ..now }
    }

    /// The leader (or who takes itself for that) told the time.
    pub(crate) fn told_time(&self, from: NodeId, told: Option<StampV1>) -> Answer {
        if let Some(told) = told.filter(|_| self.leader() == Some(from)) {
            let mono = self.mono();
            self.timekeeper().told(told.into(), mono);
        }
        Answer::ClockV1 { clock_ms: clock::now_ms() }
    }

    /// What is known of the clocks.
    pub(crate) fn clock_status(&self) -> ClockStatus {
        let now = self.time();
        let keeper = self.timekeeper();
        ClockStatus {
            time_ms: now.time_ms,
            expiry_ms: now.expiry_ms,
            id_ms: self.store.id_ms(),
            clocks: keeper.state(),
            held_ms: keeper.held_ms(),
        }
    }

    /// Asks again and again, while this node leads.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        let mut handed_over: Option<Instant> = None;
        let mut leads_since = None;
        let mut readings = Readings::new();
        loop {
            if self.leader() != Some(self.id()) {
                leads_since = None;
                readings.clear();
                self.timekeeper().follow();
                self.leader_change(ROUND).await;
                continue;
            }
            let since = *leads_since.get_or_insert_with(Instant::now);
            let clocks = self.ask_clocks(&mut readings).await;
            let state = self.take_clocks(&clocks, since.elapsed());
            if let ClockState::Wrong(ms) = state
                && handed_over.is_none_or(|at| at.elapsed() >= HAND_OVER)
            {
                handed_over = Some(Instant::now());
                self.lead_to_a_right_clock(ms, &clocks).await;
            }
            if self.stamp().is_some() {
                self.leader_change(ROUND).await;
            }
        }
    }

    /// Sets or steers the time by the voters' clocks.
    fn take_clocks(&self, clocks: &Clocks, leads_for: Duration) -> ClockState {
        // In this order: a stamp read after the monotonic clock would put the expiry clock ahead.
        let last = self.store.last_stamp();
        let mono = self.mono();
        let mut keeper = self.timekeeper();
        let before = (keeper.state(), keeper.held_ms());
        match keeper.now(mono) {
            Some(_) => {
                keeper.applied(last, mono);
                keeper.look(clocks, mono);
            }
            None if clocks.is_majority() || leads_for >= UNKNOWN => keeper.settle(clocks, last, mono),
            None => {}
        }
        let (state, held_ms) = (keeper.state(), keeper.held_ms());
        drop(keeper);
        self.timed.notify_waiters();
        if (state, held_ms) != before && (state, held_ms) != (ClockState::Good, None) {
            tracing::warn!(?state, ?held_ms, "the clocks of this cluster");
        }
        state
    }

    /// Asks every member, and waits for all that answer soon.
    async fn ask_clocks(&self, readings: &mut Readings) -> Clocks {
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        let voters: Vec<NodeId> = membership.voter_ids().collect();
        let told = self.stamp().map(StampV1::from);
        let others = membership.nodes().map(|(id, _)| *id).filter(|id| *id != self.id());
        let mut asked: FuturesUnordered<_> = others.map(|id| self.ask_clock(id, told)).collect();
        let mut clocks = Clocks { own: self.own_offset(), others: Vec::new(), voters: voters.len() };
        let began = Instant::now();
        loop {
            let limit = if clocks.is_majority() { SOON } else { ASK };
            tokio::select! {
                answer = asked.next() => match answer {
                    Some(Some((id, offset))) if voters.contains(&id) => clocks.others.push((id, offset)),
                    Some(_) => {}
                    None => break,
                },
                () = sleep_until(began + limit) => break,
            }
        }
        // Who answers at once, that it can't, would be asked again at once.
        if !clocks.is_majority() {
            sleep_until(began + SOON).await;
        }
        let now = Instant::now();
        readings.extend(clocks.others.drain(..).map(|(id, offset)| (id, (offset, now))));
        readings.retain(|id, (_, at)| voters.contains(id) && at.elapsed() < REMEMBERED);
        clocks.others = readings.iter().map(|(id, (offset, _))| (*id, *offset)).collect();
        clocks.own = self.own_offset();
        clocks
    }

    /// A member and the offset of its clock.
    async fn ask_clock(&self, id: NodeId, told: Option<StampV1>) -> Option<(NodeId, i64)> {
        let began = Instant::now();
        let asked = self.peers.link(id, Lane::Pulse).ask(self.group, &Request::ClockV1 { told }, ASK).await;
        let Ok(Answer::ClockV1 { clock_ms }) = asked else { return None };
        Some((id, offset_of(clock_ms, began.elapsed(), self.mono())?))
    }

    async fn lead_to_a_right_clock(&self, off_ms: i64, clocks: &Clocks) {
        let Some(to) = self.successor(&clocks.right()) else {
            tracing::warn!(off_ms, "this leader's clock is wrong, and no voter with a right one can lead");
            return;
        };
        tracing::warn!(off_ms, to, "this leader's clock is wrong: the lead goes to a node whose clock is right");
        self.transfer(to, ASK).await;
    }

    /// Waits until this node knows the time, a moment at most.
    pub(crate) async fn until_timed(&self, limit: Duration) -> Option<Stamp> {
        let known = self.timed.notified();
        if let Some(stamp) = self.stamp() {
            return Some(stamp);
        }
        // Either will do: it is looked for again.
        let _ = timeout(limit, known).await;
        self.stamp().filter(|_| !self.stopping.load(Ordering::Relaxed))
    }
}

/// How far a clock is ahead of this process's monotonic one, which says `mono_ms` now: the answer to a question that took
/// so long was `clock_ms`. `None` over a pause of this process: nobody knows when in it the clock was read.
fn offset_of(clock_ms: u64, took: Duration, mono_ms: u64) -> Option<i64> {
    // It was read somewhere within the time that asking took: half of it is as good a guess as any.
    let halfway = u64::try_from(took.as_millis() / 2).ok().filter(|_| took <= ASK)?;
    let read_at = i64::try_from(mono_ms.saturating_sub(halfway)).unwrap_or(0);
    Some(i64::try_from(clock_ms).unwrap_or(i64::MAX).saturating_sub(read_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_asked_over_a_pause_says_nothing() {
        assert_eq!(offset_of(1_000_000, Duration::ZERO, 7_000), Some(993_000));
        assert_eq!(offset_of(1_000_000, Duration::from_millis(300), 7_000), Some(993_150), "it was read halfway");
        assert_eq!(offset_of(1_000_000, ASK, 7_000), Some(993_250));
        assert_eq!(offset_of(1_000_000, ASK + Duration::from_millis(1), 7_000), None);
        assert_eq!(offset_of(1_000_000, Duration::from_secs(3600), 7_000), None);
    }
}
