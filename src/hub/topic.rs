//! The actor of one topic, which covers some subjects of a stream. It takes their events as they are handed
//! over, or reads them from its own cursor if it lags. It encodes each event once for every view in use, and
//! offers the frames to its subscribers. Views with conditions have a cursor of their own: the evaluators
//! evaluate each condition once per event, however many views have it, and the other views go on meanwhile.
//!
//! The cursors and the subscribers are in two lanes ([`Lane`]).

use super::archive::{Archive, Page};
use super::bridge::Deliver;
use super::evaluators::Evaluators;
use super::handed::{Fresh, Handed};
use super::lane::{Lane, encode_checked};
use super::nudges::Pending;
use super::traced::FanOut;
use super::wakes::Nudge;
use crate::core::event::Event;
use crate::core::frame::{FormKey, View};
use crate::core::history::Bounds;
use crate::core::ids::MapId;
use crate::core::ring::{Chunk, Span};
use crate::core::topic::TopicKey;
use actix::prelude::{ActorFutureExt, WrapFuture};
use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};
use std::sync::Arc;
use std::time::Duration;

/// Most events of one chunk, and approximate bytes of stored events.
const CHUNK: Bounds = Bounds { events: 256, bytes: 128 * 1024 };
/// Pause before a failed action is tried again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// The size of the actor's mailbox. It is small because one waiting nudge is enough.
pub(super) const MAILBOX: usize = 16;

/// Delivers the topic's events to `dispatcher` in `view` from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Attach {
    pub(super) view: View,
    pub(super) dispatcher: Recipient<Deliver>,
}

/// The dispatcher no longer needs the view. Returns how many subscriptions are left.
#[derive(Message)]
#[rtype(result = "usize")]
pub(super) struct Detach {
    pub(super) form: FormKey,
    pub(super) dispatcher: Recipient<Deliver>,
}

/// The counters that all topics share.
#[derive(Clone)]
pub(super) struct Meters {
    /// Wake-ups.
    pub(super) woken: metrics::Counter,
    /// Pages read from the store.
    pub(super) reads: metrics::Counter,
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            woken: metrics::counter!(crate::metric::TOPICS_WOKEN),
            reads: metrics::counter!(crate::metric::TOPIC_READS),
        }
    }
}

/// The actor. It lives while the topic has subscribers.
pub(super) struct Topic {
    key: TopicKey,
    archive: Archive,
    evaluators: Evaluators,
    meters: Meters,
    pending: Pending,
    /// Views of all events, encoded here.
    open: Lane,
    /// Views with a condition. The evaluators encode them, so that they never delay the other views.
    evaluated: Lane,
    checking: bool,
    /// Events were removed after the page was read that the evaluators have now.
    checked_is_stale: bool,
}

impl Topic {
    /// A topic that starts after the stored events, when its first subscriber comes.
    pub(super) fn new(
        key: TopicKey,
        archive: Archive,
        evaluators: Evaluators,
        meters: Meters,
        pending: Pending,
    ) -> Self {
        let open = Lane::default();
        let evaluated = Lane::default();
        Self {
            key,
            archive,
            evaluators,
            meters,
            pending,
            open,
            evaluated,
            checking: false,
            checked_is_stale: false,
        }
    }

    fn head_seq(&self) -> Option<u64> {
        match self.archive.read_now(&self.key, u64::MAX, 0, 0) {
            Ok(page) => Some(page.head_seq),
            Err(error) => {
                tracing::error!(topic = %self.key, %error, "the topic's position can't be read");
                None
            }
        }
    }

    fn read(&self, from_seq: u64, ctx: &mut Context<Self>) -> Option<Page> {
        self.meters.reads.increment(1);
        match self.archive.read_now(&self.key, from_seq, CHUNK.events, CHUNK.bytes) {
            Ok(page) => Some(page),
            Err(error) => {
                tracing::error!(topic = %self.key, %error, "new events can't be read; trying again");
                ctx.notify_later(Nudge, RETRY_PAUSE);
                None
            }
        }
    }

    /// Offers a page to the views of all events.
    fn offer_new(&mut self, ctx: &mut Context<Self>) {
        if self.open.is_empty() {
            return;
        }
        let Some(mut page) = self.read(self.open.next(), ctx) else { return };
        if !self.open.takes(&page) {
            return;
        }
        if let Some(span) = self.open.advance(&mut page) {
            self.offer(span, &page.events, ctx);
        }
        if self.open.next() <= page.head_seq {
            // More events are waiting. Other messages get their turn in between.
            ctx.notify(Nudge);
        }
    }

    /// Offers what was handed over to the views of all events. Returns whether that was everything new.
    fn offer_handed(&mut self, handed: &Handed, ctx: &mut Context<Self>) -> bool {
        if self.open.is_empty() || !self.open.is_at_rest() {
            return false;
        }
        let portions = handed.portions(self.open.next(), &self.key.selector, CHUNK);
        let Some(portions) = portions else { return false };
        for fresh in portions {
            if let Some(span) = self.open.pass(&fresh) {
                self.offer(span, &fresh.events, ctx);
            }
        }
        true
    }

