//! The actor of one ephemeral topic. It takes events from its inbox, encodes each once for every view in use,
//! and offers the frames to its subscribers, as durable topics do. There is no history: a subscriber that
//! misses a chunk is told where the topic continues, and its readers notice that they missed events.

use super::Ephemeral;
use crate::core::event::Event;
use crate::core::frame::View;
use crate::core::ring::{Chunk, Span};
use crate::core::topic::TopicKey;
use crate::hub::evaluators::Evaluators;
use crate::hub::lane::{Lane, encode_checked};
use crate::hub::topic::{Attach, Detach, MAILBOX, RETRY_PAUSE};
use crate::hub::traced::FanOut;
use crate::hub::wakes::Nudge;
use actix::prelude::{ActorFutureExt, SendError, WrapFuture};
use actix::{Actor, AsyncContext, Context, Handler, Recipient};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Approximate bytes of events that may wait for a topic. Beyond them, all waiting events are lost, and the
/// topic's readers are told.
const MAX_WAITING_BYTES: usize = 4 << 20;
/// Most events that wait for a topic.
const MAX_WAITING: usize = 16 * 1024;
/// Bytes that an event counts in addition to its payload and its text.
const EVENT_OVERHEAD: usize = 300;
/// Most events of one chunk.
const CHUNK_EVENTS: usize = 1024;

/// A bounded list of waiting events.
#[derive(Debug, Default)]
struct Waiting {
    events: Vec<Event>,
    bytes: usize,
    /// There were too many events: all up to this position are lost.
    lost: Option<u64>,
}

impl Waiting {
    /// Adds an event. Returns whether the list was empty before.
    fn push(&mut self, event: Event) -> bool {
        let was_empty = self.events.is_empty() && self.lost.is_none();
        let text = event.text.as_ref().map_or(0, |text| text.len());
        self.bytes += event.payload.len() + text + EVENT_OVERHEAD;
        if self.bytes > MAX_WAITING_BYTES || self.events.len() >= MAX_WAITING {
            *self = Self { lost: Some(event.seq), ..Self::default() };
        } else {
            self.events.push(event);
        }
        was_empty
    }
}

/// The events of an ephemeral topic that wait for its actor.
#[derive(Debug)]
pub(super) struct Inbox {
    topic: TopicKey,
    waiting: Mutex<Waiting>,
    actor: Recipient<Nudge>,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn topic(&self) -> &TopicKey {
        &self.topic
    }

    /// Takes an event, and wakes the actor if nothing waited before. Returns `false` if the actor is gone.
    pub(super) fn offer(&self, event: Event) -> bool {
        if !self.lock().push(event) {
            return true;
        }
        match self.actor.try_send(Nudge) {
            Ok(()) => true,
            // The mailbox is full of other messages. At most one nudge is on its way, so it may always be
            // queued.
            Err(SendError::Full(nudge)) => {
                self.actor.do_send(nudge);
                true
            }
            Err(SendError::Closed(_)) => false,
        }
    }
}

/// The actor. It lives while the topic has subscribers.
pub(in crate::hub) struct EphemeralTopic {
    key: TopicKey,
    evaluators: Evaluators,
    woken: metrics::Counter,
    inbox: Arc<Inbox>,
    /// The position of the next event.
    next: u64,
    /// Views of all events, encoded here.
    open: Lane,
    /// Views with a condition, encoded by the evaluators.
    checked: Lane,
    /// The events that the evaluators get next.
    unchecked: Waiting,
    checking: bool,
}

impl EphemeralTopic {
    /// Starts the actor. It gets events from now on.
    pub(in crate::hub) fn start_on(
        ephemeral: &Ephemeral,
        key: TopicKey,
        evaluators: Evaluators,
        woken: metrics::Counter,
    ) -> actix::Addr<Self> {
        Self::create(|ctx| {
            let inbox = Arc::new(Inbox {
                topic: key.clone(),
                waiting: Mutex::default(),
                actor: ctx.address().recipient(),
            });
            let next = ephemeral.watch(&key, inbox.clone());
            let open = Lane::default();
            let checked = Lane::default();
            Self {
                key,
                evaluators,
                woken,
                inbox,
                next,
                open,
                checked,
                unchecked: Waiting::default(),
                checking: false,
            }
        })
    }

