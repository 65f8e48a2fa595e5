//! A payload's JSON as a tree, for what looks into it: messages of chats, and templates.
//!
//! Not `serde_json::Value`: for that one, an object with serde_json's own key for raw JSON is no object but JSON again.

use crate::core::json::write_string;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A JSON value; strings borrow from the text where they can.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Reads a payload of the log; `None` when it is not JSON.
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    /// The member at a path such as `victim.ship`; null is as good as none.
    pub(super) fn at(&self, path: &str) -> Option<&Node<'a>> {
        let mut node = self;
        for name in path.split('.') {
            let Node::Object(members) = node else { return None };
            node = members.iter().find(|(key, _)| key == name).map(|(_, value)| value)?;
        }
        (*node != Node::Null).then_some(node)
    }

    /// The value for people: text as it is, everything else as compact JSON.
    pub(super) fn display(&self) -> Cow<'_, str> {
        match self {
            Node::Text(text) => Cow::Borrowed(text),
            other => {
                let mut out = String::new();
                other.write(&mut out);
                Cow::Owned(out)
            }
        }
    }

    /// The value as a number.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Node::Int(value) => Some(*value as f64),
            Node::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// Compact JSON, in normal form where what was read was.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Node::Null => out.push_str("null"),
            Node::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Node::Int(value) => out.push_str(&value.to_string()),
            Node::Float(value) => out.push_str(ryu_js::Buffer::new().format(*value)),
            Node::Text(text) => write_string(text, out),
            Node::List(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Node::Object(members) => {
                out.push('{');
                for (place, (key, value)) in members.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    write_string(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Int(value))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Node<'de>, E> {
        // Beyond 2^53 the normal form has only integers that a float holds.
        Ok(i64::try_from(value).map_or(Node::Float(value as f64), Node::Int))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Node::Float(value))
    }
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(value.into()))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(value.to_owned().into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = entries.next_key::<Key<'de>>()? {
            members.push((key.0, entries.next_value()?));
        }
        Ok(Node::Object(members))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        for text in [
            r#"{"1":2,"a":[1,-2.5,1e+21,null,true,"x\"é\u001f"],"b":{}}"#,
            "104342715969570500",
            "18446744073709552000",
            r#"{"$serde_json::private::RawValue":"[1"}"#,
            r#"{"$serde_json::private::Number":"x"}"#,
        ] {
            assert_eq!(Node::read(text.as_bytes()).unwrap().display(), text);
        }
        assert_eq!(Node::read(b"{"), None);
    }

    #[test]
    fn members_by_path() {
        let node = Node::read(br#"{"victim":{"ship":"Stratios","name":null},"a.b":1}"#).unwrap();
        assert_eq!(node.at("victim.ship").unwrap().display(), "Stratios");
        for none in ["victim.name", "victim.ship.x", "a.b", "x", ""] {
            assert_eq!(node.at(none), None, "{none}");
        }
    }
}
