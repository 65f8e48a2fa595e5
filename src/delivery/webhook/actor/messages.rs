//! The messages that a webhook's actor takes.

use super::WebhookActor;
use super::state::Life;
use crate::core::ids::WebhookId;
use crate::core::webhook::records::Update;
use actix::{Context, Handler, Message, MessageResult};

/// A message to an actor. Handling it changes only the actor's state; [`WebhookActor::advance`] then does
/// whatever follows from the new state.
pub(super) trait Input: Message {
    fn take_in(self, actor: &mut WebhookActor) -> Self::Result;
}

impl<M: Input> Handler<M> for WebhookActor {
    type Result = MessageResult<M>;

    fn handle(&mut self, message: M, ctx: &mut Context<Self>) -> Self::Result {
        MessageResult(self.drive(ctx, |actor| message.take_in(actor)))
    }
}

/// There may be something to do.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Wake;

impl Input for Wake {
    fn take_in(self, _: &mut WebhookActor) {}
}

/// The settings may have changed, or there may be a new owner command.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Changed;

impl Input for Changed {
    fn take_in(self, actor: &mut WebhookActor) {
        let settings = &mut actor.settings;
        let webhook = actor.shared.hub.webhooks().directory().get(settings.webhook.id).cloned();
        match webhook {
            // Another webhook was created under its id: the shard will retire this actor.
            Some(webhook) if webhook.born != settings.webhook.born => return,
            Some(webhook) if webhook.revision != settings.webhook.revision => {
                actor.engine.change_plan(webhook.plan(actor.shared.config.window));
                if !settings.choose_like(&webhook) {
                    actor.engine.forget_ready();
                    actor.held.sweep(&actor.engine);
                    actor.unfiltered_from = Some(0);
                }
                settings.change(&actor.shared, webhook);
            }
            _ => {}
        }
        actor.life.set(actor.life.get().follow(settings.permitted(&actor.shared)));
        actor.commands.expect();
    }
}

/// Stored events of the stream were deleted. Events that were read before are read again before they are
/// sent.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Removed;

impl Input for Removed {
    fn take_in(self, actor: &mut WebhookActor) {
        actor.held.forget_removed();
    }
}

/// The webhook does not belong to this actor any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Retire;

impl Input for Retire {
    fn take_in(self, actor: &mut WebhookActor) {
        actor.life.set(Life::Retired);
    }
}

/// Asks for everything that must be reported now. The reporter delivers the answer in that order, and asks
/// again only after [`Reported`] or [`TooMuch`].
#[derive(Message)]
#[rtype(result = "Vec<Update>")]
pub(in crate::delivery::webhook) struct Collect;

impl Input for Collect {
    fn take_in(self, actor: &mut WebhookActor) -> Vec<Update> {
        if actor.life.get() == Life::Retired { Vec::new() } else { actor.collect() }
    }
}

/// The cluster has the updates of the last [`Collect`].
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Reported;

impl Input for Reported {
    fn take_in(self, actor: &mut WebhookActor) {
        actor.reports.state.reported();
        actor.engine.reported();
        actor.handing.reported();
    }
}

/// The log refused these updates, since they are too large. The updates that follow them were not sent
/// either.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct TooMuch(pub(in crate::delivery::webhook) Vec<Update>);

impl Input for TooMuch {
    fn take_in(self, actor: &mut WebhookActor) {
        actor.take_back(self.0);
    }
}

/// Asks for the state of the webhook's queue.
#[derive(Message)]
#[rtype(result = "Queue")]
pub(in crate::delivery::webhook) struct Look;

/// The queue of one webhook.
#[derive(Clone, Debug)]
pub(in crate::delivery::webhook) struct Queue {
    pub(in crate::delivery::webhook) webhook: WebhookId,
    pub(in crate::delivery::webhook) events: u64,
    /// When the oldest event in the queue was published, in Unix milliseconds.
    pub(in crate::delivery::webhook) oldest_ms: Option<u64>,
    pub(in crate::delivery::webhook) failing: bool,
    pub(in crate::delivery::webhook) delivered: u64,
    pub(in crate::delivery::webhook) given_up: u64,
}

impl Input for Look {
    fn take_in(self, actor: &mut WebhookActor) -> Queue {
        let progress = actor.engine.progress();
        let head = actor.shared.source.archive().read_now(actor.settings.topic, u64::MAX, 0, 0);
        let head_seq = head.map_or(0, |page| page.head_seq);
        let oldest = actor
            .engine
            .state()
            .oldest()
            .or((progress.track.next <= head_seq).then_some(progress.track.next));
        Queue {
            webhook: actor.settings.webhook.id,
            events: progress.behind(head_seq) + actor.engine.state().waiting_events(),
            oldest_ms: oldest.and_then(|seq| actor.event_at(seq).ok().flatten()).map(|event| event.time_ms),
            failing: actor.engine.state().is_failing(),
            delivered: progress.delivered,
            given_up: progress.given_up,
        }
    }
}