    fn lane(&mut self, view: &View) -> &mut Lane {
        if view.condition().is_some() { &mut self.checked } else { &mut self.open }
    }

    fn try_later(ctx: &mut Context<Self>) {
        ctx.run_later(RETRY_PAUSE, |topic, ctx| {
            if topic.open.catch_up(&topic.key) | topic.checked.catch_up(&topic.key) {
                Self::try_later(ctx);
            }
        });
    }

    fn take(&mut self, Waiting { events, lost, .. }: Waiting, ctx: &mut Context<Self>) {
        if let Some(lost) = lost {
            self.next = lost + 1;
            self.unchecked = Waiting { lost: Some(lost), ..Waiting::default() };
            if self.open.lose(&self.key, self.next) {
                Self::try_later(ctx);
            }
        }
        for chunk in events.chunks(CHUNK_EVENTS) {
            self.offer(chunk, ctx);
        }
        if self.checked.is_empty() {
            self.unchecked = Waiting::default();
        } else {
            for event in events {
                self.unchecked.push(event);
            }
            self.check(ctx);
        }
    }

    /// Offers events to the views of all events.
    fn offer(&mut self, events: &[Event], ctx: &mut Context<Self>) {
        let Some(last) = events.last() else { return };
        self.next = last.seq + 1;
        if self.open.is_empty() {
            return;
        }
        let traced = FanOut::of(events);
        let span = self.open.go_on(last);
        let encode = |view: &View| Some(Arc::new(Chunk::encode(span, events, view.form(), None)));
        if self.open.offer(&self.key, encode) {
            Self::try_later(ctx);
        }
        if let Some(traced) = traced {
            traced.end(&self.key);
        }
    }

    /// Has events evaluated for the views with conditions. The next ones follow when these are done.
    fn check(&mut self, ctx: &mut Context<Self>) {
        let Some(map) = self.checked.map().filter(|_| !self.checking) else { return };
        let Waiting { events, lost, .. } = std::mem::take(&mut self.unchecked);
        if let Some(lost) = lost
            && self.checked.lose(&self.key, lost + 1)
        {
            Self::try_later(ctx);
        }
        let Some(last) = events.last() else { return };
        let span = self.checked.go_on(last);
        let views = self.checked.views();
        self.checking = true;
        let evaluators = self.evaluators.clone();
        let checked =
            async move { evaluators.work(map, move |turn| encode_checked(span, events, views, turn)).await };
        ctx.spawn(checked.into_actor(self).map(|chunks, topic, ctx| {
            topic.checking = false;
            if topic.checked.conclude(&topic.key, chunks) {
                Self::try_later(ctx);
            }
            topic.check(ctx);
        }));
    }
}

impl Lane {
    /// Advances the lane past that event. Returns the range of the chunk up to it.
    fn go_on(&mut self, last: &Event) -> Span {
        let span = Span { first_seq: self.offered(), next_seq: last.seq + 1, last_id: last.id };
        self.stand_at(span.next_seq);
        span
    }

    /// Everything before `next` is lost: all subscribers are told. Returns whether one of them had no room.
    fn lose(&mut self, topic: &TopicKey, next: u64) -> bool {
        self.stand_at(next);
        self.conclude(topic, None)
    }
}

impl Actor for EphemeralTopic {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Nudge> for EphemeralTopic {
    type Result = ();

    fn handle(&mut self, _: Nudge, ctx: &mut Self::Context) {
        self.woken.increment(1);
        let waiting = std::mem::take(&mut *self.inbox.lock());
        self.take(waiting, ctx);
    }
}

impl Handler<Attach> for EphemeralTopic {
    type Result = ();

    fn handle(&mut self, Attach { view, dispatcher }: Attach, _: &mut Self::Context) {
        let topic = self.key.clone();
        let next = self.next;
        let lane = self.lane(&view);
        if lane.is_empty() {
            lane.stand_at(next);
        }
        lane.attach(topic, view, dispatcher);
    }
}

impl Handler<Detach> for EphemeralTopic {
    type Result = usize;

    fn handle(&mut self, Detach { form, dispatcher }: Detach, _: &mut Self::Context) -> usize {
        self.open.detach(&form, &dispatcher) + self.checked.detach(&form, &dispatcher)
    }
}
