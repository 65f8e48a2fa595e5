//! The messages about ephemeral events between nodes.

use super::exchange::{Confirmation, Receipt};
use super::interest::Tell;
use super::link::Batch;
use crate::core::codec::{self, CodecError};
use crate::core::event::{Event, Extras};
use crate::core::ids::{EventId, TopicId};
use crate::core::subject::Subject;
use crate::hub::peers::{Lane, PeerRequest};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Events from one node for another. At most one such request is under way to a node.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hub) struct SendEvents {
    /// The incarnation of the sending node.
    pub(super) sender: u64,
    /// The incarnation of the receiving node.
    pub(super) to: u64,
    pub(super) batch: Batch,
}

impl PeerRequest for SendEvents {
    type Answer = Receipt;
    const KIND: u16 = 20;
    const LANE: Lane = Lane::patient(16, 48);
}

/// A node's interest in the ephemeral events of another. It is answered when the events that were published
/// before have arrived.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hub) struct TellInterest {
    /// The incarnation of the reporting node.
    pub(super) incarnation: u64,
    pub(super) tell: Tell,
}

impl PeerRequest for TellInterest {
    /// `None` if the reporting node is not a member.
    type Answer = Option<Confirmation>;
    const KIND: u16 = 21;
    const LANE: Lane = Lane::patient(16, 48);
}

/// Asks a node for the last event of a cache channel.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::hub) struct AskLast {
    pub(super) stream: TopicId,
    pub(super) subject: Subject,
}

impl PeerRequest for AskLast {
    /// The event in its encoded form, if the node knows one.
    type Answer = Option<Bytes>;
    const KIND: u16 = 29;
    const LANE: Lane = Lane::quick(64, 4096);
}

/// Bytes of an encoded event beside its texts, about.
const HEAD: usize = 64;

/// An event to be encoded.
#[derive(Serialize)]
struct Leaving<'e> {
    stream: TopicId,
    id: EventId,
    time_ms: u64,
    subject: &'e Subject,
    kind: &'e str,
    payload: &'e Bytes,
    extras: Option<Extras>,
}

/// The same event, as it is decoded.
#[derive(Debug, Deserialize)]
struct Travelling {
    stream: TopicId,
    id: EventId,
    time_ms: u64,
    subject: Subject,
    kind: String,
    payload: Bytes,
    extras: Option<Extras>,
}

/// Encodes an event of that stream.
pub(super) fn encode(stream: TopicId, event: &Event) -> Result<Bytes, CodecError> {
    let leaving = Leaving {
        stream,
        id: event.id,
        time_ms: event.time_ms,
        subject: &event.subject,
        kind: &event.kind,
        payload: &event.payload,
        extras: Extras::of(event),
    };
    let text = event.text.as_ref().map_or(0, |text| text.len());
    let texts = event.subject.as_str().len() + event.kind.len() + event.payload.len() + text;
    codec::encode_about(&leaving, HEAD + texts).map(Bytes::from)
}

/// Decodes the result of [`encode`]. The event has no position yet.
pub(super) fn decode(bytes: &[u8]) -> Result<(TopicId, Event), CodecError> {
    let Travelling { stream, id, time_ms, subject, kind, payload, extras } = codec::decode(bytes)?;
    let Extras { text, sender, ingested, trace } = extras.unwrap_or_default();
    let kind = kind.into();
    Ok((stream, Event { id, seq: 0, subject, time_ms, kind, payload, text, sender, ingested, trace }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::event::{NewEvent, Sender};
    use crate::core::ids::SocketId;
    use crate::hub::ephemeral::link::Carried;

    fn event() -> Event {
        let new = NewEvent::new(Subject::parse("live-7").unwrap(), "moved", "{\"x\":1}");
        new.placed(EventId::ephemeral(1_750_509_296_789, 7, 3), 0, 1_750_509_296_789)
    }

    #[test]
    fn events_carry_their_text_and_their_sender() {
        let sender = Sender { socket: SocketId { a: 1, b: 2 }, user: Some("u".into()) };
        let event = Event { text: Some("{\"x\": 1}".into()), sender: Some(sender), ..event() };
        let bytes = encode(TopicId(5), &event).unwrap();
        assert_eq!(decode(&bytes).unwrap(), (TopicId(5), event));
    }

    #[test]
    fn a_plain_event_has_one_byte_for_its_text_and_its_sender() {
        let bytes = encode(TopicId(5), &event()).unwrap();
        assert!(bytes.ends_with(b"\x07{\"x\":1}\0"), "{bytes:?}");
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
