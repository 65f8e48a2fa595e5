//! Templates: the bodies that they make, their errors and their bounds.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::core::event::NewEvent;
use crate::core::ids::{EventId, MapId};
use crate::core::json::normalise;
use proptest::prelude::*;
use serde_json::{Value, json};

const MAP: &str = "550e8400-e29b-41d4-a716-446655440000";
const KILL: &str = r#"{"killmail_id":12345678,"system_name":"J123456","victim":{"name":"Pilot *Name* <@1>","ship":"Stratios"},"value":250000000,"list":[1,2.5,null,true],"text":"x \"y\"\n","npc":false,"none":null}"#;

fn map() -> MapText {
    MapText::from(MAP.parse::<MapId>().unwrap())
}

fn event(slot: u32, payload: &str) -> Event {
    let id = EventId::new(1_750_509_296_789, 7, slot);
    let event = NewEvent::new(Default::default(), "map_kill", payload);
    Event::from_stored(9, Event::to_stored(id, &event).into()).unwrap()
}

fn run_as(form: Form, source: &str, events: &[Event]) -> Result<String, RenderFailure> {
    let template = Template::parse(source, form).unwrap_or_else(|error| panic!("{source}: {error}"));
    Ok(String::from_utf8(template.render(&map(), events)?).unwrap())
}

fn run(source: &str) -> String {
    run_as(Form::Json, source, &[event(0, KILL)]).unwrap_or_else(|failure| panic!("{source}: {failure}"))
}

/// The value of a string that is exactly one expression.
fn value(expression: &str) -> String {
    run(&Value::from(format!("${{{expression}}}")).to_string())
}

fn refused(form: Form, source: &str) -> String {
    Template::parse(source, form).map(drop).unwrap_err().to_string()
}

/// The example of a killmail that the documentation has in ten lines.
const DISCORD: &str = r#"{
  "embeds": [{
    "title": "Kill Detected",
    "description": "${discord(payload.victim.ship)} destroyed in ${discord(payload.system_name)}",
    "color": 16711680,
    "fields": [
      {"name": "Victim", "value": "${discord(payload.victim.name)}", "inline": true},
      {"name": "Ship", "value": "${default(payload.victim.ship, 'Unknown')}", "inline": true},
      {"name": "Value", "value": "${fixed(payload.value / 1e6, 1)}M ISK", "inline": true}
    ],
    "url": "https://zkillboard.com/kill/${payload.killmail_id}",
    "timestamp": "${ts}"
  }],
  "allowed_mentions": {"parse": []}
}"#;

#[test]
fn an_embed_for_discord() {
    let made: Value = serde_json::from_str(&run(DISCORD)).unwrap();
    assert_eq!(
        made,
        json!({
            "embeds": [{
                "title": "Kill Detected",
                "description": "Stratios destroyed in J123456",
                "color": 0xff0000,
                "fields": [
                    {"name": "Victim", "value": "Pilot \\*Name\\* \\<@\u{200b}1>", "inline": true},
                    {"name": "Ship", "value": "Stratios", "inline": true},
                    {"name": "Value", "value": "250.0M ISK", "inline": true},
                ],
                "url": "https://zkillboard.com/kill/12345678",
                "timestamp": "2025-06-21T12:34:56.789Z",
            }],
            "allowed_mentions": {"parse": []},
        })
    );
}

