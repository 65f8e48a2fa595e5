//! The form of events as Phoenix pushes: the bytes that the subscribers of one channel topic get, for each
//! transport.

use super::frame::{self, Ref, Version};
use crate::core::event::{Event, MapText, push_json_string};
use crate::core::frame::{FormKey, WireForm};
use crate::core::ids::{EventId, MapId};
use crate::delivery::push_text_frame;

/// The event name of the push that carries a position. Only clients that asked for positions get it.
const POSITION: &str = "position";

/// How messages are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// Text frames.
    WebSocket,
    /// JSON strings, each followed by a comma. A poll's answer puts brackets around them.
    LongPoll,
}

/// Writes the events of one channel in the form that its client wants.
pub(super) struct PhoenixForm {
    key: FormKey,
    version: Version,
    transport: Transport,
    topic: String,
    map: MapText,
    /// Also push each event under the name `*`.
    star: bool,
}

impl PhoenixForm {
    /// The form for the channel `topic`. The topic is echoed exactly as the client joined it.
    pub(super) fn new(version: Version, transport: Transport, topic: &str, map: MapId, star: bool) -> Self {
        let key = format!("phoenix/{version:?}/{transport:?}/{}/{topic}", if star { "*" } else { "" });
        Self { key: key.into(), version, transport, topic: topic.to_owned(), map: map.into(), star }
    }

    fn push(&self, name: &str, payload: impl Fn(&mut Vec<u8>), out: &mut Vec<u8>) {
        let none = Ref::default();
        let message = |out: &mut Vec<u8>| {
            frame::encode(self.version, out, &none, &none, &self.topic, name, |out| payload(out));
        };
        match self.transport {
            Transport::WebSocket => push_text_frame(out, message),
            Transport::LongPoll => {
                let mut text = Vec::new();
                message(&mut text);
                push_json_string(&String::from_utf8_lossy(&text), out);
                out.push(b',');
            }
        }
    }
}

impl WireForm for PhoenixForm {
    fn key(&self) -> &FormKey {
        &self.key
    }

    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        let envelope = |out: &mut Vec<u8>| event.write_envelope(&self.map, false, out);
        self.push(&event.kind, envelope, out);
        if self.star {
            self.push("*", envelope, out);
        }
    }

    fn encode_position(&self, id: EventId, seq: u64, out: &mut Vec<u8>) {
        let payload = format!(r#"{{"id":"{id}","seq":{seq}}}"#);
        self.push(POSITION, |out| out.extend_from_slice(payload.as_bytes()), out);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::event::NewEvent;

    fn encoded(version: Version, transport: Transport, star: bool) -> Vec<u8> {
        encoded_as("", "add_system", (version, transport, star))
    }

    fn encoded_as(
        subject: &str,
        kind: &str,
        (version, transport, star): (Version, Transport, bool),
    ) -> Vec<u8> {
        let map = "550e8400-e29b-41d4-a716-446655440000".parse::<MapId>().unwrap();
        let subject = crate::core::subject::Subject::parse(subject).unwrap();
        let new = NewEvent::new(subject, kind, r#"{"name":"J1"}"#);
        let id = EventId::new(1_750_509_296_789, 7, 3);
        let event = Event::from_stored(9, Event::to_stored(id, &new).into()).unwrap();
        let mut out = Vec::new();
        PhoenixForm::new(version, transport, "events:map:home", map, star).encode(&event, &mut out);
        out
    }

    const ENVELOPE: &str = r#"{"id":"01JY97R74N0000000000070003","seq":9,"type":"add_system","map_id":"550e8400-e29b-41d4-a716-446655440000","ts":"2025-06-21T12:34:56.789Z","payload":{"name":"J1"}}"#;

    #[test]
    fn golden_pushes() {
        let v2 = format!(r#"[null,null,"events:map:home","add_system",{ENVELOPE}]"#);
        let frame = encoded(Version::V2, Transport::WebSocket, false);
        assert_eq!(frame[..4], [0x81, 126, 0, v2.len() as u8]);
        assert_eq!(std::str::from_utf8(&frame[4..]).unwrap(), v2);
        let v1 = format!(
            r#"{{"topic":"events:map:home","event":"add_system","payload":{ENVELOPE},"ref":null,"join_ref":null}}"#
        );
        assert_eq!(std::str::from_utf8(&encoded(Version::V1, Transport::WebSocket, false)[4..]).unwrap(), v1);
        let polled = encoded(Version::V2, Transport::LongPoll, false);
        assert_eq!(
            std::str::from_utf8(&polled).unwrap(),
            format!("{},", serde_json::to_string(&v2).unwrap())
        );
    }

    #[test]
    fn golden_push_of_a_subject() {
        let kind = "App\\Events\\X \"é\"";
        let frame = encoded_as("orders-7", kind, (Version::V2, Transport::WebSocket, false));
        let envelope = ENVELOPE.replace(r#""add_system""#, r#""App\\Events\\X \"é\"","subject":"orders-7""#);
        let v2 = format!(r#"[null,null,"events:map:home","App\\Events\\X \"é\"",{envelope}]"#);
        assert_eq!(std::str::from_utf8(&frame[4..]).unwrap(), v2);
        let polled = encoded_as("orders-7", kind, (Version::V2, Transport::LongPoll, false));
        assert_eq!(
            std::str::from_utf8(&polled).unwrap(),
            format!("{},", serde_json::to_string(&v2).unwrap())
        );
    }

    #[test]
    fn golden_positions() {
        let position = |version, transport| {
            let mut out = Vec::new();
            PhoenixForm::new(version, transport, "events:map:home", MapId::from_bytes([1; 16]), true)
                .encode_position(EventId::new(1_750_509_296_789, 7, 3), 9, &mut out);
            String::from_utf8(out.split_off(if transport == Transport::WebSocket { 2 } else { 0 })).unwrap()
        };
        let payload = r#"{"id":"01JY97R74N0000000000070003","seq":9}"#;
        let v2 = format!(r#"[null,null,"events:map:home","position",{payload}]"#);
        assert_eq!(position(Version::V2, Transport::WebSocket), v2);
        assert_eq!(
            position(Version::V2, Transport::LongPoll),
            format!("{},", serde_json::to_string(&v2).unwrap())
        );
        let v1 = format!(
            r#"{{"topic":"events:map:home","event":"position","payload":{payload},"ref":null,"join_ref":null}}"#
        );
        assert!(position(Version::V1, Transport::WebSocket).ends_with(&v1));
    }

    #[test]
    fn the_star_is_an_extra_push() {
        let both = encoded(Version::V2, Transport::LongPoll, true);
        let text = format!("[{}]", std::str::from_utf8(&both).unwrap().trim_end_matches(','));
        let messages: Vec<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(messages.len(), 2);
        assert!(messages[1].starts_with(r#"[null,null,"events:map:home","*",{"#));
    }
}
