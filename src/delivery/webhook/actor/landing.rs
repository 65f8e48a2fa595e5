//! An actor's requests: how they begin, and where they end.

use super::{EndpointActor, RETRY_PAUSE};
use crate::core::consumer::engine::Flight;
use crate::core::consumer::progress::EventRef;
use crate::core::event::Event;
use crate::core::ids::{EndpointId, TopicId};
use crate::core::webhook::outcome::{Class, Outcome};
use crate::core::webhook::records::Attempt;
use crate::delivery::webhook::remembered;
use crate::delivery::webhook::sender::{Ended, Now};
use crate::delivery::webhook::shard::Shard;
use crate::delivery::webhook::source::weight;
use crate::hub::ArchiveError;
use actix::fut::ActorFuture;
use actix::{AsyncContext, Context};
use futures_util::FutureExt;
use std::pin::Pin;
use std::task::Poll;

/// Bytes of events in one request; a single event may have more.
const BATCH_BYTES: usize = 1 << 20;

/// How a request ended.
pub(in crate::delivery::webhook) enum End {
    /// It was sent: its events, what came of it, and when it began (Unix milliseconds).
    Sent(Vec<Event>, Ended, u64),
    /// Retention took an event of it.
    Gone,
    /// Somebody deleted an event of it.
    Deleted,
    /// Its events have too many bytes together.
    TooLarge,
    /// While it waited for its turn, it became another's or was no longer wanted.
    NotBegun,
}

impl EndpointActor {
    pub(super) fn launch(&mut self, flight: Flight, ctx: &mut Context<Self>) {
        let known = self.held.all(&flight.events);
        let (removals, removals_before) = (self.removals.clone(), self.removals.get());
        let (shard, sender, topic) = (self.shard.clone(), self.sender.clone(), self.topic);
        let (go, revision, endpoint) = (self.go.clone(), self.endpoint.revision, self.endpoint.id);
        let failing = self.engine.is_failing();
        let wanted = flight.clone();
        let job = async move {
            let Some(_permit) = shard.permits.take(failing).await else { return Ok(End::NotBegun) };
            // While it waited for its turn, what it has may have been deleted.
            let events = match known.filter(|_| removals.get() == removals_before) {
                Some(events) if is_too_large(&events) => return Ok(End::TooLarge),
                Some(events) => events,
                None => match fetch(&shard, endpoint, topic, &wanted.events).await? {
                    Ok(events) => events,
                    Err(end) => return Ok(end),
                },
            };
            // It may have waited for long: for its turn among all requests of the node.
            if !shard.in_touch() || go.get() != Some(revision) {
                return Ok(End::NotBegun);
            }
            let now = Now::of(&shard.hub);
            let ended = sender.send(&shard.client, &events, wanted.gap, wanted.attempt, now).await;
            Ok(End::Sent(events, ended, now.time_ms))
        };
        // An async block around it would have room for the job twice.
        self.flights.spawn_local(job.map(move |end| (flight, end)));
        if !self.landing {
            self.landing = true;
            ctx.spawn(Landing);
        }
    }

    fn end(&mut self, flight: &Flight, end: Result<End, ArchiveError>) {
        self.held.release(&flight.events);
        match end {
            Ok(End::Sent(events, ended, at_ms)) => self.landed(flight, &events, &ended, at_ms),
            Ok(End::Gone) => {
                let gone = Outcome::failed(Class::Expired);
                self.settle(flight, &gone, "removed by retention before it was delivered", 0);
            }
            Ok(End::Deleted) if flight.events.len() == 1 => {
                self.engine.withdraw(flight.id, self.shard.hub.expiry_ms());
            }
            // Of several events this makes halves, and is nobody's failure.
            Ok(End::TooLarge | End::Deleted) => self.settle(flight, &Outcome::failed(Class::Expired), "", 0),
            Ok(End::NotBegun) => self.engine.unsend(flight.id, self.shard.hub.expiry_ms()),
            Err(error) => {
                tracing::error!(webhook = %self.endpoint.id, %error, "an event can't be read; trying again");
                self.engine.unsend(flight.id, self.shard.hub.expiry_ms() + RETRY_PAUSE.as_millis() as u64);
            }
        }
    }

