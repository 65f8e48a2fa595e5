//! Whatever text a client of the Pusher protocol sends is a message or none.
#![no_main]

use waypost::edge::pusher::frame::{ClientMessage, decode};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(message) = decode(text) else { return };
    if let ClientMessage::Event(event) = message {
        assert!(event.name.starts_with("client-"), "{text}");
        // What is not the content of a string is JSON.
        let Ok(whole) = serde_json::from_str::<serde_json::Value>(text) else { return };
        let data = match &whole["data"] {
            serde_json::Value::String(_) => serde_json::Value::from(event.data.as_str()),
            _ => serde_json::from_str(&event.data).expect("data is JSON"),
        };
        assert_eq!(data, whole["data"], "{text}");
    }
});
