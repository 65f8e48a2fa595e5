//! The reports of a webhook to the cluster: when they are due, and in which pieces.
//!
//! Owns everything that is not reported yet. A piece is far smaller than the largest entry that the log
//! takes, except for the progress itself, whose size the engine bounds.

use super::WebhookActor;
use super::state::Reporting;
use crate::core::consumer::engine::{Snapshot, Urgency};
use crate::core::consumer::progress::{Disable, Progress, Retry};
use crate::core::event::NewEvent;
use crate::core::time::iso_millis;
use crate::core::webhook::records::{Attempt, DeadLetterChange, KEPT_ATTEMPTS, Update};
use crate::delivery::webhook::announce::About;
use crate::delivery::webhook::metrics as count;
use crate::hub::ArchiveError;
use std::collections::BTreeMap;
use std::time::Instant;

/// Changes of dead letters in one piece. Each has at most about 500 bytes.
const DEAD_LETTERS: usize = 500;
/// The most changes of dead letters that wait to be reported. The cluster keeps no more either.
const MAX_DEAD_LETTERS: usize = 10_000;

/// An actor's reports.
#[derive(Default)]
pub(super) struct Reports {
    pub(super) state: Reporting,
    pub(super) unreported: Unreported,
}

/// Everything that the cluster doesn't know yet, except for the progress.
#[derive(Default)]
pub(super) struct Unreported {
    kept: BTreeMap<u64, Retry>,
    dropped: Vec<u64>,
    attempts: Vec<Attempt>,
    dead_letters: Vec<DeadLetterChange>,
    disable: Option<Disable>,
    news: Vec<NewEvent>,
}

impl Unreported {
    pub(super) fn attempted(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
        keep_newest(&mut self.attempts, KEPT_ATTEMPTS);
    }

    /// A command asked that the webhook goes on: it is not disabled for earlier failures.
    pub(super) fn withdraw(&mut self) {
        self.disable = None;
    }

    fn add(&mut self, other: Self) {
        other.dropped.iter().for_each(|number| drop(self.kept.remove(number)));
        self.kept.extend(other.kept);
        self.dropped.extend(other.dropped);
        self.attempts.extend(other.attempts);
        self.dead_letters.extend(other.dead_letters);
        self.disable = other.disable.or(self.disable.take());
        self.news.extend(other.news);
        keep_newest(&mut self.attempts, KEPT_ATTEMPTS);
        keep_newest(&mut self.dead_letters, MAX_DEAD_LETTERS);
        keep_newest(&mut self.news, KEPT_ATTEMPTS);
    }

    /// Splits off all pieces but the last one. They hold only dead letters; everything else stays for the
    /// last piece.
    fn split_off(&mut self) -> Vec<Self> {
        let mut pieces = Vec::new();
        while self.dead_letters.len() > DEAD_LETTERS {
            let dead_letters = self.dead_letters.drain(..DEAD_LETTERS).collect();
            pieces.push(Self { dead_letters, ..Self::default() });
        }
        pieces
    }
}

impl From<Update> for Unreported {
    fn from(update: Update) -> Self {
        let Update { kept, dropped, attempts, dead_letters, disable, news, .. } = update;
        Self { kept: kept.into_iter().collect(), dropped, attempts, dead_letters, disable, news }
    }
}

fn keep_newest<T>(all: &mut Vec<T>, max: usize) {
    all.drain(..all.len().saturating_sub(max));
}

impl WebhookActor {
    /// Tells the reporter that a report is due, if it is.
    pub(super) fn announce(&mut self, now: Instant) {
        let urgency = self.engine.state().urgency();
        let before = self.reports.state;
        self.reports.state.follow(urgency, now);
        if self.reports.state != Reporting::Announced {
            return;
        }
        if before != Reporting::Announced {
            self.shared.report_queue.add(self.settings.webhook.id);
        }
        if urgency == Urgency::Now || self.handing.is_awaited() {
            self.shared.report_queue.hurry();
        }
    }

    /// All updates that are due now. The last piece has the progress.
    pub(super) fn collect(&mut self) -> Vec<Update> {
        if self.reports.state != Reporting::Announced {
            return Vec::new();
        }
        match self.updates() {
            Ok(updates) if !updates.is_empty() => {
                self.reports.state.collected();
                // A report that is not complete may lack what a reader said.
                if self.engine.state().urgency() == Urgency::None {
                    self.handing.collected();
                }
                return updates;
            }
            // The webhook is gone.
            Ok(_) => {}
            Err(error) => {
                let webhook = self.settings.webhook.id;
                tracing::error!(%webhook, %error, "the stored state can't be read; trying again");
            }
        }
        self.reports.state.put_off(Instant::now());
        Vec::new()
    }

