//! A writer for the JSON objects of chat messages.

use crate::core::event::push_json_string;
/// A JSON object that is being written.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Begins an object.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Adds a member whose value is text.
    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.with(name, |out| push_json_string(value, out))
    }

    /// Adds a member whose value is JSON already.
    pub(super) fn json(self, name: &str, value: &str) -> Self {
        self.with(name, |out| out.extend_from_slice(value.as_bytes()))
    }

    /// Adds a member whose value `value` writes.
    pub(super) fn with(mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) -> Self {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        push_json_string(name, self.out);
        self.out.push(b':');
        value(self.out);
        self
    }

    /// Adds a list; `item` writes each of its items. An empty list is left out.
    pub(super) fn list<T>(self, name: &str, items: &[T], mut item: impl FnMut(&T, &mut Vec<u8>)) -> Self {
        if items.is_empty() {
            return self;
        }
        self.with(name, |out| {
            for (index, one) in items.iter().enumerate() {
                out.push(if index == 0 { b'[' } else { b',' });
                item(one, out);
            }
            out.push(b']');
        })
    }

    /// Ends the object.
    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}
