//! Events: what a publisher sends, what the log keeps, and the envelope that clients see.

mod encoded;
mod stored;

pub(crate) use encoded::{EncodedEvent, Extras};

use super::data::text_of;
use super::ids::{EventId, MapId, SocketId, SourceId};
use super::json::write_string;
use super::subject::Subject;
use super::time::push_iso_millis;
use super::trace::TraceContext;
use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Longest event type (characters).
pub const MAX_KIND_LEN: usize = 200;

/// Longest event type (bytes).
pub const MAX_KIND_BYTES: usize = 4 * MAX_KIND_LEN;

/// An event to publish. The payload is JSON in normal form (see [`super::json`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The subject.
    pub subject: Subject,
    /// The event's type.
    pub kind: String,
    /// The payload's bytes.
    pub payload: Bytes,
    /// The published text, if the payload does not give it back (see [`super::data::payload_of`]).
    pub text: Option<ByteString>,
    /// The socket that sent the event, if it is not to get the event itself.
    pub sender: Option<Sender>,
    /// How the event came in, if it came through an ingest source.
    pub ingested: Option<Ingested>,
    /// The trace that the event belongs to, if its publisher says so or the server records one.
    pub trace: Option<TraceContext>,
}

/// How an event came in through an ingest source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingested {
    /// The source.
    pub source: SourceId,
    /// Whether the payload was checked by the source's schema and met it.
    pub validated: bool,
    /// The event's time as its sender states it (Unix milliseconds), if it states one.
    pub time_ms: Option<u64>,
}

/// The socket that sent an event. That socket does not get the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The socket.
    pub socket: SocketId,
    /// The user whose socket it is, on a presence subject.
    #[serde(with = "encoded::optional_text")]
    pub user: Option<ByteString>,
}

impl NewEvent {
    /// An event without a text of its own and without a sender.
    pub fn new(subject: Subject, kind: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        let payload: Vec<u8> = payload.into();
        let (kind, payload) = (kind.into(), payload.into());
        Self { subject, kind, payload, text: None, sender: None, ingested: None, trace: None }
    }

    /// The bytes that count for a publisher: subject, type, payload and text.
    pub fn len_bytes(&self) -> usize {
        let text = self.text.as_ref().map_or(0, |text| text.len());
        self.subject.as_str().len() + self.kind.len() + self.payload.len() + text
    }

    /// The event as it was published, with the id, the seq and the time that it got.
    pub fn placed(self, id: EventId, seq: u64, time_ms: u64) -> Event {
        let Self { subject, kind, payload, text, sender, ingested, trace } = self;
        Event { id, seq, subject, time_ms, kind: kind.into(), payload, text, sender, ingested, trace }
    }
}

/// The clocks' readings when an event was stored (milliseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The event's time, since 1970. It may be earlier than that of the event before.
    pub time_ms: u64,
    /// The highest time of an event of the stream so far. Searches by time use it.
    pub peak_ms: u64,
    /// The reading of the expiry clock, by which events are removed.
    pub expiry_ms: u64,
}

impl Times {
    /// Returns times in which all clocks agree.
    pub const fn at(ms: u64) -> Self {
        Self { time_ms: ms, peak_ms: ms, expiry_ms: ms }
    }
}

/// A stored event, or an ephemeral one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Id, unique over all streams.
    pub id: EventId,
    /// Position in the stream, assigned without gaps from 1; a reader of one subject sees the numbers of its
    /// events. An ephemeral event's seq is its position on this node and is never shown.
    pub seq: u64,
    /// The subject.
    pub subject: Subject,
    /// When the leader accepted the event, by the median of a majority's clocks (Unix milliseconds).
    pub time_ms: u64,
    /// Type.
    pub kind: ByteString,
    /// Payload, JSON in normal form.
    pub payload: Bytes,
    /// The published text, if the payload does not give it back.
    pub text: Option<ByteString>,
    /// The socket that sent the event, if it is not to get the event itself.
    pub sender: Option<Sender>,
    /// How the event came in, if it came through an ingest source.
    pub ingested: Option<Ingested>,
    /// The trace that the event belongs to, if it belongs to one.
    pub trace: Option<TraceContext>,
}

