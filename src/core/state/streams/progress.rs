//! Delivery as it is replicated: how far each endpoint is, dead letters, attempts.
//!
//! Owns the fence: only the owner of the present epoch moves an endpoint's progress.

use super::{Context, Request, StateError, Streams, keys};
use crate::core::codec;
use crate::core::command::{Publish, Refusal, Reply};
use crate::core::ids::EndpointId;
use crate::core::state::rights::managed;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::webhook::outcome::Class;
use crate::core::webhook::records::{Attempt, DeadLetterChange, KEPT_ATTEMPTS, ProgressReport, Shelf, Update};
use crate::core::webhook::{Endpoint, OnEndpoint};

/// Dead letters kept of one endpoint; the oldest make room.
const MAX_DEAD: u32 = 10_000;

impl Streams {
    /// Keeps what an owner tells, or refuses all of it under a stale epoch.
    pub(super) fn progress<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        report: ProgressReport,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let owners = self.facts.webhooks().owners();
        let stale = owners.epoch != report.epoch || owners.nodes.get(&report.node) != Some(&report.run);
        let fenced = !crate::failpoint!("stale-owner");
        if fenced
            && (stale || report.updates.iter().any(|update| owners.owner_of(update.endpoint) != Some(report.node)))
        {
            return Ok(Reply::Refused(Refusal::Stale(owners.epoch)));
        }
        let mut gone = Vec::new();
        for update in report.updates {
            // One that was made anew under its id is another.
            let endpoint = self.facts.webhooks().get(update.endpoint).filter(|endpoint| endpoint.born == update.born);
            match endpoint.cloned() {
                Some(endpoint) => self.keep_progress(context, &endpoint, update, store)?,
                None => gone.push(update.endpoint),
            }
        }
        Ok(Reply::Progressed(gone))
    }

    fn keep_progress<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        endpoint: &Endpoint,
        update: Update,
        store: &mut S,
    ) -> Result<(), StateError> {
        let known = super::orders::progress(endpoint.id, store)?;
        if known.is_some_and(|known| known.reports >= update.progress.reports && !crate::failpoint!("stale-owner")) {
            return Ok(());
        }
        store.put(&keys::progress(endpoint.id), &codec::encode(&update.progress)?)?;
        let mut settled = self.keep_waiting(endpoint.id, &update, store)?;
        let (from, to) = (keys::order(endpoint.id, 0), keys::order(endpoint.id, update.progress.orders_done + 1));
        remove_range(&from, &to, usize::MAX, store)?;
        settled.extend(keep_on_shelf(endpoint.id, &update, store)?);
        self.hold_at(endpoint.id, &update.progress, store)?;
        self.forget_kept(endpoint.id, &settled, store)?;
        let mut events = update.news;
        // What its owner decided before somebody asked that it goes on does not stop it.
        let goes_on = super::orders::is_to_go_on(endpoint.id, update.progress.orders_done, store)?;
        if let Some(disable) = update.disable.filter(|_| endpoint.active && !goes_on) {
            let (webhook, revision) = (endpoint.id, endpoint.revision);
            self.requests.push(Request::Disable { webhook, revision, why: disable.why });
            events.extend(disable.news);
        }
        if !events.is_empty() {
            let news = Publish { map: endpoint.map, by: None, events, key: None };
            self.publish(context, news, store)?;
        }
        Ok(())
    }

    /// A test's attempt. One that was delivered has what failed before tried now.
    pub(super) fn note_attempt<S: WriteStore>(
        &mut self,
        context: &mut dyn Context,
        id: EndpointId,
        attempt: Attempt,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        let Some(endpoint) = self.facts.webhooks().get(id).cloned() else {
            return Ok(Reply::Refused(Refusal::UnknownEndpoint));
        };
        let failing = super::orders::progress(id, store)?.is_some_and(|progress| progress.waiting.events > 0);
        if attempt.class == Class::Delivered && endpoint.active && failing {
            self.resume(context, &endpoint, store)?;
        }
        let mut shelf = shelf(id, store)?;
        shelf.attempts.push(attempt);
        shelve(id, shelf, store)?;
        Ok(Reply::Done)
    }

    pub(super) fn purge_dead<S: WriteStore>(
        &mut self,
        on: &OnEndpoint<Option<Vec<u64>>>,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        if let Err(refusal) = managed(&self.facts, self.facts.webhooks(), on) {
            return Ok(Reply::Refused(refusal));
        }
        let mut shelf = shelf(on.endpoint, store)?;
        let removed = match &on.what {
            Some(seqs) => remove_letters(on.endpoint, seqs, store)?,
            None => {
                let (from, to) = (keys::dead_letter(on.endpoint, 0), keys::dead_letter(on.endpoint, u64::MAX));
                remove_range(&from, &to, usize::MAX, store)?
            }
        };
        let count = removed.len() as u32;
        shelf.dead -= count.min(shelf.dead);
        shelve(on.endpoint, shelf, store)?;
        self.forget_kept(on.endpoint, &removed, store)?;
        Ok(Reply::Removed(count))
    }
}

