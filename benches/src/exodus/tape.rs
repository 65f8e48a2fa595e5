//! What all clients received together: the id of each event, and every error. It never reads a socket.

use std::collections::BTreeMap;

use crate::{event::KIND, ws};

/// The length of an event's id.
pub(super) const ID: usize = 26;

/// A map, and how its clients join it.
pub(super) struct Map {
    pub(super) upgrade: Vec<u8>,
    id: String,
    /// The beginning of each event's frame, up to its id.
    prefix: String,
    /// Each event's id as the first client received it, by seq.
    ids: Vec<Option<[u8; ID]>>,
}

/// The record of all clients, against which each event is checked.
#[derive(Default)]
pub(super) struct Tape {
    pub(super) maps: Vec<Map>,
    /// How many events were the next one for their client.
    pub(super) right: u64,
    /// The errors, and how often each occurred.
    pub(super) wrong: BTreeMap<String, u64>,
}

impl Tape {
    /// `maps` has the id and the token of each map.
    pub(super) fn new(maps: &[(String, String)]) -> Self {
        let map = |(id, token): &(String, String)| Map {
            upgrade: ws::upgrade("bench", token, false),
            id: id.clone(),
            prefix: format!(r#"[null,null,"events:map:{id}","{KIND}",{{"id":""#),
            ids: Vec::new(),
        };
        Self { maps: maps.iter().map(map).collect(), ..Self::default() }
    }

    /// The frame of a join, with the last event's id if there is one.
    pub(super) fn join(&self, map: usize, last: Option<&[u8; ID]>) -> Vec<u8> {
        let id = &self.maps[map].id;
        let after = last.map(|last| format!(r#","last_event_id":"{}""#, String::from_utf8_lossy(last)));
        let after = after.unwrap_or_default();
        let text = format!(r#"["1","1","events:map:{id}","phx_join",{{"events":"*"{after}}}]"#);
        ws::client_frame(ws::TEXT, text.as_bytes())
    }

    /// The id and seq of an event's frame.
    pub(super) fn event(&self, map: usize, frame: &[u8]) -> Option<([u8; ID], u64)> {
        let rest = frame.strip_prefix(self.maps[map].prefix.as_bytes())?;
        let (id, rest) = rest.split_first_chunk::<ID>()?;
        let digits = rest.strip_prefix(br#"","seq":"#)?.iter().take_while(|b| b.is_ascii_digit());
        Some((*id, digits.take(18).fold(0, |n, b| n * 10 + u64::from(b - b'0'))))
    }

    /// Checks that an event is the next one after `before`, and the same that the other clients received.
    pub(super) fn check(&mut self, map: usize, before: u64, id: &[u8; ID], seq: u64) {
        let index = usize::try_from(seq).unwrap_or(usize::MAX);
        if seq == before + 1 && index <= self.maps[map].ids.len() + (1 << 20) {
            self.right += 1;
        } else {
            return self.wrong(if seq <= before { "an event came twice" } else { "an event was skipped" });
        }
        let ids = &mut self.maps[map].ids;
        if ids.len() <= index {
            ids.resize(index + 1, None);
        }
        if ids[index].get_or_insert(*id) != id {
            self.wrong("one seq, two ids");
        }
    }

    pub(super) fn wrong(&mut self, what: &str) {
        *self.wrong.entry(what.to_owned()).or_default() += 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn events_are_checked() {
        let map = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let mut tape = Tape::new(&[(map.to_owned(), String::new())]);
        let frame = crate::event::frame_text(map, 7, "{}");
        let (id, seq) = tape.event(0, frame.as_bytes()).unwrap();
        assert_eq!((&id, seq), (b"01JZZZZZZZZZZZZZZZZZZZZZZZ", 7));
        assert!(tape.event(0, br#"[null,"2","phoenix","phx_reply",{}]"#).is_none());
        tape.check(0, 6, &id, 7);
        tape.check(0, 6, &id, 7);
        assert_eq!((tape.right, tape.wrong.len()), (2, 0), "two clients");
        tape.check(0, 7, &id, 7);
        tape.check(0, 5, &id, 7);
        tape.check(0, 6, &[b'0'; ID], 7);
        assert_eq!(tape.wrong.values().sum::<u64>(), 3);
        assert_eq!(tape.wrong.len(), 3);
    }
}
