//! JSON as a tree in JavaScript's normal form. Normalising builds it, and templates read from it.
//!
//! It is not a `serde_json::Value`: that type treats an object with serde_json's own key for raw JSON as JSON
//! text and not as an object.

use super::MAX_SAFE_INTEGER;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Write as _};

/// A JSON value in normal form; strings borrow from the text where they can.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Reads a payload from the log; `None` if it is not JSON.
    pub(crate) fn read(payload: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    /// Returns the value for display: text as it is, everything else as compact JSON.
    pub(crate) fn display(&self) -> Cow<'_, str> {
        match self {
            Node::Text(text) => Cow::Borrowed(text),
            other => {
                let mut out = String::new();
                other.write(&mut out);
                Cow::Owned(out)
            }
        }
    }

    /// Appends compact JSON in normal form.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Node::Null => out.push_str("null"),
            Node::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Node::Int(value) => push_integer(*value, out),
            Node::Float(value) => out.push_str(ryu_js::Buffer::new().format_finite(*value)),
            Node::Text(text) => write_string(text, out),
            Node::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Node::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
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

fn push_integer(value: i64, out: &mut String) {
    // A text takes whatever is written to it.
    let _ = write!(out, "{value}");
}

/// Appends a JSON string as `JSON.stringify` writes it.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            b'\t' => "\\t",
            b'\n' => "\\n",
            0x0c => "\\f",
            b'\r' => "\\r",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[plain_from..at]);
        plain_from = at + 1;
        if short.is_empty() {
            out.push_str("\\u00");
            out.extend([byte >> 4, byte & 15].map(|half| char::from(b"0123456789abcdef"[usize::from(half)])));
        } else {
            out.push_str(short);
        }
    }
    out.push_str(&text[plain_from..]);
    out.push('"');
}

/// A key, borrowed if it has no escapes.
#[derive(serde::Deserialize)]
pub(super) struct Key<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(if value.unsigned_abs() <= MAX_SAFE_INTEGER {
            Node::Int(value)
        } else {
            Node::Float(value as f64)
        })
    }
    fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(if value <= MAX_SAFE_INTEGER { Node::Int(value as i64) } else { Node::Float(value as f64) })
    }
    fn visit_f64<E>(self, value: f64) -> Result<Node<'de>, E> {
        // JavaScript writes both zeros as 0.
        Ok(Node::Float(if value == 0.0 { 0.0 } else { value }))
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(value.into()))
    }
    fn visit_str<E>(self, value: &str) -> Result<Node<'de>, E> {
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
        let mut object = Vec::new();
        while let Some(key) = entries.next_key::<Key<'de>>()? {
            object.push((key.0, entries.next_value()?));
        }
        Ok(Node::Object(ordered(object)))
    }
}

/// Objects with more entries are searched for duplicates by a hash.
const FEW: usize = 16;

/// Returns the entries in JavaScript's order, with duplicates resolved.
fn ordered<'a>(entries: Vec<(Cow<'a, str>, Node<'a>)>) -> Vec<(Cow<'a, str>, Node<'a>)> {
    let mut unique = if has_no_duplicate(&entries) { entries } else { deduplicated(entries) };
    // The sort is stable: keys that are not an index keep their order behind those that are.
    let place = |key: &str| array_index(key).map_or(u64::MAX, u64::from);
    if !unique.is_sorted_by_key(|(key, _)| place(key)) {
        unique.sort_by_key(|(key, _)| place(key));
    }
    unique
}

/// Whether an object has few entries, each with a key of its own, as most objects do.
fn has_no_duplicate(entries: &[(Cow<'_, str>, Node<'_>)]) -> bool {
    let is_given_before = |place: usize, key: &str| entries[..place].iter().any(|(other, _)| other == key);
    entries.len() <= FEW && !entries.iter().enumerate().any(|(place, (key, _))| is_given_before(place, key))
}

fn deduplicated<'a>(entries: Vec<(Cow<'a, str>, Node<'a>)>) -> Vec<(Cow<'a, str>, Node<'a>)> {
    // A client chooses the keys, so the hash must not be predictable.
    let mut indexes = HashMap::new();
    let mut unique: Vec<(Cow<'a, str>, Node<'a>)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        match indexes.get(&key) {
            Some(&index) => {
                let slot: &mut (_, _) = &mut unique[index];
                slot.1 = value;
            }
            None => {
                indexes.insert(key.clone(), unique.len());
                unique.push((key, value));
            }
        }
    }
    unique
}

/// Returns the number of a key that JavaScript treats as an array index: canonical, below 2^32 - 1.
pub(crate) fn array_index(key: &str) -> Option<u32> {
    let canonical = key == "0" || !key.is_empty() && !key.starts_with('0') && key.len() <= 10;
    if !canonical || !key.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    key.parse().ok().filter(|index| *index != u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_written_as_it_was_read() {
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
    fn a_key_that_is_given_twice_has_its_first_place_and_its_last_value() {
        for many in [2, FEW, FEW + 1, 3 * FEW] {
            let keys = (0..many).map(|n| format!(r#""k{n}":{n}"#)).collect::<Vec<_>>().join(",");
            let text = format!(r#"{{{keys},"k1":-1,"7":7}}"#);
            let expected = format!(r#"{{"7":7,{keys}}}"#).replace(r#""k1":1"#, r#""k1":-1"#);
            assert_eq!(Node::read(text.as_bytes()).unwrap().display(), expected, "{many}");
            let once = format!("{{{keys}}}");
            assert_eq!(Node::read(once.as_bytes()).unwrap().display(), once, "{many}");
        }
    }
}
