//! Events: what a publisher sends, what the log keeps, and the envelope that clients see.

use super::ids::{EventId, MapId};
use super::json::write_string;
use super::time::push_iso_millis;
use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// Longest event type, in characters.
pub const MAX_KIND_LEN: usize = 100;

/// An event on its way into the log. The payload is JSON in normal form (see [`super::json`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// The event's type.
    pub kind: String,
    /// The payload's bytes.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
}

/// What clocks said when an event was stored (milliseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The event's time, since 1970. It may go back from event to event.
    pub time_ms: u64,
    /// The highest time of an event of the topic up to this one: what a search by time goes by.
    pub peak_ms: u64,
    /// The clock that events are removed by.
    pub expiry_ms: u64,
}

impl Times {
    /// All clocks say the same.
    pub const fn at(ms: u64) -> Self {
        Self { time_ms: ms, peak_ms: ms, expiry_ms: ms }
    }
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Id, unique over all topics.
    pub id: EventId,
    /// Place in the topic, gapless from 1.
    pub seq: u64,
    /// When the leader took it, as a majority's clocks have it (Unix milliseconds).
    pub time_ms: u64,
    /// Type.
    pub kind: ByteString,
    /// Payload, JSON in normal form.
    pub payload: Bytes,
}

/// Events of the Phoenix protocol itself begin like this: one such type would close its subscribers' channels.
const RESERVED: [&str; 2] = ["phx_", "chan_reply_"];

/// Whether `kind` can be an event's type: `[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}`, and none of Phoenix' own.
pub fn is_kind(kind: &str) -> bool {
    let bytes = kind.as_bytes();
    bytes.len() <= MAX_KIND_LEN
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().copied().all(is_kind_char)
        && !RESERVED.iter().any(|prefix| kind.starts_with(prefix))
}

/// Whether a type may contain this byte.
pub fn is_kind_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte)
}

const STORED_V2: u8 = 2;
const STORED_TIMES: usize = 1 + 16;
const STORED_HEAD: usize = STORED_TIMES + 3 * 8 + 1;

impl Event {
    /// [`Event::to_stored_at`] with all clocks at the id's milliseconds.
    pub fn to_stored(id: EventId, event: &NewEvent) -> Vec<u8> {
        Self::to_stored_at(id, Times::at(id.id_ms()), event)
    }

    /// The store's value: format, id, times, length of the type, type, payload. The key tells topic and seq.
    pub fn to_stored_at(id: EventId, times: Times, event: &NewEvent) -> Vec<u8> {
        let kind = &event.kind.as_bytes()[..event.kind.len().min(MAX_KIND_LEN)];
        let mut bytes = Vec::with_capacity(STORED_HEAD + kind.len() + event.payload.len());
        bytes.push(STORED_V2);
        bytes.extend_from_slice(&id.to_bytes());
        for ms in [times.time_ms, times.peak_ms, times.expiry_ms] {
            bytes.extend_from_slice(&ms.to_be_bytes());
        }
        bytes.push(kind.len() as u8);
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(&event.payload);
        bytes
    }

    /// Back from [`Event::to_stored_at`]; `None` when the bytes were not written by it.
    pub fn from_stored(seq: u64, bytes: Bytes) -> Option<Self> {
        let (id, times) = (Self::stored_id(&bytes)?, Self::stored_times(&bytes)?);
        let payload_from = STORED_HEAD + usize::from(*bytes.get(STORED_HEAD - 1)?);
        if bytes.len() < payload_from {
            return None;
        }
        let kind = ByteString::try_from(bytes.slice(STORED_HEAD..payload_from)).ok()?;
        Some(Self { id, seq, time_ms: times.time_ms, kind, payload: bytes.slice(payload_from..) })
    }

    /// Just the id of a stored event.
    pub fn stored_id(bytes: &[u8]) -> Option<EventId> {
        if bytes.first() != Some(&STORED_V2) {
            return None;
        }
        Some(EventId::from_bytes(bytes.get(1..STORED_TIMES)?.try_into().ok()?))
    }

    /// Just the times of a stored event.
    pub fn stored_times(bytes: &[u8]) -> Option<Times> {
        let ms = |n: usize| {
            let from = STORED_TIMES + n * 8;
            Some(u64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?))
        };
        Some(Times { time_ms: ms(0)?, peak_ms: ms(1)?, expiry_ms: ms(2)? })
    }

    /// Writes the envelope `{"id","seq","type","map_id","ts","payload"}`; with `timestamp` also under that name, as
    /// SSE clients of Wanderer expect.
    pub fn write_envelope(&self, map: &MapText, timestamp: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(self.id.encode(&mut [0; EventId::TEXT_LEN]).as_bytes());
        out.extend_from_slice(b"\",\"seq\":");
        push_number(self.seq, out);
        out.extend_from_slice(b",\"type\":\"");
        out.extend_from_slice(self.kind.as_bytes());
        out.extend_from_slice(b"\",\"map_id\":\"");
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

/// A map's id in its text form, made once for all envelopes of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapText(String);

impl MapText {
    /// The text.
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
    let mut quoted = String::with_capacity(text.len() + 2);
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
        NewEvent { kind: "add_system".into(), payload: br#"{"name":"J123456"}"#.to_vec() }
    }

    #[test]
    fn stored_form_survives_and_rejects_what_is_cut() {
        let id = EventId::new(1_750_509_296_789, 7, 3);
        let bytes = Bytes::from(Event::to_stored(id, &event()));
        let back = Event::from_stored(9, bytes.clone()).unwrap();
        assert_eq!((back.id, back.seq, &*back.kind, &back.payload[..]), (id, 9, "add_system", &event().payload[..]));
        let times = Times { time_ms: 5, peak_ms: 6, expiry_ms: 7 };
        let late = Event::to_stored_at(id, times, &event());
        assert_eq!((Event::stored_times(&late), Event::stored_id(&late)), (Some(times), Some(id)));
        assert_eq!(Event::from_stored(9, late.into()).unwrap().time_ms, 5);
        for cut in 0..STORED_HEAD + "add_system".len() {
            assert_eq!(Event::from_stored(9, bytes.slice(..cut)), None, "{cut}");
        }
    }

    #[test]
    fn golden_envelope() {
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
    fn kinds() {
        for good in ["a", "add_system", "session.started", "player-count.updated", "0:x", &"a".repeat(100)] {
            assert!(is_kind(good), "{good}");
        }
        for bad in ["", "phx_close", "_x", ".x", "a b", "é", "a\"", "*", &"a".repeat(101)] {
            assert!(!is_kind(bad), "{bad}");
        }
    }
}
