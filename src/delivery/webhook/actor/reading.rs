//! Reads an actor's events: from the tail that the thread shares, from the archive for older events, and from
//! the dead letters for a replay of failed events. The filter has its say about all of them.

use super::WebhookActor;
use super::held::AsRead;
use super::requests::fetch;
use crate::core::consumer::engine::{Offer, ReplayRead};
use crate::core::consumer::progress::EventRef;
use crate::core::event::Event;
use crate::core::ids::{TopicId, WebhookId};
use crate::delivery::webhook::evaluate::Evaluator;
use crate::delivery::webhook::shared::Shared;
use crate::delivery::webhook::source::{PAGE_BYTES, PAGE_EVENTS, Reach, Read, weight};
use crate::hub::ArchiveError;
use actix::fut::WrapFuture;
use actix::{ActorFutureExt, AsyncContext, Context};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

impl WebhookActor {
    /// Reads as many events as the engine has room for. Older events are read off this thread, and arrive
    /// later.
    pub(super) fn read(&mut self, now: Instant, ctx: &mut Context<Self>) {
        while let Some(from_seq) = self.engine.wants().filter(|_| self.readers.new.is_idle()) {
            match self.shared.source.read(self.settings.topic, from_seq) {
                Ok(Read::Events(_, reach)) if reach.next_seq <= from_seq => break,
                Ok(Read::Events(events, reach)) if self.settings.evaluate.is_quick() => {
                    let offers = self.settings.evaluate.offers(&events);
                    self.offer(events, &offers, reach);
                }
                Ok(Read::Events(events, reach)) => {
                    self.read_later(from_seq, Later::Evaluator(events, reach), ctx)
                }
                Ok(Read::Cold) => self.read_later(from_seq, Later::Read, ctx),
                Err(error) => self.new_unreadable(&error, now),
            }
        }
        self.read_replay(ctx);
        self.filter_waiting(ctx);
    }

    fn offer(&mut self, events: Vec<Event>, offers: &[Offer], reach: Reach) {
        self.engine.set_kept_from(reach.kept_from);
        self.engine.offer(offers, reach.next_seq, self.shared.hub.clock().expiry_ms());
        self.keep(events);
    }

    fn keep(&mut self, events: Vec<Event>) {
        for event in events {
            if self.engine.state().holds(event.seq) {
                self.held.keep(event);
            }
        }
    }

    fn new_unreadable(&mut self, error: &ArchiveError, now: Instant) {
        tracing::error!(webhook = %self.settings.webhook.id, %error, "events can't be read; trying again");
        self.readers.new.fail(now);
    }

    /// Reads or evaluates events off this thread.
    fn read_later(&mut self, from_seq: u64, later: Later, ctx: &mut Context<Self>) {
        self.readers.new.begin();
        let apart = self.apart();
        let of = apart.clone();
        let read = async move { of.read(from_seq, later).await };
        let done = move |read, actor: &mut Self, ctx: &mut Context<Self>| {
            actor.drive(ctx, |actor| actor.take_read(&apart, from_seq, read));
        };
        ctx.spawn(read.into_actor(self).map(done));
    }

    fn take_read(&mut self, apart: &Apart, from_seq: u64, read: Result<Evaluated, ArchiveError>) {
        let Evaluated { mut events, offers, reach } = match read {
            Ok(evaluated) => evaluated,
            Err(error) => return self.new_unreadable(&error, Instant::now()),
        };
        self.readers.new.end();
        // The webhook's filters or its position may have changed during the read.
        if Arc::ptr_eq(&apart.evaluate, &self.settings.evaluate) && self.engine.wants() == Some(from_seq) {
            if !apart.as_read.is_current() {
                // Some of the events may have been deleted during the read. That is noticed when they are
                // sent.
                events.clear();
            }
            self.offer(events, &offers, reach);
        }
    }

    fn read_replay(&mut self, ctx: &mut Context<Self>) {
        let Some(read) = self.engine.wants_replay().filter(|_| self.readers.replay.is_idle()) else { return };
        self.readers.replay.begin();
        let apart = self.apart();
        let of = apart.clone();
        let page = async move { of.read_replay(read).await };
        let done = move |page, actor: &mut Self, ctx: &mut Context<Self>| {
            actor.drive(ctx, |actor| actor.take_replay(&apart, read, page));
        };
        ctx.spawn(page.into_actor(self).map(done));
    }

    fn take_replay(&mut self, apart: &Apart, read: ReplayRead, page: Result<(Again, u64), ArchiveError>) {
        let (mut again, next_seq) = match page {
            Ok(page) => page,
            Err(error) => {
                let webhook = self.settings.webhook.id;
                tracing::error!(%webhook, %error, "the events of a replay can't be read; trying again");
                return self.readers.replay.fail(Instant::now());
            }
        };
        self.readers.replay.end();
        if !apart.as_read.is_current() {
            // Some of the events may have been deleted meanwhile. All are read again when they are sent.
            again.events.clear();
        }
        if Arc::ptr_eq(&apart.evaluate, &self.settings.evaluate) {
            self.offer_replay(read, again, next_seq.min(read.until_seq));
        }
    }

