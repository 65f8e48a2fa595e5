//! Owns what all clients were told together: the id of each event, and whatever was wrong. Never reads a socket.

use std::collections::BTreeMap;

use crate::{event::KIND, ws};

/// Length of an event's id.
pub(super) const ID: usize = 26;

/// A map with the sockets that are joined to it.
pub(super) struct Map {
    pub(super) upgrade: Vec<u8>,
    id: String,
    /// How each event's frame begins, up to its id.
    prefix: String,
    /// Each event's id as it was first seen, by seq.
    ids: Vec<Option<[u8; ID]>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Tape {
    pub(super) maps: Vec<Map>,
    /// Events that were the next one.
    pub(super) right: u64,
    /// What went wrong, how often.
    pub(super) wrong: BTreeMap<String, u64>,
}

impl Tape {
    /// `maps` are ids and tokens.
    pub(super) fn new(maps: &[(String, String)]) -> Self {
        let map = |(id, token): &(String, String)| Map {
            upgrade: ws::upgrade("bench", token),
            id: id.clone(),
            prefix: format!(r#"[null,null,"events:map:{id}","{KIND}",{{"id":""#),
            ids: Vec::new(),
        };
        Self { maps: maps.iter().map(map).collect(), ..Self::default() }
    }

    /// The join's frame; with the last event's id where there is one.
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

    /// Whether an event is the next one after `before`, and the same that the others got.
    pub(super) fn check(&mut self, map: usize, before: u64, id: &[u8; ID], seq: u64) {
        let place = usize::try_from(seq).unwrap_or(usize::MAX);
        if seq == before + 1 && place <= self.maps[map].ids.len() + (1 << 20) {
            self.right += 1;
        } else {
            return self.wrong(if seq <= before { "an event came twice" } else { "an event was left out" });
        }
        let ids = &mut self.maps[map].ids;
        if ids.len() <= place {
            ids.resize(place + 1, None);
        }
        if ids[place].get_or_insert(*id) != id {
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
