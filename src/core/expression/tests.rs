//! Expressions: their values, the errors of invalid ones, and the bound of their work for any text and
//! payload.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::core::event::{Event, MapText, NewEvent};
use crate::core::ids::{EventId, MapId};
use crate::core::json::normalise;
use proptest::prelude::*;

const MAP: &str = "550e8400-e29b-41d4-a716-446655440000";

fn event(kind: &str, payload: &str) -> Event {
    let payload = normalise(payload, 127).unwrap().into_bytes();
    let new = NewEvent::new(Default::default(), kind, payload);
    Event::from_stored(9, Event::to_stored(EventId::new(1_750_509_296_789, 7, 3), &new).into()).unwrap()
}

fn with<T>(kind: &str, payload: &str, look: impl FnOnce(&Subject<'_>) -> T) -> T {
    let event = event(kind, payload);
    let map = MapText::from(MAP.parse::<MapId>().unwrap());
    look(&Subject::new(&event, &map))
}

fn matches(text: &str, payload: &str) -> bool {
    let expression = Expression::condition(text).unwrap_or_else(|error| unreachable!("{text}: {error}"));
    with("signature_added", payload, |subject| expression.matches(subject))
}

const KILL: &str = r#"{"value":2000000000,"victim":{"ship":"Stratios","corp":null},"to_name":"J123456","tags":["a","b"],
    "attackers":[{"id":1,"final":false},{"id":2,"final":true}],"ratio":0.5,"npc":false,"Ünï":"é","$serde_json::private::RawValue":"[[1]]"}"#;