    fn offer(&mut self, span: Span, events: &[Event], ctx: &mut Context<Self>) {
        let traced = FanOut::of(events);
        let encode = |view: &View| Some(Arc::new(Chunk::encode(span, events, view.form(), None)));
        if self.open.offer(&self.key, encode) {
            ctx.run_later(RETRY_PAUSE, |topic, ctx| topic.catch_up(ctx));
        }
        if let Some(traced) = traced {
            traced.end(&self.key);
        }
    }

    /// Has what was handed over evaluated for the views with conditions. Returns whether that is everything
    /// new; it is not while a page is being evaluated, or if there is more than one page.
    fn check_handed(&mut self, handed: &Handed, ctx: &mut Context<Self>) -> bool {
        let Some(map) = self.evaluated.map().filter(|_| !self.checking) else { return false };
        if !self.evaluated.is_at_rest() {
            return false;
        }
        let portions = handed.portions(self.evaluated.next(), &self.key.selector, CHUNK);
        let Some(Ok([fresh])) = portions.map(<[Fresh; 1]>::try_from) else { return false };
        if let Some(span) = self.evaluated.pass(&fresh) {
            self.check(map, span, fresh.events, ctx);
        }
        true
    }

    /// Has a page evaluated for the views with conditions. The next page follows when this one is done.
    fn check_new(&mut self, ctx: &mut Context<Self>) {
        let Some(map) = self.evaluated.map().filter(|_| !self.checking) else { return };
        let Some(mut page) = self.read(self.evaluated.next(), ctx) else { return };
        if !self.evaluated.takes(&page) {
            return;
        }
        // A view that is attached meanwhile begins after this page.
        let Some(span) = self.evaluated.advance(&mut page) else {
            if self.evaluated.next() <= page.head_seq {
                ctx.notify(Nudge);
            }
            return;
        };
        self.check(map, span, page.events, ctx);
    }

    fn check(&mut self, map: MapId, span: Span, events: Vec<Event>, ctx: &mut Context<Self>) {
        self.checking = true;
        // Where there are views of all events too, they have the span.
        let traced = if self.open.is_empty() { FanOut::of(&events) } else { None };
        let views = self.evaluated.views();
        let evaluators = self.evaluators.clone();
        let evaluated =
            async move { evaluators.work(map, move |turn| encode_checked(span, events, views, turn)).await };
        ctx.spawn(evaluated.into_actor(self).map(|chunks, topic, ctx| {
            if let Some(traced) = traced {
                traced.end(&topic.key);
            }
            topic.checking = false;
            let is_stale = std::mem::take(&mut topic.checked_is_stale);
            let chunks = chunks.filter(|_| !is_stale);
            if topic.evaluated.conclude(&topic.key, chunks) {
                ctx.run_later(RETRY_PAUSE, |topic, ctx| topic.catch_up(ctx));
            }
            if !topic.evaluated.is_at_rest() {
                topic.check_new(ctx);
            }
        }));
    }

    /// Tells the subscribers that missed chunks where the topic is now, until they have room for the message.
    /// They read the rest from the archive.
    fn catch_up(&mut self, ctx: &mut Context<Self>) {
        if self.open.catch_up(&self.key) | self.evaluated.catch_up(&self.key) {
            ctx.run_later(RETRY_PAUSE, |topic, ctx| topic.catch_up(ctx));
        }
    }

    /// Handles a removal of events. Chunks that were offered may contain some of the removed events, and so
    /// may the page that the evaluators have. Nothing of that page is offered; readers read what is left of
    /// it from the archive.
    fn forget_removed(&mut self) {
        self.checked_is_stale |= self.checking;
        self.open.forget_removed(&self.key);
        self.evaluated.forget_removed(&self.key);
    }

    fn lane(&mut self, view: &View) -> &mut Lane {
        if view.condition().is_some() { &mut self.evaluated } else { &mut self.open }
    }
}

impl Actor for Topic {
    type Context = Context<Self>;
}

impl Handler<Nudge> for Topic {
    type Result = ();

    fn handle(&mut self, _: Nudge, ctx: &mut Self::Context) {
        self.meters.woken.increment(1);
        let news = self.pending.take();
        if news.removed {
            self.forget_removed();
        }
        if !self.offer_handed(&news.handed, ctx) {
            self.open.announce(news.first_seq);
            self.offer_new(ctx);
        }
        if !self.check_handed(&news.handed, ctx) {
            self.evaluated.announce(news.first_seq);
            self.check_new(ctx);
        }
    }
}

impl Handler<Attach> for Topic {
    type Result = ();

    fn handle(&mut self, Attach { view, dispatcher }: Attach, _: &mut Self::Context) {
        let topic = self.key.clone();
        // A lane without subscribers does not advance.
        if self.lane(&view).is_empty()
            && let Some(head_seq) = self.head_seq()
        {
            self.lane(&view).stand_at(head_seq + 1);
        }
        self.lane(&view).attach(topic, view, dispatcher);
    }
}

impl Handler<Detach> for Topic {
    type Result = usize;

    fn handle(&mut self, Detach { form, dispatcher }: Detach, _: &mut Self::Context) -> usize {
        self.open.detach(&form, &dispatcher) + self.evaluated.detach(&form, &dispatcher)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
