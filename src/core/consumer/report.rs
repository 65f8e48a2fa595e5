//! Reports: what the cluster must know of a consumer, and how soon.
//!
//! Owns what was not told, and the bound on it. A report is taken, carried to the cluster, and heard; the next one is
//! taken after that.

use super::progress::{DeadLetterChange, EventRef, Retry};

/// Requests that have ended and the cluster may not know of, at most; over it none is begun. So a new owner sends again
/// what these had and a window of others, however slow the cluster is.
pub(super) const MAX_UNREPORTED: u32 = 512;
/// Reports that one engine may make before the next one's begin.
const GENERATION: u64 = 1 << 32;

/// How soon the cluster must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Nothing to tell.
    #[default]
    None,
    /// Only events that nobody wants were passed.
    Lazy,
    /// With the next batch.
    Soon,
    /// At once: something was given up, or the consumer is to be disabled.
    Now,
}

/// What was not told yet, beside the progress and the records of what waits.
#[derive(Debug)]
pub(super) struct Unreported<C> {
    pub(super) dead_letters: Vec<DeadLetterChange<C>>,
    /// It is to be disabled, for this reason.
    pub(super) disable: Option<String>,
    /// It has been failing for so much of the time until it is disabled, percent.
    pub(super) announce: Option<u8>,
}

impl<C> Default for Unreported<C> {
    fn default() -> Self {
        Self { dead_letters: Vec::new(), disable: None, announce: None }
    }
}

/// A delivery given up in a lane is in `given_up` until a report has it, then in `reporting` until the cluster has heard:
/// it holds its lanes as long.
#[derive(Debug)]
pub(super) struct Reports<C> {
    /// Counts what was told.
    count: u64,
    unreported: Unreported<C>,
    urgency: Urgency,
    /// Requests that ended since the last report.
    completions: u32,
    /// Those that the last report has, and the cluster may not know of.
    told: u32,
    given_up: Vec<(u64, Retry)>,
    reporting: Vec<(u64, Retry)>,
}

impl<C> Reports<C> {
    /// Whatever an earlier engine told of the same state, up to `count`, comes before what this one tells.
    pub(super) fn new(count: u64) -> Self {
        Self {
            count: count + GENERATION,
            unreported: Unreported::default(),
            urgency: Urgency::None,
            completions: 0,
            told: 0,
            given_up: Vec::new(),
            reporting: Vec::new(),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The number of one more report.
    pub(super) fn next_number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(super) fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// There is something to tell, so soon.
    pub(super) fn note(&mut self, urgency: Urgency) {
        self.urgency = self.urgency.max(urgency);
    }

    /// A request has ended.
    pub(super) fn completed(&mut self) {
        self.completions += 1;
        self.note(Urgency::Soon);
    }

    /// Requests that have ended and the cluster may not know of.
    pub(super) fn unreported(&self) -> u32 {
        self.completions + self.told
    }

    /// An event was given up.
    pub(super) fn buried(&mut self, change: DeadLetterChange<C>) {
        self.unreported.dead_letters.push(change);
        self.note(Urgency::Now);
    }

    /// Dead letters were delivered after all.
    pub(super) fn revived(&mut self, events: &[EventRef]) {
        self.unreported.dead_letters.extend(events.iter().map(|event| DeadLetterChange::Removed(event.seq)));
    }

    /// A delivery in lanes was given up. It holds them until the cluster knows, so that no other owner delivers it after
    /// its successors.
    pub(super) fn given_up(&mut self, number: u64, delivery: Retry) {
        self.given_up.push((number, delivery));
    }

    /// The consumer is to be disabled. The first reason is told.
    pub(super) fn disable(&mut self, why: String) {
        self.unreported.disable.get_or_insert(why);
        self.note(Urgency::Now);
    }

    pub(super) fn announce(&mut self, percent: u8) {
        self.unreported.announce = Some(percent);
        self.note(Urgency::Now);
    }

    /// Somebody asked that the consumer goes on.
    pub(super) fn withdraw(&mut self) {
        self.unreported.disable = None;
        self.unreported.announce = None;
    }

    /// Takes what was not told. `is_all` says that the rest of the report leaves nothing out.
    pub(super) fn take(&mut self, is_all: bool) -> Unreported<C> {
        self.count += 1;
        self.reporting.append(&mut self.given_up);
        self.urgency = if is_all { Urgency::None } else { Urgency::Soon };
        self.told += std::mem::take(&mut self.completions);
        std::mem::take(&mut self.unreported)
    }

    /// The cluster has heard all that was taken. Answers what may let its lanes go now.
    pub(super) fn heard(&mut self) -> Vec<(u64, Retry)> {
        self.told = 0;
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
    fn what_was_given_up_holds_its_lanes_until_the_cluster_has_heard_of_it() {
        let mut reports = Reports::<()>::new(0);
        reports.given_up(1, delivery());
        assert!(reports.heard().is_empty(), "no report has it yet");
        reports.take(true);
        reports.given_up(2, delivery());
        let let_go: Vec<u64> = reports.heard().into_iter().map(|(number, _)| number).collect();
        assert_eq!(let_go, [1]);
        reports.take(true);
        assert_eq!(reports.heard().len(), 1);
    }

    #[test]
    fn what_the_cluster_may_not_know_of_counts_until_it_has_heard() {
        let mut reports = Reports::<()>::new(5);
        (0..3).for_each(|_| reports.completed());
        assert_eq!((reports.unreported(), reports.urgency()), (3, Urgency::Soon));
        reports.take(false);
        reports.completed();
        assert_eq!((reports.unreported(), reports.urgency()), (4, Urgency::Soon), "it left something out");
        reports.take(true);
        assert_eq!((reports.unreported(), reports.urgency()), (4, Urgency::None), "nobody has heard it");
        reports.heard();
        assert_eq!(reports.unreported(), 0);
        assert!(reports.count() > GENERATION + 5 && Reports::<()>::new(5).count() < reports.next_number());
    }

    #[test]
    fn what_is_withdrawn_is_not_told() {
        let mut reports = Reports::<()>::new(0);
        reports.disable("first".into());
        reports.disable("second".into());
        reports.announce(50);
        let told = reports.take(true);
        assert_eq!((told.disable.as_deref(), told.announce), (Some("first"), Some(50)));
        reports.disable("again".into());
        reports.announce(90);
        reports.withdraw();
        let told = reports.take(true);
        assert_eq!((told.disable, told.announce), (None, None));
    }
}
