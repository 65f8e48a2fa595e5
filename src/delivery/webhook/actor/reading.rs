//! Where an actor's events come from: the tail that the thread shares, the archive for what lies far back, the dead
//! letters for a replay of what had failed.

use super::{EndpointActor, RETRY_PAUSE};
use crate::core::consumer::engine::{Offer, ReplayRead};
use crate::core::consumer::progress::EventRef;
use crate::core::event::Event;
use crate::core::ids::MapId;
use crate::core::webhook::records::DeadLetter;
use crate::delivery::webhook::judge::Judge;
use crate::delivery::webhook::shard::Shard;
use crate::delivery::webhook::source::{PAGE_BYTES, PAGE_EVENTS, Reach, Read};
use crate::hub::ArchiveError;
use actix::fut::WrapFuture;
use actix::{ActorFutureExt, AsyncContext, Context};
use std::sync::Arc;

impl EndpointActor {
    /// Reads as much as the engine has room for. What lies far back comes later, off this thread.
    pub(super) fn read(&mut self, ctx: &mut Context<Self>) {
        while let Some(from_seq) = self.engine.wants().filter(|_| !self.reading) {
            match self.shard.source.read(self.topic, from_seq) {
                Ok(Read::Events(_, reach)) if reach.next_seq <= from_seq => break,
                Ok(Read::Events(events, reach)) if self.judge.is_quick() => {
                    let offers = self.judge.offers(&events);
                    self.offer(events, &offers, reach);
                }
                Ok(Read::Events(events, reach)) => self.read_later(from_seq, Later::Judge(events, reach), ctx),
                Ok(Read::Cold) => self.read_later(from_seq, Later::Read, ctx),
                Err(error) => {
                    self.reading = true;
                    self.read_again(&error, ctx);
                }
            }
        }
        self.read_replay(ctx);
    }

    fn offer(&mut self, events: Vec<Event>, offers: &[Offer], reach: Reach) {
        self.engine.set_kept_from(reach.kept_from);
        self.engine.offer(offers, reach.next_seq, self.shard.hub.expiry_ms());
        self.keep(events);
    }

    fn keep(&mut self, events: Vec<Event>) {
        for event in events {
            if self.engine.holds(event.seq) {
                self.held.keep(event);
            }
        }
    }

    /// Reads or judges off this thread.
    fn read_later(&mut self, from_seq: u64, later: Later, ctx: &mut Context<Self>) {
        self.reading = true;
        let (shard, judge, topic, map) = (self.shard.clone(), self.judge.clone(), self.topic, self.endpoint.map);
        let (by, removals) = (judge.clone(), self.removals.get());
        let read = async move {
            let (events, reach) = match later {
                Later::Judge(events, reach) => (events, reach),
                Later::Read => {
                    let page = shard.source.archive().read(topic, from_seq, PAGE_EVENTS, PAGE_BYTES, None).await?;
                    let reach = Reach::of(&page);
                    (page.events, reach)
                }
            };
            let offers = judged(&shard, map, by, events.clone()).await?;
            Ok((events, offers, reach))
        };
        ctx.spawn(read.into_actor(self).map(move |read: Result<_, ArchiveError>, actor, ctx| match read {
            Ok((events, offers, reach)) => {
                actor.reading = false;
                // The endpoint may have been changed, or sent elsewhere, while this was read.
                if Arc::ptr_eq(&judge, &actor.judge) && actor.engine.wants() == Some(from_seq) {
                    // What was deleted meanwhile is found to be so when it is sent.
                    let events = if actor.removals.get() == removals { events } else { Vec::new() };
                    actor.offer(events, &offers, reach);
                }
                actor.pump(ctx);
            }
            Err(error) => actor.read_again(&error, ctx),
        }));
    }

    fn read_again(&mut self, error: &ArchiveError, ctx: &mut Context<Self>) {
        tracing::error!(webhook = %self.endpoint.id, %error, "events can't be read; trying again");
        ctx.run_later(RETRY_PAUSE, |actor, ctx| {
            actor.reading = false;
            actor.pump(ctx);
        });
    }

    fn read_replay(&mut self, ctx: &mut Context<Self>) {
        let Some(read) = self.engine.wants_replay().filter(|_| !self.reading_replay) else { return };
        self.reading_replay = true;
        let (shard, topic, endpoint, map) = (self.shard.clone(), self.topic, self.endpoint.id, self.endpoint.map);
        let (judge, removals) = (self.judge.clone(), self.removals.get());
        let by = judge.clone();
        let page = async move {
            if !read.failed_only {
                let page = shard.source.archive().read(topic, read.from_seq, PAGE_EVENTS, PAGE_BYTES, None).await?;
                let reach = Reach::of(&page);
                let next_seq = if reach.next_seq <= read.from_seq { read.until_seq } else { reach.next_seq };
                let offers = judged(&shard, map, by, page.events.clone()).await?;
                return Ok((Again::Events(page.events, offers, reach), next_seq));
            }
            let letters = shard.hub.dead_letters(endpoint, read.from_seq, PAGE_EVENTS)?;
            let full = letters.len() == PAGE_EVENTS;
            let next_seq = letters.last().filter(|_| full).map_or(read.until_seq, |letter| letter.seq + 1);
            Ok((Again::Letters(letters), next_seq))
        };
        ctx.spawn(page.into_actor(self).map(move |page: Result<(Again, u64), ArchiveError>, actor, ctx| match page {
            Ok((mut again, next_seq)) => {
                actor.reading_replay = false;
                if actor.removals.get() != removals {
                    again.forget_events();
                }
                if Arc::ptr_eq(&judge, &actor.judge) {
                    actor.offer_replay(read, again, next_seq.min(read.until_seq));
                }
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
        let again_of = |letter: DeadLetter| {
            self.judge.offer_again(EventRef { seq: letter.seq, id: letter.event_id }, &letter.kind)
        };
        let (events, mut offers) = match again {
            Again::Events(events, offers, reach) => {
                self.engine.set_kept_from(reach.kept_from);
                (Some(events), offers)
            }
            Again::Letters(letters) => (None, letters.into_iter().map(again_of).collect()),
        };
        offers.retain(|offer| offer.event.seq < read.until_seq);
        self.engine.offer_replay(&offers, next_seq, self.shard.hub.expiry_ms());
        self.keep(events.unwrap_or_default());
    }
}

/// What a replay read.
enum Again {
    Events(Vec<Event>, Vec<Offer>, Reach),
    Letters(Vec<DeadLetter>),
}

impl Again {
    /// Events of it may have been deleted meanwhile: they are read anew when they are sent.
    fn forget_events(&mut self) {
        if let Self::Events(events, ..) = self {
            events.clear();
        }
    }
}

/// What is left to do off the thread.
enum Later {
    Read,
    /// These, up to that seq, are to be judged.
    Judge(Vec<Event>, Reach),
}

/// Judges events: here where that is quick, else where expressions take turns.
async fn judged(shard: &Shard, map: MapId, judge: Arc<Judge>, events: Vec<Event>) -> Result<Vec<Offer>, ArchiveError> {
    if judge.is_quick() {
        return Ok(judge.offers(&events));
    }
    let judged = move |turn| async move { judge.offers_in_turn(&events, turn).await };
    shard.hub.judges().work(map, judged).await.ok_or(ArchiveError::Unjudged)
}
