//! What an endpoint's actor is told and asked.

use super::EndpointActor;
use crate::core::consumer::engine::Urgency;
use crate::core::webhook::records::Update;
use crate::delivery::webhook::gauges::Queue;
use actix::{ActorContext, Handler, Message, MessageResult};

/// There may be something to do.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Wake;

/// The settings may have changed, or something was asked.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Changed;

/// Somebody deleted stored events of the stream: what was read of it is read anew before it is sent.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Removed;

/// The endpoint is another's from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Retire;

/// What must the cluster know? The answer is the reporter's to deliver, in that order; it is asked for again after
/// [`Reported`] or [`TooMuch`].
#[derive(Message)]
#[rtype(result = "Vec<Update>")]
pub(in crate::delivery::webhook) struct Collect;

/// The cluster knows.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Reported;

/// The cluster doesn't take these, nor what would have followed them: they are too large.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct TooMuch(pub(in crate::delivery::webhook) Vec<Update>);

/// How is your queue?
#[derive(Message)]
#[rtype(result = "Queue")]
pub(in crate::delivery::webhook) struct Look;

impl Handler<Wake> for EndpointActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.pump(ctx);
    }
}

impl Handler<Changed> for EndpointActor {
    type Result = ();

    fn handle(&mut self, _: Changed, ctx: &mut Self::Context) {
        let endpoint = self.shard.hub.endpoints().get(self.endpoint.id).cloned();
        match endpoint {
            // Another one under its id: the shard retires this actor.
            Some(endpoint) if endpoint.born != self.endpoint.born => return,
            Some(endpoint) if endpoint.revision != self.endpoint.revision => self.change(endpoint),
            _ => {}
        }
        self.open_or_close();
        self.take_orders(ctx);
        self.pump(ctx);
    }
}

impl Handler<Removed> for EndpointActor {
    type Result = ();

    fn handle(&mut self, _: Removed, _: &mut Self::Context) {
        self.removals.set(self.removals.get() + 1);
        self.held.clear();
    }
}

impl Handler<Retire> for EndpointActor {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        self.retired = true;
        ctx.stop();
    }
}

impl Handler<Collect> for EndpointActor {
    type Result = MessageResult<Collect>;

    fn handle(&mut self, _: Collect, ctx: &mut Self::Context) -> Self::Result {
        self.noted = false;
        if self.retired || self.reporting || (self.engine.urgency() == Urgency::None && !self.put_off) {
            return MessageResult(Vec::new());
        }
        let updates = self.collect();
        if updates.is_empty() {
            self.pump(ctx);
        }
        MessageResult(updates)
    }
}

impl Handler<TooMuch> for EndpointActor {
    type Result = ();

    fn handle(&mut self, TooMuch(updates): TooMuch, ctx: &mut Self::Context) {
        self.take_back(updates);
        self.pump(ctx);
    }
}

impl Handler<Look> for EndpointActor {
    type Result = MessageResult<Look>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        let progress = self.engine.progress();
        let head_seq = self.shard.source.archive().read_now(self.topic, u64::MAX, 0, 0).map_or(0, |page| page.head_seq);
        let oldest = self.engine.oldest().or((progress.track.next <= head_seq).then_some(progress.track.next));
        MessageResult(Queue {
            endpoint: self.endpoint.id,
            events: progress.behind(head_seq) + self.engine.waiting_events(),
            oldest_ms: oldest.and_then(|seq| self.event_at(seq).ok().flatten()).map(|event| event.time_ms),
            failing: self.engine.is_failing(),
            delivered: progress.delivered,
            given_up: progress.buried,
        })
    }
}

impl Handler<Reported> for EndpointActor {
    type Result = ();

    fn handle(&mut self, _: Reported, ctx: &mut Self::Context) {
        self.reporting = false;
        self.engine.reported();
        self.pump(ctx);
    }
}
