//! One subscriber: it joins, resumes by its last event id, and checks that each event is the next one. It
//! reconnects at the pace of phoenix.js. It knows nothing of the other clients.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use super::tape::{ID, Tape};

/// How long phoenix.js waits before each attempt to reconnect, in milliseconds; this client varies it by a
/// third.
const AGAIN: [u64; 8] = [10, 50, 100, 150, 200, 250, 500, 1000];

/// The state of a client.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Stage {
    /// It has not joined.
    Away,
    /// The join named the newest event, and the client does not have that event yet.
    CatchingUp,
    Live,
}

/// The last event that a client has.
struct Last {
    id: [u8; ID],
    seq: u64,
}

/// One subscriber.
pub(super) struct Client {
    /// The index of its map.
    pub(super) map: usize,
    /// The index of its node, or of the node where it connects next.
    pub(super) node: usize,
    pub(super) stage: Stage,
    /// The node where it was live before it lost its connection.
    pub(super) lost: Option<usize>,
    last: Option<Last>,
    /// The seq of the newest event when it joined.
    head: u64,
    tries: usize,
}

/// The payload of the reply to a join.
#[derive(Deserialize)]
struct Reply {
    status: String,
    response: serde_json::Value,
}

impl Client {
    pub(super) fn new(map: usize, node: usize) -> Self {
        Self { map, node, stage: Stage::Away, lost: None, last: None, head: 0, tries: 0 }
    }

    /// The seq of the last event that it has.
    pub(super) fn seq(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.seq)
    }

    /// The connection ended. Returns the time until the next attempt; `dice` is a random number.
    pub(super) fn fall(&mut self, dice: u64) -> Duration {
        if self.stage == Stage::Live {
            self.lost = Some(self.node);
        }
        self.stage = Stage::Away;
        let wait = AGAIN[self.tries.min(AGAIN.len() - 1)] * 1000;
        self.tries += 1;
        Duration::from_micros(wait * 2 / 3 + dice % (wait * 2 / 3))
    }

    /// The frame by which it joins, after its last event if it has one.
    pub(super) fn join(&self, tape: &Tape) -> Vec<u8> {
        tape.join(self.map, self.last.as_ref().map(|last| &last.id))
    }

    /// Takes a text frame.
    ///
    /// # Errors
    /// The join was refused.
    pub(super) fn text(&mut self, payload: &[u8], tape: &mut Tape) -> Result<()> {
        match tape.event(self.map, payload) {
            Some((id, seq)) => self.event(id, seq, tape),
            None if payload.starts_with(br#"["1","1","#) => self.joined(payload, tape)?,
            // This is the answer to a heartbeat.
            None => {}
        }
        Ok(())
    }

    fn event(&mut self, id: [u8; ID], seq: u64, tape: &mut Tape) {
        let before = self.seq();
        tape.check(self.map, before, &id, seq);
        // An error is counted once: the client continues from this event.
        self.last = Some(Last { id, seq: seq.max(before) });
        self.caught_up();
    }

    fn joined(&mut self, payload: &[u8], tape: &mut Tape) -> Result<()> {
        let (_, _, _, _, reply): (&str, &str, &str, &str, Reply) = serde_json::from_slice(payload)?;
        let response = reply.response;
        if reply.status != "ok" {
            bail!("join refused: {}", response["reason"].as_str().unwrap_or_default());
        }
        let id = response["last_event_id"].as_str().and_then(|id| id.as_bytes().try_into().ok());
        let id = id.with_context(|| anyhow!("a join answered with {response}"))?;
        self.head = response["last_seq"].as_u64().unwrap_or(0);
        if response["gap"] != false {
            tape.wrong("history that was asked for is gone");
        }
        self.last.get_or_insert(Last { id, seq: self.head });
        self.stage = Stage::CatchingUp;
        self.caught_up();
        Ok(())
    }

    fn caught_up(&mut self) {
        if self.stage == Stage::CatchingUp && self.seq() >= self.head {
            self.stage = Stage::Live;
            self.tries = 0;
        }
    }
}
