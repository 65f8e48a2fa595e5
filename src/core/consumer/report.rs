//! Reports: what the cluster must know of a consumer, and how soon.
//!
//! This file tracks what is unreported and bounds it. A report is taken, sent to the cluster, and
//! acknowledged; the next one is taken after that.

use super::progress::{DeadLetterChange, EventRef, Retry};

/// The largest number of ended requests that the cluster may not know of. Beyond it no request begins. So a
/// new owner repeats at most these and one window of others, however slow the cluster is.
pub(super) const MAX_UNREPORTED: u32 = 512;
/// The largest number of reports of one engine. The numbers of the next engine begin after them.
const GENERATION: u64 = 1 << 32;

/// How soon the cluster must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// There is nothing to report.
    #[default]
    None,
    /// The cursor only passed events that are not wanted.
    Lazy,
    /// With the next batch.
    Soon,
    /// At once: an event was given up, or the consumer is to be disabled.
    Now,
}

/// What is unreported, apart from the progress and the waiting records.
#[derive(Debug)]
pub(super) struct Unreported<C> {
    pub(super) dead_letters: Vec<DeadLetterChange<C>>,
    /// Set if the consumer is to be disabled, for this reason.
    pub(super) disable: Option<String>,
    /// The percentages of the time until it is disabled that are over now, ascending.
    pub(super) announce: Vec<u8>,
}

impl<C> Default for Unreported<C> {
    fn default() -> Self {
        Self { dead_letters: Vec::new(), disable: None, announce: Vec::new() }
    }
}

/// The unreported results of a consumer. A given-up delivery of a lane is in `given_up` until a report
/// contains it, then in `reporting` until the cluster has acknowledged the report. It holds its lanes for
/// that long.
#[derive(Debug)]
pub(super) struct Reports<C> {
    /// The number of reports so far.
    count: u64,
    unreported: Unreported<C>,
    urgency: Urgency,
    /// Requests that ended since the last report.
    completions: u32,
    /// Requests in the last report, of which the cluster may not know yet.
    reported: u32,
    given_up: Vec<(u64, Retry)>,
    reporting: Vec<(u64, Retry)>,
}

impl<C> Reports<C> {
    /// Begins after `count`: whatever an earlier engine reported of the same state comes before this engine's
    /// reports.
    pub(super) fn new(count: u64) -> Self {
        Self {
            count: count + GENERATION,
            unreported: Unreported::default(),
            urgency: Urgency::None,
            completions: 0,
            reported: 0,
            given_up: Vec::new(),
            reporting: Vec::new(),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the number of the next report.
    pub(super) fn next_number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(super) fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// Records that there is something to report, and how soon.
    pub(super) fn note(&mut self, urgency: Urgency) {
        self.urgency = self.urgency.max(urgency);
    }

    /// Records that a request has ended.
    pub(super) fn completed(&mut self) {
        self.completions += 1;
        self.note(Urgency::Soon);
    }

    /// Returns the number of ended requests that the cluster may not know of.
    pub(super) fn unreported(&self) -> u32 {
        self.completions + self.reported
    }

    /// Records a new dead letter.
    pub(super) fn dead_letter(&mut self, change: DeadLetterChange<C>) {
        self.unreported.dead_letters.push(change);
        self.note(Urgency::Now);
    }

    /// Records that dead letters were delivered after all.
    pub(super) fn revived(&mut self, events: &[EventRef]) {
        self.unreported.dead_letters.extend(events.iter().map(|event| DeadLetterChange::Removed(event.seq)));
    }

    /// Records that a delivery in lanes was given up. It holds them until the cluster knows, so that no other
    /// owner delivers it after its successors.
    pub(super) fn given_up(&mut self, number: u64, delivery: Retry) {
        self.given_up.push((number, delivery));
    }

    /// Records that the consumer is to be disabled. Only the first reason is reported.
    pub(super) fn disable(&mut self, why: String) {
        self.unreported.disable.get_or_insert(why);
        self.note(Urgency::Now);
    }

    /// Records that these percentages of the time until the consumer is disabled are over now.
    pub(super) fn announce(&mut self, percents: &[u8]) {
        self.unreported.announce.extend(percents);
        self.note(Urgency::Now);
    }

    /// Drops the decision to disable: somebody requested that the consumer continue.
    pub(super) fn withdraw(&mut self) {
        self.unreported.disable = None;
        self.unreported.announce.clear();
    }

    /// Takes what is unreported. `is_all` says that the rest of the report is complete.
    pub(super) fn take(&mut self, is_all: bool) -> Unreported<C> {
        self.count += 1;
        self.reporting.append(&mut self.given_up);
        self.urgency = if is_all { Urgency::None } else { Urgency::Soon };
        self.reported += std::mem::take(&mut self.completions);
        std::mem::take(&mut self.unreported)
    }

    /// Records that the cluster has acknowledged the report. Returns the deliveries that can release their
    /// lanes now.
    pub(super) fn heard(&mut self) -> Vec<(u64, Retry)> {
        self.reported = 0;
        std::mem::take(&mut self.reporting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::consumer::progress::Source;

    fn delivery() -> Retry {
        Retry {
            events: Vec::new(),
            attempts: 1,
            due_ms: 0,
            first_ms: 0,
            lanes: vec![7],
            source: Source::Live,
        }
    }

    #[test]
    fn a_given_up_delivery_holds_its_lanes_until_the_cluster_knows() {
        let mut reports = Reports::<()>::new(0);
        reports.given_up(1, delivery());
        assert!(reports.heard().is_empty(), "no report contains it yet");
        reports.take(true);
        reports.given_up(2, delivery());
        let released: Vec<u64> = reports.heard().into_iter().map(|(number, _)| number).collect();
        assert_eq!(released, [1]);
        reports.take(true);
        assert_eq!(reports.heard().len(), 1);
    }

    #[test]
    fn ended_requests_count_as_unreported_until_the_cluster_knows() {
        let mut reports = Reports::<()>::new(5);
        (0..3).for_each(|_| reports.completed());
        assert_eq!((reports.unreported(), reports.urgency()), (3, Urgency::Soon));
        reports.take(false);
        reports.completed();
        assert_eq!(
            (reports.unreported(), reports.urgency()),
            (4, Urgency::Soon),
            "the report was not complete"
        );
        reports.take(true);
        assert_eq!(
            (reports.unreported(), reports.urgency()),
            (4, Urgency::None),
            "it is not acknowledged yet"
        );
        reports.heard();
        assert_eq!(reports.unreported(), 0);
        assert!(reports.count() > GENERATION + 5 && Reports::<()>::new(5).count() < reports.next_number());
    }

    #[test]
    fn a_withdrawn_decision_is_not_reported() {
        let mut reports = Reports::<()>::new(0);
        reports.disable("first".into());
        reports.disable("second".into());
        reports.announce(&[50, 75]);
        let reported = reports.take(true);
        assert_eq!((reported.disable.as_deref(), reported.announce), (Some("first"), vec![50, 75]));
        reports.disable("again".into());
        reports.announce(&[90]);
        reports.withdraw();
        let reported = reports.take(true);
        assert_eq!((reported.disable, reported.announce), (None, vec![]));
    }
}