/// Prefixes of what protocols themselves say on a channel. Clients would take an event of such a type for a
/// message of the server: it would close their channels, or change their lists of members.
const RESERVED: [&str; 5] = ["phx_", "chan_reply_", "pusher:", "pusher_internal:", "waypost:"];

/// The form of an event's type, for messages to callers: a type has, or must have, all of this.
pub const KIND_FORM: &str = "1 to 200 characters, none of them a control character, a comma or *, \
     and no beginning that is reserved: phx_, chan_reply_, pusher:, pusher_internal:, waypost:";

/// Returns whether `kind` can be an event's type: 1–200 characters, without control characters, `,` and `*`,
/// and without a prefix that is reserved.
pub fn is_kind(kind: &str) -> bool {
    !kind.is_empty()
        && (kind.len() <= MAX_KIND_LEN || kind.chars().nth(MAX_KIND_LEN).is_none())
        && kind.chars().all(is_kind_char)
        && !RESERVED.iter().any(|prefix| kind.starts_with(prefix))
}

/// Returns whether a type may contain this character.
pub fn is_kind_char(char: char) -> bool {
    !char.is_control() && char != ',' && char != '*'
}

impl Event {
    /// Returns the published text: the kept one, or else the content of a JSON string, or else the payload.
    pub fn data(&self) -> Cow<'_, str> {
        self.text.as_ref().map_or_else(|| text_of(&self.payload), |text| Cow::Borrowed(&**text))
    }

    /// The bytes of what it carries: subject, type, payload and text.
    pub fn len_bytes(&self) -> usize {
        let text = self.text.as_ref().map_or(0, |text| text.len());
        self.subject.as_str().len() + self.kind.len() + self.payload.len() + text
    }

    /// Writes the envelope `{"id","seq","type","subject","map_id","ts","user_id","payload"}`. The map's own
    /// subject is left out, and so are the `seq` of an ephemeral event and the `user_id` of an event without
    /// one. With `timestamp` the time is also written under that name, which Wanderer's SSE clients expect.
    pub fn write_envelope(&self, map: &MapText, timestamp: bool, out: &mut Vec<u8>) {
        self.write_head(map, timestamp, out);
        self.write_payload(out);
    }

    /// Writes the envelope with a member `traceparent` before the payload, if the event belongs to a trace.
    /// It is for readers whose protocol carries no such header.
    pub fn write_traced_envelope(&self, map: &MapText, out: &mut Vec<u8>) {
        self.write_head(map, false, out);
        self.write_trace(out);
        self.write_payload(out);
    }

    /// Writes the member `traceparent` behind others, if the event belongs to a trace.
    pub fn write_trace(&self, out: &mut Vec<u8>) {
        if let Some(trace) = &self.trace {
            out.extend_from_slice(format!(",\"traceparent\":\"{trace}\"").as_bytes());
        }
    }

    /// Writes the envelope up to its payload.
    fn write_head(&self, map: &MapText, timestamp: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(self.id.encode(&mut [0; EventId::TEXT_LEN]).as_bytes());
        if self.id.is_ephemeral() {
            out.extend_from_slice(b"\",\"type\":");
        } else {
            out.extend_from_slice(b"\",\"seq\":");
            push_number(self.seq, out);
            out.extend_from_slice(b",\"type\":");
        }
        push_json_string(&self.kind, out);
        if !self.subject.is_own() {
            out.extend_from_slice(b",\"subject\":\"");
            out.extend_from_slice(self.subject.as_str().as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b",\"map_id\":\"");
        out.extend_from_slice(map.0.as_bytes());
        push_iso_millis(self.time_ms, &mut |ts| {
            out.extend_from_slice(b"\",\"ts\":\"");
            out.extend_from_slice(ts.as_bytes());
            if timestamp {
                out.extend_from_slice(b"\",\"timestamp\":\"");
                out.extend_from_slice(ts.as_bytes());
            }
        });
        out.push(b'"');
        if let Some(user) = self.sender.as_ref().and_then(|sender| sender.user.as_ref()) {
            out.extend_from_slice(b",\"user_id\":");
            push_json_string(user, out);
        }
    }

    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"payload\":");
        out.extend_from_slice(&self.payload);
        out.push(b'}');
    }
}

