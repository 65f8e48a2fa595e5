//! The settings of a webhook that the engine needs.

use super::{Ordering, Webhook};
use crate::core::consumer::plan::{MAX_PARKED, Plan};
use crate::core::rate::Rate;

impl Webhook {
    /// The plan of its deliveries. At most `window` requests run at a time, unless its own setting says how
    /// many of its events may be unacknowledged.
    pub fn plan(&self, window: usize) -> Plan {
        let window = self.in_flight.map_or(window, |events| events as usize);
        Plan {
            rate: self.rate.map(Rate::from),
            batch: self.batch,
            retry: self.retry,
            window: window.max(1),
            auto_disable_ms: self.auto_disable_seconds.map(|seconds| seconds.saturating_mul(1000)),
            parked: if matches!(self.ordering, Ordering::Key(_)) { MAX_PARKED } else { usize::MAX },
        }
    }
}