/// All embeds of a batch, with a field that only exists if the payload has it.
#[test]
fn an_embed_for_each_event() {
    let source = r#"{"embeds": "${events.map(e, {
        'title': upper(e.type),
        'url': 'https://zkillboard.com/kill/' + string(e.payload.killmail_id),
        'fields': [{'name': 'Ship', 'value': e.payload.victim.ship}] +
            (has(e.payload.value) ? [{'name': 'Value', 'value': fixed(e.payload.value / 1e6, 1) + 'M ISK'}] : [])
    })}"}"#
        .replace('\n', " ");
    let events = [event(0, KILL), event(1, r#"{"killmail_id":7,"victim":{"ship":"Capsule"}}"#)];
    let made: Value = serde_json::from_str(&run_as(Form::Json, &source, &events).unwrap()).unwrap();
    assert_eq!(
        made,
        json!({"embeds": [
            {"title": "MAP_KILL", "url": "https://zkillboard.com/kill/12345678", "fields": [
                {"name": "Ship", "value": "Stratios"}, {"name": "Value", "value": "250.0M ISK"},
            ]},
            {"title": "MAP_KILL", "url": "https://zkillboard.com/kill/7", "fields": [{"name": "Ship", "value": "Capsule"}]},
        ]})
    );
}

#[test]
fn blocks_for_slack() {
    let source = r#"{
      "text": "${slack(payload.victim.ship)} destroyed in ${slack(payload.system_name)}",
      "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "Kill Detected"}},
        {"type": "section", "fields": [
          {"type": "mrkdwn", "text": "*Victim*\n${slack(truncate(payload.victim.name, 40))}"},
          {"type": "mrkdwn", "text": "*Value*\n${payload.value > 1e9 ? ':moneybag: ' : ''}${fixed(payload.value / 1e6, 1)}M ISK"}
        ]},
        {"type": "context", "elements": [
          {"type": "mrkdwn", "text": "<!date^${date(ts, 'X')}^{date_short_pretty} {time}|${date(ts, 'YYYY-MM-DD HH:mm')}>"}
        ]}
      ]
    }"#;
    let made: Value = serde_json::from_str(&run(source)).unwrap();
    assert_eq!(
        made,
        json!({
            "text": "Stratios destroyed in J123456",
            "blocks": [
                {"type": "header", "text": {"type": "plain_text", "text": "Kill Detected"}},
                {"type": "section", "fields": [
                    {"type": "mrkdwn", "text": "*Victim*\nPilot *Name* &lt;@1&gt;"},
                    {"type": "mrkdwn", "text": "*Value*\n250.0M ISK"},
                ]},
                {"type": "context", "elements": [
                    {"type": "mrkdwn", "text": "<!date^1750509296^{date_short_pretty} {time}|2025-06-21 12:34>"},
                ]},
            ],
        })
    );
}

#[test]
fn a_plain_text() {
    let source = "${payload.victim.name} lost a ${lower(payload.victim.ship)}.\n\
        Attackers: ${default(join(payload.attackers.map(a, a.name), ', '), 'nobody knows')}\n\
        ${date(ts, 'DD.MM.YYYY HH:mm')} UTC, ${payload.value} ISK; $${x}, $5 and a } too {.\n";
    let attacked =
        r#"{"victim":{"name":"P","ship":"Stratios"},"value":1.5,"attackers":[{"name":"A"},{"name":"B"}]}"#;
    for (payload, expected) in [
        (
            KILL,
            "Pilot *Name* <@1> lost a stratios.\nAttackers: nobody knows\n21.06.2025 12:34 UTC, 250000000 ISK; ${x}, $5 and a } too {.\n",
        ),
        (
            attacked,
            "P lost a stratios.\nAttackers: A, B\n21.06.2025 12:34 UTC, 1.5 ISK; ${x}, $5 and a } too {.\n",
        ),
    ] {
        assert_eq!(run_as(Form::Text, source, &[event(0, payload)]).as_deref(), Ok(expected));
    }
}

