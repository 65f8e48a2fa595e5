//! The filters and tests of templates, and the environment with nothing but them.
//!
//! Every text that a filter makes is bounded here, and what each works on is charged to the run; what may be joined to what,
//! [`super::sandbox`] says.

use super::meter::{Run, VALUE, add_filters};
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, filters, tests};
use std::borrow::Cow;

/// Longest text that a filter makes, in bytes.
const MAX_TEXT: usize = 256 * 1024;

/// Filters whose result is a number, whatever they are given (but for their own defaults).
pub(super) const NUMBERS: [&str; 6] = ["abs", "count", "float", "int", "length", "round"];
/// Filters that hand on what they are given, or a part of it.
pub(super) const PARTS: [&str; 5] = ["d", "default", "first", "items", "last"];
/// Filters whose result is text, or a truth value.
pub(super) const TEXTS: [&str; 9] =
    ["bool", "capitalize", "join", "lower", "replace", "string", "tojson", "trim", "upper"];
/// Tests: `x is defined`, `n is divisibleby(3)`.
pub(super) const TESTS: [&str; 16] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "even",
    "false",
    "in",
    "integer",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
];

/// The environment that templates run in: the filters and tests above, no functions, no other templates.
/// What a payload lacks is undefined all the way down.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.add_filter("abs", filters::abs);
    environment.add_filter("bool", filters::bool);
    environment.add_filter("capitalize", |state: &State<'_, '_>, text: Cow<'_, str>| changed(state, &text, capitalize));
    environment.add_filter("count", length);
    environment.add_filter("d", filters::default);
    environment.add_filter("default", filters::default);
    environment.add_filter("first", first);
    environment.add_filter("float", float);
    environment.add_filter("int", int);
    environment.add_filter("items", items);
    environment.add_filter("join", join);
    environment.add_filter("last", last);
    environment.add_filter("length", length);
    environment
        .add_filter("lower", |state: &State<'_, '_>, text: Cow<'_, str>| changed(state, &text, str::to_lowercase));
    environment.add_filter("replace", replace);
    environment.add_filter("round", filters::round);
    environment.add_filter("string", string);
    environment.add_filter("tojson", tojson);
    environment.add_filter("trim", |state: &State<'_, '_>, text: Cow<'_, str>| {
        changed(state, &text, |text| text.trim().to_owned())
    });
    environment
        .add_filter("upper", |state: &State<'_, '_>, text: Cow<'_, str>| changed(state, &text, str::to_uppercase));
    environment.add_test("boolean", tests::is_boolean);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("divisibleby", tests::is_divisibleby);
    environment.add_test("endingwith", is_endingwith);
    environment.add_test("even", tests::is_even);
    environment.add_test("false", tests::is_false);
    environment.add_test("in", is_in);
    environment.add_test("integer", tests::is_integer);
    environment.add_test("mapping", tests::is_mapping);
    environment.add_test("none", tests::is_none);
    environment.add_test("number", tests::is_number);
    environment.add_test("odd", tests::is_odd);
    environment.add_test("sequence", tests::is_sequence);
    environment.add_test("startingwith", is_startingwith);
    environment.add_test("string", tests::is_string);
    environment.add_test("true", tests::is_true);
    add_filters(&mut environment);
    environment
}

/// `list|length`: nothing has none.
fn length(state: &State<'_, '_>, value: &Value) -> Result<usize, Error> {
    charge_length(state, value)?;
    if is_nothing(value) { Ok(0) } else { filters::length(value) }
}

/// `map|items`: nothing has none.
fn items(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    charge_length(state, value)?;
    if is_nothing(value) { Ok(Value::from(Vec::<Value>::new())) } else { filters::items(value) }
}

/// `list|first`: nothing has none.
fn first(value: &Value) -> Result<Value, Error> {
    if is_nothing(value) { Ok(Value::UNDEFINED) } else { filters::first(value) }
}

/// `list|last`: nothing has none.
fn last(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    charge_length(state, &value)?;
    if is_nothing(&value) { Ok(Value::UNDEFINED) } else { filters::last(value) }
}

/// `text|float`.
fn float(state: &State<'_, '_>, value: &Value, default: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    charge_length(state, value)?;
    filters::float(state, value, default, named)
}

/// `text|int`.
fn int(
    state: &State<'_, '_>,
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
    named: Kwargs,
) -> Result<Value, Error> {
    charge_length(state, value)?;
    filters::int(state, value, default, base, named)
}

/// `text is startingwith("a")`.
fn is_startingwith(state: &State<'_, '_>, text: Cow<'_, str>, start: Cow<'_, str>) -> Result<bool, Error> {
    Run::of(state)?.charge(text.len() + start.len())?;
    Ok(text.starts_with(&*start))
}

/// `text is endingwith("a")`.
fn is_endingwith(state: &State<'_, '_>, text: Cow<'_, str>, end: Cow<'_, str>) -> Result<bool, Error> {
    Run::of(state)?.charge(text.len() + end.len())?;
    Ok(text.ends_with(&*end))
}

/// `x is in list`.
fn is_in(state: &State<'_, '_>, value: &Value, list: &Value) -> Result<bool, Error> {
    let run = Run::of(state)?;
    run.weigh(value)?;
    run.weigh(list)?;
    tests::is_in(state, value, list)
}

/// Charges the bytes of a text, or the items of a list or map.
fn charge_length(state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    let length = value.as_str().map_or_else(|| value.len().unwrap_or_default().saturating_mul(VALUE), str::len);
    Run::of(state)?.charge(length)
}

fn is_nothing(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

/// A text made of a text.
fn changed(state: &State<'_, '_>, text: &str, change: impl FnOnce(&str) -> String) -> Result<String, Error> {
    let run = Run::of(state)?;
    run.charge(text.len())?;
    let made = change(text);
    run.charge(made.len())?;
    bounded(made)
}

/// `value|string`.
fn string(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    Run::of(state)?.weigh(value)?;
    bounded(value.to_string())
}

/// `list|join(", ")`.
fn join(state: &State<'_, '_>, list: &Value, separator: Option<Cow<'_, str>>) -> Result<String, Error> {
    let run = Run::of(state)?;
    let separator = separator.as_deref().unwrap_or_default();
    run.charge(separator.len())?;
    let mut out = String::new();
    for (place, item) in list.try_iter()?.enumerate() {
        run.weigh(&item)?;
        if place > 0 {
            run.charge(separator.len())?;
            out.push_str(separator);
        }
        match item.as_str() {
            Some(text) => out.push_str(text),
            None => out.push_str(&item.to_string()),
        }
        out = bounded(out)?;
    }
    Ok(out)
}

/// `text|replace("a", "b")`.
fn replace(state: &State<'_, '_>, text: Cow<'_, str>, from: Cow<'_, str>, to: Cow<'_, str>) -> Result<String, Error> {
    if from.is_empty() {
        return Err(Error::new(ErrorKind::InvalidOperation, "nothing can't be replaced"));
    }
    let run = Run::of(state)?;
    run.charge(text.len() + from.len() + to.len())?;
    let found = text.matches(&*from).count();
    let length = text.len() - found * from.len() + found.saturating_mul(to.len());
    if length > MAX_TEXT {
        return Err(too_long());
    }
    run.charge(length)?;
    Ok(text.replace(&*from, &to))
}

/// `value|tojson`: stands for itself, whatever the content type.
fn tojson(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    Run::of(state)?.weigh(value)?;
    let json = filters::tojson(value, None, Kwargs::from_iter(std::iter::empty::<(String, Value)>()))?;
    bounded(json.to_string()).map(Value::from_safe_string)
}

fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters.flat_map(char::to_lowercase)).collect()
}

fn bounded(text: String) -> Result<String, Error> {
    if text.len() > MAX_TEXT { Err(too_long()) } else { Ok(text) }
}

fn too_long() -> Error {
    Error::new(ErrorKind::InvalidOperation, "the text exceeds 256 KiB")
}
