//! The values of the names in a mapping.

use super::Surroundings;
use crate::core::expression::{Failure, Name, Scene, Text, Value};
use crate::core::ingest::reader::bodies::Item;
use std::cell::OnceCell;
use std::rc::Rc;

/// One item of a body, and the request that it came in.
pub(super) struct Scenery<'i> {
    item: &'i Item,
    around: Surroundings<'i>,
    payload: OnceCell<Option<Value<'i>>>,
}

impl<'i> Scenery<'i> {
    pub(super) fn new(item: &'i Item, around: Surroundings<'i>) -> Self {
        Self { item, around, payload: OnceCell::new() }
    }

    /// `{"headers": {…}}`. Of a header that is given twice, the values are joined.
    fn request(&self) -> Value<'i> {
        let mut headers: Vec<(Text<'i>, Value<'i>)> = Vec::new();
        for (name, value) in self.around.headers.shown() {
            match headers.iter_mut().find(|(known, _)| known.as_str() == name) {
                Some((_, Value::Text(known))) => {
                    *known = Text::Shared(format!("{}, {value}", known.as_str()).into());
                }
                _ => headers.push((Text::Borrowed(name), Value::borrowed(value))),
            }
        }
        let headers = Value::Object(Rc::new(headers));
        Value::Object(Rc::new(vec![(Text::Borrowed("headers"), headers)]))
    }
}

fn or_null<'v>(text: Option<&'v String>) -> Value<'v> {
    text.map_or(Value::Null, |text| Value::borrowed(text))
}

impl Scene for Scenery<'_> {
    fn value(&self, name: Name) -> Result<Value<'_>, Failure> {
        let attributes = &self.item.attributes;
        Ok(match name {
            Name::Payload => {
                let payload = self.payload.get_or_init(|| Value::read(self.item.payload.as_bytes()));
                payload.clone().ok_or(Failure::Wrong("the body is not JSON"))?
            }
            Name::Kind => or_null(attributes.kind.as_ref()),
            Name::Subject => or_null(attributes.subject.as_ref()),
            Name::Id => or_null(attributes.id.as_ref()),
            Name::Ts => or_null(attributes.time.as_ref()),
            Name::MapId => Value::borrowed(self.around.map.as_str()),
            Name::Source => Value::text(self.around.source.to_string()),
            Name::Event => self.request(),
            Name::Seq | Name::Events | Name::Claims => Value::Null,
        })
    }
}
