//! Whatever text a client sends is a message or none, and what is a message stays the same when it is written again.
#![no_main]

use waypost::edge::phoenix::JoinParams;
use waypost::edge::phoenix::frame::{Message, Version, decode_text, encode_text};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for version in [Version::V1, Version::V2] {
        let Ok(message) = decode_text(version, text) else { continue };
        assert!(message.payload.is_some(), "a text message has a payload");
        let Ok(payload) = message.value() else { continue };
        let _ = (JoinParams::read(&payload, None), JoinParams::read(&payload, Some("a")));
        // Whoever speaks one version says the same in the other.
        for written in [Version::V1, Version::V2] {
            let text =
                encode_text(written, &message.join_ref, &message.reference, &message.topic, &message.event, &payload);
            let back = decode_text(written, &text).expect("a message");
            assert_eq!(back.value().as_ref(), Ok(&payload), "{text}");
            let of = |m: &Message| (m.join_ref.clone(), m.reference.clone(), m.topic.clone(), m.event.clone());
            assert_eq!(of(&back), of(&message), "{text}");
        }
    }
});
