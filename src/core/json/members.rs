//! Reads a JSON object member by member and collects all faults, each under its field.
//!
//! Every member stays text until its type is known: a client's values never become a tree.

use super::node::Key;
use crate::core::field_error::{BODY, FieldCode, FieldErrors};
use crate::core::nearest::suggestion;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// The largest number of members in one object. An object with more is refused before any member is read.
const MAX_MEMBERS: usize = 64;

/// The members of an object that were not read yet, and the faults found so far.
///
/// Request every member that the object may have, then call [`Members::finish`]: a member that was never requested is
/// a fault.
pub struct Members<'a> {
    /// The path of the object with a dot after it, such as `retry.`; empty for the body itself.
    prefix: String,
    members: Vec<(Key<'a>, &'a RawValue)>,
    /// The names that were requested so far, each with a line end.
    known: String,
    is_object: bool,
    errors: FieldErrors,
}

impl<'a> Members<'a> {
    /// Reads the body in `text`.
    pub fn of(text: &'a str) -> Self {
        Self::at("", text)
    }

    /// Reads the object in `text`, which is at `path` in the body, such as `retry`.
    pub fn at(path: &str, text: &'a str) -> Self {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        let members = Vec::new();
        let known = String::new();
        let errors = FieldErrors::default();
        let mut object = Self { prefix, members, known, is_object: true, errors };
        match serde_json::from_str::<Fields<'a>>(text) {
            Ok(Fields(members)) => object.members = members,
            Err(error) => {
                object.is_object = false;
                let field = if path.is_empty() { BODY } else { path };
                match error.classify() {
                    Category::Data => {
                        let message = format_args!("must be a JSON object of at most {MAX_MEMBERS} fields");
                        object.errors.add(field, FieldCode::WrongType, message);
                    }
                    _ => {
                        let line = error.line();
                        let column = error.column();
                        let message = format_args!("is not JSON, at line {line}, column {column}");
                        object.errors.add(field, FieldCode::NotJson, message);
                    }
                }
            }
        }
        object
    }

    /// Takes the member with one of these names; it must not be `null`.
    pub fn take<T: DeserializeOwned>(&mut self, names: &[&str], expected: &str) -> Option<T> {
        let raw = self.raw(names)?;
        self.typed(names[0], raw, expected)
    }

    /// Takes the member with that name, which may be `null`.
    pub fn nullable<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Option<Option<T>> {
        let raw = self.raw(&[name])?;
        self.typed(name, raw, &format!("{expected} or null"))
    }

    /// Takes the text of the member with one of these names.
    pub fn raw(&mut self, names: &[&str]) -> Option<&'a RawValue> {
        names.iter().for_each(|name| self.known.extend([*name, "\n"]));
        let mut found = None;
        while let Some(at) = self.members.iter().position(|(Key(name), _)| names.contains(&&**name)) {
            let (Key(name), raw) = self.members.remove(at);
            if found.replace(raw).is_some() {
                self.fault(&name, FieldCode::GivenTwice, "is given twice");
            }
        }
        found
    }

    /// Takes the member with that name, which must exist.
    pub fn required<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Option<T> {
        let raw = self.raw(&[name]);
        if raw.is_none() && self.is_object {
            self.fault(name, FieldCode::Required, "is required");
        }
        self.typed(name, raw?, expected)
    }

    /// Takes the member with that name, which must be the name of one of `known`.
    pub fn one_of<T: Copy>(&mut self, name: &str, known: &[(&str, T)]) -> Option<T> {
        let raw = self.raw(&[name])?;
        self.known_one(name, raw, known)
    }

    /// Like [`Members::one_of`], for a member that may be `null`.
    pub fn one_of_or_null<T: Copy>(&mut self, name: &str, known: &[(&str, T)]) -> Option<Option<T>> {
        let raw = self.raw(&[name])?;
        if is_null(raw) { Some(None) } else { self.known_one(name, raw, known).map(Some) }
    }

    /// Reads the object in the member with that name.
    pub fn object<R>(&mut self, name: &str, read: impl FnOnce(&mut Members<'a>) -> R) -> Option<R> {
        let raw = self.raw(&[name])?;
        Some(self.inside(name, raw, read))
    }

    /// Reads the object in a member's text.
    pub fn inside<R>(
        &mut self,
        name: &str,
        raw: &'a RawValue,
        read: impl FnOnce(&mut Members<'a>) -> R,
    ) -> R {
        let mut inner = Members::at(&format!("{}{name}", self.prefix), raw.get());
        let value = read(&mut inner);
        self.errors.append(inner.finish());
        value
    }

    /// Returns whether there is an object at all. If there is none, that is the only fault.
    pub fn is_object(&self) -> bool {
        self.is_object
    }

    /// Accepts members with these names without reading them.
    pub fn skip<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        for skipped in names {
            self.members.retain(|(Key(name), _)| name != skipped);
        }
    }

    /// Treats the member with that name as absent if it is `null`.
    pub fn skip_null(&mut self, name: &str) {
        self.members.retain(|(Key(member), raw)| !is_null(raw) || member != name);
    }

    /// Adds a fault of a member.
    pub fn fault(&mut self, name: &str, code: FieldCode, message: impl fmt::Display) {
        self.errors.add(format!("{}{name}", self.prefix), code, message);
    }

    /// Returns all faults. A member that was never requested is one.
    pub fn finish(mut self) -> FieldErrors {
        for (Key(name), _) in std::mem::take(&mut self.members) {
            let name: String = name.chars().take(100).collect();
            let suggestion = suggestion(&name, self.known.lines());
            self.fault(&name, FieldCode::UnknownField, format_args!("is not a known field{suggestion}"));
        }
        self.errors
    }

    // The parser's own message is not shown: it repeats the value, which may be secret.
    fn typed<T: DeserializeOwned>(&mut self, name: &str, raw: &RawValue, expected: &str) -> Option<T> {
        let read = serde_json::from_str(raw.get()).ok();
        if read.is_none() {
            self.fault(name, FieldCode::WrongType, format_args!("must be {expected}"));
        }
        read
    }

    fn known_one<T: Copy>(&mut self, name: &str, raw: &RawValue, known: &[(&str, T)]) -> Option<T> {
        let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let given: String = self.typed(name, raw, &format!("one of {}", names()))?;
        let found = known.iter().find(|(known, _)| *known == given).map(|(_, value)| *value);
        if found.is_none() {
            self.fault(name, FieldCode::Invalid, format_args!("must be one of {}", names()));
        }
        found
    }
}

/// Whether a member's text is `null`.
pub fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// The names and texts of an object's members, in their order.
pub(crate) struct Entries<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor::<String>(PhantomData)).map(Self)
    }
}

/// The same, with names that borrow from the text where they can.
struct Fields<'a>(Vec<(Key<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor::<Key<'de>>(PhantomData)).map(Self)
    }
}

/// Reads entries whose names are of that type.
struct EntriesVisitor<N>(PhantomData<N>);

impl<'de, N: Deserialize<'de>> Visitor<'de> for EntriesVisitor<N> {
    type Value = Vec<(N, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = map.next_key()? {
            if entries.len() == MAX_MEMBERS {
                return Err(serde::de::Error::custom("too many fields"));
            }
            entries.push((name, map.next_value()?));
        }
        Ok(entries)
    }
}
