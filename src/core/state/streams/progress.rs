//! Delivery state as it is replicated: each webhook's progress, dead letters and attempts.
//!
//! This file holds the fence: only the owner of the present epoch moves a webhook's progress.

use super::{Context, Request, StateError, Streams, keys};
use crate::core::codec;
use crate::core::command::{Refusal, Reply};
use crate::core::ids::WebhookId;
use crate::core::state::rights::managed;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::webhook::outcome::Class;
use crate::core::webhook::records::{
    Attempt, AttemptHistory, DeadLetterChange, KEPT_ATTEMPTS, ProgressReport, Update,
};
use crate::core::webhook::{OnWebhook, Webhook};

/// The largest number of dead letters of one webhook; beyond it the oldest are removed.
const MAX_DEAD: u32 = 10_000;

impl Streams {
    /// Stores an owner's report, or refuses all of it if its epoch is stale.
    pub(super) fn progress<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        report: ProgressReport,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let owners = self.facts.webhooks().owners();
        let stale =
            owners.epoch != report.epoch || owners.nodes.get(&report.node) != Some(&report.incarnation);
        let fenced = !crate::failpoint!("stale-owner");
        if fenced
            && (stale
                || report.updates.iter().any(|update| owners.owner_of(update.consumer) != Some(report.node)))
        {
            return Ok(Reply::Refused(Refusal::Stale(owners.epoch)));
        }
        let mut gone = Vec::new();
        for update in report.updates {
            // A webhook that was created again under the same id is another webhook.
            let webhook =
                self.facts.webhooks().get(update.consumer).filter(|webhook| webhook.born == update.born);
            match webhook.cloned() {
                Some(webhook) => self.keep_progress(context, &webhook, update, store)?,
                None => gone.push(update.consumer),
            }
        }
        Ok(Reply::Progressed(gone))
    }

    fn keep_progress<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        webhook: &Webhook,
        update: Update,
        store: &mut S,
    ) -> Result<(), StateError> {
        let known = super::owner_commands::progress(webhook.id, store)?;
        if known.is_some_and(|known| {
            known.reports >= update.progress.reports && !crate::failpoint!("stale-owner")
        }) {
            return Ok(());
        }
        store.put(&keys::progress(webhook.id), &codec::encode(&update.progress)?)?;
        let mut settled = self.keep_waiting(webhook.id, &update, store)?;
        let from = keys::owner_command(webhook.id, 0);
        let to = keys::owner_command(webhook.id, update.progress.commands_done + 1);
        remove_range(&from, &to, usize::MAX, store)?;
        settled.extend(keep_on_attempt_history(webhook.id, &update, store)?);
        self.hold_at(webhook.id, &update.progress, store)?;
        self.drop_unneeded_copies(webhook.id, &settled, store)?;
        let mut events = update.news;
        // If the owner decided to disable the webhook before it learned of a request to continue, the request
        // wins.
        let goes_on =
            super::owner_commands::continues_by_request(webhook.id, update.progress.commands_done, store)?;
        if let Some(disable) = update.disable.filter(|_| webhook.active && !goes_on) {
            let id = webhook.id;
            let revision = webhook.revision;
            self.requests.push(Request::Disable { webhook: id, revision, why: disable.why });
            events.extend(disable.news);
        }
        self.tell_of_webhook(context, webhook.map, &events, store)
    }

    /// Stores the attempt of a test request. If it succeeded, deliveries that failed before are retried now.
    pub(super) fn note_attempt<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        id: WebhookId,
        attempt: Attempt,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let Some(webhook) = self.facts.webhooks().get(id).cloned() else {
            return Ok(Reply::Refused(Refusal::UnknownWebhook));
        };
        let failing =
            super::owner_commands::progress(id, store)?.is_some_and(|progress| progress.waiting.events > 0);
        if attempt.class == Class::Delivered && webhook.active && failing {
            self.resume(context, &webhook, store)?;
        }
        let mut attempt_history = attempt_history(id, store)?;
        attempt_history.attempts.push(attempt);
        shelve(id, attempt_history, store)?;
        Ok(Reply::Done)
    }

    pub(super) fn purge_dead<S: WriteStore>(
        &mut self,
        on: &OnWebhook<Option<Vec<u64>>>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = managed(&self.facts, self.facts.webhooks(), on) {
            return Ok(Reply::Refused(refusal));
        }
        let mut attempt_history = attempt_history(on.webhook, store)?;
        let removed = match &on.what {
            Some(seqs) => remove_dead_letters(on.webhook, seqs, store)?,
            None => {
                let from = keys::dead_letter(on.webhook, 0);
                let to = keys::dead_letter(on.webhook, u64::MAX);
                remove_range(&from, &to, usize::MAX, store)?
            }
        };
        let count = removed.len() as u32;
        attempt_history.dead -= count.min(attempt_history.dead);
        shelve(on.webhook, attempt_history, store)?;
        self.drop_unneeded_copies(on.webhook, &removed, store)?;
        Ok(Reply::Removed(count))
    }
}