    fn offer_replay(&mut self, read: ReplayRead, again: Again, next_seq: u64) {
        // The replay may have been cancelled during the read, or another one may have begun.
        if self.engine.wants_replay().is_none_or(|now| (now.id, now.from_seq) != (read.id, read.from_seq)) {
            return;
        }
        let Again { events, mut offers, kept_from } = again;
        if let Some(kept_from) = kept_from {
            self.engine.set_kept_from(kept_from);
        }
        offers.retain(|offer| offer.event.seq < read.until_seq);
        self.engine.offer_replay(&offers, next_seq, self.shared.hub.clock().expiry_ms());
        self.keep(events);
    }

    pub(super) fn apart(&self) -> Apart {
        Apart {
            shared: self.shared.clone(),
            webhook: self.settings.webhook.id,
            topic: self.settings.topic,
            evaluate: self.settings.evaluate.clone(),
            as_read: self.held.as_read(),
        }
    }
}

/// The values that a read needs apart from its actor.
#[derive(Clone)]
pub(super) struct Apart {
    pub(super) shared: Rc<Shared>,
    pub(super) webhook: WebhookId,
    pub(super) topic: TopicId,
    pub(super) evaluate: Arc<Evaluator>,
    as_read: AsRead,
}

/// Events that were read, and the decisions of the filters about them.
struct Evaluated {
    events: Vec<Event>,
    offers: Vec<Offer>,
    reach: Reach,
}

/// The result of a read for a replay.
struct Again {
    events: Vec<Event>,
    offers: Vec<Offer>,
    /// The stream removed whatever is missing from this seq on. `None` if only dead letters were read.
    kept_from: Option<u64>,
}

/// The work that is left to do off the thread.
enum Later {
    Read,
    /// To evaluate these events, which were read up to that seq.
    Evaluator(Vec<Event>, Reach),
}

impl Apart {
    async fn read(&self, from_seq: u64, later: Later) -> Result<Evaluated, ArchiveError> {
        match later {
            Later::Evaluator(events, reach) => self.evaluated(events, reach).await,
            Later::Read => self.read_page(from_seq).await,
        }
    }

    async fn read_page(&self, from_seq: u64) -> Result<Evaluated, ArchiveError> {
        let archive = self.shared.source.archive();
        let page = archive.read(self.topic, from_seq, PAGE_EVENTS, PAGE_BYTES, None).await?;
        let reach = Reach::of(&page);
        self.evaluated(page.events, reach).await
    }

    /// Reads for a replay. Also returns the seq from which the replay goes on.
    async fn read_replay(&self, read: ReplayRead) -> Result<(Again, u64), ArchiveError> {
        if read.failed_only {
            return self.read_dead_letters(read).await;
        }
        let Evaluated { events, offers, reach } = self.read_page(read.from_seq).await?;
        let Reach { kept_from, next_seq } = reach;
        let next_seq = if next_seq <= read.from_seq { read.until_seq } else { next_seq };
        Ok((Again { events, offers, kept_from: Some(kept_from) }, next_seq))
    }

    /// Reads the events of dead letters, up to a page of them.
    async fn read_dead_letters(&self, read: ReplayRead) -> Result<(Again, u64), ArchiveError> {
        let webhooks = self.shared.hub.webhooks();
        let dead_letters = webhooks.dead_letters(self.webhook, read.from_seq, PAGE_EVENTS)?;
        let is_last = dead_letters.len() < PAGE_EVENTS;
        let mut events = Vec::new();
        let mut gone = Vec::new();
        let mut bytes = 0;
        let count = dead_letters.len();
        let mut next_seq = read.until_seq;
        for (index, dead_letter) in dead_letters.into_iter().enumerate() {
            let event = EventRef { seq: dead_letter.seq, id: dead_letter.event_id };
            match fetch(&self.shared, self.webhook, self.topic, &[event]).await? {
                Ok(found) => {
                    bytes += found.iter().map(weight).sum::<usize>();
                    events.extend(found);
                }
                // Its delivery ends with the reason why there is no event.
                Err(_) => gone.push(self.evaluate.offer_of_kind(event, &dead_letter.kind)),
            }
            let is_end = is_last && index + 1 == count;
            next_seq = if is_end { read.until_seq } else { event.seq + 1 };
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        let mut offers = self.evaluate.evaluated(&self.shared.hub, &events).await?;
        offers.append(&mut gone);
        offers.sort_by_key(|offer| offer.event.seq);
        Ok((Again { events, offers, kept_from: None }, next_seq))
    }

    async fn evaluated(&self, events: Vec<Event>, reach: Reach) -> Result<Evaluated, ArchiveError> {
        let offers = self.evaluate.evaluated(&self.shared.hub, &events).await?;
        Ok(Evaluated { events, offers, reach })
    }
}
