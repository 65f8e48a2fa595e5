//! Owner commands: requests to a webhook's owner, stored until the owner has carried them out.
//!
//! Their number is bounded. A command that an operator needs to get a webhook going again is always accepted.

use super::{Context, StateError, Streams, keys};
use crate::core::codec;
use crate::core::command::{Change, Counted, Refusal, Reply};
use crate::core::consumer::progress::{KEPT_REPLAYS, NumberedCommand, OwnerCommand, Progress};
use crate::core::ids::WebhookId;
use crate::core::state::rights::managed;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::webhook::directory::WebhookChange;
use crate::core::webhook::{OnWebhook, Webhook};

/// The largest number of commands that may wait for an owner.
const MAX_OWNER_COMMANDS: usize = 64;
/// Redelivered events that may wait before further requests to redeliver are refused.
const MAX_ASKED: u64 = 1000;

impl Streams {
    pub(super) fn owner_command<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        on: OnWebhook<OwnerCommand>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let webhook = match managed(&self.facts, self.facts.webhooks(), &on) {
            Ok(webhook) => webhook,
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        Ok(match self.add_command(context, &webhook, on.what, store)? {
            Ok(number) => Reply::CommandAccepted(number),
            Err(refusal) => Reply::Refused(refusal),
        })
    }

    /// Makes the owner start over, as if nothing had failed.
    pub(super) fn resume<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        webhook: &Webhook,
        store: &mut S,
    ) -> Result<(), StateError> {
        self.add_command(context, webhook, OwnerCommand::Resume, store).map(drop)
    }

    pub(super) fn add_command<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        webhook: &Webhook,
        command: OwnerCommand,
        store: &mut S,
    ) -> Result<Result<u64, Refusal>, StateError> {
        let waiting = waiting(webhook.id, store)?;
        match self.admit(webhook, &command, &waiting, store)? {
            Admission::Free => {}
            Admission::Known(number) => return Ok(Ok(number)),
            Admission::Refused(refusal) => return Ok(Err(refusal)),
            Admission::Replaces(numbers) => {
                numbers
                    .iter()
                    .try_for_each(|number| store.delete(&keys::owner_command(webhook.id, *number)))?;
            }
        }
        let head = self.next_seq_of(webhook.map);
        let command = match command {
            OwnerCommand::Seek(u64::MAX) => OwnerCommand::Seek(head),
            OwnerCommand::Replay { from_seq, until_seq, failed_only } => {
                OwnerCommand::Replay { from_seq, until_seq: until_seq.min(head), failed_only }
            }
            other => other,
        };
        // The slot in the entry makes the number unique and ascending, also for several commands in one
        // entry.
        let number = context.index() << 20 | u64::from(context.take_slots(1));
        let numbered = NumberedCommand { number, at_ms: context.time_ms(), command };
        store.put(&keys::owner_command(webhook.id, number), &codec::encode(&numbered)?)?;
        self.hold(webhook.id, store)?;
        self.changes.push(Change::Webhook(WebhookChange::Commanded(webhook.id)));
        Ok(Ok(number))
    }

    fn admit<S: ReadStore>(
        &self,
        webhook: &Webhook,
        command: &OwnerCommand,
        waiting: &[NumberedCommand],
        store: &S,
    ) -> Result<Admission, StateError> {
        let numbers = |wanted: &dyn Fn(&OwnerCommand) -> bool| -> Vec<u64> {
            waiting.iter().filter(|waits| wanted(&waits.command)).map(|waits| waits.number).collect()
        };
        let known =
            |numbers: Vec<u64>| numbers.first().map_or(Admission::Free, |number| Admission::Known(*number));
        let starts = |command: &OwnerCommand| matches!(command, OwnerCommand::Resume | OwnerCommand::Seek(_));
        Ok(match command {
            OwnerCommand::Resume => known(numbers(&starts)),
            OwnerCommand::Seek(_) => Admission::Replaces(numbers(&starts)),
            // The owner may have started the replay without having reported it, so it is asked in any case.
            OwnerCommand::Cancel(id) if waiting.iter().any(|waits| waits.number == *id) => {
                Admission::Replaces(vec![*id])
            }
            OwnerCommand::Cancel(_) => known(numbers(&|waits| waits == command)),
            _ if !webhook.active => Admission::Refused(Refusal::Inactive),
            _ if waiting.len() >= MAX_OWNER_COMMANDS => Admission::Refused(Refusal::Busy),
            OwnerCommand::Redeliver(_) => {
                let asked = progress(webhook.id, store)?.map_or(0, |progress| progress.waiting.asked);
                if asked >= MAX_ASKED { Admission::Refused(Refusal::Busy) } else { Admission::Free }
            }
            OwnerCommand::Replay { .. } => {
                let open = |progress: Progress| {
                    progress.replays.iter().filter(|replay| replay.ended_ms.is_none()).count()
                };
                let running = progress(webhook.id, store)?.map_or(0, open);
                let more = numbers(&|waits| matches!(waits, OwnerCommand::Replay { .. })).len();
                if running + more >= KEPT_REPLAYS {
                    Admission::Refused(Refusal::Limit(Counted::Replays, KEPT_REPLAYS as u32))
                } else {
                    Admission::Free
                }
            }
        })
    }
}

/// Whether an owner command can be accepted.
enum Admission {
    Free,
    /// The same command waits already, under that number.
    Known(u64),
    /// The command replaces the waiting ones with these numbers.
    Replaces(Vec<u64>),
    Refused(Refusal),
}

/// Returns the stored progress of the webhook.
pub(super) fn progress<S: ReadStore>(id: WebhookId, store: &S) -> Result<Option<Progress>, StateError> {
    Ok(store.get(&keys::progress(id))?.map(|bytes| codec::decode(&bytes)).transpose()?)
}

/// Returns whether somebody requested that the webhook continue, in a command that its owner had not carried
/// out when `done` was the number of its last one.
pub(super) fn continues_by_request<S: ReadStore>(
    id: WebhookId,
    done: u64,
    store: &S,
) -> Result<bool, StateError> {
    let starts =
        |waits: &NumberedCommand| matches!(waits.command, OwnerCommand::Resume | OwnerCommand::Seek(_));
    Ok(waiting(id, store)?.iter().any(|waits| waits.number > done && starts(waits)))
}

pub(super) fn waiting<S: ReadStore>(id: WebhookId, store: &S) -> Result<Vec<NumberedCommand>, StateError> {
    let mut found = Vec::new();
    store.scan(&keys::owner_command(id, 0), &keys::owner_command(id, u64::MAX), &mut |_, bytes| {
        found.push(codec::decode(bytes));
        true
    })?;
    Ok(found.into_iter().collect::<Result<_, _>>()?)
}
