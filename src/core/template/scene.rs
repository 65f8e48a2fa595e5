//! The values of the names in a template.

use crate::core::event::{Event, MapText};
use crate::core::expression::{Failure, Name, Scene, Subject, Text, Value};
use std::cell::OnceCell;
use std::rc::Rc;

/// The events of one request. Their envelopes are made when an expression first uses them.
pub(super) struct Request<'e> {
    map: &'e MapText,
    events: &'e [Event],
    /// The first event, as filters see it.
    first: Subject<'e>,
    envelope: OnceCell<Value<'e>>,
    envelopes: OnceCell<Value<'e>>,
}

impl<'e> Request<'e> {
    pub(super) fn new(map: &'e MapText, first: &'e Event, events: &'e [Event]) -> Self {
        let first = Subject::new(first, map);
        Self { map, events, first, envelope: OnceCell::new(), envelopes: OnceCell::new() }
    }

    fn envelope(&self) -> Result<Value<'e>, Failure> {
        if let Some(envelope) = self.envelope.get() {
            return Ok(envelope.clone());
        }
        let envelope = self.first.envelope()?;
        Ok(self.envelope.get_or_init(|| envelope).clone())
    }

    fn envelopes(&self) -> Result<Value<'e>, Failure> {
        if let Some(envelopes) = self.envelopes.get() {
            return Ok(envelopes.clone());
        }
        let mut all = vec![self.envelope()?];
        for event in &self.events[1..] {
            all.push(Subject::new(event, self.map).envelope()?);
        }
        Ok(self.envelopes.get_or_init(|| Value::List(Rc::new(all))).clone())
    }
}

impl Scene for Request<'_> {
    fn value(&self, name: Name) -> Result<Value<'_>, Failure> {
        match name {
            Name::Event => self.envelope(),
            Name::Events => self.envelopes(),
            other => self.first.value(other),
        }
    }
}

impl<'e> Subject<'e> {
    /// The members of [`Event::write_envelope`], in its order.
    fn envelope(&self) -> Result<Value<'e>, Failure> {
        let event = self.event;
        let own = event.subject.is_own();
        let mut members = Vec::with_capacity(7);
        for (name, is_there, value) in [
            ("id", true, Name::Id),
            ("seq", !event.id.is_ephemeral(), Name::Seq),
            ("type", true, Name::Kind),
            ("subject", !own, Name::Subject),
            ("map_id", true, Name::MapId),
            ("ts", true, Name::Ts),
            ("payload", true, Name::Payload),
        ] {
            if is_there {
                members.push((Text::Borrowed(name), self.named(value)?));
            }
        }
        Ok(Value::Object(Rc::new(members)))
    }
}
