//! What an endpoint's actor is told and asked.

use super::{EndpointActor, settings};
use crate::core::endpoint::engine::{FAILING_FROM, Plan, Urgency};
use crate::core::endpoint::progress::Update;
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

/// The endpoint is another's from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Retire;

/// What must the cluster know? The answer is the reporter's to deliver; it is asked for again after [`Reported`].
#[derive(Message)]
#[rtype(result = "Option<Update>")]
pub(in crate::delivery::webhook) struct Collect;

/// The cluster knows.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Reported;

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
        if let Some(endpoint) = endpoint.filter(|endpoint| endpoint.revision != self.endpoint.revision) {
            match settings(&self.shard, &endpoint) {
                Ok((sender, judge)) => (self.sender, self.judge) = (sender, judge),
                Err(error) => {
                    tracing::error!(webhook = %endpoint.id, %error, "the webhook's new settings can't be used")
                }
            }
            self.engine.change_plan(Plan::new(&endpoint, self.shard.config.window));
            self.endpoint = endpoint;
        }
        self.take_orders();
        self.pump(ctx);
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
    type Result = Option<Update>;

    fn handle(&mut self, _: Collect, _: &mut Self::Context) -> Self::Result {
        self.noted = false;
        if self.retired || self.reporting || self.engine.urgency() == Urgency::None {
            return None;
        }
        self.reporting = true;
        Some(self.update())
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
            events: progress.behind(head_seq) + self.engine.retrying_events(),
            oldest_ms: oldest.and_then(|seq| self.event_at(seq)).map(|event| event.id.time_ms()),
            failing: progress.failures >= FAILING_FROM,
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
