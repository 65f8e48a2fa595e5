//! The normal form of a payload is its own normal form, and means what the payload meant.
#![no_main]

use serde_json::{Map, Value};
use waypost::core::json::normalise;

/// The depth that the service allows unless it is told otherwise.
const DEPTH: usize = 64;
/// A key by which serde_json, not JSON, means something else.
const RAW: &str = "$serde_json::private::RawValue";

/// Numbers as JavaScript has them: all are floats, and there is one zero.
fn floats(value: Value) -> Value {
    match value {
        Value::Number(number) => (number.as_f64().expect("a number is a float") + 0.0).into(),
        Value::Array(items) => items.into_iter().map(floats).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, floats(value))).collect::<Map<_, _>>().into(),
        other => other,
    }
}

fn meaning(text: &str) -> Value {
    floats(serde_json::from_str(text).expect("what is normalised is JSON"))
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    // A text that begins with a blank is always parsed; others may be recognised by a scan.
    let parsed = normalise(&format!(" {text}"), DEPTH);
    assert_eq!(normalise(text, DEPTH).ok(), parsed.as_ref().ok().cloned(), "the scan and the parser differ");
    let Ok(normal) = parsed else { return };
    assert_eq!(normalise(&format!(" {normal}"), DEPTH).as_ref(), Ok(&normal), "a fixed point of the parser");
    assert_eq!(normalise(&normal, DEPTH).as_ref(), Ok(&normal), "a fixed point");
    if !normal.contains(RAW) {
        assert_eq!(meaning(&normal), meaning(text), "{normal}");
    }
});
