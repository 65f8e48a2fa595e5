//! Where an actor's events come from: the tail that the thread shares, the archive for what lies far back, the dead
//! letters for a replay of what had failed.

use super::{EndpointActor, RETRY_PAUSE};
use crate::clock::now_ms;
use crate::core::endpoint::engine::{Offer, ReplayRead};
use crate::core::endpoint::progress::{DeadLetter, EventRef};
use crate::core::event::Event;
use crate::delivery::webhook::source::{PAGE_BYTES, PAGE_EVENTS, Read};
use crate::hub::{ArchiveError, Page};
use actix::fut::WrapFuture;
use actix::{ActorFutureExt, AsyncContext, Context};

impl EndpointActor {
    /// Reads as much as the engine has room for. What lies far back comes later, off this thread.
    pub(super) fn read(&mut self, ctx: &mut Context<Self>) {
        while let Some(from_seq) = self.engine.wants().filter(|_| !self.reading) {
            match self.shard.source.read(self.topic, from_seq) {
                Ok(Read::Events(events, _)) if events.is_empty() => break,
                Ok(Read::Events(events, next_seq)) => self.offer(events, next_seq),
                Ok(Read::Cold) => self.read_cold(from_seq, ctx),
                Err(error) => {
                    tracing::error!(webhook = %self.endpoint.id, %error, "events can't be read; trying again");
                    self.reading = true;
                    ctx.run_later(RETRY_PAUSE, |actor, ctx| {
                        actor.reading = false;
                        actor.pump(ctx);
                    });
                }
            }
        }
        self.read_replay(ctx);
    }

    fn offer(&mut self, events: Vec<Event>, next_seq: u64) {
        let offers: Vec<Offer> = events.iter().map(|event| self.judge.offer(event)).collect();
        self.engine.offer(&offers, next_seq, now_ms());
        self.keep(events);
    }

    fn keep(&mut self, events: Vec<Event>) {
        for event in events {
            if self.engine.holds(event.seq) {
                self.held.keep(event);
            }
        }
    }

    fn read_cold(&mut self, from_seq: u64, ctx: &mut Context<Self>) {
        self.reading = true;
        let (archive, topic) = (self.shard.source.archive().clone(), self.topic);
        let read = async move { archive.read(topic, from_seq, PAGE_EVENTS, PAGE_BYTES, None).await };
        ctx.spawn(read.into_actor(self).map(move |page, actor, ctx| {
            match page {
                Ok(Page { events, next_seq, .. }) => {
                    actor.reading = false;
                    // An order may have sent it elsewhere meanwhile.
                    if actor.engine.wants() == Some(from_seq) {
                        actor.offer(events, next_seq);
                    }
                    actor.pump(ctx);
                }
                Err(error) => {
                    tracing::error!(webhook = %actor.endpoint.id, %error, "events can't be read; trying again");
                    ctx.run_later(RETRY_PAUSE, |actor, ctx| {
                        actor.reading = false;
                        actor.pump(ctx);
                    });
                }
            };
        }));
    }

    fn read_replay(&mut self, ctx: &mut Context<Self>) {
        let Some(read) = self.engine.wants_replay().filter(|_| !self.reading_replay) else { return };
        self.reading_replay = true;
        let (shard, topic, endpoint) = (self.shard.clone(), self.topic, self.endpoint.id);
        let page = async move {
            if !read.failed_only {
                let page = shard.source.archive().read(topic, read.from_seq, PAGE_EVENTS, PAGE_BYTES, None).await?;
                let next_seq = if page.events.is_empty() { read.until_seq } else { page.next_seq };
                return Ok((Again::Events(page.events), next_seq));
            }
            let letters = shard.hub.dead_letters(endpoint, read.from_seq, PAGE_EVENTS)?;
            let full = letters.len() == PAGE_EVENTS;
            let next_seq = letters.last().filter(|_| full).map_or(read.until_seq, |letter| letter.seq + 1);
            Ok((Again::Letters(letters), next_seq))
        };
        ctx.spawn(page.into_actor(self).map(move |page: Result<(Again, u64), ArchiveError>, actor, ctx| match page {
            Ok((again, next_seq)) => {
                actor.reading_replay = false;
                actor.offer_replay(read, again, next_seq.min(read.until_seq));
                actor.pump(ctx);
            }
            Err(error) => {
                tracing::error!(webhook = %actor.endpoint.id, %error, "a replay can't read; trying again");
                ctx.run_later(RETRY_PAUSE, |actor, ctx| {
                    actor.reading_replay = false;
                    actor.pump(ctx);
                });
            }
        }));
    }

    fn offer_replay(&mut self, read: ReplayRead, again: Again, next_seq: u64) {
        // The replay may have been cancelled, or another begun, while this was read.
        if self.engine.wants_replay().is_none_or(|now| (now.id, now.from_seq) != (read.id, read.from_seq)) {
            return;
        }
        let mut offers: Vec<Offer> = match &again {
            Again::Events(events) => events.iter().map(|event| self.judge.offer(event)).collect(),
            Again::Letters(letters) => letters
                .iter()
                .map(|letter| self.judge.offer_again(EventRef { seq: letter.seq, id: letter.event_id }))
                .collect(),
        };
        offers.retain(|offer| offer.event.seq < read.until_seq);
        self.engine.offer_replay(&offers, next_seq, now_ms());
        if let Again::Events(events) = again {
            self.keep(events);
        }
    }
}

/// What a replay read.
enum Again {
    Events(Vec<Event>),
    Letters(Vec<DeadLetter>),
}
