//! An actor's requests under way, and what happens when they end.

use super::WebhookActor;
use super::requests::End;
use super::state::RETRY_PAUSE;
use crate::core::consumer::engine::Flight;
use crate::core::event::Event;
use crate::core::webhook::outcome::{Class, Outcome};
use crate::core::webhook::records::Attempt;
use crate::delivery::webhook::remembered;
use crate::delivery::webhook::sender::Ended;
use crate::hub::{ArchiveError, DeliveryNote};
use actix::fut::ActorFuture;
use actix::{AsyncContext, Context, SpawnHandle};
use std::pin::Pin;
use std::task::Poll;
use tokio::task::JoinSet;

/// A request, and its result.
type Completion = (Flight, Result<End, ArchiveError>);

/// Requests under way. They are tasks of their own, since an actor polls all its futures whenever one of them
/// makes progress.
#[derive(Default)]
pub(super) struct Flights {
    pub(super) running: JoinSet<Completion>,
    /// The future that takes in completions, while any request is under way.
    completions: Option<SpawnHandle>,
}

impl WebhookActor {
    /// Starts to take in completions, if any request is under way.
    pub(super) fn expect_completions(&mut self, ctx: &mut Context<Self>) {
        if !self.flights.running.is_empty() && self.flights.completions.is_none() {
            self.flights.completions = Some(ctx.spawn(Completions));
        }
    }

    /// Takes in the end of a request.
    fn complete(&mut self, flight: &Flight, end: Result<End, ArchiveError>) {
        if self.settings.webhook.is_read() {
            self.handing.came();
        }
        if let Ok(End::Read(events)) = &end {
            return self.hand(flight, events);
        }
        self.held.release(&flight.events);
        let expiry_ms = self.shared.hub.clock().expiry_ms();
        match end {
            Ok(End::Sent(events, ended, at_ms)) => self.attempted(flight, &events, &ended, at_ms),
            Ok(End::Gone) => {
                let gone = Outcome::failed(Class::Expired);
                self.settle(flight, &gone, "removed by retention before it was delivered", 0);
            }
            Ok(End::Deleted | End::Unwanted) if flight.events.len() == 1 => {
                self.engine.withdraw(flight.id, expiry_ms);
            }
            // The engine splits such a batch in halves. This does not count as a failure of the receiver.
            Ok(End::TooLarge | End::Deleted | End::Unwanted) => {
                self.settle(flight, &Outcome::failed(Class::Expired), "", 0);
            }
            Ok(End::NotBegun | End::Read(_)) => self.engine.unsend(flight.id, expiry_ms),
            Err(error) => {
                let webhook = self.settings.webhook.id;
                tracing::error!(%webhook, %error, "an event can't be read; trying again");
                self.engine.unsend(flight.id, expiry_ms + RETRY_PAUSE.as_millis() as u64);
            }
        }
    }

    fn attempted(&mut self, flight: &Flight, events: &[Event], ended: &Ended, at_ms: u64) {
        self.shared.meters.attempt(
            ended.outcome.class,
            ended.took_ms,
            events,
            self.shared.hub.clock().time_ms(),
        );
        self.meter.attempted(ended.outcome.class != Class::Delivered);
        let kept = remembered::attempt(ended, events, flight.attempt, at_ms, self.shared.hub.node_id());
        let number = self.engine.number_attempt();
        let seq = flight.events.first().map(|event| event.seq);
        self.reports.unreported.attempted(Attempt { number, seq, ..kept });
        // Only a failure is followed by a pause with a random part.
        let random = if ended.outcome.class == Class::Delivered { 0 } else { random() };
        let error = ended.error.as_deref().unwrap_or_default();
        let was_failing = self.engine.state().is_failing();
        let is_given_up = self.settle(flight, &ended.outcome, error, random);
        if !was_failing && self.engine.state().is_failing() {
            self.shared.begins_to_fail(&self.settings.webhook, error);
        }
        self.note_attempt(flight, ended, (at_ms, is_given_up));
        self.shared.report_queue.completed();
    }

    /// Notes the attempt for the timeline of each of its events: when it began, and whether they were given up
    /// after it.
    fn note_attempt(&self, flight: &Flight, ended: &Ended, (at_ms, is_given_up): (u64, bool)) {
        for event in &flight.events {
            self.shared.hub.webhooks().notes().delivered(&DeliveryNote {
                event: event.id,
                receiver: self.settings.webhook.id,
                at_ms,
                attempt: flight.attempt,
                took_ms: ended.took_ms,
                status: ended.outcome.status,
                class: ended.outcome.class,
                is_given_up,
                is_replay: flight.is_replay,
            });
        }
    }

    /// Passes the result of a request to the engine, and does what follows from it. Returns whether its events
    /// were given up for it.
    pub(super) fn settle(&mut self, flight: &Flight, outcome: &Outcome, error: &str, random: u32) -> bool {
        let webhook = &self.settings.webhook;
        let completion = outcome.completion(webhook.profile, flight.events.len(), webhook.retry.ambiguous);
        self.engine.settle(
            flight.id,
            completion,
            outcome.cause(error),
            self.shared.hub.clock().expiry_ms(),
            random,
        )
    }
}

/// Takes in completions as long as any request is under way.
struct Completions;

impl ActorFuture<WebhookActor> for Completions {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut WebhookActor,
        ctx: &mut Context<WebhookActor>,
        task: &mut std::task::Context<'_>,
    ) -> Poll<()> {
        loop {
            let mut ended = Vec::new();
            let rest = loop {
                match actor.flights.running.poll_join_next(task) {
                    Poll::Ready(Some(Ok(completion))) => ended.push(completion),
                    // The panic goes on in the actor, which ends; the shard then starts a new one.
                    Poll::Ready(Some(Err(error))) if error.is_panic() => {
                        std::panic::resume_unwind(error.into_panic())
                    }
                    Poll::Ready(Some(Err(_))) => {}
                    Poll::Ready(None) => break Poll::Ready(()),
                    Poll::Pending => break Poll::Pending,
                }
            };
            if !ended.is_empty() {
                // Other requests may begin now, and may end at once.
                actor.drive(ctx, |actor| {
                    ended.into_iter().for_each(|(flight, end)| actor.complete(&flight, end))
                });
                continue;
            }
            if rest.is_ready() {
                actor.flights.completions = None;
            }
            return rest;
        }
    }
}

/// A random number, for the part of a pause that is left to chance.
pub(super) fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}
