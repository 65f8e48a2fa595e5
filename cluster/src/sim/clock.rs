//! The wall clock of a simulated host: virtual time plus the offset that the schedule sets.

use super::sim::World;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    World::now_ms()
}
