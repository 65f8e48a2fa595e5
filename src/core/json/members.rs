//! Reads a JSON object member by member, so that all that is wrong with it is told at once, each by its name.
//!
//! Every member is kept as text until its type is known: never a tree of client-sent values.

use crate::core::nearest::meant;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::fmt;

/// Members in one object; more are refused before any is read.
const MAX_MEMBERS: usize = 64;

/// Begins what is told of a text that is no object.
pub(crate) const BODY: &str = "body: ";

/// The members of an object, and what was found wrong so far.
pub struct Members<'a> {
    /// Stands before names in what is told, as in `retry.`.
    prefix: &'static str,
    members: Vec<(String, &'a RawValue)>,
    /// What was asked for so far.
    known: Vec<String>,
    pub(crate) problems: Vec<String>,
}

impl<'a> Members<'a> {
    /// Of the object that `text` is.
    pub fn of(text: &'a str, prefix: &'static str) -> Self {
        match serde_json::from_str::<Entries<'a>>(text) {
            Ok(Entries(members)) => Self { prefix, members, known: Vec::new(), problems: Vec::new() },
            Err(error) => {
                let name = prefix.strip_suffix('.').map_or(BODY.to_owned(), |name| format!("{name}: "));
                let what = match error.classify() {
                    Category::Data => format!("must be a JSON object of at most {MAX_MEMBERS} fields"),
                    _ => format!("is not JSON, at line {}, column {}", error.line(), error.column()),
                };
                Self { prefix, members: Vec::new(), known: Vec::new(), problems: vec![name + &what] }
            }
        }
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
                self.problem(&name, "is given twice");
            }
        }
        found
    }

    /// The member of that name, which must be there.
    pub fn required<T: DeserializeOwned>(&mut self, name: &str, expected: &str) -> Option<T> {
        let raw = self.raw(&[name]);
        if raw.is_none() && self.is_good() {
            self.problem(name, "is required");
        }
        self.typed(name, raw?, expected)
    }

    /// Reads the object that is the member of that name.
    pub fn object<R>(
        &mut self,
        name: &str,
        prefix: &'static str,
        read: impl FnOnce(&mut Members<'a>) -> R,
    ) -> Option<R> {
        let mut inner = Members::of(self.raw(&[name])?.get(), prefix);
        let value = read(&mut inner);
        self.problems.extend(inner.finish());
        Some(value)
    }

    /// Whether nothing is wrong so far.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    /// Leaves members of these names unread.
    pub fn skip(&mut self, names: &[&str]) {
        self.members.retain(|(name, _)| !names.contains(&name.as_str()));
    }

    /// Takes members of these names for absent where they are `null`.
    pub fn skip_null(&mut self, names: &[&str]) {
        self.members.retain(|(name, raw)| raw.get() != "null" || !names.contains(&name.as_str()));
    }

    /// Says what is wrong with a member.
    pub fn problem(&mut self, name: &str, what: impl fmt::Display) {
        self.problems.push(format!("{}{name}: {what}", self.prefix));
    }

    /// All problems; what nobody took is one.
    pub fn finish(mut self) -> Vec<String> {
        for (name, _) in std::mem::take(&mut self.members) {
            let name: String = name.chars().take(100).collect();
            let meant = meant(&name, self.known.iter().map(String::as_str));
            self.problem(&name, format_args!("is not a field that is known here{meant}"));
        }
        self.problems
    }

    // The parser's own words are not passed on: they repeat the value, which may be secret.
    fn typed<T: DeserializeOwned>(&mut self, name: &str, raw: &RawValue, expected: &str) -> Option<T> {
        let read = serde_json::from_str(raw.get()).ok();
        if read.is_none() {
            self.problem(name, format_args!("must be {expected}"));
        }
        read
    }
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
