//! Reads a JSON object member by member, so that all that is wrong with it is told at once, each fault with its field.
//!
//! Every member is kept as text until its type is known: never a tree of client-sent values.

use crate::core::field_error::{BODY, FieldCode, FieldErrors};
use crate::core::nearest::meant;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::fmt;

/// Members in one object; more are refused before any is read.
const MAX_MEMBERS: usize = 64;

/// The members of an object that were not read yet, and the faults found so far.
///
/// Ask for every member that the object may have, then call [`Members::finish`]: what nobody asked for is a fault.
pub struct Members<'a> {
    /// The path of the object, with a dot behind it, as in `retry.`; empty for the body itself.
    prefix: String,
    members: Vec<(String, &'a RawValue)>,
    /// Names that were asked for so far.
    known: Vec<String>,
    is_object: bool,
    errors: FieldErrors,
}

impl<'a> Members<'a> {
    /// Of the body that `text` is.
    pub fn of(text: &'a str) -> Self {
        Self::at("", text)
    }

    /// Of the object that stands at `path` in the body, as in `retry`.
    pub fn at(path: &str, text: &'a str) -> Self {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        let (members, known, errors) = (Vec::new(), Vec::new(), FieldErrors::default());
        let mut object = Self { prefix, members, known, is_object: true, errors };
        match serde_json::from_str::<Entries<'a>>(text) {
            Ok(Entries(members)) => object.members = members,
            Err(error) => {
                object.is_object = false;
                let field = if path.is_empty() { BODY } else { path };
                match error.classify() {
                    Category::Data => {
                        let message = format_args!("must be a JSON object of at most {MAX_MEMBERS} fields");
                        object.errors.add(field, FieldCode::WrongType, message);
                    }
                    _ => {
                        let (line, column) = (error.line(), error.column());
                        let message = format_args!("is not JSON, at line {line}, column {column}");
                        object.errors.add(field, FieldCode::NotJson, message);
                    }
                }
            }
        }
        object
    }

    /// The member of one of these names; it can't be `null`.
    pub fn take<T: DeserializeOwned>(&mut self, names: &[&str], expected: &str) -> Option<T> {
        let raw = self.raw(names)?;
        self.typed(names[0], raw, expected)
    }

    /// The member of that name, which may be `null`.
    pub fn nullable<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Option<Option<T>> {
        let raw = self.raw(&[name])?;
        self.typed(name, raw, &format!("{expected} or null"))
    }

    /// The text of the member of one of these names.
    pub fn raw(&mut self, names: &[&str]) -> Option<&'a RawValue> {
        self.known.extend(names.iter().map(|name| (*name).to_owned()));
        let mut found = None;
        while let Some(at) = self.members.iter().position(|(name, _)| names.contains(&name.as_str())) {
            let (name, raw) = self.members.remove(at);
            if found.replace(raw).is_some() {
                self.fault(&name, FieldCode::GivenTwice, "is given twice");
            }
        }
        found
    }

    /// The member of that name, which must be there.
    pub fn required<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Option<T> {
        let raw = self.raw(&[name]);
        if raw.is_none() && self.is_object {
            self.fault(name, FieldCode::Required, "is required");
        }
        self.typed(name, raw?, expected)
    }

    /// The member of that name, which is the name of one of `known`.
    pub fn one_of<T: Copy>(&mut self, name: &str, known: &[(&str, T)]) -> Option<T> {
        let raw = self.raw(&[name])?;
        self.known_one(name, raw, known)
    }

    /// As [`Members::one_of`], of a member that may be `null`.
    pub fn one_of_or_null<T: Copy>(&mut self, name: &str, known: &[(&str, T)]) -> Option<Option<T>> {
        let raw = self.raw(&[name])?;
        if is_null(raw) { Some(None) } else { self.known_one(name, raw, known).map(Some) }
    }

    /// Reads the object that is the member of that name.
    pub fn object<R>(&mut self, name: &str, read: impl FnOnce(&mut Members<'a>) -> R) -> Option<R> {
        let raw = self.raw(&[name])?;
        Some(self.inside(name, raw, read))
    }

    /// Reads the object that a member's text is.
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

    /// Whether there is an object at all. Where there is none, that is the one fault.
    pub fn is_object(&self) -> bool {
        self.is_object
    }

    /// Leaves members of these names unread.
    pub fn skip<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        for skipped in names {
            self.members.retain(|(name, _)| name != skipped);
        }
    }

    /// Takes the member of that name for absent where it is `null`.
    pub fn skip_null(&mut self, name: &str) {
        self.members.retain(|(member, raw)| !is_null(raw) || member != name);
    }

    /// Adds a fault of a member.
    pub fn fault(&mut self, name: &str, code: FieldCode, message: impl fmt::Display) {
        self.errors.add(format!("{}{name}", self.prefix), code, message);
    }

    /// All faults; a member that nobody took is one.
    pub fn finish(mut self) -> FieldErrors {
        for (name, _) in std::mem::take(&mut self.members) {
            let name: String = name.chars().take(100).collect();
            let meant = meant(&name, self.known.iter().map(String::as_str));
            self.fault(
                &name,
                FieldCode::UnknownField,
                format_args!("is not a field that is known here{meant}"),
            );
        }
        self.errors
    }

    // The parser's own words are not passed on: they repeat the value, which may be secret.
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

/// Names and texts of an object's members, in their order.
pub(crate) struct Entries<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key()? {
                    if entries.len() == MAX_MEMBERS {
                        return Err(serde::de::Error::custom("too many fields"));
                    }
                    entries.push((name, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}
