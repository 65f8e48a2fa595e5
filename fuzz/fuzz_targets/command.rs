//! Whatever the log holds is a command or none, likewise the replies, and what decodes is written as the same.
#![no_main]

use bytes::Bytes;
use std::fmt::Debug;
use waypost::core::codec;
use waypost::core::command::{Command, Reply};

fn survives<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(value) = codec::decode::<T>(bytes) else { return };
    let written = codec::encode(&value).expect("what was decoded can be encoded");
    assert_eq!(codec::decode::<T>(&written).expect("what was encoded can be decoded"), value);
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    survives::<Command>(bytes);
    let shared = Command::of_log(&Bytes::copy_from_slice(bytes)).ok();
    assert_eq!(shared, codec::decode::<Command>(bytes).ok());
    survives::<Reply>(bytes);
});
