//! Conditions over a run of events: each is evaluated once an event, however many wait for the answer.

use super::{Expression, Subject};
use crate::core::event::{Event, MapText};
use crate::core::ids::MapId;
use rustc_hash::FxHashMap;
use std::rc::Rc;
use std::sync::Arc;

/// A condition on a map's events.
#[derive(Debug, PartialEq)]
pub struct Condition {
    expression: Expression,
    map: MapText,
}

impl Condition {
    /// `expression` over the events of `map`.
    pub fn new(expression: Expression, map: MapId) -> Self {
        Self { expression, map: map.into() }
    }

    /// The expression as it was written.
    pub fn text(&self) -> &Arc<str> {
        self.expression.text()
    }

    /// Which of the events meet it.
    pub fn verdicts(&self, events: &[Event]) -> Vec<bool> {
        events.iter().map(|event| self.expression.matches(&Subject::new(event, &self.map))).collect()
    }
}

/// Events of one map under several conditions.
pub struct Judge<'e> {
    events: &'e [Event],
    /// Made for the first condition.
    subjects: Vec<Subject<'e>>,
    known: FxHashMap<Arc<str>, Rc<[bool]>>,
}

impl<'e> Judge<'e> {
    /// Of these events.
    pub fn new(events: &'e [Event]) -> Self {
        Self { events, subjects: Vec::new(), known: FxHashMap::default() }
    }

    /// Which of the events meet the condition.
    pub fn verdicts(&mut self, condition: &'e Condition) -> Rc<[bool]> {
        if let Some(known) = self.known.get(condition.text()) {
            return known.clone();
        }
        if self.subjects.is_empty() {
            self.subjects.extend(self.events.iter().map(|event| Subject::new(event, &condition.map)));
        }
        let verdicts: Rc<[bool]> = self.subjects.iter().map(|subject| condition.expression.matches(subject)).collect();
        self.known.insert(condition.text().clone(), verdicts.clone());
        verdicts
    }
}
