//! Whatever text a client sends is a message or none, and what is a message stays the same when it is written again.
#![no_main]

use waypost::edge::phoenix::frame::{JoinParams, Version, decode_text, encode_text};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for version in [Version::V1, Version::V2] {
        let Ok(message) = decode_text(version, text) else { continue };
        let payload = message.payload.as_ref().expect("a text message has a payload");
        let _ = JoinParams::from_payload(payload);
        // Whoever speaks one version says the same in the other.
        for written in [Version::V1, Version::V2] {
            let text =
                encode_text(written, &message.join_ref, &message.reference, &message.topic, &message.event, payload);
            assert_eq!(decode_text(written, &text).as_ref(), Ok(&message), "{text}");
        }
    }
});
