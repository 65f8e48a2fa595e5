//! Settings of what watches and writes to clients.

/// Seconds for which something has to wait before it is asked how much the client takes.
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
    /// Seconds for which a client may take less than `least_bytes` a second while something waits.
    pub stall_seconds: u64,
    /// Bytes a second that a client must take while something waits.
    pub least_bytes: u64,
    /// Seconds for which a socket may be silent.
    pub idle_seconds: u64,
    /// Seconds between two positions that no event carries.
    pub position_seconds: u64,
}
