//! Decides which events a webhook wants, and which of them must wait for each other.

use crate::core::consumer::engine::Offer;
use crate::core::consumer::progress::EventRef;
use crate::core::digest;
use crate::core::event::{Event, MapText};
use crate::core::expression::{Expression, ExpressionError, Subject};
use crate::core::filter::{Filter, FilterError};
use crate::core::ids::MapId;
use crate::core::subject::SelectorError;
use crate::core::webhook::{Ordering, Profile, SubjectFilter, Webhook, shown_as};
use crate::hub::{ArchiveError, Hub, Turn};
use std::sync::Arc;

/// A webhook's filters, made once from its settings.
pub(super) struct Evaluator {
    map: MapId,
    map_text: MapText,
    profile: Profile,
    subjects: SubjectFilter,
    kinds: Filter,
    condition: Option<Expression>,
    lanes: Lanes,
}

enum Lanes {
    None,
    One,
    By(Expression),
}

/// The part of a webhook's filters that an event does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unwanted {
    Subject,
    Kind,
    Condition,
}

/// Settings that can't be used as filters. The API checks filters when they are stored, so this happens only
/// after a change of the rules.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadFilter {
    #[error(transparent)]
    Subjects(#[from] SelectorError),
    #[error(transparent)]
    Kinds(#[from] FilterError),
    #[error(transparent)]
    Expression(#[from] ExpressionError),
}

impl Evaluator {
    pub(super) fn new(webhook: &Webhook) -> Result<Self, BadFilter> {
        Ok(Self {
            map: webhook.map,
            map_text: MapText::from(webhook.map),
            profile: webhook.profile,
            subjects: webhook.filter.subjects(webhook.profile)?,
            kinds: Filter::from_list(&webhook.events)?,
            condition: webhook.filter.expression.as_deref().map(Expression::condition).transpose()?,
            lanes: match &webhook.ordering {
                Ordering::None => Lanes::None,
                Ordering::Strict => Lanes::One,
                Ordering::Key(key) => Lanes::By(Expression::key(key)?),
            },
        })
    }

    /// Whether events can be evaluated on this thread: there is no expression to run.
    pub(super) fn is_quick(&self) -> bool {
        self.condition.is_none() && !matches!(self.lanes, Lanes::By(_))
    }

    /// Evaluates events of the topic, all at once.
    pub(super) fn offers(&self, events: &[Event]) -> Vec<Offer> {
        events.iter().map(|event| self.offer(event, &Subject::new(event, &self.map_text))).collect()
    }

    /// Evaluates events of the topic: here if that is quick, else on the thread where expressions take turns.
    ///
    /// # Errors
    /// [`ArchiveError::NotEvaluated`] if the evaluation failed.
    pub(super) async fn evaluated(
        self: &Arc<Self>,
        hub: &Hub,
        events: &[Event],
    ) -> Result<Vec<Offer>, ArchiveError> {
        if self.is_quick() {
            return Ok(self.offers(events));
        }
        let evaluate = self.clone();
        let of = events.to_vec();
        let work = move |turn| async move { evaluate.offers_in_turn(&of, turn).await };
        hub.evaluators().work(self.map, work).await.ok_or(ArchiveError::NotEvaluated)
    }

    /// Evaluates events of the topic, and lets other work have its turn between them.
    async fn offers_in_turn(&self, events: &[Event], mut turn: Turn) -> Vec<Offer> {
        let mut offers = Vec::with_capacity(events.len());
        for event in events {
            // The payload is parsed only if there is an expression, and once for the condition and the key.
            let subject = Subject::new(event, &self.map_text);
            offers.push(self.offer(event, &subject));
            turn.evaluated(&subject);
            turn.pass().await;
        }
        offers
    }

    fn offer(&self, event: &Event, subject: &Subject<'_>) -> Offer {
        let wanted = self.unwanted(event, subject).is_none();
        let lane = match &self.lanes {
            _ if !wanted => None,
            Lanes::None => None,
            Lanes::One => Some(0),
            // Events without the key share one lane.
            Lanes::By(key) => Some(hash(key.value(subject).as_deref())),
        };
        Offer {
            event: EventRef { seq: event.seq, id: event.id },
            wanted,
            lane,
            kind: hash(Some(&event.kind)) as u32,
        }
    }

    /// What keeps the webhook from wanting the event; `None` if nothing does.
    fn unwanted(&self, event: &Event, subject: &Subject<'_>) -> Option<Unwanted> {
        if !self.subjects.takes(event.subject.as_str()) {
            return Some(Unwanted::Subject);
        }
        if !self.takes_kind(&event.kind, event.subject.channel().is_some()) {
            return Some(Unwanted::Kind);
        }
        let is_met = self.condition.as_ref().is_none_or(|condition| condition.matches(subject));
        (!is_met).then_some(Unwanted::Condition)
    }

    /// Why the webhook does not want the event, in words; `None` if it wants it. Evaluates on the thread where
    /// expressions take turns.
    ///
    /// # Errors
    /// [`ArchiveError::NotEvaluated`] if the evaluation failed.
    pub(super) async fn why_unwanted(
        self: &Arc<Self>,
        hub: &Hub,
        event: &Event,
    ) -> Result<Option<String>, ArchiveError> {
        let evaluator = self.clone();
        let event = event.clone();
        let work = move |turn: Turn| async move {
            let subject = Subject::new(&event, &evaluator.map_text);
            let why = evaluator.in_words(&event, &subject);
            turn.evaluated(&subject);
            why
        };
        hub.evaluators().work(self.map, work).await.ok_or(ArchiveError::NotEvaluated)
    }

    fn in_words(&self, event: &Event, subject: &Subject<'_>) -> Option<String> {
        Some(match self.unwanted(event, subject)? {
            Unwanted::Subject if event.subject.is_own() => {
                "the filter takes no events of the map's own subject".to_owned()
            }
            Unwanted::Subject => {
                format!("the filter takes no events of the subject {}", event.subject.as_str())
            }
            Unwanted::Kind => format!("it takes no events of the type {}", event.kind),
            Unwanted::Condition => {
                match self.condition.as_ref().and_then(|condition| condition.fault(subject)) {
                    Some(fault) => format!("the filter's expression has no value for this event: {fault}"),
                    None => "the filter's expression is false for this event".to_owned(),
                }
            }
        })
    }

    /// Whether the webhook wants events of that type. It names lifecycle events as its profile does.
    fn takes_kind(&self, kind: &str, is_lifecycle: bool) -> bool {
        let kind = if is_lifecycle { shown_as(self.profile, kind) } else { Some(kind) };
        kind.is_some_and(|kind| self.kinds.matches(kind))
    }

    /// The offer for the event of a dead letter that is not kept any more: only its type is known.
    pub(super) fn offer_of_kind(&self, event: EventRef, kind: &str) -> Offer {
        let lane = matches!(self.lanes, Lanes::One).then_some(0);
        let wanted = self.takes_kind(kind, false) || self.takes_kind(kind, true);
        Offer { event, wanted, lane, kind: hash(Some(kind)) as u32 }
    }
}

/// The hash of a lane's key. It is the same on every node and in every release, since retries are replicated
/// with their lanes. An event without a key is in another lane than an event whose key is empty.
fn hash(key: Option<&str>) -> u64 {
    match key {
        Some(key) => digest::short(&[key.as_bytes()]),
        None => digest::short(&[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_the_same_in_every_release() {
        assert_eq!(hash(Some("order-7")), 1_827_048_891_083_482_135);
        assert_eq!((hash(None), hash(Some(""))), (2_202_906_307_356_721_367, 16_738_165_381_834_614_119));
    }
}
