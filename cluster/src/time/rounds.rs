//! The leader asks the members for their clocks, and reports the time to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::{ClockState, Clocks, ClusterClock};
use crate::NodeId;
use crate::engine::Engine;
use crate::membership::Lead;
use crate::net::Lane;
use crate::wire::{Answer, Request, StampV1};

/// How often the leader asks.
const ROUND: Duration = Duration::from_millis(500);
/// Longest wait for one member.
const ASK: Duration = Duration::from_millis(500);
/// Longest wait for the others once a majority has answered.
const SOON: Duration = Duration::from_millis(100);
/// How long the last answer of a clock counts if it does not answer: its offset changes only when it jumps.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Pause between two attempts to hand the lead over.
const HAND_OVER: Duration = Duration::from_secs(5);

/// The last answers of the voters' clocks, and when they came.
type Readings = BTreeMap<NodeId, (i64, Instant)>;

/// The rounds in which a leader asks for the members' clocks. If its own clock is wrong, it hands the lead
/// over.
pub(crate) struct ClockRounds {
    engine: Arc<Engine>,
    clock: Arc<ClusterClock>,
    lead: Arc<Lead>,
}

impl ClockRounds {
    pub(crate) fn new(engine: Arc<Engine>, clock: Arc<ClusterClock>, lead: Arc<Lead>) -> Self {
        Self { engine, clock, lead }
    }

    /// Repeats the rounds while this node leads.
    pub(crate) async fn run(self) {
        let mut handed_over: Option<Instant> = None;
        let mut leads_since = None;
        let mut readings = Readings::new();
        loop {
            if !self.engine.leads() {
                leads_since = None;
                readings.clear();
                self.clock.follow();
                self.engine.leader_change(ROUND).await;
                continue;
            }
            let since = *leads_since.get_or_insert_with(Instant::now);
            let clocks = self.ask_clocks(&mut readings).await;
            let state = self.clock.take_clocks(&clocks, since.elapsed());
            if let ClockState::Wrong(ms) = state
                && handed_over.is_none_or(|at| at.elapsed() >= HAND_OVER)
            {
                handed_over = Some(Instant::now());
                self.lead_to_a_right_clock(ms, &clocks).await;
            }
            if self.clock.stamp().is_some() {
                self.engine.leader_change(ROUND).await;
            }
        }
    }

    /// Asks every member, and waits for those that answer soon.
    async fn ask_clocks(&self, readings: &mut Readings) -> Clocks {
        let metrics = self.engine.metrics();
        let membership = metrics.membership_config.membership();
        let voters: Vec<NodeId> = membership.voter_ids().collect();
        let reported = self.clock.stamp().map(StampV1::from);
        let others = membership.nodes().map(|(id, _)| *id).filter(|id| *id != self.engine.id());
        let mut asked: FuturesUnordered<_> = others.map(|id| self.ask_clock(id, reported)).collect();
        let mut clocks = Clocks { own: self.clock.own_offset(), others: Vec::new(), voters: voters.len() };
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
        // A member that fails at once would otherwise be asked again at once.
        if !clocks.is_majority() {
            sleep_until(began + SOON).await;
        }
        let now = Instant::now();
        readings.extend(clocks.others.drain(..).map(|(id, offset)| (id, (offset, now))));
        readings.retain(|id, (_, at)| voters.contains(id) && at.elapsed() < REMEMBERED);
        clocks.others = readings.iter().map(|(id, (offset, _))| (*id, *offset)).collect();
        clocks.own = self.clock.own_offset();
        clocks
    }

    /// Returns the member and the offset of its clock.
    async fn ask_clock(&self, id: NodeId, reported: Option<StampV1>) -> Option<(NodeId, i64)> {
        let began = Instant::now();
        let asked = self.engine.ask(id, Lane::Pulse, &Request::ClockV1 { reported }, ASK).await;
        let Ok(Answer::ClockV1 { clock_ms }) = asked else { return None };
        Some((id, offset_of(clock_ms, began.elapsed(), self.clock.mono())?))
    }

    async fn lead_to_a_right_clock(&self, off_ms: i64, clocks: &Clocks) {
        let Some(to) = self.lead.successor(&clocks.right()) else {
            tracing::warn!(off_ms, "this leader's clock is wrong, and no voter with a right one can lead");
            return;
        };
        tracing::warn!(
            off_ms,
            to = self.engine.called(to),
            "this leader's clock is wrong: the lead goes to a node whose clock is right"
        );
        self.lead.transfer(to, ASK).await;
    }
}

/// How far a clock is ahead of this process's monotonic clock, which shows `mono_ms` now. The clock's answer
/// was `clock_ms`, and the request took `took`. `None` if the request took too long, as over a pause of this
/// process: then it is unknown when the clock was read.
fn offset_of(clock_ms: u64, took: Duration, mono_ms: u64) -> Option<i64> {
    // The clock was read at some moment during the request. The middle is the best estimate.
    let halfway = u64::try_from(took.as_millis() / 2).ok().filter(|_| took <= ASK)?;
    let read_at = i64::try_from(mono_ms.saturating_sub(halfway)).unwrap_or(0);
    Some(i64::try_from(clock_ms).unwrap_or(i64::MAX).saturating_sub(read_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_reading_over_a_pause_is_ignored() {
        assert_eq!(offset_of(1_000_000, Duration::ZERO, 7_000), Some(993_000));
        assert_eq!(
            offset_of(1_000_000, Duration::from_millis(300), 7_000),
            Some(993_150),
            "it was read halfway"
        );
        assert_eq!(offset_of(1_000_000, ASK, 7_000), Some(993_250));
        assert_eq!(offset_of(1_000_000, ASK + Duration::from_millis(1), 7_000), None);
        assert_eq!(offset_of(1_000_000, Duration::from_secs(3600), 7_000), None);
    }
}
