//! Whatever bytes a client sends are a push or none. The head of a push comes back when it is written as text.
#![no_main]

use waypost::edge::phoenix::frame::{Message, Version, decode_binary, decode_text, encode_text};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = decode_binary(bytes) else { return };
    assert!(message.payload.is_none());
    let head = usize::from(bytes[1]) + usize::from(bytes[2]) + usize::from(bytes[3]) + usize::from(bytes[4]);
    assert!(bytes.len() >= 5 + head);
    assert_eq!(decode_binary(&bytes[..5 + head]).as_ref(), Ok(&message), "the data is no part of the head");
    let none = serde_json::json!({});
    for version in [Version::V1, Version::V2] {
        let Message { join_ref, reference, topic, event, .. } = &message;
        let text = encode_text(version, join_ref, reference, topic, event, &none);
        let back = decode_text(version, &text).map(|back| Message { payload: None, ..back });
        assert_eq!(back.as_ref(), Ok(&message), "{text}");
    }
});
