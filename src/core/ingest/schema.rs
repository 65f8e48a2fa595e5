//! JSON Schemas of payloads, with a bound on the work of a check.
//!
//! A schema refers to nothing outside of itself and never to itself, so it can be written out as a tree. The
//! size of that tree times the number of values in a payload bounds the work; a long text counts as several
//! values. Patterns are those of an engine that takes linear time. There are few of them, because each takes
//! memory.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Longest schema (bytes).
pub const MAX_SCHEMA: usize = 64 * 1024;
/// Values of a schema that is written out without references, at most.
const MAX_SIZE: u64 = 20_000;
/// The most work of a check: values of the schema, written out, times values of the payload.
const MAX_WORK: u64 = 5_000_000;
/// The most work of all checks of one request. Nothing interrupts them.
const MAX_REQUEST_WORK: u64 = 10 * MAX_WORK;
/// Bytes of text that count as much as one value.
const TEXT_PER_VALUE: usize = 32;
/// Bytes of a compiled pattern.
const PATTERN_BYTES: usize = 256 * 1024;
/// Patterns of a schema that is written out without references, at most.
const MAX_PATTERNS: u64 = 50;
/// What a pattern counts for in the size of a schema.
const PATTERN_SIZE: u64 = MAX_SIZE / MAX_PATTERNS;
/// The most work of a check that is done again to find out what is wrong: it finds all faults, and keeps
/// them.
const MAX_EXPLAINED: u64 = 100_000;
/// Keywords that make what stands beside them be looked at twice, so that nested ones double the work.
const DOUBLING: [&str; 2] = ["unevaluatedItems", "unevaluatedProperties"];
/// Deepest nesting of a schema that is written out without references. The validator goes as deep on its
/// stack.
const MAX_DEPTH: usize = 96;
/// Keywords by which a schema refers to others in ways that only a check finds out.
const DYNAMIC: [&str; 3] = ["$dynamicRef", "$recursiveRef", "$anchor"];

/// Why a schema can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSchema {
    /// Longer than [`MAX_SCHEMA`].
    #[error("may have at most {MAX_SCHEMA} bytes")]
    TooLong,
    /// Not JSON.
    #[error("must be a JSON Schema: an object, true or false")]
    NotJson,
    /// A reference leads out of the schema.
    #[error("may refer only to its own parts, as in #/$defs/name")]
    Reference,
    /// A part refers to itself.
    #[error("may not refer to itself")]
    Recursive,
    /// Too large without references.
    #[error(
        "is too large: written out, over {MAX_SIZE} values, {MAX_PATTERNS} patterns or {MAX_DEPTH} levels"
    )]
    TooLarge,
    /// The validator refuses it.
    #[error("{0}")]
    Invalid(String),
}

/// A schema that is ready to check payloads.
pub struct Schema {
    validator: Validator,
    size: u64,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// Why it can't be used.
    pub fn compile(text: &str) -> Result<Self, BadSchema> {
        if text.len() > MAX_SCHEMA {
            return Err(BadSchema::TooLong);
        }
        let schema: Value = serde_json::from_str(text).map_err(|_| BadSchema::NotJson)?;
        if !matches!(schema, Value::Object(_) | Value::Bool(_)) {
            return Err(BadSchema::NotJson);
        }
        let mut sizes = Sizes { root: &schema, known: BTreeMap::new(), open: Vec::new() };
        let size = sizes.of(&schema, 0)?.size;
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
        let options = jsonschema::options().offline().with_pattern_options(patterns);
        let validator = options.build(&schema).map_err(|error| BadSchema::Invalid(error.to_string()))?;
        Ok(Self { validator, size })
    }

