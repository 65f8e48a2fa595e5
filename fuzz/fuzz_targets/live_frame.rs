//! Whatever text a client of live sessions sends is a message or none, and every answer to it is JSON.
#![no_main]

use serde_json::Value;
use waypost::edge::live::frame::{ClientMessage, decode, error, not_subscribed, subscribed, unsubscribed};

fn json(answer: &str) -> Value {
    serde_json::from_str(answer).expect("an answer is JSON")
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    let sent = || serde_json::from_str::<Value>(text).expect("a message is JSON");
    match decode(text) {
        Err(bad) => drop(json(&error(&bad.to_string()))),
        Ok(ClientMessage::Subscribe(id, _)) => {
            assert!(id.subject().as_str().starts_with("session:"));
            assert_eq!(json(&subscribed(&id, None))["sessionId"], sent()["sessionId"], "{text}");
            assert_eq!(json(&not_subscribed(&id, text, Some(1)))["message"], text);
        }
        Ok(ClientMessage::Unsubscribe(id)) => {
            assert_eq!(json(&unsubscribed(&id))["sessionId"], sent()["sessionId"], "{text}");
        }
        Ok(ClientMessage::Auth(_) | ClientMessage::Ping) => {}
    }
});
