//! What the webhooks and consumers of a map have to do with an event: what is stored of each, with the attempts
//! and acknowledgements that nodes noted.

mod waits;

use self::waits::Waits;
use super::drawn::{Drawn, Stage};
use crate::core::consumer::progress::Reason;
use crate::core::event::Event;
use crate::core::ids::{EventId, MapId, NodeId, WebhookId};
use crate::core::webhook::Webhook;
use crate::core::webhook::outcome::Class;
use crate::core::webhook::records::{Attempt, DeadLetter};
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::{ArchiveError, DeliveryNote, Gathered, WebhookStore};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const NS_PER_MS: u64 = 1_000_000;

/// What is stored of one receiver and the event.
#[derive(Default)]
struct Stored {
    /// The seq of the event, if the receiver's records name it.
    seq: Option<u64>,
    /// Whether the receiver is past the event. `None` if the event's seq is not known.
    is_settled: Option<bool>,
    /// Whether the event waits to be tried again, or behind another one.
    is_waiting: bool,
    /// What says why it waits, if it does.
    waits: Waits,
    dead: Option<DeadLetter>,
    /// How many attempts the delivery that waits, or that was given up, has had.
    made: u32,
    /// The attempts that are remembered whose first event it is.
    attempts: Vec<Attempt>,
}

/// An attempt to deliver the event to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Try {
    node: NodeId,
    at_ms: u64,
    attempt: u32,
    took_ms: u32,
    status: Option<u16>,
    /// How it ended.
    class: Class,
    /// Whether the event was given up after it.
    is_given_up: bool,
    /// Whether somebody asked to have the event delivered again.
    is_replay: bool,
    /// Whether a node noted it. What is remembered does not say the two facts before.
    is_noted: bool,
}

impl Try {
    /// Whether the receiver has the event.
    fn is_delivered(&self) -> bool {
        self.class == Class::Delivered
    }
}

/// A webhook or a consumer.
struct Receiver {
    webhook: Arc<Webhook>,
    stored: Stored,
    /// Attempts, or acknowledgements (number 0), oldest first.
    tries: Vec<Try>,
    /// Whether the receiver was made after the event.
    is_newer: bool,
}

/// The webhooks and consumers of a map.
pub(super) struct Receivers(Vec<Receiver>);

impl Receivers {
    /// What each of the map's receivers has to do with the event, whose seq may be known.
    pub(super) async fn of(
        edge: &Edge,
        map: MapId,
        (id, seq): (EventId, Option<u64>),
        gathered: &Gathered,
    ) -> Result<Self, ApiError> {
        let webhooks: Vec<Arc<Webhook>> = edge.hub.webhooks().directory().of_map(map).cloned().collect();
        let store = edge.hub.webhooks().clone();
        let ids: Vec<WebhookId> = webhooks.iter().map(|webhook| webhook.id).collect();
        // A webhook may have very many records.
        let looked = tokio::task::spawn_blocking(move || {
            ids.into_iter().map(|webhook| look(&store, webhook, id, seq)).collect::<Result<Vec<_>, _>>()
        });
        let looked = looked.await.map_err(|_| ApiError::unavailable("the node is stopping"))??;
        let receiver = |(webhook, stored): (Arc<Webhook>, Stored)| {
            let tries = tries(&webhook, &stored, gathered);
            let is_newer = webhook.inserted_ms > id.id_ms();
            Receiver { webhook, stored, tries, is_newer }
        };
        Ok(Self(webhooks.into_iter().zip(looked).map(receiver).collect()))
    }

    /// Whether one of them has anything of the event.
    pub(super) fn know_it(&self) -> bool {
        let knows = |receiver: &Receiver| {
            receiver.stored.dead.is_some() || receiver.stored.is_waiting || !receiver.tries.is_empty()
        };
        self.0.iter().any(knows)
    }

