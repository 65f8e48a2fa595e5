//! Whatever a sender posts is some events or none, in normal form and within bounds; nobody without the secret is let
//! in; a mapping is one or none.
#![no_main]

use waypost::core::event::is_kind;
use waypost::core::ids::{MapId, SourceId};
use waypost::core::ingest::{
    Authentication, Headers, Incoming, Keys, Reader, Settings, SourcePatch, SourceSecrets, verify,
};
use waypost::core::json::normalise;

// The first byte chooses the sender, and the first line has a mapping if it begins with a brace; each further line up to
// an empty one is a header, and the rest is the body.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let (_, authentication) = Authentication::NAMES[usize::from(*first) % Authentication::NAMES.len()];
    let split = rest.windows(2).position(|pair| pair == b"\n\n").unwrap_or(rest.len());
    let head = String::from_utf8_lossy(&rest[..split]);
    let body = rest.get(split + 2..).unwrap_or_default();
    let lines: Vec<(&str, &str)> = head.lines().filter_map(|line| line.split_once(": ")).collect();
    let headers = Headers::new(lines);
    let mapping = head.lines().next().filter(|line| line.starts_with('{')).map(Into::into);
    let jwt = authentication == Authentication::Jwt;
    let authentication = if jwt { Authentication::Hmac } else { authentication };
    let settings = Settings { authentication, mapping, ..Settings::new() };
    let keys = Keys::read(&settings, &SourceSecrets::new("a-secret-that-nobody-knows")).expect("keys");
    let incoming =
        Incoming { headers: &headers, body, url: "https://a.example/webhooks/wh_1", now_ms: 1, expiry_ms: 1 };
    if verify(&settings, &keys, &incoming).is_ok() {
        assert_eq!(authentication, Authentication::None);
    }
    let ids = (SourceId::from_bytes([1; 16]), MapId::from_bytes([2; 16]));
    if let Ok(reader) = Reader::new(ids, &settings, 64, 100)
        && let Ok(events) = reader.read(&headers, body)
    {
        assert!((1..=100).contains(&events.len()));
        for event in events {
            assert!(is_kind(&event.kind), "{}", event.kind);
            assert_eq!(normalise(&event.payload, 128).as_deref(), Ok(&*event.payload));
        }
    }
    let text = String::from_utf8_lossy(body);
    let (mut settings, mut secrets) = (Settings::new(), SourceSecrets::new(""));
    let _ = SourcePatch::read(&text).apply(&mut settings, &mut secrets, |_| "made-by-the-server".to_owned());
});
