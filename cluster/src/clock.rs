//! The only wall clock of the crate.
//!
//! The leader stamps entries with it; nothing that is replicated reads it elsewhere.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970; 0 where the system clock stands before that.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
