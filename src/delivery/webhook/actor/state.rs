//! The states of a webhook's actor. Each is a state machine of its own that knows neither the actor nor a
//! clock.

use crate::core::consumer::engine::Urgency;
use std::time::{Duration, Instant};

/// How long progress over unwanted events may stay unreported, and how long a report that failed waits.
const LAZY: Duration = Duration::from_secs(5);
/// The pause before something that could not be read is read again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Whether requests may begin. Requests that wait for their turn share this state.
///
/// | from | when | to |
/// |---|---|---|
/// | `Running` | the webhook is disabled, has unusable settings, or moves to another node | `Closing` |
/// | `Closing` | none of these is true any more | `Running` |
/// | `Running` | other settings of it changed | `Running`, under their revision |
/// | any | another node owns the webhook, or another webhook has its id | `Retired` |
///
/// A new actor is in the state that follows from the webhook's settings. A closing actor stops once its
/// requests have ended and are reported to the cluster. A retired actor stops at once, and reports nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Requests may begin, under this revision of the settings.
    Running { revision: u64 },
    /// No request begins any more.
    Closing,
    /// The webhook does not belong to this actor any more.
    Retired,
}

impl Life {
    /// The settings or the owners may have changed. `permitted` is the revision of the settings under which
    /// requests may begin now, if any may.
    pub(super) fn follow(self, permitted: Option<u64>) -> Self {
        match (self, permitted) {
            (Self::Retired, _) => Self::Retired,
            (_, Some(revision)) => Self::Running { revision },
            (_, None) => Self::Closing,
        }
    }

    pub(super) fn is_running(self) -> bool {
        matches!(self, Self::Running { .. })
    }

    /// Whether a request that was made under that revision of the settings may begin.
    pub(super) fn lets_begin(self, revision: u64) -> bool {
        self == Self::Running { revision }
    }
}

/// The reader of one source of events. It reads one page at a time. An actor has three: for new events, for a
/// replay, and for what waits and is filtered again.
///
/// | from | when | to |
/// |---|---|---|
/// | `Idle` | a page is read off the thread | `Reading` |
/// | `Reading` | the page has arrived | `Idle` |
/// | `Idle`, `Reading` | the store can't be read | `Pausing` |
/// | `Pausing` | the pause is over | `Idle` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reader {
    #[default]
    Idle,
    Reading,
    Pausing {
        until: Instant,
    },
}

impl Reader {
    pub(super) fn begin(&mut self) {
        *self = Self::Reading;
    }

    pub(super) fn end(&mut self) {
        *self = Self::Idle;
    }

    pub(super) fn fail(&mut self, now: Instant) {
        *self = Self::Pausing { until: now + RETRY_PAUSE };
    }

    /// Ends a pause whose time is over.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.pauses_until().is_some_and(|until| until <= now) {
            *self = Self::Idle;
        }
    }

    pub(super) fn pauses_until(&self) -> Option<Instant> {
        if let Self::Pausing { until } = self { Some(*until) } else { None }
    }

    pub(super) fn is_idle(&self) -> bool {
        *self == Self::Idle
    }
}

/// The readers of an actor.
#[derive(Debug, Default)]
pub(super) struct Readers {
    pub(super) new: Reader,
    pub(super) replay: Reader,
    pub(super) waiting: Reader,
}

impl Readers {
    pub(super) fn tick(&mut self, now: Instant) {
        for reader in [&mut self.new, &mut self.replay, &mut self.waiting] {
            reader.tick(now);
        }
    }

    pub(super) fn pause_until(&self) -> Option<Instant> {
        self.all().into_iter().filter_map(Reader::pauses_until).min()
    }

    pub(super) fn are_idle(&self) -> bool {
        self.all().into_iter().all(Reader::is_idle)
    }

    fn all(&self) -> [&Reader; 3] {
        [&self.new, &self.replay, &self.waiting]
    }
}

