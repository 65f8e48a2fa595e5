//! What a webhook's actor is told and asked.

use super::WebhookActor;
use super::state::Life;
use crate::core::ids::WebhookId;
use crate::core::webhook::records::Update;
use actix::{Context, Handler, Message, MessageResult};

/// What an actor is told or asked. It changes the actor's state alone: what is to be done about it follows in
/// [`WebhookActor::advance`].
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

/// The settings may have changed, or the owner may have been asked for something.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Changed;

impl Input for Changed {
    fn take_in(self, actor: &mut WebhookActor) {
        let settings = &mut actor.settings;
        let webhook = actor.shared.hub.webhooks().directory().get(settings.webhook.id).cloned();
        match webhook {
            // Another one under its id: the shard retires this actor.
            Some(webhook) if webhook.born != settings.webhook.born => return,
            Some(webhook) if webhook.revision != settings.webhook.revision => {
                actor.engine.change_plan(webhook.plan(actor.shared.config.window));
                if !settings.choose_like(&webhook) {
                    actor.engine.forget_ready();
                    actor.held.sweep(&actor.engine);
                }
                settings.change(&actor.shared, webhook);
            }
            _ => {}
        }
        actor.life.set(actor.life.get().follow(settings.permitted(&actor.shared)));
        actor.commands.expect();
    }
}

/// Somebody deleted stored events of the stream: what was read of it is read anew before it is sent.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Removed;

impl Input for Removed {
    fn take_in(self, actor: &mut WebhookActor) {
        actor.held.forget_removed();
    }
}

/// The webhook is another's from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Retire;

impl Input for Retire {
    fn take_in(self, actor: &mut WebhookActor) {
        actor.life.set(Life::Retired);
    }
}

/// What must the cluster know? The answer is the reporter's to deliver, in that order; it is asked for again
/// after [`Reported`] or [`TooMuch`].
#[derive(Message)]
#[rtype(result = "Vec<Update>")]
pub(in crate::delivery::webhook) struct Collect;

impl Input for Collect {
    fn take_in(self, actor: &mut WebhookActor) -> Vec<Update> {
        if actor.life.get() == Life::Retired { Vec::new() } else { actor.collect() }
    }
}

/// The cluster knows.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Reported;

impl Input for Reported {
    fn take_in(self, actor: &mut WebhookActor) {
        actor.reports.state.reported();
        actor.engine.reported();
    }
}

/// The cluster doesn't take these, nor what would have followed them: they are too large.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct TooMuch(pub(in crate::delivery::webhook) Vec<Update>);

impl Input for TooMuch {
    fn take_in(self, actor: &mut WebhookActor) {
        actor.take_back(self.0);
    }
}

/// How is your queue?
#[derive(Message)]
#[rtype(result = "Queue")]
pub(in crate::delivery::webhook) struct Look;

/// The queue of one webhook.
#[derive(Clone, Debug)]
pub(in crate::delivery::webhook) struct Queue {
    pub(in crate::delivery::webhook) webhook: WebhookId,
    pub(in crate::delivery::webhook) events: u64,
    /// When the oldest was published, Unix milliseconds.
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
            given_up: progress.buried,
        }
    }
}
