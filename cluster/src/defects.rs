//! Which defect is switched on (`WAYPOST_BROKEN`), so that the chaos suite can show that it finds it.
//!
//! Only there with the feature `broken`, which no build has that is meant to be used. The defects of the simulator are in
//! `sim/broken.rs`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether the defect of that name is on.
pub fn is_on(name: &str) -> bool {
    static CHOSEN: OnceLock<String> = OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("WAYPOST_BROKEN").unwrap_or_default()) == name
}

/// Whether it is on and strikes now: once in so many calls, on each node at its own.
pub fn strikes(name: &str, every: u32) -> bool {
    static CALLS: OnceLock<AtomicU32> = OnceLock::new();
    if !is_on(name) {
        return false;
    }
    let calls = CALLS.get_or_init(|| AtomicU32::new(std::process::id()));
    calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(every.max(1))
}

/// A disk that rots: one in some of the large records is another than was written. What is changed is a digit of a
/// payload, so that it can still be read.
pub(crate) fn rot(key: &[u8], record: &mut [u8]) {
    let event = key.len() == 17 && key.first() == Some(&b'e');
    if let Some(digit) = record.iter_mut().rev().find(|byte| byte.is_ascii_digit()).filter(|_| event)
        && strikes("corrupt-served", 40)
    {
        *digit ^= 1;
    }
}
