//! The form of a source's events for its listeners: `{id, timestamp, source, eventType, payload, validated}` in the
//! data of an event stream. `subject` is added where an event has one.

use crate::core::event::{Event, push_json_string};
use crate::core::frame::{FormKey, WireForm};
use crate::core::ids::EventId;
use crate::core::time::iso_millis;

/// Writes the events of sources in the format `text/event-stream`. The events have no name of their own, so a
/// page's `onmessage` gets them.
pub(super) struct ListenForm(FormKey);

impl ListenForm {
    pub(super) fn new() -> Self {
        Self("ingest".into())
    }
}

impl WireForm for ListenForm {
    fn key(&self) -> &FormKey {
        &self.0
    }

    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        let mut id = [0; EventId::TEXT_LEN];
        let id = event.id.encode(&mut id).to_owned();
        let source = event.ingested.map(|ingested| ingested.source.to_string()).unwrap_or_default();
        let time_ms = event.ingested.and_then(|ingested| ingested.time_ms).unwrap_or(event.time_ms);
        let validated = event.ingested.is_some_and(|ingested| ingested.validated);
        let mut kind = Vec::new();
        push_json_string(&event.kind, &mut kind);
        out.extend_from_slice(format!("id: {id}\ndata: ").as_bytes());
        let start = out.len();
        let head = format!(r#"{{"id":"{id}","timestamp":"{}","source":"{source}","#, iso_millis(time_ms));
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\"eventType\":");
        out.extend_from_slice(&kind);
        if !event.subject.is_own() {
            out.extend_from_slice(b",\"subject\":");
            push_json_string(event.subject.as_str(), out);
        }
        out.extend_from_slice(b",\"payload\":");
        out.extend_from_slice(&event.payload);
        out.extend_from_slice(format!(",\"validated\":{validated}}}").as_bytes());
        escape_breaks(out, start);
        out.extend_from_slice(b"\n\n");
    }

    // An event of its own name: only a listener that asks for positions gets it.
    fn encode_position(&self, id: EventId, _: u64, out: &mut Vec<u8>) {
        let data = format!(r#"{{"id":"{id}"}}"#);
        out.extend_from_slice(format!("event: position\nid: {id}\ndata: {data}\n\n").as_bytes());
    }
}

/// Escapes characters in the JSON from `start` on that some parsers take for the end of a line.
fn escape_breaks(out: &mut Vec<u8>, start: usize) {
    if !out[start..].iter().any(|byte| matches!(byte, 0xc2 | 0xe2)) {
        return;
    }
    let plain = out.split_off(start);
    let text = String::from_utf8_lossy(&plain);
    let text =
        text.replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::{Ingested, NewEvent};
    use crate::core::ids::SourceId;

    #[test]
    fn golden_frames() {
        let ingested = Ingested {
            source: SourceId::from_bytes([1; 16]),
            validated: true,
            time_ms: Some(1_705_314_600_000),
        };
        let new = NewEvent {
            ingested: Some(ingested),
            ..NewEvent::new(Default::default(), "purchase", "{\"user_id\":\"a\u{2028}\"}")
        };
        let id = EventId::new(1_750_509_296_789, 7, 3);
        let mut out = Vec::new();
        ListenForm::new().encode(&new.placed(id, 9, 1_750_509_296_789), &mut out);
        let expected = "id: 01JY97R74N0000000000070003\ndata: {\"id\":\"01JY97R74N0000000000070003\",\
                        \"timestamp\":\"2024-01-15T10:30:00.000Z\",\
                        \"source\":\"wh_01010101010101010101010101010101\",\"eventType\":\"purchase\",\
                        \"payload\":{\"user_id\":\"a\\u2028\"},\"validated\":true}\n\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
        out.clear();
        ListenForm::new().encode_position(id, 9, &mut out);
        let expected = "event: position\nid: 01JY97R74N0000000000070003\n\
                        data: {\"id\":\"01JY97R74N0000000000070003\"}\n\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
