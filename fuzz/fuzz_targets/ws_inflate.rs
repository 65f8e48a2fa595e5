//! Whatever a client says is a compressed message is inflated or refused, and never makes more than it may.
#![no_main]

use waypost::delivery::deflate::{Inflate, inflated};

// Two bytes of limit, then the message.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((limit, message)) = input.split_first_chunk::<2>() else { return };
    let most = usize::from(u16::from_be_bytes(*limit));
    match inflated(message, most) {
        Ok(whole) => {
            assert!(whole.len() <= most);
            // A thread's decompressor keeps nothing of the message before.
            assert_eq!(inflated(message, most), Ok(whole.clone()));
            assert_eq!(inflated(message, usize::from(u16::MAX)), Ok(whole));
        }
        Err(Inflate::TooLong) => assert_ne!(inflated(message, most), Err(Inflate::Broken)),
        Err(Inflate::Broken) => {}
    }
});
