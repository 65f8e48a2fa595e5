//! What templates can do, and what no template can.

use super::super::meter::MAX_OUTPUT;
use super::*;
use crate::core::event::NewEvent;
use crate::core::ids::{EventId, MapId};
use proptest::prelude::*;

const MAP: &str = "550e8400-e29b-41d4-a716-446655440000";

fn event(place: u32, payload: &str) -> Event {
    let id = EventId::new(1_750_509_296_789, 7, place);
    let event = NewEvent { subject: Default::default(), kind: "map_kill".into(), payload: payload.as_bytes().to_vec() };
    Event::from_stored(9, Event::to_stored(id, &event).into()).unwrap()
}

const KILL: &str =
    r#"{"10":1,"b":"x \"y\"\n","value":250000000,"list":[1,2.5,null,true],"victim":{"ship":"Stratios"},"mass":2.5}"#;

fn run_as(content_type: &str, source: &str, events: &[Event]) -> Result<String, RenderError> {
    let template = CompiledTemplate::new(source, content_type)?;
    let body = template.render(&MapText::from(MAP.parse::<MapId>().unwrap()), events)?;
    Ok(String::from_utf8(body).unwrap())
}

fn run(source: &str) -> Result<String, RenderError> {
    run_as("application/json", source, &[event(0, KILL)])
}

fn refused(source: &str) -> String {
    match CompiledTemplate::new(source, "application/json") {
        Err(RenderError::Template(why)) => why,
        other => panic!("{source}: {other:?}"),
    }
}

