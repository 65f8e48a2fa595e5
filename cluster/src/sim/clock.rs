//! The wall clock of a simulated host: virtual time, off by what the schedule says.

use super::sim::World;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    World::now_ms()
}