    fn updates(&mut self) -> Result<Vec<Update>, ArchiveError> {
        let mut progress = self.gather();
        let mut updates = Vec::new();
        if self.reports.unreported.dead_letters.len() > DEAD_LETTERS {
            // Before the last piece the progress stays where it was. So it never passes an event whose dead
            // letter is not reported.
            let known = self.shared.hub.webhooks().state(self.settings.webhook.id)?;
            let Some(known) = known else { return Ok(updates) };
            for piece in self.reports.unreported.split_off() {
                updates.push(
                    self.update(Progress { reports: progress.reports, ..known.progress.clone() }, piece),
                );
                progress.reports = self.engine.count_report();
            }
        }
        let rest = std::mem::take(&mut self.reports.unreported);
        updates.push(self.update(progress, rest));
        Ok(updates)
    }

    /// Adds everything that the engine has to report to what is unreported. Returns the progress.
    fn gather(&mut self) -> Progress {
        let mut snapshot = self.engine.snapshot();
        for change in &mut snapshot.dead_letters {
            if let DeadLetterChange::Added(dead_letter) = change {
                let event = self.event_at(dead_letter.seq).ok().flatten();
                dead_letter.kind = event.map(|event| event.kind.to_string()).unwrap_or_default();
            }
        }
        count::dead_letters(snapshot.new_dead_letters());
        let Snapshot { progress, kept, dropped, dead_letters, disable, announce } = snapshot;
        let since = progress.failing_since_ms.map(|ms| iso_millis(self.shared.hub.clock().shown_ms(ms)));
        let webhook = &self.settings.webhook;
        let map = self.shared.hub.access().known().map(webhook.map).cloned();
        let about = About { map: map.as_deref(), webhook, progress: &progress, since: since.as_deref() };
        let news = announce.into_iter().filter_map(|percent| about.failing(percent)).collect();
        let disable = disable.map(|why| about.disable(why));
        self.reports.unreported.add(Unreported {
            kept: kept.into_iter().collect(),
            dropped,
            attempts: Vec::new(),
            dead_letters,
            disable,
            news,
        });
        progress
    }

    fn update(&self, progress: Progress, unreported: Unreported) -> Update {
        let Unreported { kept, dropped, attempts, dead_letters, disable, news } = unreported;
        let kept = kept.into_iter().collect();
        let webhook = self.settings.webhook.id;
        let born = self.settings.webhook.born;
        Update { consumer: webhook, born, progress, kept, dropped, attempts, dead_letters, disable, news }
    }

    /// The log refused these updates. They are reported again with later ones, when there may be less to
    /// report.
    pub(super) fn take_back(&mut self, updates: Vec<Update>) {
        let newer = std::mem::take(&mut self.reports.unreported);
        let all = updates.into_iter().map(Unreported::from).chain([newer]);
        all.for_each(|some| self.reports.unreported.add(some));
        self.handing.not_reported();
        self.reports.state.put_off(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::consumer::progress::{Reason, Source};
    use crate::core::ids::EventId;
    use crate::core::webhook::outcome::{Class, Outcome};
    use crate::core::webhook::records::DeadLetter;

    fn dead_letter(seq: u64) -> DeadLetterChange {
        let event_id = EventId::new(1, seq, 0);
        let kind = String::new();
        let reason = Reason::Failed(Outcome::failed(Class::Status).cause(""));
        DeadLetterChange::Added(DeadLetter {
            seq,
            event_id,
            kind,
            attempts: 1,
            first_ms: 1,
            given_up_ms: 1,
            reason,
        })
    }

    #[test]
    fn many_dead_letters_are_reported_in_pieces_in_order() {
        let disable = Some(Disable { why: "x".into(), news: None });
        let mut all = Unreported { disable, ..Unreported::default() };
        let dead_letters = (0..1700).map(dead_letter).chain([DeadLetterChange::Removed(9)]).collect();
        all.add(Unreported { dead_letters, ..Unreported::default() });
        let pieces = all.split_off();
        assert_eq!(pieces.iter().map(|piece| piece.dead_letters.len()).collect::<Vec<_>>(), [500, 500, 500]);
        assert!(pieces.iter().all(|piece| piece.disable.is_none()));
        assert_eq!(
            (all.dead_letters.len(), &all.dead_letters[0], all.disable.is_some()),
            (201, &dead_letter(1500), true)
        );
        assert_eq!(
            all.dead_letters.last(),
            Some(&DeadLetterChange::Removed(9)),
            "later changes are reported later"
        );
    }

    #[test]
    fn unreported_changes_are_bounded() {
        let mut all = Unreported::default();
        for round in 0..30 {
            let dead_letters = (round * 1000..round * 1000 + 1000).map(dead_letter).collect();
            all.add(Unreported { dead_letters, ..Unreported::default() });
        }
        assert_eq!((all.dead_letters.len(), &all.dead_letters[0]), (MAX_DEAD_LETTERS, &dead_letter(20_000)));
    }

    #[test]
    fn a_retry_that_is_dropped_later_is_not_kept() {
        let source = Source::Live;
        let lanes = Vec::new();
        let retry = Retry { events: Vec::new(), attempts: 1, due_ms: 1, first_ms: 1, lanes, source };
        let mut all = Unreported { kept: [(1, retry.clone()), (2, retry)].into(), ..Unreported::default() };
        all.add(Unreported { dropped: vec![1], ..Unreported::default() });
        assert_eq!((all.kept.len(), &all.dropped[..]), (1, &[1][..]));
    }
}