    /// Checks a payload, which is JSON. A payload whose check would be too much work is not valid. `done` is
    /// the work that was done for its request.
    ///
    /// # Errors
    /// Why it is not valid, as a text for people. The text has no value of the payload.
    pub fn check(&self, payload: &str, done: &mut u64) -> Result<(), String> {
        let Ok(payload) = serde_json::from_str::<Value>(payload) else {
            return Err("the payload is not JSON".to_owned());
        };
        let work = values(&payload).saturating_mul(self.size);
        if work > MAX_WORK {
            return Err("the payload is too large for its schema".to_owned());
        }
        if done.saturating_add(work) > MAX_REQUEST_WORK {
            return Err("the payloads of the request are together too large for their schema".to_owned());
        }
        *done += work;
        if self.validator.is_valid(&payload) {
            return Ok(());
        }
        if work > MAX_EXPLAINED {
            return Err("the payload is too large to tell what is wrong with it".to_owned());
        }
        match self.validator.validate(&payload) {
            Ok(()) => Ok(()),
            Err(error) => Err(error.masked().to_string()),
        }
    }
}

/// How many values there are in a JSON value, itself included. Texts and names count by their length.
fn values(value: &Value) -> u64 {
    let of_text = |text: &str| (text.len() / TEXT_PER_VALUE) as u64;
    match value {
        Value::String(text) => 1 + of_text(text),
        Value::Array(items) => 1 + items.iter().map(values).sum::<u64>(),
        Value::Object(members) => {
            1 + members.iter().map(|(name, member)| of_text(name) + values(member)).sum::<u64>()
        }
        _ => 1,
    }
}

/// How large a part of a schema is when its references are written out.
#[derive(Clone, Copy)]
struct Extent {
    /// Its values.
    size: u64,
    /// How deep they are nested.
    height: usize,
}

impl Extent {
    /// Something of that size is a part of it.
    fn add(&mut self, inner: Extent) {
        self.size = self.size.saturating_add(inner.size);
        self.height = self.height.max(inner.height + 1);
    }
}

/// Finds out how large a schema is when its references are written out.
struct Sizes<'s> {
    root: &'s Value,
    /// The extents of parts that something refers to.
    known: BTreeMap<&'s str, Extent>,
    /// The references that are being written out.
    open: Vec<&'s str>,
}

impl<'s> Sizes<'s> {
    fn of(&mut self, value: &'s Value, depth: usize) -> Result<Extent, BadSchema> {
        if depth > MAX_DEPTH {
            return Err(BadSchema::TooLarge);
        }
        let mut whole = Extent { size: 1, height: 1 };
        match value {
            Value::Array(items) => {
                for item in items {
                    whole.add(self.of(item, depth + 1)?);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    if DYNAMIC.contains(&name.as_str()) || name == "$id" && depth > 0 && member.is_string() {
                        return Err(BadSchema::Reference);
                    }
                    whole.add(match (name.as_str(), member) {
                        ("$ref", Value::String(target)) => self.of_reference(target, depth)?,
                        ("pattern", Value::String(_)) => Extent { size: PATTERN_SIZE, height: 1 },
                        _ => self.of(member, depth + 1)?,
                    });
                    if let ("patternProperties", Value::Object(patterns)) = (name.as_str(), member) {
                        let of_patterns = (patterns.len() as u64).saturating_mul(PATTERN_SIZE);
                        whole.size = whole.size.saturating_add(of_patterns);
                    }
                }
                for _ in DOUBLING.iter().filter(|name| members.contains_key(**name)) {
                    whole.size = whole.size.saturating_mul(2);
                }
            }
            _ => {}
        }
        if whole.size > MAX_SIZE { Err(BadSchema::TooLarge) } else { Ok(whole) }
    }

