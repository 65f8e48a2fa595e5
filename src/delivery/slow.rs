//! Clients that were closed because they read too slowly: the last ones of each map are remembered for those who
//! ask, and the log is told.

use super::close::End;
use super::seldom::Seldom;
use super::watchdog::Watched;
use crate::core::ids::MapId;
use crate::hub::ClosedConnection;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};

/// Frames that are looked at to find out how far a client was behind.
const MOST_FRAMES: usize = 1 << 16;
/// Clients that a thread remembers, and how many of them may be of one map.
const REMEMBERED: usize = 256;
const REMEMBERED_OF_MAP: usize = 64;
/// Clients that a thread begins to remember in one second, at most: to find out how far each was behind takes
/// time.
const MOST_A_SECOND: u32 = 64;

/// The slow clients of one thread. Many may be slow at once.
#[derive(Default)]
pub(super) struct SlowClients {
    /// When the log was told last.
    log: Seldom,
    /// The last ones with their maps, the oldest first.
    last: RefCell<VecDeque<(MapId, ClosedConnection)>>,
    /// A second, and how many were remembered in it.
    this_second: Cell<(u64, u32)>,
}

impl SlowClients {
    /// Whether one more client may be remembered in this second; it counts as remembered.
    pub(super) fn may_remember(&self, now: u64) -> bool {
        let (second, count) = self.this_second.get();
        let count = if second == now { count + 1 } else { 1 };
        self.this_second.set((now, count.min(MOST_A_SECOND + 1)));
        count <= MOST_A_SECOND
    }

    /// Remembers a client of a map that is closed. The oldest make room, those of the same map first if it has many.
    pub(super) fn remember(&self, map: MapId, client: ClosedConnection) {
        let mut last = self.last.borrow_mut();
        let of_map = last.iter().filter(|(known, _)| *known == map).count();
        let gives_way = if of_map >= REMEMBERED_OF_MAP {
            last.iter().position(|(known, _)| *known == map)
        } else {
            (last.len() >= REMEMBERED).then_some(0)
        };
        if let Some(place) = gives_way {
            last.remove(place);
        }
        last.push_back((map, client));
    }

    /// The clients of a map that are remembered, the newest first.
    pub(super) fn of_map(&self, map: MapId, most: usize) -> Vec<ClosedConnection> {
        let last = self.last.borrow();
        let of_map = last.iter().rev().filter(|(known, _)| *known == map);
        of_map.take(most).map(|(_, client)| client.clone()).collect()
    }

    /// A client was closed because of its pace. `map` is the one that it used, if that is known.
    pub(super) fn closed(&self, now: u64, end: End, client: &Watched, map: Option<MapId>) {
        let Some(others) = self.log.turn(now) else { return };
        let session = client.session();
        let mut frames = MOST_FRAMES;
        let lag = map.map(|map| session.lag(map, &mut BTreeSet::new(), &mut frames)).unwrap_or_default();
        let seen = client.client();
        tracing::info!(
            map = map.map(tracing::field::display),
            token = session.token().map(tracing::field::display),
            address = seen.address.map(tracing::field::display),
            port = seen.port,
            agent = client.name().agent.as_deref(),
            protocol = client.name().protocol,
            lag_events = lag.events,
            lag_bytes = lag.bytes.saturating_add(seen.unsent),
            reason = end.label(),
            others,
            "a client was closed: it read too slowly"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(number: u8) -> MapId {
        MapId::from_bytes([number; 16])
    }

    fn client(number: u64) -> ClosedConnection {
        ClosedConnection { at_ms: number, reason: "too_slow".into(), connection: Default::default() }
    }

    #[test]
    fn a_map_with_many_slow_clients_leaves_room_for_others() {
        let slow = SlowClients::default();
        slow.remember(map(1), client(0));
        (0..1000).for_each(|number| slow.remember(map(2), client(number)));
        let times =
            |map, most| -> Vec<u64> { slow.of_map(map, most).iter().map(|client| client.at_ms).collect() };
        assert_eq!(times(map(1), 10), [0]);
        assert_eq!(times(map(2), 2), [999, 998]);
        assert_eq!(times(map(2), 1000).len(), REMEMBERED_OF_MAP);
        (3..=9).for_each(|number| (0..100).for_each(|at| slow.remember(map(number), client(at))));
        assert_eq!(slow.last.borrow().len(), REMEMBERED);
        assert!(times(map(1), 10).is_empty(), "it was the oldest");
    }

    #[test]
    fn so_many_are_remembered_in_a_second() {
        let slow = SlowClients::default();
        let remembered = |now| (0..1000).filter(|_| slow.may_remember(now)).count();
        assert_eq!([remembered(5), remembered(5), remembered(6)], [MOST_A_SECOND as usize, 0, 64]);
    }
}
