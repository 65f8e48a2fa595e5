//! Events: what a publisher sends, what the log keeps, and the envelope that clients see.

use super::ids::{EventId, MapId};
use super::json::write_string;
use super::subject::Subject;
use super::time::push_iso_millis;
use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// Longest event type (characters).
pub const MAX_KIND_LEN: usize = 200;

/// Longest event type (bytes).
pub const MAX_KIND_BYTES: usize = 4 * MAX_KIND_LEN;

/// An event to publish. The payload is JSON in normal form (see [`super::json`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// The subject.
    pub subject: Subject,
    /// The event's type.
    pub kind: String,
    /// The payload's bytes.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
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
}

/// Prefixes of the Phoenix protocol's own events. An event of such a type would close its subscribers'
/// channels.
const RESERVED: [&str; 2] = ["phx_", "chan_reply_"];

/// Returns whether `kind` can be an event's type: 1–200 characters, without control characters, `,` and `*`,
/// and without a prefix that Phoenix reserves.
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

const STORED_V3: u8 = 3;
const STORED_TIMES: usize = 1 + 16;
/// Format, id, times, length of the subject, length of the type.
const STORED_HEAD: usize = STORED_TIMES + 3 * 8 + 1 + 2;

impl Event {
    /// Encodes an event like [`Event::to_stored_at`], with all clocks at the id's milliseconds.
    pub fn to_stored(id: EventId, event: &NewEvent) -> Vec<u8> {
        Self::to_stored_at(id, Times::at(id.id_ms()), event)
    }

    /// Encodes an event as it is stored: format, id, times, lengths of subject and type, subject, type,
    /// payload. The store's key has the stream and the seq.
    pub fn to_stored_at(id: EventId, times: Times, event: &NewEvent) -> Vec<u8> {
        let subject = event.subject.as_str().as_bytes();
        let kind = &event.kind.as_bytes()[..event.kind.floor_char_boundary(MAX_KIND_BYTES)];
        let mut bytes = Vec::with_capacity(STORED_HEAD + subject.len() + kind.len() + event.payload.len());
        bytes.push(STORED_V3);
        bytes.extend_from_slice(&id.to_bytes());
        for ms in [times.time_ms, times.peak_ms, times.expiry_ms] {
            bytes.extend_from_slice(&ms.to_be_bytes());
        }
        // A subject has at most 200 bytes, a type at most 800.
        bytes.push(subject.len() as u8);
        bytes.extend_from_slice(&(kind.len() as u16).to_be_bytes());
        bytes.extend_from_slice(subject);
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(&event.payload);
        bytes
    }

    /// Decodes what [`Event::to_stored_at`] wrote; `None` if it did not write these bytes.
    pub fn from_stored(seq: u64, bytes: Bytes) -> Option<Self> {
        let id = Self::stored_id(&bytes)?;
        let times = Self::stored_times(&bytes)?;
        let (kind_from, payload_from) = stored_parts(&bytes)?;
        let subject = ByteString::try_from(bytes.slice(STORED_HEAD..kind_from)).ok()?;
        let subject = Subject::from_stored(subject)?;
        let kind = ByteString::try_from(bytes.slice(kind_from..payload_from)).ok()?;
        Some(Self { id, seq, subject, time_ms: times.time_ms, kind, payload: bytes.slice(payload_from..) })
    }

    /// Reads only the subject of a stored event.
    pub fn stored_subject(bytes: &[u8]) -> Option<&str> {
        Self::stored_id(bytes)?;
        std::str::from_utf8(&bytes[STORED_HEAD..stored_parts(bytes)?.0]).ok()
    }

    /// Reads only the id of a stored event.
    pub fn stored_id(bytes: &[u8]) -> Option<EventId> {
        if bytes.first() != Some(&STORED_V3) {
            return None;
        }
        Some(EventId::from_bytes(bytes.get(1..STORED_TIMES)?.try_into().ok()?))
    }

    /// Reads only the times of a stored event.
    pub fn stored_times(bytes: &[u8]) -> Option<Times> {
        let ms = |n: usize| {
            let from = STORED_TIMES + n * 8;
            Some(u64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?))
        };
        Some(Times { time_ms: ms(0)?, peak_ms: ms(1)?, expiry_ms: ms(2)? })
    }

    /// Writes the envelope `{"id","seq","type","subject","map_id","ts","payload"}`. The map's own subject is
    /// left out, and so is the `seq` of an ephemeral event. With `timestamp` the time is also written under
    /// that name, which Wanderer's SSE clients expect.
    pub fn write_envelope(&self, map: &MapText, timestamp: bool, out: &mut Vec<u8>) {
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
        out.extend_from_slice(b"\",\"payload\":");
        out.extend_from_slice(&self.payload);
        out.push(b'}');
    }
}

/// Returns where the type and the payload of a stored event begin.
fn stored_parts(bytes: &[u8]) -> Option<(usize, usize)> {
    let lengths = bytes.get(STORED_HEAD - 3..STORED_HEAD)?;
    let kind_from = STORED_HEAD + usize::from(lengths[0]);
    let payload_from = kind_from + usize::from(u16::from_be_bytes([lengths[1], lengths[2]]));
    (bytes.len() >= payload_from).then_some((kind_from, payload_from))
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
mod tests {
    use super::*;

    fn event() -> NewEvent {
        NewEvent {
            subject: Subject::own(),
            kind: "add_system".into(),
            payload: br#"{"name":"J123456"}"#.to_vec(),
        }
    }

    #[test]
    fn a_stored_event_decodes_and_truncated_bytes_do_not() {
        let id = EventId::new(1_750_509_296_789, 7, 3);
        let bytes = Bytes::from(Event::to_stored(id, &event()));
        let back = Event::from_stored(9, bytes.clone()).unwrap();
        assert_eq!(
            (back.id, back.seq, &*back.kind, &back.payload[..]),
            (id, 9, "add_system", &event().payload[..])
        );
        let times = Times { time_ms: 5, peak_ms: 6, expiry_ms: 7 };
        let late = Event::to_stored_at(id, times, &event());
        assert_eq!((Event::stored_times(&late), Event::stored_id(&late)), (Some(times), Some(id)));
        assert_eq!(Event::from_stored(9, late.into()).unwrap().time_ms, 5);
        for cut in 0..STORED_HEAD + "add_system".len() {
            assert_eq!(Event::from_stored(9, bytes.slice(..cut)), None, "{cut}");
        }
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
        let new = NewEvent {
            subject: Subject::parse("orders-7").unwrap(),
            kind: "App\\Events\\X \"é\"".into(),
            payload: b"1".to_vec(),
        };
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
    fn an_envelope_of_an_ephemeral_event_has_no_seq() {
        let event = Event {
            id: EventId::ephemeral(1_750_509_296_789, 7, 3),
            seq: 12,
            subject: Subject::parse("live-7").unwrap(),
            time_ms: 1_750_509_296_789,
            kind: "moved".into(),
            payload: Bytes::from_static(b"1"),
        };
        let map = MapText::from("550e8400-e29b-41d4-a716-446655440000".parse::<MapId>().unwrap());
        let mut out = Vec::new();
        event.write_envelope(&map, false, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"id":"01JY97R74NZZR00000E0000003","type":"moved","subject":"live-7","map_id":"550e8400-e29b-41d4-a716-446655440000","ts":"2025-06-21T12:34:56.789Z","payload":1}"#
        );
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
        for bad in ["", "phx_close", "a,b", "a*", "a\n", "\u{85}", &"a".repeat(201)] {
            assert!(!is_kind(bad), "{bad}");
        }
    }
}
