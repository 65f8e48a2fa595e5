//! Tells the log of clients that were closed because they read too slowly.

use super::close::End;
use super::seldom::Seldom;
use super::watchdog::Watched;
use crate::core::ids::MapId;
use std::collections::BTreeSet;

/// Frames that are looked at to find out how far a client was behind.
const MOST_FRAMES: usize = 1 << 16;

/// The slow clients of one thread. Many may be slow at once.
#[derive(Default)]
pub(super) struct SlowClients(Seldom);

impl SlowClients {
    /// A client was closed because of its pace. `map` is the one that it used, if that is known.
    pub(super) fn closed(&self, now: u64, end: End, client: &Watched, map: Option<MapId>) {
        let Some(others) = self.0.turn(now) else { return };
        let session = client.session();
        let mut frames = MOST_FRAMES;
        let lag = map.map(|map| session.lag(map, &mut BTreeSet::new(), &mut frames)).unwrap_or_default();
        let (address, unsent) = client.client();
        tracing::info!(
            map = map.map(tracing::field::display),
            token = session.token().map(tracing::field::display),
            address = address.map(tracing::field::display),
            protocol = client.name().protocol,
            lag_events = lag.events,
            lag_bytes = lag.bytes.saturating_add(unsent),
            reason = end.label(),
            others,
            "a client was closed: it read too slowly"
        );
    }
}
