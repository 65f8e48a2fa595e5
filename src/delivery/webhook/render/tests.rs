//! Golden bodies of every profile, and properties that hold for any payload.

use super::*;
use crate::core::event::NewEvent;
use crate::core::ids::MapId;
use crate::core::json::normalise;
use crate::core::webhook::reserved::is_reserved;
use proptest::prelude::*;
use serde_json::Value;

mod chats;

const NOW_MS: u64 = 1_750_509_300_999;
const MAP: &str = "550e8400-e29b-41d4-a716-446655440000";
const TOPIC: &str = "events:map:550e8400-e29b-41d4-a716-446655440000";

fn event_at(slot: u32, kind: &str, payload: &str) -> Event {
    let id = EventId::new(1_750_509_296_789 + u64::from(slot), 7, slot);
    let payload = normalise(payload, 64).unwrap().into_bytes();
    Event::from_stored(9, Event::to_stored(id, &NewEvent::new(Default::default(), kind, payload)).into())
        .unwrap()
}

fn event(kind: &str, payload: &str) -> Event {
    event_at(0, kind, payload)
}

fn made_with(
    profile: Profile,
    secrets: &Secrets,
    events: &[Event],
    gap: Option<EventId>,
) -> Result<Rendered, RenderError> {
    let map = MapText::from(MAP.parse::<MapId>().unwrap());
    let template = CompiledTemplate::new("\"${event}\"", "application/json").unwrap();
    let rendering =
        Rendering { profile, map: &map, topic: TOPIC, key: "app-key", template: Some(&template), secrets };
    render(&rendering, events, gap, 2, NOW_MS)
}

fn made(profile: Profile, events: &[Event]) -> Result<Rendered, RenderError> {
    made_with(profile, &Secrets::new("whsec_c2VjcmV0".into()), events, None)
}

fn body(profile: Profile, events: &[Event]) -> String {
    String::from_utf8(made(profile, events).unwrap().body.to_vec()).unwrap()
}

fn header(rendered: &Rendered, name: &str) -> Option<String> {
    let found: Vec<_> = rendered.headers.iter().filter(|(known, _)| known == name).collect();
    assert!(found.len() <= 1, "{name} occurs twice");
    found.first().map(|(_, value)| value.to_str().unwrap().to_owned())
}

/// The id of the first event that these tests make.
const ID: &str = "01JY97R74N0000000000070000";
const ADDED: &str =
    r#"{"solar_system_id":31000001,"name":"J123456","type":"wormhole","class":"C3","statics":["C3","HS"]}"#;

