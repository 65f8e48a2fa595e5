//! How commands and messages between nodes encode an event. A plain event has one byte for what others carry
//! beside their payload.

use super::{Event, Ingested, NewEvent, Sender};
use crate::core::subject::Subject;
use crate::core::trace::TraceContext;
use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What few events carry beside their payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extras {
    #[serde(with = "optional_text")]
    pub(crate) text: Option<ByteString>,
    pub(crate) sender: Option<Sender>,
    pub(crate) ingested: Option<Ingested>,
    pub(crate) trace: Option<TraceContext>,
}

impl Extras {
    /// The extras of an event. `None` if it has none.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let Event { text, sender, ingested, trace, .. } = event;
        Self { text: text.clone(), sender: sender.clone(), ingested: *ingested, trace: *trace }.some()
    }

    fn of_new(event: &NewEvent) -> Option<Self> {
        let NewEvent { text, sender, ingested, trace, .. } = event;
        Self { text: text.clone(), sender: sender.clone(), ingested: *ingested, trace: *trace }.some()
    }

    fn some(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

#[derive(Serialize)]
struct Encoding<'a> {
    subject: &'a Subject,
    kind: &'a str,
    #[serde(with = "serde_bytes")]
    payload: &'a [u8],
    extras: Option<Extras>,
}

#[derive(Deserialize)]
struct Decoding {
    subject: Subject,
    kind: String,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
    extras: Option<Extras>,
}

/// An encoded event. Its payload is a part of the encoding.
#[derive(Deserialize)]
pub(crate) struct EncodedEvent<'a> {
    subject: Subject,
    kind: String,
    payload: &'a [u8],
    extras: Option<Extras>,
}

impl EncodedEvent<'_> {
    /// The event, whose payload shares the memory of the bytes that it was decoded from.
    pub(crate) fn of(self, bytes: &Bytes) -> NewEvent {
        let Self { subject, kind, payload, extras } = self;
        let Extras { text, sender, ingested, trace } = extras.unwrap_or_default();
        NewEvent { subject, kind, payload: bytes.slice_ref(payload), text, sender, ingested, trace }
    }
}

impl Serialize for NewEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { subject, kind, payload, .. } = self;
        let extras = Extras::of_new(self);
        Encoding { subject, kind, payload, extras }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NewEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Decoding { subject, kind, payload, extras } = Decoding::deserialize(deserializer)?;
        let Extras { text, sender, ingested, trace } = extras.unwrap_or_default();
        Ok(Self { subject, kind, payload: payload.into(), text, sender, ingested, trace })
    }
}

/// Encodes an optional text like a string.
pub(super) mod optional_text {
    use super::{ByteString, Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::core::event) fn serialize<S: Serializer>(
        text: &Option<ByteString>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        text.as_deref().serialize(serializer)
    }

    pub(in crate::core::event) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<ByteString>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(ByteString::from))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::codec;
    use crate::core::event::tests::new_event;
    use proptest::prelude::*;

    #[test]
    fn a_plain_event_has_one_byte_for_its_extras() {
        let plain = NewEvent::new(Subject::parse("a").unwrap(), "k", *b"{}");
        assert_eq!(codec::encode(&plain).unwrap(), [1, 1, b'a', 1, b'k', 2, b'{', b'}', 0]);
    }

    proptest! {
        #[test]
        fn an_event_survives_its_encoding(event in new_event()) {
            let bytes = codec::encode(&event).unwrap();
            prop_assert_eq!(codec::decode::<NewEvent>(&bytes).unwrap(), event);
        }
    }
}
