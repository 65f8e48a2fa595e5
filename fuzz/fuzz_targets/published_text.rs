//! Whatever text is published as data, its payload is JSON in normal form, and the text is given back.
#![no_main]

use waypost::core::data::{payload_of, text_of};
use waypost::core::json::normalise;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (payload, kept) = payload_of(text);
    let given_back = kept.map_or_else(|| text_of(&payload).into_owned(), |kept| kept.to_string());
    assert_eq!(given_back, text);
    let payload = String::from_utf8(payload).expect("a payload is text");
    // The blank keeps the scan for normal forms out of it.
    assert_eq!(normalise(&format!(" {payload}"), 64).as_deref(), Ok(&*payload));
});
