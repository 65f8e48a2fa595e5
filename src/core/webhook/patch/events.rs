//! Which events a webhook gets, and in which order. [`Plain::check`] checks the expressions.

use super::{MAX_NAME, shortened};
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::filter::Filter;
use crate::core::json::{Members, is_null};
use crate::core::webhook::{EventFilter, MAX_KINDS, Ordering, Plain, Profile, TopicKind};

/// Invalid event types that are reported of one list, at most.
const MOST_TOLD: usize = 10;

/// Changes of these settings; `None` leaves a setting as it is.
#[derive(Clone, Default, PartialEq)]
pub(super) struct EventsPatch {
    events: Option<Vec<String>>,
    filter: Option<Option<EventFilter>>,
    ordering: Option<OrderingName>,
    ordering_key: Option<Option<String>>,
}

/// The names of [`Ordering`], without the key's expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OrderingName {
    None,
    Key,
    Strict,
}

impl OrderingName {
    const NAMES: [(&'static str, Self); 3] =
        [("none", Self::None), ("key", Self::Key), ("strict", Self::Strict)];
}

impl EventsPatch {
    pub(super) fn read(m: &mut Members<'_>) -> Self {
        Self {
            events: read_events(m),
            filter: read_filter(m),
            ordering: m.one_of("ordering", &OrderingName::NAMES),
            ordering_key: m.nullable("ordering_key", "an expression"),
        }
    }

    pub(super) fn apply(&self, plain: &mut Plain, errors: &mut FieldErrors) {
        if let Some(events) = &self.events {
            plain.webhook.events = checked_events(events, errors);
        }
        if let Some(filter) = &self.filter {
            let filter = filter.clone().unwrap_or_default();
            check_filter(&filter, plain.webhook.profile, errors);
            plain.webhook.filter = filter;
        }
        self.apply_ordering(&mut plain.webhook.ordering, errors);
    }

    fn apply_ordering(&self, ordering: &mut Ordering, errors: &mut FieldErrors) {
        let key = match (&self.ordering_key, &*ordering) {
            (Some(key), _) => key.clone(),
            (None, Ordering::Key(key)) => Some(key.clone()),
            (None, _) => None,
        };
        let by_key = match self.ordering {
            Some(name) => name == OrderingName::Key,
            None => matches!(ordering, Ordering::Key(_)),
        };
        match self.ordering {
            Some(OrderingName::None) => *ordering = Ordering::None,
            Some(OrderingName::Strict) => *ordering = Ordering::Strict,
            Some(OrderingName::Key) | None => {}
        }
        match key {
            Some(key) if by_key => *ordering = Ordering::Key(key),
            None if by_key => {
                errors.add("ordering_key", FieldCode::Required, "is required where ordering is key")
            }
            _ if matches!(self.ordering_key, Some(Some(_))) => {
                errors.add("ordering_key", FieldCode::Conflict, "may only be given where ordering is key");
            }
            _ => {}
        }
    }
}

fn read_events(m: &mut Members<'_>) -> Option<Vec<String>> {
    let raw = m.raw(&["events", "event_types"])?;
    let one = || serde_json::from_str::<String>(raw.get()).map(|one| vec![one]);
    let events = serde_json::from_str::<Vec<String>>(raw.get()).or_else(|_| one()).ok();
    if events.is_none() {
        m.fault("events", FieldCode::WrongType, "must be \"*\" or a list of event types");
    }
    events
}

fn read_filter(m: &mut Members<'_>) -> Option<Option<EventFilter>> {
    let raw = m.raw(&["filter"])?;
    if is_null(raw) {
        return Some(None);
    }
    if let Ok(expression) = serde_json::from_str(raw.get()) {
        return Some(Some(EventFilter { expression: Some(expression), ..EventFilter::default() }));
    }
    if !raw.get().starts_with('{') {
        let expected =
            "an expression, {\"subjects\", \"channel_type\", \"channel_prefix\", \"expression\"} or null";
        m.fault("filter", FieldCode::WrongType, format_args!("must be {expected}"));
        return None;
    }
    let read = |m: &mut Members<'_>| EventFilter {
        subjects: m.nullable("subjects", "a list of subjects").flatten(),
        topic_kind: m.one_of_or_null("channel_type", &TopicKind::NAMES).flatten(),
        topic_prefix: m.nullable("channel_prefix", "a string").flatten(),
        expression: m.nullable("expression", "an expression").flatten(),
    };
    Some(Some(m.inside("filter", raw, read)))
}

fn check_filter(filter: &EventFilter, profile: Profile, errors: &mut FieldErrors) {
    if let Err(error) = filter.subjects(profile) {
        errors.add("filter.subjects", FieldCode::Invalid, error);
    }
    if filter.topic_prefix.as_ref().is_some_and(|prefix| prefix.is_empty() || prefix.len() > MAX_NAME) {
        let message = format_args!("must have 1 to {MAX_NAME} bytes");
        errors.add("filter.channel_prefix", FieldCode::OutOfRange, message);
    }
}

/// The types and patterns, sorted and without repetitions. A pattern of stars alone replaces the whole list.
fn checked_events(events: &[String], errors: &mut FieldErrors) -> Vec<String> {
    if events.is_empty() || events.len() > MAX_KINDS {
        let message = format_args!("must be \"*\" or a list of 1 to {MAX_KINDS} event types");
        errors.add("events", FieldCode::OutOfRange, message);
    }
    for kind in events.iter().filter(|kind| !is_kind_or_pattern(kind)).take(MOST_TOLD) {
        errors.add("events", FieldCode::Invalid, format_args!("{} is not an event type", shortened(kind)));
    }
    let mut events = events.to_vec();
    if events.iter().any(|kind| !kind.is_empty() && kind.bytes().all(|b| b == b'*')) {
        events = vec!["*".to_owned()];
    }
    events.sort_unstable();
    events.dedup();
    events
}

/// Whether an event filter accepts it as a type or pattern.
fn is_kind_or_pattern(kind: &str) -> bool {
    Filter::from_json(Some(&serde_json::json!([kind]))).is_ok()
}
