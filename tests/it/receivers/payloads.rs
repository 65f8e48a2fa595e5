//! Payloads: any JSON that a publisher may send.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use waypost::core::json::normalise;

/// The deepest nesting that a node accepts.
const DEPTH: usize = 64;

/// A payload as it is published, and its normal form in the log.
pub(super) struct Payload {
    pub(super) text: String,
    pub(super) normal: String,
}

/// Generates `count` payloads that a node accepts.
pub(super) fn payloads(count: usize) -> Vec<Payload> {
    let mut runner = TestRunner::default();
    let texts = std::iter::repeat_with(|| json_texts().new_tree(&mut runner).unwrap().current());
    let taken = texts.filter_map(|text| Some(Payload { normal: normalise(&text, DEPTH).ok()?, text }));
    taken.take(count).collect()
}

/// Generates JSON as publishers write it: numbers in every notation, escapes, keys that JavaScript reorders
/// or treats specially, deep and empty values.
fn json_texts() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i32>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        "-?(0|[1-9][0-9]{0,6})\\.[0-9]{1,12}([eE][+-]?[0-9]{1,2})?",
        prop::sample::select(vec![
            "9.0",
            "1e3",
            "-0.0",
            "-0",
            "1e21",
            "1E-7",
            "0.1e1",
            "5e-324",
            "9007199254740991"
        ])
        .prop_map(str::to_owned),
    ];
    let character = prop_oneof![
        8 => any::<char>().prop_map(|c| if c < ' ' || c == '"' || c == '\\' { format!("\\u{:04x}", c as u32) } else { c.into() }),
        4 => "[a-zA-Z0-9 <>&'/.-]",
        1 => prop::sample::select(vec!["\\n", "\\/", "\\\"", "\\\\", "\\u00e9", "\\ud83d\\ude00", "\\u2028", "\u{2029}", "\\u0000"])
            .prop_map(str::to_owned),
    ];
    let string = prop::collection::vec(character, 0..12).prop_map(|parts| format!("\"{}\"", parts.concat()));
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false", "{}", "[]", "\"\""]).prop_map(str::to_owned),
        number,
        string.clone(),
    ];
    let names = [
        "2",
        "10",
        "01",
        "-1",
        "4294967294",
        "4294967295",
        "__proto__",
        "constructor",
        "toJSON",
        "length",
        "",
    ];
    let key = prop_oneof![
        3 => "[a-z]{1,8}".prop_map(|name| format!("\"{name}\"")),
        2 => prop::sample::select(names.to_vec()).prop_map(|name| format!("\"{name}\"")),
        1 => string,
    ];
    let nested = leaf.prop_recursive(6, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(|items| format!("[ {} ]", items.join(" , "))),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(key, value)| format!("{key}\t: {value}")).collect();
                format!("{{ {} }}", members.join(",\n"))
            }),
        ]
    });
    let deep = (1usize..50)
        .prop_map(|depth| format!("{}1.50{}", "[{\"a\":".repeat(depth / 2), "}]".repeat(depth / 2)));
    prop_oneof![12 => nested, 1 => deep]
}