    /// The event's seq, if a record names it.
    pub(super) fn seq(&self) -> Option<u64> {
        self.0.iter().find_map(|receiver| receiver.stored.seq)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = WebhookId> {
        self.0.iter().map(|receiver| receiver.webhook.id)
    }

    /// Adds their steps to the timeline.
    pub(super) async fn draw(
        &self,
        edge: &Edge,
        (event, gathered): (Option<&Event>, &Gathered),
        drawn: &mut Drawn<'_>,
    ) {
        let mut notes = gathered.nodes.values().flat_map(|known| &known.deliveries);
        if notes.any(|note| self.ids().all(|id| id != note.receiver)) {
            drawn.gone("a webhook or a consumer that had to do with the event has been deleted");
        }
        for receiver in &self.0 {
            receiver.draw_tries(drawn);
            if let Some(sentence) = receiver.forgotten_attempts() {
                drawn.gone(sentence);
            }
            if let Some(dead) = &receiver.stored.dead {
                let at_ms = edge.hub.clock().shown_ms(dead.given_up_ms);
                drawn.step(Stage::DeadLetter, Some(at_ms * NS_PER_MS), None, receiver.named());
            }
            if receiver.stored.is_waiting {
                receiver.draw_pending(edge, drawn);
            } else if receiver.stored.dead.is_none() && !receiver.has_it() {
                receiver.draw_rest(edge, event, drawn).await;
            }
        }
    }
}

impl Receiver {
    /// The member of a step that says whose it is.
    fn named(&self) -> Value {
        let who = json!({"id": self.webhook.id.to_string(), "name": self.webhook.name});
        if self.webhook.is_read() { json!({ "consumer": who }) } else { json!({ "webhook": who }) }
    }

    /// The receiver for people.
    fn called(&self) -> String {
        let kind = if self.webhook.is_read() { "consumer" } else { "webhook" };
        if self.webhook.name.is_empty() {
            return format!("{kind} {}", self.webhook.id);
        }
        format!("{kind} {} ({})", self.webhook.id, self.webhook.name)
    }

    fn has_it(&self) -> bool {
        self.tries.iter().any(Try::is_delivered)
    }

    fn draw_tries(&self, drawn: &mut Drawn<'_>) {
        for tried in &self.tries {
            let at_ns = Some(tried.at_ms * NS_PER_MS);
            let mut what = self.named();
            if tried.attempt == 0 {
                drawn.step(Stage::Acknowledged, at_ns, Some(tried.node), what);
                continue;
            }
            what["attempt"] = tried.attempt.into();
            what["status"] = tried.status.into();
            what["class"] = tried.class.name().into();
            what["error"] = self.error_of(tried).into();
            what["duration_ms"] = tried.took_ms.into();
            what["outcome"] = match tried.is_delivered() {
                true => "delivered",
                false if tried.is_given_up => "gave_up",
                false => "failed",
            }
            .into();
            what["replay"] = tried.is_replay.into();
            drawn.step(Stage::Attempt, at_ns, Some(tried.node), what);
        }
    }

    /// Why the attempt failed, as a text. It is stored with the last attempts of the webhook, and with the dead
    /// letter of the event.
    fn error_of(&self, tried: &Try) -> Option<&str> {
        let is_same = |known: &&Attempt| known.at_ms == tried.at_ms && known.attempt == tried.attempt;
        if let Some(known) = self.stored.attempts.iter().find(is_same) {
            return known.error.as_deref();
        }
        let dead = self.stored.dead.as_ref().filter(|dead| matches!(dead.reason, Reason::Failed(_)))?;
        let last = self.tries.iter().rfind(|other| other.is_given_up)?;
        (last == tried && dead.attempts == tried.attempt).then(|| dead.error())
    }

