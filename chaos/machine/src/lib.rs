//! Waypost's replicated state, for the simulator: the sources of `src/core` with planted defects, of which a
//! simulated world switches one on.

/// Whether the failpoint of that name is switched on, on this thread.
macro_rules! failpoint {
    ($name:literal) => {
        $crate::planted::is_on($name)
    };
    ($name:literal, $every:literal) => {
        $crate::planted::is_on($name)
    };
}
pub(crate) use failpoint;

pub mod planted;

#[allow(dead_code, unused_imports)]
#[path = "../../../src/core/mod.rs"]
pub mod core;
