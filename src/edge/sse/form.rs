//! The form of events as server-sent events: `event`, `id`, and the envelope as one line of `data`. A comment
//! before them names the trace of an event that belongs to one.

use crate::core::event::{Event, MapText};
use crate::core::frame::{FormKey, WireForm};
use crate::core::ids::{EventId, MapId};
use crate::core::time::iso_millis;

/// Types of events that are sent without a name, as `message`: names that this stream uses for frames about
/// itself, or that an EventSource uses for its own events.
const UNNAMED: [&str; 6] = ["open", "error", "connected", "position", "refused", "message"];
/// Characters that some parsers take for the end of a line, though the standard does not.
const BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

fn is_named(kind: &str) -> bool {
    !UNNAMED.contains(&kind) && !kind.contains(BREAKS)
}

/// Escapes the [`BREAKS`] in the JSON from `start` on. In JSON they stand in strings only.
fn escape_breaks(out: &mut Vec<u8>, start: usize) {
    if !out[start..].iter().any(|byte| matches!(byte, 0xc2 | 0xe2)) {
        return;
    }
    let plain = out.split_off(start);
    let mut rest = &plain[..];
    while let Some((byte, behind)) = rest.split_first() {
        let (escape, length): (&[u8], usize) = match rest {
            [0xc2, 0x85, ..] => (b"\\u0085", 2),
            [0xe2, 0x80, 0xa8, ..] => (b"\\u2028", 3),
            [0xe2, 0x80, 0xa9, ..] => (b"\\u2029", 3),
            _ => {
                out.push(*byte);
                rest = behind;
                continue;
            }
        };
        out.extend_from_slice(escape);
        rest = &rest[length..];
    }
}

/// Writes events in the format `text/event-stream`.
pub(super) struct SseForm {
    key: FormKey,
    map: MapText,
    /// Whether events have their types as names.
    named: bool,
}

impl SseForm {
    /// The form for a map's events. With `named` a browser gets each type by a listener of its own, otherwise
    /// all types by `onmessage`.
    pub(super) fn new(map: MapId, named: bool) -> Self {
        let key = if named { "sse" } else { "sse-unnamed" };
        Self { key: key.into(), map: map.into(), named }
    }
}

