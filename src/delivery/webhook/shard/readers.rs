//! Brings the requests of readers to the actors of their consumers.

use super::Shard;
use crate::core::ids::WebhookId;
use crate::delivery::webhook::actor::{Pull, Said, WebhookActor};
use actix::Addr;
use std::rc::Rc;

impl Shard {
    /// A reader asks for events. It is dropped if this thread can't run the consumer, and asks again.
    pub(in crate::delivery::webhook) fn pull(self: &Rc<Self>, consumer: WebhookId, pull: Pull) {
        if let Some(actor) = self.actor_for_readers(consumer) {
            actor.do_send(pull);
        }
    }

    /// A reader says what it has done with its events. Without an actor no event is under way.
    pub(in crate::delivery::webhook) fn hear(&self, consumer: WebhookId, said: Said) {
        match self.actor(consumer).filter(Addr::connected) {
            Some(actor) => actor.do_send(said),
            None => said.refuse(),
        }
    }

    /// The actor of a consumer that clients read. It starts if there is a reader, although there may be nothing
    /// to read.
    fn actor_for_readers(self: &Rc<Self>, consumer: WebhookId) -> Option<Addr<WebhookActor>> {
        if !self.shared.is_mine(consumer) {
            return None;
        }
        if !self.is_running(consumer) {
            self.look_at(consumer);
        }
        let topic = self.owned.borrow().get(&consumer).copied();
        if let Some(topic) = topic
            && self.actor(consumer).is_none()
        {
            let webhook = self.shared.hub.webhooks().directory().get(consumer).cloned();
            self.start(&webhook.filter(|webhook| webhook.is_read())?, topic);
        }
        self.actor(consumer)
    }
}
