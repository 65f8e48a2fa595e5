//! Failpoints: defects that are planted in the code, a line each, found by their names. The chaos suite and the simulator
//! show with them that they find such a defect.
//!
//! Only there with the feature `failpoints`, which no build has that is meant to be used. One is switched on at a time:
//! in a process by the environment variable `WAYPOST_FAILPOINT`, in a simulation by its world.

#[cfg(not(feature = "sim"))]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

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

/// Whether it is on and strikes now: once in so many calls, on each node at its own.
pub fn strikes(name: &str, every: u32) -> bool {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    is_on(name)
        && (CALLS.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id()))
            .is_multiple_of(every.max(1))
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