#[test]
fn golden_wanderer() {
    let envelope = |slot: u32, payload: &str| {
        format!(
            r#"{{"id":"01JY97R74{}000000000007000{slot}","seq":9,"type":"add_system","map_id":"{MAP}","ts":"2025-06-21T12:34:56.7{}Z","payload":{payload}}}"#,
            ['N', 'P'][slot as usize],
            89 + slot,
        )
    };
    for profile in [Profile::Wanderer, Profile::Standard] {
        assert_eq!(body(profile, &[event("add_system", ADDED)]), envelope(0, ADDED));
        let two = [event("add_system", ADDED), event_at(1, "add_system", "{}")];
        let expected = format!(r#"{{"events":[{},{}]}}"#, envelope(0, ADDED), envelope(1, "{}"));
        assert_eq!(body(profile, &two), expected);
    }
}

#[test]
fn golden_envelope_and_broadcasting() {
    let payload = r#"{"session":{"id":3,"is_active":true},"game":{"id":42,"title":"Quiplash 3"}}"#;
    assert_eq!(
        body(Profile::Envelope, &[event("game.added", payload)]),
        format!(
            r#"{{"event":"game.added","timestamp":"2025-06-21T12:34:56.789Z","data":{payload},"id":"{ID}"}}"#
        )
    );
    let unsigned = format!(r#"{{"event":"subscribe","timestamp":1750509296789,"data":{payload}"#);
    let signature = sign::hex("whsec_c2VjcmV0", &[unsigned.as_bytes(), b"}"]);
    let rendered = made(Profile::Broadcasting, &[event("subscribe", payload)]).unwrap();
    assert_eq!(
        std::str::from_utf8(&rendered.body).unwrap(),
        format!(r#"{unsigned},"signature":"{signature}","id":"{ID}"}}"#)
    );
    assert_eq!(header(&rendered, "x-webhook-signature"), Some(signature));
    assert_eq!(header(&rendered, "x-webhook-event").as_deref(), Some("subscribe"));
}

#[test]
fn golden_bodies_of_a_subject() {
    let kind = "App\\Events\\X \"é\"%";
    let of = |subject: &str| Event {
        subject: crate::core::subject::Subject::parse(subject).unwrap(),
        ..event(kind, r#"{"a":1}"#)
    };
    let quoted = r#""App\\Events\\X \"é\"%""#;
    assert_eq!(
        body(Profile::Envelope, &[of("orders-7")]),
        format!(
            r#"{{"event":{quoted},"timestamp":"2025-06-21T12:34:56.789Z","data":{{"a":1}},"id":"{ID}","subject":"orders-7"}}"#
        )
    );
    for profile in [Profile::Envelope, Profile::Broadcasting] {
        let rendered = made(profile, &[of("orders-7")]).unwrap();
        let expected = r"App\Events\X%20%22%C3%A9%22%25".replace("%22", "\"");
        assert_eq!(header(&rendered, "x-webhook-event"), Some(expected));
    }
    assert!(body(Profile::Broadcasting, &[of("a")]).ends_with(&format!(r#","id":"{ID}","subject":"a"}}"#)));
    let pusher = body(Profile::Pusher, &[of("private-chat"), of("")]);
    assert!(pusher.contains(&format!(r#"{{"name":{quoted},"channel":"private-chat","data""#)), "{pusher}");
    assert!(pusher.contains(&format!(r#"{{"name":{quoted},"channel":"{TOPIC}","data""#)), "{pusher}");
    assert!(
        body(Profile::Wanderer, &[of("orders-7")])
            .contains(&format!(r#""type":{quoted},"subject":"orders-7","map_id""#))
    );
}

#[test]
fn golden_pusher() {
    let events = [
        event(
            "member_added",
            r#"{"channel":"presence-a","user_id":"1","name":"not this","event_id":"nor this","7":1}"#,
        ),
        event_at(1, "map_kill", r#"{"a":"é\"","b":1.5}"#),
        event_at(2, "channel_occupied", r#""no object""#),
    ];
    let channel = TOPIC;
    let expected = format!(
        concat!(
            r#"{{"time_ms":1750509296791,"events":["#,
            r#"{{"7":1,"name":"member_added","channel":"presence-a","user_id":"1","event_id":"{id}","time_ms":1750509296789}},"#,
            r#"{{"name":"map_kill","channel":"{channel}","data":"{{\"a\":\"é\\\"\",\"b\":1.5}}","#,
            r#""event_id":"01JY97R74P0000000000070001","time_ms":1750509296790}},"#,
            r#"{{"name":"channel_occupied","channel":"{channel}","data":"\"no object\"","#,
            r#""event_id":"01JY97R74Q0000000000070002","time_ms":1750509296791}}]}}"#,
        ),
        channel = channel,
        id = ID,
    );
    let rendered = made(Profile::Pusher, &events).unwrap();
    assert_eq!(std::str::from_utf8(&rendered.body).unwrap(), expected);
    assert_eq!(header(&rendered, "x-pusher-key").as_deref(), Some("app-key"));
    assert_eq!(
        header(&rendered, "x-pusher-signature"),
        Some(sign::hex("whsec_c2VjcmV0", &[expected.as_bytes()]))
    );
}

/// A lifecycle event as the server stores it.
fn fact(fact: &crate::core::lifecycle::Lifecycle) -> Event {
    let NewEvent { subject, kind, payload, .. } = fact.event();
    Event { subject, ..event(&kind, std::str::from_utf8(&payload).unwrap()) }
}

#[test]
fn golden_lifecycle_events() {
    use crate::core::ids::SocketId;
    use crate::core::lifecycle::Lifecycle;
    let channel = crate::core::subject::Subject::parse("presence-lobby").unwrap();
    let socket = SocketId { a: 12, b: 34 };
    let added = Lifecycle::MemberAdded {
        channel: channel.clone(),
        user: "user-456".into(),
        info: Bytes::from_static(br#"{"name":"Bob","avatar":"url"}"#),
        socket: Some(socket),
    };
    let removed =
        Lifecycle::MemberRemoved { channel: channel.clone(), user: "user-456".into(), socket: Some(socket) };
    let sent = Lifecycle::ClientEvent {
        channel: channel.clone(),
        event: "client-typing".into(),
        data: r#"{"isTyping":true}"#.into(),
        socket,
        user: Some("user-123".into()),
    };
    let occupied = Lifecycle::ChannelOccupied { channel: channel.clone() };
    let counted = Lifecycle::SubscriptionCount { channel: channel.clone(), count: 3 };
    let subscribed = Lifecycle::Subscribe { channel: channel.clone(), socket, channel_data: Bytes::new() };
    let connected = Lifecycle::ConnectionEstablished { socket };
    let broadcast = Lifecycle::Broadcast {
        channel,
        event: "OrderCreated".into(),
        data: r#"{"id":1}"#.into(),
        socket: None,
    };
    let end = format!(r#""event_id":"{ID}","time_ms":1750509296789}}"#);
    for (told, expected) in [
        (
            &added,
            r#""channel":"presence-lobby","user_id":"user-456","socket_id":"12.34","data":"{\"user_id\":\"user-456\",\"user_info\":{\"name\":\"Bob\",\"avatar\":\"url\"}}""#,
        ),
        (&removed, r#""channel":"presence-lobby","user_id":"user-456","socket_id":"12.34""#),
        (
            &sent,
            r#""channel":"presence-lobby","event":"client-typing","data":"{\"isTyping\":true}","socket_id":"12.34","user_id":"user-123""#,
        ),
        (&occupied, r#""channel":"presence-lobby""#),
        (&counted, r#""channel":"presence-lobby","subscription_count":3"#),
        (&connected, r#""socket_id":"12.34""#),
    ] {
        let name = told.kind().name();
        let expected =
            format!(r#"{{"time_ms":1750509296789,"events":[{{"name":"{name}",{expected},{end}]}}"#);
        assert_eq!(body(Profile::Pusher, &[fact(told)]), expected);
    }
    for (told, name, data) in [
        (&subscribed, "subscribe", r#"{"socketId":"12.34","channel":"presence-lobby","channelData":{}}"#),
        (&connected, "connection", r#"{"socketId":"12.34"}"#),
        (&broadcast, "broadcast", r#"{"channel":"presence-lobby","event":"OrderCreated","data":{"id":1}}"#),
        (
            &added,
            "presence_join",
            r#"{"socketId":"12.34","channel":"presence-lobby","userId":"user-456","userInfo":{"name":"Bob","avatar":"url"}}"#,
        ),
    ] {
        let rendered = made(Profile::Broadcasting, &[fact(told)]).unwrap();
        let body = std::str::from_utf8(&rendered.body).unwrap();
        let signed = format!(r#"{{"event":"{name}","timestamp":1750509296789,"data":{data}"#);
        assert!(body.starts_with(&signed), "{body}");
        let signature = sign::hex("whsec_c2VjcmV0", &[signed.as_bytes(), b"}"]);
        assert!(body.ends_with(&format!(r#","signature":"{signature}","id":"{ID}"}}"#)), "{body}");
        assert_eq!(header(&rendered, "x-webhook-event").as_deref(), Some(name));
    }
}

#[test]
fn every_profile_but_the_chats_has_the_standard_headers() {
    let gap = Some(EventId::new(1_750_509_296_000, 6, 0));
    for (name, profile) in Profile::NAMES {
        let rendered =
            made_with(profile, &Secrets::new("whsec_c2VjcmV0".into()), &[event("add_system", ADDED)], gap)
                .unwrap();
        assert_eq!(header(&rendered, "content-type").as_deref(), Some("application/json"), "{name}");
        assert!(header(&rendered, "user-agent").unwrap().starts_with("Waypost/"));
        let ours = ["webhook-id", "webhook-timestamp", "webhook-signature", "webhook-attempt", "webhook-gap"];
        if profile.is_chat() {
            assert!(ours.iter().all(|one| header(&rendered, one).is_none()), "{name}");
            continue;
        }
        let signed = [b"01JY97R74N0000000000070000.1750509300.", &rendered.body[..]];
        assert_eq!(
            ours.map(|one| header(&rendered, one).unwrap()),
            [
                "01JY97R74N0000000000070000",
                "1750509300",
                &sign::v1("whsec_c2VjcmV0", &signed),
                "2",
                "01JY97R6C00000000000060000"
            ],
            "{name}"
        );
    }
}

#[test]
fn a_rotation_signs_twice() {
    let mut secrets = Secrets { current: "new".into(), previous: vec!["old".into()], preferred: 0 };
    let one = [event("add_system", ADDED)];
    for (profile, name) in [
        (Profile::Wanderer, "x-wanderer-signature"),
        (Profile::Envelope, "x-webhook-signature"),
        (Profile::Broadcasting, "x-webhook-signature"),
        (Profile::Pusher, "x-pusher-signature"),
    ] {
        let previous = format!("{name}-previous");
        let both =
            |rendered: &Rendered| [header(rendered, name).unwrap(), header(rendered, &previous).unwrap()];
        secrets.preferred = 0;
        let [new, old] = both(&made_with(profile, &secrets, &one, None).unwrap());
        secrets.preferred = 1;
        let turned = made_with(profile, &secrets, &one, None).unwrap();
        assert_ne!(new, old);
        assert_eq!(both(&turned), [old.clone(), new], "{name}");
        if profile == Profile::Broadcasting {
            let body: Value = serde_json::from_slice(&turned.body).unwrap();
            assert_eq!(body["signature"], old);
        }
        let standard = header(&turned, "webhook-signature").unwrap();
        let signed = [b"01JY97R74N0000000000070000.1750509300.", &turned.body[..]];
        assert_eq!(standard, format!("{} {}", sign::v1("new", &signed), sign::v1("old", &signed)));
    }
    assert_eq!(header(&made(Profile::Wanderer, &one).unwrap(), "x-wanderer-signature-previous"), None);
}

#[test]
fn wanderer_signs_time_and_body() {
    let rendered = made(Profile::Wanderer, &[event("add_system", ADDED)]).unwrap();
    let expected = sign::hex("whsec_c2VjcmV0", &[b"1750509300.", &rendered.body]);
    assert_eq!(header(&rendered, "x-wanderer-signature"), Some(format!("sha256={expected}")));
    assert_eq!(header(&rendered, "x-wanderer-timestamp").as_deref(), Some("1750509300"));
    assert_eq!(header(&rendered, "x-wanderer-version").as_deref(), Some("1"));
}

#[test]
fn only_some_profiles_take_batches() {
    let many: Vec<Event> = (0..11).map(|slot| event_at(slot, "a", "{}")).collect();
    for (name, profile) in Profile::NAMES {
        let max = max_events(profile);
        assert!(matches!(made(profile, &[]), Err(RenderError::Count { given: 0, .. })), "{name}");
        assert_eq!(made(profile, &many).is_ok(), max >= 11, "{name}");
        assert!(made(profile, &many[..max.min(10)]).is_ok(), "{name}");
        assert_eq!(profile.batches(), max > 1, "{name}");
    }
    let id = header(&made(Profile::Standard, &many[..3]).unwrap(), "webhook-id");
    assert_eq!(id.as_deref(), Some("01JY97R74N0000000000070000-3-dd3377f02ca2eb37"));
    // A batch of as many events, with the same first event, is still another batch.
    let others = [many[0].clone(), many[1].clone(), many[3].clone()];
    assert_ne!(header(&made(Profile::Standard, &others).unwrap(), "webhook-id"), id);
}

#[test]
fn the_deepest_payloads_can_be_sent() {
    let deep = format!("{}1{}", "[{\"a\":".repeat(32), "}]".repeat(32));
    for (name, profile) in Profile::NAMES {
        for kind in ["x", "member_added"] {
            let made = made(profile, &[event(kind, &deep)]);
            assert!(made.is_ok(), "{name}: {made:?}");
        }
    }
}

#[test]
fn a_key_that_is_not_valid_in_a_header_is_an_error() {
    let map = MapText::from(MAP.parse::<MapId>().unwrap());
    let secrets = Secrets::new("s".into());
    let rendering = Rendering {
        profile: Profile::Pusher,
        map: &map,
        topic: TOPIC,
        key: "a\nb",
        template: None,
        secrets: &secrets,
    };
    let made = render(&rendering, &[event("a", "{}")], None, 1, NOW_MS);
    assert_eq!(made, Err(RenderError::Header("x-pusher-key")));
}

/// Any payload that a publisher might send.
pub(super) fn payloads() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        ".{0,40}",
        "[@<>\\[\\]()*_~`|#&\\\\a-z \\n-]{0,60}",
        Just("x".repeat(3000)),
        Just("*😀@".repeat(800)),
        Just("\u{200b} \n".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Into::into),
        text.clone().prop_map(Into::into),
    ];
    let key = prop_oneof!["[a-z_]{0,6}", "[0-9]{1,3}", "name|time_ms|url|channel|victim|value", text];
    let tree = leaf.prop_recursive(4, 64, 40, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::vec((key.clone(), inner), 0..40)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    });
    tree.prop_map(|value: Value| normalise(&value.to_string(), 64).unwrap_or_else(|_| "{}".into()))
}

/// Each event in a body carries its own id, alone or among others, whatever its payload holds.
#[test]
fn every_event_of_every_body_carries_its_own_id() {
    let payloads = ["{}", r#"{"id":"x","event_id":"x","name":"x","channel":"c","time_ms":1}"#, "7"];
    for (name, profile) in Profile::NAMES.iter().filter(|(_, profile)| !profile.is_chat()) {
        for kind in ["add_system", "member_added", "client_event"] {
            let events: Vec<Event> =
                (0..).zip(payloads).map(|(slot, payload)| event_at(slot, kind, payload)).collect();
            for events in [&events[..1], &events[1..2], &events[2..], &events[..max_events(*profile).min(3)]]
            {
                // The template of these tests shows the envelope of one event.
                let carried = if *profile == Profile::Template { &events[..1] } else { events };
                let body: Value = serde_json::from_slice(&made(*profile, events).unwrap().body).unwrap();
                let entries = body["events"].as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
                let id = |entry: &Value| entry[id_member(*profile)].as_str().unwrap_or_default().to_owned();
                let ids: Vec<String> = entries.iter().map(id).collect();
                let expected: Vec<String> = carried.iter().map(|event| event.id.to_string()).collect();
                assert_eq!(ids, expected, "{name} {kind}: {body}");
            }
        }
    }
}

fn id_member(profile: Profile) -> &'static str {
    if profile == Profile::Pusher { "event_id" } else { "id" }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn bodies_are_fixed_points_of_a_javascript_round_trip(
        payloads in prop::collection::vec(payloads(), 1..4),
        kind in prop::sample::select(vec!["add_system", "member_added", "client_event", "map_kill", "x"]),
    ) {
        let events: Vec<Event> = (0..).zip(&payloads).map(|(slot, payload)| event_at(slot, kind, payload)).collect();
        for (name, profile) in Profile::NAMES {
            let events = &events[..events.len().min(max_events(profile))];
            let body = body(profile, events);
            prop_assert_eq!(&normalise(&body, 128).unwrap(), &body, "{}", name);
        }
    }
}

#[test]
fn discords_url_has_its_pair_once() {
    for (url, expected) in [
        ("https://a.b/c", "https://a.b/c?wait=true"),
        ("https://a.b/c?", "https://a.b/c?wait=true"),
        ("https://a.b/c?thread_id=1", "https://a.b/c?thread_id=1&wait=true"),
        ("https://a.b/c?wait=false&thread_id=1&wait", "https://a.b/c?thread_id=1&wait=true"),
    ] {
        assert_eq!(dialled(Profile::Discord, url), expected);
        assert_eq!(dialled(Profile::Slack, url), url);
    }
}

/// A webhook's own headers replace neither a signature nor anything that it covers.
#[test]
fn every_header_of_a_profile_is_reserved() {
    let secrets = Secrets { previous: vec!["another".into()], ..Secrets::new("whsec_c2VjcmV0".into()) };
    for (_, profile) in Profile::NAMES {
        let made = made_with(profile, &secrets, &[event("x", "{}")], Some(EventId::new(1, 1, 1))).unwrap();
        let signed = made.headers.iter().filter(|(name, _)| ![CONTENT_TYPE, USER_AGENT].contains(name));
        let open: Vec<_> = signed.filter(|(name, _)| !is_reserved(profile, name.as_str())).collect();
        assert!(open.is_empty(), "{profile:?}: {open:?}");
    }
}
