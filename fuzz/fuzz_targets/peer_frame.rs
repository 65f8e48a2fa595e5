//! Whatever arrives at the peer port is decoded or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| waypost_cluster::fuzz::peer_frame(bytes));
