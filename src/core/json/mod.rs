//! Payloads in one normal form: the fixed point of a JavaScript parse and stringify.
//!
//! A receiver that verifies a signature over `JSON.stringify(JSON.parse(body))` sees exactly the bytes that
//! were signed. So a payload is parsed once, here, and stays bytes from then on. Integer literals that
//! JavaScript cannot represent exactly, lone surrogates and numbers out of range are refused, not altered.

mod members;
mod node;
mod normal;

pub(crate) use members::Entries;
pub use members::{Members, is_null};
pub use node::write_string;
pub(crate) use node::{Node, array_index};

use crate::core::text::counted;

/// The largest integer up to which a JavaScript number represents all integers exactly: 2^53 - 1.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Why a payload is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or a number out of range, or a lone surrogate.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// Nested deeper than the limit.
    #[error("nested deeper than {}", counted(*.0, "level", "levels"))]
    TooDeep(usize),
    /// An integer beyond 2^53, which a JavaScript client would change silently.
    #[error("the integer {0} is beyond 2^53 and would be changed by JavaScript clients; send it as a string")]
    UnsafeInteger(String),
}

/// Brings `text` into normal form: no white space; numbers and escapes as `JSON.stringify` writes them;
/// integer-like keys first, ascending; of duplicate keys the last value, at the position of the first.
pub fn normalise(text: &str, max_depth: usize) -> Result<String, JsonError> {
    if normal::is_normal(text, max_depth) { Ok(text.to_owned()) } else { parsed(text, max_depth) }
}

/// The normal form of any text.
fn parsed(text: &str, max_depth: usize) -> Result<String, JsonError> {
    check_depth(text, max_depth)?;
    if let Some(literal) = unsafe_integer(text) {
        return Err(JsonError::UnsafeInteger(literal.chars().take(40).collect()));
    }
    let node: Node<'_> = serde_json::from_str(text).map_err(|error| JsonError::Syntax(error.to_string()))?;
    let mut out = String::with_capacity(text.len());
    node.write(&mut out);
    Ok(out)
}

/// Refuses nesting deeper than `max_depth`, before anything recursive runs.
fn check_depth(text: &str, max_depth: usize) -> Result<(), JsonError> {
    // Most texts have few brackets altogether.
    if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() <= max_depth {
        return Ok(());
    }
    let mut depth = 0usize;
    for byte in outside_strings(text) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max_depth {
            return Err(JsonError::TooDeep(max_depth));
        }
    }
    Ok(())
}

/// Returns the bytes outside of strings.
fn outside_strings(text: &str) -> impl Iterator<Item = u8> + '_ {
    let mut in_string = false;
    let mut escaped = false;
    text.bytes().filter(move |&byte| {
        if !in_string {
            in_string = byte == b'"';
            return true;
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = false,
            _ => {}
        }
        false
    })
}

