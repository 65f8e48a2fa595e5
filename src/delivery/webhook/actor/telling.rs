//! What the cluster must know of an endpoint: when it is told, and in which pieces.
//!
//! Owns what was not told yet. A piece is never near what the log takes at once, but for the progress itself, which
//! the engine bounds.

use super::{EndpointActor, LAZY};
use crate::core::endpoint::engine::Urgency;
use crate::core::endpoint::progress::{Attempt, DeadLetter, KEPT_ATTEMPTS, Progress, Update};
use crate::core::event::NewEvent;
use crate::delivery::webhook::{announce, metrics as count};
use crate::hub::ArchiveError;
use actix::{AsyncContext, Context};
use std::time::{Duration, Instant};

/// Dead letters in one piece; each has at most some 500 bytes.
const LETTERS: usize = 500;
/// Dead letters in one piece that are none any more.
const REVIVED: usize = 5_000;
/// Letters that wait to be told: the cluster keeps no more.
const MAX_LETTERS: usize = 10_000;

/// What the cluster doesn't know yet, beside the progress.
#[derive(Default)]
pub(super) struct Untold {
    attempts: Vec<Attempt>,
    buried: Vec<DeadLetter>,
    revived: Vec<u64>,
    disable: Option<String>,
    news: Vec<NewEvent>,
}

impl Untold {
    pub(super) fn attempted(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
        keep_newest(&mut self.attempts, KEPT_ATTEMPTS);
    }

    fn add(&mut self, other: Self) {
        self.attempts.extend(other.attempts);
        self.buried.extend(other.buried);
        self.revived.extend(other.revived);
        self.disable = other.disable.or(self.disable.take());
        self.news.extend(other.news);
        keep_newest(&mut self.attempts, KEPT_ATTEMPTS);
        keep_newest(&mut self.buried, MAX_LETTERS);
        keep_newest(&mut self.revived, MAX_LETTERS);
        keep_newest(&mut self.news, KEPT_ATTEMPTS);
    }

    /// It is too much for one piece.
    fn is_long(&self) -> bool {
        self.buried.len() > LETTERS || self.revived.len() > REVIVED
    }

    /// The pieces before the last, which have letters alone; the rest stays for the last.
    fn split_off(&mut self) -> Vec<Self> {
        let mut pieces = Vec::new();
        while self.is_long() {
            let buried = self.buried.drain(..self.buried.len().min(LETTERS)).collect();
            let revived = self.revived.drain(..self.revived.len().min(REVIVED)).collect();
            pieces.push(Self { buried, revived, ..Self::default() });
        }
        pieces
    }
}

impl From<Update> for Untold {
    fn from(update: Update) -> Self {
        let Update { attempts, buried, revived, disable, news, .. } = update;
        Self { attempts, buried, revived, disable, news }
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
        for letter in &mut snapshot.buried {
            let event = self.event_at(letter.seq).ok().flatten();
            letter.kind = event.map(|event| event.kind.to_string()).unwrap_or_default();
        }
        count::buried(&snapshot.buried);
        let news =
            announce::news(&self.endpoint, &snapshot.progress, snapshot.announce, snapshot.disable.as_deref(), |ms| {
                self.shard.hub.shown_ms(ms)
            });
        let (attempts, disable) = (Vec::new(), snapshot.disable);
        self.untold.add(Untold { attempts, buried: snapshot.buried, revived: snapshot.revived, disable, news });
        let (mut progress, mut updates) = (snapshot.progress, Vec::new());
        if self.untold.is_long() {
            // Before the last piece the progress stays where it was: it passes no event whose letter isn't told.
            let Some(known) = self.shard.hub.endpoint_state(self.endpoint.id)? else { return Ok(updates) };
            for piece in self.untold.split_off() {
                updates.push(self.update(Progress { reports: progress.reports, ..known.progress.clone() }, piece));
                progress = self.engine.snapshot().progress;
            }
        }
        let rest = std::mem::take(&mut self.untold);
        updates.push(self.update(progress, rest));
        Ok(updates)
    }

    fn update(&self, progress: Progress, untold: Untold) -> Update {
        let Untold { attempts, buried, revived, disable, news } = untold;
        Update { endpoint: self.endpoint.id, progress, attempts, buried, revived, disable, news }
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
    use crate::core::endpoint::class::Class;
    use crate::core::ids::EventId;

    fn letter(seq: u64) -> DeadLetter {
        let (event_id, kind, error) = (EventId::new(1, seq, 0), String::new(), String::new());
        let (first_ms, buried_ms, class) = (1, 1, Class::Status);
        DeadLetter { seq, event_id, kind, attempts: 1, first_ms, buried_ms, class, status: None, error }
    }

    #[test]
    fn many_letters_are_told_in_pieces_in_order() {
        let mut all = Untold { disable: Some("x".into()), ..Untold::default() };
        all.add(Untold { buried: (0..1700).map(letter).collect(), revived: vec![9], ..Untold::default() });
        let pieces = all.split_off();
        assert_eq!(pieces.iter().map(|piece| piece.buried.len()).collect::<Vec<_>>(), [500, 500, 500]);
        assert!(pieces.iter().all(|piece| piece.disable.is_none()));
        assert_eq!((all.buried.len(), all.buried[0].seq, all.disable.as_deref()), (200, 1500, Some("x")));
        assert!(!all.is_long());
    }

    #[test]
    fn what_was_not_told_is_bounded() {
        let mut all = Untold::default();
        for round in 0..30 {
            let buried = (round * 1000..round * 1000 + 1000).map(letter).collect();
            all.add(Untold { buried, revived: (0..1000).collect(), ..Untold::default() });
        }
        assert_eq!((all.buried.len(), all.buried[0].seq, all.revived.len()), (MAX_LETTERS, 20_000, MAX_LETTERS));
    }
}
