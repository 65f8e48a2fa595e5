//! JSON objects of chats' messages, as they are written.

use crate::core::event::push_json_string;
/// A JSON object in the making.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Begins one.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Adds a member that is text.
    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.with(name, |out| push_json_string(value, out))
    }

    /// Adds a member that is JSON already.
    pub(super) fn json(self, name: &str, value: &str) -> Self {
        self.with(name, |out| out.extend_from_slice(value.as_bytes()))
    }

    /// Adds a member that `value` writes.
    pub(super) fn with(mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) -> Self {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        push_json_string(name, self.out);
        self.out.push(b':');
        value(self.out);
        self
    }

    /// Adds a list, each item written by `item`; leaves it out when there is none.
    pub(super) fn list<T>(self, name: &str, items: &[T], mut item: impl FnMut(&T, &mut Vec<u8>)) -> Self {
        if items.is_empty() {
            return self;
        }
        self.with(name, |out| {
            for (place, one) in items.iter().enumerate() {
                out.push(if place == 0 { b'[' } else { b',' });
                item(one, out);
            }
            out.push(b']');
        })
    }

    /// Ends it.
    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}