/// Whether the log may have owner commands that the actor has not carried out.
///
/// | from | when | to |
/// |---|---|---|
/// | `Taken` | something about the webhook changed | `Due` |
/// | `Due` | the commands were read and carried out | `Taken` |
/// | `Due` | they can't be read | `Pausing` |
/// | `Pausing` | the pause is over | `Due` |
///
/// A new actor begins with `Due`. A closing actor leaves the commands in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Commands {
    #[default]
    Due,
    Taken,
    Pausing {
        until: Instant,
    },
}

impl Commands {
    pub(super) fn expect(&mut self) {
        if *self == Self::Taken {
            *self = Self::Due;
        }
    }

    pub(super) fn take(&mut self) {
        *self = Self::Taken;
    }

    pub(super) fn fail(&mut self, now: Instant) {
        *self = Self::Pausing { until: now + RETRY_PAUSE };
    }

    /// Ends a pause whose time is over.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.pauses_until().is_some_and(|until| until <= now) {
            *self = Self::Due;
        }
    }

    pub(super) fn pauses_until(&self) -> Option<Instant> {
        if let Self::Pausing { until } = self { Some(*until) } else { None }
    }
}

/// How the actor's work is reported to the cluster.
///
/// | from | when | to |
/// |---|---|---|
/// | `Quiet` | there is something to report that can wait | `Waiting` |
/// | `Quiet`, `Waiting` | there is something to report that can't wait | `Announced` |
/// | `Waiting`, `PutOff` | the waiting time is over | `Announced` |
/// | `Announced` | the reporter collects the report | `UnderWay` |
/// | `Announced` | the report can't be made, since the store can't be read | `PutOff` |
/// | `UnderWay` | the cluster has the report | `Quiet` |
/// | `UnderWay` | the report is too large for the log | `PutOff` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reporting {
    /// There is nothing to report.
    #[default]
    Quiet,
    /// There is something to report, but not before `until`.
    Waiting { until: Instant },
    /// The last report failed. It is made again at `until`, however urgent it is.
    PutOff { until: Instant },
    /// The reporter will collect the report.
    Announced,
    /// The reporter has collected the report, and the cluster may not have it yet.
    UnderWay,
}

impl Reporting {
    /// What there is to report has this urgency.
    pub(super) fn follow(&mut self, urgency: Urgency, now: Instant) {
        *self = match *self {
            Self::Quiet | Self::Waiting { .. } if urgency == Urgency::None => Self::Quiet,
            Self::Quiet if urgency == Urgency::Lazy => Self::Waiting { until: now + LAZY },
            Self::Waiting { until } if urgency == Urgency::Lazy && now < until => *self,
            Self::PutOff { until } if now < until => *self,
            Self::Quiet | Self::Waiting { .. } | Self::PutOff { .. } => Self::Announced,
            Self::Announced | Self::UnderWay => *self,
        };
    }

    /// The reporter has collected everything.
    pub(super) fn collected(&mut self) {
        *self = Self::UnderWay;
    }

    /// The report failed.
    pub(super) fn put_off(&mut self, now: Instant) {
        *self = Self::PutOff { until: now + LAZY };
    }

    /// The cluster has everything that was collected.
    pub(super) fn reported(&mut self) {
        *self = Self::Quiet;
    }

    pub(super) fn waits_until(&self) -> Option<Instant> {
        match self {
            Self::Waiting { until } | Self::PutOff { until } => Some(*until),
            _ => None,
        }
    }