/// Attempts, and what became of dead letters, in order: answers the seqs of those that are none any more.
fn keep_on_shelf<S: WriteStore>(id: EndpointId, update: &Update, store: &mut S) -> Result<Vec<u64>, StateError> {
    if update.attempts.is_empty() && update.letters.is_empty() {
        return Ok(Vec::new());
    }
    let mut shelf = shelf(id, store)?;
    let newest = shelf.attempts.iter().map(|attempt| attempt.number).max().unwrap_or(0);
    shelf.attempts.extend(update.attempts.iter().filter(|attempt| attempt.number > newest).cloned());
    let mut removed = Vec::new();
    for change in &update.letters {
        match change {
            DeadLetterChange::Removed(seq) => {
                let gone = remove_letters(id, &[*seq], store)?;
                shelf.dead -= (gone.len() as u32).min(shelf.dead);
                removed.extend(gone);
            }
            DeadLetterChange::Added(letter) => {
                let key = keys::dead_letter(id, letter.seq);
                if store.get(&key)?.is_none() {
                    shelf.dead += 1;
                }
                store.put(&key, &codec::encode(letter)?)?;
            }
        }
    }
    if shelf.dead > MAX_DEAD {
        let (from, to) = (keys::dead_letter(id, 0), keys::dead_letter(id, u64::MAX));
        let dropped = remove_range(&from, &to, (shelf.dead - MAX_DEAD) as usize, store)?;
        shelf.dead -= dropped.len() as u32;
        shelf.dropped += dropped.len() as u64;
        removed.extend(dropped);
    }
    shelve(id, shelf, store)?;
    Ok(removed)
}

fn shelf<S: ReadStore>(id: EndpointId, store: &S) -> Result<Shelf, StateError> {
    Ok(store.get(&keys::shelf(id))?.map(|bytes| codec::decode(&bytes)).transpose()?.unwrap_or_default())
}

fn shelve<S: WriteStore>(id: EndpointId, mut shelf: Shelf, store: &mut S) -> Result<(), StateError> {
    let excess = shelf.attempts.len().saturating_sub(KEPT_ATTEMPTS);
    shelf.attempts.drain(..excess);
    shelf.attempts.iter_mut().for_each(Attempt::clip);
    Ok(store.put(&keys::shelf(id), &codec::encode(&shelf)?)?)
}

/// Answers the seqs of those that were there.
fn remove_letters<S: WriteStore>(id: EndpointId, seqs: &[u64], store: &mut S) -> Result<Vec<u64>, StateError> {
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

/// Removes the first records of a range; answers their numbers.
fn remove_range<S: WriteStore>(from: &[u8], to: &[u8], max: usize, store: &mut S) -> Result<Vec<u64>, StateError> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    store.scan(from, to, &mut |key, _| {
        found.push(key.to_vec());
        found.len() < max
    })?;
    found.truncate(max);
    found.iter().try_for_each(|key| store.delete(key))?;
    Ok(found.iter().filter_map(|key| keys::number_of(key)).collect())
}
