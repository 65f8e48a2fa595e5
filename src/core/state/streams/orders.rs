//! Orders: what is asked of a webhook's owner, until the owner has taken it up.
//!
//! Owns their bounds. What an operator needs to get a webhook going again always finds room.

use super::{Context, StateError, Streams, keys};
use crate::core::codec;
use crate::core::command::{Change, Refusal, Reply};
use crate::core::consumer::progress::{KEPT_REPLAYS, NumberedCommand, Order, Progress};
use crate::core::ids::WebhookId;
use crate::core::state::rights::managed;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::webhook::directory::WebhookChange;
use crate::core::webhook::{OnWebhook, Webhook};

/// Orders that may wait for an owner.
const MAX_OWNER_COMMANDS: usize = 64;
/// Events asked for by name that may wait, before more are asked for.
const MAX_ASKED: u64 = 1000;

impl Streams {
    pub(super) fn owner_command<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        on: OnWebhook<Order>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let webhook = match managed(&self.facts, self.facts.webhooks(), &on) {
            Ok(webhook) => webhook,
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        Ok(match self.add_command(context, &webhook, on.what, store)? {
            Ok(number) => Reply::Ordered(number),
            Err(refusal) => Reply::Refused(refusal),
        })
    }

    /// Has the owner begin anew, as if nothing had failed.
    pub(super) fn resume<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        webhook: &Webhook,
        store: &mut S,
    ) -> Result<(), StateError> {
        self.add_command(context, webhook, Order::Resume, store).map(drop)
    }

    pub(super) fn add_command<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        webhook: &Webhook,
        order: Order,
        store: &mut S,
    ) -> Result<Result<u64, Refusal>, StateError> {
        let waiting = waiting(webhook.id, store)?;
        match self.room_for_command(webhook, &order, &waiting, store)? {
            Room::Free => {}
            Room::Stands(number) => return Ok(Ok(number)),
            Room::None(refusal) => return Ok(Err(refusal)),
            Room::Instead(numbers) => {
                numbers.iter().try_for_each(|number| store.delete(&keys::order(webhook.id, *number)))?;
            }
        }
        let head = self.next_seq_of(webhook.map);
        let order = match order {
            Order::Seek(u64::MAX) => Order::Seek(head),
            Order::Replay { from_seq, until_seq, failed_only } => {
                Order::Replay { from_seq, until_seq: until_seq.min(head), failed_only }
            }
            other => other,
        };
        // Unique and rising, also for several in one entry: the place in the entry is part of it.
        let number = context.index() << 20 | u64::from(context.take_places(1));
        let order = NumberedCommand { number, at_ms: context.time_ms(), order };
        store.put(&keys::order(webhook.id, number), &codec::encode(&order)?)?;
        self.hold(webhook.id, store)?;
        self.changes.push(Change::Webhook(WebhookChange::Ordered(webhook.id)));
        Ok(Ok(number))
    }

    fn room_for_command<S: ReadStore>(
        &self,
        webhook: &Webhook,
        order: &Order,
        waiting: &[NumberedCommand],
        store: &S,
    ) -> Result<Room, StateError> {
        let numbers = |wanted: &dyn Fn(&Order) -> bool| -> Vec<u64> {
            waiting.iter().filter(|waits| wanted(&waits.order)).map(|waits| waits.number).collect()
        };
        let stands = |numbers: Vec<u64>| numbers.first().map_or(Room::Free, |number| Room::Stands(*number));
        let starts = |order: &Order| matches!(order, Order::Resume | Order::Seek(_));
        Ok(match order {
            Order::Resume => stands(numbers(&starts)),
            Order::Seek(_) => Room::Instead(numbers(&starts)),
            // The owner may have taken it up and not told yet: it is asked in any case.
            Order::Cancel(id) if waiting.iter().any(|waits| waits.number == *id) => Room::Instead(vec![*id]),
            Order::Cancel(_) => stands(numbers(&|waits| waits == order)),
            _ if !webhook.active => Room::None(Refusal::Inactive),
            _ if waiting.len() >= MAX_OWNER_COMMANDS => Room::None(Refusal::Busy),
            Order::Redeliver(_) => {
                let asked = progress(webhook.id, store)?.map_or(0, |progress| progress.waiting.asked);
                if asked >= MAX_ASKED { Room::None(Refusal::Busy) } else { Room::Free }
            }
            Order::Replay { .. } => {
                let open = |progress: Progress| {
                    progress.replays.iter().filter(|replay| replay.ended_ms.is_none()).count()
                };
                let running = progress(webhook.id, store)?.map_or(0, open);
                let more = numbers(&|waits| matches!(waits, Order::Replay { .. })).len();
                if running + more >= KEPT_REPLAYS {
                    Room::None(Refusal::Limit(KEPT_REPLAYS as u32))
                } else {
                    Room::Free
                }
            }
        })
    }
}

/// What an order finds.
enum Room {
    Free,
    /// The same waits already, under that number.
    Stands(u64),
    /// These go for it.
    Instead(Vec<u64>),
    None(Refusal),
}

/// How far the webhook is.
pub(super) fn progress<S: ReadStore>(id: WebhookId, store: &S) -> Result<Option<Progress>, StateError> {
    Ok(store.get(&keys::progress(id))?.map(|bytes| codec::decode(&bytes)).transpose()?)
}

/// Somebody asked that the webhook goes on, and its owner had not taken that up when it had done orders up to that
/// number.
pub(super) fn is_to_go_on<S: ReadStore>(id: WebhookId, done: u64, store: &S) -> Result<bool, StateError> {
    let starts = |waits: &NumberedCommand| matches!(waits.order, Order::Resume | Order::Seek(_));
    Ok(waiting(id, store)?.iter().any(|waits| waits.number > done && starts(waits)))
}

pub(super) fn waiting<S: ReadStore>(id: WebhookId, store: &S) -> Result<Vec<NumberedCommand>, StateError> {
    let mut found = Vec::new();
    store.scan(&keys::order(id, 0), &keys::order(id, u64::MAX), &mut |_, bytes| {
        found.push(codec::decode(bytes));
        true
    })?;
    Ok(found.into_iter().collect::<Result<_, _>>()?)
}