    /// Whether everything is reported that must be before the actor stops. `urgency` is that of the rest.
    pub(super) fn is_done(&self, urgency: Urgency) -> bool {
        matches!(self, Self::Quiet | Self::Waiting { .. }) && urgency <= Urgency::Lazy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: Life = Life::Running { revision: 7 };

    #[test]
    fn a_life_follows_the_settings_until_it_is_retired() {
        assert_eq!(RUNNING.follow(Some(8)), Life::Running { revision: 8 });
        assert_eq!(RUNNING.follow(None), Life::Closing);
        assert_eq!(Life::Closing.follow(Some(7)), RUNNING);
        assert_eq!(Life::Closing.follow(None), Life::Closing);
        assert_eq!(
            (Life::Retired.follow(Some(7)), Life::Retired.follow(None)),
            (Life::Retired, Life::Retired)
        );
    }

    #[test]
    fn a_request_begins_under_the_settings_that_it_was_made_with() {
        assert!(RUNNING.lets_begin(7) && !RUNNING.lets_begin(6));
        assert!(!Life::Closing.lets_begin(7) && !Life::Retired.lets_begin(7));
    }

    #[test]
    fn a_failed_read_is_repeated_after_a_pause() {
        let now = Instant::now();
        let mut readers = Readers::default();
        readers.new.begin();
        assert!(!readers.are_idle() && readers.pause_until().is_none());
        readers.new.fail(now);
        readers.replay.fail(now + RETRY_PAUSE);
        assert_eq!(readers.pause_until(), Some(now + RETRY_PAUSE));
        readers.tick(now);
        assert_eq!(readers.new, Reader::Pausing { until: now + RETRY_PAUSE });
        readers.tick(now + RETRY_PAUSE);
        assert_eq!((readers.new, readers.pause_until()), (Reader::Idle, Some(now + 2 * RETRY_PAUSE)));
        readers.replay.end();
        assert!(readers.are_idle());
        readers.new.begin();
        readers.tick(now + 9 * RETRY_PAUSE);
        assert_eq!(readers.new, Reader::Reading, "time ends only pauses");
    }

    #[test]
    fn commands_are_read_once_for_each_change_and_again_after_a_failure() {
        let now = Instant::now();
        let mut commands = Commands::default();
        assert_eq!(commands, Commands::Due);
        commands.fail(now);
        commands.expect();
        assert_eq!(commands.pauses_until(), Some(now + RETRY_PAUSE), "a change makes no pause shorter");
        commands.tick(now + RETRY_PAUSE);
        assert_eq!(commands, Commands::Due);
        commands.take();
        commands.tick(now + 2 * RETRY_PAUSE);
        assert_eq!(commands, Commands::Taken);
        commands.expect();
        assert_eq!(commands, Commands::Due);
    }

    #[test]
    fn a_report_is_announced_when_it_is_due_and_made_once() {
        let now = Instant::now();
        let mut reporting = Reporting::default();
        reporting.follow(Urgency::None, now);
        assert_eq!(reporting, Reporting::Quiet);
        reporting.follow(Urgency::Soon, now);
        assert_eq!(reporting, Reporting::Announced);
        reporting.collected();
        reporting.follow(Urgency::Now, now + 9 * LAZY);
        assert_eq!(reporting, Reporting::UnderWay, "one report at a time");
        reporting.reported();
        assert_eq!(reporting, Reporting::Quiet);
    }

    #[test]
    fn a_report_that_can_wait_waits_from_its_first_cause_on() {
        let now = Instant::now();
        let mut reporting = Reporting::default();
        reporting.follow(Urgency::Lazy, now);
        reporting.follow(Urgency::Lazy, now + LAZY / 2);
        assert_eq!(reporting.waits_until(), Some(now + LAZY));
        let mut urgent = reporting;
        urgent.follow(Urgency::Soon, now + LAZY / 2);
        reporting.follow(Urgency::Lazy, now + LAZY);
        assert_eq!((urgent, reporting), (Reporting::Announced, Reporting::Announced));
    }

    #[test]
    fn a_report_that_failed_waits_however_urgent_it_is() {
        let now = Instant::now();
        let mut reporting = Reporting::Announced;
        reporting.put_off(now);
        reporting.follow(Urgency::Now, now + LAZY / 2);
        assert_eq!(reporting, Reporting::PutOff { until: now + LAZY });
        // The report has to be made even if nothing else happens.
        reporting.follow(Urgency::None, now + LAZY);
        assert_eq!(reporting, Reporting::Announced);
    }

    #[test]
    fn an_actor_may_stop_when_only_reports_that_can_wait_are_left() {
        let now = Instant::now();
        let waiting = Reporting::Waiting { until: now };
        assert!(Reporting::Quiet.is_done(Urgency::None) && waiting.is_done(Urgency::Lazy));
        assert!(!Reporting::Quiet.is_done(Urgency::Soon));
        for open in [Reporting::PutOff { until: now }, Reporting::Announced, Reporting::UnderWay] {
            assert!(!open.is_done(Urgency::None), "{open:?}");
        }
    }
}
