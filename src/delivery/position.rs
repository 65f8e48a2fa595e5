//! Decides when a client gets a position that no event carries. A client whose filter lets nothing through
//! would otherwise resume by an event that retention may have removed long ago.

use crate::core::ids::EventId;
use crate::core::ring::Cursor;

/// The events that a subscription has passed without showing them to its client.
pub(super) struct Unseen {
    /// Seconds between two positions. `None` if the client does not want any.
    every: Option<u64>,
    /// The dispatcher's second since which the client does not know its subscription's position.
    since: Option<u64>,
    /// The newest passed event whose id is known, and the seq after it.
    newest: Option<(u64, EventId)>,
}

impl Unseen {
    pub(super) fn new(every: Option<u64>) -> Self {
        Self { every, since: None, newest: None }
    }

    /// From now on, sends a position every `every` seconds, or none.
    pub(super) fn set_every(&mut self, every: Option<u64>) {
        self.every = every;
    }

    /// The second at which a position is due, if one is.
    pub(super) fn due(&self) -> Option<u64> {
        Some(self.since? + self.every?)
    }

    /// Counts the seconds from `since` on if the client does not know its subscription's position, unless
    /// they are counted already.
    pub(super) fn begin(&mut self, cursor: &Cursor, since: u64) {
        if self.every.is_some() && cursor.has_passed_unseen() {
            self.since.get_or_insert(since);
        }
    }

    /// The reader has read all events at hand; `id` is the last of them if it is known. Returns the position
    /// (id and seq) if it is due now. The cursor then counts it as shown.
    pub(super) fn pass(
        &mut self,
        cursor: &mut Cursor,
        id: Option<EventId>,
        now: u64,
    ) -> Option<(EventId, u64)> {
        let every = self.every?;
        if !cursor.has_passed_unseen() {
            self.since = None;
            return None;
        }
        if let Some(id) = id {
            self.newest = Some((cursor.next_seq, id));
        }
        if now < *self.since.get_or_insert(now) + every {
            return None;
        }
        let (_, id) = self.newest.filter(|(next_seq, _)| *next_seq == cursor.next_seq)?;
        self.since = None;
        cursor.shown_seq = cursor.next_seq;
        Some((id, cursor.next_seq - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(seq: u64) -> EventId {
        EventId::new(1, seq, 0)
    }

    #[test]
    fn a_position_is_sent_when_it_moved_and_not_too_often() {
        let mut unseen = Unseen::new(Some(10));
        let mut cursor = Cursor::at(5);
        assert_eq!(unseen.pass(&mut cursor, Some(id(4)), 0), None, "nothing was passed");
        cursor.next_seq = 7;
        assert_eq!((unseen.pass(&mut cursor, Some(id(6)), 1), unseen.due()), (None, Some(11)));
        cursor.next_seq = 9;
        assert_eq!(unseen.pass(&mut cursor, Some(id(8)), 10), None);
        assert_eq!(unseen.pass(&mut cursor, Some(id(8)), 11), Some((id(8), 8)));
        assert_eq!(
            (unseen.pass(&mut cursor, Some(id(8)), 40), unseen.due()),
            (None, None),
            "it has not moved since"
        );
        cursor.next_seq = 10;
        assert_eq!((unseen.pass(&mut cursor, Some(id(9)), 41), unseen.due()), (None, Some(51)));
        cursor = Cursor::at(11);
        assert_eq!(
            (unseen.pass(&mut cursor, Some(id(10)), 60), unseen.due()),
            (None, None),
            "an event was shown"
        );
    }

    #[test]
    fn the_seconds_to_a_position_are_counted_from_the_first_event_that_was_passed() {
        let mut unseen = Unseen::new(Some(10));
        let mut cursor = Cursor::at(5);
        unseen.begin(&cursor, 1);
        assert_eq!(unseen.due(), None, "nothing was passed");
        cursor.next_seq = 7;
        unseen.begin(&cursor, 2);
        unseen.begin(&cursor, 9);
        assert_eq!(unseen.due(), Some(12));
        assert_eq!(unseen.pass(&mut cursor, Some(id(6)), 12), Some((id(6), 6)));
        assert_eq!(unseen.due(), None);
        let mut unwanted = Unseen::new(None);
        unwanted.begin(&Cursor { next_seq: 9, shown_seq: 5 }, 1);
        assert_eq!(unwanted.due(), None);
    }

    #[test]
    fn an_id_is_never_sent_for_another_position() {
        let mut unseen = Unseen::new(Some(1));
        let mut cursor = Cursor::at(5);
        cursor.next_seq = 7;
        assert_eq!(unseen.pass(&mut cursor, Some(id(6)), 1), None);
        cursor.next_seq = 8;
        assert_eq!(unseen.pass(&mut cursor, None, 9), None, "the id of event 7 is not known");
        assert_eq!(unseen.pass(&mut cursor, Some(id(7)), 9), Some((id(7), 7)));
    }
}