    /// Says that attempts are no longer known, if some are not. Nothing is noted of a consumer's attempts.
    fn forgotten_attempts(&self) -> Option<String> {
        if self.webhook.is_read() {
            return None;
        }
        let (replays, others): (Vec<&Try>, Vec<&Try>) = self.tries.iter().partition(|tried| tried.is_replay);
        let is_forgotten = has_gap(self.tries.iter().map(|tried| tried.attempt), self.stored.made)
            || has_gap(replays.iter().map(|tried| tried.attempt), 0)
            || has_gap(others.iter().map(|tried| tried.attempt), 0);
        if is_forgotten {
            return Some(format!("not every attempt of {} is known any more", self.called()));
        }
        let is_begun_later = !replays.is_empty() && others.is_empty() && !self.is_newer;
        is_begun_later.then(|| format!("what {} was sent before the replay is not known", self.called()))
    }

    /// Says that the event waits, and why.
    fn draw_pending(&self, edge: &Edge, drawn: &mut Drawn<'_>) {
        let mut what = self.named();
        self.stored.waits.tell(&self.webhook, edge.hub.clock(), &mut what);
        drawn.step(Stage::Pending, None, None, what);
    }

    /// What is to be said of an event that nobody has noted as delivered.
    async fn draw_rest(&self, edge: &Edge, event: Option<&Event>, drawn: &mut Drawn<'_>) {
        let Some(event) = event else {
            if self.stored.is_settled == Some(false) {
                self.draw_pending(edge, drawn);
            } else if self.tries.is_empty() {
                drawn.gone(format!("whether {} got the event is no longer known", self.called()));
            }
            return;
        };
        // A receiver that was made later has passed what was before it.
        let is_settled = self.stored.is_settled == Some(true);
        if is_settled && self.tries.is_empty() && self.webhook.inserted_ms > event.time_ms {
            return drawn.not_chosen(self.named(), "it was made after the event".to_owned());
        }
        let why = edge.webhooks.why_unwanted(&self.webhook, event).await.ok().flatten();
        match (why, is_settled) {
            (Some(why), _) if self.tries.is_empty() => drawn.not_chosen(self.named(), why),
            (_, false) => self.draw_pending(edge, drawn),
            (_, true) => {
                drawn.step(Stage::Acknowledged, None, None, self.named());
                let how = if self.webhook.is_read() {
                    "when its readers acknowledged it"
                } else {
                    "when and by which attempts it was delivered"
                };
                drawn.gone(format!("{} is past the event: {how} is no longer known", self.called()));
            }
        }
    }
}

/// What is stored of a receiver and the event.
fn look(
    store: &WebhookStore,
    webhook: WebhookId,
    id: EventId,
    seq: Option<u64>,
) -> Result<Stored, ArchiveError> {
    let Some(state) = store.state(webhook)? else { return Ok(Stored::default()) };
    let dead = match state.attempt_history.dead {
        0 => None,
        _ => dead_letter(store, webhook, id, seq)?,
    };
    let waiting = match state.progress.waiting.events {
        0 => None,
        _ => store.waits(webhook, id)?,
    };
    let waits_as = waiting.as_ref().and_then(|retry| retry.events.iter().find(|event| event.id == id));
    let own_seq = waits_as.map(|event| event.seq).or(dead.as_ref().map(|dead| dead.seq));
    let made = waiting.as_ref().map(|retry| retry.attempts).max(dead.as_ref().map(attempts_of));
    let waits = Waits::of(&state.progress, waiting.as_ref(), seq.or(own_seq));
    let begins_with = |attempt: &Attempt| {
        let first = attempt.message_id.get(..EventId::TEXT_LEN);
        attempt.seq.is_some() && first.and_then(|first| first.parse::<EventId>().ok()) == Some(id)
    };
    Ok(Stored {
        seq: own_seq,
        is_settled: seq.or(own_seq).map(|seq| state.progress.track.is_settled(seq)),
        is_waiting: waiting.is_some(),
        waits,
        made: made.unwrap_or(0),
        dead,
        attempts: state.attempt_history.attempts.into_iter().filter(begins_with).collect(),
    })
}

/// How many attempts a dead letter has had. An event that retention removed was given up instead of the last
/// one.
fn attempts_of(dead: &DeadLetter) -> u32 {
    dead.attempts.saturating_sub(u32::from(dead.class() == Class::Expired))
}

/// Whether there were attempts beside those of these numbers, which count from 1. At least `made` were made.
fn has_gap(attempts: impl Iterator<Item = u32>, made: u32) -> bool {
    let known: BTreeSet<u32> = attempts.filter(|attempt| *attempt > 0).collect();
    let last = known.last().map_or(made, |last| made.max(*last));
    known.len() < last as usize
}

/// The dead letter of the event. They are stored in the order of seq, which is the order of ids: one whose seq
/// is not known is found in 64 steps at most, however many there are.
fn dead_letter(
    store: &WebhookStore,
    webhook: WebhookId,
    id: EventId,
    seq: Option<u64>,
) -> Result<Option<DeadLetter>, ArchiveError> {
    if let Some(seq) = seq {
        return Ok(store.dead_letters(webhook, seq, 1)?.pop().filter(|dead| dead.event_id == id));
    }
    let (mut low, mut high) = (0, u64::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        match store.dead_letters(webhook, middle, 1)?.pop() {
            Some(dead) if dead.event_id == id => return Ok(Some(dead)),
            Some(dead) if dead.event_id < id => low = dead.seq.saturating_add(1),
            _ => high = middle,
        }
    }
    Ok(None)
}

/// What nodes noted for the receiver, and the attempts that are remembered of it, each once, oldest first.
fn tries(webhook: &Webhook, stored: &Stored, gathered: &Gathered) -> Vec<Try> {
    let noted = |node: NodeId, note: &DeliveryNote| Try {
        node,
        at_ms: note.at_ms,
        attempt: note.attempt,
        took_ms: note.took_ms,
        status: note.status,
        class: note.class,
        is_given_up: note.is_given_up,
        is_replay: note.is_replay,
        is_noted: true,
    };
    let mut tries = Vec::new();
    for (node, known) in &gathered.nodes {
        let own = known.deliveries.iter().filter(|note| note.receiver == webhook.id);
        tries.extend(own.map(|note| noted(*node, note)));
    }
    for attempt in &stored.attempts {
        let is_noted = |known: &Try| known.at_ms == attempt.at_ms && known.attempt == attempt.attempt;
        if !tries.iter().any(is_noted) {
            tries.push(Try {
                node: attempt.node,
                at_ms: attempt.at_ms,
                attempt: attempt.attempt,
                took_ms: attempt.took_ms,
                status: attempt.status,
                class: attempt.class,
                is_given_up: false,
                is_replay: false,
                is_noted: false,
            });
        }
    }
    tries.sort_by_key(|tried| (tried.at_ms, tried.attempt));
    complete(&mut tries, stored.dead.as_ref());
    tries
}

/// Finds out what the attempts that are only remembered do not say. The attempts of a delivery count upwards,
/// and end when it succeeds: an attempt with a lower number, or one after a success, is one of a replay. The
/// delivery before it had been given up, unless it went on.
fn complete(tries: &mut [Try], dead: Option<&DeadLetter>) {
    let last = dead.filter(|dead| matches!(dead.reason, Reason::Failed(_))).and_then(|dead| {
        tries.iter().rposition(|tried| tried.attempt == dead.attempts && !tried.is_delivered())
    });
    for index in 0..tries.len() {
        let tried = tries[index];
        if tried.is_noted || tried.attempt == 0 {
            continue;
        }
        let (before, after) = (&tries[..index], &tries[index + 1..]);
        let is_replay = before.iter().any(|other| other.is_delivered() || other.attempt > tried.attempt);
        let is_followed = after.first().is_some_and(|next| next.attempt < tried.attempt);
        let goes_on = after.iter().any(|other| other.attempt == tried.attempt + 1);
        let is_given_up = !tried.is_delivered() && (last == Some(index) || is_followed && !goes_on);
        tries[index] = Try { is_replay, is_given_up, ..tried };
    }
}

#[cfg(test)]
mod tests;
