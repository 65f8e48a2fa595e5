//! The actor of one topic: it reads the log from its own cursor, encodes each event once for every view in use, and
//! offers the frames to its subscribers. A condition is evaluated here, once an event, however many views have it.
//!
//! Owns its cursor and subscribers. Never blocks on a subscriber: who has no room for a chunk notices the hole by the
//! next seq that it is told, and reads the rest from the archive.

use super::archive::Archive;
use super::bridge::Deliver;
use crate::core::event::Event;
use crate::core::expression::Judge;
use crate::core::frame::{FormKey, View};
use crate::core::ids::TopicId;
use crate::core::ring::Chunk;
use actix::prelude::SendError;
use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};
use std::sync::Arc;
use std::time::Duration;

/// Events of one chunk at most.
const CHUNK_EVENTS: usize = 256;
/// Bytes of stored events in one chunk, about.
const CHUNK_BYTES: usize = 128 * 1024;
/// Pause before something is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// A nudge waiting is as good as many.
const MAILBOX: usize = 16;

/// The topic may have new events.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Nudge;

/// Deliver the topic's events to that outlet in that view from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Attach {
    pub(super) view: View,
    pub(super) outlet: Recipient<Deliver>,
}

/// The outlet no longer wants the view. Answers how many subscriptions are left.
#[derive(Message)]
#[rtype(result = "usize")]
pub(super) struct Detach {
    pub(super) form: FormKey,
    pub(super) outlet: Recipient<Deliver>,
}

/// The actor.
pub(super) struct Topic {
    id: TopicId,
    archive: Archive,
    next_seq: u64,
    views: Vec<Viewed>,
}

/// A view in use, and who wants it.
struct Viewed {
    view: View,
    subscribers: Vec<Subscriber>,
}

struct Subscriber {
    outlet: Recipient<Deliver>,
    /// It had no room for a chunk, and must be told where the topic is.
    behind: bool,
}

impl Topic {
    /// A topic that starts behind what is stored now.
    pub(super) fn new(id: TopicId, archive: Archive) -> Self {
        Self { id, archive, next_seq: 0, views: Vec::new() }
    }

    fn go_to_head(&mut self) {
        match self.archive.read_now(self.id, u64::MAX, 0, 0) {
            Ok(page) => self.next_seq = page.head_seq + 1,
            Err(error) => tracing::error!(topic = %self.id, %error, "the topic's place is unknown"),
        }
    }

    /// Offers a chunk of each view to those who want it; says whether one had no room.
    fn offer(&mut self, events: &[Event]) -> bool {
        let mut left_behind = false;
        let mut judge = Judge::new(events);
        for Viewed { view, subscribers } in &mut self.views {
            let verdicts = view.condition().map(|condition| judge.verdicts(condition));
            let chunk = Chunk::encode(events, view.form(), verdicts.as_deref());
            let Some(chunk) = chunk.map(Arc::new) else { continue };
            let key = view.key();
            subscribers.retain_mut(|subscriber| {
                let news = Deliver::Chunk { topic: self.id, form: key.clone(), chunk: chunk.clone() };
                match subscriber.outlet.try_send(news) {
                    Ok(()) => true,
                    Err(SendError::Full(_)) => {
                        subscriber.behind = true;
                        left_behind = true;
                        true
                    }
                    Err(SendError::Closed(_)) => false,
                }
            });
        }
        drop(judge);
        self.views.retain(|known| !known.subscribers.is_empty());
        left_behind
    }

    /// Tells who missed chunks where the topic is now, until they have room for it: they fetch the rest themselves.
    fn catch_up(&mut self, ctx: &mut Context<Self>) {
        let mut still_behind = false;
        for known in &mut self.views {
            for subscriber in known.subscribers.iter_mut().filter(|subscriber| subscriber.behind) {
                let (form, next_seq) = (known.view.key().clone(), self.next_seq);
                let told = subscriber.outlet.try_send(Deliver::Start { topic: self.id, form, next_seq });
                subscriber.behind = matches!(told, Err(SendError::Full(_)));
                still_behind |= subscriber.behind;
            }
        }
        if still_behind {
            ctx.run_later(RETRY_PAUSE, |topic, ctx| topic.catch_up(ctx));
        }
    }
}

impl Actor for Topic {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.go_to_head();
    }
}

impl Handler<Nudge> for Topic {
    type Result = ();

    fn handle(&mut self, _: Nudge, ctx: &mut Self::Context) {
        let page = match self.archive.read_now(self.id, self.next_seq, CHUNK_EVENTS, CHUNK_BYTES) {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(topic = %self.id, %error, "new events can't be read; trying again");
                ctx.notify_later(Nudge, RETRY_PAUSE);
                return;
            }
        };
        if self.offer(&page.events) {
            ctx.run_later(RETRY_PAUSE, |topic, ctx| topic.catch_up(ctx));
        }
        self.next_seq = page.next_seq;
        if self.next_seq <= page.head_seq {
            // More is waiting: others get their turn in between.
            ctx.notify(Nudge);
        }
    }
}

impl Handler<Attach> for Topic {
    type Result = ();

    fn handle(&mut self, Attach { view, outlet }: Attach, _: &mut Self::Context) {
        let start = Deliver::Start { topic: self.id, form: view.key().clone(), next_seq: self.next_seq };
        outlet.do_send(start);
        match self.views.iter_mut().find(|known| known.view.key() == view.key()) {
            Some(known) if known.subscribers.iter().any(|subscriber| subscriber.outlet == outlet) => {}
            Some(known) => known.subscribers.push(Subscriber { outlet, behind: false }),
            None => self.views.push(Viewed { view, subscribers: vec![Subscriber { outlet, behind: false }] }),
        }
    }
}

impl Handler<Detach> for Topic {
    type Result = usize;

    fn handle(&mut self, Detach { form, outlet }: Detach, _: &mut Self::Context) -> usize {
        for known in self.views.iter_mut().filter(|known| *known.view.key() == form) {
            known.subscribers.retain(|subscriber| subscriber.outlet != outlet);
        }
        self.views.retain(|known| !known.subscribers.is_empty());
        self.views.len()
    }
}
