//! A condition on a map's events.

use super::{Expression, Subject};
use crate::core::event::{Event, MapText};
use crate::core::ids::MapId;
use std::sync::Arc;

/// A filter's expression, and the map whose events it is about. Shared by all subscriptions that have the
/// same.
#[derive(Debug, PartialEq)]
pub struct Condition {
    expression: Expression,
    map: MapId,
    map_text: MapText,
}

impl Condition {
    /// `expression` over the events of `map`.
    pub fn new(expression: Expression, map: MapId) -> Self {
        Self { expression, map, map_text: map.into() }
    }

    /// The expression as it was written.
    pub fn text(&self) -> &Arc<str> {
        self.expression.text()
    }

    /// The map whose events it is about.
    pub fn map(&self) -> MapId {
        self.map
    }

    /// The event in the form that all conditions of this map take.
    pub fn subject<'e>(&'e self, event: &'e Event) -> Subject<'e> {
        Subject::new(event, &self.map_text)
    }

    /// Whether the event meets it.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.expression.matches(subject)
    }
}