/// The text form of a map's id, made once for all envelopes of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapText(String);

impl MapText {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<MapId> for MapText {
    fn from(map: MapId) -> Self {
        Self(map.to_string())
    }
}

/// Appends `text` as a JSON string.
pub fn push_json_string(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        return out.push(b'"');
    }
    let mut quoted = String::with_capacity(text.len() + 8);
    write_string(text, &mut quoted);
    out.extend_from_slice(quoted.as_bytes());
}

/// Appends a decimal number.
pub fn push_number(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any event, with or without a text and a sender.
    pub(crate) fn new_event() -> impl Strategy<Value = NewEvent> {
        let text = || any::<Option<String>>().prop_map(|text| text.map(ByteString::from));
        let sender = (any::<u64>(), any::<u64>(), text())
            .prop_map(|(a, b, user)| Sender { socket: SocketId::new(a, b), user });
        let plain = ("[a-z0-9_:-]{0,20}", "[a-z.é]{1,20}", any::<Vec<u8>>());
        let ingested = (any::<[u8; 16]>(), any::<bool>(), any::<Option<u64>>()).prop_map(
            |(source, validated, time_ms)| Ingested {
                source: SourceId::from_bytes(source),
                validated,
                time_ms,
            },
        );
        let trace = (any::<[u8; 16]>(), any::<[u8; 8]>())
            .prop_map(|(trace, span)| TraceContext::from_bytes(TraceContext::begin(trace, span).to_bytes()));
        (plain, text(), prop::option::of(sender), prop::option::of(ingested), trace).prop_map(
            |((subject, kind, payload), text, sender, ingested, trace)| NewEvent {
                text,
                sender,
                ingested,
                trace,
                ..NewEvent::new(Subject::parse(&subject).unwrap(), kind, payload)
            },
        )
    }

    fn event() -> NewEvent {
        NewEvent::new(Subject::own(), "add_system", *br#"{"name":"J123456"}"#)
    }

    #[test]
    fn an_envelope_has_the_documented_form() {
        let id = EventId::new(1_750_509_296_789, 7, 3);
        let event = Event::from_stored(9, Event::to_stored(id, &event()).into()).unwrap();
        let map = MapText::from("550e8400-e29b-41d4-a716-446655440000".parse::<MapId>().unwrap());
        let mut out = Vec::new();
        event.write_envelope(&map, false, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"id":"01JY97R74N0000000000070003","seq":9,"type":"add_system","map_id":"550e8400-e29b-41d4-a716-446655440000","ts":"2025-06-21T12:34:56.789Z","payload":{"name":"J123456"}}"#
        );
    }

    #[test]
    fn an_envelope_names_its_subject() {
        let new = NewEvent::new(Subject::parse("orders-7").unwrap(), "App\\Events\\X \"é\"", *b"1");
        let stored = Event::to_stored(EventId::new(1_750_509_296_789, 7, 3), &new);
        assert_eq!(Event::stored_subject(&stored), Some("orders-7"));
        let event = Event::from_stored(9, stored.into()).unwrap();
        let map = MapText::from("550e8400-e29b-41d4-a716-446655440000".parse::<MapId>().unwrap());
        let mut out = Vec::new();
        event.write_envelope(&map, false, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"id":"01JY97R74N0000000000070003","seq":9,"type":"App\\Events\\X \"é\"","subject":"orders-7","map_id":"550e8400-e29b-41d4-a716-446655440000","ts":"2025-06-21T12:34:56.789Z","payload":1}"#
        );
    }

    #[test]
    fn a_traced_envelope_names_the_trace_and_is_plain_without_one() {
        let map = MapText::from(MapId::from_bytes([1; 16]));
        let written = |event: &NewEvent, traced: bool| {
            let event = event.clone().placed(EventId::new(1_750_509_296_789, 7, 3), 9, 1_750_509_296_789);
            let mut out = Vec::new();
            if traced {
                event.write_traced_envelope(&map, &mut out);
            } else {
                event.write_envelope(&map, false, &mut out);
            }
            String::from_utf8(out).unwrap()
        };
        let plain = event();
        let traced = NewEvent { trace: Some(TraceContext::begin([1; 16], [2; 8])), ..plain.clone() };
        assert_eq!(written(&plain, true), written(&plain, false));
        assert_eq!(written(&traced, false), written(&plain, false));
        let member =
            ",\"traceparent\":\"00-01010101010101010101010101010101-0202020202020202-03\",\"payload\":";
        assert_eq!(written(&traced, true), written(&plain, false).replace(",\"payload\":", member));
    }

    #[test]
    fn an_envelope_of_an_ephemeral_event_has_no_seq() {
        let new = NewEvent::new(Subject::parse("live-7").unwrap(), "moved", *b"1");
        let event = new.placed(EventId::ephemeral(1_750_509_296_789, 7, 3), 12, 1_750_509_296_789);
        let map = MapText::from("550e8400-e29b-41d4-a716-446655440000".parse::<MapId>().unwrap());
        let mut out = Vec::new();
        event.write_envelope(&map, false, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"id":"01JY97R74NZZR00000E0000003","type":"moved","subject":"live-7","map_id":"550e8400-e29b-41d4-a716-446655440000","ts":"2025-06-21T12:34:56.789Z","payload":1}"#
        );
    }

    #[test]
    fn an_envelope_shows_the_sending_user_and_never_the_socket_or_the_text() {
        let sender = Sender { socket: SocketId { a: 12, b: 34 }, user: Some("u \"1\"".into()) };
        let new = NewEvent {
            text: Some(" 1".into()),
            sender: Some(sender),
            ..NewEvent::new(Subject::parse("presence-a").unwrap(), "client-typing", *b"1")
        };
        let event = new.placed(EventId::new(1_750_509_296_789, 7, 3), 9, 1_750_509_296_789);
        let map = MapText::from("550e8400-e29b-41d4-a716-446655440000".parse::<MapId>().unwrap());
        let mut out = Vec::new();
        event.write_envelope(&map, false, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"id":"01JY97R74N0000000000070003","seq":9,"type":"client-typing","subject":"presence-a","map_id":"550e8400-e29b-41d4-a716-446655440000","ts":"2025-06-21T12:34:56.789Z","user_id":"u \"1\"","payload":1}"#
        );
    }

    #[test]
    fn data_is_the_text_as_it_was_published() {
        for text in ["hello", "{\"a\":1}", "{ \"a\": 1 }", "\"quoted\"", "12", ""] {
            let (payload, kept) = crate::core::data::payload_of(text);
            let new = NewEvent { text: kept, ..NewEvent::new(Subject::own(), "a", payload) };
            let stored = Event::to_stored(EventId::new(1, 7, 3), &new);
            assert_eq!(Event::from_stored(9, stored.into()).unwrap().data(), text);
        }
    }

    #[test]
    fn event_types_are_bounded_and_have_no_reserved_characters() {
        for good in [
            "a",
            "add_system",
            "session.started",
            "0:x",
            "App\\Events\\X",
            "_x",
            "a b",
            "é\"",
            &"é".repeat(200),
        ] {
            assert!(is_kind(good), "{good}");
        }
        let reserved = RESERVED.map(|prefix| format!("{prefix}a"));
        assert!(reserved.iter().all(|kind| !is_kind(kind)) && RESERVED.iter().all(|p| KIND_FORM.contains(p)));
        for bad in ["", "phx_close", "a,b", "a*", "a\n", "\u{85}", &"a".repeat(201)] {
            assert!(!is_kind(bad), "{bad}");
        }
    }
}