/// Stores attempts and changes of dead letters, in order. Returns the seqs of dead letters that were removed.
fn keep_on_attempt_history<S: WriteStore>(
    id: WebhookId,
    update: &Update,
    store: &mut S,
) -> Result<Vec<u64>, StateError> {
    if update.attempts.is_empty() && update.dead_letters.is_empty() {
        return Ok(Vec::new());
    }
    let mut attempt_history = attempt_history(id, store)?;
    let newest = attempt_history.attempts.iter().map(|attempt| attempt.number).max().unwrap_or(0);
    attempt_history
        .attempts
        .extend(update.attempts.iter().filter(|attempt| attempt.number > newest).cloned());
    let mut removed = Vec::new();
    for change in &update.dead_letters {
        match change {
            DeadLetterChange::Removed(seq) => {
                let gone = remove_dead_letters(id, &[*seq], store)?;
                attempt_history.dead -= (gone.len() as u32).min(attempt_history.dead);
                removed.extend(gone);
            }
            DeadLetterChange::Added(dead_letter) => {
                let key = keys::dead_letter(id, dead_letter.seq);
                if store.get(&key)?.is_none() {
                    attempt_history.dead += 1;
                }
                store.put(&key, &codec::encode(dead_letter)?)?;
            }
        }
    }
    if attempt_history.dead > MAX_DEAD {
        let from = keys::dead_letter(id, 0);
        let to = keys::dead_letter(id, u64::MAX);
        let dropped = remove_range(&from, &to, (attempt_history.dead - MAX_DEAD) as usize, store)?;
        attempt_history.dead -= dropped.len() as u32;
        attempt_history.dropped += dropped.len() as u64;
        removed.extend(dropped);
    }
    shelve(id, attempt_history, store)?;
    Ok(removed)
}

fn attempt_history<S: ReadStore>(id: WebhookId, store: &S) -> Result<AttemptHistory, StateError> {
    Ok(store
        .get(&keys::attempt_history(id))?
        .map(|bytes| codec::decode(&bytes))
        .transpose()?
        .unwrap_or_default())
}

fn shelve<S: WriteStore>(
    id: WebhookId,
    mut attempt_history: AttemptHistory,
    store: &mut S,
) -> Result<(), StateError> {
    let excess = attempt_history.attempts.len().saturating_sub(KEPT_ATTEMPTS);
    attempt_history.attempts.drain(..excess);
    attempt_history.attempts.iter_mut().for_each(Attempt::clip);
    Ok(store.put(&keys::attempt_history(id), &codec::encode(&attempt_history)?)?)
}

/// Removes dead letters. Returns the seqs of those that existed.
fn remove_dead_letters<S: WriteStore>(
    id: WebhookId,
    seqs: &[u64],
    store: &mut S,
) -> Result<Vec<u64>, StateError> {
    let mut removed = Vec::new();
    for seq in seqs {
        let key = keys::dead_letter(id, *seq);
        if store.get(&key)?.is_some() {
            store.delete(&key)?;
            removed.push(*seq);
        }
    }
    Ok(removed)
}

/// Removes the first records of a range and returns their numbers.
fn remove_range<S: WriteStore>(
    from: &[u8],
    to: &[u8],
    max: usize,
    store: &mut S,
) -> Result<Vec<u64>, StateError> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    store.scan(from, to, &mut |key, _| {
        found.push(key.to_vec());
        found.len() < max
    })?;
    found.truncate(max);
    found.iter().try_for_each(|key| store.delete(key))?;
    Ok(found.iter().filter_map(|key| keys::number_of(key)).collect())
}
