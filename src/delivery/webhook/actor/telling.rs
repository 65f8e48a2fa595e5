//! What the cluster must know of an endpoint: when it is told, and in which pieces.
//!
//! Owns what was not told yet. A piece is never near what the log takes at once, but for the progress itself, which
//! the engine bounds.

use super::{EndpointActor, LAZY};
use crate::core::consumer::engine::{Snapshot, Urgency};
use crate::core::consumer::progress::{Disable, Progress, Retry};
use crate::core::event::NewEvent;
use crate::core::time::iso_millis;
use crate::core::webhook::records::{Attempt, DeadLetterChange, KEPT_ATTEMPTS, Update};
use crate::delivery::webhook::{announce, metrics as count};
use crate::hub::ArchiveError;
use actix::{AsyncContext, Context};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Changes of dead letters in one piece; each has at most some 500 bytes.
const LETTERS: usize = 500;
/// Changes of dead letters that wait to be told: the cluster keeps no more.
const MAX_LETTERS: usize = 10_000;

/// What the cluster doesn't know yet, beside the progress.
#[derive(Default)]
pub(super) struct Untold {
    kept: BTreeMap<u64, Retry>,
    dropped: Vec<u64>,
    attempts: Vec<Attempt>,
    letters: Vec<DeadLetterChange>,
    disable: Option<Disable>,
    news: Vec<NewEvent>,
}

impl Untold {
    pub(super) fn attempted(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
        keep_newest(&mut self.attempts, KEPT_ATTEMPTS);
    }

    /// Somebody asked that the endpoint goes on: it is not to be disabled for what was before.
    pub(super) fn withdraw(&mut self) {
        self.disable = None;
    }

    fn add(&mut self, other: Self) {
        other.dropped.iter().for_each(|number| drop(self.kept.remove(number)));
        self.kept.extend(other.kept);
        self.dropped.extend(other.dropped);
        self.attempts.extend(other.attempts);
        self.letters.extend(other.letters);
        self.disable = other.disable.or(self.disable.take());
        self.news.extend(other.news);
        keep_newest(&mut self.attempts, KEPT_ATTEMPTS);
        keep_newest(&mut self.letters, MAX_LETTERS);
        keep_newest(&mut self.news, KEPT_ATTEMPTS);
    }

    /// The pieces before the last, which have letters alone; the rest stays for the last.
    fn split_off(&mut self) -> Vec<Self> {
        let mut pieces = Vec::new();
        while self.letters.len() > LETTERS {
            let letters = self.letters.drain(..LETTERS).collect();
            pieces.push(Self { letters, ..Self::default() });
        }
        pieces
    }
}

impl From<Update> for Untold {
    fn from(update: Update) -> Self {
        let Update { kept, dropped, attempts, letters, disable, news, .. } = update;
        Self { kept: kept.into_iter().collect(), dropped, attempts, letters, disable, news }
    }
}

fn keep_newest<T>(all: &mut Vec<T>, max: usize) {
    all.drain(..all.len().saturating_sub(max));
}

impl EndpointActor {
    /// Has the reporter ask, where there is something to tell. Answers how long what can wait may still do so.
    pub(super) fn note(&mut self, ctx: &mut Context<Self>) -> Option<Duration> {
        let urgency = self.engine.urgency();
        if self.reporting || (urgency == Urgency::None && !self.put_off) {
            return None;
        }
        // A busy topic moves it again and again: what counts is since when the cluster doesn't know.
        let since = *self.lazy_since.get_or_insert_with(Instant::now);
        let left = LAZY.saturating_sub(since.elapsed());
        if (urgency <= Urgency::Lazy || self.put_off) && !left.is_zero() {
            return Some(left);
        }
        if !self.noted {
            self.noted = true;
            self.shard.unreported.note(self.endpoint.id, ctx.address());
        }
        if urgency == Urgency::Now {
            self.shard.unreported.hurry();
        }
        None
    }

    /// What the cluster must know now; the last piece has the progress.
    pub(super) fn collect(&mut self) -> Vec<Update> {
        self.lazy_since = None;
        let updates = self.updates().unwrap_or_else(|error| {
            tracing::error!(webhook = %self.endpoint.id, %error, "what the cluster knows can't be read; trying again");
            Vec::new()
        });
        self.reporting = !updates.is_empty();
        self.put_off = updates.is_empty();
        updates
    }

