//! Failpoints: defects that are planted in the code, one line each, identified by name. The chaos suite and
//! the simulator use them to show that they detect such a defect.
//!
//! They exist only with the feature `failpoints`, which no production build has. One failpoint is switched on
//! at a time: in a process by the environment variable `WAYPOST_FAILPOINT`, in a simulation by its world.

#[cfg(not(feature = "sim"))]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

/// Whether the failpoint of that name is on.
#[cfg(not(feature = "sim"))]
pub fn is_on(name: &str) -> bool {
    static CHOSEN: OnceLock<String> = OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("WAYPOST_FAILPOINT").unwrap_or_default()) == name
}

/// Whether the failpoint of that name is on.
#[cfg(feature = "sim")]
pub fn is_on(name: &str) -> bool {
    crate::sim::World::try_with(|world| world.failpoint == Some(name)).unwrap_or(false)
}

/// Whether the failpoint is on and this call is affected: one in `every` calls, counted on each node
/// separately.
pub fn strikes(name: &str, every: u32) -> bool {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    is_on(name)
        && (CALLS.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id()))
            .is_multiple_of(every.max(1))
}

/// Simulates a disk that corrupts data: some of the large records differ from what was written. One digit of
/// a payload is changed, so that the payload can still be parsed. Whoever has the record keeps it as it was.
pub(crate) fn rot(key: &[u8], record: Bytes) -> Bytes {
    let event = key.len() == 17 && key.first() == Some(&b'e');
    let digit = record.iter().rposition(u8::is_ascii_digit).filter(|_| event);
    match digit {
        Some(digit) if strikes("corrupt-served", 40) => {
            let mut rotten = record.to_vec();
            rotten[digit] ^= 1;
            rotten.into()
        }
        _ => record,
    }
}