#[test]
fn values_stand_where_they_are_put() {
    for (source, expected) in [
        ("{{ event.payload }}", KILL),
        (r#"{"ship": {{ event.payload.victim.ship }}}"#, r#"{"ship":"Stratios"}"#),
        (
            r#"{"t": "Lost: {{ event.payload.victim.ship }}, {{ event.payload.b }}"}"#,
            r#"{"t":"Lost: Stratios, x \"y\"\n"}"#,
        ),
        (
            r#"{"t": "a \"{{ event.payload.mass }}\" {{ event.payload.list }}"}"#,
            r#"{"t":"a \"2.5\" [1,2.5,null,true]"}"#,
        ),
        (r#"{"t": "{{ event.payload.victim|tojson }}"}"#, r#"{"t":"{\"ship\": \"Stratios\"}"}"#),
        (r#"{"a": {{ event.payload.gone.deep }}, "b": "{{ event.payload.gone.deep }}."}"#, r#"{"a":null,"b":"."}"#),
        (
            r#"[{{ event.payload.gone|default("none") }}, {{ event.type }}, {{ map_id }}]"#,
            &format!(r#"["none","map_kill","{MAP}"]"#),
        ),
        (
            r#"[{% for x in event.payload.list %}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}]"#,
            "[1,2.5,null,true]",
        ),
        (r#"{% set isk = event.payload.value / 1000000 %}"{{ isk|round(1) }}M""#, r#""250.0M""#),
        (r#"[{{ event.payload.mass|float * 4 }}, {{ 2 * 3 }}, {{ "a" ~ event.payload.mass }}]"#, r#"[10,6,"a2.5"]"#),
        (r#"{{ event.payload.victim.ship|upper|replace("S", "$")|trim }}"#, r#""$TRATIO$""#),
        (r#"{{ event.payload.list|join("-") }}"#, r#""1-2.5-None-True""#),
        (r#"{{ "big" if event.payload.value > 1e8 else "small" }}"#, r#""big""#),
        (r#"{% if event.payload.gone %}1{% else %}{"k": [{{ events|length }}]}{% endif %}"#, r#"{"k":[1]}"#),
        (r#"{{ {"seq": event.seq, "ship": event.payload.victim.ship} }}"#, r#"{"seq":9,"ship":"Stratios"}"#),
        ("[{% for k, v in event.payload.victim|items %}{{ k }}{% endfor %}]", r#"["ship"]"#),
        (
            "[{{ event.payload.x is defined }}, {{ 9 is divisibleby(3) }}, {{ 'Lost' is startingwith('L') }}]",
            "[false,true,true]",
        ),
        (
            "[{{ event.payload.x|upper }}, {{ event.payload.x|join }}, {{ event.payload.x|length }}, {{ event.payload.x|int }}]",
            r#"["","",0,0]"#,
        ),
        (
            "[{{ event.payload.x|first }}, {{ event.payload.x|trim|replace('a', 'b') }}, {{ event.payload.x ~ 1 }}]",
            r#"[null,"","1"]"#,
        ),
        (
            "[{% for k, v in event.payload.x|items %}{{ v }}{% endfor %}{% for x in event.payload.x %}{{ x }}{% endfor %}]",
            "[]",
        ),
        ("{# nothing #} 9.0 ", "9"),
    ] {
        assert_eq!(run(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn batches_and_other_content_types() {
    let two = [event(0, r#"{"a":1}"#), event(1, r#"{"a":"<&"}"#)];
    let lines = "{% for e in events %}{{ e.payload.a }};{% endfor %}";
    assert_eq!(run_as("text/plain; charset=utf-8", lines, &two).as_deref(), Ok("1;<&;"));
    assert_eq!(run_as("text/html", lines, &two).as_deref(), Ok("1;&lt;&amp;;"));
    assert_eq!(run_as("application/vnd.x+json", "[{{ event.payload.a }}]", &two).as_deref(), Ok("[1]"));
    for bad in ["", "json", "a/", "text/plain\n"] {
        assert!(CompiledTemplate::new("x", bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_body_that_is_no_json_is_the_templates_fault() {
    for source in ["", "{", "{{ event.payload.b }} x", r#"{"a": 9007199254740993}"#] {
        assert!(matches!(run(source), Err(RenderError::Template(_))), "{source}");
    }
}

#[test]
fn errors_say_where() {
    for (source, expected) in [
        ("\n{{ event.payload", "line 2: "),
        ("\n\n{{ evnt.payload }}", "line 3: `evnt` is not known here"),
        ("{{ event|nope }}", "line 1: there is no filter `nope`"),
        ("{{ event is nope }}", "line 1: there is no test `nope`"),
        ("{% include \"x\" %}", "line 1: "),
        ("{% extends \"x\" %}", "line 1: "),
        ("{% import \"x\" as y %}", "line 1: "),
        ("{% macro x() %}{% endmacro %}", "line 1: "),
        ("{{ range(3) }}", "line 1: nothing can be called"),
        ("{{ event.payload.keys() }}", "line 1: nothing can be called"),
        ("{% set x %}a{% endset %}", "line 1: a block can't be captured"),
        ("{% filter upper %}a{% endfilter %}", "line 1: a block can't be filtered"),
        ("{% for x in [1] recursive %}{% endfor %}", "line 1: loops can't be recursive"),
        ("{{ event.payload.b * 1000000 }}", "line 1: `*` is for numbers"),
        ("{{ 'x' * 1000000 }}", "line 1: `*` is for numbers"),
        ("{{ [1] * 1000000 }}", "line 1: `*` is for numbers"),
        ("{{ (1 + event.payload.b) * 1000000 }}", "line 1: `*` is for numbers"),
        ("{{ event|int(default='x') * 1000000 }}", "line 1: `*` is for numbers"),
        ("{{ run }}", "line 1: `run` is not known here"),
        ("{{ {event.type: 1} }}", "line 1: the keys of a map must be written out"),
    ] {
        let why = refused(source);
        assert!(why.starts_with(expected), "{source}: {why}");
    }
    let deep = match run("\n{{ event.payload.b - 1 }}") {
        Err(RenderError::Template(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(deep.starts_with("line 2: "), "{deep}");
}

/// Each of these would fill the memory, or the stack, or an hour.
#[test]
fn bombs_are_refused() {
    let doubled = |step: &str| format!("{{% set x = event.payload.b %}}{}", step.repeat(40));
    let nested = "{% for a in [[a, a]] %}".repeat(60) + &"{% endfor %}".repeat(60);
    for source in [
        doubled("{% set x = x ~ x %}"),
        doubled("{% set x = x + x %}"),
        doubled("{% set x = [x, x] %}"),
        doubled("{% set x = {'a': x, 'b': x} %}"),
        doubled("{% set x = [x, x]|join %}"),
        doubled("{% set x = [x] ~ '' %}"),
        doubled("{% for y in [[x]] %}{% set z = y ~ '' %}{% endfor %}"),
        doubled("{% set x = x|replace('x', x) %}"),
        "{% with a = event %}".to_owned() + &"{% with a = a ~ a %}".repeat(30) + &"{% endwith %}".repeat(31),
        format!("{{% set a = 1 %}}{nested}"),
        "{% set x = 'a' %}{% for i in event.payload.list %}{% set x = x ~ x %}{% endfor %}".into(),
        "{% for i in events %}{% set x = y ~ y %}{% set y = x ~ x %}{% endfor %}".into(),
        "{% set x = 'a' %}{% for i in events %}{% if i %}{% set x = x ~ x %}{% endif %}{% endfor %}".into(),
        "{% for a, b in events %}{% for a in [a ~ b, b] %}{% endfor %}{{ x }}{% endfor %}".into(),
        "{{ event ~ ".repeat(3000),
        format!("{{{{ {} }}}}", vec!["event"; 2000].join(" ~ ")),
        format!("{{{{ {}1{} }}}}", "(".repeat(3000), ")".repeat(3000)),
        format!("{{{{ {}1 }}}}", "- ".repeat(3000)),
        format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(1300)),
        "{% if 1 %}".repeat(1300),
        "x".repeat(MAX_TEMPLATE + 1),
    ] {
        let what: String = source.chars().take(60).collect();
        let made = CompiledTemplate::new(&source, "application/json");
        assert!(matches!(made, Err(RenderError::Template(_))), "{what}: {made:?}");
    }
}

#[test]
fn what_runs_is_bounded() {
    let list = format!(r#"{{"l":[{}1]}}"#, "1,".repeat(5000));
    let loops = "{% for a in event.payload.l %}{% for b in event.payload.l %}{% endfor %}{% endfor %}1";
    let long = run_as("text/plain", loops, &[event(0, &list)]);
    assert!(matches!(long, Err(RenderError::Template(why)) if why.starts_with("it takes too long")));
    let text = format!(r#"{{"l":[1,1,1,1,1],"t":"{}"}}"#, "x".repeat(100_000));
    let large = "{% for a in event.payload.l %}{{ event.payload.t }}{% endfor %}";
    assert!(matches!(run_as("text/plain", large, &[event(0, &text)]), Err(RenderError::TooLarge(_))));
    for large in
        ["{{ [event.payload.t, 1, 2, 3, 4]|join(event.payload.t) }}", "{{ event.payload.t|replace('x', 'yyy') }}"]
    {
        let made = run_as("text/plain", large, &[event(0, &text)]);
        assert!(matches!(&made, Err(RenderError::Template(why)) if why.contains("256 KiB")), "{made:?}");
    }
    let input = format!("\"{}\"", "x".repeat(MAX_INPUT));
    assert!(matches!(run_as("text/plain", "1", &[event(0, &input)]), Err(RenderError::TooLarge(_))));
}

/// Each of these is cheap in instructions, and works for minutes on what it is given.
#[test]
fn what_instructions_work_on_is_bounded() {
    let list = "1,".repeat(200);
    let payload = format!(r#"{{"l":[{}1],"m":{{"k":[{0}1]}},"s":"{}"}}"#, list, "a".repeat(1250));
    let changed = format!("event.payload.s|replace('a', '{}')", "é".repeat(100));
    let text = format!("{{% set s = event.payload.s|replace('a', '{}') %}}", "1".repeat(200));
    let looped = |one: &str| {
        let rounds = "{% for i in event.payload.l %}{% for j in event.payload.l %}";
        format!("{text}{rounds}{one}{{% endfor %}}{{% endfor %}}")
    };
    for source in [
        looped(&format!("{{{{ ({changed}{})|length }}}}", "|upper|lower".repeat(90))),
        looped("{% set x = s ~ s %}"),
        looped("{% set x = s + s %}"),
        looped("{% if s == s ~ '' %}{% endif %}"),
        looped("{% if 'b' in s %}{% endif %}"),
        looped("{% if 'b' is in s %}{% endif %}"),
        looped("{% if '' < s < 'b' %}{% endif %}"),
        looped("{% set x = s[2:-2:2] %}"),
        looped("{% if event.payload.m[s] %}{% endif %}"),
        looped("{% set x = s|float %}"),
        looped("{% set x = [s]|string|length %}"),
        looped("{% if event is startingwith('x') %}{% endif %}{% if event == event %}{% endif %}"),
        looped("{% if event in events %}{% endif %}{% if event.payload.m ~ '' %}{% endif %}{{ event|tojson|length }}"),
    ] {
        let made = run_as("text/plain", &source, &[event(0, &payload)]);
        let excess = matches!(&made, Err(RenderError::TooLarge(why)) if why.contains("16 MiB"));
        assert!(excess, "{}: {:?}", &source[source.len() - 90..], made.map(|body| body.len()));
    }
}

/// The deepest that is let through runs on the stack of a worker thread.
#[test]
fn the_deepest_fits_a_worker_threads_stack() {
    let run = || {
        let nested = "{% if event %}".repeat(MAX_NESTING) + "1" + &"{% endif %}".repeat(MAX_NESTING);
        let chosen = format!("{{% if 0 %}}{}{{% else %}}1{{% endif %}}", "{% elif 0 %}".repeat(190));
        let joined = format!("{{{{ ({})|length }}}}", vec!["event"; 45].join(" ~ "));
        let summed = format!("{{{{ {} }}}}", vec!["1"; 199].join(" - "));
        [nested, chosen, joined, summed].map(|source| self::run(&source).map(|_| ()))
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap();
    assert_eq!(thread.join().unwrap(), [Ok(()), Ok(()), Ok(()), Ok(())]);
}

/// Pieces that templates are made of, well and badly.
fn sources() -> impl Strategy<Value = String> {
    let pieces = [
        "{{ ",
        " }}",
        "{% ",
        " %}",
        "for x in ",
        "endfor",
        "if ",
        "elif ",
        "else",
        "endif",
        "set y = ",
        "with z = ",
        "endwith",
        "event",
        ".payload",
        ".list",
        "[0]",
        "[1:2]",
        "events",
        "loop",
        ".index",
        "x",
        "y",
        "|",
        "join",
        "tojson",
        "items",
        "replace('a', 'b')",
        "int",
        "length",
        "default(1)",
        " ~ ",
        " + ",
        " * ",
        " ** ",
        " // ",
        " - ",
        " is ",
        "defined",
        "divisibleby(0)",
        "not ",
        " in ",
        "9",
        "1.5",
        "'a'",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ": ",
        "\"",
        "\\",
        "é",
        "\n",
        "autoescape false",
        "endautoescape",
        "{#",
        "#}",
        "{% raw %}",
        "{% endraw %}",
        "-%}",
        "recursive",
        "()",
        "=",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_source_is_an_answer(source in sources(), kind in prop::sample::select(vec!["application/json", "text/plain", "text/html"])) {
        if let Ok(template) = CompiledTemplate::new(&source, kind) {
            let map = MapText::from(MAP.parse::<MapId>().unwrap());
            if let Ok(body) = template.render(&map, &[event(0, KILL), event(1, "[]")]) {
                prop_assert!(body.len() <= MAX_OUTPUT);
            }
        }
    }
}