    fn landed(&mut self, flight: &Flight, events: &[Event], ended: &Ended, at_ms: u64) {
        self.shard.meters.attempt(ended.outcome.class, ended.took_ms, events, self.shard.hub.time_ms());
        let kept = remembered::attempt(ended, events, flight.attempt, at_ms, self.shard.hub.node_id());
        let (number, seq) = (self.engine.number_attempt(), flight.events.first().map(|event| event.seq));
        self.untold.attempted(Attempt { number, seq, ..kept });
        // Only a failure is followed by a pause of random length.
        let random = if ended.outcome.class == Class::Delivered { 0 } else { random() };
        let error = ended.error.as_deref().unwrap_or_default();
        self.settle(flight, &ended.outcome, error, random);
        self.shard.unreported.completed();
    }

    /// Tells the engine what follows from how a request ended.
    fn settle(&mut self, flight: &Flight, outcome: &Outcome, error: &str, random: u32) {
        let (profile, ambiguous) = (self.endpoint.profile, self.endpoint.retry.ambiguous);
        let completion = outcome.completion(profile, flight.events.len(), ambiguous);
        self.engine.settle(flight.id, completion, outcome.cause(error), self.shard.hub.expiry_ms(), random);
    }
}

/// Takes in the ends of requests, as long as any is under way. They are tasks of their own, since an actor polls all
/// that it spawned whenever one of them moves.
struct Landing;

impl ActorFuture<EndpointActor> for Landing {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut EndpointActor,
        ctx: &mut Context<EndpointActor>,
        task: &mut std::task::Context<'_>,
    ) -> Poll<()> {
        loop {
            let mut next = actor.flights.poll_join_next(task);
            let some_ended = matches!(next, Poll::Ready(Some(_)));
            while let Poll::Ready(Some(ended)) = next {
                match ended {
                    Ok((flight, end)) => actor.end(&flight, end),
                    // The actor goes down with it, and is started anew.
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => {}
                }
                next = actor.flights.poll_join_next(task);
            }
            if some_ended {
                actor.pump(ctx);
            } else if next.is_pending() {
                return Poll::Pending;
            } else {
                actor.landing = false;
                return Poll::Ready(());
            }
        }
    }
}

/// Reads the events of a delivery that are not at hand, those in a row at once. One that its stream has no more may be
/// kept for the endpoint.
pub(in crate::delivery::webhook) async fn fetch(
    shard: &Shard,
    endpoint: EndpointId,
    topic: TopicId,
    wanted: &[EventRef],
) -> Result<Result<Vec<Event>, End>, ArchiveError> {
    let mut found: Vec<Event> = Vec::with_capacity(wanted.len());
    while let rest @ [next, ..] = &wanted[found.len()..] {
        let row = rest.iter().zip(next.seq..).take_while(|(event, seq)| event.seq == *seq).count();
        let page = shard.source.archive().read(topic, next.seq, row, BATCH_BYTES, None).await?;
        // The stream may have holes: behind one the page goes on with other events than those wanted, and what is
        // withheld comes beside what was asked for.
        let found_before = found.len();
        let read = page.events.into_iter().zip(rest).take_while(|(event, wanted)| event.seq == wanted.seq);
        found.extend(read.map(|(event, _)| event));
        if found.len() > found_before {
            // What is missing behind these is looked for on its own.
        } else if let Some(event) = shard.hub.kept_event(endpoint, next.seq)? {
            found.push(event);
        } else {
            // Of what a retry needs a copy is kept wherever a rule or retention takes it.
            let is_inside = next.seq >= page.first_seq;
            return Ok(Err(if is_inside { End::Deleted } else { End::Gone }));
        }
        if is_too_large(&found) {
            return Ok(Err(End::TooLarge));
        }
    }
    Ok(Ok(found))
}

fn is_too_large(events: &[Event]) -> bool {
    events.len() > 1 && events.iter().map(weight).sum::<usize>() > BATCH_BYTES
}

fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}