/// Returns the first integer literal (no fraction, no exponent) that JavaScript would print with other
/// digits.
///
/// The text is searched because a parser silently turns an integer beyond 64 bits into a float.
fn unsafe_integer(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at + 1),
            b'0'..=b'9' => {
                let start = at;
                while at < bytes.len() && matches!(bytes[at], b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
                {
                    at += 1;
                }
                let literal = &text[start..at];
                let integer = literal.bytes().all(|byte| byte.is_ascii_digit());
                if integer && !survives_javascript(literal) {
                    return Some(literal);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// Returns whether JavaScript reads and writes a literal of digits unchanged.
fn survives_javascript(digits: &str) -> bool {
    match digits.parse::<u64>() {
        Ok(value) if value <= MAX_SAFE_INTEGER => true,
        _ => digits.parse::<f64>().is_ok_and(|value| ryu_js::Buffer::new().format(value) == digits),
    }
}

/// Returns the index after the quote that closes the string whose first byte is at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pairs of an input and the result of Node's `JSON.stringify(JSON.parse(text))`.
    const GOLDEN: &[(&str, &str)] = &[
        ("9.0", "9"),
        ("1e3", "1000"),
        ("-0.0", "0"),
        ("-0", "0"),
        ("1e21", "1e+21"),
        ("1.5e300", "1.5e+300"),
        ("1e-7", "1e-7"),
        ("0.000001", "0.000001"),
        ("123456789012.5", "123456789012.5"),
        ("9007199254740991", "9007199254740991"),
        ("-9007199254740992", "-9007199254740992"),
        ("104342715969570500", "104342715969570500"),
        ("18446744073709552000", "18446744073709552000"),
        (r#""\u00e9\/\u001F\u007f\u2028""#, "\"é/\\u001f\u{7f}\u{2028}\""),
        (r#""\ud83d\ude00\b\f\n\r\t\"\\""#, "\"😀\\b\\f\\n\\r\\t\\\"\\\\\""),
        (r#"{"b":1,"2":1,"a":2,"1":3,"01":4}"#, r#"{"1":3,"2":1,"b":1,"a":2,"01":4}"#),
        (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
        (r#"{"4294967295":1,"4294967294":2,"x":3}"#, r#"{"4294967294":2,"4294967295":1,"x":3}"#),
        (" [ 1 , { } , [ ] , null , true ] ", "[1,{},[],null,true]"),
        (r#""\u0000""#, r#""\u0000""#),
    ];

    #[test]
    fn normal_forms_match_javascript() {
        for (text, normal) in GOLDEN {
            assert_eq!(normalise(text, 64).unwrap(), *normal, "{text}");
            assert_eq!(normalise(normal, 64).unwrap(), *normal, "fixed point of {text}");
        }
    }

    #[test]
    fn numbers_and_text_that_javascript_would_change_are_refused() {
        for text in [
            "9007199254740993",
            "-9007199254740993",
            "18446744073709551617",
            "1000000000000000000000",
            "[1,{\"a\":9007199254740993}]",
        ] {
            assert!(matches!(normalise(text, 64), Err(JsonError::UnsafeInteger(_))), "{text}");
        }
        for text in
            ["1e400", r#""\ud800""#, "", "{", "nul", "[1,]", "01", "{\"a\" 1}", "\"\t\"", "NaN", "1 2"]
        {
            assert!(matches!(normalise(text, 64), Err(JsonError::Syntax(_))), "{text}");
        }
        assert_eq!(normalise(r#"["9007199254740993"]"#, 64).unwrap(), r#"["9007199254740993"]"#);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(normalise(&nested(64), 64).is_ok());
        assert_eq!(normalise(&nested(65), 64), Err(JsonError::TooDeep(64)));
        assert_eq!(normalise(&"[".repeat(1_000_000), 64), Err(JsonError::TooDeep(64)));
        assert!(normalise(r#""[[[[[[[[""#, 2).is_ok());
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            (-(MAX_SAFE_INTEGER as i64)..=MAX_SAFE_INTEGER as i64).prop_map(Into::into),
            any::<f64>()
                .prop_filter("finite, and no integer in disguise", |n| n.is_finite())
                .prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map("[a-z]{0,3}|[0-9]{1,3}", inner, 0..6)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_normal_form_is_a_fixed_point_with_the_same_meaning(value in value()) {
            let text = value.to_string();
            let normal = normalise(&text, 64).unwrap();
            prop_assert_eq!(&normalise(&normal, 64).unwrap(), &normal);
            let numbers_as_floats = |text: &str| format!("{:?}", floats(serde_json::from_str(text).unwrap()));
            prop_assert_eq!(numbers_as_floats(&normal), numbers_as_floats(&text));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".*") {
            let _ = normalise(&text, 8);
        }
    }

    fn floats(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Number(n) => (n.as_f64().unwrap() + 0.0).into(),
            serde_json::Value::Array(items) => items.into_iter().map(floats).collect(),
            serde_json::Value::Object(map) => {
                map.into_iter().map(|(k, v)| (k, floats(v))).collect::<serde_json::Map<_, _>>().into()
            }
            other => other,
        }
    }
}
