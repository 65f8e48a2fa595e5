//! Commands as the log has them. The payloads of a publish share the memory of its entry.

use super::{By, Command, IdempotencyKey, Publish};
use crate::core::codec::{self, CodecError};
use crate::core::event::EncodedEvent;
use crate::core::ids::MapId;
use bytes::Bytes;
use serde::Deserialize;

/// The number of [`Command::Publish`], which comes behind the format.
const PUBLISH: u8 = 0;

/// A [`Command::Publish`], whose payloads are parts of its encoding.
#[derive(Deserialize)]
enum Publishing<'a> {
    Publish {
        map: MapId,
        by: By,
        #[serde(borrow)]
        events: Vec<EncodedEvent<'a>>,
        key: Option<IdempotencyKey>,
    },
}

impl Command {
    /// Decodes a command of the log, which [`codec::encode`] wrote.
    ///
    /// # Errors
    /// Bytes that are not a command.
    pub fn of_log(bytes: &Bytes) -> Result<Self, CodecError> {
        if bytes.get(1) != Some(&PUBLISH) {
            return codec::decode(bytes);
        }
        let Publishing::Publish { map, by, events, key } = codec::decode_borrowed(bytes)?;
        let events = events.into_iter().map(|event| event.of(bytes)).collect();
        Ok(Self::Publish(Publish { map, by, events, key }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::event::tests::new_event;
    use crate::core::ids::TokenId;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_publish_is_decoded_as_any_command_and_its_payloads_are_not_copied(
            events in prop::collection::vec(new_event(), 0..5),
            by in any::<Option<[u8; 16]>>(),
            key in any::<Option<([u8; 16], [u8; 16], u64)>>(),
        ) {
            let key = key.map(|(key, fingerprint, ttl_ms)| IdempotencyKey { key, fingerprint, ttl_ms });
            let by = by.map(TokenId::from_bytes);
            let publish = Command::Publish(Publish { map: MapId::from_bytes([7; 16]), by, events, key });
            let bytes = Bytes::from(codec::encode(&publish).unwrap());
            let found = Command::of_log(&bytes).unwrap();
            prop_assert_eq!(&found, &publish);
            prop_assert_eq!(&found, &codec::decode::<Command>(&bytes).unwrap());
            let Command::Publish(Publish { events, .. }) = found else { return Ok(()) };
            for event in events.iter().filter(|event| !event.payload.is_empty()) {
                prop_assert!(bytes.as_ptr_range().contains(&event.payload.as_ptr()));
            }
            for end in [0, 1, 2, bytes.len() / 2, bytes.len() - 1] {
                prop_assert!(Command::of_log(&bytes.slice(..end)).is_err());
            }
            prop_assert!(Command::of_log(&Bytes::from([&bytes[..], &[0]].concat())).is_err());
        }

        #[test]
        fn whatever_is_no_command_is_none_in_both_ways(
            mut bytes in prop::collection::vec(any::<u8>(), 0..80),
            known in any::<bool>(),
        ) {
            // The format, and the number of a publish.
            for (byte, of_publish) in bytes.iter_mut().zip([1, PUBLISH]).filter(|_| known) {
                *byte = of_publish;
            }
            let found = Command::of_log(&Bytes::copy_from_slice(&bytes)).ok();
            prop_assert_eq!(found, codec::decode::<Command>(&bytes).ok());
        }
    }
}
