//! What nodes send each other of ephemeral events.

use super::exchange::{Confirmation, Receipt};
use super::interest::Tell;
use super::link::Batch;
use crate::core::codec::{self, CodecError};
use crate::core::event::Event;
use crate::core::ids::{EventId, TopicId};
use crate::core::subject::Subject;
use crate::hub::peers::{Lane, PeerRequest};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Events of one node for another. There is one under way to a node at a time.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hub) struct SendEvents {
    /// The incarnation of the node that sends.
    pub(super) sender: u64,
    /// The incarnation of the node that they are for.
    pub(super) to: u64,
    pub(super) batch: Batch,
}

impl PeerRequest for SendEvents {
    type Answer = Receipt;
    const KIND: u16 = 20;
    const LANE: Lane = Lane::patient(16, 48);
}

/// What a node wants of the ephemeral events of another. Answered when what was published before has arrived.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hub) struct TellInterest {
    /// The incarnation of the node that tells.
    pub(super) incarnation: u64,
    pub(super) tell: Tell,
}

impl PeerRequest for TellInterest {
    /// `None` where the node that tells is no member.
    type Answer = Option<Confirmation>;
    const KIND: u16 = 21;
    const LANE: Lane = Lane::patient(16, 48);
}

/// An event as it travels.
#[derive(Debug, Serialize, Deserialize)]
struct Travelling {
    stream: TopicId,
    id: EventId,
    time_ms: u64,
    subject: Subject,
    kind: String,
    payload: Bytes,
}

/// The bytes of an event of that stream.
pub(super) fn encode(stream: TopicId, event: &Event) -> Result<Bytes, CodecError> {
    let travelling = Travelling {
        stream,
        id: event.id,
        time_ms: event.time_ms,
        subject: event.subject.clone(),
        kind: event.kind.to_string(),
        payload: event.payload.clone(),
    };
    codec::encode(&travelling).map(Bytes::from)
}

/// Back from [`encode`]. The event has no position yet.
pub(super) fn decode(bytes: &[u8]) -> Result<(TopicId, Event), CodecError> {
    let Travelling { stream, id, time_ms, subject, kind, payload } = codec::decode(bytes)?;
    Ok((stream, Event { id, seq: 0, subject, time_ms, kind: kind.into(), payload }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::hub::ephemeral::link::Carried;

    fn event() -> Event {
        Event {
            id: EventId::ephemeral(1_750_509_296_789, 7, 3),
            seq: 0,
            subject: Subject::parse("live-7").unwrap(),
            time_ms: 1_750_509_296_789,
            kind: "moved".into(),
            payload: Bytes::from_static(b"{\"x\":1}"),
        }
    }

    #[test]
    fn events_and_batches_keep_their_bytes() {
        let bytes = encode(TopicId(5), &event()).unwrap();
        assert_eq!(decode(&bytes).unwrap(), (TopicId(5), event()));
        let batch =
            Batch { number: 2, events: vec![Carried { version: 300, event: Bytes::from_static(b"ab") }] };
        let request = codec::encode(&SendEvents { sender: 1, to: 4, batch }).unwrap();
        assert_eq!(request, [1, 1, 4, 2, 1, 0xfb, 0x2c, 1, 2, b'a', b'b']);
    }
}
