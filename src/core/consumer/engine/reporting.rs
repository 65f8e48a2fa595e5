//! Reports: what the cluster must know, assembled from the parts.

use super::{Condition, Engine, Snapshot, Totals};
use crate::core::consumer::flights::ranges;
use crate::core::consumer::progress::{Progress, WaitingSummary};
use crate::core::consumer::report::{MAX_UNREPORTED, Unreported};

/// Events of changed records that the cluster may not know of. Beyond this bound nothing new is begun or read
/// until they are reported.
pub(super) const MAX_UNSAVED: usize = 8_000;

impl<C> Engine<C> {
    /// Returns the progress as the cluster stores it.
    pub fn progress(&self) -> Progress {
        let Condition {
            failures,
            failing_since_ms,
            last_failure_ms,
            announced_percent,
            hold_until_ms,
            last_delivery_ms,
        } = self.health.condition();
        let Totals { next_attempt, delivered, failed_attempts, given_up, missed } = self.totals;
        Progress {
            track: self.live.track().clone(),
            waiting: self.waiting(),
            last_number: self.retries.last_number(),
            live_from: self.retries.live_from(),
            batches: self.batches_under_way(),
            gaps: self.lanes.gaps().to_vec(),
            replays: self.replays.records().to_vec(),
            commands_done: self.commands_done,
            failing_since_ms,
            last_failure_ms,
            failures,
            announced_percent,
            hold_until_ms,
            next_attempt,
            delivered,
            failed_attempts,
            given_up,
            missed,
            last_delivery_ms,
            last_error: self.health.last_error().map(str::to_owned),
            reports: self.reports.count(),
        }
    }

    /// Returns the summary of what waits. A delivery that is due waits all the same while a failing receiver
    /// gets nothing.
    fn waiting(&self) -> WaitingSummary {
        let summary = self.retries.summary();
        let gate_until_ms = self.health.gate_until_ms();
        WaitingSummary { due_ms: summary.due_ms.map(|due_ms| due_ms.max(gate_until_ms)), ..summary }
    }

    /// Returns the batches that are under way for the first time, as ranges of seqs, and those of an earlier
    /// owner that are still to be repeated.
    fn batches_under_way(&self) -> Vec<Vec<(u64, u64)>> {
        let earlier = self.live.batches().map(|batch| ranges(batch.iter().copied()));
        self.flights.batches().chain(earlier).collect()
    }

    /// Returns what the cluster must know. The caller keeps it until the cluster has it, then calls
    /// [`Engine::reported`], and only after that takes the next snapshot.
    pub fn snapshot(&mut self) -> Snapshot<C> {
        let (kept, dropped, is_all) = self.retries.changes();
        let Unreported { dead_letters, disable, announce } = self.reports.take(is_all);
        Snapshot { progress: self.progress(), kept, dropped, dead_letters, disable, announce }
    }

    /// Returns the number for another report of the same snapshot.
    pub fn count_report(&mut self) -> u64 {
        self.reports.next_number()
    }

    /// Records that the cluster has the last snapshot.
    pub fn reported(&mut self) {
        for (number, delivery) in self.reports.heard() {
            self.release(number, &delivery);
        }
    }

    /// Returns whether so much is unreported that no request may begin.
    pub(super) fn is_far_ahead(&self) -> bool {
        // A wide window has as many requests that end together.
        let most = MAX_UNREPORTED.max(u32::try_from(self.plan.window).unwrap_or(u32::MAX));
        self.reports.unreported() >= most || self.retries.unsaved_events() >= MAX_UNSAVED
    }
}
