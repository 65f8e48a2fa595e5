//! An event as an expression uses it: `type`, `subject`, `id`, `seq`, `ts`, `map_id`, `payload` and
//! `source`.

use super::budget::Failure;
use super::evaluate::Scene;
use super::step::Name;
use super::value::Value;
use crate::core::event::{Event, MapText};
use crate::core::time::iso_millis;
use std::cell::{Cell, OnceCell};

/// An event for which expressions are evaluated. Its payload is parsed when the first expression uses it.
pub struct Subject<'e> {
    pub(crate) event: &'e Event,
    map: &'e MapText,
    /// `None` inside if the payload is not JSON. The log never holds such a payload.
    pub(super) payload: OnceCell<Option<Value<'e>>>,
    pub(super) too_large: Cell<bool>,
}

impl<'e> Subject<'e> {
    /// An event of that map.
    pub fn new(event: &'e Event, map: &'e MapText) -> Self {
        Self { event, map, payload: OnceCell::new(), too_large: Cell::new(false) }
    }

    /// Whether the evaluation of an expression was given up because it made too much work.
    pub fn is_too_large(&self) -> bool {
        self.too_large.get()
    }

    /// The value of a name.
    pub(crate) fn named(&self, name: Name) -> Result<Value<'e>, Failure> {
        let event = self.event;
        let map = self.map;
        Ok(match name {
            Name::Kind => Value::borrowed(&event.kind),
            Name::Subject => Value::borrowed(event.subject.as_str()),
            Name::Id => Value::text(event.id.to_string()),
            Name::Seq if event.id.is_ephemeral() => Value::Null,
            Name::Seq => Value::Number(event.seq as f64),
            Name::Ts => Value::text(iso_millis(event.time_ms)),
            Name::MapId => Value::borrowed(map.as_str()),
            Name::Payload => {
                let payload = self.payload.get_or_init(|| Value::read(&event.payload));
                payload.clone().ok_or(Failure::Wrong("the payload is not JSON"))?
            }
            Name::Source => match event.ingested {
                Some(ingested) => Value::text(ingested.source.to_string()),
                None => Value::Null,
            },
            Name::Event | Name::Events => return Err(Failure::Wrong("only templates know the whole event")),
            Name::Claims => return Err(Failure::Wrong("an event has no claims")),
        })
    }
}

impl Scene for Subject<'_> {
    fn value(&self, name: Name) -> Result<Value<'_>, Failure> {
        self.named(name)
    }
}
