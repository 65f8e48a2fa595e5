//! Applies a changed filter to what waits: an event that the filter does not choose any more is not tried
//! again, and holds up nothing behind it.
//!
//! This is a look at all waiting deliveries, page by page, after each change. A delivery is looked at once
//! more when it is sent, since the change may have happened while another node owned the webhook.

use super::WebhookActor;
use super::reading::Apart;
use super::requests::fetch;
use crate::core::consumer::engine::Waiting;
use crate::delivery::webhook::source::PAGE_EVENTS;
use crate::hub::ArchiveError;
use actix::fut::WrapFuture;
use actix::{ActorFutureExt, AsyncContext, Context};
use std::sync::Arc;
use std::time::Instant;

impl WebhookActor {
    /// Looks at the next waiting deliveries, if the filter has changed.
    pub(super) fn filter_waiting(&mut self, ctx: &mut Context<Self>) {
        let Some(from) = self.unfiltered_from.filter(|_| self.readers.waiting.is_idle()) else { return };
        let page = self.engine.state().waiting(from, PAGE_EVENTS);
        let Some(last) = page.last().map(|waiting| waiting.number) else {
            self.unfiltered_from = None;
            return;
        };
        self.readers.waiting.begin();
        let apart = self.apart();
        let of = apart.clone();
        let look = async move { of.unwanted(page).await };
        let done = move |unwanted, actor: &mut Self, ctx: &mut Context<Self>| {
            actor.drive(ctx, |actor| actor.take_unwanted(&apart, last, unwanted));
        };
        ctx.spawn(look.into_actor(self).map(done));
    }

    fn take_unwanted(&mut self, apart: &Apart, last: u64, unwanted: Result<Vec<Waiting>, ArchiveError>) {
        let unwanted = match unwanted {
            Ok(unwanted) => unwanted,
            Err(error) => {
                let webhook = self.settings.webhook.id;
                tracing::error!(%webhook, %error, "waiting events can't be read; trying again");
                return self.readers.waiting.fail(Instant::now());
            }
        };
        self.readers.waiting.end();
        if !Arc::ptr_eq(&apart.evaluate, &self.settings.evaluate) {
            // The filter changed once more during the look.
            return;
        }
        self.unfiltered_from = Some(last + 1);
        let expiry_ms = self.shared.hub.clock().expiry_ms();
        unwanted.iter().for_each(|waiting| self.engine.forget_waiting(waiting, expiry_ms));
    }
}

impl Apart {
    /// Of these deliveries, those with events that the filter does not choose, and these events alone.
    async fn unwanted(&self, page: Vec<Waiting>) -> Result<Vec<Waiting>, ArchiveError> {
        let mut unwanted = Vec::new();
        for Waiting { number, events } in page {
            // What can't be read is not decided here, but when it is sent.
            let Ok(found) = fetch(&self.shared, self.webhook, self.topic, &events).await? else { continue };
            let offers = self.evaluate.evaluated(&self.shared.hub, &found).await?;
            let refused = offers.into_iter().filter(|offer| !offer.wanted).map(|offer| offer.event);
            let events: Vec<_> = refused.collect();
            if !events.is_empty() {
                unwanted.push(Waiting { number, events });
            }
        }
        Ok(unwanted)
    }
}
