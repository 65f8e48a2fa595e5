//! The cluster's clocks, as this node reads them.

use waypost_cluster::Cluster;

/// Reads the cluster's time and its expiry clock (milliseconds); cheap to clone.
#[derive(Clone)]
pub struct Clock(Cluster);

impl Clock {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self(cluster)
    }

    /// The cluster's time (Unix milliseconds). It is shown, signed, and compared with the times of events.
    pub fn time_ms(&self) -> u64 {
        self.0.time_ms()
    }

    /// The clock by which replicated things expire (milliseconds): monotonic, and nearly the same on all
    /// nodes.
    pub fn expiry_ms(&self) -> u64 {
        self.0.expiry_ms()
    }

    /// Both clocks at the same moment: the cluster's time and the expiry clock.
    pub fn both(&self) -> (u64, u64) {
        self.0.clocks()
    }

    /// Converts a reading of the expiry clock to a time to show (Unix milliseconds).
    pub fn shown_ms(&self, expiry_ms: u64) -> u64 {
        expiry_ms.saturating_add_signed(self.shown_shift())
    }

    /// The cluster's time minus the expiry clock (milliseconds).
    pub fn shown_shift(&self) -> i64 {
        let (time_ms, expiry_ms) = self.both();
        time_ms as i64 - expiry_ms as i64
    }
}
