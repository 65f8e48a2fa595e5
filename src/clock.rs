//! The wall clock. Outside the cluster crate, only this file reads it. Replicated code never reads it: its
//! time comes with the log.

use std::time::{SystemTime, UNIX_EPOCH};

/// The present time in Unix nanoseconds; 0 if the clock is before 1970.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// The present time in Unix milliseconds; 0 if the clock is before 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