#[test]
fn examples_of_filters() {
    for text in [
        "payload.value > 1e9",
        "payload.value > 1000000000",
        "payload.value >= 2e9 && payload.value <= 2000000000",
        "payload.value == 2e9",
        r#"payload.victim.ship == "Stratios""#,
        r#"payload.to_name in ["J123456","J234567"]"#,
        "has(payload.value) && !has(payload.x)",
        r#"type.startsWith("signature_")"#,
    ] {
        assert!(matches(text, KILL), "{text}");
    }
    assert!(!matches("payload.value > 1e9", r#"{"value":999999999}"#));
    assert!(matches("payload.value > 1e9", r#"{"value":1000000000.5}"#));
}

#[test]
fn an_event_has_its_fields() {
    for text in [
        r#"id == "01JY97R74N0000000000070003""#,
        "seq == 9 && seq % 2 == 1",
        r#"ts == "2025-06-21T12:34:56.789Z" && ts > "2025-01-01""#,
        r#"map_id == "550e8400-e29b-41d4-a716-446655440000""#,
        r#"type == "signature_added" && type.endsWith("added") && type.contains("ture_")"#,
        "payload.victim.corp == null && payload.npc == false && !payload.npc",
        "payload.tags[1] == 'b' && payload['tags'][0] == 'a' && 'b' in payload.tags && size(payload.tags) == 2",
        "'value' in payload && payload.tags == ['a', 'b'] && payload.tags.size() > 1.5",
        "payload.attackers.exists(a, a.id == 2 && a.final) && payload.attackers.all(a, a.id > 0)",
        "payload.attackers.exists_one(a, a.final) && !payload.attackers.exists(a, a.id == 3)",
        "[1, 2].exists(n, n == seq) || [9].exists(n, n == seq)",
        "payload['Ünï'] == 'é'",
        "payload['$serde_json::private::RawValue'] == '[[1]]'",
        "payload.value > 1 ? true : false",
        "int(payload.ratio * 10) == 5 && double('0.5') == payload.ratio && string(seq) + '!' == '9!'",
        "true",
    ] {
        assert!(matches(text, KILL), "{text}");
    }
}

#[test]
fn there_is_one_type_of_number() {
    for value in ["5", "5.5"] {
        let payload = format!(r#"{{"n":{value},"list":[1,2,3]}}"#);
        for text in [
            "payload.n * 2 > 9",
            "2 * payload.n + 0.5 > 9 && payload.n - 1 > 3.5",
            "payload.n / 2 == payload.n * 0.5",
            "payload.n % 2 >= 1 && -payload.n < 0",
            "payload.list[size(payload.list) - 1] == 3.0",
        ] {
            assert!(matches(text, &payload), "{text} with {value}");
        }
    }
}

#[test]
fn a_condition_that_cant_be_evaluated_matches_nothing() {
    for text in [
        "payload.missing == 1",
        "payload.missing != 1",
        "payload.victim.ship > 5",
        "payload.victim.missing.deeper == 1",
        "payload.value.field == 1",
        "payload.tags[7] == 'a'",
        "payload.value / 0 > 1",
        "payload.tags + payload.tags == []",
        "payload.value",
        "payload.victim",
        "payload.victim.ship.startsWith(1)",
        "payload.value.exists(x, x > 1)",
        "has(payload.value.x)",
        "payload.npc ? payload.npc : payload.value",
    ] {
        assert!(!matches(text, KILL), "{text}");
    }
    // A part that does not decide the result may fail.
    assert!(matches("payload.missing == 1 || payload.value > 0", KILL));
    assert!(!matches("payload.a == 1", "7"));
    assert!(matches("payload == 7", "7"));
}

#[test]
fn lists_and_objects_can_be_made() {
    for text in [
        "payload.tags.map(t, t + '!') == ['a!', 'b!'] && payload.tags.filter(t, t != 'a') == ['b']",
        "payload.attackers.map(a, a.final, a.id) == [2]",
        "payload.attackers.exists(a, payload.attackers.exists(b, b.id == a.id + 1))",
        "payload.attackers.map(a, payload.tags.map(t, t + string(a.id))) == [['a1', 'b1'], ['a2', 'b2']]",
        "{'b': 1, 'a': payload.npc} == {'a': false, 'b': 1} && {'a': 1}.a == 1 && {'a': 1}['a'] == 1",
        "[payload.missing, 1] == [null, 1] && payload.tags + [1] == ['a', 'b', 1]",
        "payload.victim.exists(name, name == 'ship') && size(payload.victim.map(name, name)) == 2",
        "default(payload.missing, payload.victim.corp, payload.value / 'a', '', 'x') == 'x'",
        "upper(payload.victim.ship) == 'STRATIOS' && fixed(payload.value / 1e6, 1) == '2000.0'",
        "[payload.tags][0].exists(t, t == 'a')",
    ] {
        assert!(matches(text, KILL), "{text}");
    }
}

#[test]
fn errors_have_a_reason_and_a_position() {
    for (text, position, words) in [
        ("", None, "expected"),
        ("  ", None, "expected"),
        ("payload.value >", Some((1, 16)), "the expression ends too early"),
        ("(payload.value > 1", None, "expected ')'"),
        ("payload.value > 1 payload", None, "'payload' can't stand here"),
        ("payload.value = 1", Some((1, 15)), ""),
        ("type ==\n 'é' # 1", Some((2, 6)), ""),
        ("payload.a == 'x", Some((1, 14)), "unterminated"),
        ("valu > 1", Some((1, 1)), "there are type, subject, id, seq, ts, map_id, payload, source"),
        ("payload.x > 1 && valu > 1", Some((1, 18)), "\"valu\""),
        ("payload.name.matches('a+')", Some((1, 14)), "matches()"),
        ("payload.list.map(x, x)", None, "neither true nor false"),
        ("payload.list.filter(x, true)", None, "neither true nor false"),
        ("payload.list.map(x) == []", Some((1, 14)), "map() takes a name and an expression"),
        ("size(payload, 1) == 1", Some((1, 1)), "1 argument"),
        ("foo(1)", Some((1, 1)), "foo()"),
        ("{type: 1} == payload", Some((1, 1)), "written out"),
        ("{'a': 1}", None, "neither true nor false"),
        ("event.seq == 1", Some((1, 1)), "\"event\" is not known here"),
        ("payload.?a == 1", None, ""),
        ("b'a' == payload.a", Some((1, 1)), "bytes"),
        ("payload.l.exists(x.y, true)", None, "simple name"),
        ("1e999 == 1", None, "invalid double literal"),
        ("payload.value + 1", None, "neither true nor false"),
        ("size(payload)", None, "neither true nor false"),
        ("'a'", None, "neither true nor false"),
        ("type", None, "neither true nor false"),
        ("seq > 1 ? 'a' : 'b'", None, "neither true nor false"),
        ("a.b{c: 1}", None, ""),
        ("google.protobuf.Int32Value{value: 1} == 1", None, ""),
        ("int", Some((1, 1)), "\"int\""),
    ] {
        let error = Expression::condition(text).unwrap_err();
        if position.is_some() {
            assert_eq!(error.position, position, "{text}: {error}");
        }
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
    assert_eq!(Expression::condition("valu > 1").unwrap_err().to_string().split(": ").next(), Some("at 1"));
    let long = format!("type == '{}'", "a".repeat(MAX_EXPRESSION_LEN));
    assert!(Expression::condition(&long).unwrap_err().to_string().contains("1024"));
}

#[test]
fn keys_are_the_same_for_the_same_event() {
    let key = |text: &str| {
        let expression = Expression::key(text).unwrap();
        with("kill", KILL, |subject| expression.value(subject))
    };
    for (text, value) in [
        ("payload.victim.ship", Some(r#""Stratios""#)),
        ("payload.value", Some("2000000000")),
        ("payload.value * 1.0", Some("2000000000")),
        ("payload.ratio", Some("0.5")),
        ("payload.npc", Some("false")),
        ("payload.victim.corp", Some("null")),
        ("type + '/' + string(seq)", Some(r#""kill/9""#)),
        ("has(payload.x) ? payload.x : id", Some(r#""01JY97R74N0000000000070003""#)),
        ("payload.victim", None),
        ("payload.tags", None),
        ("payload.missing", None),
    ] {
        assert_eq!(key(text).as_deref(), value, "{text}");
    }
}

/// Half of a worker thread's stack. An optimised build needs a fraction of it.
const STACK: usize = 1 << 20;

fn on_half_a_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap()
}

/// Expressions of up to a kilobyte of everything that nests, with and without the closing parts.
fn towers() -> Vec<String> {
    let mut all = Vec::new();
    for (open, close) in [
        ("(", ")"),
        ("!", ""),
        ("-", ""),
        ("!-", ""),
        ("[", "]"),
        ("{", "}"),
        ("{1:", "}"),
        ("a[", "]"),
        ("f(", ")"),
        ("has(", ")"),
        ("a?a:", ""),
        ("true?true:", ""),
        ("a?", ":a"),
        ("payload.", ""),
        ("1+", ""),
        ("1 in ", ""),
        ("seq==", ""),
        ("seq<", ""),
        ("true&&", ""),
        ("true||", ""),
        ("!(", ")"),
        ("-(", ")"),
        ("(-", ")"),
        ("size(", ")"),
        ("payload.exists(x,", ")"),
        ("payload.map(x,", ")"),
        ("payload[payload", "]"),
        ("'", "'"),
        ("''", ""),
        ("'''", "'''"),
        ("r'", "'"),
        ("`", "`"),
        ("//", "\n"),
        ("0x", ""),
        ("1e", ""),
        ("a.?", ""),
        ("?", ""),
        ("A{a:", "}"),
        ("\u{1f600}", ""),
        ("\\", ""),
        ("(a?", ":a)"),
        ("x.f(", ")"),
        ("string(", ")"),
        ("seq.", "()"),
    ] {
        for len in [256, MAX_EXPRESSION_LEN] {
            let n = (len - 8) / (open.len() + close.len()).max(1);
            for leaf in ["", "1", "true", "payload"] {
                all.push(format!("{}{leaf}", open.repeat((len - 8) / open.len())));
                all.push(format!("{}{leaf}{}", open.repeat(n), close.repeat(n)));
                all.push(format!("{}{leaf}{}", open.repeat(20), close.repeat(20)));
            }
        }
    }
    for chain in ["payload", "payload.size()", "payload['a']", "(payload)"] {
        for tail in
            [".a", "[0]", ".size()", ".contains('a')", "+payload", "==payload", " in payload", "&&payload"]
        {
            all.push(format!("{chain}{}", tail.repeat((MAX_EXPRESSION_LEN - 16) / tail.len())));
            all.push(format!("{chain}{}", tail.repeat(25)));
        }
    }
    all
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    on_half_a_stack(|| {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        for text in towers() {
            if let Ok(expression) = Expression::key(&text) {
                with("a", &deep, |subject| expression.value(subject));
                with("a", KILL, |subject| expression.value(subject));
            }
        }
        // Deep values are compared.
        let payload = format!(r#"{{"a":{deep},"b":{deep}}}"#);
        assert!(matches("payload.a == payload.b && [payload, payload] == [payload, payload]", &payload));
    });
}

/// Everything that an evaluation reads is counted, so no payload and no expression exceeds the limit of work.
#[test]
fn work_is_bounded() {
    let texts = |body: &str, join: &str| {
        let n = (MAX_EXPRESSION_LEN - 40) / (body.len() + join.len());
        [1, 3, n / 4, n].map(|n| vec![body; n.max(1)].join(join))
    };
    let mut all = Vec::new();
    for body in [
        "payload.l == payload.m",
        "payload.l != payload.m",
        "7 in payload.l",
        "payload.l in payload.m",
        "payload.s in payload.l",
        "payload.l[1.5] == 1",
        "payload.l == 5",
        "5 != payload.l",
        "5 < payload.l",
        "[payload.l] == [5]",
        "[5] == payload.m",
        "-payload.l == 1",
        "payload.l[0] == payload.m[payload.n]",
        "string(payload.s) == ''",
    ] {
        all.extend(texts(body, " || "));
    }
    all.extend(texts("size(payload.s) == 7", " || "));
    all.extend(texts("payload.s.contains('b')", " || "));
    all.extend(texts("payload.s", "+").map(|sum| format!("{sum} == ''")));
    all.extend(texts("payload", ",").map(|list| format!("[{list}] == [{list}]")));
    for body in ["x == 7", "x < 7", "x == x && x != x", "x in [1,2,3,4,5,6,7]", "size(x) == 7", "x.y == 7"] {
        all.extend(texts(body, " || ").map(|body| format!("payload.l.exists(x, {body})")));
        all.extend(texts(body, " || ").map(|body| format!("payload.l.all(x, !({body}))")));
        all.extend(texts(body, " || ").map(|body| format!("payload.l.exists_one(x, {body})")));
    }
    all.extend(texts("x", "+").map(|sum| format!("payload.l.exists(x, {sum} == 7)")));
    let large = 120_000;
    let ints = vec!["0"; large].join(",");
    let payloads = [
        format!(r#"{{"l":[{ints}],"m":[{ints}],"s":""}}"#),
        format!(r#"{{"l":[{ints}],"m":[[{ints}]],"s":"{}","n":1.5}}"#, "a".repeat(60_000)),
        format!(r#"{{"l":["{0}"],"m":["{0}"],"s":"{0}"}}"#, "a".repeat(large)),
        format!(r#"{{"l":[{0}],"m":[{0}],"s":"a"}}"#, vec!["\"aaaaaaaaaaaaaaaa\""; 12_000].join(",")),
        format!(r#"{{"l":[{0}],"m":[{0}],"s":"a"}}"#, vec!["{\"y\":[0]}"; 1_500].join(",")),
    ];
    all.extend(
        ["payload.l.map(x, payload.l.map(y, payload.l))", "payload.l.all(x, payload.l.all(y, x == y))"]
            .map(|text| format!("{text} == payload.l")),
    );
    let map = MapText::from(MAP.parse::<MapId>().unwrap());
    let mut ended = 0;
    let mut checked = 0;
    for payload in &payloads {
        let event = event("a", payload);
        for text in all.iter().filter(|text| text.len() <= MAX_EXPRESSION_LEN) {
            let Ok(expression) = Expression::key(text) else { continue };
            let subject = Subject::new(&event, &map);
            let _ = subject.named(Name::Payload);
            let budget = Budget::default();
            let start = std::time::Instant::now();
            let value = expression.evaluate(&subject, &budget);
            // The limit is generous, because machines differ. Without the bound, the slowest of these take
            // hours.
            assert!(start.elapsed() < std::time::Duration::from_secs(1), "{text}: {:?}", start.elapsed());
            match value {
                Err(Failure::TooMuch) => {
                    assert_eq!(expression.value(&subject), None, "{text}");
                    assert!(subject.is_too_large(), "{text}");
                    ended += 1;
                }
                _ => checked += 1,
            }
        }
    }
    assert!(ended > 50 && checked > 20, "{ended} {checked}");
    // An ordinary expression makes little work, however large the payload is.
    let large = format!(r#"{{"value":2e9,"name":"a","list":[{ints}]}}"#);
    assert!(matches("payload.value > 1e9 && payload.name in ['a', 'b'] && type.startsWith('sig')", &large));
}

#[test]
fn a_payload_is_parsed_once() {
    let event = event("a", KILL);
    let map = MapText::from(MAP.parse::<MapId>().unwrap());
    let subject = Subject::new(&event, &map);
    assert!(Expression::condition("type == 'a' && seq > 1").unwrap().matches(&subject));
    assert!(subject.payload.get().is_none());
    assert!(Expression::condition("payload.value > 1").unwrap().matches(&subject));
    let first: *const _ = subject.payload.get().unwrap();
    assert!(Expression::condition("payload.value > 1").unwrap().matches(&subject));
    assert_eq!(first, subject.payload.get().unwrap() as *const _);
}

/// Text that looks like an expression.
fn like_an_expression() -> impl Strategy<Value = String> {
    let words = "payload . value ( ) [ ] { } == != < && || ! - + * / % ? : , in 1 1e9 0x 1u 'a' \" ' r' b' ''' ` true null \
        has( .exists( .all( .exists_one( .map( x x, type size( .size() int( @result \\ \n // é \u{0} .? [? a.b.c{ optional.of(";
    let words = prop::sample::select(words.split(' ').collect::<Vec<_>>());
    prop::collection::vec((words, prop::sample::select(vec!["", " "])), 0..40)
        .prop_map(|words| words.into_iter().map(|(word, space)| format!("{word}{space}")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_an_expression_or_none(text in prop_oneof![like_an_expression(), any::<String>()], payload in "[a-c]{0,3}") {
        if let Ok(expression) = Expression::key(&text) {
            with("a", &format!(r#"{{"value":1,"x":[1,2],"b":{{"c":"{payload}"}}}}"#), |subject| {
                prop_assert_eq!(expression.value(subject), expression.value(subject));
                let truth = expression.value(subject).as_deref() == Some("true");
                prop_assert_eq!(expression.matches(subject), truth);
                Ok(())
            })?;
        }
    }

    #[test]
    fn comparing_is_what_it_is_in_rust(a in -1000i64..1000, b in -1000i32..1000, tenths in 0u8..10) {
        let float = f64::from(b) + f64::from(tenths) / 10.0;
        let payload = format!(r#"{{"a":{a},"b":{float}}}"#);
        let a = a as f64;
        prop_assert_eq!(matches("payload.a > payload.b", &payload), a > float);
        prop_assert_eq!(matches("payload.a == payload.b", &payload), a == float);
        prop_assert_eq!(matches("payload.a + payload.b < 10", &payload), a + float < 10.0);
        let literals = format!("payload.a <= {float:?}");
        prop_assert_eq!(matches(&literals, &payload), a <= float);
    }
}
