//! Whatever lies in the store is an event or none, and an event is stored as it was.
#![no_main]

use bytes::Bytes;
use waypost::core::event::{Event, MAX_KIND_BYTES, MapText, NewEvent};
use waypost::core::ids::MapId;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(event) = Event::from_stored(9, Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(Event::stored_id(bytes), Some(event.id));
    let mut out = Vec::new();
    event.write_envelope(&MapText::from(MapId::from_bytes([7; 16])), true, &mut out);
    if event.kind.len() <= MAX_KIND_BYTES {
        let new = NewEvent {
            text: event.text.clone(),
            sender: event.sender.clone(),
            ingested: event.ingested,
            trace: event.trace,
            ..NewEvent::new(event.subject.clone(), event.kind.to_string(), event.payload.to_vec())
        };
        let times = Event::stored_times(bytes).expect("an event has its times");
        assert_eq!(Event::to_stored_at(event.id, times, &new), bytes);
    }
});
