//! What bodies become.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::core::error_code::Code;
use proptest::prelude::*;
use serde_json::{Value, json};

const DEPTH: usize = 64;
const MOST: usize = 100;

fn reader(settings: &Settings) -> Reader {
    let ids = (SourceId::from_bytes([1; 16]), MapId::from_bytes([2; 16]));
    Reader::new(ids, settings, DEPTH, MOST).unwrap()
}

fn of(authentication: Authentication) -> Reader {
    reader(&Settings { authentication, ..Settings::new() })
}

fn mapped_by(mapping: &Value) -> Reader {
    reader(&Settings { mapping: Some(mapping.to_string().into()), ..Settings::new() })
}

fn read(reader: &Reader, headers: &[(&str, &str)], body: &str) -> Result<Vec<Mapped>, Bad> {
    reader.read(&Headers::new(headers.iter().copied()), body.as_bytes())
}

fn one(reader: &Reader, headers: &[(&str, &str)], body: &str) -> Mapped {
    let mut events = read(reader, headers, body).unwrap_or_else(|bad| panic!("{body}: {bad}"));
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

#[test]
fn the_seeds_events_are_read() {
    let reader = of(Authentication::Hmac);
    let event = one(
        &reader,
        &[("content-type", "application/json")],
        r#"{"event_type":"purchase","timestamp":"2024-01-15T10:30:00Z","user_id":"user_123",
            "properties":{"item_id":"sword_001","amount":9.99,"currency":"USD"}}"#,
    );
    assert_eq!((&*event.kind, event.time_ms, &event.id), ("purchase", Some(1_705_314_600_000), &None));
    assert_eq!(
        event.payload,
        r#"{"timestamp":"2024-01-15T10:30:00Z","user_id":"user_123","properties":{"item_id":"sword_001","amount":9.99,"currency":"USD"}}"#
    );
    assert_eq!(
        one(&reader, &[], r#"{"event_type":"test","user_id":"test_user"}"#).payload,
        r#"{"user_id":"test_user"}"#
    );
    let batch =
        r#"{"events":[{"event_type":"level_complete","user_id":"user_123"},{"event_type":"level_start"}]}"#;
    let kinds: Vec<String> = read(&reader, &[], batch).unwrap().into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["level_complete", "level_start"]);
}