/// The examples of the documentation work as they are written there.
#[test]
fn the_examples_of_the_documentation() {
    let page = include_str!("../../../docs/WEBHOOKS.md");
    let section = page.split("## Templates\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let mut blocks = section.split("```").skip(1).step_by(2);
    let mut seen = 0;
    while let Some((kind, source)) = blocks.next().and_then(|block| block.split_once('\n')) {
        let form = if kind == "json" { Form::Json } else { Form::Text };
        let made = run_as(form, source, &[event(0, KILL)]);
        assert!(made.is_ok(), "{source}: {made:?}");
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn a_whole_string_becomes_its_value_and_any_other_a_text() {
    for (source, expected) in [
        (r#""${payload}""#, KILL),
        (
            r#"{"ship": "${payload.victim.ship}", "isk": "${payload.value}"}"#,
            r#"{"ship":"Stratios","isk":250000000}"#,
        ),
        (r#"{"t": "Lost: ${payload.victim.ship}, ${payload.text}"}"#, r#"{"t":"Lost: Stratios, x \"y\"\n"}"#),
        (
            r#"{"t": "${payload.list} ${payload.npc} ${payload.none}."}"#,
            r#"{"t":"[1,2.5,null,true] false ."}"#,
        ),
        (r#"{"a": "${payload.gone.deep}", "b": "${payload.gone.deep}."}"#, r#"{"a":null,"b":"."}"#),
        (r#"["${type}", "${map_id}", "${seq}", "${size(events)}"]"#, &format!(r#"["map_kill","{MAP}",9,1]"#)),
        (
            r#"{"2": "${1}", "b": 1.0, "1": "$${a}", "é/~": ["${'}'}", " ${ {'}': '{'}['}'] } "]}"#,
            r#"{"1":"${a}","2":1,"b":1,"é/~":["}"," { "]}"#,
        ),
        (r#"  {"only": ["constants", 1e3, true]} "#, r#"{"only":["constants",1000,true]}"#),
        (r#""$$ ${'$'}${1}""#, r#""$$ $1""#),
    ] {
        assert_eq!(run(source), expected, "{source}");
    }
}

#[test]
fn functions() {
    for (expression, expected) in [
        ("fixed(payload.value / 1000000, 2)", r#""250.00""#),
        ("upper('straße') + lower('Ä')", r#""STRASSEä""#),
        ("join(payload.list, '-')", r#""1-2.5--true""#),
        ("join(['a', 'b'])", r#""ab""#),
        ("date(1750509296789, 'HH:mm:ss.SSS')", r#""12:34:56.789""#),
        ("json(payload.victim.ship) + json([1, {'a': null}])", r#""\"Stratios\"[1,{\"a\":null}]""#),
        ("truncate('Stratios', 4) + truncate('Strat', 5)", r#""Str…Strat""#),
        ("default(payload.gone, payload.none, '', 'x')", r#""x""#),
        ("default(payload.gone, payload.gone)", "null"),
        ("default(fixed(payload.text, 1), payload.text)", r#""x \"y\"\n""#),
        ("discord('*a* @b')", "\"\\\\*a\\\\* @\u{200b}b\""),
        ("slack('<a&b>') + slack(1)", r#""&lt;a&amp;b&gt;1""#),
        ("payload.list.filter(x, x != null && x != true).map(x, x * 2)", "[2,5]"),
        ("payload.list.map(x, x == null, 'null')", r#"["null"]"#),
        ("payload.victim.map(k, size(k))", "[4,4]"),
        ("[1, 2].map(a, [3].map(b, a * b + payload.list[0]))", "[[4],[7]]"),
        ("{'b': 1, '2': payload.gone, 'a': [payload.gone]}", r#"{"2":null,"b":1,"a":[null]}"#),
        ("[1] + [2]", "[1,2]"),
        ("payload.npc ? 1 : payload.value > 1e8 ? 'big' : 'small'", r#""big""#),
        ("string(event.seq) + event.payload.victim.ship", r#""9Stratios""#),
        ("has(payload.victim.name) && !has(payload.x)", "true"),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

/// `event` is the envelope that every other client gets.
#[test]
fn the_envelope_is_that_of_every_other_client() {
    let of = |subject: &str| Event {
        subject: crate::core::subject::Subject::parse(subject).unwrap(),
        ..event(3, KILL)
    };
    let ephemeral = Event { id: EventId::ephemeral(1_750_509_296_789, 7, 3), ..of("live-7") };
    for event in [event(0, KILL), of("orders-7"), ephemeral] {
        let mut envelope = Vec::new();
        event.write_envelope(&map(), false, &mut envelope);
        let expected = String::from_utf8(envelope).unwrap();
        let events = [event.clone(), event];
        assert_eq!(run_as(Form::Json, r#""${event}""#, &events).unwrap(), expected);
        assert_eq!(
            run_as(Form::Json, r#""${events}""#, &events).unwrap(),
            format!("[{expected},{expected}]")
        );
    }
}

#[test]
fn values_are_escaped_only_for_html() {
    let two = [event(0, r#"{"a":1}"#), event(1, r#"{"a":"<&\"'"}"#)];
    let source = "<b>${join(events.map(e, e.payload.a), ';')}</b>";
    assert_eq!(run_as(Form::Text, source, &two).as_deref(), Ok("<b>1;<&\"'</b>"));
    assert_eq!(run_as(Form::Html, source, &two).as_deref(), Ok("<b>1;&lt;&amp;&quot;&#39;</b>"));
    for (content_type, form) in [
        ("application/json", Some(Form::Json)),
        ("Application/JSON; charset=utf-8", Some(Form::Json)),
        ("application/vnd.x+json", Some(Form::Json)),
        ("text/html;charset=utf-8", Some(Form::Html)),
        ("text/plain", Some(Form::Text)),
        ("json", None),
        ("a/", None),
        ("", None),
    ] {
        assert_eq!(Form::of(content_type), form, "{content_type}");
    }
}

#[test]
fn errors_name_the_string_and_the_column() {
    for (source, expected) in [
        (r#"{"a": [1, {"b/~": "é ${evnt.payload}"}]}"#, "/a/1/b~1~0, column 5: \"evnt\" is not known here"),
        (r#"{"a": "${payload.x + }"}"#, "/a, column 1"),
        (r#"{"a": "${payload.x) }"}"#, "/a, column 12: ')' can't stand here"),
        (r#"{"a": "x\n ${nope(1)}"}"#, "/a, line 2, column 4: nope() is not known here"),
        (r#""${payload.x""#, "column 1: the } that ends this ${ is missing"),
        (r#""${'x}""#, "column 3: unterminated string literal"),
        (r#""${}""#, "column 1: an expression is expected"),
        (r#""${payload.x.upper()}""#, "column 13: upper() is not known here; there are x.contains()"),
        (r#""${fixed(1)}""#, "column 3: fixed() takes 2 arguments"),
        (r#""${join()}""#, "column 3: join() takes 1 or 2 arguments"),
        (r#""${default(1)}""#, "column 3: default() takes 2 or more arguments"),
        (r#""${ {payload.x: 1} }""#, "column 4: the name of a member is written out"),
        (r#""${ {'a': 1, 'a': 2} }""#, "column 4: the member \"a\" stands there twice"),
        (r#"{"a": {"${type}": 1}}"#, "/a, column 1: the name of a member can't be computed"),
        ("{\n \"a\": ${payload.x}}", "line 2, column 7: an expression stands in quotes"),
        ("{\n \"a\": x}", "line 2, column 7: the template is not JSON: expected value"),
        ("", "line 1, column 0: the template is not JSON"),
        (r#"{"a": 9007199254740993}"#, "the template is not JSON: the integer 9007199254740993"),
    ] {
        let error = refused(Form::Json, source);
        assert!(error.starts_with(expected), "{source}: {error}");
    }
    assert!(refused(Form::Text, "a\nb ${x}").starts_with("line 2, column 5: \"x\" is not known"));
    let deep = format!("{}1{}", "[".repeat(97), "]".repeat(97));
    assert_eq!(refused(Form::Json, &deep), "nested deeper than 96 levels");
    assert!(refused(Form::Text, &"x".repeat(MAX_TEMPLATE + 1)).contains("16384 bytes"));
    let long = format!("${{'{}'}}", "x".repeat(1024));
    assert!(refused(Form::Text, &long).contains("at most 1024 bytes"));
}

#[test]
fn jinja_is_answered_with_what_to_write_instead() {
    for (form, source, expected) in [
        (
            Form::Json,
            r#"{"a": {{ event.payload.x }}}"#,
            "line 1, column 7: {{ … }} is not known here; write ${event.payload.x}",
        ),
        (
            Form::Json,
            r#"{"a": "b {{ payload.x|upper }}"}"#,
            "/a, column 3: {{ … }} is not known here; write ${payload.x}",
        ),
        (Form::Json, "{{ event|tojson }}", "line 1, column 1: {{ … }} is not known here; write ${event}"),
        (Form::Text, "{{ x", "line 1, column 1: {{ … }} is not known here; write ${payload.name}"),
        (Form::Text, "\n{% if x %}", "line 2, column 1: {% … %} is not known here; write ${has("),
        (
            Form::Json,
            "[{%- for x in events %}]",
            "line 1, column 2: {% … %} is not known here; write ${events.map(",
        ),
        (Form::Text, "{%set x = 1%}", "line 1, column 1: {% … %} is not known here; write the expression"),
    ] {
        let error = refused(form, source);
        assert!(error.starts_with(expected), "{source}: {error}");
    }
    assert_eq!(run_as(Form::Text, "${'{{'} { {", &[event(0, KILL)]).as_deref(), Ok("{{ { {"));
}

#[test]
fn a_value_of_a_wrong_type_is_an_error() {
    for (source, expected) in [
        (r#"{"a": ["x ${payload.text * 2}"]}"#, "/a/0, column 3: numbers are needed"),
        (r#"{"a": "${payload.value / 0}"}"#, "/a, column 1: the result is no number"),
        (r#"{"a": "${payload.value + 'x'}"}"#, "/a, column 1: a number is added to a text; write string(…)"),
        (r#""${payload.text ? 1 : 2}""#, "column 1: true or false is needed"),
        (r#""${date(payload.text, 'YYYY')}""#, "column 1: date() takes an ISO time"),
    ] {
        let failure = run_as(Form::Json, source, &[event(0, KILL)]).unwrap_err();
        assert!(failure.to_string().starts_with(expected), "{source}: {failure}");
    }
    // A missing field is not an error.
    assert_eq!(value("fixed(payload.gone / 1e6, 1) + 'M'"), "null");
    assert_eq!(value("payload.none * 2"), "null");
    assert_eq!(value("upper(payload.victim.gone.deeper)"), "null");
}

/// Without the bounds, each of these would fill the memory or run for minutes.
#[test]
fn work_and_bodies_are_bounded() {
    let list = format!(r#"{{"l":[{}1],"t":"{}"}}"#, "1,".repeat(5000), "x".repeat(60_000));
    let loops = "${payload.l.map(a, payload.l.map(b, payload.l.map(c, 1)))}";
    let bomb = format!("${{{}[1]{}}}", "[1, 2].map(x, ".repeat(6), ")".repeat(6));
    let doubled = "${[payload].map(a, [a, a]).map(a, [a, a]).map(a, [a, a]).map(a, [a, a]).map(a, [a, a]).map(a, [a, a])}";
    let copied = "${payload.t + payload.t}".repeat(20);
    let quoted = "${json(json(json(payload.t)))}".repeat(20);
    for (source, may_pass) in [
        (loops, false),
        (&*bomb, true),
        (doubled, false),
        ("${[payload, payload, payload] == [payload, payload, payload] && payload.l == payload.l}", true),
        (&copied, false),
        (&quoted, false),
        (&"${payload.t}".repeat(5), false),
    ] {
        let begin = std::time::Instant::now();
        let made = run_as(Form::Text, source, &[event(0, &list)]);
        assert!(begin.elapsed() < std::time::Duration::from_secs(2), "{source}");
        match made {
            Ok(body) => assert!(may_pass && body.len() <= MAX_BODY, "{source}: {}", body.len()),
            Err(RenderFailure::TooLarge(_)) => {}
            Err(other) => panic!("{source}: {other}"),
        }
    }
    let input = format!("\"{}\"", "x".repeat(MAX_INPUT));
    assert!(matches!(run_as(Form::Text, "1", &[event(0, &input)]), Err(RenderFailure::TooLarge(_))));
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let around = format!("{}\"${{payload}}\"{}", "[".repeat(40), "]".repeat(40));
    let failure = run_as(Form::Json, &around, &[event(0, &deep)]).unwrap_err();
    assert!(failure.to_string().contains("nested too deeply"), "{failure}");
}

/// Sources made of pieces of templates, valid and invalid ones.
fn sources() -> impl Strategy<Value = String> {
    let pieces = "${ } $${ $ { \" \\ ' , : [ ] ( ) {{ }} {% %} payload .list .victim type event events size( fixed( upper( \
        join( date( json( truncate( default( discord( slack( .map(x, .filter(x, .exists(x, .contains( has( x == + - * / % \
        in && || ! ? 'a' 1 2.5 1e9 null true é \n // [0] ['a']";
    let pieces = prop::sample::select(pieces.split(' ').collect::<Vec<_>>());
    prop::collection::vec(pieces, 0..40).prop_map(|parts| parts.concat())
}

/// JSON documents in which some strings have expressions.
fn documents() -> impl Strategy<Value = String> {
    let expressions = [
        "payload",
        "payload.list",
        "event",
        "events",
        "payload.text",
        "payload.gone",
        "fixed(payload.value, 1)",
        "seq",
        "payload.list.map(x, [x])",
        "{'a': payload, '1': ts}",
        "json(events)",
        "payload.value / 3",
        "-payload.value",
        "discord(payload)",
        "join(payload.list)",
        "payload.text + '\\u0001\\\"'",
        "truncate(id, 3)",
    ];
    let string = prop::collection::vec(
        prop_oneof![
            ".{0,6}".prop_map(|text: String| text.replace(['$', '{'], "")),
            prop::sample::select(expressions.to_vec()).prop_map(|expression| format!("${{{expression}}}")),
        ],
        0..4,
    );
    let leaf = prop_oneof![
        string.prop_map(|parts| Value::from(parts.concat())),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        Just(Value::Null),
    ];
    let tree = leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("[a-z]{0,3}|[0-9]{1,3}|.", inner), 0..6).prop_map(|members| {
                let member = |(name, value): (String, Value)| (name.replace('$', ""), value);
                members.into_iter().map(member).collect::<serde_json::Map<_, _>>().into()
            }),
        ]
    });
    tree.prop_map(|value: Value| value.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn any_source_is_a_template_or_none(
        source in prop_oneof![sources(), any::<String>()],
        form in prop::sample::select(vec![Form::Json, Form::Html, Form::Text]),
    ) {
        if let Ok(template) = Template::parse(&source, form) {
            let events = [event(0, KILL), event(1, "[]")];
            let made = template.render(&map(), &events);
            prop_assert_eq!(&template.render(&map(), &events), &made);
            if let Ok(body) = made {
                prop_assert!(body.len() <= MAX_BODY);
            }
        }
    }

    #[test]
    fn a_document_makes_json_in_normal_form(source in documents()) {
        let template = Template::parse(&source, Form::Json).unwrap();
        let events = [event(0, KILL), event(1, r#"{"a":"\u0001"}"#)];
        if let Ok(body) = template.render(&map(), &events) {
            let body = String::from_utf8(body).unwrap();
            prop_assert_eq!(&normalise(&body, 128).unwrap(), &body);
        }
    }
}
