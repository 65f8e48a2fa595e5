//! What an endpoint's owner is asked: taken up once, and again where it couldn't be read.

use super::{EndpointActor, RETRY_PAUSE};
use crate::core::consumer::progress::{NumberedOrder, Order};
use crate::core::event::Event;
use crate::core::ids::EventId;
use crate::hub::ArchiveError;
use actix::{AsyncContext, Context};
use rustc_hash::FxHashMap;

/// An order, and the ids of the events that it names, as far as there are.
type Ready = (NumberedOrder, FxHashMap<u64, EventId>);

impl EndpointActor {
    /// Takes up what waits.
    pub(super) fn take_orders(&mut self, ctx: &mut Context<Self>) {
        if self.go.get().is_none() || self.orders_wait {
            return;
        }
        let orders = match self.read_orders() {
            Ok(orders) => orders,
            Err(error) => {
                tracing::error!(webhook = %self.endpoint.id, %error, "orders can't be read; trying again");
                self.orders_wait = true;
                ctx.run_later(RETRY_PAUSE, |actor, ctx| {
                    actor.orders_wait = false;
                    actor.take_orders(ctx);
                    actor.pump(ctx);
                });
                return;
            }
        };
        if orders.is_empty() {
            return;
        }
        for (order, found) in orders {
            let is_new = order.number > self.engine.orders_done();
            if is_new && matches!(order.order, Order::Resume | Order::Seek(_)) {
                self.untold.withdraw();
            }
            self.engine.order(order, self.shard.hub.expiry_ms(), |seq| found.get(&seq).copied());
        }
        self.held.sweep(&self.engine);
    }

    fn read_orders(&self) -> Result<Vec<Ready>, ArchiveError> {
        let Some(state) = self.shard.hub.endpoint_state(self.endpoint.id)? else { return Ok(Vec::new()) };
        state.orders.into_iter().map(|order| self.find_events(order)).collect()
    }

    fn find_events(&self, order: NumberedOrder) -> Result<Ready, ArchiveError> {
        let mut found = FxHashMap::default();
        if let Order::Redeliver(seqs) = &order.order {
            for seq in seqs {
                found.extend(self.event_at(*seq)?.map(|event| (*seq, event.id)));
            }
        }
        Ok((order, found))
    }

    /// The event of that seq, unless it is gone.
    pub(super) fn event_at(&self, seq: u64) -> Result<Option<Event>, ArchiveError> {
        let page = self.shard.source.archive().read_now(self.topic, seq, 1, 1)?;
        match page.events.into_iter().next().filter(|event| event.seq == seq) {
            Some(event) => Ok(Some(event)),
            None => self.shard.hub.kept_event(self.endpoint.id, seq),
        }
    }
}