#[test]
fn a_bad_event_is_named_by_its_index() {
    let reader = of(Authentication::ApiKey);
    for (body, code, index) in [
        (r#"{"user_id":"a"}"#, "invalid_event", None),
        (r#"{"event_type":"a","props":{}}"#, "invalid_event", None),
        (r#"{"event_type":""}"#, "invalid_type", None),
        (r#"{"event_type":"a","timestamp":"yesterday"}"#, "invalid_timestamp", None),
        (r#"{"event_type":"a","user_id":[]}"#, "invalid_user_id", None),
        (r#"{"event_type":"a","properties":[]}"#, "invalid_properties", None),
        (r#"{"events":[{"event_type":"a"},{"event_type":"b","x":1}]}"#, "invalid_event", Some(1)),
        (r#"{"events":[]}"#, "empty_batch", None),
        ("[]", "invalid_event", None),
        ("{", "invalid_json", None),
        ("", "invalid_json", None),
        (r#"{"event_type":"a","properties":{"n":9007199254740993}}"#, "invalid_json", None),
    ] {
        let bad = read(&reader, &[], body).unwrap_err();
        assert_eq!((bad.code.as_str(), bad.index, bad.is_media), (code, index, false), "{body}: {bad}");
    }
    let many = format!(r#"{{"events":[{}]}}"#, vec![r#"{"event_type":"a"}"#; MOST + 1].join(","));
    assert_eq!(read(&reader, &[], &many).unwrap_err().code, Code::TooManyEvents);
}

#[test]
fn media_types_that_are_not_read_are_told() {
    let reader = of(Authentication::None);
    for media in
        ["text/plain", "application/xml", "application/json; charset=latin1", "application/cloudevents+avro"]
    {
        assert!(read(&reader, &[("content-type", media)], "{}").unwrap_err().is_media, "{media}");
    }
}

#[test]
fn known_senders_need_no_mapping() {
    let json = ("content-type", "application/json");
    let github = one(&of(Authentication::GitHub), &[json, ("X-GitHub-Event", "push")], r#"{"ref":"main"}"#);
    assert_eq!((&*github.kind, &*github.payload), ("push", r#"{"ref":"main"}"#));
    let gitlab = one(&of(Authentication::GitLab), &[json], r#"{"object_kind":"push"}"#);
    assert_eq!(&*gitlab.kind, "push");
    let stripe = r#"{"id":"evt_1","type":"charge.succeeded","created":1492774577}"#;
    let stripe = one(&of(Authentication::Stripe), &[json], stripe);
    assert_eq!((&*stripe.kind, stripe.time_ms), ("charge.succeeded", Some(1_492_774_577_000)));
    assert_eq!(stripe.id.as_deref(), Some("evt_1"));
    let topic = ("x-shopify-topic", "orders/create");
    assert_eq!(&*one(&of(Authentication::Shopify), &[json, topic], "{}").kind, "orders/create");
    let slack = r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}"#;
    let slack = one(&of(Authentication::Slack), &[json], slack);
    assert_eq!((&*slack.kind, slack.id.as_deref()), ("message", Some("Ev1")));
    let form = ("content-type", "application/x-www-form-urlencoded");
    let command = one(&of(Authentication::Slack), &[form], "command=%2Fweather&text=a+b&text=c");
    assert_eq!(
        (&*command.kind, &*command.payload),
        ("/weather", r#"{"command":"/weather","text":["a b","c"]}"#)
    );
    let twilio = one(&of(Authentication::Twilio), &[form], "MessageSid=SM1&MessageStatus=delivered");
    assert_eq!(&*twilio.kind, "delivered");
    assert_eq!(
        &*one(&of(Authentication::Standard), &[json], r#"{"type":"user.created"}"#).kind,
        "user.created"
    );
}

#[test]
fn our_own_webhooks_come_in_as_they_were() {
    let reader = of(Authentication::Waypost);
    let envelope = r#"{"id":"01JY97R74N0000000000070003","seq":9,"type":"placed","subject":"orders-7","map_id":"m","ts":"2025-06-21T12:34:56.789Z","payload":{"a":1}}"#;
    let event = one(&reader, &[], envelope);
    assert_eq!((&*event.kind, event.subject.as_str(), &*event.payload), ("placed", "orders-7", r#"{"a":1}"#));
    assert_eq!(
        (event.time_ms, event.id.as_deref()),
        (Some(1_750_509_296_789), Some("01JY97R74N0000000000070003"))
    );
    let several = format!(r#"{{"events":[{envelope},{envelope}]}}"#);
    assert_eq!(read(&reader, &[], &several).unwrap(), [event.clone(), event]);
}

#[test]
fn cloud_events_are_read_in_all_modes() {
    let reader = of(Authentication::ApiKey);
    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "com.example.placed"),
        ("ce-source", "/shop"),
        ("ce-id", "A%20234"),
        ("ce-time", "2018-04-05T17:31:00Z"),
    ];
    let event = one(&reader, &binary, r#"{"order":7}"#);
    assert_eq!((&*event.kind, event.id.as_deref()), ("com.example.placed", Some("/shop A 234")));
    assert_eq!((event.time_ms, &*event.payload), (Some(1_522_949_460_000), r#"{"order":7}"#));
    let structured =
        r#"{"specversion":"1.0","type":"a.b","source":"/s","id":"1","subject":"x","data":{"n":1}}"#;
    let event = one(&reader, &[("content-type", "application/cloudevents+json; charset=utf-8")], structured);
    assert_eq!((&*event.kind, &*event.payload, event.subject.as_str()), ("a.b", r#"{"n":1}"#, ""));
    let batch = format!("[{structured},{structured}]");
    let media = ("content-type", "application/cloudevents-batch+json");
    assert_eq!(read(&reader, &[media], &batch).unwrap().len(), 2);
    let broken = format!("[{structured},{{\"specversion\":\"1.0\",\"type\":\"a\"}}]");
    assert_eq!(read(&reader, &[media], &broken).unwrap_err().index, Some(1));
}

#[test]
fn a_mapping_makes_events_of_anything() {
    let mapping = json!({
        "events": "${payload.records}",
        "type": "order.${payload.kind}",
        "subject": "orders-${payload.order}",
        "time": "${payload.at}",
        "id": "${payload.id}",
        "payload": {"order": "${payload.order}", "agent": "${event.headers['user-agent']}", "from": "${source}"},
    });
    let reader = mapped_by(&mapping);
    let body = r#"{"records":[{"id":"r1","kind":"placed","order":7,"at":1750509296},{"id":"r2","kind":"paid","order":8,"at":1750509296789}]}"#;
    let events = read(&reader, &[("user-agent", "shop/1"), ("authorization", "Bearer x")], body).unwrap();
    let shown: Vec<_> =
        events.iter().map(|event| (&*event.kind, event.subject.as_str(), event.time_ms)).collect();
    assert_eq!(
        shown,
        [
            ("order.placed", "orders-7", Some(1_750_509_296_000)),
            ("order.paid", "orders-8", Some(1_750_509_296_789)),
        ]
    );
    assert_eq!(
        events[0].payload,
        r#"{"agent":"shop/1","from":"wh_01010101010101010101010101010101","order":7}"#
    );
    let missing = read(&reader, &[], r#"{"records":[{"kind":"a","order":1},{"order":{}}]}"#).unwrap_err();
    assert_eq!(missing.index, Some(1), "{missing}");
    assert_eq!(read(&reader, &[], "{}").unwrap_err().code, Code::InvalidMapping);
}

#[test]
fn secrets_never_reach_a_mapping() {
    let reader = mapped_by(&json!({"type": "a", "payload": "${event.headers}"}));
    let headers =
        [("authorization", "Bearer x"), ("x-api-key", "y"), ("cookie", "z"), ("x-a", "1"), ("x-a", "2")];
    assert_eq!(one(&reader, &headers, "{}").payload, r#"{"x-a":"1, 2"}"#);
}

#[test]
fn a_mapping_is_held_to_the_budget_of_templates() {
    let nested = "${payload.map(a, payload.map(b, payload.map(c, a + b + c)))}";
    let reader = mapped_by(&json!({"type": "a", "payload": nested}));
    let body = Value::from((0..200).collect::<Vec<u32>>()).to_string();
    assert_eq!(read(&reader, &[], &body).unwrap_err().code, Code::InvalidMapping);
}

#[test]
fn the_events_of_a_mapping_are_counted_before_they_are_made() {
    let reader = mapped_by(&json!({"events": "${payload}", "type": "a"}));
    let body = |events: usize| Value::from(vec![0; events]).to_string();
    assert_eq!(read(&reader, &[], &body(MOST)).unwrap().len(), MOST);
    assert_eq!(read(&reader, &[], &body(MOST + 1)).unwrap_err().code, Code::TooManyEvents);
}

proptest! {
    #[test]
    fn any_body_is_read_without_a_panic(
        body in any::<Vec<u8>>(), media in "[a-z/+;= -]{0,40}", at in 0..Authentication::NAMES.len(),
    ) {
        let reader = of(Authentication::NAMES[at].1);
        let _ = reader.read(&Headers::new([("content-type", media.as_str())]), &body);
        let _ = reader.read(&Headers::default(), &body);
    }

    #[test]
    fn payloads_are_in_normal_form(text in r#"[\[\]{}:," \\0-9ae.\-]{0,40}"#) {
        let reader = mapped_by(&json!({"type": "a"}));
        if let Ok(events) = read(&reader, &[], &text) {
            for event in events {
                let normal = crate::core::json::normalise(&event.payload, DEPTH);
                prop_assert_eq!(normal.as_deref(), Ok(event.payload.as_str()));
            }
        }
    }
}