    fn updates(&mut self) -> Result<Vec<Update>, ArchiveError> {
        let mut snapshot = self.engine.snapshot();
        for change in &mut snapshot.letters {
            if let DeadLetterChange::Added(letter) = change {
                let event = self.event_at(letter.seq).ok().flatten();
                letter.kind = event.map(|event| event.kind.to_string()).unwrap_or_default();
            }
        }
        count::buried(snapshot.buried());
        let Snapshot { mut progress, kept, dropped, letters, disable, announce } = snapshot;
        let kept = kept.into_iter().collect();
        let since = progress.failing_since_ms.map(|ms| iso_millis(self.shard.hub.shown_ms(ms)));
        let since = since.as_deref();
        let news = announce.and_then(|percent| announce::failing(&self.endpoint, &progress, since, percent));
        let disable = disable.map(|why| announce::disable(&self.endpoint, &progress, since, why));
        let (attempts, news) = (Vec::new(), news.into_iter().collect());
        self.untold.add(Untold { kept, dropped, attempts, letters, disable, news });
        let mut updates = Vec::new();
        if self.untold.letters.len() > LETTERS {
            // Before the last piece the progress stays where it was: it passes no event whose letter isn't told.
            let Some(known) = self.shard.hub.endpoint_state(self.endpoint.id)? else { return Ok(updates) };
            for piece in self.untold.split_off() {
                updates.push(self.update(Progress { reports: progress.reports, ..known.progress.clone() }, piece));
                progress.reports = self.engine.count_report();
            }
        }
        let rest = std::mem::take(&mut self.untold);
        updates.push(self.update(progress, rest));
        Ok(updates)
    }

    fn update(&self, progress: Progress, untold: Untold) -> Update {
        let Untold { kept, dropped, attempts, letters, disable, news } = untold;
        let kept = kept.into_iter().collect();
        let (endpoint, born) = (self.endpoint.id, self.endpoint.born);
        Update { endpoint, born, progress, kept, dropped, attempts, letters, disable, news }
    }

    /// The cluster doesn't take these: they are told with what comes later, when there may be less.
    pub(super) fn take_back(&mut self, updates: Vec<Update>) {
        let newer = std::mem::take(&mut self.untold);
        updates.into_iter().map(Untold::from).chain([newer]).for_each(|untold| self.untold.add(untold));
        (self.reporting, self.put_off, self.lazy_since) = (false, true, None);
    }

    /// The cluster knows all that it must: the actor could stop.
    pub(super) fn has_told(&self) -> bool {
        !self.reporting && !self.put_off && self.engine.urgency() <= Urgency::Lazy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::consumer::progress::{Reason, Source};
    use crate::core::ids::EventId;
    use crate::core::webhook::outcome::{Class, Outcome};
    use crate::core::webhook::records::DeadLetter;

    fn letter(seq: u64) -> DeadLetterChange {
        let (event_id, kind) = (EventId::new(1, seq, 0), String::new());
        let reason = Reason::Failed(Outcome::failed(Class::Status).cause(""));
        DeadLetterChange::Added(DeadLetter { seq, event_id, kind, attempts: 1, first_ms: 1, buried_ms: 1, reason })
    }

    #[test]
    fn many_letters_are_told_in_pieces_in_order() {
        let disable = Some(Disable { why: "x".into(), news: None });
        let mut all = Untold { disable, ..Untold::default() };
        let letters = (0..1700).map(letter).chain([DeadLetterChange::Removed(9)]).collect();
        all.add(Untold { letters, ..Untold::default() });
        let pieces = all.split_off();
        assert_eq!(pieces.iter().map(|piece| piece.letters.len()).collect::<Vec<_>>(), [500, 500, 500]);
        assert!(pieces.iter().all(|piece| piece.disable.is_none()));
        assert_eq!((all.letters.len(), &all.letters[0], all.disable.is_some()), (201, &letter(1500), true));
        assert_eq!(all.letters.last(), Some(&DeadLetterChange::Removed(9)), "what came later is told later");
    }

    #[test]
    fn what_was_not_told_is_bounded() {
        let mut all = Untold::default();
        for round in 0..30 {
            let letters = (round * 1000..round * 1000 + 1000).map(letter).collect();
            all.add(Untold { letters, ..Untold::default() });
        }
        assert_eq!((all.letters.len(), &all.letters[0]), (MAX_LETTERS, &letter(20_000)));
    }

    #[test]
    fn what_is_dropped_after_it_was_kept_is_not_kept() {
        let (source, lanes) = (Source::Live, Vec::new());
        let retry = Retry { events: Vec::new(), attempts: 1, due_ms: 1, first_ms: 1, lanes, source };
        let mut all = Untold { kept: [(1, retry.clone()), (2, retry)].into(), ..Untold::default() };
        all.add(Untold { dropped: vec![1], ..Untold::default() });
        assert_eq!((all.kept.len(), &all.dropped[..]), (1, &[1][..]));
    }
}
