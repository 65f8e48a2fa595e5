//! Where an actor's requests end.

use super::{EndpointActor, RETRY_PAUSE};
use crate::clock::now_ms;
use crate::core::endpoint::engine::Flight;
use crate::core::event::Event;
use crate::delivery::webhook::sender::Ended;
use crate::hub::ArchiveError;
use actix::Context;
use actix::fut::ActorFuture;
use std::pin::Pin;
use std::task::Poll;

/// What was sent, how that ended, and when it began (Unix milliseconds).
pub(super) type Landed = (Vec<Event>, Ended, u64);

/// Takes in the ends of requests, as long as any is under way. They are tasks of their own, since an actor polls all
/// that it spawned whenever one of them moves.
pub(super) struct Landing;

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
                    Ok((flight, landed)) => actor.end(&flight, landed),
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

impl EndpointActor {
    fn end(&mut self, flight: &Flight, landed: Result<Option<Landed>, ArchiveError>) {
        match landed {
            Ok(Some((events, ended, at_ms))) => self.landed(flight, &events, &ended, at_ms),
            Ok(None) => self.expired(flight),
            Err(error) => {
                tracing::error!(webhook = %self.endpoint.id, %error, "an event can't be read; trying again");
                self.engine.unsend(flight.id, now_ms() + RETRY_PAUSE.as_millis() as u64);
            }
        }
    }
}
