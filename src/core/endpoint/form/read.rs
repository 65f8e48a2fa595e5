//! Reads a JSON object member by member, so that all that is wrong with it is told at once, each by its name.
//!
//! Every member is kept as text until its type is known: never a tree of client-sent values.

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::fmt;

/// Members in one object; more are refused before any is read.
const MAX_MEMBERS: usize = 64;
/// How alike an unknown name must be to a known one for that to be told, from 0 to 1.
const ALIKE: f64 = 0.8;

/// Begins what is told of a text that is no object of settings.
pub(super) const BODY: &str = "body: ";

/// The members of an object, and what was found wrong so far.
pub struct Members<'a> {
    /// Stands before names in what is told, as in `retry.`.
    prefix: &'static str,
    members: Vec<(String, &'a RawValue)>,
    /// What was asked for so far.
    known: Vec<String>,
    pub(super) problems: Vec<String>,
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
            let meant = self.nearest(&name).map_or_else(String::new, |known| format!("; is {known} meant?"));
            self.problem(&name, format_args!("is not a field that is known here{meant}"));
        }
        self.problems
    }

    fn nearest(&self, wrong: &str) -> Option<&str> {
        let likeness = |known: &String| strsim::jaro_winkler(wrong, known);
        let nearest = self.known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
        (likeness(nearest) > ALIKE).then_some(nearest.as_str())
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
pub(super) struct Entries<'a>(pub(super) Vec<(String, &'a RawValue)>);

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
