//! Whatever lies on the disk is decoded or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| waypost_cluster::fuzz::log_entry(bytes));
