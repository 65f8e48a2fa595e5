use super::*;
use crate::core::event::{NewEvent, Sender};
use crate::core::subject::Subject;
use proptest::prelude::*;

const SOCKET: SocketId = SocketId { a: 123, b: 456 };

fn new_event(data: &str) -> NewEvent {
    let (payload, text) = crate::core::data::payload_of(data);
    NewEvent { text, ..NewEvent::new(Subject::parse("orders").unwrap(), "placed", payload) }
}

fn stored(data: &str) -> Event {
    new_event(data).placed(EventId::new(1_750_509_296_789, 7, 3), 9, 1_750_509_296_789)
}

fn ephemeral(data: &str) -> Event {
    new_event(data).placed(EventId::ephemeral(1_750_509_296_789, 7, 3), 12, 1_750_509_296_789)
}

#[test]
fn messages_of_clients_are_read() {
    let subscribe = |channel: &str| Subscribe {
        channel: channel.to_owned(),
        auth: None,
        channel_data: None,
        after: None,
        rewind: None,
        former_sockets: None,
    };
    let signed = Subscribe {
        auth: Some("key:5f".to_owned()),
        channel_data: Some(r#"{"user_id":7}"#.to_owned()),
        ..subscribe("presence-a")
    };
    let event = |data: &str| {
        ClientMessage::Event(ClientEvent {
            name: "client-typed".to_owned(),
            channel: "private-a".to_owned(),
            data: data.to_owned(),
        })
    };
    for (text, message) in [
        (r#"{"event":"pusher:ping","data":{}}"#, ClientMessage::Ping),
        (r#"{"event":"pusher:ping","data":""}"#, ClientMessage::Ping),
        (r#"{"event":"pusher:ping"}"#, ClientMessage::Ping),
        (r#"{"data":null,"event":"pusher:pong"}"#, ClientMessage::Pong),
        (r#"{"event":"pusher:subscribe","data":{"channel":"a"}}"#, ClientMessage::Subscribe(subscribe("a"))),
        (
            r#"{"event":"pusher:subscribe","data":"{\"channel\":\"a\",\"more\":1}"}"#,
            ClientMessage::Subscribe(subscribe("a")),
        ),
        (
            r#"{"event":"pusher:subscribe","data":{"auth":"key:5f","channel_data":"{\"user_id\":7}","channel":"presence-a"}}"#,
            ClientMessage::Subscribe(signed),
        ),
        (
            r#"{"event":"pusher:subscribe","data":{"channel":"a","after":"x","rewind":5,"former_sockets":["1.2"],"auth":null}}"#,
            ClientMessage::Subscribe(Subscribe {
                after: Some("x".into()),
                rewind: Some(5.into()),
                former_sockets: Some(json!(["1.2"])),
                ..subscribe("a")
            }),
        ),
        (
            r#"{"event":"pusher:unsubscribe","data":{"channel":"a"}}"#,
            ClientMessage::Unsubscribe("a".to_owned()),
        ),
        (
            r#"{"event":"pusher:signin","data":{"auth":"k:s","user_data":"{\"id\":\"7\"}"}}"#,
            ClientMessage::SignIn(SignIn { auth: "k:s".to_owned(), user_data: r#"{"id":"7"}"#.to_owned() }),
        ),
        (r#"{"event":"client-typed","channel":"private-a","data":{ "a": 1.0 }}"#, event(r#"{ "a": 1.0 }"#)),
        (r#"{"event":"client-typed","channel":"private-a","data":"a \"b\""}"#, event("a \"b\"")),
        (r#"{"event":"client-typed","channel":"private-a"}"#, event("null")),
        (r#"{"event":"order","channel":"a","data":1}"#, ClientMessage::Unknown("order".to_owned())),
        (r#"{"event":"pusher:other"}"#, ClientMessage::Unknown("pusher:other".to_owned())),
    ] {
        assert_eq!(decode(text), Ok(message), "{text}");
    }
}

#[test]
fn what_is_no_message_is_refused() {
    for text in
        ["", "x", "[]", "{}", "7", r#"{"event":7}"#, r#"{"event":"a""#, r#"{"event":"a","event":"b"}"#]
    {
        assert_eq!(decode(text), Err(FrameError::Shape), "{text}");
    }
    for text in [
        r#"{"event":"pusher:subscribe"}"#,
        r#"{"event":"pusher:subscribe","data":{}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":7}}"#,
        r#"{"event":"pusher:subscribe","data":"a"}"#,
        r#"{"event":"pusher:subscribe","data":"\ud800"}"#,
        r#"{"event":"pusher:unsubscribe","data":{"channel":null}}"#,
        r#"{"event":"pusher:signin","data":{"auth":"a"}}"#,
        r#"{"event":"client-a","data":1}"#,
    ] {
        assert_eq!(decode(text), Err(FrameError::Data), "{text}");
    }
}

#[test]
fn golden_messages_of_the_connection() {
    let established = r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"123.456\",\"activity_timeout\":120}"}"#;
    assert_eq!(super::established(SOCKET, 120), established);
    for (message, golden) in [
        (ping(), r#"{"event":"pusher:ping","data":{}}"#),
        (pong(), r#"{"event":"pusher:pong","data":{}}"#),
        (
            error(Some(4301), "too fast"),
            r#"{"data":{"code":4301,"message":"too fast"},"event":"pusher:error"}"#,
        ),
        (error(None, "no"), r#"{"data":{"code":null,"message":"no"},"event":"pusher:error"}"#),
        (
            signed_in(r#"{"id":"7"}"#),
            r#"{"event":"pusher:signin_success","data":"{\"user_data\":\"{\\\"id\\\":\\\"7\\\"}\"}"}"#,
        ),
        (
            watchlist(true, &["7", "8"]),
            r#"{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"7\",\"8\"]}]}"}"#,
        ),
        (
            watchlist(false, &["7"]),
            r#"{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"7\"]}]}"}"#,
        ),
    ] {
        same(&message, golden);
    }
}

/// Compares as JSON: the order of members differs between builds of the JSON library.
fn same(message: &str, golden: &str) {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(read(message), read(golden), "{message}");
}

#[test]
fn golden_messages_of_a_channel() {
    let id = EventId::new(1_750_509_296_789, 7, 3);
    let nobody: [(&str, &[u8]); 0] = [];
    let members = [("7", &b"{\"name\":\"Ada\"}"[..]), ("8", &b""[..])];
    for (message, golden) in [
        (
            subscribed("a", None, None),
            r#"{"event":"pusher_internal:subscription_succeeded","channel":"a","data":"{}"}"#,
        ),
        (
            subscribed("a", None, Some((id, 9))),
            r#"{"event":"pusher_internal:subscription_succeeded","channel":"a","data":"{}","id":"01JY97R74N0000000000070003","seq":9}"#,
        ),
        (
            subscribed("presence-a", Some(&members_of(members.into_iter())), None),
            r#"{"event":"pusher_internal:subscription_succeeded","channel":"presence-a","data":"{\"presence\":{\"count\":2,\"ids\":[\"7\",\"8\"],\"hash\":{\"7\":{\"name\":\"Ada\"},\"8\":null}}}"}"#,
        ),
        (members_of(nobody.into_iter()), r#"{"presence":{"count":0,"ids":[],"hash":{}}}"#),
        (
            not_subscribed("private-a", "AuthError", 401, "why"),
            r#"{"event":"pusher:subscription_error","channel":"private-a","data":{"type":"AuthError","error":"why","status":401}}"#,
        ),
        (
            member_added("presence-a", "7", b"{\"name\":\"Ada\"}"),
            r#"{"event":"pusher_internal:member_added","channel":"presence-a","data":"{\"user_id\":\"7\",\"user_info\":{\"name\":\"Ada\"}}"}"#,
        ),
        (
            member_removed("presence-a", "7"),
            r#"{"event":"pusher_internal:member_removed","channel":"presence-a","data":"{\"user_id\":\"7\"}"}"#,
        ),
        (
            member_added("presence-a", "a\"b", b""),
            r#"{"event":"pusher_internal:member_added","channel":"presence-a","data":"{\"user_id\":\"a\\\"b\",\"user_info\":null}"}"#,
        ),
        (
            member_removed("presence-a", "a\"b"),
            r#"{"event":"pusher_internal:member_removed","channel":"presence-a","data":"{\"user_id\":\"a\\\"b\"}"}"#,
        ),
        (
            subscription_count("a", 3),
            r#"{"event":"pusher_internal:subscription_count","channel":"a","data":"{\"subscription_count\":3}"}"#,
        ),
        (cache_miss("cache-a"), r#"{"event":"pusher:cache_miss","channel":"cache-a"}"#),
        (
            gap("a", Some(id)),
            r#"{"event":"waypost:gap","channel":"a","data":"{\"oldest_id\":\"01JY97R74N0000000000070003\"}"}"#,
        ),
        (gap("a", None), r#"{"event":"waypost:gap","channel":"a","data":"{\"oldest_id\":null}"}"#),
    ] {
        same(&message, golden);
    }
}

#[test]
fn golden_events() {
    let of_user =
        |event: Event| Event { sender: Some(Sender { socket: SOCKET, user: Some("7".into()) }), ..event };
    for (event, golden) in [
        (ephemeral(r#"{"a":1}"#), r#"{"event":"placed","channel":"private-map-1","data":"{\"a\":1}"}"#),
        (
            ephemeral("plain \"text\""),
            r#"{"event":"placed","channel":"private-map-1","data":"plain \"text\""}"#,
        ),
        (of_user(ephemeral("1")), r#"{"event":"placed","channel":"private-map-1","data":"1","user_id":"7"}"#),
        (
            stored(r#"{ "a": 1.0 }"#),
            r#"{"event":"placed","channel":"private-map-1","data":"{ \"a\": 1.0 }","id":"01JY97R74N0000000000070003","seq":9}"#,
        ),
    ] {
        assert_eq!(super::event("private-map-1", &event), golden);
    }
    let mut position = Vec::new();
    write_position("a", EventId::new(1_750_509_296_789, 7, 3), 9, &mut position);
    assert_eq!(
        String::from_utf8(position).unwrap(),
        r#"{"event":"waypost:position","channel":"a","data":"{}","id":"01JY97R74N0000000000070003","seq":9}"#
    );
}

proptest! {
    #[test]
    fn data_arrives_as_it_was_published(data in any::<String>()) {
        for of in [stored, ephemeral] {
            let frame: Value = serde_json::from_str(&event("a", &of(&data))).unwrap();
            prop_assert_eq!(frame["data"].as_str(), Some(data.as_str()));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}", name in "(pusher:|client-)?[a-z:_-]{0,12}", data in ".{0,40}") {
        let _ = decode(&text);
        let message = serde_json::json!({"event": name, "channel": "a", "data": data}).to_string();
        let _ = decode(&message);
    }
}
