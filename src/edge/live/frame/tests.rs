use super::*;
use crate::core::event::NewEvent;
use crate::core::subject::Subject;
use proptest::prelude::*;
use serde_json::{Value, json};

const ID: &str = "01JY97R74N0000000000070003";

fn id() -> EventId {
    ID.parse().unwrap()
}

fn session(json: &str) -> SessionId {
    SessionId::read(&serde_json::value::RawValue::from_string(json.to_owned()).unwrap()).unwrap()
}

#[test]
fn messages_of_the_guide_are_read() {
    let auth = |token: Option<&str>, map: Option<&str>, after| {
        ClientMessage::Auth(Auth { token: token.map(str::to_owned), map: map.map(str::to_owned), after })
    };
    for (text, expected) in [
        (r#"{"type":"ping"}"#, ClientMessage::Ping),
        (r#"{"type":"auth","token":"abc"}"#, auth(Some("abc"), None, After::Absent)),
        (r#"{ "token": "abc", "type": "auth" }"#, auth(Some("abc"), None, After::Absent)),
        (r#"{"type":"auth"}"#, auth(None, None, After::Absent)),
        (r#"{"type":"auth","token":null}"#, auth(None, None, After::Absent)),
        (
            r#"{"type":"auth","token":"a","map":"home","after":null}"#,
            auth(Some("a"), Some("home"), After::Nothing),
        ),
        (r#"{"type":"subscribe","sessionId":3}"#, ClientMessage::Subscribe(session("3"), After::Absent)),
        (
            r#"{"type":"subscribe","sessionId":"a"}"#,
            ClientMessage::Subscribe(session("\"a\""), After::Absent),
        ),
        (
            r#"{"type":"subscribe","sessionId":3,"after":"01JY97R74N0000000000070003"}"#,
            ClientMessage::Subscribe(session("3"), After::Event(id())),
        ),
        (r#"{"type":"unsubscribe","sessionId":3}"#, ClientMessage::Unsubscribe(session("3"))),
    ] {
        assert_eq!(decode(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_cannot_be_understood_is_refused() {
    for (text, told) in [
        ("", "Invalid message format"),
        ("hello", "Invalid message format"),
        ("[]", "Invalid message format"),
        ("{}", "Invalid message format"),
        (r#"{"type":7}"#, "Invalid message format"),
        (r#"{"type":"publish"}"#, "Unknown message type: publish"),
        (r#"{"type":"subscribe"}"#, "Session ID required"),
        (r#"{"type":"subscribe","sessionId":null}"#, "Session ID required"),
        (r#"{"type":"unsubscribe","sessionId":-1}"#, "Session ID required"),
        (r#"{"type":"subscribe","sessionId":3,"after":"x"}"#, "must be the id of an event"),
        (r#"{"type":"subscribe","sessionId":3,"after":7}"#, "must be the id of an event"),
        (r#"{"type":"subscribe","sessionId":3,"aftr":null}"#, "did you mean after?"),
        (r#"{"type":"subscribe","sessionId":3,"sessionId":4}"#, "is given twice"),
        (r#"{"type":"auth","token":7}"#, "token: must be a string"),
        (r#"{"type":"ping","x":1}"#, "x: is not a known field"),
    ] {
        let error = decode(text).unwrap_err().to_string();
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn a_token_is_never_shown() {
    let message = decode(r#"{"type":"auth","token":"wp_secret"}"#).unwrap();
    assert!(!format!("{message:?}").contains("wp_secret"));
    let error = decode(r#"{"type":"auth","token":["wp_secret"]}"#).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("wp_secret"));
}

#[test]
fn golden_frames() {
    let told = |gap| Some(Told { before: id(), gap });
    for (frame, expected) in [
        (auth_success(None), r#"{"type":"auth_success","message":"Authenticated successfully"}"#.to_owned()),
        (
            auth_success(told(None)),
            format!(r#"{{"type":"auth_success","message":"Authenticated successfully","id":"{ID}"}}"#),
        ),
        (
            auth_error("Invalid or expired token", None),
            r#"{"type":"auth_error","message":"Invalid or expired token"}"#.to_owned(),
        ),
        (
            auth_error("Token required", None),
            r#"{"type":"auth_error","message":"Token required"}"#.to_owned(),
        ),
        (
            auth_error("full", Some(5000)),
            r#"{"type":"auth_error","message":"full","retry_ms":5000}"#.to_owned(),
        ),
        (error("a \"b\""), r#"{"type":"error","message":"a \"b\""}"#.to_owned()),
        (
            not_subscribed(&session("3"), "full", None),
            r#"{"type":"error","message":"full","sessionId":3}"#.to_owned(),
        ),
        (subscribed(&session("3"), None), r#"{"type":"subscribed","sessionId":3}"#.to_owned()),
        (subscribed(&session("\"3\""), None), r#"{"type":"subscribed","sessionId":"3"}"#.to_owned()),
        (
            subscribed(&session("3"), told(None)),
            format!(r#"{{"type":"subscribed","sessionId":3,"id":"{ID}"}}"#),
        ),
        (
            subscribed(&session("3"), told(Some(Some(id())))),
            format!(r#"{{"type":"subscribed","sessionId":3,"id":"{ID}","gap":true,"oldest_id":"{ID}"}}"#),
        ),
        (
            subscribed(&session("3"), told(Some(None))),
            format!(r#"{{"type":"subscribed","sessionId":3,"id":"{ID}","gap":true,"oldest_id":null}}"#),
        ),
        (unsubscribed(&session("3")), r#"{"type":"unsubscribed","sessionId":3}"#.to_owned()),
        (pong(), r#"{"type":"pong"}"#.to_owned()),
    ] {
        assert_eq!(frame, expected);
    }
}

fn event(kind: &str, payload: &str) -> Event {
    let new = NewEvent::new(Subject::parse("session:3").unwrap(), kind, payload);
    Event::from_stored(9, Event::to_stored(id(), &new).into()).unwrap()
}

fn written(session: Option<&str>, event: &Event) -> String {
    text(|out| write_event(session, event, out))
}

#[test]
fn golden_events() {
    // The guide's own example.
    let data = r#"{"session":{"id":3,"is_active":true,"games_played":2},"game":{"id":42,"title":"Quiplash 3","pack_name":"Jackbox Party Pack 7","min_players":3,"max_players":8,"manually_added":false}}"#;
    let added = event("game.added", data);
    let shown =
        format!(r#"{{"type":"game.added","timestamp":"2025-06-21T12:34:56.789Z","data":{data},"id":"{ID}""#);
    assert_eq!(written(Some("3"), &added), format!("{shown},\"sessionId\":3}}"));
    assert_eq!(written(Some("\"a\""), &added), format!("{shown},\"sessionId\":\"a\"}}"));
    assert_eq!(written(None, &added), format!("{shown}}}"));
    let open = event("App\\X \"é\"", "1");
    assert_eq!(
        written(None, &open),
        format!(r#"{{"type":"App\\X \"é\"","timestamp":"2025-06-21T12:34:56.789Z","data":1,"id":"{ID}"}}"#)
    );
    let position = text(|out| write_position(Some("3"), id(), out));
    assert_eq!(position, format!(r#"{{"type":"position","id":"{ID}","sessionId":3}}"#));
    assert_eq!(text(|out| write_position(None, id(), out)), format!(r#"{{"type":"position","id":"{ID}"}}"#));
}

/// A client takes a frame by its type: no event may look like one of the server's own.
#[test]
fn an_event_is_never_taken_for_a_frame_of_the_server() {
    for own in OWN {
        let shown: Value = serde_json::from_str(&written(None, &event(own, "{}"))).unwrap();
        assert_eq!((&shown["type"], &shown["event"]), (&json!("event"), &json!(own)));
    }
}

#[test]
fn an_ephemeral_event_has_no_id_to_resume_by() {
    let new = NewEvent::new(Subject::parse("session:3").unwrap(), "moved", "1");
    let event = new.placed(EventId::ephemeral(1_750_509_296_789, 7, 3), 12, 1_750_509_296_789);
    let expected = r#"{"type":"moved","timestamp":"2025-06-21T12:34:56.789Z","data":1,"sessionId":3}"#;
    assert_eq!(written(Some("3"), &event), expected);
}

proptest! {
    /// Whatever is sent, an answer to it is JSON.
    #[test]
    fn every_answer_is_json(text in any::<String>()) {
        if let Err(bad) = decode(&text) {
            prop_assert!(serde_json::from_str::<Value>(&error(&bad.to_string())).is_ok());
        }
    }

    #[test]
    fn what_is_subscribed_is_named_in_the_answer(number in 0u64..1 << 53) {
        let text = json!({"type": "subscribe", "sessionId": number}).to_string();
        let Ok(ClientMessage::Subscribe(id, After::Absent)) = decode(&text) else {
            return Err(TestCaseError::fail(text));
        };
        let answer: Value = serde_json::from_str(&subscribed(&id, None)).unwrap();
        prop_assert_eq!(&answer["sessionId"], &json!(number));
    }
}

#[test]
fn a_frame_names_the_trace_of_its_event() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let plain = NewEvent::new(Subject::own(), "a", "{}");
    let traced = NewEvent { trace: crate::core::trace::TraceContext::parse(parent), ..plain.clone() };
    let of = |new: NewEvent| {
        let event = new.placed(id(), 9, 1_750_509_296_789);
        text(|out| write_event(None, &event, out))
    };
    let (plain, traced): (Value, Value) =
        (serde_json::from_str(&of(plain)).unwrap(), serde_json::from_str(&of(traced)).unwrap());
    assert_eq!(plain.get("traceparent"), None);
    let mut expected = plain;
    expected["traceparent"] = json!(parent);
    assert_eq!(traced, expected);
}