impl WireForm for SseForm {
    fn key(&self) -> &FormKey {
        &self.key
    }

    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        if let Some(trace) = &event.trace {
            out.extend_from_slice(format!(": traceparent {trace}\n").as_bytes());
        }
        if self.named && is_named(&event.kind) {
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(event.kind.as_bytes());
            out.push(b'\n');
        }
        // A client can't resume by the id of an ephemeral event, so it keeps the id that it has.
        if !event.id.is_ephemeral() {
            out.extend_from_slice(b"id: ");
            out.extend_from_slice(event.id.encode(&mut [0; EventId::TEXT_LEN]).as_bytes());
            out.push(b'\n');
        }
        // JSON in normal form has no other line breaks.
        out.extend_from_slice(b"data: ");
        let start = out.len();
        event.write_envelope(&self.map, true, out);
        escape_breaks(out, start);
        out.extend_from_slice(b"\n\n");
    }

    // The frame has data because some parsers drop a frame without data. The data has the members that
    // clients of Wanderer look for in every frame. It has no `ts` and no `type`, because only events have
    // these.
    fn encode_position(&self, id: EventId, seq: u64, out: &mut Vec<u8>) {
        let map = self.map.as_str();
        let at = iso_millis(id.id_ms());
        let data =
            format!(r#"{{"id":"{id}","seq":{seq},"map_id":"{map}","timestamp":"{at}","payload":null}}"#);
        out.extend_from_slice(format!("event: position\nid: {id}\ndata: {data}\n\n").as_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::event::NewEvent;
    use crate::core::trace::TraceContext;

    #[test]
    fn golden_position() {
        let mut out = Vec::new();
        SseForm::new(MapId::from_bytes([1; 16]), true).encode_position(
            EventId::new(1_750_509_296_789, 7, 3),
            9,
            &mut out,
        );
        let expected = "event: position\nid: 01JY97R74N0000000000070003\n\
                        data: {\"id\":\"01JY97R74N0000000000070003\",\"seq\":9,\
                        \"map_id\":\"01010101-0101-0101-0101-010101010101\",\
                        \"timestamp\":\"2025-06-21T12:34:56.789Z\",\"payload\":null}\n\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn golden_event_of_a_subject() {
        let map = "550e8400-e29b-41d4-a716-446655440000".parse::<MapId>().unwrap();
        let subject = crate::core::subject::Subject::parse("orders-7").unwrap();
        let new = NewEvent::new(subject, "App\\Events\\X \"é\"", "1");
        let event =
            Event::from_stored(9, Event::to_stored(EventId::new(1_750_509_296_789, 7, 3), &new).into())
                .unwrap();
        let mut out = Vec::new();
        SseForm::new(map, true).encode(&event, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "event: App\\Events\\X \"é\"\nid: 01JY97R74N0000000000070003\ndata: {\"id\":\"01JY97R74N0000000000070003\",\"seq\":9,\"type\":\"App\\\\Events\\\\X \\\"é\\\"\",\"subject\":\"orders-7\",\"map_id\":\"550e8400-e29b-41d4-a716-446655440000\",\"ts\":\"2025-06-21T12:34:56.789Z\",\"timestamp\":\"2025-06-21T12:34:56.789Z\",\"payload\":1}\n\n"
        );
    }

    #[test]
    fn golden_event() {
        let map = "550e8400-e29b-41d4-a716-446655440000".parse::<MapId>().unwrap();
        let new = NewEvent::new(Default::default(), "map_kill", r#"{"value":1}"#);
        let id = EventId::new(1_750_509_296_789, 7, 3);
        let event = Event::from_stored(9, Event::to_stored(id, &new).into()).unwrap();
        let mut out = Vec::new();
        SseForm::new(map, true).encode(&event, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "event: map_kill\nid: 01JY97R74N0000000000070003\ndata: {\"id\":\"01JY97R74N0000000000070003\",\"seq\":9,\"type\":\"map_kill\",\"map_id\":\"550e8400-e29b-41d4-a716-446655440000\",\"ts\":\"2025-06-21T12:34:56.789Z\",\"timestamp\":\"2025-06-21T12:34:56.789Z\",\"payload\":{\"value\":1}}\n\n"
        );
    }

    fn encoded(kind: &str, payload: &str) -> String {
        let new = NewEvent::new(Default::default(), kind, payload);
        let id = EventId::new(1_750_509_296_789, 7, 3);
        let event = Event::from_stored(9, Event::to_stored(id, &new).into()).unwrap();
        let mut out = Vec::new();
        SseForm::new(MapId::from_bytes([1; 16]), true).encode(&event, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn without_names_every_event_is_a_message() {
        let new = NewEvent::new(Default::default(), "map_kill", "1");
        let id = EventId::new(1_750_509_296_789, 7, 3);
        let event = Event::from_stored(9, Event::to_stored(id, &new).into()).unwrap();
        let mut out = Vec::new();
        let unnamed = SseForm::new(MapId::from_bytes([1; 16]), false);
        unnamed.encode(&event, &mut out);
        let frame = String::from_utf8(out).unwrap();
        assert!(frame.starts_with("id: 01JY97R74N0000000000070003\ndata: {"), "{frame}");
        assert!(frame.contains(r#""type":"map_kill""#), "{frame}");
        // Frames that are no events keep their names.
        let mut out = Vec::new();
        unnamed.encode_position(id, 9, &mut out);
        assert!(out.starts_with(b"event: position\n"));
        // The two forms are not mixed up.
        assert_ne!(unnamed.key(), SseForm::new(MapId::from_bytes([1; 16]), true).key());
    }

    #[test]
    fn names_that_mean_something_else_are_left_out() {
        for kind in UNNAMED {
            let frame = encoded(kind, "1");
            assert!(frame.starts_with("id: 01JY97R74N0000000000070003\ndata: {"), "{frame}");
            assert!(frame.contains(&format!(r#""type":"{kind}""#)), "{frame}");
        }
        for kind in ["opened", "messages", "a position"] {
            assert!(encoded(kind, "1").starts_with(&format!("event: {kind}\nid: ")), "{kind}");
        }
    }

    #[test]
    fn nothing_in_a_frame_is_taken_for_another_line() {
        let text = "a\u{2028}b\u{2029}c\u{85}d é€ \u{2027}\u{202a}\u{84}\u{e2}";
        let frame = encoded("x\u{2028}y", &format!("\"{text}\""));
        assert!(!frame.contains(BREAKS), "{frame:?}");
        assert_eq!(frame.lines().count(), 3, "{frame:?}");
        let data: serde_json::Value =
            serde_json::from_str(frame.lines().nth(1).unwrap().strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((&data["payload"], &data["type"]), (&text.into(), &"x\u{2028}y".into()));
    }

    #[test]
    fn a_comment_names_the_trace_of_an_event() {
        let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let new = NewEvent { trace, ..NewEvent::new(Default::default(), "a", "1") };
        let plain = encoded("a", "1");
        let mut out = Vec::new();
        let event = new.placed(EventId::new(1_750_509_296_789, 7, 3), 9, 1_750_509_296_789);
        SseForm::new(MapId::from_bytes([1; 16]), true).encode(&event, &mut out);
        let comment = ": traceparent 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n";
        assert_eq!(String::from_utf8(out).unwrap(), format!("{comment}{plain}"));
    }

    #[test]
    fn an_ephemeral_event_has_no_id_to_resume_by() {
        let new = NewEvent::new(crate::core::subject::Subject::parse("live-7").unwrap(), "moved", "1");
        let event = new.placed(EventId::ephemeral(1_750_509_296_789, 7, 3), 12, 1_750_509_296_789);
        let mut out = Vec::new();
        SseForm::new(MapId::from_bytes([1; 16]), true).encode(&event, &mut out);
        let expected = "event: moved\ndata: {\"id\":\"01JY97R74NZZR00000E0000003\",\"type\":\"moved\",\
                        \"subject\":\"live-7\",\"map_id\":\"01010101-0101-0101-0101-010101010101\",\
                        \"ts\":\"2025-06-21T12:34:56.789Z\",\"timestamp\":\"2025-06-21T12:34:56.789Z\",\"payload\":1}\n\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