    fn of_reference(&mut self, target: &'s str, depth: usize) -> Result<Extent, BadSchema> {
        if let Some(known) = self.known.get(target) {
            return if depth + known.height > MAX_DEPTH { Err(BadSchema::TooLarge) } else { Ok(*known) };
        }
        if self.open.contains(&target) {
            return Err(BadSchema::Recursive);
        }
        let pointer = target.strip_prefix('#').ok_or(BadSchema::Reference)?;
        let part = self.root.pointer(pointer).ok_or(BadSchema::Reference)?;
        self.open.push(target);
        let extent = self.of(part, depth + 1)?;
        self.open.pop();
        self.known.insert(target, extent);
        Ok(extent)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_checked() {
        let schema = Schema::compile(
            r##"{"type":"object","required":["amount"],"properties":{"amount":{"$ref":"#/$defs/amount"},
            "name":{"type":"string","pattern":"^[a-z]+$"}},"$defs":{"amount":{"type":"number","minimum":0}}}"##,
        )
        .unwrap();
        assert_eq!(schema.check(r#"{"amount":9.99,"name":"sword"}"#, &mut 0), Ok(()));
        for bad in [r#"{"amount":-1}"#, "{}", "[]", r#"{"amount":1,"name":"A secret"}"#] {
            let why = schema.check(bad, &mut 0).unwrap_err();
            assert!(!why.contains("A secret"), "{why}");
        }
    }

    #[test]
    fn schemas_that_could_make_much_work_are_refused() {
        let doubling: Vec<String> = (0..40)
            .map(|n| {
                format!(
                    r##""d{n}":{{"allOf":[{{"$ref":"#/$defs/d{0}"}},{{"$ref":"#/$defs/d{0}"}}]}}"##,
                    n + 1
                )
            })
            .collect();
        let doubling = format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d40":true}}}}"##, doubling.join(","));
        let long = " ".repeat(MAX_SCHEMA + 1);
        let patterns = vec![r#"{"pattern":"a"}"#; MAX_PATTERNS as usize].join(",");
        let patterns = format!(r#"{{"allOf":[{patterns}]}}"#);
        let chain: Vec<String> = (1..40)
            .map(|n| format!(r##""d{n:02}":{{"not":{{"not":{{"$ref":"#/$defs/d{:02}"}}}}}}"##, n - 1))
            .collect();
        let chain = format!(r#"{{"$defs":{{"d00":true,{}}}}}"#, chain.join(","));
        let nested = (0..20).fold("true".to_owned(), |inner, _| {
            format!(r#"{{"anyOf":[{inner}],"unevaluatedProperties":false}}"#)
        });
        for (text, why) in [
            (doubling.as_str(), BadSchema::TooLarge),
            (r##"{"properties":{"a":{"$ref":"#"}}}"##, BadSchema::Recursive),
            (r#"{"$ref":"https://example.com/schema.json"}"#, BadSchema::Reference),
            (r#"{"$ref":"other.json"}"#, BadSchema::Reference),
            (r##"{"$dynamicRef":"#a"}"##, BadSchema::Reference),
            ("7", BadSchema::NotJson),
            ("{", BadSchema::NotJson),
            (long.as_str(), BadSchema::TooLong),
            (patterns.as_str(), BadSchema::TooLarge),
            (nested.as_str(), BadSchema::TooLarge),
            (chain.as_str(), BadSchema::TooLarge),
        ] {
            assert_eq!(Schema::compile(text).map(drop).unwrap_err(), why, "{text:.80}");
        }
        assert!(matches!(Schema::compile(r#"{"type":"nothing"}"#), Err(BadSchema::Invalid(_))));
        // A pattern that needs to go back is none of a linear engine.
        assert!(matches!(Schema::compile(r#"{"pattern":"(a)\\1"}"#), Err(BadSchema::Invalid(_))));
    }

    #[test]
    fn a_payload_that_is_too_large_for_its_schema_is_not_valid() {
        let members: Vec<String> = (0..2000).map(|n| format!(r#""p{n}":{{"type":"string"}}"#)).collect();
        let schema =
            Schema::compile(&format!(r#"{{"items":{{"properties":{{{}}}}}}}"#, members.join(","))).unwrap();
        assert_eq!(schema.check("[{}]", &mut 0), Ok(()));
        let large = format!("[{}]", vec!["{}"; 5000].join(","));
        assert!(schema.check(&large, &mut 0).unwrap_err().contains("too large"));
        // A long text is much work for many patterns, and so are many payloads of one request.
        let text = format!("\"{}\"", "a".repeat(200_000));
        assert!(schema.check(&text, &mut 0).unwrap_err().contains("too large"));
        let mut done = 0;
        let checks = (0..100_000).take_while(|_| schema.check("[{}]", &mut done).is_ok()).count();
        assert!((100..100_000).contains(&checks), "{checks}");
    }
}
