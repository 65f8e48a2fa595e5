//! Reads JSON objects whose names must be unique at every depth. Of two members with one name, readers differ
//! in which one they take, so that one token could mean two things.

use super::JwtError;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Reads a JSON object. The parser bounds its depth.
pub fn read_object(text: &[u8]) -> Result<Map<String, Value>, JwtError> {
    let unique: Unique = serde_json::from_slice(text).map_err(|_| JwtError::NotAnObject)?;
    match unique {
        Unique { value: Value::Object(_), twice: true } => Err(JwtError::NameTwice),
        Unique { value: Value::Object(object), twice: false } => Ok(object),
        _ => Err(JwtError::NotAnObject),
    }
}

/// A value, and whether an object in it has a name twice.
struct Unique {
    value: Value,
    twice: bool,
}

impl Unique {
    fn of(value: impl Into<Value>) -> Self {
        Self { value: value.into(), twice: false }
    }
}

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique::of(Value::Null))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Unique, E> {
        Ok(Unique::of(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Unique, E> {
        Ok(Unique::of(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Unique, E> {
        Ok(Unique::of(value))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Unique, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number out of range"))?;
        Ok(Unique::of(Value::Number(number)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Unique, E> {
        Ok(Unique::of(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        let mut list = Vec::new();
        let mut twice = false;
        while let Some(item) = items.next_element::<Unique>()? {
            twice |= item.twice;
            list.push(item.value);
        }
        Ok(Unique { value: Value::Array(list), twice })
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique, A::Error> {
        let mut object = Map::new();
        let mut twice = false;
        while let Some((name, member)) = entries.next_entry::<String, Unique>()? {
            twice |= member.twice | object.contains_key(&name);
            object.insert(name, member.value);
        }
        Ok(Unique { value: Value::Object(object), twice })
    }
}
