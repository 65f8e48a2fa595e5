//! Settings of the dispatchers, which watch sessions and write to clients.

/// Seconds for which bytes must wait before the watchdog asks how much the client takes.
pub(super) const LOOK_AFTER: u64 = 2;

/// Settings of all dispatchers.
#[derive(Clone, Debug)]
pub struct DispatcherConfig {
    /// Bytes of one ring.
    pub ring_bytes: usize,
    /// Events of one ring.
    pub ring_events: usize,
    /// Bytes of all rings of the node.
    pub rings_bytes: usize,
    /// Seconds for which a client may take less than `least_bytes` a second while bytes wait for it.
    pub stall_seconds: u64,
    /// Bytes a second that a client must take while bytes wait for it.
    pub least_bytes: u64,
    /// Seconds for which a socket may be silent.
    pub idle_seconds: u64,
    /// Seconds for which a session may have no subscription.
    pub join_seconds: u64,
    /// Seconds between two positions that no event carries.
    pub position_seconds: u64,
}
